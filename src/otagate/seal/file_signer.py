"""Signing with an ed25519 key that was read from a file or a variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otagate.seal.ed25519 import public_key
from otagate.seal.interface import PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class FileSigner:
    """See :class:`otagate.seal.interface.Signer`. The key stays in memory and in no text form of this object."""

    __slots__ = ("_key", "_public")

    def __init__(self, key: Ed25519PrivateKey, subject: str) -> None:
        """Take a loaded key.

        Args:
            key: From :func:`otagate.seal.loading.load_ed25519_private`.
            subject: The key's reference, for messages.

        Raises:
            KeyMaterialError: Its public part is no safe point.
        """
        self._key = key
        self._public = public_key(key.public_key().public_bytes_raw(), subject)

    def __repr__(self) -> str:
        return f"FileSigner({self._public.key_id})"

    def public_key(self) -> PublicKey:
        """See Signer.public_key."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """See Signer.sign."""
        return self._key.sign(message)
