"""One door to all seals: the policy's format and key references in, a sealed file out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from otagate._text import harmless
from otagate.errors import KeyMaterialError, UsageError
from otagate.model import AppId, Bundle, Digest, Sealed, Version
from otagate.seal._streams import CHUNK, PUBLIC_MODE, one_to_one, require_same
from otagate.seal.capgo import seal_capgo
from otagate.seal.gcm import seal_gcm
from otagate.seal.loading import load_rsa_private
from otagate.seal.recipients import load_recipient
from otagate.seal.references import read_reference

FORMATS = ("capgo", "aes-256-gcm", "none")


def seal_bundle(
    source: Path,
    target: Path,
    *,
    format: str,  # noqa: A002 - the policy's word
    encryption_key: str | None,
    recipients: Sequence[str],
    bundle: Bundle,
    app: AppId,
    version: Version,
    environ: Mapping[str, str],
    base: Path,
) -> Sealed:
    """Seal the clear zip of ``bundle`` as the policy says.

    Args:
        source: The clear zip; its bytes must be those that ``bundle.archive`` names.
        target: Where the sealed bytes go; replaced as a whole.
        format: ``seal.format`` of the policy.
        encryption_key: ``seal.encryption_key`` of the policy: reference of the private RSA-2048 key.
        recipients: ``seal.recipients`` of the policy: references of public keys.
        bundle: What is sealed.
        app: Bound by the seals that can bind it.
        version: Bound by the seals that can bind it.
        environ: Environment variables.
        base: Folder that relative ``file:`` references start from.

    Raises:
        KeyMaterialError: A key that the format needs is missing or of another kind. There is no falling back to less.
        VerificationError: ``source`` has other bytes than ``bundle`` says.
        UsageError: Unknown format.
        NotFoundError, AccessError, UnavailableError: The files cannot be read or written.
    """
    if format == "capgo":
        if encryption_key is None:
            raise _missing("seal.encryption_key", "env:OTAGATE_ENCRYPTION_KEY")
        key = load_rsa_private(read_reference(encryption_key, environ=environ, base=base), encryption_key)
        return seal_capgo(source, target, key, clear=bundle.archive)
    if format == "aes-256-gcm":
        if not recipients:
            raise _missing("seal.recipients", "file:keys/recipient.pub.pem")
        keys = [load_recipient(read_reference(name, environ=environ, base=base), name) for name in recipients]
        return seal_gcm(source, target, keys, clear=bundle.archive, app=app, version=version, content=bundle.content)
    if format == "none":
        return seal_none(source, target, clear=bundle.archive)
    raise UsageError("this seal is not known", "seal.format", expected=" or ".join(FORMATS), found=repr(harmless(format, 40)))


def seal_none(source: Path, target: Path, *, clear: Digest) -> Sealed:
    """Copy the zip as it is: devices get the clear bytes, and only the release statement is signed.

    Raises:
        VerificationError: ``source`` has other bytes than ``clear`` says.
        NotFoundError, AccessError, UnavailableError, UsageError: The files cannot be read or written.
    """
    found, size = hashlib.sha256(), 0
    with one_to_one(source, target, mode=PUBLIC_MODE) as (reader, writer):
        while chunk := reader.read(CHUNK):
            found.update(chunk)
            writer.write(chunk)
            size += len(chunk)
        require_same(Digest(found.hexdigest()), clear, source)
    return Sealed(format="none", blob=clear, size=size)


def _missing(field: str, example: str) -> KeyMaterialError:
    remedy = f"make keys with `otagate keys create`, then write {field}: {example}"
    return KeyMaterialError("a key that the seal needs is not named", field, expected="a key reference", remedy=remedy)
