"""A gate's limits, and what each can see: :mod:`otagate.gate.power` for thresholds as a policy says them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from otagate.gate._limits import Limit, budget_of, limits_of
from otagate.gate.power import Outlook, Plan, devices_to_prove, devices_to_see_twice, even_looks, outlook, smallest_caught
from otagate.gate.verdict import CheckKind
from otagate.policy.model.gates import Action, GateSpec, Judgement

TIMES = tuple(Fraction(text) for text in ("1/4", "1/2", "1", "2", "3", "5", "15"))
"""Releases that are shown when none are named: so many times the limit."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one limit of one gate can see.

    Attributes:
        metric: The gate's name.
        limit: The limit's name, such as ``limit``, ``escalate`` or ``over 45s``.
        action: What its fail does.
        plan: How it is looked at.
        outlooks: What becomes of releases, by their true share of bad devices.
        caught: The smallest share that is caught with 95 %, or None.
        twice: From so many devices on, a release of twice the limit is caught with 95 % at the planned look, or None.
        proof: Devices that prove a release without any bad device, and one at half the limit, to be below it; or None.
    """

    metric: str
    limit: str
    action: Action
    plan: Plan
    outlooks: tuple[Outlook, ...]
    caught: float | None
    twice: int | None
    proof: tuple[int | None, int | None]


def limits_a_share(spec: GateSpec) -> bool:
    """Tell whether a gate has limits on a share of bad devices: only those can be foreseen from the number of devices."""
    return all(limit.kind is CheckKind.SHARE for limit in limits_of(spec))


def forecasts(
    spec: GateSpec, judgement: Judgement, gating_metrics: int, *, devices: int | None, hours: int, rates: Sequence[Fraction]
) -> list[Forecast]:
    """Foresee what each limit of a gate sees.

    Args:
        spec: The gate.
        judgement: How it is judged.
        gating_metrics: Over how many metrics the error budgets are split.
        devices: Devices by the planned look, or None: as many as it needs.
        hours: Looks until then, one an hour.
        rates: True shares of bad devices; empty: :data:`TIMES` the limit.

    Raises:
        PolicyError: The gate has no threshold.
    """
    known = max(1, spec.min_sample) if devices is None else devices
    looks = even_looks(known, hours)
    return [_forecast(spec, limit, judgement, gating_metrics, looks=looks, rates=rates) for limit in limits_of(spec)]


def _forecast(
    spec: GateSpec, limit: Limit, judgement: Judgement, parts: int, *, looks: tuple[int, ...], rates: Sequence[Fraction]
) -> Forecast:
    budget = budget_of(limit, spec, judgement, parts)
    plan = Plan(Fraction(limit.threshold), spec.min_sample, budget.pause, looks)
    shown = rates or [plan.limit * times for times in TIMES if plan.limit * times <= 1]
    prove = (devices_to_prove(plan.limit, rate, plan.log_e) for rate in (0.0, float(plan.limit / 2)))
    return Forecast(
        metric=spec.metric,
        limit=limit.name,
        action=limit.action,
        plan=plan,
        outlooks=tuple(outlook(plan, float(rate)) for rate in shown),
        caught=smallest_caught(plan),
        twice=devices_to_see_twice(plan.limit),
        proof=(next(prove), next(prove)),
    )
