from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from otagate.errors import UsageError
from otagate.fleet.arrivals import first_open, next_open
from otagate.fleet.config import Arrival, FleetConfig
from otagate.fleet.week import HOURS, Week, hour_of_week

MONDAY = datetime(2027, 1, 4, tzinfo=UTC).timestamp()
HOUR = 3600.0
EVEN = Week.of([2.0] * HOURS)
EVENINGS = Week.of([float(hour % 24 == 20) for hour in range(HOURS)])


@pytest.mark.parametrize(
    ("at", "hour"),
    [
        (datetime(2027, 1, 4, tzinfo=UTC), 0),
        (datetime(2027, 1, 10, 23, 30, tzinfo=UTC), 167.5),
        (datetime(1970, 1, 1, tzinfo=UTC), 72),
        (datetime(2027, 1, 4, 1, tzinfo=UTC) - timedelta(hours=3), 166),
    ],
)
def test_a_week_begins_on_monday(at: datetime, hour: float) -> None:
    assert hour_of_week(at.timestamp()) == pytest.approx(hour)


@pytest.mark.parametrize("weights", [[1.0] * 167, [1.0] * 169, [0.0] * HOURS, [-1.0, *[1.0] * 167]])
def test_what_is_no_week(weights: list[float]) -> None:
    with pytest.raises(UsageError, match="no week"):
        Week.of(weights)


@pytest.mark.parametrize("hours", [0.01, 0.5, 1.0, 100.0, 168.0, 1000.25])
def test_in_an_even_week_hours_are_hours(hours: float) -> None:
    at = MONDAY + 12345.0
    assert EVEN.after(at, hours) == pytest.approx(at + hours * HOUR)


def test_only_hours_with_weight_are_reached() -> None:
    # An evening has a day's worth: 24 mean hours in one.
    assert EVENINGS.after(MONDAY, 12) == pytest.approx(MONDAY + 20.5 * HOUR)
    assert EVENINGS.after(MONDAY, 24 + 6) == pytest.approx(MONDAY + 44.25 * HOUR)
    assert EVENINGS.after(MONDAY + 20.5 * HOUR, 18) == pytest.approx(MONDAY + 44.25 * HOUR)
    assert EVENINGS.after(MONDAY, 168 + 12) == pytest.approx(MONDAY + 188.5 * HOUR)
    assert EVENINGS.after(MONDAY + 167 * HOUR, 12) == pytest.approx(MONDAY + 188.5 * HOUR)


def test_time_never_goes_back_and_adds_up() -> None:
    chance = random.Random(5)
    week = Week.of([chance.choice([0.0, 0.1, 1.0, 7.0]) for _ in range(HOURS)])
    for _ in range(2000):
        at, one, two = MONDAY + chance.random() * 1e6, chance.expovariate(1), chance.expovariate(1 / 50)
        there = week.after(at, one)
        assert there >= at
        assert week.weights[int(hour_of_week(there))] > 0
        assert week.after(there, two) == pytest.approx(week.after(at, one + two), abs=0.01)


def config(**more: object) -> FleetConfig:
    settings: dict[str, object] = {"week": Week.of(range(HOURS)), "sessions_per_day": 6.0, **more}
    return FleetConfig("com.example.app", **settings)  # type: ignore[arg-type]


def test_apps_are_opened_by_the_week_as_often_as_they_should() -> None:
    chance, settings = random.Random(2), config()
    at, weeks = MONDAY, 400
    opened: Counter[int] = Counter()
    while (at := next_open(settings, 0.0, at, chance)) < MONDAY + weeks * HOURS * HOUR:
        opened[int(hour_of_week(at))] += 1
    total = opened.total()
    assert total == pytest.approx(6 * 7 * weeks, rel=0.03)
    for day in range(7):
        due = sum(range(24 * day, 24 * day + 24)) / sum(range(HOURS)) * total
        assert sum(opened[24 * day + hour] for hour in range(24)) == pytest.approx(due, rel=0.2), day


def test_a_burst_begins_as_a_burst_and_goes_on_by_the_week() -> None:
    settings = config(arrival=Arrival.BURST, week=EVENINGS, burst_s=60.0)
    chance = random.Random(1)
    assert MONDAY <= first_open(settings, 0.0, MONDAY, chance) <= MONDAY + 60
    assert int(hour_of_week(next_open(settings, 0.0, MONDAY, chance))) % 24 == 20
