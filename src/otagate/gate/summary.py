"""All gates of one look as one answer. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from otagate.gate.verdict import Check, Demand, GateResult, Verdict
from otagate.policy.model.gates import Action


@dataclass(frozen=True, slots=True)
class Summary:
    """All gates of one look together.

    Attributes:
        action: The strongest demand.
        holds: At least one gate that may stop the rollout has not passed (also true when one failed).
        all_pass: There is at least one result, none holds, and nothing demands a pause or a rollback. False without results:
            a policy without gates is the caller's case, not a pass.
        failed: Metrics that demand a pause or a rollback, sorted by strength, then in the policy's order; what latches.
        alerts: Metrics whose fail is only reported.
        holding: Metrics that hold without having failed, in the policy's order.
        warnings: Metrics between target and limit.
    """

    action: Demand
    holds: bool
    all_pass: bool
    failed: tuple[str, ...]
    alerts: tuple[str, ...]
    holding: tuple[str, ...]
    warnings: tuple[str, ...]


def combine(results: Sequence[GateResult]) -> Summary:
    """Put all gates of one look together. The strongest demand wins; a fail beats an error of another metric."""
    action = max((result.action for result in results), key=lambda demand: demand.rank, default=Demand.NONE)
    failed = sorted((one for one in results if one.action.stops), key=lambda one: -one.action.rank)
    holds = any(one.holds or one.action.stops for one in results)
    return Summary(
        action=action,
        holds=holds,
        all_pass=bool(results) and not holds,
        failed=tuple(one.metric for one in failed),
        alerts=tuple(one.metric for one in results if one.action is Demand.ALERT),
        holding=tuple(one.metric for one in results if one.holds and not one.action.stops),
        warnings=tuple(one.metric for one in results if one.verdict is Verdict.WARN),
    )


def is_lifted(result: GateResult, waived: Collection[str]) -> bool:
    """Tell whether somebody waived all that a gate says or demands: all but a rollback by another limit than the main one.

    The main one is what the gate is about; the only limit of a gate is its main one, whatever its name.
    """
    return result.metric in waived and not any(rolls_back_all_the_same(result, check) for check in result.checks)


def rolls_back_all_the_same(result: GateResult, check: Check) -> bool:
    """Tell whether a check demands a rollback though its gate was waived: it is another limit than the main one."""
    return check.demand is Demand.ROLLBACK and check.name != "limit" and len(result.checks) > 1


def overall(results: Sequence[GateResult], waived: Collection[str] = ()) -> Verdict:
    """Give one verdict for all gates, without those whose failures were ``waived``; ``warn`` when all were.

    It is the worst of what holds the rollout; else of what passed; and, where no gate may stop a rollout, of everything. What
    only alerts is never louder than a gate that passed.
    """
    left = [result for result in results if not is_lifted(result, waived)]
    if results and not left:
        return Verdict.WARN
    gating = [result for result in left if result.is_gating]
    held = [check.verdict for one in gating if one.holds for check in one.checks if check.action is not Action.ALERT]
    passed = [check.verdict for one in gating for check in one.checks if check.verdict.lets_through]
    pool = held or passed or [result.verdict for result in left]
    return max(pool, key=lambda verdict: verdict.severity, default=Verdict.NO_DATA)
