"""Opening a Capgo seal as a phone does, with public material only; and which checksum a phone understands. See ``capgo``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from otagate._text import harmless
from otagate.errors import UsageError, VerificationError
from otagate.model import Digest, Sealed
from otagate.seal._streams import CHUNK, PRIVATE_MODE, one_to_one
from otagate.seal.loading import load_rsa_public

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_BLOCK = 16
_WRAPPED = 256
"""Bytes that RSA-2048 gives. The plugin refuses any other length."""
_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_PLUGIN = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})(?:\.[0-9A-Za-z.+-]{1,60})?", re.ASCII)
# Source: plugin tags 5.30.0, 6.30.0 and 7.30.0 are the first that read hex; 8.x always did; below 5 there was another seal.
_FIRST_WITH_HEX = {5: 30, 6: 30, 7: 30}
_OLDEST_MAJOR = 5
_REMEDY = "check that bundle, session key, checksum and public key belong together; then download the bundle again"


def open_capgo(source: Path, target: Path, *, public_pem: str, session_key: str, checksum: str) -> Digest:
    """Decrypt a bundle and check it. Nothing appears at ``target`` unless the checksum holds.

    Args:
        source: The sealed bytes.
        target: Where the clear zip goes, readable by its owner only; replaced as a whole.
        public_pem: The RSA-2048 public key of the app.
        session_key: ``<base64 iv>:<base64 wrapped key>``.
        checksum: The wrapped SHA-256 in either encoding.

    Returns:
        The SHA-256 of the clear zip.

    Raises:
        VerificationError: Any of it does not fit.
        KeyMaterialError: The public key is none that devices accept.
        NotFoundError, AccessError, UnavailableError, UsageError: The files cannot be read or written.
    """
    key, subject = load_rsa_public(public_pem, "the public key"), harmless(str(source), 400)
    iv, content_key = recover_session(session_key, key, subject=subject)
    expected = recover_checksum(checksum, key, subject=subject)
    with one_to_one(source, target, mode=PRIVATE_MODE) as (reader, writer):
        found = _decrypt(reader, writer, iv, content_key, subject)
        if found != expected:
            raise VerificationError(
                "the checksum does not hold", subject, expected=str(expected), found=str(found), remedy=_REMEDY
            )
    return found


def recover_checksum(checksum: str, key: RSAPublicKey, *, subject: str) -> Digest:
    """Give the SHA-256 that a Capgo checksum holds, in whichever of the two encodings it is.

    Raises:
        VerificationError: Neither encoding, or not made with the private half of ``key``.
    """
    is_hex = bool(_HEX.fullmatch(checksum))  # as the plugin decides
    wrapped = bytes.fromhex(checksum) if is_hex and len(checksum) % 2 == 0 else _unb64(checksum, "checksum", subject)
    payload = _recover(wrapped, key, "checksum", subject)
    text = payload.hex() if is_hex else base64.b64encode(payload).decode()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        found = f"{len(payload)} bytes of something else"
        raise VerificationError("the checksum holds no SHA-256", subject, expected="32 bytes", found=found, remedy=_REMEDY)
    return Digest(text)


def recover_session(text: str, key: RSAPublicKey, *, subject: str) -> tuple[bytes, bytes]:
    """Give IV and key, 16 bytes each, that a Capgo session key holds.

    Raises:
        VerificationError: It is malformed, or was not made with the private half of ``key``.
    """
    parts = text.split(":")
    if len(parts) != 2:  # noqa: PLR2004 - as the expectation says
        raise VerificationError("the session key is malformed", subject, expected="<iv>:<wrapped key>", remedy=_REMEDY)
    iv = _unb64(parts[0], "session key", subject)
    content_key = _recover(_unb64(parts[1], "session key", subject), key, "session key", subject)
    if len(iv) != _BLOCK or len(content_key) != _BLOCK:
        found = f"{len(iv)} and {len(content_key)} bytes"
        raise VerificationError(
            "the session key is malformed", subject, expected="iv and key of 16 bytes", found=found, remedy=_REMEDY
        )
    return iv, content_key


def checksum_for_plugin(sealed: Sealed, plugin_version: str) -> str:
    """Give the checksum that a device with this plugin reads. Pure.

    Args:
        sealed: A seal of the format ``capgo`` or ``none``.
        plugin_version: Version of @capgo/capacitor-updater, such as ``8.51.23``.

    Returns:
        For ``capgo`` hex from 5.30, 6.30, 7.30 and 8 on, base64 before; for ``none`` the plain SHA-256.

    Raises:
        UsageError: Not a version, one before 5, or a seal that no plugin opens.
    """
    match = _PLUGIN.fullmatch(plugin_version)
    if not match or int(match[1]) < _OLDEST_MAJOR:
        expected, found = f"a version from {_OLDEST_MAJOR}.0.0 on", repr(harmless(plugin_version, 40))
        raise UsageError("no checksum is known for this plugin", "plugin version", expected=expected, found=found)
    if sealed.format == "none":
        return sealed.blob.hex
    is_hex = int(match[2]) >= _FIRST_WITH_HEX.get(int(match[1]), 0)
    checksum = sealed.checksum_hex if is_hex else sealed.checksum_base64
    if sealed.format != "capgo" or checksum is None:
        found = f"a seal of the format {sealed.format!r}"
        raise UsageError("the plugin cannot open this release", "seal", expected="capgo or none", found=found)
    return checksum


def _unb64(text: str, name: str, subject: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise VerificationError(f"the {name} is malformed", subject, expected="base64", remedy=_REMEDY) from error


def _recover(wrapped: bytes, key: RSAPublicKey, name: str, subject: str) -> bytes:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - heavy
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415 - heavy

    if len(wrapped) != _WRAPPED:
        found = f"{len(wrapped)} bytes"
        raise VerificationError(
            f"the {name} is not wrapped", subject, expected=f"{_WRAPPED} bytes", found=found, remedy=_REMEDY
        )
    try:
        return key.recover_data_from_signature(wrapped, padding.PKCS1v15(), None)
    except InvalidSignature as error:
        expected = "one made with the private half of this public key"
        raise VerificationError(f"the {name} does not hold", subject, expected=expected, remedy=_REMEDY) from error


def _decrypt(reader: BinaryIO, writer: BinaryIO, iv: bytes, content_key: bytes, subject: str) -> Digest:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - heavy

    size = os.fstat(reader.fileno()).st_size
    if size == 0 or size % _BLOCK:
        expected = f"a multiple of {_BLOCK} bytes"
        raise VerificationError("the bundle is cut or not sealed", subject, expected=expected, found=f"{size} bytes")
    decryptor = Cipher(algorithms.AES(content_key), modes.CBC(iv)).decryptor()
    clear, held = hashlib.sha256(), b""  # the last chunk waits, because its end is padding
    while chunk := reader.read(CHUNK):
        clear.update(held)
        writer.write(held)
        held = decryptor.update(chunk)
    held = _unpadded(held, subject)
    clear.update(held)
    writer.write(held)
    return Digest(clear.hexdigest())


def _unpadded(data: bytes, subject: str) -> bytes:
    count = data[-1] if data else 0
    if not 1 <= count <= _BLOCK or data[-count:] != bytes([count]) * count:
        raise VerificationError("the bundle does not open with this session key", subject, remedy=_REMEDY)
    return data[:-count]
