"""The same rehearsal with many seeds, and what they have in common."""

from __future__ import annotations

import math
import multiprocessing
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from otagate.flow.rehearse.model import Ending, Rehearsed, Scenario
from otagate.flow.rehearse.run import rehearse
from otagate.policy.model.policy import Policy

OnDone = Callable[[int], None]
"""Told how many are done."""


def _silent(_done: int) -> None:
    """Say nothing."""


def rehearse_many(
    policy: Policy, scenario: Scenario, seeds: Sequence[int], *, jobs: int = 1, on_done: OnDone = _silent
) -> list[Rehearsed]:
    """Rehearse once a seed, in the order of the seeds.

    Args:
        policy: What is rehearsed.
        scenario: How.
        seeds: Of all chance.
        jobs: Processes at once.
        on_done: Told after each.

    Raises:
        OtagateError: It cannot be begun.
    """
    one = partial(rehearse, policy, scenario)
    if jobs == 1 or len(seeds) == 1:
        return _collected(map(one, seeds), on_done)
    # Started anew, not forked: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=context, initializer=_leave_interrupts) as pool:
        try:
            return _collected(pool.map(one, seeds), on_done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _leave_interrupts() -> None:
    """Let Ctrl-C be answered by the process that was started, once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _collected(runs: Iterable[Rehearsed], on_done: OnDone) -> list[Rehearsed]:
    found = []
    for run in runs:
        found.append(run)
        on_done(len(found))
    return found


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the upper end of several values, by nearest rank."""

    median: float
    p90: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What several rehearsals have in common.

    Attributes:
        runs: How many.
        endings: How many ended each way.
        stopped_by: How many stops by gate.
        false_stops: Stopped by a gate with nothing wrong with the release.
        held_once: Paused for another reason at some time, whether or not it went on later.
        stopped_after_s: Seconds until the stop, of those that a gate stopped.
        exposed_at_stop: Devices that ran the release by then.
        met_at_stop: Devices that met the fault by then.
        met: Devices that met the fault in all, of all runs.
        ended_after_s: Seconds until the end, of those that completed.
        back_after_s: Seconds until the last device was back, of those that were rolled back.
    """

    runs: int
    endings: dict[str, int]
    stopped_by: dict[str, int]
    false_stops: int
    held_once: int
    stopped_after_s: Spread | None
    exposed_at_stop: Spread | None
    met_at_stop: Spread | None
    met: Spread | None
    ended_after_s: Spread | None
    back_after_s: Spread | None


def summarise(runs: Sequence[Rehearsed]) -> Summary:
    """Give what they have in common."""
    stops = [run.stop for run in runs if run.ending is Ending.STOPPED and run.stop is not None]
    counted = Counter(run.ending for run in runs)
    return Summary(
        runs=len(runs),
        endings={ending.value: counted[ending] for ending in Ending},
        stopped_by=dict(Counter(stop.metric for stop in stops).most_common()),
        false_stops=sum(run.is_false_stop for run in runs),
        held_once=sum(run.is_held_once for run in runs),
        stopped_after_s=spread_of(_seconds(stop.at for stop in stops)),
        exposed_at_stop=spread_of([stop.exposed for stop in stops]),
        met_at_stop=spread_of([stop.met for stop in stops]),
        met=spread_of([run.met for run in runs]),
        ended_after_s=spread_of(_seconds(run.ended_at for run in runs if run.ending is Ending.COMPLETED)),
        back_after_s=spread_of(_seconds(run.back_after for run in runs if run.back_after is not None)),
    )


def _seconds(lengths: Iterable[timedelta]) -> list[float]:
    return [length.total_seconds() for length in lengths]


def spread_of(values: Sequence[float]) -> Spread | None:
    """Give median and 90th percentile by nearest rank, or None of nothing."""
    if not values:
        return None
    ranked = sorted(values)
    return Spread(ranked[math.ceil(0.5 * len(ranked)) - 1], ranked[math.ceil(0.9 * len(ranked)) - 1])
