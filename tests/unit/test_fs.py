from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

import pytest

from otagate import _fs
from otagate.errors import AccessError, BundleError, NotFoundError, OtagateError, UnavailableError, UsageError
from support.files import names_in


def test_a_file_is_written_and_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    _fs.atomic_write(path, b"one")
    _fs.atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    assert names_in(tmp_path) == ["a.json"]


def test_the_mode_is_what_was_asked_for(tmp_path: Path) -> None:
    _fs.atomic_write(tmp_path / "key", b"secret", mode=0o600)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_failure_on_the_way_leaves_the_old_bytes_and_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write() -> None:
        with _fs.atomic_file(path) as stream:
            stream.write(b"new" * 100_000)
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write()
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a"]


def test_an_unfinished_file_stands_under_a_name_that_listings_skip(tmp_path: Path) -> None:
    with _fs.atomic_file(tmp_path / ("n" * 255)) as stream:
        stream.write(b"x")
        (name,) = names_in(tmp_path)
        assert name.startswith(_fs.TEMP_PREFIX)
    assert names_in(tmp_path) == ["n" * 255]


def test_a_failed_sync_is_a_failure_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        _fs.atomic_write(tmp_path / "a", b"x")
    assert names_in(tmp_path) == []


def test_the_file_is_synced_before_the_rename_and_the_folder_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[str]]] = []
    real = os.fsync

    def spy(handle: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"
        seen.append((kind, [name for name in names_in(tmp_path) if not name.startswith(_fs.TEMP_PREFIX)]))
        real(handle)

    monkeypatch.setattr(os, "fsync", spy)
    _fs.atomic_write(tmp_path / "a", b"x")
    assert seen == [("file", []), ("folder", ["a"])]


@pytest.mark.parametrize(("code", "passes"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_a_file_system_without_folder_sync_is_fine_a_broken_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, passes: bool
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(code, "refused")

    monkeypatch.setattr(os, "fsync", refuse)
    if passes:
        _fs.fsync_dir(tmp_path)
    else:
        with pytest.raises(OSError, match="refused"):
            _fs.fsync_dir(tmp_path)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, UnavailableError),
        (errno.EDQUOT, UnavailableError),
        (errno.EIO, UnavailableError),
        (errno.EACCES, AccessError),
        (errno.EPERM, AccessError),
        (errno.EROFS, AccessError),
        (errno.ENOENT, NotFoundError),
        (errno.ENOTDIR, UsageError),
        (errno.ENAMETOOLONG, UsageError),
    ],
)
def test_each_errno_becomes_the_error_with_path_and_remedy(code: int, kind: type[OtagateError]) -> None:
    error = _fs.translate(OSError(code, "x"), "cannot write", Path("/some/where"))
    assert type(error) is kind
    assert (error.what, error.subject) == ("cannot write", "/some/where")
    assert error.found
    assert error.remedy


def test_a_full_disk_is_said_to_be_full() -> None:
    assert "full" in str(_fs.translate(OSError(errno.ENOSPC, "x"), "cannot write", "a"))


def test_the_class_for_a_missing_file_can_be_chosen() -> None:
    assert type(_fs.translate(FileNotFoundError(errno.ENOENT, "x"), "cannot", "a", missing=BundleError)) is BundleError


def test_an_error_without_a_number_keeps_its_words_and_paths_are_made_harmless() -> None:
    error = _fs.translate(OSError("odd\x1b[31m"), "cannot", "a\nb")
    assert (error.found, error.subject) == ("odd\\x1b[31m", "a\\x0ab")


def test_a_scratch_folder_is_private_and_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with _fs.scratch_folder() as folder:
        (folder / "file").write_bytes(b"x")
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found"), AccessError),
        (OSError(errno.ENOSPC, "full"), UnavailableError),
        (PermissionError(errno.EACCES, "no"), AccessError),
    ],
)
def test_no_place_for_a_scratch_folder_is_said(error: OSError, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: str) -> None:
        raise error

    monkeypatch.setattr(tempfile, "TemporaryDirectory", fail)
    monkeypatch.setenv("TMPDIR", "/some/where")
    with pytest.raises(kind) as caught, _fs.scratch_folder():
        pass
    assert "/some/where" in str(caught.value)
    assert "TMPDIR" in str(caught.value)


def test_a_device_or_a_pipe_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(OSError, match="not supported") as caught:
            _fs.atomic_write(path, b"x")
        assert isinstance(_fs.translate(caught.value, "cannot write", path), UsageError)
    assert (pipe.is_fifo(), link.is_symlink(), sorted(tmp_path.iterdir())) == (True, True, [link, pipe])


def test_the_standard_streams_keep_their_names() -> None:
    assert _fs.is_special(Path("/dev/stdout"))
    assert not _fs.is_special(Path("/dev/there-is-no-such-name"))
