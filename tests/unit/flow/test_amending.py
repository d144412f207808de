"""Aborting, lowering and amending a rollout, and fixes that end one, in a whole world in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from otagate.errors import ConflictError, NotFoundError, UsageError
from otagate.flow import actions, amending
from otagate.flow.drive import drive_all
from otagate.gate.judge import Look, Reading
from otagate.model import ChannelName, Version, Weight
from otagate.policy.model.policy import Policy
from otagate.policy.model.tracks import BranchRule
from otagate.policy.model.windows import Freeze, WindowsSpec
from otagate.rollout import machine
from otagate.rollout.state import RolloutState, Stage
from support.rollouts import PASS
from support.world import BAD, DAY, GATES, HOUR, World, check_invariants, phase, shown, track

STABLE = ChannelName("stable")
RAMP = track(phase("internal"), phase("stable", 5, 50, 100))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, spec=RAMP)


def at_full(world: World) -> World:
    """Bring a release to all of stable, and leave it there soaking."""
    world.to_completion("0.9.0")
    world.run()
    for _ in range(3):
        world.clock.pass_(DAY)
        world.reconcile()
    assert world.state().weight == Weight(10_000)
    return world


# --- abort ---------------------------------------------------------------------------------------------------------------


def test_an_abort_leaves_what_was_settled_and_blocks_nothing(world: World) -> None:
    at_full(world)
    amending.abort(world.process(), None, "not now").carry_out()
    check_invariants(world)
    stable, internal = shown(world.channel("stable")), shown(world.channel("internal"))
    assert stable is not None
    assert internal is not None
    assert (stable["stable"], stable["candidate"], stable["blocked"]) == ("0.9.0", None, [])
    assert internal["stable"] == "1.0.0"
    assert world.state().stage is Stage.ABORTED
    assert world.kinds()[-1] == "rollout.aborted"
    assert set(world.claims().values()) == {""}


@pytest.mark.parametrize("name", [None, STABLE, ChannelName("internal")])
def test_an_abort_run_twice_is_said_and_writes_nothing(name: ChannelName | None, world: World) -> None:
    at_full(world)
    amending.abort(world.process(), None, "not now").carry_out()
    writes = len(world.store.writes)
    again = amending.abort(world.process(), name, "twice")
    assert (again.plan.goal, again.plan.steps) == ("rollout 1.0.0-production is aborted already", ())
    receipt = again.carry_out().rollout
    assert receipt is not None
    assert (receipt.stage, receipt.outcome, len(world.store.writes)) == (Stage.ABORTED, "not now", writes)


def test_an_abort_after_another_end_says_which(world: World) -> None:
    with pytest.raises(NotFoundError, match="no rollout is active") as nothing:
        amending.abort(world.process(), None, "")
    assert nothing.value.found is None
    at_full(world)
    amending.abort(world.process(), None, "not now").carry_out()
    world.clock.pass_(HOUR)
    world.to_completion("1.0.1")
    for name in (None, STABLE):
        with pytest.raises(NotFoundError, match="no rollout is active") as ended:
            amending.abort(world.process(), name, "")
        assert ended.value.found == "1.0.1-production, which is completed"
    world.run("1.0.2")
    actions.rollback(world.process(), None, None, "bad").carry_out()
    with pytest.raises(NotFoundError, match="rolled_back"):
        amending.abort(world.process(), None, "")


def test_an_aborted_version_may_be_promoted_by_hand(world: World) -> None:
    at_full(world)
    amending.abort(world.process(), STABLE, "").carry_out()
    actions.promote(world.process(), STABLE, Version("1.0.0"), Weight(10_000)).carry_out()
    stable = shown(world.channel("stable"))
    assert stable is not None
    assert stable["stable"] == "1.0.0"


def test_a_paused_rollout_that_is_aborted_leaves_the_channel_open(world: World) -> None:
    at_full(world)
    actions.pause(world.process(), None, "a look").carry_out()
    amending.abort(world.process(), None, "enough").carry_out()
    stable = world.channel("stable")
    assert stable is not None
    assert not stable.paused


# --- lowering ------------------------------------------------------------------------------------------------------------


def test_a_weight_is_lowered_and_rises_again_after_a_whole_soak(world: World) -> None:
    at_full(world)
    amending.lower(world.process(), None, Weight(500), "support calls").carry_out()
    stable = shown(world.channel("stable"))
    assert stable is not None
    assert stable["candidate"] == ("1.0.0", 500)
    world.clock.pass_(DAY - HOUR)
    assert world.reconcile().state.weight == Weight(500)
    world.clock.pass_(HOUR)
    assert world.reconcile().state.weight == Weight(5000)
    assert "rollout.lowered" in world.kinds()


def test_only_an_earlier_weight_of_the_phase_can_be_gone_back_to(world: World) -> None:
    at_full(world)
    with pytest.raises(UsageError, match="earlier weight") as refused:
        amending.lower(world.process(), None, Weight(700), "")
    assert refused.value.expected == "5% or 50%"


def test_a_channel_without_a_rollout_is_lowered_only_when_that_is_said(world: World) -> None:
    world.to_completion("0.9.0")
    nightly = ChannelName("nightly")
    actions.promote(world.process(), nightly, Version("0.9.0"), Weight(5000)).carry_out()
    with pytest.raises(ConflictError, match="only grows") as refused:
        actions.promote(world.process(), nightly, Version("0.9.0"), Weight(500))
    assert "--lower" in str(refused.value)
    actions.promote(world.process(), nightly, Version("0.9.0"), Weight(500), lower=True).carry_out()
    state = shown(world.channel("nightly"))
    assert state is not None
    assert state["candidate"] == ("0.9.0", 500)
    # There is nothing to lower on a channel that serves it to everybody.
    with pytest.raises(ConflictError, match="only grows"):
        actions.promote(world.process(), STABLE, Version("0.9.0"), Weight(500), lower=True)


# --- amending ------------------------------------------------------------------------------------------------------------


def test_an_amendment_takes_the_policy_of_today(world: World) -> None:
    world.run()
    before = world.state().spec.digest
    longer = track(phase("internal", soak=3 * DAY), phase("stable", 5, 50, 100))
    world.policy = replace(world.policy, tracks={"production": longer}, gates=GATES[:1])
    amending.amend(world.process(), None, "three days are better").carry_out()
    state = world.state()
    assert (state.not_before, len(state.spec.gates)) == (state.created_at + 3 * DAY, 1)
    assert world.ledger()[-1].data["was"] == str(before)
    world.clock.pass_(DAY)
    assert not world.reconcile().changed


def test_an_amendment_cannot_rewrite_what_happened(world: World) -> None:
    world.run()
    world.policy = replace(world.policy, tracks={"production": track(phase("beta"), phase("stable"))})
    with pytest.raises(ConflictError, match="cannot go on by the policy") as refused:
        amending.amend(world.process(), None, "")
    assert "phase internal on channel internal" in str(refused.value)
    world.policy = replace(world.policy, tracks={"other": RAMP})
    with pytest.raises(NotFoundError, match="track of this rollout no more"):
        amending.amend(world.process(), None, "")


def test_a_freeze_of_today_reaches_a_rollout_by_an_amendment(world: World) -> None:
    world.run()
    world.policy = replace(world.policy, windows=WindowsSpec(freezes=(Freeze("2026-11-20", "2026-12-01", "a fair"),)))
    amending.amend(world.process(), None, "a fair").carry_out()
    world.clock.pass_(2 * DAY)
    outcome = world.reconcile()
    assert (outcome.changed, "a fair" in outcome.waiting_for) == (False, True)
    assert outcome.next_look is not None
    world.devices.says = dict(BAD)
    assert world.reconcile().state.stage is Stage.ROLLED_BACK, "no freeze keeps a bad release on phones"


# --- fixes ---------------------------------------------------------------------------------------------------------------


def fixing(world: World) -> World:
    hotfix = track(phase("fix", 20, 100, channel="stable"), name="hotfix")
    rules = (*world.policy.branches, BranchRule("hotfix/*", track="hotfix", supersede=True))
    world.policy = replace(world.policy, branches=rules, tracks={**world.policy.tracks, "hotfix": hotfix})
    return world


def test_a_fix_ends_a_rollout_that_is_under_way_and_its_devices_come_first(world: World) -> None:
    at_full(fixing(world))
    with pytest.raises(ConflictError, match="held by another rollout"):
        _start_on_stable(world)
    outcome = world.run("1.0.1", branch="hotfix/login")
    assert (outcome.state.stage, outcome.state.superseding) == (Stage.SOAKING, True)
    assert outcome.state.seed == world.state().seed, "the same devices, so that those with the fault get the fix first"
    assert (world.state().stage, world.state().outcome) == (Stage.SUPERSEDED, "superseded by 1.0.1-hotfix")
    stable = shown(world.channel("stable"))
    assert stable is not None
    assert (stable["stable"], stable["candidate"]) == ("0.9.0", ("1.0.1", 2000))
    check_invariants(world)


def test_a_damaged_record_of_what_is_over_keeps_no_release_from_being_shipped(world: World) -> None:
    world.to_completion("0.9.0")
    name = f"apps/{world.policy.app}/rollouts/0.9.0-production.json"
    found = world.store.documents.read(name)
    assert found is not None
    world.store.documents.replace(name, b"{}", found.token)
    assert world.run().state.stage is Stage.SOAKING


def _start_on_stable(world: World) -> None:
    rules = (BranchRule("urgent/*", track="hotfix"), *world.policy.branches)
    calm = world.twin()
    calm.policy = replace(world.policy, branches=rules)
    calm.run("1.0.2", branch="urgent/x")


def test_a_paused_rollout_gives_way_to_a_newer_one_on_a_later_channel(world: World) -> None:
    at_full(world)
    actions.pause(world.process(), None, "a look").carry_out()
    world.clock.pass_(HOUR)
    assert world.run("1.0.1").state.stage is Stage.SOAKING
    world.clock.pass_(DAY)
    after = world.reconcile("1.0.1-production")
    assert (after.state.phase, after.state.stage) == (1, Stage.SOAKING)
    assert world.state().stage is Stage.SUPERSEDED
    assert world.claims() == {"internal": "", "stable": "1.0.1-production"}
    check_invariants(world)


def test_one_that_is_under_way_is_waited_for(world: World) -> None:
    at_full(world)
    world.run("1.0.1")
    world.clock.pass_(DAY)
    waits = world.reconcile("1.0.1-production")
    assert (waits.changed, "held by rollout 1.0.0-production" in waits.waiting_for) == (False, True)


# --- several at once -----------------------------------------------------------------------------------------------------


def test_what_fails_for_one_rollout_does_not_keep_the_others(world: World) -> None:
    at_full(world)
    world.clock.pass_(HOUR)
    world.run("1.0.1")
    driven = drive_all(world.process(), ["0.0.0-gone", "1.0.1-production"], wait=2 * HOUR)
    assert list(driven.outcomes) == ["1.0.1-production"]
    assert isinstance(driven.failed["0.0.0-gone"], NotFoundError)
    assert world.devices.looks >= 5, "it looks on while it waits"


def test_every_look_is_handed_to_whoever_records_it(world: World) -> None:
    world.run()
    looks: list[tuple[str, int]] = []

    def record(state: RolloutState, look: Look, readings: list[Reading], _always: bool) -> None:
        looks.append((look.kind.value, len(readings)))
        assert state.id == "1.0.0-production"

    here = world.process()
    here.reconciler = replace(here.reconciler, record=record)  # type: ignore[arg-type]
    here.reconciler.reconcile("1.0.0-production")
    here.reconciler.foresee(world.state())
    assert looks == [("interim", 2)], "foreseeing writes nothing"


# --- killed before raising, and found days later -------------------------------------------------------------------------


def killed_before_raising(world: World) -> World:
    """Bring a release to 5 % of stable, and have its next weight decided by a process that is killed at once."""
    world.to_completion("0.9.0")
    world.run()
    world.clock.pass_(DAY)
    world.reconcile()
    world.clock.pass_(DAY)
    here = world.process()
    stored = here.rollouts.load("1.0.0-production")
    assert stored is not None
    decided = machine.decide(stored.state, PASS, world.clock.now())
    assert str(decided.intent.ops[0] if decided.intent else "") == "offer stable at 50%"
    here.rollouts.save(stored, decided)
    return world


def weight(world: World) -> int:
    stable = world.channel("stable")
    assert stable is not None
    return stable.candidate.weight.bps if stable.candidate else 0


def test_what_was_decided_a_moment_ago_is_finished(world: World) -> None:
    killed_before_raising(world).reconcile()
    assert weight(world) == 5000


def test_what_was_decided_days_ago_is_judged_anew_first(world: World) -> None:
    killed_before_raising(world).clock.pass_(2 * DAY)
    world.devices.says = dict(BAD)
    before = len(world.store.writes)
    assert world.reconcile().state.stage is Stage.ROLLED_BACK
    shown_weights = [body for name, body in world.store.writes[before:] if "/channels/stable" in name and b"5000" in body]
    assert (weight(world), shown_weights) == (0, [])


def test_what_was_decided_days_ago_and_is_still_good_goes_on(world: World) -> None:
    killed_before_raising(world).clock.pass_(2 * DAY)
    assert world.reconcile().state.weight == Weight(5000)
    assert weight(world) == 5000


def test_a_resume_finishes_no_raise_in_a_freeze(world: World) -> None:
    world.policy = replace(world.policy, windows=WindowsSpec(freezes=(Freeze("2026-12-01", "2026-12-02", "a fair"),)))
    killed_before_raising(world)
    actions.pause(world.process(), None, "a look").carry_out()
    while world.clock.now().month < 12:
        world.clock.pass_(HOUR)
    with pytest.raises(ConflictError, match="do not rise now") as refused:
        actions.resume(world.process(), None, {}, "")
    assert "a fair" in str(refused.value)
    world.clock.pass_(3 * DAY)
    actions.resume(world.process(), None, {}, "").carry_out()
    assert weight(world) == 5000


def test_what_was_decided_before_a_freeze_waits_for_its_end(world: World) -> None:
    world.policy = replace(world.policy, windows=WindowsSpec(freezes=(Freeze("2026-12-01", "2026-12-02", "a fair"),)))
    killed_before_raising(world)
    while world.clock.now().month < 12:
        world.clock.pass_(HOUR)
    waits = world.reconcile()
    assert (weight(world), waits.changed, "a fair" in waits.waiting_for) == (500, False, True)
    world.clock.pass_(3 * DAY)
    world.reconcile()
    assert weight(world) == 5000
    check_invariants(world)


def hour_long(world: World) -> Policy:
    return replace(world.policy, tracks={"production": track(phase("internal"), phase("stable", 5, 50, 100, soak=HOUR))})


def frozen(world: World) -> Policy:
    return replace(world.policy, windows=WindowsSpec(freezes=(Freeze("2026-11-20", "2026-12-20", "a fair"),)))


@pytest.mark.parametrize(("later", "amended"), [(2 * DAY, hour_long), (timedelta(minutes=1), frozen)])
def test_an_amendment_finishes_no_raise_unseen(later: timedelta, amended: Callable[[World], Policy], world: World) -> None:
    killed_before_raising(world).clock.pass_(later)
    world.devices.says = dict(BAD)
    world.policy = amended(world)
    amending.amend(world.process(), None, "in time").carry_out()
    assert (weight(world), world.kinds()[-1]) == (500, "rollout.amended")
    assert world.reconcile().state.stage is Stage.ROLLED_BACK
    assert weight(world) == 0
    check_invariants(world)
