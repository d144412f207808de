from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from otagate.errors import NotFoundError, UsageError
from otagate.flow.rehearse.observed import Habit, Observed, Told, habit_of, observe, sum_up
from otagate.policy.model.sources import TelemetrySpec
from otagate.telemetry.interface import Active, Heard, PluginUse
from support.counted import WHOLE, record, seen
from support.rehearsals import HOUR, MONDAY, small_policy

BOTH = ("beta", "stable")
DAY, WEEK = 24 * HOUR, 168 * HOUR


def summed(
    active: Iterable[Active] = (),
    plugins: Iterable[PluginUse] = (),
    heard: Iterable[Heard] = (),
    channels: Sequence[str] = BOTH,
) -> Observed:
    return sum_up(Told(active, plugins, heard), MONDAY, channels, "stable")


def test_devices_are_counted_by_channel_platform_and_plugin() -> None:
    rows = [
        Active("beta", "1.0.0", "ios", 3),
        Active("beta", "1.1.0", "android", 4),
        Active("", "1.0.0", "android", 5),
        Active("nightly", "1.0.0", "ios", 9),
    ]
    plugins = [
        PluginUse("beta", "8.1.0", 3),
        PluginUse("", "8.1.0", 4),
        PluginUse("stable", "7.0.0", 2),
        PluginUse("nightly", "5.0.0", 9),
    ]
    found = summed(rows, plugins)
    assert found.devices == 12
    assert found.follows == {"beta": 7, "stable": 5}
    assert found.platforms == {"ios": 3, "android": 9}
    assert found.plugins == {"8.1.0": 7, "7.0.0": 2}
    assert found.elsewhere == {"nightly": 9}
    assert found.habit is None


def test_only_devices_of_these_channels_make_the_habit() -> None:
    hours = [MONDAY - at * HOUR for at in range(1, 31)]
    heard = [Heard(at, channel, 2) for at in hours for channel in ("", "nightly")]
    found = summed([Active("", "1.0.0", "ios", 8)], heard=heard)
    assert found.habit == Habit(6.0, (1.0,) * 168, 29, is_weekly=False)
    assert summed([Active("", "1.0.0", "ios", 8)], heard=heard, channels=["beta"]).habit is None


def counted(hours: int, count: int = 5, before: datetime = MONDAY) -> list[tuple[datetime, int]]:
    return [(before - (at + 1) * HOUR, count) for at in range(hours)]


def test_a_day_is_the_least() -> None:
    assert habit_of([], MONDAY, 5) is None
    assert habit_of(counted(24), MONDAY, 5) is None, "the first hour may be counted in part"
    found = habit_of(counted(25), MONDAY, 5)
    assert found == Habit(24.0, (1.0,) * 168, 24, is_weekly=False)
    assert habit_of(counted(25), MONDAY, 0) is None
    assert habit_of(counted(25, 0), MONDAY, 5) is None
    assert habit_of(counted(25, before=MONDAY + WEEK), MONDAY, 5) is None, "a clock was ahead"


def test_hours_in_which_nobody_was_heard_count() -> None:
    found = habit_of([(MONDAY - 49 * HOUR, 1), (MONDAY - DAY, 6), (MONDAY - 2 * DAY, 6)], MONDAY, 4)
    assert found is not None
    assert (found.sessions, found.covered) == (1.5, 48)
    assert [hour for hour, weight in enumerate(found.hours) if weight] == [24 * day + 9 for day in range(7)]
    assert found.hours[9] == 24


def test_the_hour_that_is_not_over_does_not_count() -> None:
    now = MONDAY + timedelta(minutes=50)
    assert habit_of([*counted(25), (MONDAY, 1000)], now, 5) == habit_of(counted(25), now, 5)


def test_what_was_before_the_seven_days_only_says_that_somebody_counted() -> None:
    few = [(MONDAY - 180 * HOUR, 1000), (MONDAY - HOUR, 84)]
    found = habit_of(few, MONDAY, 12)
    assert found is not None
    assert (found.covered, found.sessions, found.is_weekly) == (168, 1.0, False)
    assert habit_of(few[1:], MONDAY, 12) is None


def test_many_devices_show_each_hour_of_the_week() -> None:
    weekend = [(at, 100 if at.weekday() >= 5 else 20) for at, _ in counted(170)]
    found = habit_of(weekend, MONDAY, 500)
    assert found is not None
    mean = (2 * 100 + 5 * 20) / 7
    assert (found.is_weekly, found.covered) == (True, 168)
    assert found.sessions == pytest.approx(24 * mean / 500, abs=1e-4)
    assert set(found.hours[:120]) == {round(20 / mean, 4)}
    assert set(found.hours[120:]) == {round(100 / mean, 4)}
    by_day = habit_of([(at, count // 10) for at, count in weekend], MONDAY, 500)
    assert by_day is not None
    assert (by_day.is_weekly, set(by_day.hours)) == (False, {1.0})


def test_a_day_has_24_hours_however_many_have_left_the_channel() -> None:
    found = habit_of(counted(60, 1000), MONDAY, 2)
    assert found is not None
    assert found.sessions == 24
    rare = habit_of([(MONDAY - 60 * HOUR, 1), (MONDAY - HOUR, 1)], MONDAY, 10_000)
    assert rare is not None
    assert rare.sessions == 0.01


def test_a_known_habit_is_found_again() -> None:
    chance = random.Random(3)
    shape = [1 + 8 * (at % 24 >= 18) for at in range(168)]
    told = []
    for at in range(1, 190):
        moment = MONDAY - at * HOUR
        hour = moment.weekday() * 24 + moment.hour
        told.append((moment, sum(chance.random() < shape[hour] / 30 for _ in range(400))))
    found = habit_of(told, MONDAY, 400)
    assert found is not None
    assert found.is_weekly
    assert found.sessions == pytest.approx(24 / 30 * 3, rel=0.05)
    evening, morning = (sum(found.hours[24 * day + hour] for day in range(7)) / 7 for hour in (20, 6))
    assert evening / morning == pytest.approx(9, rel=0.3)


def test_the_policys_telemetry_is_asked(tmp_path: Path) -> None:
    for days in (4, 3, 2):
        told = (
            seen(at, "1.0.0", MONDAY - days * DAY, WHOLE, channel="beta", app="com.example.app", running="1.0.0")
            for at in range(4)
        )
        record(tmp_path / "t.db", *told)
    policy = replace(small_policy(tmp_path), telemetry=TelemetrySpec(database=f"sqlite:///{tmp_path}/t.db"))
    found = observe(policy, {}, MONDAY, tmp_path, BOTH)
    assert (found.devices, found.follows, found.plugins) == (4, {"beta": 4}, {"8.1.0": 4})
    assert found.habit is not None
    assert (found.habit.covered, found.habit.hours[9]) == (95, 24)
    assert found.habit.sessions == pytest.approx(8 / 3 / 4, abs=1e-4)
    with pytest.raises(NotFoundError, match="knows no device"):
        observe(policy, {}, MONDAY + timedelta(days=30), tmp_path, BOTH)


def test_without_telemetry_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no telemetry"):
        observe(replace(small_policy(tmp_path), telemetry=None), {}, MONDAY, tmp_path, BOTH)
