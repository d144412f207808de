from __future__ import annotations

import pytest

from otagate.ci import _env


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/acme/app.git", "acme/app"),
        ("https://user:secret@git.example/acme/app", "acme/app"),
        ("git@github.com:acme/app.git", "acme/app"),
        ("ssh://git@git.example:2222/group/sub/app.git/", "group/sub/app.git".removesuffix(".git")),
        ("git.example:acme/app", "acme/app"),
        ("https://git.example/app", None),
        ("https://[broken/acme/app", None),
        ("", None),
        (None, None),
    ],
)
def test_slug(url: str | None, expected: str | None) -> None:
    assert _env.slug(url) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        ("7", 7),
        ("007", 7),
        ("0", None),
        ("-1", None),
        ("", None),
        ("1" * 19, None),
        ("٧", None),
        (True, None),
        (7.0, None),
    ],
)
def test_number(value: object, expected: int | None) -> None:
    assert _env.number(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("A" * 40, "a" * 40),
        ("abc1234", "abc1234"),
        ("abc123", None),
        ("a" * 41, None),
        ("g" * 40, None),
        (None, None),
        (b"a", None),
    ],
)
def test_commit(value: object, expected: str | None) -> None:
    assert _env.commit(value) == expected


def test_below_and_short_ref() -> None:
    assert _env.below("refs/heads/a/b", _env.HEADS) == "a/b"
    assert _env.below("refs/heads/", _env.HEADS) is None
    assert _env.below(None, _env.HEADS) is None
    assert _env.short_ref("refs/heads/a") == "a"
    assert _env.short_ref("a") == "a"
    assert _env.short_ref("refs/heads/") is None
    assert _env.short_ref(None) is None
