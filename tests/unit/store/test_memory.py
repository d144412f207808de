from __future__ import annotations

from pathlib import Path

import pytest

from otagate.errors import VerificationError
from otagate.model import Digest
from otagate.store.interface import MAX_DOCUMENT_BYTES
from otagate.store.memory import MemoryBlobs, MemoryDocuments, MemoryStore


def test_stores_are_apart_and_say_their_name(tmp_path: Path) -> None:
    first, second = MemoryStore("one"), MemoryStore("two")
    first.documents.create("x", b"")
    assert second.documents.read("x") is None
    assert first.url == "memory:one"
    assert first.blobs.url(Digest.of(b"")) == f"memory:one#{Digest.of(b'')}"


def test_a_blob_of_another_size_is_damaged(tmp_path: Path) -> None:
    blobs, digest = MemoryBlobs("x"), Digest.of(b"data")
    (tmp_path / "source").write_bytes(b"data")
    blobs._bytes[digest] = b"da"
    with pytest.raises(VerificationError, match="damaged"):
        blobs.put(digest, tmp_path / "source")


def test_a_document_that_is_too_large_is_not_read() -> None:
    documents = MemoryDocuments()
    documents._bodies["x"] = bytes(MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(VerificationError, match="larger"):
        documents.read("x")
