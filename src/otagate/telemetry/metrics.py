"""From counts of devices to the (bad, total) that a gate judges. Pure; docs/gates.md gives the reason of each definition."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from otagate._text import harmless, nearest
from otagate.errors import UsageError
from otagate.telemetry.model import VERIFY_BOUNDS_S, Counts

ADOPTION_AGE = timedelta(hours=24)
"""How long a device has to adopt a release; ``Counts.adopted_24h`` is about it."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a gate judges: so many of so many devices are bad."""

    bad: int
    total: int


VERIFICATION_TIME = "verification_time"
"""The one metric that is a length of time: it needs a limit."""

OVERS_S = VERIFY_BOUNDS_S[:-1]
"""The limits that it may have, in seconds.

Who took longer than the last bound did not download for so long: the download broke off, and went on when the app was opened
again, hours later. Such a device says nothing about the bundle, and is no slow one.
"""

ADOPTION = "adoption_24h"
"""The one metric that says nothing of devices younger than :data:`ADOPTION_AGE`."""


FAILURES = ("boot", "integrity", "refusal")
"""Classes of failed installs that ``device_success_rate`` counts against a bundle unless it is told otherwise.

A download that fails says nothing about the bundle, and who is still on the way neither.
"""


def _success(counts: Counts, failures: Collection[str]) -> Tally:
    bad = sum(getattr(counts, name) for name in dict.fromkeys(failures))
    return Tally(bad, counts.success + bad)


_SHARES: dict[str, Callable[[Counts], Tally]] = {
    "crash_rate": lambda counts: Tally(counts.crashed, counts.ran),
    "error_rate": lambda counts: Tally(counts.errored, counts.ran),
    # Everybody who was offered it counts, whatever keeps them: that is what this metric is for.
    "rollout_completion": lambda counts: Tally(counts.offered - min(counts.success, counts.offered), counts.offered),
    ADOPTION: lambda counts: Tally(counts.offered - counts.adopted_24h, counts.offered),
}

DEVICE_SUCCESS = "device_success_rate"
"""The one metric that counts some classes of failures, and leaves others out."""

METRICS = ("crash_rate", "error_rate", DEVICE_SUCCESS, "rollout_completion", ADOPTION, VERIFICATION_TIME)
"""Every metric that telemetry knows, by its name."""


def tally(metric: str, counts: Counts, over: timedelta | None = None, failures: Collection[str] = FAILURES) -> Tally:
    """Give the bad and all devices of one metric.

    Args:
        metric: One of :data:`METRICS`.
        counts: What telemetry counted.
        over: For ``verification_time`` the limit, one of :data:`OVERS_S`; otherwise None.
        failures: For ``device_success_rate`` which outcomes count as bad: of ``boot``, ``integrity``, ``refusal``, ``network``.

    Raises:
        UsageError: There is no such metric, or the limit is not one that devices are counted by, or one is missing or too many.
    """
    check_metric(metric)
    check_over(metric, over)
    if metric == DEVICE_SUCCESS:
        return _success(counts, failures)
    if over is None:
        return _SHARES[metric](counts)
    at = OVERS_S.index(int(over.total_seconds()))
    return Tally(sum(counts.verify[at + 1 : -1]), sum(counts.verify[:-1]))


def check_metric(metric: str) -> None:
    """Refuse what telemetry does not know.

    Raises:
        UsageError: There is no such metric; the message has the nearest.
    """
    if metric not in METRICS:
        near = nearest(metric, METRICS)
        raise UsageError(
            "telemetry does not know this metric",
            f"'{harmless(metric, 80)}'",
            expected=f"one of {', '.join(METRICS)}",
            remedy=f"did you mean {near}?" if near else "name one of them, or give the gate a source of its own",
        )


def check_over(metric: str, over: timedelta | None) -> None:
    """Refuse a limit of time that cannot be answered exactly.

    Raises:
        UsageError: A limit where none belongs, none where one does, or one between the bounds that devices are counted by.
    """
    if metric != VERIFICATION_TIME:
        if over is not None:
            raise UsageError("this metric has no limits of time", metric, remedy="write `max` or `min` instead of `limits`")
        return
    if over is None or over.total_seconds() not in OVERS_S:
        raise UsageError(
            "telemetry does not count devices by this length of time",
            metric,
            expected=f"one of {', '.join(f'{bound}s' for bound in OVERS_S)}",
            found="none" if over is None else f"{over.total_seconds():g}s",
            remedy="write one of these as `over`",
        )


@dataclass(frozen=True, slots=True)
class AtMost:
    """A quantile as far as a histogram tells it.

    Attributes:
        seconds: The device in question took no longer than this; None: longer than the last bound.
    """

    seconds: int | None


def quantile(verify: Sequence[int], share: float) -> AtMost | None:
    """Give the upper bound of the time that ``share`` (0..1) of the devices needed at most, or None when there is no device."""
    total = sum(verify)
    if not total:
        return None
    running, sums = 0, []
    for devices in verify:
        running += devices
        sums.append(running)
    # The smallest bin whose devices, with all faster ones, make up the share.
    at = bisect_left(sums, share * total)
    return AtMost(VERIFY_BOUNDS_S[at] if at < len(VERIFY_BOUNDS_S) else None)
