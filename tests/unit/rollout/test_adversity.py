"""Clocks that jump, policies that change, schedules that stop, sources that fail: a rollout in a hostile world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from otagate.flow import acting, actions, amending
from otagate.flow.workspace import Workspace
from otagate.gate.judge import Reading
from otagate.model import ChannelName
from otagate.policy.model.gates import Action, GateSpec, Judgement
from otagate.policy.model.windows import Freeze, WindowsSpec
from otagate.rollout.state import RolloutState, Stage
from support.project import Project
from support.world import BAD, DAY, GOOD, HOUR, NOW, World, check_invariants, phase, track

RAMP = track(phase("stable", 5, 50, 100))
ID = "1.0.0-production"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a rollout that soaks at 5 percent."""
    made = World(tmp_path, spec=RAMP)
    made.run()
    return made


@pytest.mark.parametrize("back", [HOUR, 2 * DAY, 3650 * DAY])
def test_a_clock_that_jumps_back_raises_nothing(back: timedelta, world: World) -> None:
    world.clock.pass_(DAY - HOUR)
    world.reconcile()
    world.clock.instant -= back
    before = world.state()
    for _ in range(3):
        after = world.reconcile().state
        assert (after.step, after.stage, after.not_before) == (0, Stage.SOAKING, before.not_before)
    world.clock.instant = NOW + DAY
    assert world.reconcile().state.step == 1
    world.clock.instant -= back
    world.devices.says = dict(BAD)
    assert world.reconcile().state.stage is Stage.ROLLED_BACK
    check_invariants(world)


def test_restarts_shorten_no_soak(world: World) -> None:
    """Every process is a restart: Flagger goes on by one weight with each."""
    for _ in range(23):
        world.clock.pass_(HOUR)
        assert world.reconcile().state.step == 0
    world.clock.pass_(HOUR)
    assert world.reconcile().state.step == 1
    assert world.reconcile().state.step == 1


@pytest.mark.parametrize(("says", "stage", "step"), [(GOOD, Stage.SOAKING, 1), (BAD, Stage.ROLLED_BACK, 0)])
def test_days_without_a_reconcile_are_judged_before_one_step(
    says: dict[str, object], stage: Stage, step: int, world: World
) -> None:
    world.clock.pass_(9 * DAY)
    world.devices.says = dict(says)
    after = world.reconcile().state
    assert (after.stage, after.step) == (stage, step)
    assert after.stage.value == "rolled_back" or after.not_before == world.clock.now() + DAY


def test_only_errors_are_no_success(world: World) -> None:
    world.devices.says = {"crash_rate": "down", "success": "down"}
    for _ in range(8):
        world.clock.pass_(DAY)
        assert world.reconcile().state.step == 0
    assert world.state().stage is Stage.PAUSED
    assert "rollout.completed" not in world.kinds()


def test_a_failure_beats_an_error_of_another_metric(world: World) -> None:
    world.clock.pass_(HOUR)
    world.devices.says = {"crash_rate": (900, 2000), "success": "down"}
    assert world.reconcile().state.stage is Stage.ROLLED_BACK


def test_two_machines_with_different_policies_lead_one_rollout(world: World) -> None:
    """What it began with counts, whoever reconciles it and whatever their policy says by now."""
    lenient = world.process()
    lenient.policy = replace(lenient.policy, gates=(), tracks={"production": track(phase("stable", 100, soak=timedelta(0)))})
    assert lenient.reconciler.reconcile(ID).state.step == 0
    world.clock.pass_(HOUR)
    world.devices.says = {**GOOD, "crash_rate": (90, 2000)}
    assert lenient.reconciler.reconcile(ID).state.stage is Stage.PAUSED
    strict = world.process()
    strict.policy = replace(strict.policy, gates=(GateSpec("new", max=Decimal("0.001"), action=Action.ROLLBACK),))
    assert strict.reconciler.reconcile(ID).state.stage is Stage.PAUSED
    assert "new" not in world.state().latched


def test_an_amendment_in_the_middle_of_a_reconcile_counts(world: World) -> None:
    """The reconcile that had measured by the old gates loses its swap and decides by the new ones."""
    world.clock.pass_(DAY)
    strict = GateSpec("crash_rate", max=Decimal("0.001"), min_sample=300)
    world.policy = replace(world.policy, gates=(strict,), judgement=Judgement())
    other = world.process()
    calls: list[int] = []

    def measure(state: RolloutState, now: datetime) -> Sequence[Reading]:
        calls.append(len(state.spec.gates))
        if len(calls) == 1:
            amending.amend(other, None, "too lax").carry_out()
        return world.devices(state, now)

    here = world.process()
    here.reconciler = replace(here.reconciler, measure=measure)
    after = here.reconciler.reconcile(ID).state
    assert (after.stage, after.step, calls) == (Stage.PAUSED, 0, [2, 1])
    check_invariants(world)


def test_a_freeze_in_the_middle_of_a_soak(tmp_path: Path) -> None:
    freeze = Freeze("2026-11-21T20:00", "2026-11-24", "a fair")
    made = World(tmp_path, spec=RAMP, windows=WindowsSpec("UTC", (), (freeze,)))
    made.run()
    made.clock.pass_(DAY)
    held = made.reconcile()
    assert (held.state.step, held.state.stage, "a fair" in held.waiting_for) == (0, Stage.SOAKING, True)
    thawed, frozen = made.twin(), made
    thawed.clock.instant = datetime.fromisoformat("2026-11-25T00:00:00+00:00")
    assert thawed.reconcile().state.step == 1
    frozen.devices.says = dict(BAD)
    assert frozen.reconcile().state.stage is Stage.ROLLED_BACK


def test_who_watches_the_schedule_hears_of_paused_rollouts_and_not_of_ended_ones(tmp_path: Path) -> None:
    project = Project(tmp_path / "app")
    assert project("run").code == 0
    assert project("pause", "--channel", "internal").code == 0
    assert project("status", "--max-age", "0s").code == 7, "its gates are to be judged while it is paused"
    assert project("abort").code == 0
    assert project("status", "--max-age", "0s").code == 0


def test_stopping_works_from_every_place_of_a_life(tmp_path: Path) -> None:
    """Pause, abort and rollback, wherever a rollout stands: soaking, waiting, paused, on its first or its last channel."""
    made = World(tmp_path, spec=track(phase("internal"), phase("stable", 5, 100, approve=True)))
    made.run()
    places = [made.twin()]
    for _ in range(3):
        made.clock.pass_(DAY)
        if made.reconcile().state.awaiting:
            places.append(made.twin())
            actions.approve(made.process(), None, None, "fine").carry_out()
            made.reconcile()
        places.append(made.twin())
    assert {one.state().stage for one in places} == {Stage.SOAKING, Stage.AWAITING_APPROVAL, Stage.COMPLETED}
    for place in places[:-1]:
        for is_paused in (False, True):
            for stop, stage in ((amending.abort, Stage.ABORTED), (_back, Stage.ROLLED_BACK)):
                one = place.twin()
                if is_paused:
                    actions.pause(one.process(), None, "a look").carry_out()
                stop(one.process(), None, "enough").carry_out()
                assert one.state().stage is stage
                assert set(one.claims().values()) == {""}
                check_invariants(one)


def _back(here: Workspace, name: ChannelName | None, reason: str) -> acting.Action:
    return actions.rollback(here, name, None, reason)
