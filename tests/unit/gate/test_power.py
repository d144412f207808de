"""What thresholds can see, against the figures that are published for them."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from otagate.gate.crossing import median_look, stop_chances
from otagate.gate.forecast import forecasts, limits_a_share
from otagate.gate.power import (
    MOST_DEVICES,
    Plan,
    beyond_doubt_from,
    devices_to_prove,
    devices_to_see_twice,
    even_looks,
    most_tolerated,
    outlook,
    smallest_caught,
)
from otagate.gate.stats import at_most, log_e_up, wilson
from otagate.policy.build import default_gates
from otagate.policy.model.gates import Action, GateSpec, Judgement, Split

TWO = Fraction(2, 100)
HOURS = 24

# Pass when the estimate is at most 2 %: chance of a false fail at 0.5 % and 1 %, of a false pass at 4 %, 6 % and 10 %.
PLANNED = [
    (20, [0.095, 0.182, 0.442, 0.290, 0.122]),
    (50, [0.026, 0.089, 0.401, 0.190, 0.034]),
    (100, [0.014, 0.079, 0.232, 0.057, 0.002]),
    (300, [0.001, 0.033, 0.043, 0.001, 0.000]),
    (1000, [0.000, 0.002, 0.000, 0.000, 0.000]),
]

# Devices an hour, true rate, chance to trip at any of 24 looks: the ratio, the ratio from 300 devices, 99 to 1 against the
# limit. Published from a simulation, so good to about 0.03.
PEEKING = [
    (10, 0.005, 0.212, 0.0, 0.0),
    (10, 0.01, 0.426, 0.0, 0.0),
    (10, 0.10, 1.0, 0.0, 0.990),
    (50, 0.005, 0.039, 0.002, 0.0),
    (50, 0.02, 0.774, 0.704, 0.001),
    (50, 0.04, 1.0, 1.0, 0.792),
    (50, 0.06, 1.0, 1.0, 1.0),
    (200, 0.04, 1.0, 1.0, 1.0),
    (10, 0.30, 1.0, 0.0, 1.0),
    (50, 0.30, 1.0, 1.0, 1.0),
    (200, 0.30, 1.0, 1.0, 1.0),
]
# Hours until half are stopped by evidence.
MEDIANS = [(10, 0.10, 7), (50, 0.04, 13), (50, 0.06, 5), (200, 0.04, 5), (10, 0.30, 1), (200, 0.30, 1)]


@pytest.mark.parametrize(("devices", "expected"), PLANNED)
def test_the_planned_look(devices: int, expected: list[float]) -> None:
    plan = Plan(TWO, 1, math.log(100), (devices,))
    stops = [outlook(plan, rate).planned or 0.0 for rate in (0.005, 0.01)]
    passes = [1 - (outlook(plan, rate).planned or 0.0) for rate in (0.04, 0.06, 0.10)]
    assert [*stops, *passes] == pytest.approx(expected, abs=1.1e-3)


@pytest.mark.parametrize(("limit", "devices"), [("2/100", 261), ("5/1000", 1049), ("15/100", 28), ("5/100", 103)])
def test_devices_that_catch_twice_the_limit(limit: str, devices: int) -> None:
    share = Fraction(limit)
    assert devices_to_see_twice(share) == devices
    # From there on, always; just before, not.
    slips = [at_most(most_tolerated(n, share), n, float(2 * share)) for n in range(devices - 1, devices + 400)]
    assert slips[0] > 0.05 >= max(slips[1:])


@pytest.mark.parametrize("limit", [Fraction(0), Fraction(1, 2), Fraction(9, 10), Fraction(1, 10**7)])
def test_twice_the_limit_may_be_out_of_reach(limit: Fraction) -> None:
    assert devices_to_see_twice(limit) is None


@pytest.mark.parametrize(("rate", "devices"), [(0.0, 177), (0.002, 177), (0.005, 433), (0.01, 1439)])
def test_devices_that_prove_to_be_below(rate: float, devices: int) -> None:
    assert devices_to_prove(TWO, rate, math.log(20)) == devices


@pytest.mark.parametrize("rate", [0.0199, 0.02, 0.5])
def test_next_to_the_limit_nothing_is_proven(rate: float) -> None:
    assert devices_to_prove(TWO, rate, math.log(20)) is None


@pytest.mark.parametrize(
    ("limit", "alpha", "devices"),
    [
        ("2/100", 0.05, 149),
        ("2/100", 0.01, 228),
        ("5/1000", 0.05, 598),
        ("5/1000", 0.01, 919),
        ("15/100", 0.05, 19),
        ("15/100", 0.01, 29),
    ],
)
def test_devices_without_a_failure(limit: str, alpha: float, devices: int) -> None:
    share = float(Fraction(limit))
    assert at_most(0, devices, share) <= alpha < at_most(0, devices - 1, share)


def peeked(per_hour: int, rate: float) -> tuple[list[float], tuple[float, ...]]:
    looks = even_looks(per_hour * HOURS, HOURS)
    ratio = [most_tolerated(n, TWO) + 1 for n in looks]
    late = [stop if n >= 300 else None for stop, n in zip(ratio, looks, strict=True)]
    doubt = [beyond_doubt_from(n, TWO, math.log(100)) for n in looks]
    by_doubt = stop_chances(looks, doubt, rate)
    return [
        math.fsum(stop_chances(looks, ratio, rate)),
        math.fsum(stop_chances(looks, late, rate)),
        math.fsum(by_doubt),
    ], by_doubt


@pytest.mark.parametrize(("per_hour", "rate", "ratio", "late", "doubt"), PEEKING)
def test_looking_every_hour(per_hour: int, rate: float, ratio: float, late: float, doubt: float) -> None:
    assert peeked(per_hour, rate)[0] == pytest.approx([ratio, late, doubt], abs=0.03)


@pytest.mark.parametrize(("per_hour", "rate", "hours"), MEDIANS)
def test_hours_until_half_are_stopped(per_hour: int, rate: float, hours: int) -> None:
    by_doubt = peeked(per_hour, rate)[1]
    # Published is the median of those that were stopped.
    found = median_look([chance / math.fsum(by_doubt) for chance in by_doubt])
    assert found is not None
    assert abs(found - hours) <= 1


@pytest.mark.parametrize(
    ("per_hour", "rate", "expected"),
    [
        (10, 0.005, 0.053),
        (10, 0.01, 0.129),
        (10, 0.10, 1.0),
        (50, 0.005, 0.003),
        (50, 0.02, 0.260),
        (50, 0.04, 0.998),
        (50, 0.06, 1.0),
        (200, 0.04, 1.0),
        (10, 0.30, 1.0),
    ],
)
def test_looking_every_hour_at_a_one_sided_bound(per_hour: int, rate: float, expected: float) -> None:
    looks = even_looks(per_hour * HOURS, HOURS)
    stops = [next(bad for bad in range(n + 1) if wilson(bad, n, 0.9)[0] > 0.02) for n in looks]
    assert math.fsum(stop_chances(looks, stops, rate)) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("limit", [TWO, Fraction(15, 100)])
@pytest.mark.parametrize(("devices", "looks"), [(400, 400), (400, 40), (4800, 24)])
def test_a_release_at_its_limit_is_seldom_stopped_however_often_one_looks(limit: Fraction, devices: int, looks: int) -> None:
    # Exact sums: 100 to 1 is ever reached with a chance of at most 1 %.
    seen = even_looks(devices, looks)
    doubt = [beyond_doubt_from(n, limit, math.log(100)) for n in seen]
    assert 0 < math.fsum(stop_chances(seen, doubt, float(limit))) <= 0.01


@pytest.mark.parametrize(
    ("looks", "expected"), [(1, 0.05), (2, 0.083), (5, 0.142), (10, 0.193), (24, 0.262), (72, 0.349), (168, 0.411)]
)
def test_naive_peeking_at_a_fair_coin(looks: int, expected: float) -> None:
    # Armitage, McPherson and Rowe (1969): 5 equally spaced looks at |z| > 1.96 find a difference in 14.2 % of the cases, 10 in 19.3 %.
    each = 400 if looks <= 10 else 40
    alive, first, tripped, before = [1.0], 0, 0.0, 0
    for devices in even_looks(each * looks, looks):
        tripped_now, alive, first = _two_sided(alive, first, devices, devices - before)
        tripped, before = tripped + tripped_now, devices
    # A count moves in steps, so the early looks trip a little less often than a continuous one.
    assert tripped == pytest.approx(expected, abs=0.004 if looks <= 10 else 0.01)


def _two_sided(alive: list[float], first: int, devices: int, new: int) -> tuple[float, list[float], int]:
    from otagate.gate.crossing import _added, _binomial

    alive, first = _added(alive, first, *_binomial(new, 0.5))
    reach = 1.96 * math.sqrt(devices) / 2
    inside = [chance if abs(first + place - devices / 2) <= reach else 0.0 for place, chance in enumerate(alive)]
    return math.fsum(alive) - math.fsum(inside), inside, first


def test_stopping_early_is_a_part_of_stopping() -> None:
    for rate in (0.0, 0.005, 0.02, 0.04, 0.3, 1.0):
        seen = outlook(Plan(TWO, 300, math.log(80), even_looks(480, HOURS)), rate)
        assert 0 <= seen.early <= seen.stopped + 1e-12 <= 1 + 1e-9
        assert seen.planned is not None
        assert seen.planned <= seen.stopped + 1e-9
        assert 20 <= seen.exposed <= 480 + 1e-9
        assert (seen.median is None) == (seen.stopped < 0.5)


def test_all_bad_devices_are_stopped_at_the_first_look_and_none_never() -> None:
    plan = Plan(TWO, 300, math.log(80), even_looks(480, HOURS))
    assert (outlook(plan, 1.0).exposed, outlook(plan, 1.0).median) == (20, 1)
    assert (outlook(plan, 0.0).stopped, outlook(plan, 0.0).exposed) == (0.0, 480)


def test_too_few_devices_leave_only_the_evidence() -> None:
    plan = Plan(TWO, 300, math.log(80), even_looks(240, HOURS))
    seen = outlook(plan, 0.1)
    assert not plan.decides
    assert seen.planned is None
    assert seen.early == seen.stopped > 0.99


def test_more_hours_than_devices() -> None:
    assert even_looks(3, 6) == (0, 1, 1, 2, 2, 3)
    assert outlook(Plan(TWO, 1, math.log(80), even_looks(3, 6)), 0.5).stopped == pytest.approx(1 - 0.5**3)


@pytest.mark.parametrize("devices", [50, 240, 300, 1200])
def test_the_smallest_rate_that_is_caught(devices: int) -> None:
    plan = Plan(TWO, 300, math.log(80), even_looks(devices, HOURS))
    found = smallest_caught(plan)
    assert found is not None
    assert outlook(plan, found).stopped >= 0.95
    seen = outlook(plan, found * 0.995)
    assert (seen.early if seen.planned is None else seen.planned) < 0.95


def test_one_device_catches_nothing() -> None:
    assert smallest_caught(Plan(TWO, 300, math.log(100), (1,))) is None


@pytest.mark.parametrize("limit", [Fraction(1, 2000), TWO, Fraction(15, 100), Fraction(1, 2), Fraction(95, 100)])
def test_the_smallest_count_beyond_doubt(limit: Fraction) -> None:
    for devices in (1, 10, 300, 5000):
        found = beyond_doubt_from(devices, limit, math.log(80))
        counts = range(devices + 1) if found is None else (found - 1, found)
        values = [log_e_up(bad, devices, float(limit)) >= math.log(80) for bad in counts if bad >= 0]
        assert values[-1] is (found is not None)
        assert not any(values[:-1])


def test_shares_are_compared_exactly() -> None:
    assert [most_tolerated(n, TWO) for n in (49, 50, 300, MOST_DEVICES)] == [0, 1, 6, 20_000]


def test_forecasts_are_made_of_what_the_policy_says() -> None:
    crash = next(spec for spec in default_gates() if spec.metric == "crash_rate")
    limit, escalate = forecasts(crash, Judgement(), 4, devices=None, hours=24, rates=())
    assert (limit.limit, limit.action, limit.plan.devices, limit.twice) == ("limit", Action.PAUSE, 300, 261)
    assert [round(seen.rate, 6) for seen in limit.outlooks] == [0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.3]
    assert limit.plan.log_e == pytest.approx(math.log(80))
    assert (escalate.limit, escalate.action, escalate.plan.limit) == ("escalate", Action.ROLLBACK, Fraction(1, 10))
    assert limit.proof == (254, 1938)
    (named,) = forecasts(GateSpec("x", max=crash.max), Judgement(), 1, devices=50, hours=2, rates=(Fraction(1, 10),))
    assert (named.plan.looks, [seen.rate for seen in named.outlooks]) == ((25, 50), [0.1])


def test_only_shares_can_be_foreseen() -> None:
    assert all(limits_a_share(spec) for spec in default_gates())
    assert not limits_a_share(GateSpec("split_check", split=Split.EQUAL))
