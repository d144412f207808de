"""What was stored as a rollout's spec, or as what was measured, and can be no such thing. Pure.

A policy is checked where it is read. What stands in a store was written by otagate, or by somebody else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal

from otagate.rollout.state import RolloutSpec


def unsound(spec: RolloutSpec) -> str:
    """Say why nothing can be decided by a spec, or ""."""
    if not spec.track.phases:
        return "a track without phases"
    for phase in spec.track.phases:
        if not phase.ramp:
            return f"phase {phase.name} without a weight"
    for name, number in _shares(spec):
        if not 0 <= number <= 1:
            return f"{name} = {number}"
    if not (spec.judgement.alpha_pause and spec.judgement.alpha_rollback):
        return "an error budget of nothing"
    return next((f"{gate.metric}: max_increase" for gate in spec.gates if (gate.max_increase or 0) < 0), "")


def _shares(spec: RolloutSpec) -> Iterator[tuple[str, Decimal]]:
    yield "alpha_pause", spec.judgement.alpha_pause
    yield "alpha_rollback", spec.judgement.alpha_rollback
    yield "min_coverage", spec.judgement.min_coverage
    for gate in spec.gates:
        limits = [limit.max_share for limit in gate.limits]
        above = gate.escalate.above if gate.escalate else None
        for share in (gate.max, gate.min, gate.target, above, *limits):
            if share is not None:
                yield f"a share of {gate.metric}", share


def is_number(text: str | None) -> bool:
    """Tell whether a plain number that was kept as text is one."""
    try:
        return text is None or math.isfinite(float(text))
    except ValueError:
        return False
