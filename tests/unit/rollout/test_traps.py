"""Traps that rollouts fall into elsewhere, or that this one fell into once: killed half-way, damaged, looked at too often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from otagate.channel import transitions
from otagate.errors import VerificationError
from otagate.flow import actions, amending
from otagate.flow.replay import replay_rollout
from otagate.gate.interface import Measurement
from otagate.gate.judge import Look, LookKind, Reading, Verdict, judge_all
from otagate.model import ChannelName, Weight
from otagate.policy.model.bundles import TrustSpec
from otagate.policy.model.gates import Action, GateSpec, Judgement, Limit, ValueLimit
from otagate.policy.model.tracks import BranchRule, OnInsufficient
from otagate.policy.model.windows import Freeze, WindowsSpec
from otagate.rollout.codec import decode, encode
from otagate.rollout.effects import Effects
from otagate.rollout.memory import believable, counted
from otagate.rollout.repository import Rollouts
from otagate.rollout.state import RolloutState, Stage
from support.rollouts import fresh
from support.rules import check_rules
from support.world import APP, BAD, DAY, GATES, HOUR, NOW, World, check_invariants, phase, shown, track

RAMP = track(phase("stable", 5, 50, 100))
TWO = track(phase("beta"), phase("stable"))
LONG = timedelta(seconds=120)


class KilledError(BaseException):
    """No code may catch it."""


@pytest.fixture
def killing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a function that runs something and kills it before its first effect."""

    def kill(action: Any) -> None:
        def die(*_args: object) -> None:
            raise KilledError

        with monkeypatch.context() as patched:
            patched.setattr(Effects, "carry_out", die)
            with pytest.raises(KilledError):
                action()

    return kill


# --- looks ---------------------------------------------------------------------------------------------------------------


class Slow:
    """A plain number that is out of bounds at every look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, state: RolloutState, now: datetime) -> Sequence[Reading]:
        self.looks += 1
        if self.looks > 20:
            raise KilledError
        start = state.phase_since or now
        return [Reading("latency", start, now, Measurement(None, None, None, "scripted", value=900.0))]


def test_a_number_out_of_bounds_is_looked_at_once_a_reconcile(tmp_path: Path) -> None:
    """Counting looks is no step: a process that took it for one would ask the source again and again until it acts."""
    gate = GateSpec("latency", value=ValueLimit(max=Decimal(100)), action=Action.PAUSE, consecutive=3)
    world = World(tmp_path, spec=RAMP, gates=[gate])
    slow = Slow()
    here = world.process()
    here.reconciler = replace(here.reconciler, measure=slow)
    world.run(workspace=here)
    assert slow.looks == 1
    for looks in (2, 3):
        world.clock.pass_(HOUR)
        world.run(workspace=here)
        assert slow.looks == looks
    assert world.state().stage is Stage.PAUSED
    assert "3 looks in a row" in world.state().paused_by


@pytest.mark.parametrize(("total", "is_lost"), [(2500, False), (2000, False), (1601, False), (1599, True), (40, True)])
def test_counters_that_went_backwards_are_not_believed(total: int, is_lost: bool, tmp_path: Path) -> None:
    """Who has lost devices has lost the bad ones first of all: neither a pass nor a fail."""
    world = World(tmp_path, spec=RAMP)
    world.run()
    world.clock.pass_(DAY)
    world.devices.says = {"crash_rate": (0, total), "success": (0, 2000)}
    outcome = world.reconcile()
    said = {result.metric: result.reason for result in outcome.results}["crash_rate"]
    assert ("went backwards" in said, outcome.state.step) == (is_lost, 0 if is_lost else 1)
    assert not is_lost or f"{total} devices, 2000 at an earlier look" in outcome.waiting_for
    again = replay_rollout(world.process(), "1.0.0-production", ask_again=False).replay
    assert [look.results[0].verdict for look in again.looks][-1] is (Verdict.ERROR if is_lost else Verdict.PASS)


def test_a_failure_that_only_alerts_is_told_once_a_phase_and_stops_nothing(tmp_path: Path) -> None:
    gate = GateSpec("error_rate", max=Decimal("0.005"), action=Action.ALERT, min_sample=100)
    dry = GateSpec("dry", max=Decimal("0.005"), action=Action.ALERT, min_sample=100, dry_run=True)
    world = World(tmp_path, spec=TWO, gates=(*GATES, gate, dry))
    world.devices.says |= {"error_rate": (400, 2000), "dry": (400, 2000)}
    world.run()
    for _ in range(4):
        world.clock.pass_(DAY / 2)
        world.run()
    said = [entry.data for entry in world.ledger() if entry.kind == "gate.failed"]
    assert [(one["metric"], one["action"], one["phase"]) for one in said] == [
        ("error_rate", "alert", "beta"),
        ("error_rate", "alert", "stable"),
    ]
    assert "400 of 2000" in said[0]["reason"]
    proof = {name: said[0][name] for name in ("check", "bad", "total", "estimate", "threshold", "query")}
    assert proof == {
        "check": "limit",
        "bad": "400",
        "total": "2000",
        "estimate": "0.200000",
        "threshold": "0.005",
        "query": "scripted",
    }
    assert {"start", "end"} <= said[0].keys()
    assert float(said[0]["log_e"]) > float(said[0]["log_e_pause"])
    assert (world.state().stage, world.state().latched) == (Stage.COMPLETED, {})
    assert replay_rollout(world.process(), "1.0.0-production", ask_again=False).replay.first_difference is None
    check_invariants(world)


def test_lost_counters_pause_after_a_grace_and_do_not_roll_back(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    world.run()
    world.devices.says = {"crash_rate": (40, 60), "success": (10, 2000)}
    for _ in range(2):
        world.clock.pass_(HOUR)
        assert world.reconcile().state.stage is Stage.SOAKING
    world.clock.pass_(2 * HOUR)
    assert "no usable answer for longer than 2h" in world.reconcile().state.paused_by
    actions.resume(world.process(), None, {"crash_rate": "the store was moved"}, "").carry_out()
    world.devices.says = {"crash_rate": (2, 60), "success": (10, 2000)}
    world.clock.pass_(DAY)
    assert world.reconcile().state.step == 1


def test_a_silence_longer_than_max_wait_is_not_taken_for_waiting(tmp_path: Path) -> None:
    """Who resumes it after days without numbers would otherwise see it paused again at once, for too few devices."""
    world = World(tmp_path, spec=RAMP)
    world.run()
    world.devices.says = dict.fromkeys(world.devices.says)
    for wait in (HOUR, 4 * DAY):
        world.clock.pass_(wait)
        world.reconcile()
    assert "no usable answer" in world.state().paused_by
    world.devices.says = {"crash_rate": (5, 2000), "success": (10, 2000)}
    actions.resume(world.process(), None, {}, "").carry_out()
    world.clock.pass_(HOUR)
    assert "covers less than 50%" in world.reconcile().waiting_for
    world.clock.pass_(DAY)
    assert world.reconcile().state.step == 1


def test_totals_begin_anew_with_each_phase_and_with_an_amendment(tmp_path: Path) -> None:
    world = World(tmp_path, spec=TWO)
    world.run()
    world.clock.pass_(DAY)
    world.devices.says = {"crash_rate": (1, 400), "success": (1, 400)}
    amending.amend(world.process(), None, "another source").carry_out()
    assert world.reconcile().state.phase == 0, "the same policy changes nothing"
    world.policy = replace(world.policy, judgement=Judgement(no_data_grace=HOUR))
    amending.amend(world.process(), None, "another source").carry_out()
    assert world.reconcile().state.phase == 1
    world.devices.says = {"crash_rate": (1, 300), "success": (1, 300)}
    world.clock.pass_(DAY)
    assert world.reconcile().state.stage is Stage.COMPLETED


def test_each_limit_of_a_length_of_time_has_its_own_total() -> None:
    gate = GateSpec(
        "time", limits=(Limit(timedelta(seconds=45), Decimal("0.1"), Action.PAUSE), Limit(LONG, Decimal("0.1"), Action.PAUSE))
    )
    readings = [
        Reading("time", NOW, NOW + DAY, Measurement(0, total, None, "scripted"), over)
        for over, total in ((timedelta(seconds=45), 900), (LONG, 500))
    ]
    look = Look(LookKind.INTERIM, NOW, NOW + DAY)
    results = judge_all([gate], readings, look=look, judgement=Judgement(), gating_metrics=1, now=NOW + DAY)
    state = counted(fresh(), results)
    assert {name: total.devices for name, total in state.totals.items()} == {"time over 45s": 900, "time over 2m": 500}
    assert believable(state.totals, readings) == readings
    assert counted(state, results) is state
    assert decode(RolloutState, encode(state)) == state


# --- killed half-way -----------------------------------------------------------------------------------------------------


def test_an_abort_opens_a_channel_that_a_killed_resume_left_shut(killing: Any, tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    world.run()
    actions.pause(world.process(), None, "a look").carry_out()
    killing(actions.resume(world.process(), None, {}, "fine").carry_out)
    amending.abort(world.process(), None, "enough").carry_out()
    stable = shown(world.channel("stable"))
    assert stable is not None
    assert (world.state().stage, stable["candidate"], stable["paused"]) == (Stage.ABORTED, None, False)
    check_invariants(world)


def test_an_approval_of_too_few_devices_is_the_same_twice(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("beta", on_insufficient=OnInsufficient.APPROVE, max_wait=HOUR), phase("stable")))
    world.devices.says = {"crash_rate": (0, 5), "success": (0, 5)}
    world.run()
    world.clock.pass_(DAY + 2 * HOUR)
    assert world.reconcile().state.awaiting == "insufficient:beta:0"
    first = actions.approve(world.process(), None, None, "a small fleet").carry_out()
    for named in (None, "beta"):
        again = actions.approve(world.process(), None, named, "a small fleet").carry_out()
        assert again == first
    assert world.reconcile().state.phase == 1


def test_an_approval_of_too_few_devices_is_for_one_soak(tmp_path: Path) -> None:
    """Who lowers a weight, or amends the weights, is asked again."""
    small = {"crash_rate": (0, 5), "success": (0, 5)}
    spec = track(phase("stable", 5, 50, 100, on_insufficient=OnInsufficient.APPROVE, max_wait=HOUR))
    world = World(tmp_path, spec=spec)
    world.devices.says = dict(small)
    world.run()
    world.clock.pass_(DAY + 2 * HOUR)
    assert world.reconcile().state.awaiting == "insufficient:stable:0"
    actions.approve(world.process(), None, None, "a small fleet").carry_out()
    assert world.reconcile().state.step == 1
    amending.lower(world.process(), None, Weight(500), "a look").carry_out()
    world.clock.pass_(DAY + 2 * HOUR)
    assert world.reconcile().state.awaiting == "insufficient:stable:0"
    actions.approve(world.process(), None, None, "a small fleet").carry_out()
    fewer = track(phase("stable", 5, 100, on_insufficient=OnInsufficient.APPROVE, max_wait=HOUR))
    world.policy = replace(world.policy, tracks={"production": fewer})
    amending.amend(world.process(), None, "fewer steps").carry_out()
    assert world.reconcile().state.awaiting == "insufficient:stable:0"


@pytest.mark.parametrize("name", [None, ChannelName("stable")])
@pytest.mark.parametrize("place", ["claim", "offer"])
def test_a_rollback_before_anything_was_offered_is_the_same_twice(place: str, name: ChannelName | None, tmp_path: Path) -> None:
    """The second would otherwise take the channel back from the good release that it serves."""
    world = World(tmp_path, spec=RAMP)
    world.to_completion("0.9.0")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Effects, "carry_out", _die) if place == "claim" else patched.setattr(transitions, "offer", _die)
        with pytest.raises(KilledError):
            world.run("1.0.0")
    actions.rollback(world.process(), name, None, "bad").carry_out()
    once, told = world.channel("stable"), world.kinds()
    again = actions.rollback(world.process(), name, None, "bad")
    assert [step.title for step in again.plan.steps] == ["roll stable back from 1.0.0"]
    again.carry_out()
    assert (world.channel("stable"), world.kinds()) == (once, told)
    assert (shown(once) or {})["stable"] == "0.9.0"
    assert (shown(once) or {})["blocked"] == ["1.0.0"]
    check_rules(world)


def test_a_rollback_of_what_never_came_to_a_channel_leaves_the_pause_of_a_person_there(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    world.to_completion("0.9.0")
    actions.pause(world.process(), ChannelName("stable"), "an incident").carry_out()
    assert "is paused" in world.run("1.0.0").waiting_for
    actions.rollback(world.process(), None, None, "bad").carry_out()
    assert (shown(world.channel("stable")) or {})["paused"] is True


# --- damaged and expired -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["channels", "active"])
def test_a_damaged_channel_ahead_is_told_and_does_not_save_a_bad_release(place: str, tmp_path: Path) -> None:
    world = World(tmp_path, spec=TWO)
    world.run()
    world.store.documents.create(f"apps/{APP}/{place}/stable.json", b'{"nonsense": 1}')
    world.clock.pass_(HOUR)
    with pytest.raises(VerificationError):
        world.reconcile()
    world.devices.says = dict(BAD)
    assert world.reconcile().state.stage is Stage.ROLLED_BACK
    assert "1.0.0" in (shown(world.channel("beta")) or {})["blocked"]


def test_held_out_devices_do_not_get_a_release_that_has_expired(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("stable", 5, 100, holdout=Weight(500))))
    world.policy = replace(world.policy, trust=TrustSpec(world.policy.trust.keys, release_ttl=2 * DAY))
    world.run()
    world.clock.pass_(DAY)
    assert world.reconcile().state.is_last_step
    world.clock.pass_(DAY + HOUR)
    outcome = world.reconcile()
    assert "this release has expired" in outcome.waiting_for
    assert (shown(world.channel("stable")) or {})["candidate"] == ("1.0.0", 9500)


# --- superseded ----------------------------------------------------------------------------------------------------------


def fixing(folder: Path) -> World:
    world = World(folder, spec=RAMP)
    hotfix = track(phase("fix", 20, 100, channel="stable"), name="hotfix")
    rules = (*world.policy.branches, BranchRule("hotfix/*", track="hotfix", supersede=True))
    world.policy = replace(world.policy, branches=rules, tracks={**world.policy.tracks, "hotfix": hotfix})
    world.to_completion("0.9.0")
    world.clock.pass_(HOUR)
    world.run("1.0.0")
    return world


def test_a_fix_that_is_itself_bad_brings_devices_back_to_what_was_stable(tmp_path: Path) -> None:
    """Neither the fix nor what it superseded is served to anybody, and the next version can be shipped."""
    world = fixing(tmp_path)
    world.run("1.0.1", branch="hotfix/login")
    world.devices.says = dict(BAD)
    world.clock.pass_(HOUR)
    assert world.reconcile("1.0.1-hotfix").state.stage is Stage.ROLLED_BACK
    stable = shown(world.channel("stable"))
    assert stable is not None
    assert (stable["stable"], stable["candidate"], stable["paused"]) == ("0.9.0", None, False)
    assert stable["blocked"] == ["1.0.1"]
    assert world.state().stage is Stage.SUPERSEDED
    world.devices.says = {"crash_rate": (1, 2000), "success": (1, 2000)}
    assert world.run("1.0.2").state.stage is Stage.SOAKING
    check_invariants(world)


def test_a_slow_process_does_not_bring_back_what_was_superseded(tmp_path: Path) -> None:
    world = fixing(tmp_path)
    actions.pause(world.process(), None, "a look").carry_out()
    slow = actions.resume(world.process(), None, {}, "fine")
    world.run("1.0.1", branch="hotfix/login")
    slow.carry_out()
    assert world.state().stage is Stage.SUPERSEDED
    stable = shown(world.channel("stable"))
    assert stable is not None
    assert (stable["candidate"], stable["paused"]) == (("1.0.1", 2000), False)
    check_invariants(world)


@pytest.mark.parametrize("is_paused", [False, True])
def test_what_is_superseded_half_way_to_the_next_channel_is_offered_to_nobody_there(is_paused: bool, tmp_path: Path) -> None:
    """Killed between two channels, and ended from the first: on the second nobody would look at it any more."""
    world = World(tmp_path, spec=TWO)
    hotfix = track(phase("fix", 20, 100, channel="beta"), name="hotfix")
    rules = (*world.policy.branches, BranchRule("hotfix/*", track="hotfix", supersede=True))
    world.policy = replace(world.policy, branches=rules, tracks={**world.policy.tracks, "hotfix": hotfix})
    world.to_completion("0.9.0")
    world.run("1.0.0")
    world.clock.pass_(DAY)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Rollouts, "release_claim", _die)
        with pytest.raises(KilledError):
            world.reconcile()
    assert (shown(world.channel("stable")) or {})["candidate"] == ("1.0.0", 10_000)
    if is_paused:
        actions.pause(world.process(), ChannelName("stable"), "a look").carry_out()
    world.run("1.0.1", branch="hotfix/login")
    stable, beta = shown(world.channel("stable")), shown(world.channel("beta"))
    assert stable is not None
    assert beta is not None
    assert (stable["stable"], stable["candidate"], stable["paused"], stable["blocked"]) == ("0.9.0", None, False, [])
    assert beta["candidate"] == ("1.0.1", 2000)
    assert (world.state().stage, world.state().intent) == (Stage.SUPERSEDED, None)
    assert world.claims() == {"beta": "1.0.1-hotfix", "stable": ""}
    check_invariants(world)


@pytest.mark.parametrize(
    "end", [lambda here: amending.abort(here, None, "enough"), lambda here: actions.rollback(here, None, None, "")]
)
def test_a_fix_that_is_ended_before_it_was_offered_leaves_nobody_with_what_it_superseded(end: Any, tmp_path: Path) -> None:
    """It ends the older rollout, and is killed, and ended itself: nobody would watch the older one's release any more."""
    world = fixing(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(transitions, "offer", _die)
        with pytest.raises(KilledError):
            world.run("1.0.1", branch="hotfix/login")
    assert world.state().stage is Stage.SUPERSEDED
    end(world.process()).carry_out()
    stable = shown(world.channel("stable"))
    assert stable is not None
    assert (stable["stable"], stable["candidate"], stable["paused"]) == ("0.9.0", None, False)
    assert "1.0.0" not in stable["blocked"], "nothing was said against it"
    check_rules(world)


def test_a_fix_that_waits_for_its_window_leaves_nobody_with_what_it_superseded(tmp_path: Path) -> None:
    world = fixing(tmp_path)
    fair = WindowsSpec(freezes=(Freeze("2026-11-20", "2026-12-24", "a fair"),))
    world.policy = replace(world.policy, windows=fair)
    waits = world.run("1.0.1", branch="hotfix/login")
    assert (waits.state.stage, "a fair" in waits.waiting_for) == (Stage.PENDING, True)
    assert (shown(world.channel("stable")) or {})["candidate"] is None
    world.clock.pass_(40 * DAY)
    world.reconcile("1.0.1-hotfix")
    assert (shown(world.channel("stable")) or {})["candidate"] == ("1.0.1", 2000)
    assert world.state("1.0.1-hotfix").seed == world.state().seed, "those who had the fault are still the first"


@pytest.mark.parametrize("place", ["claim", "create", "confirm"])
def test_a_fix_that_is_killed_while_it_starts_goes_to_the_same_devices_first(place: str, tmp_path: Path) -> None:
    world = fixing(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Rollouts, place, _die)
        with pytest.raises(KilledError):
            world.run("1.0.1", branch="hotfix/login")
    assert (world.state().stage, (shown(world.channel("stable")) or {})["candidate"]) == (Stage.SUPERSEDED, None)
    check_rules(world)
    world.run("1.0.1", branch="hotfix/login")
    assert world.state("1.0.1-hotfix").seed == world.state().seed


def _die(*_args: object) -> None:
    raise KilledError
