"""A fleet like the one that an update server knows: size, channels, platforms, plugins, and when its apps are opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from otagate.errors import NotFoundError, UsageError
from otagate.fleet.week import HOURS, hour_of_week
from otagate.policy.model.policy import Policy
from otagate.telemetry.interface import Active, Heard, PluginUse

SEEN_WITHIN = timedelta(days=7)
_HOUR = timedelta(hours=1)
_BEFORE = timedelta(days=1)
"""Looked at besides: who was heard then was counted from the beginning of the seven days on."""
_DAY_HOURS = 24
_LEAST = 0.01
"""Sessions a day, of devices that were seen within a week."""
_FIRM = 30
"""With so many devices in the mean hour each hour of the week is taken by itself; with fewer, chance is no habit."""


@dataclass(frozen=True, slots=True)
class Habit:
    """When the apps of a fleet are opened.

    Attributes:
        sessions: Hours of a day in which a device is heard, in the mean: each is taken for one session.
        hours: Of each hour of a week, from Monday 00:00 UTC on: how often apps are opened, where the mean is 1.
        covered: Hours that were looked at.
        is_weekly: Each hour of the week was taken by itself; otherwise each hour of the day.
    """

    sessions: float
    hours: tuple[float, ...]
    covered: int
    is_weekly: bool


@dataclass(frozen=True, slots=True)
class Observed:
    """What a server knows of the devices that it saw lately; but for ``elsewhere`` of those on the channels in question.

    Attributes:
        devices: How many.
        follows: Devices by channel; without a name those of the default channel.
        platforms: Devices by platform.
        plugins: Devices by version of the plugin, of all or of a sample.
        habit: When they are heard, or None: that was not counted for a day yet.
        elsewhere: Devices by channel, on other channels.
    """

    devices: int
    follows: Mapping[str, int]
    platforms: Mapping[str, int]
    plugins: Mapping[str, int]
    habit: Habit | None
    elsewhere: Mapping[str, int]


def observe(policy: Policy, environ: Mapping[str, str], now: datetime, root: Path, channels: Sequence[str]) -> Observed:
    """Ask the policy's telemetry about the devices on some channels.

    Raises:
        UsageError: The policy says nowhere where telemetry is.
        NotFoundError: It knows no device.
        OtagateError: It cannot be read.
    """
    if policy.telemetry is None:
        remedy = "add `telemetry` to the policy, or say --devices and --follow"
        raise UsageError("the policy names no telemetry", policy.file.name, remedy=remedy)
    from otagate.gate.sources.telemetry_reader import open_reader  # noqa: PLC0415 - may bring httpx or SQL

    reader, app, since = open_reader(policy.telemetry, root=root, environ=environ), str(policy.app), now - SEEN_WITHIN
    told = Told(reader.active(app, since), reader.plugins(app, since), reader.heard(app, since - _BEFORE))
    found = sum_up(told, now, channels, policy.server.default_channel or "")
    if not found.devices and not found.elsewhere:
        raise NotFoundError(
            "telemetry knows no device of this app",
            app,
            expected="a device that was seen within 7 days",
            remedy="leave --fleet-from out, and say --devices",
        )
    return found


@dataclass(frozen=True, slots=True)
class Told:
    """The answers of telemetry."""

    active: Iterable[Active]
    plugins: Iterable[PluginUse]
    heard: Iterable[Heard]


def sum_up(told: Told, now: datetime, channels: Sequence[str], default_channel: str) -> Observed:
    """Make of telemetry's answers what a rehearsal takes over."""
    counts: Counter[str] = Counter()
    platforms: Counter[str] = Counter()
    plugins: Counter[str] = Counter()
    for row in told.active:
        counts[row.channel or default_channel] += row.devices
        if (row.channel or default_channel) in channels:
            platforms[row.platform] += row.devices
    for use in told.plugins:
        if (use.channel or default_channel) in channels:
            plugins[use.plugin] += use.devices
    follows = {name: count for name, count in counts.items() if name in channels}
    elsewhere = {name: count for name, count in counts.items() if name not in channels}
    size = sum(follows.values())
    heard = [(one.at, one.devices if (one.channel or default_channel) in channels else 0) for one in told.heard]
    return Observed(size, follows, dict(platforms), dict(plugins), habit_of(heard, now, size), elsewhere)


def habit_of(heard: Iterable[tuple[datetime, int]], now: datetime, devices: int) -> Habit | None:
    """Make a habit of how many devices were heard in which hours, or None when a day's worth was not counted.

    Only whole hours of the seven days before ``now`` count, and only those after the first that telemetry tells of: before it
    nobody may have counted.
    """
    rows = sorted(heard)
    ends = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    begins = max(ends - SEEN_WITHIN, rows[0][0] + _HOUR) if rows else ends
    covered = max(0, int((ends - begins) / _HOUR))
    counts = [0] * covered
    for at, count in rows:
        if begins <= at < ends:
            counts[int((at - begins) / _HOUR)] += count
    if covered < _DAY_HOURS or not devices or not any(counts):
        return None
    is_weekly = covered == HOURS and sum(counts) >= _FIRM * HOURS
    period = HOURS if is_weekly else _DAY_HOURS
    first = int(hour_of_week(begins.timestamp()))
    means = [_mean(counts[(hour - first) % period :: period]) for hour in range(period)]
    mean = sum(means) / period
    hours = tuple(round(one / mean, 4) for one in means) * (HOURS // period)
    # Devices that have left these channels were heard on them, too: a day has no more hours for that.
    sessions = min(max(_LEAST, _DAY_HOURS * mean / devices), _DAY_HOURS)
    return Habit(round(sessions, 4), hours, covered, is_weekly)


def _mean(counts: Sequence[int]) -> float:
    return sum(counts) / len(counts)
