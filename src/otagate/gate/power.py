"""What a threshold can see: chances that a gate stops a release whose true share of bad devices is known.

All figures are exact sums over the binomial distribution, not simulations: devices are bad independently of each other, and
arrive evenly. Pure, and nothing but the standard library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import mul

from otagate.gate.crossing import median_look, stop_chances
from otagate.gate.stats import at_most, log_e_down, log_e_up

MOST_DEVICES = 1_000_000
"""More are not computed: from here on every chance is 0 or 1 but next to the limit itself."""
CAUGHT = 0.95
"""A release is called caught from this chance on."""
SLIPS_THROUGH = 0.05
_FEW = 100
"""More bad devices than this are never tolerated where twice the limit still slips through."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one limit is looked at.

    Attributes:
        limit: Largest tolerated share of bad devices, 0..1, exact.
        min_sample: Devices that the planned look needs.
        log_e: Natural logarithm of the e-value from which on it stops at any look.
        looks: Devices that are known at each look, never fewer than at the one before; the last look is the planned one.
    """

    limit: Fraction
    min_sample: int
    log_e: float
    looks: tuple[int, ...]

    @property
    def devices(self) -> int:
        """Devices at the planned look."""
        return self.looks[-1]

    @property
    def decides(self) -> bool:
        """Whether there are enough devices for the planned look."""
        return self.devices >= self.min_sample


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of a release.

    Attributes:
        rate: Its true share of bad devices, 0..1.
        early: Chance that evidence beyond doubt stops it, at any look.
        planned: Chance that the planned look alone stops it, or None when that has too few devices.
        stopped: Chance that anything stops it.
        exposed: Devices that have it when it is stopped, or at the planned look: the mean.
        median: At which look, counted from 1, half of such releases are stopped; None when fewer than half ever are.
    """

    rate: float
    early: float
    planned: float | None
    stopped: float
    exposed: float
    median: int | None


def even_looks(devices: int, looks: int) -> tuple[int, ...]:
    """Give the devices known at each of so many looks while they arrive evenly; the last look knows all."""
    return tuple(devices * (look + 1) // looks for look in range(looks))


def most_tolerated(devices: int, limit: Fraction) -> int:
    """Give the largest count of bad devices that the planned look lets through."""
    return limit.numerator * devices // limit.denominator


def beyond_doubt_from(devices: int, limit: Fraction, log_e: float) -> int | None:
    """Give the smallest count of bad devices that is evidence beyond doubt, or None when even all of them are not."""
    share = float(limit)
    if log_e_up(devices, devices, share) < log_e:
        return None
    # The evidence grows with every bad device.
    return _first(0, devices, lambda bad: log_e_up(bad, devices, share) >= log_e)


def outlook(plan: Plan, rate: float) -> Outlook:
    """Tell what becomes of a release with the true share ``rate`` of bad devices."""
    by_evidence = [beyond_doubt_from(devices, plan.limit, plan.log_e) for devices in plan.looks]
    early = math.fsum(stop_chances(plan.looks, by_evidence, rate))
    chances = stop_chances(plan.looks, _stops_from(plan, by_evidence), rate)
    stopped = min(1.0, math.fsum(chances))
    exposed = math.fsum(map(mul, chances, plan.looks)) + (1 - stopped) * plan.devices
    return Outlook(rate, min(1.0, early), _planned(plan, rate), stopped, exposed, median_look(chances))


def smallest_caught(plan: Plan) -> float | None:
    """Give the smallest true share of bad devices that is stopped with a chance of :data:`CAUGHT`, to four digits.

    Where the planned look has enough devices it is that look's chance, which the looks before it only raise. None: not even a
    release that is bad on every device.
    """
    by_evidence = [beyond_doubt_from(devices, plan.limit, plan.log_e) for devices in plan.looks]

    def caught(rate: float) -> bool:
        planned = _planned(plan, rate)
        chance = math.fsum(stop_chances(plan.looks, by_evidence, rate)) if planned is None else planned
        return chance >= CAUGHT

    low, high = float(plan.limit), 1.0
    if not caught(high):
        return None
    while high - low > 5e-5 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if caught(middle) else (middle, high)
    return high


def devices_to_see_twice(limit: Fraction) -> int | None:
    """Give the number of devices from which on a release of twice the limit passes the planned look with at most 5 %.

    It is what ``min_sample`` should be at least. None: the limit is 0 or too near to 1, or more than :data:`MOST_DEVICES`.
    """
    rate = float(2 * limit)
    if not 0 < rate < 1:
        return None
    enough = 1
    for tolerated in range(_FEW):
        # With the same count of tolerated bad devices, more devices let fewer releases through; each further one lets more.
        first, last = max(1, math.ceil(tolerated / limit)), math.ceil((tolerated + 1) / limit) - 1
        worst = at_most(tolerated, first, rate)
        if worst > SLIPS_THROUGH:
            enough = _first(first, last + 1, lambda n, most=tolerated: at_most(most, n, rate) <= SLIPS_THROUGH)  # type: ignore[misc]
        elif worst < SLIPS_THROUGH / 5:  # from here on it only falls
            break
    return enough if enough <= MOST_DEVICES else None


def devices_to_prove(limit: Fraction, rate: float, log_e: float) -> int | None:
    """Give the fewest devices that prove a release to be below the limit, when as many are bad as its rate makes expect.

    Args:
        limit: Largest tolerated share of bad devices.
        rate: True share of bad devices; the expected count is rounded to the nearest.
        log_e: Natural logarithm of the e-value that is proof.

    Returns:
        None when more than :data:`MOST_DEVICES` are needed.
    """
    share = float(limit)
    if rate >= share:
        return None
    first, bad = 1, 0
    while first <= MOST_DEVICES:
        last = MOST_DEVICES if rate == 0 else min(MOST_DEVICES, max(first, math.ceil((bad + 0.5) / rate) - 1))
        if bad <= last and log_e_down(bad, last, share) >= log_e:
            return _first(max(first, bad), last, lambda n, bad=bad: log_e_down(bad, n, share) >= log_e)  # type: ignore[misc]
        first, bad = last + 1, bad + 1
    return None


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """Give the first number from ``low`` on that holds, and ``high`` when none below it does; after one that holds, all do."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _stops_from(plan: Plan, by_evidence: Sequence[int | None]) -> list[int | None]:
    """Add the planned look to what stops by evidence."""
    stops = list(by_evidence)
    if plan.decides:
        over = most_tolerated(plan.devices, plan.limit) + 1
        stops[-1] = over if stops[-1] is None else min(over, stops[-1])
    return stops


def _planned(plan: Plan, rate: float) -> float | None:
    return 1.0 - at_most(most_tolerated(plan.devices, plan.limit), plan.devices, rate) if plan.decides else None
