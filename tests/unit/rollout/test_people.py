"""A replay by the policy that the rollout had does what the rollout did, whatever people answered in between."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.model import Weight
from otagate.policy.model.tracks import OnInsufficient
from otagate.rollout import machine
from otagate.rollout.looks import Looks
from otagate.rollout.reconciler import Command
from otagate.rollout.replay import Replay, replay
from otagate.rollout.state import RolloutState, Stage
from support.world import DAY, GATES, GOOD, HOUR, World, phase, track

ID = "1.0.0-production"
FAILING: dict[str, Any] = {**GOOD, "crash_rate": (90, 2000)}
SILENT: dict[str, Any] = {"crash_rate": None, "success": None}
FEW: dict[str, Any] = {"crash_rate": (0, 5), "success": (0, 5)}


def _resumed(state: RolloutState, now: datetime) -> RolloutState:
    return machine.resume(state, dict.fromkeys(state.latched, "known"), "ana", now)


def _paused(state: RolloutState, now: datetime) -> RolloutState:
    return machine.pause(state, "lunch", "ana", now)


def _approved(state: RolloutState, now: datetime) -> RolloutState:
    return machine.approve(state, "ana", "", now)


def _lowered(state: RolloutState, now: datetime) -> RolloutState:
    return machine.lower(state, Weight(500), "a look", "ana", now)


class Life:
    """A rollout whose looks are kept in its store, as in life."""

    def __init__(self, folder: Path, *, says: dict[str, Any] | None = None, **policy: Any) -> None:
        self.world = World(folder, **policy)
        self.world.devices.says = dict(says or GOOD)
        self.world.run()

    def look(self, passing: timedelta, says: dict[str, Any] | None = None) -> RolloutState:
        self.world.devices.says = dict(says or self.world.devices.says)
        self.world.clock.pass_(passing)
        return self.world.reconcile().state

    def ask(self, *commands: Command) -> None:
        for command in commands:
            self.world.clock.pass_(timedelta(minutes=3))
            self.world.process().reconciler.command(ID, command)

    def replayed(self) -> Replay:
        looks = Looks(self.world.store.documents, self.world.policy.app).all(ID)
        return replay(self.world.state(), looks, GATES, self.world.policy.judgement)


def test_a_metric_that_was_waived_in_two_phases_was_waived_in_the_first(tmp_path: Path) -> None:
    life = Life(tmp_path, spec=track(phase("beta"), phase("stable")))
    for _ in range(2):
        assert life.look(HOUR, FAILING).stage is Stage.PAUSED
        life.ask(_resumed)
        life.look(HOUR)
        life.look(DAY)
    assert life.world.state().stage is Stage.COMPLETED
    assert life.replayed().first_difference is None


@pytest.mark.parametrize("answer", [(_resumed,), (_paused, _resumed)], ids=["of the gates", "of a person"])
def test_a_grace_begins_anew_with_a_resume_that_no_look_saw_the_pause_of(answer: tuple[Command, ...], tmp_path: Path) -> None:
    life = Life(tmp_path, spec=track(phase("stable")))
    stage = Stage.PAUSED if len(answer) == 1 else Stage.SOAKING
    life.look(HOUR, SILENT)
    assert life.look(7 * HOUR if stage is Stage.PAUSED else 4 * HOUR).stage is stage
    life.ask(*answer)
    assert life.look(3 * HOUR).stage is Stage.SOAKING
    assert life.replayed().first_difference is None


@pytest.mark.parametrize("rule", [OnInsufficient.APPROVE, OnInsufficient.PASS_IF_ZERO_BAD])
def test_an_approval_that_a_lowered_weight_made_void_was_one(rule: OnInsufficient, tmp_path: Path) -> None:
    spec = track(phase("stable", 5, 20, 100, soak=HOUR, on_insufficient=rule, max_wait=HOUR))
    life = Life(tmp_path, says=FEW, spec=spec)
    life.look(2 * HOUR)
    if rule is OnInsufficient.APPROVE:
        life.ask(_approved)
    assert "insufficient:stable:0" in life.world.state().approvals
    life.look(HOUR, SILENT)
    assert life.look(HOUR, FEW).step == 1
    life.look(HOUR, SILENT)
    life.ask(_lowered)
    assert life.look(HOUR, FEW).approvals == {}, "it was for the soak before"
    assert life.replayed().first_difference is None
