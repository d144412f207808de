"""Rollouts in each other's way, and commands of people in the way of one that was killed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.channel import transitions
from otagate.cli.render.views import next_hint
from otagate.errors import ConflictError, NotFoundError, UsageError, VerificationError
from otagate.flow import actions, amending
from otagate.flow.prepare import prepare
from otagate.flow.select import active_rollouts, check_channel, last_rollout
from otagate.model import ChannelName, Version, Weight
from otagate.policy.model.tracks import BranchRule
from otagate.policy.model.windows import Freeze, WindowsSpec
from otagate.rollout import machine
from otagate.rollout.effects import Effects
from otagate.rollout.reconciler import Reconciler
from otagate.rollout.repository import Rollouts
from otagate.rollout.state import Intent, Op, OpKind, Stage
from support.rules import check_rules, plain
from support.world import DAY, HOUR, World, phase, shown, track

RAMP = track(phase("stable", 5, 50, 100))
TWO = track(phase("beta"), phase("stable", 50, 100))
HOTFIX = track(phase("fix", 20, 100, channel="stable"), name="hotfix")
FAILING = {"crash_rate": (110, 2000), "success": (10, 2000)}
BETA, STABLE = ChannelName("beta"), ChannelName("stable")
FROZEN = WindowsSpec(freezes=(Freeze("2026-11-20", "2026-11-23", "a fair"),))


class KilledError(BaseException):
    """No code may catch it."""


def kill(action: Any) -> None:
    """Run something and kill it after it was decided, before its first effect."""

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Effects, "carry_out", _die)
        with pytest.raises(KilledError):
            action()


def _die(*_args: object) -> None:
    raise KilledError


def seen(world: World, name: ChannelName) -> dict[str, Any]:
    """Give what a channel says; none of what it says is KeyError."""
    return shown(world.channel(str(name))) or {}


def with_hotfix(folder: Path) -> World:
    world = World(folder, spec=TWO)
    rules = (*world.policy.branches, BranchRule("hotfix/*", track="hotfix"))
    world.policy = replace(world.policy, branches=rules, tracks={**world.policy.tracks, "hotfix": HOTFIX})
    world.to_completion("0.9.0")
    world.run("1.0.0")
    world.clock.pass_(DAY)
    return world


# --- rollouts in each other's way ----------------------------------------------------------------------------------------


def test_rolling_back_an_older_release_leaves_the_pause_of_a_newer_one(tmp_path: Path) -> None:
    """The older one has left that channel; on it the newer one was stopped, and more devices would get it."""
    world = World(tmp_path, spec=TWO)
    world.to_completion("0.9.0")
    world.run("1.0.0")
    world.clock.pass_(DAY)
    assert world.reconcile("1.0.0-production").state.phase == 1
    world.run("1.1.0")
    actions.pause(world.process(), BETA, "it crashes").carry_out()
    actions.rollback(world.process(), STABLE, None, "bad, too").carry_out()
    assert world.state("1.0.0-production").stage is Stage.ROLLED_BACK
    beta = seen(world, BETA)
    assert (beta["stable"], beta["candidate"], beta["paused"]) == ("0.9.0", ("1.1.0", 10_000), True)
    actions.resume(world.process(), BETA, {}, "").carry_out()
    assert seen(world, BETA)["paused"] is False
    check_rules(world)


def test_a_channel_that_was_taken_while_it_was_killed_is_waited_for(tmp_path: Path) -> None:
    """It decided to enter, was killed, and a hotfix took the channel: gates still judge it, and it touches nothing there."""
    world = with_hotfix(tmp_path)
    kill(lambda: world.reconcile("1.0.0-production"))
    world.run("1.0.1", branch="hotfix/login")
    outcome = world.reconcile("1.0.0-production")
    assert outcome.waiting_for == "channel stable is held by rollout 1.0.1-hotfix (soaking)"
    assert outcome.results
    actions.pause(world.process(), BETA, "a look").carry_out()
    assert [seen(world, name)["paused"] for name in (BETA, STABLE)] == [True, False]
    actions.pause(world.process(), STABLE, "a look").carry_out()
    actions.rollback(world.process(), BETA, None, "bad").carry_out()
    assert world.state("1.0.0-production").stage is Stage.ROLLED_BACK
    assert [seen(world, name)["paused"] for name in (BETA, STABLE)] == [False, True]
    assert seen(world, STABLE)["candidate"] == ("1.0.1", 2000)


def test_a_channel_that_was_taken_is_entered_when_it_is_free(tmp_path: Path) -> None:
    world = with_hotfix(tmp_path)
    kill(lambda: world.reconcile("1.0.0-production"))
    world.run("1.0.1", branch="hotfix/login")
    world.reconcile("1.0.0-production")
    amending.abort(world.process(), STABLE, "not now").carry_out()
    world.reconcile("1.0.0-production")
    assert seen(world, STABLE)["candidate"] == ("1.0.0", 5000)
    assert world.claims() == {"beta": "", "stable": "1.0.0-production"}
    check_rules(world)


def test_a_channel_that_rolled_the_release_back_is_not_entered(tmp_path: Path) -> None:
    """It came there by hand once, and was bad. Offering it would fail at each reconcile, and beta be watched no more."""
    world = with_hotfix(tmp_path)
    amending.abort(world.process(), None, "by hand").carry_out()
    actions.promote(world.process(), STABLE, Version("1.0.0"), Weight(10_000)).carry_out()
    actions.rollback(world.process(), STABLE, None, "bad").carry_out()
    again = track(phase("beta"), phase("stable"), name="again")
    world.policy = replace(world.policy, tracks={"again": again}, branches=(BranchRule("main", track="again"),))
    world.run("1.0.0")
    world.clock.pass_(DAY)
    outcome = world.reconcile("1.0.0-again")
    assert outcome.waiting_for == "1.0.0 was rolled back on channel stable and is not served there again"
    assert (outcome.state.stage, outcome.state.phase, outcome.state.intent) == (Stage.PAUSED, 0, None)


@pytest.mark.parametrize("weights", [(20, 100), (100,)])
def test_a_release_that_another_track_rolled_back_here_goes_no_further(weights: tuple[int, ...], tmp_path: Path) -> None:
    """Two tracks ship one release, and it is bad: the other rollout of it would fail at each reconcile."""
    world = with_hotfix(tmp_path)
    hotfix = track(phase("fix", *weights, channel="stable"), name="hotfix")
    world.policy = replace(world.policy, tracks={**world.policy.tracks, "hotfix": hotfix})
    world.run("1.0.0", branch="hotfix/login")
    world.process().reconciler.effects.move(
        STABLE, lambda state: transitions.withdraw(state, world.state("1.0.0-hotfix").release)
    )
    assert "the soak" in world.reconcile("1.0.0-hotfix").waiting_for
    world.clock.pass_(DAY)
    outcome = world.reconcile("1.0.0-hotfix")
    assert outcome.state.stage is Stage.PAUSED
    assert outcome.waiting_for == "1.0.0 was rolled back on channel stable and is not served there again"
    actions.rollback(world.process(), STABLE, None, "bad").carry_out()
    assert seen(world, STABLE)["stable"] == "0.9.0"
    assert active_rollouts(world.process())[0].state.id == "1.0.0-production"


def test_a_rollback_of_a_completion_that_cannot_be_done_leaves_what_is_served_now(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("stable")))
    world.to_completion("0.9.0")
    world.run("1.0.0")
    world.clock.pass_(DAY)
    kill(lambda: world.reconcile("1.0.0-production"))
    release = world.state("1.0.0-production").release
    world.process().reconciler.effects.move(STABLE, lambda state: transitions.withdraw(state, release))
    for _ in range(2):
        actions.rollback(world.process(), STABLE, None, "bad").carry_out()
        assert seen(world, STABLE)["stable"] == "0.9.0"
    assert active_rollouts(world.process()) == []


def test_a_track_that_comes_back_to_a_channel_is_paused_there(tmp_path: Path) -> None:
    spec = track(phase("beta", 50, 100), phase("stable"), phase("again", channel="beta"))
    world = World(tmp_path, spec=spec)
    world.to_completion("0.9.0")
    world.run("1.0.0")
    for _ in range(3):
        world.clock.pass_(DAY)
        world.reconcile("1.0.0-production")
    assert world.state("1.0.0-production").phase == 2
    actions.pause(world.process(), None, "a look").carry_out()
    assert [seen(world, name)["paused"] for name in (BETA, STABLE)] == [True, False]
    actions.resume(world.process(), None, {}, "").carry_out()
    assert seen(world, BETA)["paused"] is False
    check_rules(world)


@pytest.mark.parametrize(
    ("waiting", "late", "is_replaced"),
    [
        ("1.0.10", "1.0.9", False),
        ("2.0.0-rc.1", "1.9.0", False),
        ("2026.11.21-gfff0000", "2026.11.21-g0000fff", True),
        ("1.0.0+2", "1.0.0+1", True),
    ],
)
def test_the_slow_job_of_an_earlier_commit_replaces_none_in_a_freeze(
    waiting: str, late: str, is_replaced: bool, tmp_path: Path
) -> None:
    world = World(tmp_path, spec=RAMP, windows=FROZEN)
    world.run(waiting)
    assert (prepare(world.process(), version=Version(late)).plan.refusal == "") is is_replaced
    if is_replaced:
        world.run(late)
    else:
        with pytest.raises(ConflictError, match="held by another rollout"):
            world.run(late)
    assert world.claims() == {"stable": f"{late if is_replaced else waiting}-production"}


@pytest.mark.parametrize(("branch", "ends"), [("develop", "channel-development"), ("main", "production")])
def test_a_commit_in_a_freeze_replaces_the_one_that_waits_for_its_end(branch: str, ends: str, tmp_path: Path) -> None:
    """Each push of weeks would fail otherwise, on previews and on everything else."""
    world = World(tmp_path, spec=TWO, windows=FROZEN)
    assert "a fair" in world.run("1.0.0", branch=branch).waiting_for
    plan = prepare(world.process(branch=branch), version=Version("1.0.1")).plan
    assert (f"supersede 1.0.0-{ends}", "it has come to nobody yet") in [(step.title, step.detail) for step in plan.steps]
    assert "a fair" in world.run("1.0.1", branch=branch).waiting_for
    assert world.state(f"1.0.0-{ends}").stage is Stage.SUPERSEDED
    world.clock.pass_(4 * DAY)
    assert world.reconcile(f"1.0.1-{ends}").state.phase == 0
    check_rules(world)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_slow_machine_takes_nothing_from_another_track_that_goes_on_with_the_release(
    tmp_path: Path, is_damaged: bool
) -> None:
    world = with_hotfix(tmp_path)
    fast = track(phase("fix", 50, 100, channel="stable"), name="hotfix")
    rules = tuple(replace(rule, supersede=rule.track == "hotfix") for rule in world.policy.branches)
    world.policy = replace(world.policy, branches=rules, tracks={**world.policy.tracks, "hotfix": fast})
    slow = world.process().reconciler.effects
    world.reconcile()
    raised = replace(world.state(), intent=Intent((Op(OpKind.OFFER, STABLE, Weight(5000)),), Stage.SOAKING))
    world.run("1.0.0", branch="hotfix/now")
    assert (world.state().stage, seen(world, STABLE)["candidate"]) == (Stage.SUPERSEDED, ("1.0.0", 5000))
    if is_damaged:
        key = f"apps/{world.policy.app}/active/stable.json"
        found = world.store.documents.read(key)
        world.store.documents.replace(key, b"nonsense", found.token if found else "")
    slow.carry_out(raised)
    assert seen(world, STABLE)["candidate"] == (None if is_damaged else ("1.0.0", 5000))


def test_a_commit_does_not_replace_one_that_waits_along_another_track(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("stable")), windows=FROZEN)
    rules = (*world.policy.branches, BranchRule("hotfix/*", track="hotfix"))
    world.policy = replace(world.policy, branches=rules, tracks={**world.policy.tracks, "hotfix": HOTFIX})
    world.run("1.0.1", branch="hotfix/login")
    with pytest.raises(ConflictError, match="channel stable is held by another rollout"):
        world.run("1.0.2")


def test_a_commit_does_not_replace_one_that_began_at_that_moment(tmp_path: Path) -> None:
    world = World(tmp_path, spec=TWO, windows=FROZEN)
    world.run("1.0.0")
    command = Reconciler.command

    def late(self: Reconciler, rollout_id: str, asked: Any) -> Any:
        world.clock.pass_(4 * DAY)
        world.reconcile(rollout_id)
        return command(self, rollout_id, asked)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Reconciler, "command", late)
        with pytest.raises(ConflictError, match="channel beta is held by another rollout"):
            world.run("1.0.1")
    assert world.state("1.0.0-production").stage is Stage.SOAKING
    check_rules(world)


# --- killed, and then another command ------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_claimed", [False, True])
def test_what_fails_after_it_was_killed_between_two_channels_is_paused_where_devices_take_it(
    is_claimed: bool, tmp_path: Path
) -> None:
    world = World(tmp_path, spec=TWO)
    world.to_completion("0.9.0")
    world.run("1.0.0")
    world.clock.pass_(DAY)
    kill(lambda: world.reconcile("1.0.0-production"))
    if is_claimed:
        world.process().rollouts.claim(STABLE, "1.0.0-production")
    world.clock.pass_(2 * HOUR)
    world.devices.says = dict(FAILING)
    assert world.reconcile("1.0.0-production").state.stage is Stage.PAUSED
    assert [seen(world, name)["paused"] for name in (BETA, STABLE)] == [True, is_claimed]
    actions.resume(world.process(), None, {"crash_rate": "known"}, "known").carry_out()
    assert [seen(world, name)["paused"] for name in (BETA, STABLE)] == [False, False]
    check_rules(world)


@pytest.mark.parametrize("name", [BETA, STABLE])
@pytest.mark.parametrize("place", ["carry_out", "follow"])
def test_people_may_name_either_channel_that_it_was_killed_between(place: str, name: ChannelName, tmp_path: Path) -> None:
    """On the one that it does not hold (yet, or any more), `resume` meant the channel, and waived nothing."""
    world = World(tmp_path, spec=TWO)
    world.run()
    world.clock.pass_(DAY)
    if place == "carry_out":
        kill(world.reconcile)
    else:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(machine, "finish_intent", _die)
            with pytest.raises(KilledError):
                world.reconcile()
    world.devices.says = dict(FAILING)
    actions.pause(world.process(), name, "a look").carry_out()
    hint = next_hint(world.reconcile().state)
    assert hint.startswith("publish a fix; or otagate rollback --channel beta; or otagate resume --channel beta")
    actions.resume(world.process(), name, {"crash_rate": "known"}, "known").carry_out()
    assert (world.state().stage, world.state().held) == (Stage.SOAKING, STABLE)
    check_rules(world)


def test_nothing_is_waived_where_no_rollout_is(tmp_path: Path) -> None:
    world = World(tmp_path, spec=TWO)
    world.to_completion()
    actions.pause(world.process(), STABLE, "a look").carry_out()
    with pytest.raises(NotFoundError, match="no rollout holds this channel, so no gate can be waived"):
        actions.resume(world.process(), STABLE, {"crash_rate": "known"}, "known")


@pytest.mark.parametrize(("later", "planned"), [(timedelta(0), ["offer stable at 50%"]), (DAY, [])])
def test_an_amendment_plans_no_raise_that_it_leaves_to_the_next_reconcile(
    later: timedelta, planned: list[str], tmp_path: Path
) -> None:
    world = World(tmp_path, spec=RAMP)
    world.run()
    world.clock.pass_(DAY)
    kill(world.reconcile)
    world.clock.pass_(later)
    action = amending.amend(world.process(), None, "why not")
    assert [step.title for step in action.plan.steps] == planned
    assert bool(action.plan.notes) == (not planned)
    action.carry_out()
    assert seen(world, STABLE)["candidate"] == ("1.0.0", 5000 if planned else 500)


def test_several_rollouts_are_named_by_the_channels_they_hold(tmp_path: Path) -> None:
    world = World(tmp_path, spec=TWO, windows=FROZEN)
    world.run("1.0.0")
    world.run("1.0.0", branch="develop")
    with pytest.raises(UsageError, match=r"1\.0\.0-production in beta, 1\.0\.0-channel-development in development"):
        actions.pause(world.process(), None, "a look")


@pytest.mark.parametrize("again", ["resume", "pause and resume"])
def test_a_killed_lowering_is_done_by_whoever_resumes(again: str, tmp_path: Path) -> None:
    """It would stay at 50 % otherwise, and be taken for 5 %."""
    world = World(tmp_path, spec=RAMP)
    world.run()
    world.clock.pass_(DAY)
    assert world.reconcile().state.weight == Weight(5000)
    if again == "resume":
        actions.pause(world.process(), None, "a look").carry_out()
    kill(lambda: amending.lower(world.process(), None, Weight(500), "slower").carry_out())
    if again != "resume":
        kill(lambda: actions.pause(world.process(), None, "a look").carry_out())
    actions.resume(world.process(), None, {}, "").carry_out()
    assert (world.state().weight, seen(world, STABLE)["candidate"]) == (Weight(500), ("1.0.0", 500))
    assert world.state().entered_at == world.clock.now()
    check_rules(world)


def test_a_lowering_opens_the_channel_that_a_killed_resume_left_shut(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    world.run()
    world.clock.pass_(DAY)
    world.reconcile()
    actions.pause(world.process(), None, "a look").carry_out()
    kill(lambda: actions.resume(world.process(), None, {}, "").carry_out())
    amending.lower(world.process(), None, Weight(500), "slower").carry_out()
    assert (world.state().stage, seen(world, STABLE)["paused"]) == (Stage.SOAKING, False)


@pytest.mark.parametrize(("name", "to"), [(None, None), (STABLE, None), (STABLE, "0.9.0")])
def test_a_rollback_of_what_was_killed_while_it_completed_gives_it_to_nobody(
    name: ChannelName | None, to: str | None, tmp_path: Path
) -> None:
    """It used to complete: the devices that were held out got the release, and the command said that all was done."""
    world = World(tmp_path, spec=track(phase("stable", 5, 100, holdout=Weight(500))))
    world.to_completion("0.9.0")
    world.run("1.0.0")
    world.clock.pass_(DAY)
    assert world.reconcile("1.0.0-production").state.is_last_step
    world.clock.pass_(DAY)
    kill(lambda: world.reconcile("1.0.0-production"))
    assert world.state("1.0.0-production").stage is Stage.COMPLETED
    action = actions.rollback(world.process(), name, to, "bad")
    assert [step.title for step in action.plan.steps] == ["roll stable back to 0.9.0"]
    action.carry_out()
    stable = seen(world, STABLE)
    assert (stable["stable"], stable["candidate"], stable["blocked"]) == ("0.9.0", None, ["1.0.0"])
    writes = [body for key, body in world.store.writes if key.endswith("channels/stable.json")]
    assert not any(seen_at == 10_000 for seen_at in _weights(writes, "1.0.0"))
    assert active_rollouts(world.process()) == []
    assert world.kinds()[-2:] == ["rollout.completed", "channel.rolled_back"]
    actions.rollback(world.process(), name, to, "bad").carry_out()
    assert seen(world, STABLE) == stable
    check_rules(world)


def _weights(bodies: list[bytes], version: str) -> list[int]:
    """Give the weights at which a release was ever offered."""
    candidates = [plain(body)["candidate"] for body in bodies]
    return [one["weight"] for one in candidates if one and one["version"] == version]


# --- the policy is another one by now ------------------------------------------------------------------------------------


@pytest.mark.parametrize("amends", [False, True])
def test_a_rollout_that_waits_for_a_window_is_found_when_the_policy_names_its_channel_no_more(
    amends: bool, tmp_path: Path
) -> None:
    world = World(tmp_path, spec=TWO, windows=FROZEN)
    assert "a fair" in world.run("1.0.0").waiting_for
    renamed = track(phase("beta", channel="preview"), phase("stable"))
    world.policy = replace(world.policy, tracks={"production": renamed})
    if amends:
        amending.amend(world.process(), None, "another name").carry_out()
    here = world.process()
    assert [stored.state.id for stored in active_rollouts(here)] == ["1.0.0-production"]
    check_channel(here, BETA)
    found = last_rollout(here, None)
    assert (found and found.state.id) == "1.0.0-production"
    world.store.documents.create("apps/com.example.app/active/-stray.json", b"{}")
    world.clock.pass_(4 * DAY)
    for stored in active_rollouts(world.process()):
        world.reconcile(stored.state.id)
    assert world.state("1.0.0-production").stage is Stage.SOAKING
    assert seen(world, ChannelName("preview") if amends else BETA)["candidate"] == ("1.0.0", 10_000)


def test_a_rollout_that_is_to_begin_on_another_channel_holds_that_one(tmp_path: Path) -> None:
    """Otherwise people's `--channel` would mean a channel that nothing holds, and another rollout could start there."""
    world = World(tmp_path, spec=TWO, windows=FROZEN)
    world.run("1.0.0")
    renamed = track(phase("preview"), phase("stable"))
    world.policy = replace(world.policy, tracks={"production": renamed})
    action = amending.amend(world.process(), BETA, "another name")
    assert world.claims() == {"beta": "1.0.0-production"}, "only planned yet"
    action.carry_out()
    assert world.claims() == {"beta": "", "preview": "1.0.0-production"}
    actions.pause(world.process(), ChannelName("preview"), "a look").carry_out()
    assert world.state("1.0.0-production").stage is Stage.PAUSED
    world.clock.pass_(4 * DAY)
    actions.resume(world.process(), ChannelName("preview"), {}, "").carry_out()
    world.reconcile("1.0.0-production")
    assert seen(world, ChannelName("preview"))["candidate"] == ("1.0.0", 10_000)
    check_rules(world)


@pytest.mark.parametrize("place", ["save", "release_claim"])
def test_an_amendment_of_where_it_begins_that_was_killed_is_done_by_the_next(place: str, tmp_path: Path) -> None:
    world = World(tmp_path, spec=TWO, windows=FROZEN)
    world.run("1.0.0")
    world.policy = replace(world.policy, tracks={"production": track(phase("preview"), phase("stable"))})

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Rollouts, place, _die)
        with pytest.raises(KilledError):
            amending.amend(world.process(), BETA, "another name").carry_out()
    assert [stored.state.id for stored in active_rollouts(world.process())] == ["1.0.0-production"]
    amending.amend(world.process(), None, "another name").carry_out()
    assert world.claims() == {"beta": "", "preview": "1.0.0-production"}
    assert world.kinds().count("rollout.amended") == 1
    check_rules(world)


def test_an_amendment_that_comes_too_late_leaves_where_it_began(tmp_path: Path) -> None:
    world = World(tmp_path, spec=TWO, windows=FROZEN)
    world.run("1.0.0")
    world.policy = replace(world.policy, tracks={"production": track(phase("preview"), phase("stable"))})
    action = amending.amend(world.process(), BETA, "another name")
    world.clock.pass_(4 * DAY)
    world.reconcile("1.0.0-production")
    action.carry_out()
    assert world.claims() == {"beta": "1.0.0-production", "preview": ""}
    assert "rollout.amended" not in world.kinds()
    check_rules(world)


def test_a_rollout_does_not_begin_where_another_is(tmp_path: Path) -> None:
    world = World(tmp_path, spec=TWO)
    rules = (*world.policy.branches, BranchRule("hotfix/*", track="hotfix"))
    world.policy = replace(world.policy, branches=rules, tracks={**world.policy.tracks, "hotfix": HOTFIX})
    world.run("1.0.1", branch="hotfix/login")
    world.policy = replace(world.policy, windows=FROZEN)
    world.run("1.0.0")
    world.policy = replace(world.policy, tracks={**world.policy.tracks, "production": track(phase("stable"))})
    with pytest.raises(ConflictError, match="channel stable is held by another rollout"):
        amending.amend(world.process(), BETA, "at once")
    assert world.claims() == {"beta": "1.0.0-production", "stable": "1.0.1-hotfix"}


def test_held_out_devices_wait_for_the_window_of_their_phase(tmp_path: Path) -> None:
    """The next phase knows no windows; the devices that this one held out do."""
    spec = track(phase("stable", 5, 100, holdout=Weight(500)), phase("watch", channel="watch", ignore_windows=True))
    fair = WindowsSpec(freezes=(Freeze("2026-11-23", "2026-11-24", "a fair"),))
    world = World(tmp_path, spec=spec, windows=fair)
    world.run()
    world.clock.pass_(DAY)
    assert world.reconcile().state.is_last_step
    world.clock.pass_(DAY)
    assert "a fair" in world.reconcile().waiting_for
    assert seen(world, STABLE)["candidate"] == ("1.0.0", 9500)
    world.clock.pass_(2 * DAY)
    assert world.reconcile().state.phase == 1


def test_a_damaged_claim_keeps_nobody_from_stopping_devices(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    world.run()
    key = "apps/com.example.app/active/stable.json"
    claim = world.store.documents.read(key)
    assert claim is not None
    world.store.documents.replace(key, b"nonsense", claim.token)
    world.store.documents.create("apps/com.example.app/active/no+channel.json", b"{}")
    here = world.process()
    assert here.rollouts.channels() == [STABLE], "a stray file is no claim"
    here.reconciler.command("1.0.0-production", lambda state, now: machine.pause(state, "a look", "ana", now))
    assert seen(world, STABLE)["paused"]
    with pytest.raises(VerificationError):  # the claim cannot be given up; devices went back before that
        here.reconciler.command("1.0.0-production", lambda state, now: machine.roll_back(state, "bad", "ana", now))
    assert seen(world, STABLE) == {"stable": None, "candidate": None, "paused": False, "previous": [], "blocked": ["1.0.0"]}
