"""When counts cross a boundary: exact chances for a release that is looked at again and again. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

_NEGLIGIBLE = 1e-16
"""Counts with smaller chances are left out: a float does not notice them in a sum near 1."""


def stop_chances(looks: Sequence[int], stops_from: Sequence[int | None], rate: float) -> tuple[float, ...]:
    """Give the chance that a release is stopped at each look, when it is stopped as soon as enough bad devices are known.

    Args:
        looks: Devices known at each look, never fewer than at the one before.
        stops_from: For each look, the count of bad devices that stops it; None: this look never does.
        rate: True share of bad devices, 0..1.
    """
    alive, first, seen, chances = [1.0], 0, 0, []
    for devices, stop in zip(looks, stops_from, strict=True):
        alive, first = _added(alive, first, *_binomial(devices - seen, rate))
        seen, stopped = devices, 0.0
        if stop is not None:
            place = max(0, stop - first)
            stopped = math.fsum(alive[place:])
            del alive[place:]
        chances.append(stopped)
    return tuple(chances)


def median_look(chances: Sequence[float]) -> int | None:
    """Give the look, counted from 1, by which half of the releases are stopped, or None."""
    total = 0.0
    for look, chance in enumerate(chances, 1):
        total += chance
        if total >= 0.5:  # noqa: PLR2004 - a half
            return look
    return None


def _binomial(total: int, rate: float) -> tuple[list[float], int]:
    """Give the chances of each count of bad devices that is not negligible, and the first such count."""
    if rate in {0.0, 1.0} or total == 0:
        return [1.0], int(total * rate)
    mode = min(total, int((total + 1) * rate))
    peak = math.exp(
        math.lgamma(total + 1)
        - math.lgamma(mode + 1)
        - math.lgamma(total - mode + 1)
        + mode * math.log(rate)
        + (total - mode) * math.log1p(-rate)
    )
    odds = rate / (1 - rate)
    up, down = [peak], []
    for count in range(mode, total):
        up.append(up[-1] * odds * (total - count) / (count + 1))
        if up[-1] < _NEGLIGIBLE:
            break
    chance = peak
    for count in range(mode, 0, -1):
        chance *= count / ((total - count + 1) * odds)
        if chance < _NEGLIGIBLE:
            break
        down.append(chance)
    return [*reversed(down), *up], mode - len(down)


def _added(alive: list[float], first: int, new: list[float], new_first: int) -> tuple[list[float], int]:
    """Give the distribution of a sum, without ends that are negligible."""
    if not alive:
        return [], first
    short, long = sorted((alive, new), key=len)
    turned, reach = short[::-1], len(short) - 1
    padded = [0.0] * reach + long + [0.0] * reach
    sums = [sum(map(mul, turned, padded[place : place + len(turned)])) for place in range(len(long) + reach)]
    start, end = 0, len(sums)
    while end > 1 and sums[end - 1] < _NEGLIGIBLE:
        end -= 1
    while start < end - 1 and sums[start] < _NEGLIGIBLE:
        start += 1
    return sums[start:end], first + new_first + start
