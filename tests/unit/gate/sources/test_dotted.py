"""Paths into an answer."""

from __future__ import annotations

from typing import Any

import pytest

from otagate.errors import PolicyError
from otagate.gate.sources._dotted import MISSING, ManyError, lookup, parse

ANSWER = {
    "data": {"crashed": 3, "rows": [{"bad": 1}, {"bad": 2}], "one": [{"bad": 4}], "none": [], "deep": [[5, 6], [7, 8]]},
    "null": None,
    "with space": 9,
    "number": 10,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data.crashed", 3),
        ("data.rows[0].bad", 1),
        ("data.rows[-1].bad", 2),
        ("data.one.bad", 4),
        ("data.one[0].bad", 4),
        ("data.deep[-1][1]", 8),
        ("null", None),
        ("with space", 9),
        ("data.nothing", MISSING),
        ("nothing.at.all", MISSING),
        ("data.rows[2].bad", MISSING),
        ("data.rows[-3].bad", MISSING),
        ("data.none", MISSING),
        ("data.none.bad", MISSING),
        ("number.bad", MISSING),
        ("number[0]", MISSING),
        ("null.bad", MISSING),
        ("data[0]", MISSING),
    ],
)
def test_lookup(text: str, expected: Any) -> None:
    found = lookup(ANSWER, parse(text, "bad"))
    assert found is expected if expected in (None, MISSING) else found == expected


@pytest.mark.parametrize("text", ["data.rows.bad", "data.rows", "data.deep[0]"])
def test_several_elements_need_a_place(text: str) -> None:
    with pytest.raises(ManyError):
        lookup(ANSWER, parse(text, "bad"))


def test_the_answer_may_be_a_list() -> None:
    assert lookup([{"bad": 1}], parse("bad", "bad")) == 1
    assert lookup([{"bad": 1}, {"bad": 2}], parse("[1].bad", "bad")) == 2


@pytest.mark.parametrize(
    "text", ["", ".", ".a", "a.", "a..b", "a[", "a[]", "a[x]", "a]", "a[1", "a[1]b", "[1].", "a[1.5]", "a[12345678]"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match=r"not a path"):
        parse(text, "bad")
