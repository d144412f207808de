"""Chunks of an upload."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otagate.store.gcs_upload import CHUNK_BYTES, chunked, md5_text


@pytest.mark.parametrize("piece", [1_000_003, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_all_chunks_but_the_last_are_full(size: int, piece: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    chunks = list(chunked(data[at : min(at + piece, size)] for at in range(0, size, piece)))
    assert b"".join(chunks) == data[:size]
    assert all(len(chunk) == CHUNK_BYTES for chunk in chunks[:-1])
    assert bool(chunks[-1]) == bool(size)


def test_the_last_chunk_waits_for_the_end() -> None:
    ended = []

    def pieces() -> Iterator[bytes]:
        yield bytes(2 * CHUNK_BYTES)
        ended.append(True)

    chunks = chunked(pieces())
    assert len(next(chunks)) == CHUNK_BYTES
    assert not ended
    assert len(next(chunks)) == CHUNK_BYTES
    assert ended


def test_md5_is_written_as_base64() -> None:
    # **Source:** RFC 1321, A.5: MD5 of nothing is d41d8cd98f00b204e9800998ecf8427e.
    assert md5_text(b"") == "1B2M2Y8AsgTpgAmY7PhCfg=="
