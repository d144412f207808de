"""The port of signing keys, wherever they live: a file today, a KMS, an HSM or a command later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An ed25519 public key that passed the checks of ``otagate.seal.trust``.

    Attributes:
        raw: 32 bytes.
        key_id: SHA-256 of ``raw`` in lower-case hex, first 16 digits: a hint that says which key to try, never a proof.
    """

    raw: bytes
    key_id: str


class Signer(Protocol):
    """One signing key. It never gives the private part away and never appears in a log.

    Raises of both methods: ``KeyMaterialError`` (missing, unreadable, wrong kind), ``AccessError``, ``UnavailableError``.
    """

    def public_key(self) -> PublicKey:
        """Give the public part."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Sign ``message`` with ed25519 (RFC 8032, pure) and give the 64 bytes of the signature."""
        ...
