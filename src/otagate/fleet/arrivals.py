"""When a device's app is opened, and for how long. Pure, given a seeded source of chance."""

from __future__ import annotations

import math
import random

from otagate.fleet.config import Arrival, FleetConfig

DAY_S = 86_400.0
_PEAK_HOUR = 20.0
_SWING = 0.9
"""At the peak 1.9 times the mean, at the lowest a tenth of it."""
_LEAST_SESSION_S = 15.0


def first_open(config: FleetConfig, zone: float, start: float, chance: random.Random) -> float:
    """Give the instant of a device's first session, Unix seconds."""
    if config.arrival is Arrival.BURST:
        return start + chance.random() * config.burst_s
    return next_open(config, zone, start, chance)


def next_open(config: FleetConfig, zone: float, after: float, chance: random.Random) -> float:
    """Give the instant of the next session, after ``after``."""
    if config.week is not None:
        return config.week.after(after, chance.expovariate(config.sessions_per_day / 24))
    rate = config.sessions_per_day / DAY_S
    if config.arrival is not Arrival.DAILY:
        return after + chance.expovariate(rate)
    # Thinning: draw from the highest rate, keep each with the share that the hour has of it.
    at = after
    while True:
        at += chance.expovariate(rate * (1 + _SWING))
        if chance.random() * (1 + _SWING) < weight(at, zone):
            return at


def weight(at: float, zone: float) -> float:
    """Give how often apps are opened at that instant, where the mean of a day is 1. ``zone`` is hours from UTC."""
    hour = (at / 3600 + zone) % 24
    return 1 + _SWING * math.cos((hour - _PEAK_HOUR) / 24 * 2 * math.pi)


def session_length(config: FleetConfig, chance: random.Random) -> float:
    """Give the length of a session in seconds."""
    return _LEAST_SESSION_S + chance.expovariate(1 / config.session_s)
