"""Small releases that can be published, and signers that need no file."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from otagate.model import AppId, Bundle, Digest, FileEntry, Release, Sealed, Version
from otagate.seal.file_signer import FileSigner
from otagate.seal.trust import TrustedKeys

APP = AppId("com.example.app")
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@cache
def signer(name: str = "first") -> FileSigner:
    """Give a throw-away signer; the same name gives the same key."""
    return FileSigner(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()), f"key {name}")


def trusted(*names: str) -> TrustedKeys:
    return TrustedKeys(tuple(signer(name).public_key() for name in names or ("first",)))


def write_sealed(folder: Path, content: bytes = b"zip 1", seal: bytes = b"seal 1|") -> Path:
    """Stand in for a seal: another ``seal`` gives other sealed bytes of the same content."""
    path = folder / f"{hashlib.sha256(seal + content).hexdigest()[:12]}.sealed"
    path.write_bytes(seal + content)
    return path


def make_release(sealed_file: Path, *, version: str = "1.0.0", serial: int = 1, content: bytes = b"zip 1") -> Release:
    """Describe a sealed file made by :func:`write_sealed`."""
    data = sealed_file.read_bytes()
    entry = FileEntry("index.html", len(content), Digest.of(content))
    return Release(
        app=APP,
        version=Version(version),
        serial=serial,
        bundle=Bundle(Digest.of(content), len(content), (entry,), Digest.of(b"content" + content), "libdeflate"),
        sealed=Sealed("none", Digest.of(data), len(data)),
        created=NOW,
    )
