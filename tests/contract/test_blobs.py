"""What every blob store promises. A new adapter joins in support/stores.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otagate.errors import NotFoundError, OtagateError, VerificationError
from otagate.model import Digest
from otagate.store.interface import BlobStore, Store
from support.stores import ADAPTERS, PARAMS

Open = Callable[[], Store]


@pytest.fixture(params=PARAMS)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return ADAPTERS[request.param](tmp_path)


@pytest.fixture
def blobs(opener: Open) -> BlobStore:
    return opener().blobs


def make(folder: Path, data: bytes, name: str = "source") -> tuple[Digest, Path]:
    path = folder / name
    path.write_bytes(data)
    return Digest.of(data), path


def read(blobs: BlobStore, digest: Digest) -> bytes:
    with blobs.open(digest) as stream:
        return stream.read()


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(3 * 1024 * 1024 + 1)], ids=["empty", "one byte", "3 MiB"])
def test_what_was_put_comes_back_also_elsewhere(opener: Open, tmp_path: Path, data: bytes) -> None:
    digest, source = make(tmp_path, data)
    assert opener().blobs.put(digest, source, content_type="application/zip") is True
    blobs = opener().blobs
    assert blobs.size(digest) == len(data)
    assert read(blobs, digest) == data


def test_what_is_there_is_not_put_again(blobs: BlobStore, tmp_path: Path) -> None:
    digest, source = make(tmp_path, b"data")
    assert [blobs.put(digest, source), blobs.put(digest, source)] == [True, False]


def test_a_blob_is_read_in_pieces(blobs: BlobStore, tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    digest, source = make(tmp_path, data)
    blobs.put(digest, source)
    with blobs.open(digest) as stream:
        pieces = []
        while piece := stream.read(65_536):
            assert len(piece) <= 65_536
            pieces.append(piece)
    assert b"".join(pieces) == data


def test_bytes_that_are_not_what_was_announced_are_refused_and_leave_nothing(blobs: BlobStore, tmp_path: Path) -> None:
    _, source = make(tmp_path, b"other")
    digest = Digest.of(b"announced")
    with pytest.raises(VerificationError) as caught:
        blobs.put(digest, source)
    assert (caught.value.expected, caught.value.found) == (str(digest), str(Digest.of(b"other")))
    assert blobs.size(digest) is None
    with pytest.raises(NotFoundError):
        blobs.open(digest)


def test_a_source_that_is_missing_or_no_file_is_named(blobs: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        blobs.put(Digest.of(b""), tmp_path / "no such file")
    assert "no such file" in str(caught.value)
    with pytest.raises(OtagateError, match="cannot read the file to store"):
        blobs.put(Digest.of(b""), tmp_path)


def test_what_is_not_there(blobs: BlobStore) -> None:
    digest = Digest.of(b"nothing")
    assert blobs.size(digest) is None
    with pytest.raises(NotFoundError) as caught:
        blobs.open(digest)
    assert digest.hex in str(caught.value)
    blobs.delete(digest)


def test_a_deleted_blob_can_be_put_again(blobs: BlobStore, tmp_path: Path) -> None:
    digest, source = make(tmp_path, b"data")
    blobs.put(digest, source)
    blobs.delete(digest)
    assert blobs.size(digest) is None
    assert blobs.put(digest, source) is True


@pytest.mark.parametrize("error", [OSError("mine"), FileNotFoundError("mine"), ValueError(), KeyboardInterrupt()])
def test_an_error_in_the_callers_block_passes_through_untouched(blobs: BlobStore, tmp_path: Path, error: BaseException) -> None:
    digest, source = make(tmp_path, b"data")
    blobs.put(digest, source)
    with pytest.raises(type(error)) as caught, blobs.open(digest):
        raise error
    assert caught.value is error


def test_an_open_blob_survives_its_deletion(blobs: BlobStore, tmp_path: Path) -> None:
    digest, source = make(tmp_path, b"data")
    blobs.put(digest, source)
    with blobs.open(digest) as stream:
        blobs.delete(digest)
        assert stream.read() == b"data"


def test_many_may_put_the_same_blob_at_once(opener: Open, tmp_path: Path) -> None:
    data = os.urandom(500_000)
    digest, source = make(tmp_path, data)
    with ThreadPoolExecutor(8) as pool:
        assert any(pool.map(lambda _: opener().blobs.put(digest, source), range(16)))
    assert read(opener().blobs, digest) == data


def test_a_url_names_the_blob(blobs: BlobStore) -> None:
    digest = Digest.of(b"data")
    assert blobs.url(digest).endswith(digest.hex)
    assert ":" in blobs.url(digest)
