"""The checks of :mod:`otagate.flow.verify` that look at the seal; they need keys and cryptography."""

from __future__ import annotations

from pathlib import Path

from otagate.errors import VerificationError
from otagate.flow.checks import Check, CheckResult, Opening
from otagate.model import Digest, Release


def check_seal(release: Release, opening: Opening) -> Check:
    """Check what the statement says of its seal against what it says of the bundle."""
    kind = release.sealed.format
    if kind == "none":
        is_same = release.sealed.blob == release.bundle.archive
        return Check("seal", CheckResult.HOLDS if is_same else CheckResult.FAILS, "none: devices get the clear zip")
    if kind == "aes-256-gcm":
        return _bound(release)
    if kind != "capgo":
        return Check("seal", CheckResult.FAILS, f"expected capgo, aes-256-gcm or none, found {kind!r}")
    if opening.public_pem is None:
        return Check("seal", CheckResult.NOT_MADE, "the app's public key is missing: give --public-key")
    return _checksums(release, opening.public_pem)


def opened(sealed: Path, clear: Path, release: Release, opening: Opening) -> str | None:
    """Open the sealed zip and compare its digest; None when the key for it is missing.

    Raises:
        VerificationError: It does not open, or holds another zip.
        KeyMaterialError: A key is not usable.
    """
    found = _open(sealed, clear, release, opening)
    if found is None:
        return None
    if found != release.bundle.archive:
        clear.unlink()
        raise VerificationError("another zip is inside", expected=str(release.bundle.archive), found=str(found))
    return f"the clear zip is inside, {found}"


def _open(sealed: Path, clear: Path, release: Release, opening: Opening) -> Digest | None:
    seal = release.sealed
    if seal.format == "capgo" and opening.public_pem is not None:
        from otagate.seal.capgo_open import open_capgo  # noqa: PLC0415 - heavy

        return open_capgo(
            sealed,
            clear,
            public_pem=opening.public_pem,
            session_key=seal.session_key or "",
            checksum=seal.checksum_hex or "",
        )
    if seal.format == "aes-256-gcm" and opening.private_key is not None:
        from otagate.seal.gcm import open_gcm  # noqa: PLC0415 - heavy

        return open_gcm(
            sealed,
            clear,
            wrapped_key=seal.wrapped_key or "",
            private_key=opening.private_key,
            iv=seal.iv or "",
            additional_data=seal.additional_data or "",
            key_subject="--key",
        )
    return None


def _bound(release: Release) -> Check:
    from otagate.seal.gcm import additional_data  # noqa: PLC0415 - heavy

    expected = additional_data(release.app, release.version, release.bundle.content)
    if release.sealed.additional_data != expected:
        return Check("seal", CheckResult.FAILS, f"expected it bound to {expected}, found another release")
    return Check("seal", CheckResult.HOLDS, f"aes-256-gcm, bound to {expected}")


def _checksums(release: Release, public_pem: str) -> Check:
    from otagate.seal.capgo_open import recover_checksum  # noqa: PLC0415 - heavy
    from otagate.seal.loading import key_id, load_rsa_public, rsa_public_pem_pkcs1  # noqa: PLC0415 - heavy

    key, seal = load_rsa_public(public_pem, "--public-key"), release.sealed
    own = key_id(rsa_public_pem_pkcs1(key))
    if seal.key_id != own:
        return Check("seal", CheckResult.FAILS, f"expected key {own}, found {seal.key_id}")
    for checksum in (seal.checksum_hex, seal.checksum_base64):
        try:
            found = recover_checksum(checksum or "", key, subject="seal")
        except VerificationError as error:
            return Check("seal", CheckResult.FAILS, error.what)
        if found != release.bundle.archive:
            return Check("seal", CheckResult.FAILS, f"expected the checksum of {release.bundle.archive}, found {found}")
    return Check("seal", CheckResult.HOLDS, f"capgo, key {own}; both checksums name {release.bundle.archive}")
