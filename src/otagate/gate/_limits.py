"""A gate's thresholds as a flat list of limits, and the error budget of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from otagate._text import harmless, span
from otagate.errors import PolicyError
from otagate.gate.verdict import CheckKind
from otagate.policy.model.gates import Action, GateSpec, Judgement


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: mostly, at most ``threshold`` of the devices may be bad.

    Attributes:
        name: ``limit``, ``escalate`` or such as ``over 45s``, ``max``.
        threshold: Share of bad devices, 0..1; of a contrast the increase, of a value its bound, of a split 0.
        target: Share of bad devices beyond which it warns, or None.
        action: What a fail does.
        over: Which exceedance reading it is about, or None.
        kind: What is compared.
    """

    name: str
    threshold: Decimal
    target: Decimal | None
    action: Action
    over: timedelta | None = None
    kind: CheckKind = CheckKind.SHARE

    @property
    def is_gating(self) -> bool:
        """Whether a fail stops a rollout."""
        return self.action is not Action.ALERT


@dataclass(frozen=True, slots=True)
class Budget:
    """How much evidence acts: natural logarithms of 1/alpha.

    Attributes:
        pause: From here on it pauses, or alerts when that is the action.
        rollback: From here on it rolls back; None when that is not its action.
    """

    pause: float
    rollback: float | None


def limits_of(spec: GateSpec) -> tuple[Limit, ...]:
    """List the limits of a gate in the policy's order.

    Raises:
        PolicyError: The gate has no threshold at all; such a gate would pass anything.
    """
    other = _other_limits(spec)
    if other:
        return other
    if spec.limits:
        return tuple(Limit(f"over {span(one.over)}", one.max_share, None, one.action, one.over) for one in spec.limits)
    if spec.max is not None:
        main = Limit("limit", spec.max, spec.target, spec.action)
    elif spec.min is not None:
        # Sources count bad devices; 1 - x is exact in decimals.
        target = None if spec.target is None else 1 - spec.target
        main = Limit("limit", 1 - spec.min, target, spec.action)
    else:
        raise PolicyError(
            "this gate has no threshold",
            subject=f"gates.{harmless(spec.metric)}",
            expected="`max`, `min`, `limits`, `max_increase`, `split` or `value`",
            remedy="give the gate a threshold, or remove it",
        )
    if spec.escalate is None:
        return (main,)
    return (main, Limit("escalate", spec.escalate.above, None, spec.escalate.action))


def _other_limits(spec: GateSpec) -> tuple[Limit, ...]:
    """List the limits of a gate that is not about a share of bad devices."""
    if spec.max_increase is not None:
        return (Limit("increase", spec.max_increase, None, spec.action, kind=CheckKind.CONTRAST),)
    if spec.split is not None:
        return (Limit("split", Decimal(0), None, spec.action, kind=CheckKind.SPLIT),)
    if spec.value is None:
        return ()
    # A plain number has no error budget: nothing is known of how it varies, so it never does more than pause.
    action = Action.ALERT if spec.action is Action.ALERT else Action.PAUSE
    bounds = (("max", spec.value.max), ("min", spec.value.min))
    return tuple(Limit(name, bound, None, action, kind=CheckKind.VALUE) for name, bound in bounds if bound is not None)


def is_gating(spec: GateSpec) -> bool:
    """Tell whether a gate may stop a rollout: some limit of it pauses or rolls back, and it is no dry run."""
    return not spec.dry_run and any(limit.is_gating for limit in limits_of(spec))


def count_gating(specs: Sequence[GateSpec]) -> int:
    """Count the gates that may stop a rollout, at least 1: what the error budgets are split over.

    Gates on a plain number spend nothing of a budget.

    Raises:
        PolicyError: A gate has no threshold.
    """
    return max(1, sum(1 for spec in specs if is_gating(spec) and spec.value is None))


def budget_of(limit: Limit, spec: GateSpec, judgement: Judgement, gating_metrics: int) -> Budget:
    """Give a limit its part of the error budget.

    The chance of stopping a good release by accident is promised for all gates of a phase together, so it is divided by the
    number of metrics that may stop it, and by the number of an exceedance gate's limits that may: each is its own question.
    """
    if not limit.is_gating:
        return Budget(_log_inverse(judgement.alpha_pause, 1), None)
    parts = gating_metrics * max(1, sum(one.action is not Action.ALERT for one in spec.limits))
    rollback = _log_inverse(judgement.alpha_rollback, parts) if limit.action is Action.ROLLBACK else None
    return Budget(_log_inverse(judgement.alpha_pause, parts), rollback)


def _log_inverse(alpha: Decimal, parts: int) -> float:
    return math.log(parts) - math.log(alpha)
