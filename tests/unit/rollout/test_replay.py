"""A rollout judged again: what another policy would have done first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from otagate.gate.interface import Measurement
from otagate.gate.judge import Look, LookKind, Reading, Verdict
from otagate.policy.model.gates import Action, GateSpec, Judgement, ValueLimit
from otagate.rollout import machine
from otagate.rollout.deeds import Deed, by_itself
from otagate.rollout.kept import KeptLook, keep
from otagate.rollout.reconciler import Command
from otagate.rollout.replay import Replay, replay
from otagate.rollout.state import RolloutState, Stage
from support.world import BAD, DAY, GATES, GOOD, HOUR, World, phase, track

ID = "1.0.0-production"
MIDDLING: dict[str, Any] = {"crash_rate": (30, 2000), "success": (10, 2000)}
TRACK = track(phase("internal"), phase("stable", 5, 100))


class Played:
    """A rollout in a world, whose looks are kept beside it."""

    def __init__(self, folder: Path, **policy: Any) -> None:
        self.world = World(folder, **{"spec": TRACK, **policy})
        self.looks: list[KeptLook] = []
        self.world.run()

    def look(self, *, passing: timedelta = timedelta(0)) -> RolloutState:
        """Let time pass, and reconcile."""
        self.world.clock.pass_(passing)
        here = self.world.process()
        reconciler = replace(here.reconciler, record=self._record)
        return reconciler.reconcile(ID).state

    def _record(self, state: RolloutState, look: Look, readings: Sequence[Reading], _always: bool) -> None:
        kept = keep(state, look, readings, self.now)
        if kept not in self.looks[-1:]:
            self.looks.append(kept)

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    def to_the_end(self, most: int = 20) -> RolloutState:
        state = self.world.state()
        for _ in range(most):
            state = self.look(passing=12 * HOUR)
            if state.is_terminal or state.stage is Stage.PAUSED:
                break
        return state

    def replayed(self, *gates: GateSpec, judgement: Judgement | None = None) -> Replay:
        told = by_itself(self.world.ledger(), ID)
        return replay(self.world.state(), self.looks, gates or GATES, judgement or Judgement(), told=told)


def gate(metric: str = "crash_rate", maximum: str = "0.02", **more: Any) -> GateSpec:
    return GateSpec(metric, max=Decimal(maximum), **{"min_sample": 300, **more})


def test_the_same_policy_does_the_same(tmp_path: Path) -> None:
    played = Played(tmp_path)
    assert played.to_the_end().stage is Stage.COMPLETED
    found = played.replayed()
    assert (found.first_difference, found.first_stop, found.lacking) == (None, None, ())
    assert [one.would for one in found.looks] == [one.did for one in found.looks]
    assert [one.did for one in found.looks].count(Deed.GO_ON) == 2
    assert found.looks[-1].did is Deed.COMPLETE


def test_a_stricter_policy_pauses_where_it_would_have(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.world.devices.says = dict(MIDDLING)
    played.to_the_end()
    first = played.replayed(gate(maximum="0.005")).first_difference
    assert first is not None
    assert (first.would, first.did) == (Deed.PAUSE, Deed.WAIT)
    assert first.look is played.looks[0], "30 of 2000 are beyond doubt more than 0.5 % at the first look"
    assert "crash_rate" in first.reason


def test_a_policy_that_rolls_back(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.world.devices.says = dict(MIDDLING)
    played.to_the_end()
    first = played.replayed(gate(maximum="0.001", action=Action.ROLLBACK)).first_stop
    assert first is not None
    assert first.would is Deed.ROLL_BACK
    assert first.reason


def test_a_more_patient_policy_goes_on_where_the_other_paused(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.world.devices.says = {**MIDDLING, "crash_rate": (90, 2000)}
    assert played.to_the_end().stage is Stage.PAUSED
    found = played.replayed(gate(maximum="0.1"))
    first = found.first_difference
    assert first is not None
    assert (first.would, first.did, first.look) == (Deed.WAIT, Deed.PAUSE, played.looks[-1])
    assert played.replayed().first_difference is None


def test_more_devices_that_are_asked_for_hold_it(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.to_the_end()
    first = played.replayed(gate(min_sample=5000)).first_difference
    assert first is not None
    assert (first.would, first.did, first.judged_as) == (Deed.WAIT, Deed.GO_ON, LookKind.PHASE_END)
    assert "3000 more devices" in first.reason


def test_behind_the_first_difference_looks_are_judged_and_nothing_is_decided(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.to_the_end()
    found = played.replayed(gate(min_sample=5000))
    at = next(number for number, one in enumerate(found.looks) if one.differs)
    behind = found.looks[at + 1 :]
    assert behind
    assert {one.would for one in behind} == {None}
    assert all(one.results[0].verdict in {Verdict.INSUFFICIENT, Verdict.INCONCLUSIVE} for one in behind)


def test_what_was_not_measured_is_said_and_left_out(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.to_the_end()
    other = gate("slow_starts")
    latency = GateSpec("crash_rate", value=ValueLimit(max=Decimal(5)))
    found = played.replayed(*GATES, other)
    assert (found.lacking, found.first_difference) == (("slow_starts",), None)
    assert played.replayed(latency).lacking == ("crash_rate",), "counts do not answer for a plain number"


def test_what_the_sources_say_now_counts_instead_when_it_is_given(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.to_the_end()
    measured = [[Reading("slow_starts", one.phase_since, one.at, Measurement(900, 1000, None, "now"))] for one in played.looks]
    found = replay(played.world.state(), played.looks, (gate("slow_starts"),), Judgement(), measured)
    assert found.lacking == ()
    assert found.looks[0].would is Deed.PAUSE


def test_silences_add_up_and_pause_by_the_other_grace(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.world.devices.says = {"crash_rate": "down", "success": "down"}
    for _ in range(4):
        played.look(passing=timedelta(minutes=20))
    assert played.replayed().first_difference is None
    first = played.replayed(judgement=Judgement(error_grace=timedelta(minutes=30))).first_difference
    assert first is not None
    assert first.look is played.looks[2]
    assert "no usable answer" in first.reason


def test_what_people_did_is_no_difference(tmp_path: Path) -> None:
    played = Played(tmp_path)
    world = played.world
    played.look(passing=HOUR)
    world.process().reconciler.command(ID, lambda state, now: machine.pause(state, "lunch", "ana", now))
    played.look(passing=HOUR)
    world.process().reconciler.command(ID, lambda state, now: machine.resume(state, {}, "ana", now))
    played.look(passing=HOUR)
    world.process().reconciler.command(ID, lambda state, now: machine.roll_back(state, "not today", "ana", now))
    found = played.replayed()
    assert [one.did for one in found.looks] == [Deed.BY_HAND] * 3
    assert found.first_difference is None


def test_an_overridden_failure_stays_overridden(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.world.devices.says = {**GOOD, "crash_rate": (90, 2000)}
    assert played.look(passing=HOUR).stage is Stage.PAUSED
    played.world.clock.pass_(HOUR)
    played.world.process().reconciler.command(ID, lambda state, now: machine.resume(state, {"crash_rate": "known"}, "a", now))
    played.to_the_end(4)
    found = played.replayed()
    assert found.first_difference is None
    assert found.first_stop is not None
    assert found.first_stop.look is played.looks[0]


def _resumed(state: RolloutState, now: datetime) -> RolloutState:
    return machine.resume(state, {"crash_rate": "known"}, "ana", now)


def _rolled_back(state: RolloutState, now: datetime) -> RolloutState:
    return machine.roll_back(state, "no more of it", "ana", now)


@pytest.mark.parametrize("answer", [_resumed, _rolled_back])
def test_a_pause_that_a_person_answered_before_the_next_look_is_one_of_its_gates(tmp_path: Path, answer: Command) -> None:
    played = Played(tmp_path)
    played.world.devices.says = {**GOOD, "crash_rate": (90, 2000)}
    assert played.look(passing=HOUR).stage is Stage.PAUSED
    played.world.clock.pass_(HOUR)
    played.world.process().reconciler.command(ID, answer)
    played.to_the_end(2)
    found = played.replayed(gate(maximum="0.09"))
    assert found.first_difference is found.looks[0]
    assert (found.looks[0].would, found.looks[0].did) == (Deed.WAIT, Deed.PAUSE)
    assert played.replayed().first_difference is None


def test_an_amendment_does_not_hide_what_the_gates_did_before_it(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.world.devices.says = {**GOOD, "crash_rate": (90, 2000)}
    assert played.look(passing=HOUR).stage is Stage.PAUSED
    played.world.clock.pass_(HOUR)
    command = played.world.process().reconciler.command
    laxer = replace(played.world.state().spec, gates=(gate(maximum="0.09"),))
    command(ID, lambda state, now: machine.amend(state, laxer, "nine is fine", "ana", now))
    command(ID, _resumed)
    played.to_the_end(2)
    found = played.replayed(gate(maximum="0.09"))
    assert found.first_difference is found.looks[0]
    assert found.looks[0].did is Deed.PAUSE


def test_pauses_by_people_and_those_of_other_rollouts_are_not_its_own(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.look(passing=HOUR)
    played.world.process().reconciler.command(ID, lambda state, now: machine.pause(state, "lunch", "ana", now))
    assert by_itself(played.world.ledger(), ID) == {}
    entry = played.world.ledger()[-1]
    odd = [replace(entry, id=name, data={}) for name in (f"{ID}#7", "other#8", f"{ID}#x", f"{ID}#{'9' * 30}", "x")]
    assert by_itself(odd, ID) == {7: Deed.PAUSE}


def test_a_question_that_a_person_answered_before_the_next_look_is_a_question(tmp_path: Path) -> None:
    played = Played(tmp_path, spec=track(phase("internal"), phase("stable", approve=True)))
    played.look(passing=DAY)
    played.world.clock.pass_(HOUR)
    played.world.process().reconciler.command(ID, lambda state, now: machine.approve(state, "ana", "", now))
    played.look(passing=HOUR)
    assert [one.did for one in played.replayed().looks] == [Deed.ASK, Deed.GO_ON]
    stricter = played.replayed(gate(maximum="0.001"))
    assert (stricter.first_stop, stricter.first_difference) == (stricter.looks[0], stricter.looks[0])


def test_a_rollback_by_its_gates_is_theirs(tmp_path: Path) -> None:
    played = Played(tmp_path)
    played.world.devices.says = dict(BAD)
    assert played.to_the_end().stage is Stage.ROLLED_BACK
    found = played.replayed()
    assert (found.looks[-1].would, found.looks[-1].did) == (Deed.ROLL_BACK, Deed.ROLL_BACK)


def test_approvals_that_were_given_count_from_then_on(tmp_path: Path) -> None:
    spec = track(phase("internal"), phase("stable", approve=True))
    played = Played(tmp_path, spec=spec)
    played.look(passing=DAY)
    assert played.look(passing=HOUR).stage is Stage.AWAITING_APPROVAL
    played.world.process().reconciler.command(ID, lambda state, now: machine.approve(state, "ana", "", now))
    assert played.to_the_end().stage is Stage.COMPLETED
    found = played.replayed()
    assert found.first_difference is None
    assert [one.did for one in found.looks][:3] == [Deed.ASK, Deed.BY_HAND, Deed.GO_ON]


def test_what_held_it_from_outside_is_no_difference(tmp_path: Path) -> None:
    played = Played(tmp_path)
    held = played.looks
    played.look(passing=DAY)
    # As if another rollout had held the channel: the same place again, an hour later.
    held.append(replace(held[0], at=held[0].at + HOUR))
    state = replace(played.world.state(), phase=0, step=0, stage=Stage.SOAKING, told=held[0].told)
    found = replay(state, held, GATES, Judgement())
    assert [one.did for one in found.looks] == [Deed.HELD, Deed.HELD]
    assert found.first_difference is None


@pytest.mark.parametrize("stage", [Stage.ABORTED, Stage.SUPERSEDED])
def test_an_end_by_hand_is_no_difference(tmp_path: Path, stage: Stage) -> None:
    played = Played(tmp_path)
    played.look(passing=HOUR)
    found = replay(replace(played.world.state(), stage=stage), played.looks, GATES, Judgement())
    assert found.looks[-1].did is Deed.BY_HAND
