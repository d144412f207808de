"""What a folder adds to the contract of every store: what stands on the disk, and what a disk can do wrong."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from otagate.errors import (
    AccessError,
    ConflictError,
    NotFoundError,
    OtagateError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from otagate.model import Digest
from otagate.store import folder_documents
from otagate.store.disk import STALE_AFTER_S
from otagate.store.folder import FolderStore
from otagate.store.interface import MAX_DOCUMENT_BYTES


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> FolderStore:
    return FolderStore(root)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"data")
    return path


DATA = Digest.of(b"data")
Deed = Callable[[FolderStore, Path], object]
DEEDS: dict[str, Deed] = {
    "read": lambda store, _: store.documents.read("apps/a/x"),
    "create": lambda store, _: store.documents.create("apps/a/x", b"{}"),
    "keys": lambda store, _: list(store.documents.keys("apps/a/")),
    "put": lambda store, source: store.blobs.put(DATA, source),
    "open": lambda store, _: store.blobs.open(DATA),
    "size": lambda store, _: store.blobs.size(DATA),
    "delete": lambda store, _: store.blobs.delete(DATA),
}


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def blob_path(root: Path, digest: Digest = DATA) -> Path:
    return root / "blobs" / "sha256" / digest.hex[:2] / digest.hex


def test_reading_creates_nothing_not_even_the_folder(store: FolderStore, root: Path) -> None:
    for name in ("read", "keys", "size"):
        assert not DEEDS[name](store, root)
    with pytest.raises(NotFoundError):
        store.blobs.open(DATA)
    store.blobs.delete(DATA)
    with pytest.raises(ConflictError):
        store.documents.replace("apps/a/x", b"{}", "token")
    assert store.blobs.url(DATA) == blob_path(root).as_uri()
    assert not root.exists()


def test_the_files_are_where_the_layout_says(store: FolderStore, root: Path, source: Path) -> None:
    token = store.documents.create("apps/a/x.json", b"one")
    store.blobs.put(DATA, source)
    assert files(root) == sorted(["apps/a/x.json", f"blobs/sha256/{DATA.hex[:2]}/{DATA.hex}"])
    assert token == Digest.of(b"one").hex
    store.documents.replace("apps/a/x.json", b"two", token)
    lock = f".locks/{Digest.of(b'apps/a/x.json').hex}.lock"
    assert files(root) == sorted([lock, "apps/a/x.json", f"blobs/sha256/{DATA.hex[:2]}/{DATA.hex}"])


def test_others_may_read_but_not_write_whatever_the_umask(store: FolderStore, root: Path, source: Path) -> None:
    before = os.umask(0)
    try:
        store.documents.create("apps/a/x", b"")
        store.blobs.put(DATA, source)
    finally:
        os.umask(before)
    for path in (root, root / "apps" / "a", root / "apps" / "a" / "x", blob_path(root)):
        assert path.stat().st_mode & 0o007 == (0o005 if path.is_dir() else 0o004), path


def test_a_symbolic_link_to_the_folder_is_fine(tmp_path: Path, source: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    store = FolderStore(tmp_path / "link")
    store.documents.create("apps/a/x", b"1")
    store.blobs.put(DATA, source)
    assert (tmp_path / "real" / "apps" / "a" / "x").read_bytes() == b"1"


@pytest.mark.parametrize("planted", ["link to a file", "dangling link", "pipe", "folder"])
def test_what_is_no_regular_file_is_not_taken_for_a_document_or_a_blob(
    store: FolderStore, root: Path, source: Path, planted: str
) -> None:
    secret = root.parent / "secret"
    secret.write_bytes(b"data")
    for path in (root / "apps" / "a" / "x", blob_path(root)):
        path.parent.mkdir(parents=True)
        match planted:
            case "link to a file":
                path.symlink_to(secret)
            case "dangling link":
                path.symlink_to(root.parent / "nowhere")
            case "pipe":
                os.mkfifo(path)
            case _:
                path.mkdir()
    for name in ("read", "open", "size", "put", "create"):
        with pytest.raises(OtagateError):
            DEEDS[name](store, source)
    assert secret.read_bytes() == b"data"
    assert not (root.parent / "nowhere").exists()


@pytest.mark.parametrize("name", sorted(DEEDS))
def test_a_file_in_the_place_of_a_folder_is_named(store: FolderStore, root: Path, source: Path, name: str) -> None:
    root.mkdir()
    (root / "apps").write_text("a file")
    (root / "blobs").write_text("a file")
    with pytest.raises(UsageError) as caught:
        DEEDS[name](store, source)
    assert str(root) in str(caught.value)
    assert caught.value.found == "Not a directory"
    assert files(root) == ["apps", "blobs"]


def test_the_store_itself_may_be_a_file_by_mistake(source: Path) -> None:
    for name, deed in DEEDS.items():
        with pytest.raises(UsageError, match="Not a directory"):
            deed(FolderStore(source), source)
        assert source.read_bytes() == b"data", name


def test_a_blob_of_another_size_is_damaged_and_not_overwritten(store: FolderStore, root: Path, source: Path) -> None:
    store.blobs.put(DATA, source)
    blob_path(root).write_bytes(b"da")
    with pytest.raises(VerificationError, match="damaged") as caught:
        store.blobs.put(DATA, source)
    assert (caught.value.expected, caught.value.found) == ("4 bytes", "2 bytes")
    assert blob_path(root).read_bytes() == b"da"
    store.blobs.delete(DATA)
    assert store.blobs.put(DATA, source) is True
    assert blob_path(root).read_bytes() == b"data"


def test_a_wrong_source_for_a_blob_that_is_there_is_blamed_itself(store: FolderStore, tmp_path: Path, source: Path) -> None:
    store.blobs.put(DATA, source)
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    with pytest.raises(VerificationError, match="not the one that was announced"):
        store.blobs.put(DATA, other)


def test_a_source_that_is_a_pipe_does_not_block(store: FolderStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="cannot read the file to store"):
        store.blobs.put(DATA, tmp_path / "pipe")


def test_a_document_that_something_else_made_too_large_is_not_read(store: FolderStore, root: Path) -> None:
    store.documents.create("apps/a/x", b"")
    os.truncate(root / "apps" / "a" / "x", MAX_DOCUMENT_BYTES + 2)
    with pytest.raises(VerificationError, match="larger"):
        store.documents.read("apps/a/x")


def test_unfinished_files_of_killed_processes_are_swept_when_they_are_old(store: FolderStore, root: Path, source: Path) -> None:
    store.documents.create("apps/a/x", b"")
    elsewhere = root / "blobs" / "sha256" / "ff"
    elsewhere.mkdir(parents=True)
    old, young = time.time() - STALE_AFTER_S - 10, time.time() - STALE_AFTER_S + 300
    for folder in (root / "apps" / "a", elsewhere):
        for name, age in ((".tmp-1-old", old), (".tmp-2-young", young), ("kept", old)):
            (folder / name).write_bytes(b"half")
            os.utime(folder / name, (age, age))
    assert list(store.documents.keys("apps/")) == ["apps/a/kept", "apps/a/x"]
    fresh = FolderStore(root)
    fresh.documents.create("apps/a/y", b"")
    fresh.blobs.put(DATA, source)
    left = [name for name in files(root) if "/.tmp-" in name or name.endswith("kept")]
    assert left == ["apps/a/.tmp-2-young", "apps/a/kept", "blobs/sha256/ff/.tmp-2-young", "blobs/sha256/ff/kept"]


class Broken:
    """A system call that fails with one error; the rest of the system works."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, *_: object, **__: object) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    "refusal",
    [
        (errno.ENOSPC, UnavailableError, "full"),
        (errno.EDQUOT, UnavailableError, "full"),
        (errno.EIO, UnavailableError, "Input/output error"),
        (errno.EROFS, AccessError, "Read-only file system"),
        (errno.EACCES, AccessError, "Permission denied"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "open"])
def test_what_the_disk_refuses_is_a_documented_error_and_leaves_nothing(
    store: FolderStore, source: Path, monkeypatch: pytest.MonkeyPatch, call: str, refusal: tuple[int, type[OtagateError], str]
) -> None:
    root, (number, kind, words) = source.parent / "store", refusal
    token = store.documents.create("apps/a/x", b"old")
    with monkeypatch.context() as patched:
        patched.setattr(os, call, Broken(number))
        for deed in (
            lambda: store.documents.create("apps/a/y", b""),
            lambda: store.documents.replace("apps/a/x", b"new", token),
            lambda: store.blobs.put(DATA, source),
        ):
            with pytest.raises(kind) as caught:
                deed()
            assert words in str(caught.value)
    assert files(root) == ["apps/a/x"]
    assert (root / "apps" / "a" / "x").read_bytes() == b"old"


def test_an_error_while_reading_a_blob_is_ours_too(store: FolderStore, source: Path) -> None:
    store.blobs.put(DATA, source)
    for size in (2, -1):
        with store.blobs.open(DATA) as stream:
            os.close(stream.fileno())
            with pytest.raises(UnavailableError, match="cannot read the blob"):
                stream.read(size)
            os.open(os.devnull, os.O_RDONLY)  # give the number back, for close()


def test_an_error_while_reading_the_source_names_the_source(
    store: FolderStore, root: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fdopen

    def unplugged(handle: int, mode: str, *rest: Any, **named: Any) -> object:
        if "r" not in mode:
            return real(handle, mode, *rest, **named)
        os.close(handle)
        # A folder opens, but its bytes cannot be read.
        stream = real(os.open(source.parent / "write-only", os.O_WRONLY | os.O_CREAT), "wb", buffering=0)
        stream.read = Broken(errno.EIO)  # type: ignore[method-assign]
        return stream

    monkeypatch.setattr(os, "fdopen", unplugged)
    with pytest.raises(UnavailableError) as caught:
        store.blobs.put(DATA, source)
    assert caught.value.subject == str(source)
    assert files(root) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_without_hard_links_the_lock_keeps_creators_apart(
    store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "link", Broken(number))
    store.documents.create("apps/a/x", b"one")
    with pytest.raises(ConflictError, match="there already"):
        store.documents.create("apps/a/x", b"two")
    found = store.documents.read("apps/a/x")
    assert found is not None
    assert found.body == b"one"
    assert not [name for name in files(root) if "/.tmp-" in name]


def test_a_link_that_fails_otherwise_is_an_error(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", Broken(errno.ENOSPC))
    with pytest.raises(UnavailableError, match="full"):
        store.documents.create("apps/a/x", b"one")


def test_a_lock_that_somebody_keeps_is_said_so(store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    monkeypatch.setattr(folder_documents, "LOCK_TIMEOUT_S", 0.01)
    token = store.documents.create("apps/a/x", b"one")
    (root / ".locks").mkdir()
    # Another process would open the file anew, as this does.
    with FileLock(root / ".locks" / f"{Digest.of(b'apps/a/x').hex}.lock", thread_local=False):
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool, pytest.raises(UnavailableError, match="another process") as caught:
            pool.submit(store.documents.replace, "apps/a/x", b"two", token).result()
    assert caught.value.subject == "apps/a/x"
    assert store.documents.replace("apps/a/x", b"two", token) == Digest.of(b"two").hex


def test_a_file_system_without_locks_is_refused(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    token = store.documents.create("apps/a/x", b"one")
    monkeypatch.setattr(fcntl, "flock", Broken(errno.ENOSYS))
    with pytest.raises(UnavailableError, match="no locks"):
        store.documents.replace("apps/a/x", b"two", token)


def test_a_disk_that_takes_a_part_of_a_write_gets_the_rest_afterwards(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fdopen

    def nibbling(handle: int, mode: str, *rest: Any, **named: Any) -> object:
        stream = real(handle, mode, *rest, **named)
        if mode == "wb":
            return Nibbler(stream)
        return stream

    monkeypatch.setattr(os, "fdopen", nibbling)
    store.documents.create("apps/a/x", b"0123456789")
    found = store.documents.read("apps/a/x")
    assert found is not None
    assert found.body == b"0123456789"


class Nibbler:
    """A stream whose writes take three bytes at most."""

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()  # type: ignore[attr-defined]

    def write(self, data: memoryview) -> int:
        return int(self._stream.write(data[:3]))  # type: ignore[attr-defined]

    def fileno(self) -> int:
        return int(self._stream.fileno())  # type: ignore[attr-defined]
