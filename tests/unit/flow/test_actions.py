from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from otagate.channel import transitions
from otagate.errors import ConflictError, NotFoundError, UsageError, VerificationError
from otagate.flow import actions
from otagate.flow.acting import Action, find_release
from otagate.flow.going_back import BUILTIN
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, Version, Weight
from otagate.policy.model.bundles import TrustSpec
from otagate.rollout.state import Stage
from otagate.store.interface import Document, DocumentStore, Store
from support.rollouts import fresh
from support.world import DAY, Witness, World, phase, shown, track

STABLE, NIGHTLY = ChannelName("stable"), ChannelName("nightly")
FULL = Weight(10_000)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a world in which 0.9.0 went all the way on ``stable``, and 1.0.0 soaks there at 5 percent."""
    made = World(tmp_path, spec=track(phase("stable", 5, 100)))
    made.to_completion("0.9.0")
    made.run("1.0.0")
    return made


@pytest.fixture
def idle(tmp_path: Path) -> World:
    """Give a world in which 0.8.0 and 0.9.0 went all the way and nothing is active."""
    made = World(tmp_path, spec=track(phase("stable", 5, 100)))
    made.to_completion("0.8.0")
    made.to_completion("0.9.0")
    return made


def titles(action: Action) -> list[tuple[str, str]]:
    return [(step.title, step.status.value) for step in action.plan.steps]


# --- promote ----------------------------------------------------------------------------------------------------------------


def test_a_channel_is_promoted_at_once_and_the_ledger_says_who_did_it(idle: World) -> None:
    action = actions.promote(idle.process(), NIGHTLY, Version("0.9.0"), FULL)
    assert titles(action) == [("promote nightly to 0.9.0 at 100%", "todo")]
    assert idle.channel("nightly") is None, "planning moves nothing"
    receipt = action.carry_out()
    assert receipt.channel is not None
    assert shown(receipt.channel.state)["stable"] == "0.9.0"  # type: ignore[index]
    entry = idle.ledger()[-1]
    assert (entry.kind, entry.data) == (
        "channel.promoted",
        {"actor": "ana", "channel": "nightly", "serial": "1", "version": "0.9.0", "weight": "100%"},
    )


def test_promoting_twice_is_promoting_once(idle: World) -> None:
    for _ in range(2):
        actions.promote(idle.process(), NIGHTLY, Version("0.9.0"), FULL).carry_out()
    again = actions.promote(idle.process(), NIGHTLY, Version("0.9.0"), FULL)
    assert titles(again)[0][1] == "done"
    assert idle.kinds().count("channel.promoted") == 1


def test_a_weight_by_hand_only_grows(idle: World) -> None:
    actions.promote(idle.process(), STABLE, Version("0.8.0"), Weight(2000)).carry_out()
    for version, weight in (("0.8.0", 1000), ("0.9.0", 5000)):
        with pytest.raises(ConflictError, match="a weight only grows"):
            actions.promote(idle.process(), STABLE, Version(version), Weight(weight))
    assert shown(idle.channel("stable"))["candidate"] == ("0.8.0", 2000)  # type: ignore[index]


def test_a_channel_of_a_rollout_is_not_moved_by_hand(world: World) -> None:
    with pytest.raises(ConflictError, match="a rollout holds this channel") as caught:
        actions.promote(world.process(), STABLE, Version("0.9.0"), FULL)
    assert caught.value.found == "1.0.0-production (soaking)"


def test_a_release_that_is_not_there_is_named(idle: World) -> None:
    with pytest.raises(NotFoundError, match=r"not published: 9\.9\.9"):
        actions.promote(idle.process(), NIGHTLY, Version("9.9.9"), FULL)


def test_an_expired_release_is_not_promoted(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("stable", soak=timedelta(0))), gates=())
    world.policy = replace(world.policy, trust=TrustSpec(world.policy.trust.keys, release_ttl=DAY))
    world.run("0.9.0")
    actions.promote(world.process(), NIGHTLY, Version("0.9.0"), Weight(500)).carry_out()
    world.clock.pass_(2 * DAY)
    with pytest.raises(VerificationError, match="has expired"):
        actions.promote(world.process(), NIGHTLY, Version("0.9.0"), FULL)


# --- pause and resume -----------------------------------------------------------------------------------------------------------


def test_pausing_without_a_channel_means_the_only_rollout(world: World) -> None:
    action = actions.pause(world.process(), None, "")
    assert titles(action) == [("pause stable", "todo")]
    receipt = action.carry_out()
    assert receipt.rollout is not None
    assert (receipt.rollout.stage, receipt.rollout.paused_by, receipt.rollout.paused_actor) == (
        Stage.PAUSED,
        "paused by ana",
        "ana",
    )


def test_a_channel_without_a_rollout_is_paused_and_resumed_itself(idle: World) -> None:
    actions.pause(idle.process(), STABLE, "freeze").carry_out()
    assert shown(idle.channel("stable"))["paused"]  # type: ignore[index]
    assert titles(actions.pause(idle.process(), STABLE, "")) == [("pause stable", "done")]
    actions.resume(idle.process(), STABLE, {}, "").carry_out()
    assert not shown(idle.channel("stable"))["paused"]  # type: ignore[index]
    assert idle.kinds()[-2:] == ["channel.paused", "channel.resumed"]


@pytest.mark.parametrize(
    "make",
    [
        lambda w: actions.pause(w, None, ""),
        lambda w: actions.resume(w, None, {}, ""),
        lambda w: actions.rollback(w, None, None, ""),
    ],
)
def test_with_nothing_active_a_channel_must_be_named(make: Callable[[Workspace], object], idle: World) -> None:
    with pytest.raises(UsageError, match="a channel must be named"):
        make(idle.process())


def test_with_several_active_one_must_be_named(world: World) -> None:
    rollouts = world.process().rollouts
    other = rollouts.create(fresh("2.0.0"))
    rollouts.claim(ChannelName("internal"), other.state.id)
    with pytest.raises(UsageError, match="several rollouts are active") as caught:
        actions.pause(world.process(), None, "")
    assert "1.0.0-production in stable, 2.0.0-production in internal" in str(caught.value)


def test_an_unknown_channel_is_not_made_by_pausing_it(idle: World) -> None:
    for make in (actions.pause, lambda w, n, r: actions.resume(w, n, {}, r)):
        with pytest.raises(NotFoundError, match="there is no such channel"):
            make(idle.process(), ChannelName("nowhere"), "")


# --- approve ----------------------------------------------------------------------------------------------------------------------


def test_approving_needs_a_rollout_that_waits(idle: World) -> None:
    with pytest.raises(NotFoundError, match="no rollout is active"):
        actions.approve(idle.process(), None, None, "")


def test_approving_another_phase_is_a_conflict(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("internal"), phase("beta", approve=True)))
    world.run()
    with pytest.raises(ConflictError, match="does not wait for that approval"):
        actions.approve(world.process(), None, None, "")
    world.clock.pass_(DAY)
    assert world.run().state.stage is Stage.AWAITING_APPROVAL
    with pytest.raises(ConflictError, match="waiting for phase:beta"):
        actions.approve(world.process(), None, "internal", "")
    receipt = actions.approve(world.process(), None, "beta", "fine").carry_out()
    assert receipt.rollout is not None
    assert receipt.rollout.approvals["phase:beta"].reason == "fine"
    assert titles(actions.approve(world.process(), None, None, "")) == [], "twice is once"
    assert world.run().state.phase == 1


# --- rollback -----------------------------------------------------------------------------------------------------------------------


def test_rolling_a_rollout_back_gives_back_every_channel(world: World) -> None:
    action = actions.rollback(world.process(), None, None, "it crashes")
    assert titles(action) == [("withdraw stable", "todo")]
    receipt = action.carry_out()
    assert receipt.rollout is not None
    assert receipt.rollout.outcome == "it crashes"
    assert shown(world.channel("stable"))["stable"] == "0.9.0"  # type: ignore[index]


def test_rolling_a_channel_back_goes_to_the_release_before(idle: World) -> None:
    action = actions.rollback(idle.process(), STABLE, None, "")
    assert titles(action) == [("roll stable back to 0.8.0", "todo")]
    action.carry_out()
    assert shown(idle.channel("stable")) == {
        "stable": "0.8.0",
        "candidate": None,
        "paused": False,
        "previous": [],
        "blocked": ["0.9.0"],
    }
    entry = idle.ledger()[-1]
    assert (entry.kind, entry.data["from"], entry.data["to"], entry.data["reason"]) == (
        "channel.rolled_back",
        "0.9.0",
        "0.8.0",
        "rolled back by ana",
    )


@pytest.mark.parametrize(("to", "stable"), [("0.8.0", "0.8.0"), ("builtin", None)])
def test_rolling_back_to_a_named_release(to: str, stable: str | None, idle: World) -> None:
    for _ in range(2):
        actions.rollback(idle.process(), STABLE, to, "").carry_out()
    after = shown(idle.channel("stable"))
    assert after is not None
    assert (after["stable"], after["blocked"][0]) == (stable, "0.9.0")


def test_rolling_back_to_a_named_release_ends_the_rollout_too(world: World) -> None:
    actions.rollback(world.process(), STABLE, "0.9.0", "").carry_out()
    assert world.state().stage is Stage.ROLLED_BACK
    assert shown(world.channel("stable"))["stable"] == "0.9.0"  # type: ignore[index]
    assert world.claims() == {"stable": ""}


def test_a_paused_channel_that_is_rolled_back_moves_again(idle: World) -> None:
    actions.pause(idle.process(), STABLE, "").carry_out()
    actions.rollback(idle.process(), STABLE, None, "").carry_out()
    assert not shown(idle.channel("stable"))["paused"]  # type: ignore[index]


def test_a_rollback_to_what_does_not_hold_is_refused(idle: World) -> None:
    for blob in list(idle.store.blobs._bytes):  # type: ignore[attr-defined]
        idle.store.blobs.delete(blob)
    before = idle.channel("stable")
    with pytest.raises(VerificationError):
        actions.rollback(idle.process(), STABLE, None, "")
    assert idle.channel("stable") == before
    actions.rollback(idle.process(), STABLE, "builtin", "").carry_out()
    assert shown(idle.channel("stable"))["stable"] is None  # type: ignore[index]


def test_nothing_to_roll_back_is_said(idle: World) -> None:
    with pytest.raises(ConflictError, match="there is nothing to roll back"):
        actions.rollback(idle.process(), NIGHTLY, None, "")


def test_to_needs_a_channel(world: World) -> None:
    with pytest.raises(UsageError, match="--to needs --channel"):
        actions.rollback(world.process(), None, "0.9.0", "")


def test_overrides_are_checked(world: World) -> None:
    with pytest.raises(UsageError, match="there is no such gate"):
        actions.resume(world.process(), None, {"speed": "x"}, "x")
    world.devices.says["crash_rate"] = (100, 2000)
    world.clock.pass_(DAY)
    world.reconcile()
    with pytest.raises(ConflictError, match="later good numbers do not lift it") as caught:
        actions.resume(world.process(), None, {}, "")
    assert caught.value.details[0].startswith("crash_rate: 100 of 2000 devices bad")


def test_a_gate_that_has_not_stopped_anything_is_not_waived_and_that_is_said(world: World) -> None:
    early = actions.resume(world.process(), None, {"crash_rate": "known"}, "known")
    assert early.plan.notes == ("nothing was waived of crash_rate: a gate is waived when it has paused its rollout",)
    early.carry_out()
    assert not world.state().waived
    world.devices.says["crash_rate"] = (100, 2000)
    world.clock.pass_(DAY)
    world.reconcile()
    for _ in range(2):
        late = actions.resume(world.process(), None, {"crash_rate": "known"}, "known")
        assert late.plan.notes == ()
        late.carry_out()
    assert world.state().waived == {"crash_rate"}


@pytest.mark.parametrize(
    "make",
    [
        lambda w: actions.promote(w, NIGHTLY, Version("0.9.0"), FULL),
        lambda w: actions.pause(w, STABLE, ""),
        lambda w: actions.resume(w, STABLE, {}, ""),
        lambda w: actions.approve(w, None, None, ""),
        lambda w: actions.rollback(w, STABLE, None, ""),
    ],
)
def test_a_fork_changes_nothing(make: Callable[[Workspace], object], idle: World) -> None:
    with pytest.raises(UsageError, match="from a fork may plan"):
        make(idle.process(is_fork=True))


# --- the same rollback twice ----------------------------------------------------------------------------------------------


def test_a_repeated_rollback_does_not_go_back_two_releases(idle: World) -> None:
    actions.rollback(idle.process(), STABLE, None, "").carry_out()
    before = idle.channel("stable")
    told = len(idle.ledger())
    again = actions.rollback(idle.process(), STABLE, None, "")
    assert titles(again) == [("roll stable back from 0.9.0", "done")]
    assert "--to VERSION" in again.plan.notes[0]
    again.carry_out()
    assert idle.channel("stable") == before
    assert len(idle.ledger()) == told


def test_a_repeated_rollback_without_a_channel_finds_what_was_done(world: World) -> None:
    actions.rollback(world.process(), None, None, "").carry_out()
    before = world.channel("stable")
    told = len(world.ledger())
    again = actions.rollback(world.process(), None, None, "")
    assert titles(again) == [("roll stable back from 1.0.0", "done")]
    again.carry_out()
    assert (world.channel("stable"), len(world.ledger())) == (before, told)


class Counted(Witness):
    """Documents that keep which keys were read. See DocumentStore."""

    def __init__(self, inner: DocumentStore) -> None:
        super().__init__(inner)
        self.reads: list[str] = []

    def read(self, key: str) -> Document | None:
        self.reads.append(key)
        return super().read(key)


@pytest.mark.parametrize("more", [0, 30, 150])
def test_a_repeated_rollback_does_not_read_years_of_the_ledger(more: int, idle: World) -> None:
    ledger, now = idle.process().ledger, idle.clock.now()
    for number in range(150):
        ledger.append("channel.noticed", f"early:{number}", {}, now)
    actions.rollback(idle.process(), STABLE, None, "").carry_out()
    for number in range(more):
        ledger.append("channel.noticed", f"late:{number}", {}, now)
    told, counted = len(idle.ledger()), Counted(idle.store.documents)
    here = idle.process(Store("memory:world", idle.store.blobs, counted))
    actions.rollback(here, STABLE, None, "").carry_out()
    assert len(idle.ledger()) == told
    few = 5 + 9  # to find the head, and entries that a killed rollout may have told late
    assert len([key for key in counted.reads if "/ledger/" in key]) <= min(more, 100) + few


def test_a_rollback_of_another_channel_is_not_taken_for_one_that_was_killed(idle: World) -> None:
    actions.promote(idle.process(), NIGHTLY, Version("0.9.0"), FULL).carry_out()
    actions.rollback(idle.process(), NIGHTLY, None, "").carry_out()
    workspace = idle.process()
    bad = find_release(workspace, Version("0.9.0")).ref
    workspace.reconciler.effects.move(STABLE, lambda state: transitions.withdraw(state, bad))  # and killed here
    actions.rollback(idle.process(), STABLE, None, "").carry_out()
    entry = idle.ledger()[-1]
    assert (entry.kind, entry.data["channel"], entry.data["from"]) == ("channel.rolled_back", "stable", "0.9.0")


def test_going_further_back_takes_a_name(idle: World) -> None:
    actions.rollback(idle.process(), STABLE, None, "").carry_out()
    actions.rollback(idle.process(), STABLE, BUILTIN, "").carry_out()
    state = idle.channel("stable")
    assert state is not None
    assert state.stable is None


def test_what_a_killed_rollback_did_not_write_is_written_by_the_next(idle: World) -> None:
    workspace = idle.process()
    bad = find_release(workspace, Version("0.9.0")).ref
    workspace.reconciler.effects.move(STABLE, lambda state: transitions.withdraw(state, bad))  # and killed here
    actions.rollback(idle.process(), STABLE, None, "").carry_out()
    entry = idle.ledger()[-1]
    assert (entry.kind, entry.data["from"], entry.data["to"]) == ("channel.rolled_back", "0.9.0", "0.8.0")
