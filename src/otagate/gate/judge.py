"""Readings to verdicts: the one place that decides what numbers mean. Pure: no clock, no IO.

Three rules stand above the rest. Only an explicit pass lets a rollout go on. No data is neither a pass nor a fail. Between
planned looks only evidence that stays valid however often one looks may act (:func:`otagate.gate.stats.log_e_up`).

The order of questions for each limit, the first that answers decides (docs/gates.md, "From a reading to a verdict"):

1. nothing measured, or the source failed, or what it said cannot be true: ``error``
2. no device: ``no_data``
3. overwhelming evidence against it, whenever we look: ``fail``; whose fate is not known yet counts as not bad
4. the newest observation is too old: ``stale``
5. this is not the planned look: ``inconclusive``
6. fewer devices than ``min_sample``: ``insufficient``
7. more bad devices than the limit: ``fail``; ``insufficient`` when it was within it at the planned look of this soak
8. too little of the soak covered, or with ``evidence: prove`` not proven: ``insufficient``
9. more bad devices than the target: ``warn``, otherwise ``pass``

Contrasts, splits and plain numbers answer the same questions in their own way (:mod:`otagate.gate._others`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from otagate.gate import stats
from otagate.gate._case import CLOCK_SKEW, MOST_DEVICES, Case, Finding, counts_of
from otagate.gate._limits import Budget, Limit, budget_of, count_gating, is_gating, limits_of
from otagate.gate._others import control_of, find_contrast, find_split, find_value, next_streak
from otagate.gate._shares import find
from otagate.gate.interface import Measurement
from otagate.gate.look import Look, LookKind, Reading, Streak
from otagate.gate.sequence import confidence_sequence
from otagate.gate.summary import Summary, combine
from otagate.gate.verdict import Check, CheckKind, Demand, GateResult, Verdict
from otagate.model import FULL_WEIGHT
from otagate.policy.model.gates import GateSpec, Judgement

__all__ = [
    "CLOCK_SKEW",
    "MOST_DEVICES",
    "Check",
    "CheckKind",
    "Demand",
    "GateResult",
    "Look",
    "LookKind",
    "Reading",
    "Streak",
    "Summary",
    "Verdict",
    "combine",
    "count_gating",
    "is_gating",
    "judge",
    "judge_all",
]

_BY_KIND: dict[CheckKind, Callable[[Case, Reading | None], Finding]] = {
    CheckKind.SHARE: find,
    CheckKind.CONTRAST: find_contrast,
    CheckKind.SPLIT: find_split,
    CheckKind.VALUE: find_value,
}


def judge_all(
    specs: Sequence[GateSpec],
    readings: Sequence[Reading],
    *,
    look: Look,
    judgement: Judgement,
    gating_metrics: int,
    now: datetime,
    streaks: Mapping[str, Streak] | None = None,
) -> tuple[GateResult, ...]:
    """Judge several gates of one look; see :func:`judge`. ``streaks`` is what gates on plain numbers remember, by metric."""
    known = streaks or {}
    return tuple(
        judge(
            spec,
            readings,
            look=look,
            judgement=judgement,
            gating_metrics=gating_metrics,
            now=now,
            streak=known.get(spec.metric),
        )
        for spec in specs
    )


def judge(
    spec: GateSpec,
    readings: Sequence[Reading],
    *,
    look: Look,
    judgement: Judgement,
    gating_metrics: int,
    now: datetime,
    streak: Streak | None = None,
) -> GateResult:
    """Judge one gate.

    Args:
        spec: Its thresholds, as frozen at the rollout's start.
        readings: What was measured; those of other metrics are ignored, a missing one is an ``error``.
        look: Why we look.
        judgement: How to judge.
        gating_metrics: Over how many metrics the error budgets are split: :func:`count_gating`.
        now: The instant of this look, the same for all gates of it.
        streak: What a gate on a plain number remembered from the last look.

    Raises:
        PolicyError: The gate has no threshold.
    """
    by_over = {reading.over: reading for reading in readings if reading.metric == spec.metric}
    after = next_streak(spec, by_over.get(None), streak, now, judgement)
    pairs = []
    for limit in limits_of(spec):
        case = Case(limit, budget_of(limit, spec, judgement, gating_metrics), spec, look, judgement, now, after)
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
        streak=after,
    )


def _holds(limit: Limit, check: Check, look: Look, *, is_due: bool) -> bool:
    if not limit.is_gating or check.verdict.lets_through:
        return False
    # A gate whose look is at the end of the phase does not keep the phase from its next weight.
    is_early = look.kind is LookKind.SOAK_END and not is_due and check.verdict is Verdict.INCONCLUSIVE
    return not is_early


def _check(case: Case, reading: Reading | None) -> Check:
    measured = reading.outcome if reading and isinstance(reading.outcome, Measurement) else None
    counts = counts_of(measured) if measured else None
    is_share = case.limit.kind is CheckKind.SHARE
    finding = _BY_KIND[case.limit.kind](case, reading)
    return Check(
        name=case.limit.name,
        verdict=finding.verdict,
        action=case.limit.action,
        demand=Demand.NONE if case.spec.dry_run else finding.demand,
        threshold=_threshold(case),
        target=case.limit.target,
        bad=counts[0] if counts else None,
        total=counts[1] if counts else None,
        interval=stats.wilson(*counts) if counts else None,
        log_e=finding.log_e,
        log_e_pause=case.budget.pause,
        log_e_rollback=case.budget.rollback,
        missing=_missing(case, measured, counts),
        start=reading.start if reading else None,
        end=reading.end if reading else None,
        newest_at=measured.newest_at if measured else None,
        query=measured.query if measured else "",
        digest=measured.digest if measured else None,
        reason=finding.reason,
        kind=case.limit.kind,
        pending=measured.pending if measured and is_share else 0,
        sequence=_sequence(counts, measured.pending, _alpha(case.budget)) if counts and measured and is_share else None,
        log_e_below=finding.log_e_below,
        control=control_of(measured) if measured and case.limit.kind is CheckKind.CONTRAST else None,
        value=measured.value if measured else None,
        streak=case.streak.count if case.streak else 0,
    )


def _missing(case: Case, measured: Measurement | None, counts: tuple[int, int] | None) -> int:
    if case.limit.kind is CheckKind.VALUE:
        return 0
    known = counts[1] if counts else 0
    if counts and measured and case.limit.kind is CheckKind.CONTRAST:
        known = min(sum(row.total for row in measured.rows), control_of(measured)[1])  # each side by side with the other
    return max(0, case.spec.min_sample - known)


def _threshold(case: Case) -> Decimal:
    return Decimal(case.look.weight_bps) / FULL_WEIGHT if case.limit.kind is CheckKind.SPLIT else case.limit.threshold


def _sequence(counts: tuple[int, int], pending: int, alpha: float) -> tuple[float, float]:
    """Give the interval that holds at every look, whatever becomes of the devices whose fate is not known yet."""
    bad, total = counts
    low, high = confidence_sequence(bad, total + pending, alpha)
    return (low, confidence_sequence(bad + pending, total + pending, alpha)[1]) if pending else (low, high)


def _alpha(budget: Budget) -> float:
    return math.exp(-budget.pause)
