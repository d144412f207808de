from __future__ import annotations

import pytest

from otagate.server.http.ranges import Part, Unsatisfiable, is_known, is_same, wanted_part


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        (b"bytes=0-0", Part(0, 1)),
        (b"bytes=0-9", Part(0, 10)),
        (b"bytes=90-99", Part(90, 10)),
        (b"bytes=90-1000", Part(90, 10)),
        (b"bytes=99-", Part(99, 1)),
        (b"bytes=0-", Part(0, 100)),
        (b"bytes=-1", Part(99, 1)),
        (b"bytes=-100", Part(0, 100)),
        (b"bytes=-1000", Part(0, 100)),
        (b"BYTES = 5-6 ", Part(5, 2)),
        # Not understood, or several: all of it.
        (b"bytes=5-4", None),
        (b"bytes=-", None),
        (b"bytes=", None),
        (b"bytes=0-1,3-4", None),
        (b"bytes=a-b", None),
        (b"bytes=0x0-5", None),
        (b"bytes=+1-5", None),
        (b"items=0-5", None),
        (b"bytes=0-9999999999999999999", None),
        ("bytes=\u0661-".encode(), None),
        (b"", None),
    ],
)
def test_a_range_header_is_one_part_or_nothing(header: bytes | None, part: Part | None) -> None:
    assert wanted_part(header, 100) == part


@pytest.mark.parametrize(
    ("header", "size"), [(b"bytes=100-", 100), (b"bytes=100-200", 100), (b"bytes=-0", 100), (b"bytes=0-", 0)]
)
def test_a_range_behind_the_end_cannot_be_satisfied(header: bytes, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        wanted_part(header, size)


@pytest.mark.parametrize(
    ("header", "same"),
    [
        (None, True),
        (b'"abc"', True),
        (b' "abc" ', True),
        (b'"abd"', False),
        (b'W/"abc"', False),
        (b"Sun, 01 Mar 2026 12:00:00 GMT", False),
    ],
)
def test_if_range_wants_the_very_same_bytes(header: bytes | None, same: bool) -> None:
    assert is_same(header, b'"abc"') is same


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (None, False),
        (b"*", True),
        (b'"abc"', True),
        (b'W/"abc"', True),
        (b'"x", "abc"', True),
        (b'"x","y"', False),
        (b"abc", False),
        (b'"abcd"', False),
        (b"", False),
    ],
)
def test_if_none_match_compares_weakly(header: bytes | None, known: bool) -> None:
    assert is_known(header, b'"abc"') is known
