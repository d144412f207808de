"""Throw-away keys and the vectors that seals are checked against."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from otagate.seal.file_signer import FileSigner
from otagate.seal.loading import load_ed25519_private
from otagate.seal.trust import TrustedKeys

DATA = Path(__file__).parent.parent / "data"


@cache
def key(name: str) -> str:
    """Give the PEM text of one throw-away key, such as ``rsa2048``, ``p256_public`` or ``ed25519``."""
    return str(json.loads((DATA / "throwaway-keys.json").read_text())[name])


@dataclass(frozen=True, slots=True)
class Golden:
    """The Capgo vectors: everything that one seal with a fixed IV and session key must give."""

    private_pem: str
    public_pem: str
    iv: bytes
    session_key: bytes
    zip: bytes
    sha256: str
    ciphertext: bytes
    iv_session_key: str
    checksum_hex: str
    checksum_base64: str
    key_id: str


@cache
def golden() -> Golden:
    """Read the Capgo vectors."""
    import base64

    data = json.loads((DATA / "capgo-golden.json").read_text())
    return Golden(
        data["private_pem"],
        data["public_pem"],
        bytes.fromhex(data["iv_hex"]),
        bytes.fromhex(data["session_key_hex"]),
        base64.b64decode(data["zip_b64"]),
        data["sha256"],
        base64.b64decode(data["ciphertext_b64"]),
        data["iv_session_key"],
        data["checksum_v3_hex"],
        data["checksum_v2_b64"],
        data["key_id"],
    )


def signer(name: str = "ed25519") -> FileSigner:
    """Give a signer with one of the throw-away keys: ``ed25519`` or ``ed25519_other``."""
    return FileSigner(load_ed25519_private(key(name), name), name)


def trusting(*names: str) -> TrustedKeys:
    """Trust the public parts of these throw-away keys."""
    return TrustedKeys(tuple(signer(name).public_key() for name in names))
