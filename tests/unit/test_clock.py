from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from otagate._clock import from_text, to_text


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2026, 11, 21, 9, 30, tzinfo=UTC), "2026-11-21T09:30:00.000000Z"),
        (datetime(2026, 11, 21, 9, 30, 1, 5, tzinfo=timezone(timedelta(hours=2))), "2026-11-21T07:30:01.000005Z"),
        (datetime(391, 1, 8, tzinfo=UTC), "0391-01-08T00:00:00.000000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
        (datetime(9999, 12, 31, tzinfo=UTC), "9999-12-31T00:00:00.000000Z"),
    ],
)
def test_an_instant_is_written_and_read_again(instant: datetime, text: str) -> None:
    assert to_text(instant) == text
    assert from_text(text) == instant


@pytest.mark.parametrize(
    "text", ["2026-11-21T09:30:00", "yesterday", "", "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_text(text)
