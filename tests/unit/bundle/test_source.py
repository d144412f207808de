from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from otagate.bundle.source import SourceFile, opened, read
from otagate.errors import AccessError, BundleError, OtagateError


def _file(folder: Path, data: bytes = b"content") -> SourceFile:
    path = folder / "a.txt"
    path.write_bytes(data)
    return SourceFile.of("a.txt", path, path.lstat())


def test_a_file_that_holds_still_is_read(tmp_path: Path) -> None:
    assert read(_file(tmp_path)) == b"content"
    assert read(_file(tmp_path, b"")) == b""


def _grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def _swap_for_link(path: Path) -> None:
    other = path.with_name("secret")
    path.rename(other)
    path.symlink_to(other)


def _swap_for_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _swap_for_copy(path: Path) -> None:
    status = path.lstat()
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.replace(path)


def _touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("change", [_grow, _touch, _swap_for_copy, _swap_for_link, _swap_for_pipe, Path.unlink])
def test_a_file_that_is_not_the_one_that_was_vetted_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    file = _file(tmp_path)
    change(file.source)
    with pytest.raises(BundleError) as caught:
        read(file)
    assert caught.value.subject == str(file.source)
    assert caught.value.remedy


@pytest.mark.parametrize("size", [0, 3])
def test_a_change_while_it_is_read_is_noticed(tmp_path: Path, size: int) -> None:
    file = _file(tmp_path)

    def read_half() -> None:
        with opened(file) as handle:
            assert os.read(handle, 3) == b"con"
            os.truncate(file.source, size)

    with pytest.raises(BundleError, match="changed while it was packed"):
        read_half()


def test_a_file_that_ends_early_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _file(tmp_path)
    pieces = [b"con", b"t", b""]
    monkeypatch.setattr(os, "read", lambda *_: pieces.pop(0))
    with pytest.raises(BundleError, match="changed"):
        read(file)


def test_a_read_that_comes_in_pieces_is_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _file(tmp_path)
    pieces = [b"con", b"te", b"nt"]
    monkeypatch.setattr(os, "read", lambda *_: pieces.pop(0))
    assert read(file) == b"content"


def test_errors_of_the_system_are_translated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _file(tmp_path)

    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(AccessError) as caught:
        read(file)
    assert isinstance(caught.value, OtagateError)
    assert caught.value.subject == str(file.source)
