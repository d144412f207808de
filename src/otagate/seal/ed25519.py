"""ed25519 public keys and signatures, with the checks that a verifier needs.

**Source:** RFC 8032, section 5.1 (pure ed25519). libsodium is used for points and verification because OpenSSL accepts keys of
small order: with such a key one fixed signature holds for every message.
"""

from __future__ import annotations

import hashlib

from otagate.errors import KeyMaterialError
from otagate.seal.interface import PublicKey

KEY_BYTES = 32
SIGNATURE_BYTES = 64
_KEY_ID_DIGITS = 16


def public_key(raw: bytes, subject: str) -> PublicKey:
    """Check 32 raw bytes and make a public key of them.

    Args:
        raw: The encoded point.
        subject: The key's reference, for messages.

    Raises:
        KeyMaterialError: Wrong length, not the canonical encoding of a point, or a point outside the prime-order group.
    """
    if len(raw) != KEY_BYTES:
        raise KeyMaterialError(
            "this is not an ed25519 public key", subject, expected=f"{KEY_BYTES} bytes", found=f"{len(raw)} bytes"
        )
    from nacl.bindings import crypto_core_ed25519_is_valid_point  # noqa: PLC0415 - heavy

    if not crypto_core_ed25519_is_valid_point(raw):
        raise KeyMaterialError(
            "this ed25519 public key is unsafe",
            subject,
            expected="a canonical point of the prime-order group",
            found="a point of small or mixed order, or no canonical point: anybody could forge signatures for it",
            remedy="make a new key with `otagate keys create`",
        )
    return PublicKey(raw, hashlib.sha256(raw).hexdigest()[:_KEY_ID_DIGITS])


def is_signed(message: bytes, signature: bytes, key: PublicKey) -> bool:
    """Tell whether ``signature`` (64 bytes) over ``message`` was made with the private part of ``key``."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    from nacl.bindings import crypto_sign_open  # noqa: PLC0415 - heavy
    from nacl.exceptions import BadSignatureError  # noqa: PLC0415 - heavy

    try:
        crypto_sign_open(signature + message, key.raw)
    except BadSignatureError:
        return False
    return True
