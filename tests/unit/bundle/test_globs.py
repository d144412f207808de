from __future__ import annotations

import pytest

from otagate.bundle.globs import Globs


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("*.map", "a.map", True),
        ("*.map", "deep/down/a.map", True),
        ("*.map", "a.map.js", False),
        ("*.map", "A.MAP", False),
        ("/*.map", "a.map", True),
        ("docs", "docs/a/b.txt", True),
        ("docs", "x/docs/a.txt", True),
        ("docs/", "docs/a.txt", True),
        ("docs", "docsx/a.txt", False),
        ("a/b", "a/b", True),
        ("a/b", "x/a/b", False),
        ("a/b", "a/b/c/d", True),
        ("a/*.js", "a/x.js", True),
        ("a/*.js", "a/b/x.js", False),
        ("a/**/*.js", "a/x.js", True),
        ("a/**/*.js", "a/b/c/x.js", True),
        ("**/x.js", "x.js", True),
        ("**/x.js", "a/x.js", True),
        ("a/**", "a/b/c", True),
        ("a/**", "b/a/c", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a.c", "abc", False),
        ("[slug].js", "[slug].js", True),
        ("*", "line\nbreak", True),
    ],
)
def test_what_a_glob_covers(glob: str, path: str, expected: bool) -> None:
    assert Globs.of([glob]).matches(path) is expected


def test_no_globs_match_nothing() -> None:
    assert not Globs.of([])
    assert not Globs.of(["", "/"])
    assert not Globs.of([]).matches("a")


def test_one_of_several_is_enough() -> None:
    globs = Globs.of(["*.a", "b/*"])
    assert globs
    assert [globs.matches(path) for path in ("x.a", "b/y", "c/y")] == [True, True, False]
