"""Opening what a phone gets with the app's public key: session key, AES-128-CBC, and both encodings of the checksum.

Written from the protocol, beside ``otagate.seal`` and without it, so that each finds the other's mistakes.

**Source:** the plugin's behaviour by generation (docs/fleet.md); RFC 8017 §9.2 for the block (type 1, without DigestInfo).
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from otagate.errors import KeyMaterialError
from otagate.fleet.generations import Generation

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_HEADER = "-----BEGIN RSA PUBLIC KEY-----"
_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_RSA_BYTES = 256
_AES_BYTES = 16
_KEY_ID_CHARS = 20


class CipherError(Exception):
    """It does not open, or holds something else than it should."""


@lru_cache(maxsize=16)
def public_key(pem: str) -> RSAPublicKey:
    """Read the public key of an app: PKCS#1 PEM with 2048 bits, the only kind that phones take.

    Raises:
        KeyMaterialError: It is something else. An app with such a key ends when it starts.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415 - heavy
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - heavy

    expected = f"an RSA public key of 2048 bits in PEM, beginning with {_HEADER}"
    if not pem.lstrip().startswith(_HEADER):
        raise KeyMaterialError("phones cannot use this key", "the app's public key", expected=expected)
    try:
        key = load_pem_public_key(pem.strip().encode())
    except ValueError as error:
        raise KeyMaterialError("phones cannot use this key", "the app's public key", expected=expected) from error
    if not isinstance(key, RSAPublicKey) or key.key_size != _RSA_BYTES * 8:
        raise KeyMaterialError("phones cannot use this key", "the app's public key", expected=expected)
    return key


def key_id(pem: str) -> str:
    """Give what a device calls its key: the first 20 characters of the PEM's base64 body."""
    body = "".join(line.strip() for line in pem.splitlines() if "-----" not in line)
    return body[:_KEY_ID_CHARS]


def is_session_key(text: object) -> bool:
    """Tell whether it has the form ``<base64 iv>:<base64 wrapped key>``, as the plugin looks before it downloads."""
    if not isinstance(text, str):
        return False
    parts = text.split(":")
    return len(parts) == 2 and all(parts)  # noqa: PLR2004 - as said


@lru_cache(maxsize=1024)
def content_key(session_key: str, pem: str) -> tuple[bytes, bytes]:
    """Give IV and AES key, 16 bytes each.

    Raises:
        CipherError: It is malformed, or was not made with the private half of the key.
    """
    if not is_session_key(session_key):
        raise CipherError("session key")
    iv_text, wrapped = session_key.split(":")
    iv, key = _unb64(iv_text), _recover(_unb64(wrapped), pem)
    if len(iv) != _AES_BYTES or len(key) != _AES_BYTES:
        raise CipherError("session key")
    return iv, key


def decrypt(data: bytes, session_key: str, pem: str) -> bytes:
    """Open AES-128-CBC with PKCS#7 padding.

    Raises:
        CipherError: It is cut, the padding is wrong, or nothing is in it.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - heavy

    iv, key = content_key(session_key, pem)
    if not data or len(data) % _AES_BYTES:
        raise CipherError("length")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    clear = decryptor.update(data) + decryptor.finalize()
    count = clear[-1]
    if not 1 <= count <= _AES_BYTES or clear[-count:] != bytes([count]) * count:
        raise CipherError("padding")
    return clear[:-count]


@lru_cache(maxsize=4096)
def expected_checksum(text: str, pem: str, plugin: Generation) -> str:
    """Give the SHA-256 in hex that a wrapped checksum demands, as this generation reads it.

    Newer ones take any text of hex digits as hex and all else as base64; they give what is inside as hex, so that the older
    encoding (48 bytes inside) never matches. Older ones read base64 only and give base64.

    Raises:
        CipherError: It is not wrapped with the private half of the key.
    """
    if not plugin.has("hex_checksum"):
        return base64.b64encode(_recover(_unb64(text), pem)).decode()
    is_hex = bool(_HEX.fullmatch(text)) and len(text) % 2 == 0
    wrapped = bytes.fromhex(text) if is_hex else _unb64(text)
    if plugin.has("strict_checksum") and len(wrapped) != _RSA_BYTES:
        raise CipherError("checksum is not encrypted")
    return _recover(wrapped, pem).hex()


def _unb64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error) as error:
        raise CipherError("base64") from error


def _recover(wrapped: bytes, pem: str) -> bytes:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - heavy
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415 - heavy

    try:
        return public_key(pem).recover_data_from_signature(wrapped, padding.PKCS1v15(), None)
    except (InvalidSignature, ValueError) as error:
        raise CipherError("RSA") from error
