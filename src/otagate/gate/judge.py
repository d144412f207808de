"""Readings to verdicts: the one place that decides what numbers mean. Pure: no clock, no IO.

Three rules stand above the rest. Only an explicit pass lets a rollout go on. No data is neither a pass nor a fail. Between
planned looks only evidence that stays valid however often one looks may act (:func:`otagate.gate.stats.log_e_up`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from otagate.gate.verdict import Check, Demand, GateResult, Look, LookKind, Reading, Summary, Verdict
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
    """
    raise NotImplementedError


def combine(results: Sequence[GateResult]) -> Summary:
    """Put all gates of one look together. The strongest demand wins; a fail beats an error of another metric."""
    raise NotImplementedError


def count_gating(specs: Sequence[GateSpec]) -> int:
    """Count the gates that may stop a rollout, at least 1: what the error budgets are split over."""
    return max(1, sum(1 for spec in specs if is_gating(spec)))


def is_gating(spec: GateSpec) -> bool:
    """Tell whether a gate may stop a rollout: some limit of it pauses or rolls back, and it is no dry run."""
    raise NotImplementedError
