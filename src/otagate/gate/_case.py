"""What one check is judged by and what comes of it, and the words that all kinds of checks share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from otagate._text import harmless, span
from otagate.gate._limits import Budget, Limit
from otagate.gate.interface import Measurement, SourceError
from otagate.gate.look import Look, Reading, Streak
from otagate.gate.verdict import Demand, Verdict
from otagate.policy.model.gates import Action, GateSpec, Judgement

MOST_DEVICES = 10**12
"""Larger counts are a broken source: there are fewer phones."""
CLOCK_SKEW = timedelta(minutes=5)
"""So far an observation may lie in the future before it is disbelieved."""


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that one limit is judged by. ``streak`` is the gate's, with this look already counted."""

    limit: Limit
    budget: Budget
    spec: GateSpec
    look: Look
    judgement: Judgement
    now: datetime
    streak: Streak | None = None

    @property
    def is_due(self) -> bool:
        """Whether this is the gate's planned look."""
        return self.look.is_planned_for(self.spec)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check says, and the evidence for it."""

    verdict: Verdict
    reason: str
    demand: Demand = Demand.NONE
    log_e: float | None = None
    log_e_below: float | None = None


def without_counts(case: Case, reading: Reading | None) -> Finding | None:
    """Say what a reading without usable numbers means, or give None when it has a measurement that can be true."""
    if reading is None:
        return Finding(Verdict.ERROR, "this was not measured")
    if isinstance(reading.outcome, SourceError):
        return Finding(Verdict.ERROR, _one_line(reading.outcome))
    if reading.outcome is None:
        return Finding(Verdict.INSUFFICIENT if case.is_due else Verdict.INCONCLUSIVE, "no device can have matured yet")
    wrong = contradiction(reading.outcome) or _from_the_future(reading.outcome.newest_at, case.now)
    return Finding(Verdict.ERROR, wrong) if wrong else None


def counts_of(measured: Measurement) -> tuple[int, int] | None:
    """Give (bad, total) when they make sense and there is at least one device, otherwise None."""
    if contradiction(measured) or not measured.total:
        return None
    # A source that knows the devices and names no bad one has seen none: the total shows that it works.
    return measured.bad or 0, measured.total


def contradiction(measured: Measurement) -> str | None:
    """Say what cannot be true of a measurement, or give None."""
    for name, count in (("bad", measured.bad), ("total", measured.total), ("pending", measured.pending)):
        # The types promise it; a source may break the promise, and True counts as 1 in Python.
        if count is not None and (type(count) is not int or not 0 <= count <= MOST_DEVICES):
            return f"the source said {name} = {harmless(repr(count), 40)}, which is not a count of devices"
    if (measured.bad or 0) > (measured.total or 0):
        return f"the source said {measured.bad} bad of {measured.total or 'no'} devices, which cannot be"
    return None


def is_of_window(reading: Reading) -> bool:
    """Tell whether the numbers are about this window; counts from before it are about something else."""
    newest = _newest(reading)
    return newest is None or newest >= reading.start


def stale(case: Case, reading: Reading) -> Finding | None:
    """Say that the newest observation is too old, or give None."""
    newest = _newest(reading)
    if newest is None or not is_stale(reading, case.judgement):
        return None
    age = span(max(timedelta(0), case.now - newest))
    return Finding(Verdict.STALE, f"the newest observation is {age} old, and nothing newer came")


def is_stale(reading: Reading, judgement: Judgement) -> bool:
    """Tell whether the newest observation is too old, or from before the window."""
    newest = _newest(reading)
    return newest is not None and newest < max(reading.start, reading.end - judgement.max_staleness)


def uncovered(case: Case, reading: Reading, told: str) -> Finding | None:
    """Say that the data covers too little of the soak, or give None."""
    least_time = (case.look.soak_end - case.look.soak_start) * float(case.judgement.min_coverage)
    newest = _newest(reading)
    # What came at last does not make up for hours in which nothing came.
    heard = case.now - case.look.soak_start - case.look.silent.get(case.spec.metric, timedelta(0))
    if heard >= least_time and (newest is None or newest >= case.look.soak_start + least_time):
        return None
    least = percent(case.judgement.min_coverage)
    return Finding(Verdict.INSUFFICIENT, f"{told}: the data covers less than {least} of the soak")


def beyond_doubt(case: Case, log_e: float, said: Callable[[], str]) -> Finding | None:
    """Say fail when the evidence suffices, whenever one looks; None when it does not."""
    if case.budget.rollback is not None and log_e >= case.budget.rollback:
        return Finding(Verdict.FAIL, said(), Demand.ROLLBACK)
    if log_e >= case.budget.pause:
        return Finding(Verdict.FAIL, said(), Demand.PAUSE if case.limit.is_gating else Demand.ALERT)
    return None


def demand_of(action: Action) -> Demand:
    """Give what an action of the policy asks for."""
    return Demand(action.value)


def tell(counts: tuple[int, int], pending: int = 0) -> str:
    """Write counts for people."""
    bad, total = counts
    told = f"{bad} of {total} devices bad ({percent(Fraction(bad, total))})"
    return f"{told}, {pending} on their way" if pending else told


def percent(share: Fraction | Decimal | float) -> str:
    """Write a share for people."""
    return f"{float(share) * 100:.4g}%"


def _newest(reading: Reading) -> datetime | None:
    return reading.outcome.newest_at if isinstance(reading.outcome, Measurement) else None


def _from_the_future(newest: datetime | None, now: datetime) -> str | None:
    if newest is not None and newest > now + CLOCK_SKEW:
        return f"the source's newest observation lies {span(newest - now)} in the future"
    return None


def _one_line(error: SourceError) -> str:
    parts = (error.what, error.subject, error.found)
    said = ": ".join(part for part in parts if part)
    return harmless(f"{said}; {error.remedy}" if error.remedy else said, 400)
