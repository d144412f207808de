"""What is kept for a rerun: whole or not at all, and never a reason to fail."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from otagate.flow.outbox import STALE_AFTER_S, Outbox
from otagate.model import Digest, Sealed
from support.published import APP, make_release, write_sealed


def kept(folder: Path, environ: dict[str, str], content: bytes = b"zip 1") -> tuple[Outbox, Sealed, Path]:
    path = write_sealed(folder, content)
    release = make_release(path, content=content)
    return Outbox(environ, APP, release.bundle), release.sealed, path


@pytest.mark.parametrize(("name", "below"), [("XDG_CACHE_HOME", ""), ("HOME", ".cache")])
def test_what_was_kept_is_found_until_it_is_published(tmp_path: Path, name: str, below: str) -> None:
    outbox, sealed, path = kept(tmp_path, {name: str(tmp_path / "home")})
    assert outbox.find() is None
    where = outbox.keep(sealed, path)
    assert where.is_relative_to(tmp_path / "home" / below / "otagate" / "outbox")
    assert where.parent.stat().st_mode & 0o077 == 0
    path.unlink()
    assert outbox.find() == (sealed, where)
    outbox.clear()
    assert outbox.find() is None


@pytest.mark.parametrize("environ", [{}, {"XDG_CACHE_HOME": "relative"}])
def test_without_a_home_nothing_is_kept(tmp_path: Path, environ: dict[str, str]) -> None:
    outbox, sealed, path = kept(tmp_path, environ)
    assert (outbox.keep(sealed, path), outbox.find()) == (path, None)
    outbox.clear()
    assert path.exists()


def test_a_place_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    outbox, sealed, path = kept(tmp_path, {"XDG_CACHE_HOME": str(tmp_path / "home")})
    assert (outbox.keep(sealed, path), outbox.find()) == (path, None)


@pytest.mark.parametrize("damage", ["cut", "flipped", "told", "list"])
def test_what_is_not_whole_is_not_found(tmp_path: Path, damage: str) -> None:
    outbox, sealed, path = kept(tmp_path, {"HOME": str(tmp_path)})
    where = outbox.keep(sealed, path)
    data = where.read_bytes()
    {
        "cut": lambda: where.write_bytes(data[:-1]),
        "flipped": lambda: where.write_bytes(data[:-1] + b"?"),
        "told": lambda: where.with_name("sealed.json").write_text('{"blob": 7}'),
        "list": lambda: where.with_name("sealed.json").write_text("[]"),
    }[damage]()
    assert outbox.find() is None


def test_only_what_is_old_is_swept(tmp_path: Path) -> None:
    places = []
    for number, age in enumerate((STALE_AFTER_S + 60.0, STALE_AFTER_S - 60.0)):
        outbox, sealed, path = kept(tmp_path, {"HOME": str(tmp_path)}, b"zip %d" % number)
        places.append(outbox.keep(sealed, path))
        os.utime(places[-1].parent, ((time.time() - age),) * 2)
    outbox, sealed, path = kept(tmp_path, {"HOME": str(tmp_path)}, b"zip 9")
    assert outbox.keep(sealed, path).read_bytes() == path.read_bytes()
    assert [place.exists() for place in places] == [False, True]
    assert Digest.of(places[1].read_bytes()) == Digest.of(b"seal 1|zip 1")
