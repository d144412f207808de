"""Whether a seal that was made before serves for the same bundle under the same key: then it is not made and sent anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from otagate.errors import VerificationError
from otagate.model import Bundle, Sealed
from otagate.seal.capgo_open import open_capgo, recover_checksum, recover_session
from otagate.seal.loading import load_rsa_private
from otagate.seal.references import read_reference


def serves_again(
    sealed: Sealed,
    bundle: Bundle,
    *,
    encryption_key: str | None,
    environ: Mapping[str, str],
    base: Path,
    opened: tuple[Path, Path] | None = None,
) -> bool:
    """Tell whether ``sealed`` is a Capgo seal of ``bundle`` that devices with the present key open.

    Other seals never serve again: AES-256-GCM binds the version, and without a seal the bytes are found by their own digest.

    Args:
        sealed: What was made before.
        bundle: What is to be sealed.
        encryption_key: ``seal.encryption_key`` of the policy.
        environ: Environment variables.
        base: Folder that relative ``file:`` references start from.
        opened: The sealed file, to open it as a device does, and a folder for what comes out, which nobody else reads and the
            caller removes; None when a signed statement vouches for its bytes.

    Raises:
        KeyMaterialError: The key is missing or of another kind.
    """
    session_key, checksum = sealed.session_key, sealed.checksum_hex
    if sealed.format != "capgo" or not session_key or not checksum or encryption_key is None:
        return False
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - heavy

    key = load_rsa_private(read_reference(encryption_key, environ=environ, base=base), encryption_key).public_key()
    try:
        recover_session(session_key, key, subject="a seal made before")
        is_same = recover_checksum(checksum, key, subject="a seal made before") == bundle.archive
        if opened is not None and is_same:
            pem = key.public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
            sealed_file, clear = opened[0], opened[1] / "opened.zip"
            found = open_capgo(sealed_file, clear, public_pem=pem, session_key=session_key, checksum=checksum)
            is_same = found == bundle.archive
    except VerificationError:
        return False
    return is_same
