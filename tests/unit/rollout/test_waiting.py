"""What a rollout waits for, how long, and what it says meanwhile: no wait is for ever, and none is taken for health."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from otagate.gate.interface import Measurement, SourceError
from otagate.gate.judge import Look, LookKind, Reading, Verdict, judge
from otagate.policy.model.gates import Action, Escalation, GateSpec, Judgement, Limit
from otagate.policy.model.tracks import OnInsufficient
from otagate.rollout import machine
from otagate.rollout.reconciler import Outcome
from otagate.rollout.state import Stage
from support.rollouts import finished, fresh
from support.world import DAY, HOUR, NOW, World, phase, track

RAMP = track(phase("stable", 5, 100))
ID = "1.0.0-production"
ERRORS = GateSpec(
    "error_rate",
    max=Decimal("0.005"),
    action=Action.ALERT,
    min_sample=1000,
    escalate=Escalation(Decimal("0.05"), Action.PAUSE),
)
SOON, LATE = timedelta(seconds=45), timedelta(seconds=120)
SLOW = GateSpec(
    "verification_time", limits=(Limit(SOON, Decimal("0.05"), Action.ALERT), Limit(LATE, Decimal("0.05"), Action.PAUSE))
)


def look_until(world: World, happens: Callable[[Outcome], bool], *, every: timedelta = 12 * HOUR) -> Outcome:
    """Reconcile again and again until something is so."""
    for _ in range(200):
        world.clock.pass_(every)
        outcome = world.reconcile()
        if happens(outcome):
            return outcome
    raise TimeoutError(every)


# --- a limit that only alerts, beside one that acts ----------------------------------------------------------------------


def test_an_alert_beyond_doubt_does_not_make_the_limit_beside_it_wait_for_ever(tmp_path: Path) -> None:
    """3 % of 300 devices: far above what alerts, below what pauses, and too few for either planned look."""
    world = World(tmp_path, spec=RAMP, gates=[ERRORS])
    world.devices.says = {"error_rate": (9, 300)}
    world.run()
    outcome = look_until(world, lambda one: one.state.stage is Stage.PAUSED)
    assert "too few devices for error_rate" in outcome.state.paused_by
    assert world.clock.now() - NOW == 4 * DAY, "a soak, and max_wait"
    assert world.kinds().count("gate.failed") == 1, "the alert, once"


def test_too_few_devices_beside_an_alert_can_be_approved(tmp_path: Path) -> None:
    asks = track(phase("stable", 5, 100, on_insufficient=OnInsufficient.APPROVE))
    world = World(tmp_path, spec=asks, gates=[ERRORS])
    world.devices.says = {"error_rate": (9, 300)}
    world.run()
    waits = world.reconcile()
    assert waits.results[0].reason.startswith("9 of 300 devices bad (3%): beyond doubt")
    world.clock.pass_(DAY)
    assert "700 more devices are needed" in world.reconcile().waiting_for, "what is waited for, not what was alerted"
    look_until(world, lambda one: one.state.stage is Stage.AWAITING_APPROVAL)
    world.process().reconciler.command(ID, lambda state, now: machine.approve(state, "ana", "small fleet", now))
    assert world.reconcile().state.step == 1


def test_a_limit_without_an_answer_beside_an_alert_runs_out_of_its_grace() -> None:
    """The source tells of one duration and fails for the other."""
    state = finished(machine.decide(fresh(spec=RAMP, gates=(SLOW,)), (), NOW), NOW)

    def decided(now: datetime) -> Stage:
        readings = [
            Reading("verification_time", NOW, now, Measurement(300, 400, now, "test"), SOON),
            Reading("verification_time", NOW, now, SourceError("no such column"), LATE),
        ]
        look = Look(LookKind.INTERIM, NOW, NOW + DAY)
        said = judge(SLOW, readings, look=look, judgement=Judgement(), gating_metrics=1, now=now)
        assert (said.verdict, said.holding.verdict) == (Verdict.FAIL, Verdict.ERROR)
        nonlocal state
        state = machine.decide(state, [said], now)
        return state.stage

    assert decided(NOW + HOUR) is Stage.SOAKING
    assert decided(NOW + 4 * HOUR) is Stage.PAUSED
    assert "now error" in state.paused_by
