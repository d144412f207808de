"""Readings to verdicts: the one place that decides what numbers mean. Pure: no clock, no IO.

Three rules stand above the rest. Only an explicit pass lets a rollout go on. No data is neither a pass nor a fail. Between
planned looks only evidence that stays valid however often one looks may act (:func:`otagate.gate.stats.log_e_up`).

The order of questions for each limit, the first that answers decides (docs/gates.md, "From a reading to a verdict"):

1. nothing measured, or the source failed, or what it said cannot be true: ``error``
2. no device: ``no_data``
3. overwhelming evidence against it, whenever we look: ``fail``
4. the newest observation is too old: ``stale``
5. this is not the planned look: ``inconclusive``
6. fewer devices than ``min_sample``: ``insufficient``
7. more bad devices than the limit: ``fail``
8. too little of the soak covered: ``insufficient``
9. more bad devices than the target: ``warn``, otherwise ``pass``
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from otagate._text import harmless, span
from otagate.gate import stats
from otagate.gate._limits import Budget, Limit, budget_of, count_gating, is_gating, limits_of
from otagate.gate.interface import Measurement, SourceError
from otagate.gate.summary import Summary, combine
from otagate.gate.verdict import Check, Demand, GateResult, Look, LookKind, Reading, Verdict
from otagate.policy.model import GateSpec, Judgement

__all__ = [
    "Check",
    "Demand",
    "GateResult",
    "Look",
    "LookKind",
    "Reading",
    "Summary",
    "Verdict",
    "combine",
    "count_gating",
    "is_gating",
    "judge",
]

MOST_DEVICES = 10**12
"""Larger counts are a broken source: there are fewer phones."""
CLOCK_SKEW = timedelta(minutes=5)
"""So far an observation may lie in the future before it is disbelieved."""


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that one limit is judged by."""

    limit: Limit
    budget: Budget
    spec: GateSpec
    look: Look
    judgement: Judgement
    now: datetime

    @property
    def is_due(self) -> bool:
        return self.look.is_planned_for(self.spec)


@dataclass(frozen=True, slots=True)
class _Finding:
    verdict: Verdict
    reason: str
    demand: Demand = Demand.NONE


def judge(
    spec: GateSpec,
    readings: Sequence[Reading],
    *,
    look: Look,
    judgement: Judgement,
    gating_metrics: int,
    now: datetime,
) -> GateResult:
    """Judge one gate.

    Args:
        spec: Its thresholds, as frozen at the rollout's start.
        readings: What was measured; those of other metrics are ignored, a missing one is an ``error``.
        look: Why we look.
        judgement: How to judge.
        gating_metrics: Over how many metrics the error budgets are split: :func:`count_gating`.
        now: The instant of this look, the same for all gates of it.

    Raises:
        PolicyError: The gate has no threshold.
    """
    by_over = {reading.over: reading for reading in readings if reading.metric == spec.metric}
    pairs = []
    for limit in limits_of(spec):
        case = _Case(limit, budget_of(limit, spec, judgement, gating_metrics), spec, look, judgement, now)
        pairs.append((limit, _check(case, by_over.get(limit.over))))
    checks = tuple(check for _, check in pairs)
    worst = max(checks, key=lambda check: check.verdict.severity)
    is_due = look.is_planned_for(spec)
    return GateResult(
        metric=spec.metric,
        verdict=worst.verdict,
        action=max((check.demand for check in checks), key=lambda demand: demand.rank),
        holds=not spec.dry_run and any(_holds(limit, check, look, is_due=is_due) for limit, check in pairs),
        is_gating=is_gating(spec),
        is_due=is_due,
        is_dry_run=spec.dry_run,
        checks=checks,
    )


def _holds(limit: Limit, check: Check, look: Look, *, is_due: bool) -> bool:
    if not limit.is_gating or check.verdict.lets_through:
        return False
    # A gate whose look is at the end of the phase does not keep the phase from its next weight.
    is_early = look.kind is LookKind.SOAK_END and not is_due and check.verdict is Verdict.INCONCLUSIVE
    return not is_early


def _check(case: _Case, reading: Reading | None) -> Check:
    measured = reading.outcome if reading and isinstance(reading.outcome, Measurement) else None
    counts = _counts(measured) if measured else None
    log_e = stats.log_e_up(*counts, float(case.limit.threshold)) if counts else None
    finding = _find(case, reading, counts, log_e)
    return Check(
        name=case.limit.name,
        verdict=finding.verdict,
        action=case.limit.action,
        demand=Demand.NONE if case.spec.dry_run else finding.demand,
        threshold=case.limit.threshold,
        target=case.limit.target,
        bad=counts[0] if counts else None,
        total=counts[1] if counts else None,
        interval=stats.wilson(*counts) if counts else None,
        log_e=log_e,
        log_e_pause=case.budget.pause,
        log_e_rollback=case.budget.rollback,
        missing=max(0, case.spec.min_sample - (counts[1] if counts else 0)),
        start=reading.start if reading else None,
        end=reading.end if reading else None,
        newest_at=measured.newest_at if measured else None,
        query=measured.query if measured else "",
        digest=measured.digest if measured else None,
        reason=finding.reason,
    )


def _counts(measured: Measurement) -> tuple[int, int] | None:
    """Give (bad, total) when they make sense and there is at least one device, otherwise None."""
    if _contradiction(measured) or not measured.total:
        return None
    # A source that knows the devices and names no bad one has seen none: the total shows that it works.
    return measured.bad or 0, measured.total


def _contradiction(measured: Measurement) -> str | None:
    for name, count in (("bad", measured.bad), ("total", measured.total)):
        # The types promise it; a source may break the promise, and True counts as 1 in Python.
        if count is not None and (type(count) is not int or not 0 <= count <= MOST_DEVICES):
            return f"the source said {name} = {harmless(repr(count), 40)}, which is not a count of devices"
    if (measured.bad or 0) > (measured.total or 0):
        return f"the source said {measured.bad} bad of {measured.total or 'no'} devices, which cannot be"
    return None


def _find(case: _Case, reading: Reading | None, counts: tuple[int, int] | None, log_e: float | None) -> _Finding:
    if reading is None:
        return _Finding(Verdict.ERROR, "this was not measured")
    if isinstance(reading.outcome, SourceError):
        return _Finding(Verdict.ERROR, _one_line(reading.outcome))
    if reading.outcome is None:
        verdict = Verdict.INSUFFICIENT if case.is_due else Verdict.INCONCLUSIVE
        return _Finding(verdict, "no device can have matured yet")
    wrong = _contradiction(reading.outcome) or _from_the_future(reading.outcome.newest_at, case.now)
    if wrong:
        return _Finding(Verdict.ERROR, wrong)
    if counts is None or log_e is None:
        return _Finding(Verdict.NO_DATA, "the source knows no device of this release in this window")
    return _weigh(case, reading, counts, log_e)


def _weigh(case: _Case, reading: Reading, counts: tuple[int, int], log_e: float) -> _Finding:
    newest = reading.outcome.newest_at if isinstance(reading.outcome, Measurement) else None
    # Old counts of this window are still evidence against the release: a release that breaks devices also silences them.
    # Counts from before the window are about something else.
    is_of_window = newest is None or newest >= reading.start
    against = _evidence_against(case, counts, log_e) if is_of_window else None
    if newest is not None and newest < max(reading.start, reading.end - case.judgement.max_staleness):
        age = span(max(timedelta(0), case.now - newest))
        return against or _Finding(Verdict.STALE, f"the newest observation is {age} old, and nothing newer came")
    if not case.is_due:
        said = f"{_tell(counts)}: nothing against it so far, and its look is not due yet"
        return against or _Finding(Verdict.INCONCLUSIVE, said)
    planned = _planned(case, counts, newest)
    # Evidence that is only enough to pause must not soften a planned look that rolls back.
    return against if against and against.demand.rank >= planned.demand.rank else planned


def _evidence_against(case: _Case, counts: tuple[int, int], log_e: float) -> _Finding | None:
    said = f"{_tell(counts)}: beyond doubt more than the {_percent(case.limit.threshold)} that the limit allows"
    if case.budget.rollback is not None and log_e >= case.budget.rollback:
        return _Finding(Verdict.FAIL, said, Demand.ROLLBACK)
    if log_e >= case.budget.pause:
        demand = Demand.PAUSE if case.limit.is_gating else Demand.ALERT
        return _Finding(Verdict.FAIL, said, demand)
    return None


def _planned(case: _Case, counts: tuple[int, int], newest: datetime | None) -> _Finding:
    bad, total = counts
    share, limit, spec = Fraction(bad, total), case.limit, case.spec
    if total < spec.min_sample:
        return _Finding(Verdict.INSUFFICIENT, f"{_tell(counts)}: {spec.min_sample - total} more devices are needed to judge it")
    if share > Fraction(limit.threshold):
        said = f"{_tell(counts)}: more than the {_percent(limit.threshold)} that the limit allows"
        return _Finding(Verdict.FAIL, said, Demand(limit.action.value))
    soak = case.look.soak_end - case.look.soak_start
    reach = case.look.soak_start + soak * float(case.judgement.min_coverage)
    if newest is not None and newest < reach:
        return _Finding(
            Verdict.INSUFFICIENT,
            f"{_tell(counts)}: the data covers less than {_percent(case.judgement.min_coverage)} of the soak",
        )
    if limit.target is not None and share > Fraction(limit.target):
        return _Finding(Verdict.WARN, f"{_tell(counts)}: within the limit, beyond the target of {_percent(limit.target)}")
    return _Finding(Verdict.PASS, f"{_tell(counts)}: within the {_percent(limit.threshold)} that the limit allows")


def _from_the_future(newest: datetime | None, now: datetime) -> str | None:
    if newest is not None and newest > now + CLOCK_SKEW:
        return f"the source's newest observation lies {span(newest - now)} in the future"
    return None


def _one_line(error: SourceError) -> str:
    parts = (error.what, error.subject, error.found)
    return harmless(": ".join(part for part in parts if part), 400)


def _tell(counts: tuple[int, int]) -> str:
    bad, total = counts
    return f"{bad} of {total} devices bad ({_percent(Fraction(bad, total))})"


def _percent(share: Fraction | Decimal) -> str:
    return f"{float(share) * 100:.4g}%"
