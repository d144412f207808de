from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otagate.errors import UnavailableError
from otagate.policy.model.windows import Freeze, Window, WindowsSpec
from otagate.rollout import machine
from otagate.rollout.windows import HORIZON, closed, opens
from support.rollouts import fresh
from support.world import NOW

WORKDAYS = (0, 1, 2, 3)
OFFICE = WindowsSpec("Europe/Berlin", (Window(WORKDAYS, 9 * 60, 16 * 60),))
ALL_DAYS = tuple(range(7))
EVERY_DAY = Window(ALL_DAYS)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def berlin(*windows: Window, freezes: tuple[Freeze, ...] = ()) -> WindowsSpec:
    return WindowsSpec("Europe/Berlin", windows, freezes)


@pytest.mark.parametrize(
    ("instant", "is_open"),
    [
        ("2026-11-23T09:00+01:00", True),  # Monday
        ("2026-11-23T08:59:59.999999+01:00", False),
        ("2026-11-23T15:59:59+01:00", True),
        ("2026-11-23T16:00+01:00", False),
        ("2026-11-27T12:00+01:00", False),  # Friday
        ("2026-07-06T09:00+02:00", True),  # in summer time
        ("2026-07-06T16:00+02:00", False),
    ],
)
def test_windows_follow_the_wall_clock(instant: str, is_open: bool) -> None:
    assert (closed(OFFICE, at(instant)) == "") is is_open


def test_what_closes_is_said() -> None:
    assert closed(OFFICE, at("2026-11-22T12:00Z")) == "outside of the windows (Europe/Berlin)"
    frozen = berlin(EVERY_DAY, freezes=(Freeze("2026-12-20", "2027-01-03", "holidays"),))
    assert closed(frozen, at("2026-12-24T12:00Z")) == "frozen: holidays"
    assert (
        closed(berlin(freezes=(Freeze("2026-12-20", "2027-01-03"),)), at("2026-12-24T12:00Z"))
        == "frozen until the end of 2027-01-03"
    )
    clocked = berlin(freezes=(Freeze("2026-12-20T18:00", "2026-12-24T20:30"),))
    assert closed(clocked, at("2026-12-24T12:00Z")) == "frozen until 2026-12-24 20:30"


def test_without_windows_it_is_always_open() -> None:
    now = at("2026-11-22T12:00Z")
    assert closed(WindowsSpec("Nowhere/At_all"), now) == ""
    assert opens(WindowsSpec(), now) == now


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-22T12:00Z", "2026-11-23T08:00Z"),
        ("2026-11-23T12:00Z", "2026-11-23T12:00Z"),
        ("2026-11-26T15:00Z", "2026-11-30T08:00Z"),
        ("2026-03-28T12:00Z", "2026-03-30T07:00Z"),  # summer time begins on the 29th
    ],
)
def test_it_opens_at_the_next_window(now: str, expected: str) -> None:
    assert opens(OFFICE, at(now)) == at(expected)


def test_whole_days_of_a_freeze_are_both_included() -> None:
    spec = berlin(freezes=(Freeze("2026-12-20", "2026-12-21"),))
    assert closed(spec, at("2026-12-19T23:59:59+01:00")) == ""
    assert closed(spec, at("2026-12-20T00:00+01:00")) != ""
    assert closed(spec, at("2026-12-21T23:59:59+01:00")) != ""
    assert opens(spec, at("2026-12-20T12:00Z")) == at("2026-12-22T00:00+01:00")


def test_a_freeze_wins_over_a_window_and_the_next_window_is_found_behind_it() -> None:
    spec = WindowsSpec(OFFICE.timezone, OFFICE.allow, (Freeze("2026-11-23", "2026-11-24T10:30"),))
    assert opens(spec, at("2026-11-23T10:00Z")) == at("2026-11-24T10:30+01:00")
    late = WindowsSpec(OFFICE.timezone, OFFICE.allow, (Freeze("2026-11-23", "2026-11-26"),))
    assert opens(late, at("2026-11-23T10:00Z")) == at("2026-11-30T09:00+01:00")


def test_a_window_that_begins_in_the_gap_opens_at_the_first_instant_after_it() -> None:
    spec = berlin(Window((6,), 150, 240))  # Sunday 02:30 to 04:00; on 2026-03-29 02:00 is followed by 03:00
    assert opens(spec, at("2026-03-28T22:17Z")) == at("2026-03-29T03:00+02:00") == at("2026-03-29T01:00Z")
    assert closed(spec, at("2026-03-29T01:59:59Z")) == ""
    assert closed(spec, at("2026-03-29T02:00Z")) != ""


def test_a_window_that_lies_in_the_gap_is_not_there_that_day() -> None:
    assert opens(berlin(Window((6,), 130, 170)), at("2026-03-28T22:00Z")) == at("2026-04-05T02:10+02:00")


def test_in_the_fold_both_passes_are_open() -> None:
    spec = berlin(Window((6,), 60, 150))  # Sunday 01:00 to 02:30; on 2026-10-25 03:00 is followed by 02:00
    assert closed(spec, at("2026-10-25T00:29Z")) == ""
    assert closed(spec, at("2026-10-25T00:30Z")) != ""
    assert opens(spec, at("2026-10-25T00:30Z")) == at("2026-10-25T01:00Z")
    assert closed(spec, at("2026-10-25T01:29Z")) == ""
    assert closed(spec, at("2026-10-25T01:30Z")) != ""


def test_a_freeze_is_one_stretch_also_in_the_fold() -> None:
    begins = berlin(freezes=(Freeze("2026-10-25T02:30", "2026-10-26"),))
    assert closed(begins, at("2026-10-25T00:29Z")) == ""
    assert all(closed(begins, at(f"2026-10-25T{text}Z")) for text in ("00:30", "00:59", "01:00", "01:15", "01:45"))
    ends = berlin(freezes=(Freeze("2026-10-24", "2026-10-25T02:30"),))
    assert closed(ends, at("2026-10-25T00:45Z")) != ""
    assert opens(ends, at("2026-10-25T00:45Z")) == at("2026-10-25T01:30Z")


def test_a_freeze_at_the_gap_begins_and_ends_at_the_change() -> None:
    begins = berlin(freezes=(Freeze("2026-03-29T02:30", "2026-03-30"),))
    assert closed(begins, at("2026-03-29T00:59:59Z")) == ""
    assert closed(begins, at("2026-03-29T01:00Z")) != ""
    ends = berlin(freezes=(Freeze("2026-03-28", "2026-03-29T02:30"),))
    assert opens(ends, at("2026-03-28T12:00Z")) == at("2026-03-29T01:00Z")


def test_days_that_touch_at_midnight_are_one_window() -> None:
    spec = berlin(Window((0, 1)))
    assert closed(spec, at("2026-11-23T23:59:59+01:00")) == closed(spec, at("2026-11-24T00:00+01:00")) == ""
    assert opens(spec, at("2026-11-25T00:00+01:00")) == at("2026-11-30T00:00+01:00")


def test_a_midnight_that_the_clocks_leave_out_opens_right_after() -> None:
    spec = WindowsSpec("Africa/Cairo", (Window((4,)),))  # 2026-04-24, a Friday, begins at 01:00
    assert opens(spec, at("2026-04-23T12:00Z")) == at("2026-04-23T22:00Z")
    assert closed(spec, at("2026-04-23T21:59:59Z")) != ""


def test_never_is_said() -> None:
    now = at("2026-11-22T12:00Z")
    assert opens(berlin(EVERY_DAY, freezes=(Freeze("2026-01-01", "2036-01-01"),)), now) is None
    ends = (now + HORIZON - timedelta(days=2)).date().isoformat()
    assert opens(berlin(freezes=(Freeze("2026-01-01", ends),)), now) is not None


@pytest.mark.parametrize("name", ["Europe/Berlinn", "../etc/passwd", "Europe", "/etc/localtime", "a\0b"])
def test_an_unknown_zone_is_an_error_with_a_remedy(name: str) -> None:
    with pytest.raises(UnavailableError, match="tzdata") as caught:
        closed(WindowsSpec(name, (EVERY_DAY,)), at("2026-11-22T12:00Z"))
    assert "\0" not in str(caught.value)


ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo", "UTC"])
WINDOWS = st.builds(
    lambda days, low, length: Window(tuple(sorted(days)), low, min(1440, low + length)),
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(1, 1440),
)
# Around the changes of the clocks in these zones, where it is hard.
MOMENTS = st.builds(
    lambda day, minutes: at(f"{day}T00:00Z") + timedelta(minutes=minutes, seconds=17),
    st.sampled_from(
        ["2026-03-07", "2026-03-28", "2026-04-03", "2026-04-23", "2026-10-03", "2026-10-24", "2026-10-29", "2026-10-31"]
    ),
    st.integers(0, 3 * 1440),
)


@st.composite
def freezes(draw: st.DrawFn) -> Freeze:
    begins = draw(MOMENTS).replace(second=0, tzinfo=None)
    ends = begins + timedelta(minutes=draw(st.integers(1, 4000)))
    whole = draw(st.booleans())
    texts = [moment.date().isoformat() if whole else moment.isoformat(timespec="minutes") for moment in (begins, ends)]
    return Freeze(*texts)


SPECS = st.builds(WindowsSpec, ZONES, st.lists(WINDOWS, max_size=3).map(tuple), st.lists(freezes(), max_size=2).map(tuple))


@settings(max_examples=120, deadline=None)
@given(SPECS, MOMENTS)
def test_it_is_open_when_it_opens_and_never_before(spec: WindowsSpec, now: datetime) -> None:
    opening = opens(spec, now)
    assert opening is not None
    assert opening >= now
    assert closed(spec, opening) == ""
    minute = now
    while minute < min(opening, now + timedelta(days=4)):
        assert closed(spec, minute) != "", minute
        minute += timedelta(minutes=7)
    if opening > now:
        assert closed(spec, opening - timedelta(microseconds=1)) != ""


@pytest.mark.parametrize(
    ("freezes", "words"),
    [
        ((), ""),
        ((Freeze("2026-11-01", "2026-12-01", "sale"),), "a window, from 2026-12-02 00:00 UTC on (frozen: sale)"),
        ((Freeze("2026-11-01", "2036-12-01", "end"),), "a window, and none comes (frozen: end)"),
    ],
)
def test_a_rollout_says_until_when_it_waits(freezes: tuple[Freeze, ...], words: str) -> None:
    state = fresh()
    state = replace(state, spec=replace(state.spec, windows=WindowsSpec("UTC", (), freezes)))
    assert machine.waits_for_window(state, NOW) == words
