"""Rollout states and gate results for tests of the machine, made directly."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from otagate.gate.judge import Check, Demand, GateResult, Verdict
from otagate.model import Digest, ReleaseRef, Version
from otagate.policy.model.gates import Action, GateSpec, Judgement
from otagate.policy.model.tracks import TrackSpec
from otagate.rollout import machine
from otagate.rollout.state import RolloutSpec, RolloutState
from support.world import APP, GATES, NOW, phase, track

TRACK = track(phase("internal"), phase("beta"))


def fresh(
    version: str = "1.0.0", *, spec: TrackSpec = TRACK, gates: tuple[GateSpec, ...] = GATES, **changes: Any
) -> RolloutState:
    """Give a rollout that has just been started."""
    values: dict[str, Any] = {
        "id": f"{version}-{spec.name}",
        "app": APP,
        "release": ReleaseRef(Version(version), Digest.of(version.encode())),
        "spec": RolloutSpec(spec, gates, Judgement()),
        "seed": "ab" * 16,
        "created_at": NOW,
    }
    return RolloutState(**{**values, **changes})


def finished(state: RolloutState, now: datetime) -> RolloutState:
    """Give the state after its effects were carried out and recorded."""
    return replace(machine.finish_intent(state, now), events=())


def result(
    metric: str,
    verdict: Verdict,
    action: Demand = Demand.NONE,
    *,
    holds: bool = False,
    is_due: bool = True,
    is_gating: bool = True,
    bad: int = 0,
    total: int = 1000,
) -> GateResult:
    """Give what a gate said."""
    check = Check(
        name="limit",
        verdict=verdict,
        action=Action.PAUSE,
        demand=action,
        threshold=Decimal("0.02"),
        target=None,
        bad=bad,
        total=total,
        interval=(0.0, 0.01),
        log_e=0.0,
        log_e_pause=3.0,
        log_e_rollback=None,
        missing=0,
        start=NOW,
        end=NOW,
        newest_at=None,
        query="",
        digest=None,
        reason=f"{metric} {'fails' if action.stops else verdict.value}",
    )
    return GateResult(metric, verdict, action, holds, is_gating, is_due, is_dry_run=False, checks=(check,))


PASS = (result("crash_rate", Verdict.PASS), result("success", Verdict.PASS))
FAIL_PAUSE = (result("crash_rate", Verdict.FAIL, Demand.PAUSE, holds=True), result("success", Verdict.PASS))
FAIL_ROLLBACK = (result("crash_rate", Verdict.FAIL, Demand.ROLLBACK, holds=True), result("success", Verdict.PASS))
