"""The AES-256-GCM seal: confidential, and openable with WebCrypto and any JOSE library.

A fresh key and nonce for every bundle, so neither can repeat; no function takes a nonce for sealing. The stored bytes are the
ciphertext and then the 16-byte tag, as WebCrypto's ``decrypt`` takes them. GCM does not commit to its key: the digests of the
clear and the sealed bytes in the signed release statement do.

**Source:** NIST SP 800-38D; W3C Web Cryptography API, section 29 (AES-GCM: tag at the end).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from otagate import _canonical
from otagate._text import harmless
from otagate.errors import KeyMaterialError, VerificationError
from otagate.model import AppId, Digest, Sealed, Version
from otagate.seal import _base64url
from otagate.seal._streams import CHUNK, PRIVATE_MODE, PUBLIC_MODE, one_to_one, require_same
from otagate.seal.recipients import (
    CONTENT_KEY_BYTES,
    Recipient,
    load_recipient_private,
    unwrap_content_key,
    wrap_content_key,
)

NONCE_BYTES = 12
TAG_BYTES = 16


def additional_data(app: AppId, version: Version, content: Digest) -> str:
    """Write what the tag binds besides the content, so that a seal cannot be passed off as another release's. Pure.

    Returns:
        Canonical JSON ``{"app": str, "manifest": "sha256:<hex of Bundle.content>", "version": str}``.
    """
    return _canonical.dumps({"app": app.value, "version": version.value, "manifest": str(content)}).decode()


def seal_gcm(
    source: Path,
    target: Path,
    recipients: Sequence[Recipient],
    *,
    clear: Digest,
    app: AppId,
    version: Version,
    content: Digest,
) -> Sealed:
    """Seal a zip. Streams: memory does not grow with the file.

    Args:
        source: The clear zip.
        target: Where the sealed bytes go; replaced as a whole.
        recipients: Who may open it; at least one.
        clear: What ``source`` must hash to, checked on the very bytes that are encrypted.
        app: Bound by the tag.
        version: Bound by the tag.
        content: ``Bundle.content``; bound by the tag.

    Raises:
        KeyMaterialError: No recipient.
        VerificationError: ``source`` has other bytes than ``clear`` says.
        NotFoundError, AccessError, UnavailableError, UsageError: The files cannot be read or written.
    """
    if not recipients:
        remedy = "add public keys of those who may open it to seal.recipients"
        raise KeyMaterialError("nobody could open the bundle", "seal.recipients", expected="at least one key", remedy=remedy)
    key, nonce, bound = os.urandom(CONTENT_KEY_BYTES), os.urandom(NONCE_BYTES), additional_data(app, version, content)
    with one_to_one(source, target, mode=PUBLIC_MODE) as (reader, writer):
        found, blob, size = _encrypt(reader, writer, key, nonce, bound.encode())
        require_same(found, clear, source)
    return Sealed(
        format="aes-256-gcm",
        blob=blob,
        size=size,
        iv=_base64url.encode(nonce),
        wrapped_key=wrap_content_key(key, recipients),
        additional_data=bound,
    )


def open_gcm(
    source: Path, target: Path, *, wrapped_key: str, private_key: str, iv: str, additional_data: str, key_subject: str = "key"
) -> Digest:
    """Decrypt a bundle. Nothing appears at ``target`` unless the tag holds.

    Args:
        source: The sealed bytes.
        target: Where the clear zip goes, readable by its owner only; replaced as a whole.
        wrapped_key: The JWE of the seal.
        private_key: A recipient's private key, PEM or JWK text.
        iv: The nonce, base64url without padding.
        additional_data: The canonical JSON of the seal; take it from a verified statement.
        key_subject: The private key's reference, for messages.

    Returns:
        The SHA-256 of the clear zip; compare it with the signed one.

    Raises:
        VerificationError: Any of it does not fit.
        KeyMaterialError: The private key is damaged or no recipient's.
        NotFoundError, AccessError, UnavailableError, UsageError: The files cannot be read or written.
    """
    subject = harmless(str(source), 400)
    recipient = load_recipient_private(private_key, key_subject)
    nonce = _nonce(iv, subject)
    key = unwrap_content_key(wrapped_key, recipient, subject=subject)
    bound = additional_data.encode()
    with one_to_one(source, target, mode=PRIVATE_MODE) as (reader, writer):
        # Twice: nothing is written, not even to the temporary file, before the tag of all of it was checked.
        _decrypt(reader, None, key, nonce, bound, subject=subject)
        return _decrypt(reader, writer, key, nonce, bound, subject=subject)


def _cipher(key: bytes, nonce: bytes, tag: bytes | None = None) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - heavy

    return Cipher(algorithms.AES(key), modes.GCM(nonce, tag))


def _encrypt(reader: BinaryIO, writer: BinaryIO, key: bytes, nonce: bytes, bound: bytes) -> tuple[Digest, Digest, int]:
    encryptor = _cipher(key, nonce).encryptor()
    encryptor.authenticate_additional_data(bound)
    clear, sealed, size = hashlib.sha256(), hashlib.sha256(), 0
    plain, cipher = memoryview(bytearray(CHUNK)), memoryview(bytearray(CHUNK + TAG_BYTES))
    while count := reader.readinto(plain):  # type: ignore[attr-defined]
        clear.update(plain[:count])
        written = encryptor.update_into(plain[:count], cipher)
        sealed.update(cipher[:written])
        writer.write(cipher[:written])
        size += written
    encryptor.finalize()
    sealed.update(encryptor.tag)
    writer.write(encryptor.tag)
    return Digest(clear.hexdigest()), Digest(sealed.hexdigest()), size + TAG_BYTES


def _decrypt(reader: BinaryIO, writer: BinaryIO | None, key: bytes, nonce: bytes, bound: bytes, *, subject: str) -> Digest:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - heavy

    left = os.fstat(reader.fileno()).st_size - TAG_BYTES
    if left < 0:
        raise _does_not_hold(subject, f"at least {TAG_BYTES} bytes", f"{left + TAG_BYTES} bytes")
    reader.seek(left)
    tag = reader.read(TAG_BYTES)
    reader.seek(0)
    decryptor = _cipher(key, nonce, tag).decryptor()
    decryptor.authenticate_additional_data(bound)
    clear = hashlib.sha256()
    while left > 0 and (chunk := reader.read(min(CHUNK, left))):
        plain = decryptor.update(chunk)
        clear.update(plain)
        if writer is not None:
            writer.write(plain)
        left -= len(chunk)
    try:
        decryptor.finalize()
    except InvalidTag as error:
        raise _does_not_hold(subject, "bytes, nonce, key and additional data that belong together", "an invalid tag") from error
    return Digest(clear.hexdigest())


def _nonce(text: str, subject: str) -> bytes:
    try:
        nonce = _base64url.decode(text)
    except ValueError as error:
        raise _does_not_hold(subject, "a nonce in base64url", "something else") from error
    if len(nonce) != NONCE_BYTES:
        raise _does_not_hold(subject, f"a nonce of {NONCE_BYTES} bytes", f"{len(nonce)} bytes")
    return nonce


def _does_not_hold(subject: str, expected: str, found: str) -> VerificationError:
    return VerificationError("the sealed bundle does not hold", subject, expected=expected, found=found)
