from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otagate.errors import AccessError, OtagateError, UnavailableError, UsageError
from otagate.model import Digest
from otagate.seal._streams import PRIVATE_MODE, one_to_one, require_same
from otagate.seal.dispatch import seal_none


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """Let every larger file fail in the middle of a write, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    data = bytes(200_000)
    (tmp_path / "clear").write_bytes(data)
    (tmp_path / "sealed").write_text("before")
    with _files_of_at_most(100_000), pytest.raises(UnavailableError) as caught:
        seal_none(tmp_path / "clear", tmp_path / "sealed", clear=Digest.of(data))
    assert caught.value.subject == str(tmp_path / "sealed")
    assert (tmp_path / "sealed").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clear", "sealed"]


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    target = tmp_path / "closed"
    target.mkdir(mode=0o555)
    before = os.geteuid()
    with (tmp_path / "clear").open("wb") as stream:
        stream.write(b"x")
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(folder.stat().st_mode | 0o011)
    if before == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        with pytest.raises(AccessError):
            seal_none(tmp_path / "clear", target / "sealed", clear=Digest.of(b"x"))
    finally:
        os.seteuid(before)
    assert not list(target.iterdir())


def test_an_error_of_the_body_passes_through_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "clear").write_bytes(b"x")
    error = UsageError("mine")

    def fail_half_way() -> None:
        with one_to_one(tmp_path / "clear", tmp_path / "out", mode=PRIVATE_MODE) as (_, writer):
            writer.write(b"half")
            raise error

    with pytest.raises(UsageError) as caught:
        fail_half_way()
    assert caught.value is error
    assert [path.name for path in tmp_path.iterdir()] == ["clear"]


def test_digests_must_be_the_same(tmp_path: Path) -> None:
    require_same(Digest.of(b"x"), Digest.of(b"x"), tmp_path)
    with pytest.raises(OtagateError) as caught:
        require_same(Digest.of(b"x"), Digest.of(b"y"), tmp_path)
    assert caught.value.found == str(Digest.of(b"x"))
