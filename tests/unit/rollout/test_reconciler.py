from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import ConflictError, NotFoundError, VerificationError
from otagate.flow import actions
from otagate.model import ChannelName, Version, Weight
from otagate.policy.model.bundles import TrustSpec
from otagate.rollout import machine
from otagate.rollout.repository import Stored
from otagate.rollout.state import Intent, Op, OpKind, RolloutState, Stage
from support.meddler import meddled
from support.rollouts import fresh
from support.world import APP, BAD, DAY, GOOD, HOUR, NOW, World, phase, picture, shown, track

ID = "1.0.0-production"
RAMP = track(phase("stable", 5, 50, 100))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a rollout that soaks at 5 percent."""
    made = World(tmp_path, spec=RAMP)
    made.run()
    return made


def test_a_step_is_measured_decided_and_recorded(world: World) -> None:
    world.clock.pass_(DAY)
    outcome = world.reconcile()
    assert outcome.changed
    assert (outcome.state.stage, outcome.state.weight.bps, outcome.state.intent, outcome.state.events) == (
        Stage.SOAKING,
        5000,
        None,
        (),
    )
    assert [result.metric for result in outcome.results] == ["crash_rate", "success"]
    assert world.kinds() == ["release.published", "rollout.started", "rollout.advanced", "rollout.advanced"]
    assert world.state().last_reconcile_at == world.clock.now()


def test_nothing_is_measured_before_anybody_is_exposed(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.devices.looks == 0
    world.run()
    assert world.devices.looks == 1, "only the second look, after the first phase was entered"


def test_waiting_says_for_what(world: World) -> None:
    outcome = world.reconcile()
    assert not outcome.changed
    assert outcome.waiting_for == "the soak, until 2026-11-22 09:30:00 UTC"


def test_waiting_for_more_devices_names_the_gate(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    world.devices.says = {"crash_rate": (0, 3), "success": (0, 3000)}
    world.run()
    world.clock.pass_(DAY)
    assert world.reconcile().waiting_for.startswith("crash_rate: 0 of 3 devices bad (0%): 297 more devices are needed")


@pytest.mark.parametrize("says", ["refused", None])
def test_no_data_and_errors_hold_then_pause(says: Any, world: World) -> None:
    world.devices.says = {**GOOD, "crash_rate": says}
    world.clock.pass_(DAY)
    assert world.reconcile().state.stage is Stage.SOAKING
    world.clock.pass_(7 * HOUR)
    outcome = world.reconcile()
    assert (outcome.state.stage, outcome.waiting_for) == (Stage.PAUSED, outcome.state.paused_by)
    assert shown(world.channel("stable"))["paused"]  # type: ignore[index]
    assert world.reconcile().state.weight.bps == 500


def test_data_must_cover_half_of_the_soak(world: World) -> None:
    world.clock.pass_(DAY)
    world.devices.newest_age = HOUR
    assert world.reconcile().state.weight.bps == 5000
    world.clock.pass_(DAY)
    world.devices.newest_age = 13 * HOUR
    assert world.reconcile().state.weight.bps == 5000


def test_a_bad_release_is_taken_off_between_planned_looks(world: World) -> None:
    world.devices.says = dict(BAD)
    world.clock.pass_(HOUR)
    outcome = world.reconcile()
    assert outcome.state.stage is Stage.ROLLED_BACK
    assert shown(world.channel("stable")) == {
        "stable": None,
        "candidate": None,
        "paused": False,
        "previous": [],
        "blocked": ["1.0.0"],
    }
    assert world.kinds()[-2:] == ["gate.failed", "rollout.rolled_back"]
    assert world.claims() == {"stable": ""}
    again = world.reconcile()
    assert (again.changed, again.waiting_for) == (False, outcome.state.outcome)


def test_an_unknown_rollout_is_named(world: World) -> None:
    with pytest.raises(NotFoundError, match=r"there is no such rollout: 9\.9\.9-x"):
        world.reconcile("9.9.9-x")


def test_an_intent_is_finished_before_anything_is_decided(world: World) -> None:
    rollouts = world.process().rollouts
    stored = rollouts.load(ID)
    assert stored is not None
    world.clock.pass_(DAY)
    decided = machine.decide(replace(stored.state, spec=replace(stored.state.spec, gates=())), (), world.clock.now())
    rollouts.save(stored, decided)
    looks = world.devices.looks
    outcome = world.reconcile()
    assert (outcome.state.intent, outcome.state.weight.bps, outcome.changed) == (None, 5000, False)
    assert world.devices.looks == looks
    assert world.kinds().count("rollout.advanced") == 2


def test_whoever_keeps_losing_says_so(world: World) -> None:
    def touch() -> None:
        rollouts = world.process().rollouts
        stored = rollouts.load(ID)
        assert stored is not None
        rollouts.save(stored, replace(stored.state, origin={"n": str(len(world.store.writes))}))

    class Busy:
        """A document store in which somebody else always was first."""

        def __init__(self) -> None:
            self._inner = world.store.documents

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def replace(self, key: str, body: bytes, token: str) -> str:
            if "/rollouts/" in key:
                touch()
            return self._inner.replace(key, body, token)

    store, _ = meddled(world.store)
    busy = replace(store, documents=Busy())
    world.clock.pass_(DAY)
    with pytest.raises(ConflictError, match="changed since"):
        world.process(busy).reconciler.reconcile(ID)
    assert world.state().weight.bps == 500


# --- channels that cannot be entered ------------------------------------------------------------------------------------


def test_a_channel_that_another_rollout_holds_is_waited_for(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("internal"), phase("stable", 5, 100)))
    rollouts = world.process().rollouts
    other = rollouts.create(fresh("0.9.0", stage=Stage.SOAKING))
    rollouts.claim(ChannelName("stable"), other.state.id)
    world.run()
    world.clock.pass_(DAY)
    outcome = world.reconcile()
    assert (outcome.state.phase, outcome.waiting_for) == (0, "channel stable is held by rollout 0.9.0-production (soaking)")
    rollouts.save(other, replace(other.state, stage=Stage.ABORTED))
    assert world.reconcile().state.phase == 1


def test_a_channel_that_a_person_paused_is_waited_for_and_resumed_by_name(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("stable", 5, 100)))
    world.to_completion("0.9.0")
    stable = ChannelName("stable")
    actions.pause(world.process(), stable, "freeze").carry_out()
    outcome = world.run()
    assert (outcome.state.phase, outcome.waiting_for) == (-1, "channel stable is paused: otagate resume --channel stable")
    receipt = actions.resume(world.process(), stable, {}, "over").carry_out()
    assert receipt.channel is not None
    assert world.reconcile().state.phase == 0
    assert world.kinds()[-2:] == ["channel.resumed", "rollout.advanced"]


def test_the_pause_of_a_superseded_rollout_ends_when_the_fix_takes_its_place(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    world.run()
    actions.pause(world.process(), None, "it crashes").carry_out()
    assert shown(world.channel("stable"))["paused"]  # type: ignore[index]
    assert world.run("1.0.1").state.stage is Stage.SOAKING
    assert shown(world.channel("stable")) == {
        "stable": None,
        "candidate": ("1.0.1", 500),
        "paused": False,
        "previous": [],
        "blocked": [],
    }
    assert world.state().stage is Stage.SUPERSEDED


@pytest.mark.parametrize("spec", [RAMP, track(phase("internal"), phase("beta"))])
def test_an_expired_release_goes_no_further_and_can_still_be_stopped(spec: Any, tmp_path: Path) -> None:
    world = World(tmp_path, spec=spec)
    world.policy = replace(world.policy, trust=TrustSpec(world.policy.trust.keys, release_ttl=DAY))
    begin = world.run().state
    world.clock.pass_(DAY)
    outcome = world.reconcile()
    assert (outcome.state.phase, outcome.state.step, outcome.changed) == (begin.phase, begin.step, False)
    assert "this release has expired" in outcome.waiting_for
    world.devices.says = dict(BAD)
    assert world.reconcile().state.stage is Stage.ROLLED_BACK


# --- foreseeing -----------------------------------------------------------------------------------------------------------


def _entering(world: World) -> None:
    world.clock.pass_(DAY)


def _failing(world: World) -> None:
    world.devices.says = dict(BAD)


@pytest.mark.parametrize("prepare", [lambda _world: None, _entering, _failing])
def test_what_is_foreseen_is_what_then_happens(prepare: Any, world: World) -> None:
    prepare(world)
    before = len(world.store.writes)
    foreseen = world.process().reconciler.foresee(world.state())
    assert len(world.store.writes) == before, "nothing was written"
    done = world.reconcile()
    assert (foreseen.results, foreseen.changed, foreseen.waiting_for) == (done.results, done.changed, done.waiting_for)
    expected = machine.finish_intent(foreseen.state, world.clock.now())
    assert replace(expected, events=(), last_reconcile_at=None) == replace(done.state, last_reconcile_at=None)


def test_an_unfinished_intent_is_what_comes_first(world: World) -> None:
    state = replace(world.state(), intent=Intent((Op(OpKind.PAUSE, ChannelName("stable")),), Stage.PAUSED))
    assert world.process().reconciler.foresee(state).state is state
    ended = replace(world.state(), stage=Stage.ABORTED, outcome="by hand")
    assert world.process().reconciler.foresee(ended).waiting_for == "by hand"


# --- effects ---------------------------------------------------------------------------------------------------------------


def test_a_release_whose_bytes_are_gone_is_not_offered(world: World) -> None:
    before = picture(world)
    for blob in list(world.store.blobs._bytes):  # type: ignore[attr-defined]
        world.store.blobs.delete(blob)
    world.clock.pass_(DAY)
    with pytest.raises(VerificationError, match="does not give back the bytes"):
        world.reconcile()
    assert picture(world)["channels"] == before["channels"]
    done = world.process().reconciler.command(ID, lambda state, now: machine.roll_back(state, "bytes gone", "ana", now))
    assert done.state.stage is Stage.ROLLED_BACK, "a rollback needs no bytes"


def test_a_channel_that_others_keep_moving_is_a_conflict(world: World) -> None:
    effects = world.process().reconciler.effects

    def change(channel: Any) -> Any:
        now = world.process().channels.read(channel.name)
        assert now is not None
        world.process().channels.move(replace(now.state, serial=now.state.serial + 1), now.token, world.clock.now())
        return replace(channel, serial=channel.serial + 1, paused=True)

    with pytest.raises(ConflictError, match="moved by somebody else"):
        effects.move(ChannelName("stable"), change)


def test_a_claim_of_another_rollout_is_refused_when_it_is_acted_on(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    rollouts = world.process().rollouts
    other = rollouts.create(fresh("0.9.0", stage=Stage.SOAKING))
    world.run()
    stored = rollouts.load(ID)
    assert stored is not None
    claim = Intent((Op(OpKind.CLAIM, ChannelName("beta")),), Stage.SOAKING)
    rollouts.claim(ChannelName("beta"), other.state.id)
    rollouts.save(stored, replace(stored.state, intent=claim))
    with pytest.raises(ConflictError, match="beta is held by another rollout"):
        world.reconcile()


# --- repository --------------------------------------------------------------------------------------------------------------


def test_saving_what_is_there_writes_nothing(world: World) -> None:
    rollouts = world.process().rollouts
    stored = rollouts.load(ID)
    assert stored is not None
    before = len(world.store.writes)
    assert rollouts.save(stored, stored.state) is stored
    assert len(world.store.writes) == before


def _write(world: World, name: str, state: RolloutState) -> Stored:
    rollouts = world.process().rollouts
    stored = rollouts.create(state)
    found = world.store.documents.read(f"apps/{APP}/rollouts/{state.id}.json")
    assert found is not None
    world.store.documents.create(f"apps/{APP}/rollouts/{name}.json", found.body)
    return stored


def test_a_rollout_in_another_s_place_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    _write(world, "2.0.0-production", fresh())
    with pytest.raises(VerificationError, match="another one"):
        world.process().rollouts.load("2.0.0-production")


def test_a_damaged_rollout_is_a_failed_verification_with_its_key(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.process().rollouts.create(fresh())
    key = f"apps/{APP}/rollouts/{ID}.json"
    found = world.store.documents.read(key)
    assert found is not None
    world.store.documents.replace(key, found.body.replace(b'"version":"1.0.0"', b'"version":"v1"'), found.token)
    with pytest.raises(VerificationError, match="cannot be read") as caught:
        world.process().rollouts.load(ID)
    assert caught.value.subject == key


@pytest.mark.parametrize(("phase_index", "step"), [(-2, 0), (2, 0), (0, 1), (0, -1), (-1, 1)])
def test_a_rollout_that_stands_nowhere_on_its_track_is_refused(phase_index: int, step: int, tmp_path: Path) -> None:
    rollouts = World(tmp_path).process().rollouts
    rollouts.create(fresh(phase=phase_index, step=step))
    with pytest.raises(VerificationError, match="stands nowhere on its track"):
        rollouts.load(ID)


def test_claims_are_taken_once_and_given_up_by_their_holder_only(tmp_path: Path) -> None:
    world = World(tmp_path)
    rollouts, beta = world.process().rollouts, ChannelName("beta")
    assert rollouts.holder(beta) is None
    rollouts.claim(beta, "never-written")
    assert rollouts.holder(beta) is None, "a claim whose rollout was never written is free"
    mine = rollouts.create(fresh())
    rollouts.claim(beta, mine.state.id)
    rollouts.claim(beta, mine.state.id)
    rollouts.release_claim(beta, "another")
    assert rollouts.holder(beta) is not None
    with pytest.raises(ConflictError, match="held by another") as caught:
        rollouts.claim(beta, "another")
    assert caught.value.found == f"{ID} (pending)"
    rollouts.release_claim(beta, mine.state.id)
    assert rollouts.holder(beta) is None


def test_a_channel_remembers_the_rollout_that_had_it_last(tmp_path: Path) -> None:
    rollouts, beta = World(tmp_path).process().rollouts, ChannelName("beta")
    assert rollouts.last(beta) is None
    mine = rollouts.create(fresh())
    for _ in range(2):
        rollouts.claim(beta, mine.state.id)
        assert rollouts.last(beta) == mine, "it has it"
        rollouts.release_claim(beta, mine.state.id)
        assert rollouts.last(beta) == mine, "it had it"
    rollouts.claim(beta, "never-written")
    assert rollouts.last(beta) == mine, "nobody had it since"
    other = rollouts.create(fresh("1.0.1"))
    rollouts.claim(beta, other.state.id)
    rollouts.confirm(beta, other.state.id)
    rollouts.release_claim(beta, other.state.id)
    assert rollouts.last(beta) == other


def test_a_promotion_by_hand_counts_the_same_devices_later(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    world.to_completion("0.9.0")
    nightly = ChannelName("nightly")
    for weight in (1000, 2000, 2000):
        actions.promote(world.process(), nightly, Version("0.9.0"), Weight(weight)).carry_out()
    channel = world.channel("nightly")
    assert channel is not None
    assert (channel.serial, channel.candidate.weight.bps if channel.candidate else None) == (2, 2000)
    assert world.kinds()[-2:] == ["channel.promoted", "channel.promoted"]
    assert world.clock.now() > NOW


# --- a release whose bytes are gone ----------------------------------------------------------------------------------------


def without_blobs(world: World) -> None:
    for blob in list(world.store.blobs._bytes):  # type: ignore[attr-defined]
        world.store.blobs.delete(blob)


def test_a_release_whose_bytes_are_gone_pauses_and_can_still_be_rolled_back_by_its_gates(world: World) -> None:
    world.clock.pass_(DAY)
    without_blobs(world)
    with pytest.raises(VerificationError):
        world.reconcile()
    assert world.state().intent is not None, "it had decided to raise the weight"
    outcome = world.reconcile()
    assert (outcome.state.stage, outcome.state.paused_actor) == (Stage.PAUSED, "")
    assert "does not give back the bytes" in outcome.state.paused_by
    state = world.channel("stable")
    assert state is not None
    assert state.candidate is not None
    assert (state.paused, state.candidate.weight) == (True, Weight(500)), "nobody else is exposed"
    world.devices.says = dict(BAD)
    assert world.reconcile().state.stage is Stage.ROLLED_BACK
