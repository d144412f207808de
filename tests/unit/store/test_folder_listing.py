"""Listing a folder's blobs, and removing what killed writers left there, while others work beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otagate._fs import TEMP_PREFIX
from otagate.errors import OtagateError
from otagate.model import Digest
from otagate.store.folder import FolderStore

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def put(store: FolderStore, *names: str) -> list[Path]:
    """Put blobs under made-up digests, in the order of their names; gives where they stand."""
    paths = []
    for name in names:
        path = Path(store.blobs.url(Digest(name * 32)).removeprefix("file://"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
        paths.append(path)
    return paths


def left(store: FolderStore, name: str, age: timedelta) -> Path:
    path = put(store, "aa")[0].parent / f"{TEMP_PREFIX}{name}"
    path.write_bytes(b"half")
    os.utime(path, ((NOW - age).timestamp(),) * 2)
    return path


def test_only_blobs_are_listed(store: FolderStore) -> None:
    first, second = put(store, "aa", "bb")
    left(store, "1", timedelta(0))
    (first.parent / "notes.txt").write_text("mine")
    (first.parent / ("c" * 64)).write_text("in the wrong folder")
    (second.parent / ("bb" * 31 + "bc")).symlink_to(first)
    (second.parent / ("bb" * 31 + "bd")).mkdir()
    found = [(item.digest.hex, item.size, item.modified) for item in store.blobs.list()]
    assert found == [("aa" * 32, 2, NOW), ("bb" * 32, 2, NOW)]


def test_a_blob_that_is_pruned_meanwhile_is_left_out(store: FolderStore) -> None:
    _, second, _ = put(store, "aa", "bb", "cc")
    listing = store.blobs.list()
    assert next(listing).digest.hex == "aa" * 32
    second.unlink()
    assert [item.digest.hex for item in listing] == ["cc" * 32]


def test_a_folder_that_cannot_be_listed_says_so(store: FolderStore) -> None:
    _, second = put(store, "aa", "bb")
    listing = store.blobs.list()
    next(listing)
    second.unlink()
    second.parent.rmdir()
    second.parent.write_text("no folder any more")
    with pytest.raises(OtagateError, match="cannot list the blobs"):
        next(listing)


@pytest.mark.parametrize(("age", "gone"), [(timedelta(seconds=1), 1), (timedelta(0), 0), (timedelta(seconds=-5), 0)])
def test_only_what_was_left_before_is_removed(store: FolderStore, age: timedelta, gone: int) -> None:
    path = left(store, "1", age)
    assert (store.blobs.abort_unfinished(NOW), path.exists()) == (gone, not gone)
    assert len(list(store.blobs.list())) == 1


def test_what_its_writer_finishes_meanwhile_is_none_of_ours(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {left(store, name, timedelta(hours=1)) for name in ("1", "2")}
    look: Callable[[Path], os.stat_result] = Path.lstat

    def finish_first(path: Path) -> os.stat_result:
        if path in paths and len([one for one in paths if one.exists()]) == len(paths):
            path.unlink()
        return look(path)

    monkeypatch.setattr(Path, "lstat", finish_first)
    assert store.blobs.abort_unfinished(NOW) == 1
    assert not any(path.exists() for path in paths)


def test_what_cannot_be_removed_is_said(store: FolderStore) -> None:
    path = left(store, "1", timedelta(0))
    path.unlink()
    path.mkdir()
    os.utime(path, (0, 0))
    with pytest.raises(OtagateError, match="cannot remove what an upload left"):
        store.blobs.abort_unfinished(NOW)


def test_a_folder_signs_no_address(store: FolderStore) -> None:
    with pytest.raises(OtagateError, match="cannot sign an address") as caught:
        store.blobs.signed_url(Digest("aa" * 32), timedelta(minutes=1))
    assert "only s3:, gs: and az:" in str(caught.value)
