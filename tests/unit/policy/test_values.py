from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate._text import span as span_text
from otagate.policy import values


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0s", timedelta(0)),
        ("500ms", timedelta(milliseconds=500)),
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("2h30m", timedelta(hours=2, minutes=30)),
        ("1d", timedelta(days=1)),
        ("2w", timedelta(weeks=2)),
        ("1w1d1h1m1s1ms", timedelta(weeks=1, days=1, hours=1, minutes=1, seconds=1, milliseconds=1)),
        ("366d", timedelta(days=366)),
    ],
)
def test_durations(text: str, length: timedelta) -> None:
    assert values.duration(text) == length


@pytest.mark.parametrize("text", ["", "1", "h", "1.5h", "-1h", "1 h", "30m2h", "1y", "1H", "٣h", "367d", "999999999w", "1h\n"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a length of time"):
        values.duration(text)


@given(st.integers(min_value=0, max_value=366 * 86_400_000))
def test_durations_survive_writing_and_reading(whole_ms: int) -> None:
    length = timedelta(milliseconds=whole_ms)
    if whole_ms >= 1000:
        length = timedelta(seconds=whole_ms // 1000)
    assert values.duration(span_text(length)) == length


@pytest.mark.parametrize(
    ("text", "share"), [("5%", "0.05"), ("0.5%", "0.005"), ("100%", "1"), ("0%", "0"), ("0.000001%", "0.00000001")]
)
def test_percentages_are_exact(text: str, share: str) -> None:
    assert values.percent(text) == Decimal(share)
    assert values.percent(values.percent_text(Decimal(share))) == Decimal(share)


@pytest.mark.parametrize("text", ["5", "5 %", "%", "-1%", "100.1%", "1e1%", ".5%", "٥%", "5%%"])
def test_what_is_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match="a percentage"):
        values.percent(text)


@pytest.mark.parametrize("text", ["0%", "100%"])
def test_limits_are_between_none_and_all(text: str) -> None:
    with pytest.raises(ValueError, match="more than 0% and less than 100%"):
        values.share(text)


def test_a_span_is_longer_than_none() -> None:
    assert values.span("1ms") == timedelta(milliseconds=1)
    with pytest.raises(ValueError, match="longer than 0s"):
        values.span("0h0m")


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (1, 1),
        (50, 50),
        ("1B", 1),
        ("50MB", 50_000_000),
        ("50MiB", 52_428_800),
        ("1KB", 1000),
        ("2GiB", 2 * 1024**3),
        ("1GB", 10**9),
        ("3KiB", 3072),
    ],
)
def test_sizes(value: int | str, count: int) -> None:
    assert values.size(value) == count


@pytest.mark.parametrize("value", [0, -1, "0MB", "", "50", "1.5MB", "50mb", "50 MB", "1TB"])
def test_what_is_no_size(value: int | str) -> None:
    with pytest.raises(ValueError, match="a number of bytes"):
        values.size(value)
