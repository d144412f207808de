from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate.server import versions

# Source: the example of semver.org 2.0.0, item 11, between two neighbours.
ASCENDING = (
    "0.9.9", "1.0.0-0", "1.0.0-9", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
    "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0", "10.0.0",
)  # fmt: skip


@pytest.mark.parametrize(("lower", "higher"), list(pairwise(ASCENDING)))
def test_versions_are_ordered_as_semver_says(lower: str, higher: str) -> None:
    one, other = versions.order(lower), versions.order(higher)
    assert one is not None
    assert other is not None
    assert one < other


def test_build_metadata_has_no_weight() -> None:
    assert versions.order("1.2.3+abc") == versions.order("1.2.3")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.2",
        "v1.2.3",
        "01.2.3",
        "1.2.3-01",
        "1.2.3-",
        "1.2.3+",
        "1.2.3 ",
        "1.2.3.4",
        "9" * 10 + ".0.0",
        "builtin",
        "1.2.3-" + "a" * 130,
    ],
)
def test_what_is_no_version_has_no_place(text: str) -> None:
    assert versions.order(text) is None


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        ("1", "1.0.0"), ("1.2", "1.2.0"), ("1.2.3", "1.2.3"), ("1.2.3-rc.1", "1.2.3-rc.1"), ("v1.2.3", "1.2.3"), ("01.02.03", "1.2.3"),
        ("1.2.3.4", "1.2.3"), ("1.2.3 (45)", "1.2.3"), ("1.2-debug", "1.2.0"), (" 7 ", "7.0.0"), ("1.2.3+45", "1.2.3+45"),
        ("", None), ("unknown", None), ("debug-1.2.3", None), ("-1", None), ("1" * 10, None), ("1." * 200, None), ("٣.١", None),
    ],
)  # fmt: skip
def test_a_native_version_is_coerced(native: str, expected: str | None) -> None:
    assert versions.coerce(native) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8.51.23", (8, 51, 23)), ("7.0.0-alpha.1", (7, 0, 0)), ("6.2.0+5", (6, 2, 0)), ("8.1.2.3", (8, 1, 2)),
        ("8.51", None), ("8", None), ("v8.1.2", None), ("unknown", None), ("8.1.x", None), ("99999.0.0", None), ("8.1.2\n", None),
    ],
)  # fmt: skip
def test_a_plugin_version_is_read(text: str, expected: tuple[int, int, int] | None) -> None:
    assert versions.plugin(text) == expected


@given(st.text(max_size=200))
def test_a_coerced_version_is_a_version(text: str) -> None:
    coerced = versions.coerce(text)
    assert coerced is None or versions.order(coerced) is not None
