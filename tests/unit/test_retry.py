"""Trying again: what is waited, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otagate._retry import Again, Patience, persist, retry_after

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class PassingError(Exception):
    pass


class Clock:
    """Time that passes only in sleep and in actions."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


def failing(times: int, error: Exception | None = None) -> Callable[[], str]:
    left = [times]

    def action() -> str:
        if left[0]:
            left[0] -= 1
            raise error or PassingError
        return "done"

    return action


def try_it(clock: Clock, action: Callable[[], str], jitter: float = 1.0, after: float | None = None) -> str:
    patience = Patience(total=10.0, first=0.5, longest=2.0)
    return persist(
        action,
        lambda error: Again(after) if isinstance(error, PassingError) else None,
        patience,
        sleep=clock.sleep,
        monotonic=clock.monotonic,
        jitter=lambda: jitter,
    )


def test_what_succeeds_waits_for_nothing() -> None:
    clock = Clock()
    assert try_it(clock, failing(0)) == "done"
    assert clock.naps == []


def test_the_bound_of_the_wait_doubles_up_to_the_longest() -> None:
    clock = Clock()
    assert try_it(clock, failing(5)) == "done"
    assert clock.naps == [0.5, 1.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("jitter", [0.0, 0.25, 0.999])
def test_the_wait_is_anything_between_nothing_and_the_bound(jitter: float) -> None:
    clock = Clock()
    try_it(clock, failing(2), jitter)
    assert clock.naps == [0.5 * jitter, 1.0 * jitter]


def test_time_runs_out_with_the_last_failure() -> None:
    clock, last = Clock(), PassingError("last")
    with pytest.raises(PassingError) as caught:
        try_it(clock, failing(1000, last))
    assert caught.value is last
    assert clock.now < 10.0


def test_what_no_waiting_mends_is_raised_at_once() -> None:
    clock = Clock()
    with pytest.raises(ValueError, match="wrong"):
        try_it(clock, failing(3, ValueError("wrong")))
    assert clock.naps == []


def test_what_the_service_asks_for_is_never_undercut() -> None:
    clock = Clock()
    try_it(clock, failing(2), 0.0, after=3.0)
    assert clock.naps == [3.0, 3.0]


def test_a_wait_beyond_the_end_is_not_begun() -> None:
    clock = Clock()
    with pytest.raises(PassingError):
        try_it(clock, failing(1), after=3600.0)
    assert clock.naps == []


@given(st.floats(0, 0.999), st.integers(0, 50), st.one_of(st.none(), st.floats(0, 5)))
def test_it_never_takes_longer_than_it_may(jitter: float, times: int, after: float | None) -> None:
    clock = Clock()
    with suppress(PassingError):
        try_it(clock, failing(times), jitter, after)
    assert clock.now < 10.0
    assert all(nap >= (after or 0) for nap in clock.naps)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("", None),
        (None, None),
        ("soon", None),
        ("-3", None),
        ("1.5", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def test_a_huge_number_of_seconds_is_only_a_long_time() -> None:
    assert retry_after("9" * 400, NOW) == 999_999_999.0


@pytest.mark.parametrize("offset", ["+9999999999999999999999", "-" + "9" * 400, "+9999"])
def test_a_date_with_an_offset_that_is_none_says_nothing(offset: str) -> None:
    assert retry_after(f"Mon, 01 Jan 2026 00:00:00 {offset}") is None
