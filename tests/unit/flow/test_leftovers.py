"""What a slow machine that was killed left offered is taken off by the next reconcile, and nothing else is."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from otagate.channel import transitions
from otagate.errors import ConflictError, UnavailableError, UsageError
from otagate.flow import actions, amending, leftovers
from otagate.flow.select import channel_names
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, Version, Weight
from otagate.policy.model.tracks import BranchRule
from otagate.rollout import machine
from otagate.rollout.state import Stage
from otagate.store.interface import Store
from support.meddler import meddled
from support.world import DAY, HOUR, World, begun, check_invariants, phase, shown, track

ID = "1.0.0-production"
RAMP = track(phase("stable", 5, 50, 100))
STABLE = ChannelName("stable")


EVERY = 1 if os.environ.get("OTAGATE_TEST_SCHEDULES") == "all" else 7
"""Of the pairs of an interruption and a kill, so many make one that is tried."""


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


def soaked(folder: Path) -> World:
    """Give a world whose rollout is about to be raised to 50 %."""
    world = World(folder, spec=RAMP)
    world.run()
    world.clock.pass_(DAY)
    return world


def abort(world: World) -> None:
    amending.abort(world.process(), None, "enough").carry_out()


def supersede(world: World) -> None:
    world.process().reconciler.command(ID, lambda state, now: machine.supersede(state, "1.0.1-production", "", now))


def pause(world: World) -> None:
    actions.pause(world.process(), STABLE, "a look").carry_out()


def lower(world: World) -> None:
    try:
        amending.lower(world.process(), None, Weight(500), "slower").carry_out()
    except UsageError:
        return  # it was not raised yet


def found_in(workspace: Workspace, *names: ChannelName) -> list[leftovers.Leftover]:
    """Look for leftovers on some channels; without names on all."""
    return leftovers.find(workspace, leftovers.read(workspace, names or channel_names(workspace)))


def reconcile_all(workspace: Workspace) -> list[leftovers.Leftover]:
    """Do what the verb does before it judges."""
    done, failed = leftovers.take_back(workspace, found_in(workspace))
    assert failed == {}
    return done


def _through(world: World, store: Store) -> None:
    world.process(store).reconciler.reconcile(ID)


def killed_late(world: World, other: Callable[[World], None], at: int, dies: int) -> World:
    """Let a reconcile be overtaken by ``other`` before its operation ``at``, and killed before its operation ``dies``."""

    def die() -> None:
        raise Killed

    twin = world.twin()
    store, _ = meddled(twin.store, at, lambda: other(twin))
    store, _ = meddled(store, dies, die)
    with suppress(Killed, ConflictError):
        _through(twin, store)
    return twin


@pytest.mark.parametrize(
    ("make", "other"), [(partial(begun, spec=RAMP), abort), (partial(begun, spec=RAMP), supersede), (soaked, lower)]
)
def test_whatever_a_killed_machine_left_offered_the_next_reconcile_takes_off(
    make: Callable[[Path], World], other: Callable[[World], None], tmp_path: Path
) -> None:
    world = make(tmp_path)
    probe = world.twin()
    store, counted = meddled(probe.store)
    _through(probe, store)
    left = 0
    for at in range(counted.count):
        for dies in range(at + 1 + at % EVERY, counted.count + 4, EVERY):
            twin = killed_late(world, other, at, dies)
            done = reconcile_all(twin.process())
            left += len(done)
            state, channel = twin.state(), twin.channel("stable")
            assert channel is not None
            if state.intent is None and not state.unfinished:
                wanted = None if state.is_terminal else (state.release, state.weight)
                found = channel.candidate and (channel.candidate.release, channel.candidate.weight)
                assert found == wanted, (at, dies)
            assert reconcile_all(twin.process()) == [], "once"
            told = [entry.data for entry in twin.ledger() if entry.kind == "rollout.taken_back"]
            assert [data["rollout"] for data in told] == [ID] * len(done), (at, dies)
            check_invariants(twin)
    assert left > 0, "no kill left anything: this test tests nothing"


def aborted_with_an_offer(folder: Path) -> World:
    """Give a world in which a killed machine left an aborted release at 5 % of ``stable``."""
    world = begun(folder, RAMP)
    state = world.state()
    abort(world)
    effects = world.process().reconciler.effects
    effects.move(STABLE, lambda channel: transitions.offer(channel, state.release, Weight(500), state.seed))
    return world


def test_it_says_what_it_does_and_did(tmp_path: Path) -> None:
    world = aborted_with_an_offer(tmp_path)
    here = world.process()
    found = found_in(here, STABLE)
    assert [str(one) for one in found] == [f"take 1.0.0 off stable: {ID}, which offered it, is aborted"]
    assert [step.title for step in leftovers.steps(found)] == [str(found[0])]
    assert [one.done for one in reconcile_all(here)] == [f"took 1.0.0 off stable: {ID}, which offered it, is aborted"]
    assert shown(world.channel("stable")) == {
        "stable": "0.9.0",
        "candidate": None,
        "paused": False,
        "previous": [],
        "blocked": [],
    }
    assert world.ledger()[-1].data == {
        "rollout": ID,
        "version": "1.0.0",
        "channel": "stable",
        "reason": "it was still offered after the rollout was aborted",
        "actor": "ana",
    }


def test_a_raise_after_a_lowering_is_lowered(tmp_path: Path) -> None:
    world = soaked(tmp_path)
    world.reconcile()
    raised = world.channel("stable")
    lower(world)
    effects = world.process().reconciler.effects
    assert raised is not None
    state = world.state()
    effects.move(STABLE, lambda channel: transitions.offer(channel, state.release, Weight(5000), state.seed))
    found = found_in(world.process(), STABLE)
    assert [str(one) for one in found] == [f"lower 1.0.0 to 5% of stable, where {ID} stands"]
    reconcile_all(world.process())
    assert shown(world.channel("stable"))["candidate"] == ("1.0.0", 500)  # type: ignore[index]
    assert world.ledger()[-1].data["weight"] == "5%"


@pytest.mark.parametrize("supersede", [True, False], ids=["a fix", "one that was paused"])
def test_what_another_track_goes_on_with_stays(tmp_path: Path, supersede: bool) -> None:
    world = soaked(tmp_path)
    if not supersede:
        actions.pause(world.process(), None, "go another way").carry_out()
    fast = track(phase("stable", 20, 100), name="fast")
    rule = BranchRule("hotfix/*", track="fast", supersede=supersede)
    policy = world.policy
    world.policy = replace(policy, tracks={**policy.tracks, "fast": fast}, branches=(*policy.branches, rule))
    world.run("1.0.0", branch="hotfix/now")
    assert (world.state().stage, world.state("1.0.0-fast").seed) == (Stage.SUPERSEDED, world.state().seed)
    assert reconcile_all(world.process()) == []
    assert shown(world.channel("stable"))["candidate"] == ("1.0.0", 2000)  # type: ignore[index]
    # Of both, the one that is over last is named.
    amending.abort(world.process(), None, "enough").carry_out()
    effects, state = world.process().reconciler.effects, world.state()
    effects.move(STABLE, lambda channel: transitions.offer(channel, state.release, Weight(500), state.seed))
    assert [one.rollout.id for one in reconcile_all(world.process())][:1] == ["1.0.0-fast"]
    assert world.channel("stable").candidate is None  # type: ignore[union-attr]


def test_what_a_person_offers_by_hand_stays(tmp_path: Path) -> None:
    world = begun(tmp_path, RAMP)
    abort(world)
    actions.promote(world.process(), STABLE, Version("1.0.0"), Weight(2000)).carry_out()
    assert found_in(world.process(), STABLE) == []


def test_more_than_its_rollout_ever_gave_it_is_no_leftover(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    world.run()
    state = world.state()
    effects = world.process().reconciler.effects
    effects.move(STABLE, lambda channel: transitions.offer(channel, state.release, Weight(5000), state.seed))
    assert found_in(world.process(), STABLE) == []


def test_a_channel_that_was_moved_since_it_was_looked_at_is_left_alone(tmp_path: Path) -> None:
    world = aborted_with_an_offer(tmp_path)
    here = world.process()
    found = found_in(here, STABLE)
    actions.pause(world.process(), STABLE, "a look").carry_out()
    assert leftovers.take_back(here, found) == ([], {})
    assert "rollout.taken_back" not in world.kinds()
    assert world.channel("stable").candidate is not None  # type: ignore[union-attr]
    assert len(reconcile_all(world.process())) == 1
    assert world.channel("stable").paused  # type: ignore[union-attr]


def test_killed_anywhere_it_is_taken_off_and_told_once(tmp_path: Path) -> None:
    world = aborted_with_an_offer(tmp_path)

    def die() -> None:
        raise Killed

    probe = world.twin()
    store, counted = meddled(probe.store)
    assert reconcile_all(probe.process(store))
    for dies in range(counted.count):
        twin = world.twin()
        store, _ = meddled(twin.store, dies, die)
        with pytest.raises(Killed):
            reconcile_all(twin.process(store))
        twin.clock.pass_(DAY)
        reconcile_all(twin.process())
        assert twin.channel("stable").candidate is None  # type: ignore[union-attr]
        assert twin.kinds().count("rollout.taken_back") == 1, dies
        check_invariants(twin)


def test_who_pauses_the_channel_meanwhile_is_told_of_too(tmp_path: Path) -> None:
    world = aborted_with_an_offer(tmp_path)
    probe = world.twin()
    store, counted = meddled(probe.store)
    here = probe.process(store)
    found = found_in(here)
    begins = counted.count
    leftovers.take_back(here, found)
    for at in range(begins, counted.count):
        twin = world.twin()
        store, _ = meddled(twin.store, at, partial(pause, twin))
        reconcile_all(twin.process(store))
        reconcile_all(twin.process())
        now = twin.channel("stable")
        assert now is not None
        assert (now.candidate, now.paused, twin.kinds().count("channel.paused")) == (None, True, 1), at
        check_invariants(twin)


def test_what_cannot_be_taken_off_is_named_and_keeps_no_other(tmp_path: Path) -> None:
    world = aborted_with_an_offer(tmp_path)
    here = world.process()
    found = found_in(here, STABLE)

    def away() -> None:
        raise UnavailableError("the store does not answer", "channels/stable")

    store, _ = meddled(world.store, 0, away)
    done, failed = leftovers.take_back(world.process(store), [*found, *found])
    assert (list(failed), len(done)) == (["channel stable"], 1)


@pytest.mark.parametrize("place", ["pointer", "claim", "rollout"])
def test_a_store_that_does_not_answer_here_keeps_no_rollout_from_being_judged(place: str, tmp_path: Path) -> None:
    def away() -> None:
        raise UnavailableError("the store does not answer", "a document")

    world = aborted_with_an_offer(tmp_path)
    store, _ = meddled(world.store, ["pointer", "claim", "rollout"].index(place), away)
    here = world.process(store)
    assert leftovers.find(here, leftovers.read(here, [STABLE])) == []
    assert len(leftovers.find(here, leftovers.read(here, [STABLE]))) == 1, "the next time"


def test_damaged_documents_are_passed_over(tmp_path: Path) -> None:
    world = aborted_with_an_offer(tmp_path)
    key = "apps/com.example.app/active/stable.json"
    claim = world.store.documents.read(key)
    assert claim is not None
    world.store.documents.replace(key, b"nonsense", claim.token)
    assert found_in(world.process(), STABLE, ChannelName("nowhere")) == []


def test_a_lowered_and_paused_rollout_has_none(tmp_path: Path) -> None:
    world = soaked(tmp_path)
    world.reconcile()
    lower(world)
    world.clock.pass_(HOUR)
    actions.pause(world.process(), None, "a look").carry_out()
    assert world.state().stage is Stage.PAUSED
    assert found_in(world.process(), STABLE) == []
