"""The Capgo seal: what phones with @capgo/capacitor-updater open and check.

AES-128-CBC with a fresh key and IV for every bundle; the key and the SHA-256 of the clear zip wrapped with the private half of
the RSA-2048 key whose public half is in the app. Who has the app has the public half, so this seal proves who made a bundle and
hides it from nobody.

**Source:** @capgo/cli 8.68.1 and the plugin's CryptoCipher (8.51.23, 5.50.2), as run; docs/adr/0005-seals-and-signatures.md.
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from otagate.model import Digest, Sealed
from otagate.seal._streams import CHUNK, PUBLIC_MODE, one_to_one, require_same
from otagate.seal.loading import key_id, rsa_public_pem_pkcs1

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

BLOCK = 16
"""Bytes of an AES block, of the IV and of the session key."""


def seal_capgo(source: Path, target: Path, key: RSAPrivateKey, *, clear: Digest) -> Sealed:
    """Seal a zip. Streams: memory does not grow with the file.

    Args:
        source: The clear zip.
        target: Where the sealed bytes go; replaced as a whole.
        key: From :func:`otagate.seal.loading.load_rsa_private`.
        clear: What ``source`` must hash to, checked on the very bytes that are encrypted.

    Raises:
        VerificationError: ``source`` has other bytes than ``clear`` says.
        NotFoundError, AccessError, UnavailableError, UsageError: The files cannot be read or written.
    """
    return _seal(source, target, key, clear=clear, iv=os.urandom(BLOCK), session_key=os.urandom(BLOCK))


def _seal(source: Path, target: Path, key: RSAPrivateKey, *, clear: Digest, iv: bytes, session_key: bytes) -> Sealed:
    """Seal with a given IV and key: only for vectors. A key that is used twice gives the session away."""
    with one_to_one(source, target, mode=PUBLIC_MODE) as (reader, writer):
        found, blob, size = _encrypt(reader, writer, iv, session_key)
        require_same(found, clear, source)
    return Sealed(
        format="capgo",
        blob=blob,
        size=size,
        session_key=f"{_b64(iv)}:{_b64(_wrap(key, session_key))}",
        checksum_hex=_wrap(key, bytes.fromhex(clear.hex)).hex(),
        # Older plugins decode the hex digits as if they were base64 and expect those 48 bytes; so did the tools of their time.
        checksum_base64=_b64(_wrap(key, base64.b64decode(clear.hex))),
        key_id=key_id(rsa_public_pem_pkcs1(key)),
    )


def _encrypt(reader: BinaryIO, writer: BinaryIO, iv: bytes, session_key: bytes) -> tuple[Digest, Digest, int]:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - heavy

    encryptor = Cipher(algorithms.AES(session_key), modes.CBC(iv)).encryptor()
    clear, sealed, size = hashlib.sha256(), hashlib.sha256(), 0
    plain, cipher = memoryview(bytearray(CHUNK + BLOCK)), memoryview(bytearray(CHUNK + 2 * BLOCK))
    is_last = False
    while not is_last:
        count = reader.readinto(plain[:CHUNK])  # type: ignore[attr-defined]
        clear.update(plain[:count])
        is_last = count < CHUNK
        if is_last:
            padding = BLOCK - count % BLOCK  # PKCS#7: always at least one byte
            plain[count : count + padding] = bytes([padding]) * padding
            count += padding
        written = encryptor.update_into(plain[:count], cipher)
        sealed.update(cipher[:written])
        writer.write(cipher[:written])
        size += written
    encryptor.finalize()
    return Digest(clear.hexdigest()), Digest(sealed.hexdigest()), size


def _wrap(key: RSAPrivateKey, message: bytes) -> bytes:
    """Apply the private key to a PKCS#1 v1.5 type 1 block that holds ``message`` without a DigestInfo: 256 bytes."""
    from cryptography.hazmat.primitives.asymmetric import padding, utils  # noqa: PLC0415 - heavy

    return key.sign(message, padding.PKCS1v15(), utils.NoDigestInfo())


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
