"""What files and commands may say beyond one bare object; the rest is in tests/contract/test_metric_source.py."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from otagate.gate.interface import MetricQuery, SourceError
from otagate.gate.sources import _shape

START = datetime(2026, 11, 21, tzinfo=UTC)


def read(
    value: Any, *, over: float | None = None, told_over: bool = False, metric: str = "crash_rate"
) -> tuple[int | None, int | None]:
    limit = None if over is None else timedelta(seconds=over)
    query = MetricQuery(metric, "a.b", "stable", "1.0.0", START, START, 100, limit)
    found = _shape.measurement(json.dumps(value).encode(), query, subject="file x", told_over=told_over)
    return found.bad, found.total


COUNTS = {"bad": 1, "total": 9}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (COUNTS, (1, 9)),
        ({"crash_rate": COUNTS, "error_rate": {"bad": 2, "total": 2}}, (1, 9)),
        ({"error_rate": COUNTS}, (None, None)),
        ({"crash_rate": None}, (None, None)),
        ({"crash_rate": {}}, (None, None)),
    ],
)
def test_counts_may_stand_under_their_metric(value: Any, expected: tuple[int | None, int | None]) -> None:
    assert read(value) == expected


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"crahs_rate": COUNTS}, "file x (no crash_rate in it, but crahs_rate)"),
        ({"latency": COUNTS}, "file x (no crash_rate in it)"),
        ({"crash_rate": None}, "file x"),
        ({}, "file x"),
        (None, "file x"),
    ],
)
def test_a_misspelt_metric_is_told_beside_no_data(value: Any, told: str) -> None:
    query = MetricQuery("crash_rate", "a.b", "stable", "1.0.0", START, START, 100, None)
    found = _shape.measurement(json.dumps(value).encode(), query, subject="file x", told_over=False)
    assert (found.total, found.query) == (None, told)


BY_LIMIT = {
    "over": {"45s": COUNTS, "2m": {"bad": 0, "total": 9}, "1m30s": {"bad": 5, "total": 9}, "500ms": {"bad": 9, "total": 9}}
}


@pytest.mark.parametrize(
    ("over", "expected"), [(45, (1, 9)), (120, (0, 9)), (90, (5, 9)), (0.5, (9, 9)), (46, (None, None)), (60, (None, None))]
)
def test_limits_are_found_by_their_length(over: float, expected: tuple[int | None, int | None]) -> None:
    assert read(BY_LIMIT, over=over) == expected
    assert read({"crash_rate": BY_LIMIT}, over=over) == expected


@pytest.mark.parametrize("value", [{"over": None}, {"over": {}}, {"over": {"45s": None}}, {}])
def test_a_limit_without_counts_is_no_data(value: Any) -> None:
    assert read(value, over=45) == (None, None)


def test_a_source_that_was_told_the_limit_answers_with_bare_counts() -> None:
    assert read(COUNTS, over=45, told_over=True) == (1, 9)
    with pytest.raises(SourceError, match=r"answer `over: \{45s: \{bad, total\}\}`"):
        read(COUNTS, over=45)


@pytest.mark.parametrize(
    ("value", "over", "message"),
    [
        ({"bad": 1, "totl": 9}, None, r"did you mean `total`\?"),
        ({"bad": 1, "total": 9, "zzz": 9}, None, r"remove it"),
        (BY_LIMIT, None, r"unknown key 'over'"),
        ([COUNTS], None, r"the answer is no object"),
        (7, None, r"the answer is no object"),
        ({"crash_rate": 0.02}, None, r"crash_rate is no object"),
        ({"over": [COUNTS]}, 45, r"over is no object"),
        ({"over": {"45s": 3}}, 45, r"over\.45s is no object"),
        ({"over": {"45": COUNTS}}, 45, r"length of time"),
        ({"over": {"\x1b[2J": COUNTS}}, 45, r"over\.\\x1b\[2J"),
    ],
)
def test_other_shapes_are_refused(value: Any, over: float | None, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(value, over=over)


def test_what_is_no_json_is_shown_by_its_beginning() -> None:
    with pytest.raises(SourceError, match=r"line 1, column 1.*begins with '\\x1b\]0;<html>") as caught:
        _shape.parse(b"\x1b]0;<html>" + b"x" * 1000, "file x")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "data",
    [
        b'\xef\xbb\xbf{"bad": 1, "total": 2}',
        b'\xef\xbb\xbf{\r\n  "bad": 1,\r\n  "total": 2\r\n}\r\n',
        b'{\r\n  "bad": 1,\r\n  "total": 2\r\n}\r\n',
    ],
)
def test_what_programs_on_windows_write(data: bytes) -> None:
    assert _shape.parse(data, "file x") == {"bad": 1, "total": 2}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_named(encoding: str) -> None:
    mark = b"" if encoding == "utf-16" else b"\xfe\xff"
    with pytest.raises(SourceError) as caught:
        _shape.parse(mark + '{"bad": 1, "total": 2}'.encode(encoding), "file x")
    assert (caught.value.found, caught.value.expected) == ("UTF-16", "JSON in UTF-8")


def test_one_mark_is_enough() -> None:
    with pytest.raises(SourceError, match="BOM"):
        _shape.parse(b"\xef\xbb\xbf" * 2 + b"{}", "file x")
