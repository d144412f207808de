from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.model import ChannelName
from otagate.policy.globs import RefKind, covers, kind_of, matches, slug


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("main", "main", True),
        ("main", "Main", False),
        ("main", "main2", False),
        ("main", "", False),
        ("release/*", "release/1.2", True),
        ("release/*", "release/", True),
        ("release/*", "release/1/2", False),
        ("release/**", "release/1/2", True),
        ("*", "main", True),
        ("*", "a/b", False),
        ("**", "a/b/c", True),
        ("**", "", True),
        ("*/x", "a/x", True),
        ("**/x", "a/b/x", True),
        ("**/x", "x", False),
        ("v?", "v1", True),
        ("v?", "v", False),
        ("a?b", "a/b", False),
        ("a*b*c", "a--b--c", True),
        ("a*b*c", "a--c--b", False),
        ("a.b", "axb", False),
        ("a+", "aa", False),
        ("tags/v*", "tags/v1.0", True),
        ("***", "a/b", True),
    ],
)
def test_globs(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@given(st.text("ab/*?", max_size=8), st.text("ab/", max_size=8))
def test_globs_agree_with_regular_expressions(pattern: str, name: str) -> None:
    parts = {"*": "[^/]*", "?": "[^/]"}
    tokens = re.findall(r"\*\*+|.", pattern)
    regex = "".join(".*" if token.startswith("**") else parts.get(token, re.escape(token)) for token in tokens)
    assert matches(pattern, name) is (re.fullmatch(regex, name) is not None)


def test_a_hostile_branch_name_costs_little() -> None:
    began = time.perf_counter()
    assert not matches("*a" * 30 + "b", "a" * 400)
    assert time.perf_counter() - began < 30  # without care it takes for ever


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ("**", "main", True),
        ("**", "release/**", True),
        ("*", "main", True),
        ("*", "release/x", False),
        ("release/*", "release/1.*", True),
        ("release/1.*", "release/*", False),
        ("a*", "*", False),
        ("a*", "a", True),
        ("a?", "a*", False),
        ("a*", "a?", True),
        ("*", "**", False),
        ("**", "tags/*", False),
        ("**", "pulls/*", False),
        ("tags/**", "tags/v*", True),
        ("pulls/*", "pulls/1*", True),
        ("pulls/*", "tags/*", False),
        ("main", "main2", False),
    ],
)
def test_what_covers_what(earlier: str, later: str, expected: bool) -> None:
    assert covers(earlier, later) is expected


def test_kinds_of_patterns() -> None:
    assert [kind_of(pattern) for pattern in ("tags/*", "pulls/1", "main", "tagsx")] == [
        RefKind.TAG,
        RefKind.PULL,
        RefKind.BRANCH,
        RefKind.BRANCH,
    ]


def test_names_that_fit_stay() -> None:
    assert slug("feature-1") == "feature-1"


def test_names_that_do_not_fit_are_told_apart() -> None:
    names = [
        "feature/a-b",
        "feature/a/b",
        "feature-a/b",
        "FEATURE/a-b",
        "../../x",
        "ünï",
        "💥",
        "-",
        "",
        "a" * 41,
        "a" * 42,
        "\ud800",
    ]
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert slug("feature/login").startswith("feature-login-")


@given(st.text(max_size=300))
def test_a_slug_always_fits_a_channel_and_a_version(text: str) -> None:
    made = slug(text)
    assert re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z-]*", made)
    assert len(made) <= 40
    assert ChannelName(made).value == made
