from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import (
    BundleError,
    ConflictError,
    ExitCode,
    KeyMaterialError,
    NotFoundError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from otagate.flow import actions
from otagate.flow.drive import Driven, drive, drive_all, start
from otagate.flow.foresee import foresee, steps_of
from otagate.flow.measuring import measure_rollout
from otagate.flow.outcome import exit_code
from otagate.flow.prepare import Shipment, prepare, prepare_upload, version_of
from otagate.flow.publish import output_folder, publish, run_build_command
from otagate.flow.refresh import due, refresh, refresh_steps
from otagate.flow.select import active_rollouts, channel_names
from otagate.flow.workspace import Listener, Workspace
from otagate.model import ChannelName, Context, Version, Weight
from otagate.plan.steps import Plan
from otagate.policy.model.bundles import BuildSpec, SealFormat, SealSpec, TrustSpec
from otagate.policy.model.sources import FileSource
from otagate.policy.model.windows import Freeze, WindowsSpec
from otagate.rollout import machine
from otagate.rollout.repository import Stored
from otagate.rollout.state import RolloutState, Stage
from otagate.store.interface import Document, DocumentStore, Store
from support.keys import key, signer
from support.rollouts import fresh
from support.world import BAD, DAY, GATES, HOUR, JumpClock, World, phase, shown, track

RAMP = track(phase("stable", 5, 100))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, spec=RAMP)


# --- driving --------------------------------------------------------------------------------------------------------------------


def test_without_waiting_it_stops_at_the_first_soak(world: World) -> None:
    outcome = world.run()
    assert (outcome.state.stage, outcome.state.weight.bps) == (Stage.SOAKING, 500)
    assert world.clock.now() == world.state().created_at


def test_waiting_works_through_every_soak_and_tells_of_each_step(world: World) -> None:
    world.run()
    here, seen = world.process(), []
    outcome = drive(here, "1.0.0-production", wait=timedelta(days=30), on_step=lambda one: seen.append(one.state.weight.bps))
    assert outcome.state.stage is Stage.COMPLETED
    assert seen == [10_000, 10_000]
    assert world.clock.now() - world.state().created_at == 2 * DAY
    assert world.devices.looks > 48, "it looks every half hour, not only at the end"


def test_two_processes_that_start_the_same_rollout_share_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = world.process(), world.process()
    shipment = prepare(here, version=Version("1.0.0"))
    published = publish(here, shipment, world.work)
    make = here.rollouts.create

    def beaten(state: RolloutState) -> Stored:
        start(there, shipment, published.ref)
        return make(state)

    monkeypatch.setattr(here.rollouts, "create", beaten)
    assert start(here, shipment, published.ref) == there.rollouts.load(shipment.rollout_id)
    assert [state.id for state in map(world.state, world.claims().values())] == ["1.0.0-production"]


def test_patience_ends(world: World) -> None:
    world.run()
    begin = world.clock.now()
    outcome = drive(world.process(), "1.0.0-production", wait=HOUR)
    assert (outcome.state.stage, world.clock.now() - begin) == (Stage.SOAKING, HOUR)


def test_a_bad_release_ends_the_waiting(world: World) -> None:
    world.run()
    world.devices.says = dict(BAD)
    assert drive(world.process(), "1.0.0-production", wait=timedelta(days=30)).state.stage is Stage.ROLLED_BACK
    assert world.run().state.stage is Stage.ROLLED_BACK, "the same command again says the same"


def test_waiting_for_a_person_is_not_waited_for(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("internal", approve=True)))
    world.run()
    outcome = drive(world.process(), "1.0.0-production", wait=timedelta(days=30))
    assert (outcome.state.stage, outcome.waiting_for) == (Stage.AWAITING_APPROVAL, "an approval of phase internal")


def test_a_soak_of_nothing_does_not_spin(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("internal", soak=timedelta(0))), gates=())
    assert world.run().state.stage is Stage.COMPLETED


# --- starting -------------------------------------------------------------------------------------------------------------------


def test_starting_twice_finds_the_first(world: World) -> None:
    world.run()
    seed = world.state().seed
    world.run()
    assert world.state().seed == seed
    assert world.kinds().count("rollout.started") == 1


def test_an_active_rollout_is_not_pushed_aside(world: World) -> None:
    world.run()
    with pytest.raises(ConflictError, match="stable is held by another rollout") as caught:
        world.run("1.0.1")
    assert caught.value.found == "1.0.0-production (soaking)"
    assert "1.0.1-production" not in str(world.claims())


def test_one_that_was_killed_while_it_ended_is_finished_first(world: World) -> None:
    world.run()
    rollouts = world.process().rollouts
    stored = rollouts.load("1.0.0-production")
    assert stored is not None
    rollouts.save(stored, machine.roll_back(stored.state, "bad", "ana", world.clock.now()))
    assert not shown(world.channel("stable"))["blocked"]  # type: ignore[index]
    assert world.run("1.0.1").state.stage is Stage.SOAKING
    assert shown(world.channel("stable"))["blocked"] == ["1.0.0"]  # type: ignore[index]
    assert [entry.data["version"] for entry in world.ledger() if entry.kind == "rollout.rolled_back"] == ["1.0.0"]


def test_a_shipment_without_a_track_cannot_start(world: World) -> None:
    shipment = Shipment(None, Version("1.0.0"), None, None, Plan("x"))
    with pytest.raises(NotFoundError, match="no track"):
        start(world.process(), shipment, fresh().release)
    assert shipment.rollout_id == ""


def test_where_it_was_started_from_is_kept_and_harmless(world: World) -> None:
    world.run(actor="ana\x1b[2J", run_url="https://ci.example/1")
    assert world.state().origin["actor"] == "ana\\x1b[2J"
    assert world.ledger()[1].data["run"] == "https://ci.example/1"


# --- preparing ------------------------------------------------------------------------------------------------------------------


def test_a_rule_that_names_a_channel_moves_it_at_once_without_gates(world: World) -> None:
    outcome = world.run(branch="develop")
    assert outcome.state.stage is Stage.COMPLETED
    assert outcome.state.spec.gates == ()
    assert world.devices.looks == 0
    assert shown(world.channel("development"))["stable"] == "1.0.0"  # type: ignore[index]


def test_no_rule_is_nothing_to_do(world: World) -> None:
    shipment = prepare(world.process(branch="docs"), version=Version("1.0.0"))
    assert (shipment.target, shipment.version, shipment.plan.goal) == (None, None, "nothing to do")
    with pytest.raises(NotFoundError, match="nothing to publish"):
        publish(world.process(), shipment, world.work)


@pytest.mark.parametrize(
    ("text", "ok"), [('{"version": "3.2.1"}', True), ("{", False), ("[]", False), ('{"version": 3}', False)]
)
def test_the_version_is_that_of_the_package(text: str, ok: bool, world: World) -> None:
    (world.folder / "package.json").write_text(text)
    if ok:
        assert version_of(world.process()) == Version("3.2.1")
    else:
        with pytest.raises(Exception, match=r"(?i)package") as caught:
            version_of(world.process())
        assert caught.value.exit_code == ExitCode.USAGE  # type: ignore[attr-defined]


def test_the_plan_knows_what_is_under_way(world: World) -> None:
    world.run()
    plan = prepare(world.process(), version=Version("1.0.0")).plan
    assert not plan.has_work
    other = prepare(world.process(), version=Version("1.0.1")).plan
    assert other.refusal == "channel stable is held by 1.0.0-production (soaking)"
    actions.pause(world.process(), None, "").carry_out()
    third = prepare(world.process(), version=Version("1.0.1")).plan
    assert (third.refusal, "supersede 1.0.0-production" in [step.title for step in third.steps]) == ("", True)


@pytest.mark.parametrize("is_started", [False, True])
@pytest.mark.parametrize(("ignores", "status"), [(False, "later"), (True, "todo")])
def test_the_plan_knows_that_weights_do_not_rise_now(ignores: bool, status: str, is_started: bool, tmp_path: Path) -> None:
    fair = WindowsSpec(freezes=(Freeze("2026-11-20", "2026-11-23", "a fair"),))
    world = World(tmp_path, spec=track(phase("stable", 5, 100, ignore_windows=ignores)), windows=fair)
    if is_started and not ignores:
        assert world.run().state.stage is Stage.PENDING
        world.policy = replace(world.policy, windows=WindowsSpec())  # the rollout goes by the policy of then
    first = next(step for step in prepare(world.process(), version=Version("1.0.0")).plan.steps if "promote" in step.title)
    why = "waits for a window, from 2026-11-24 00:00 UTC on (frozen: a fair)"
    assert (first.status.value, first.detail) == (status, "" if ignores else why)


def test_the_plan_of_a_rollout_is_that_of_the_policy_it_was_started_by(world: World) -> None:
    world.run()
    other = track(phase("stable", 20, 100), phase("more"))
    world.policy = replace(world.policy, gates=(), tracks={"production": other})
    plan = prepare(world.process(), version=Version("1.0.0")).plan
    assert [step.title for step in plan.steps if "promote" in step.title] == [
        "promote stable to 1.0.0 at 5%",
        "promote stable to 1.0.0 at 100%",
    ]
    assert "gates: crash_rate, success" in [step.detail for step in plan.steps]


# --- publishing -----------------------------------------------------------------------------------------------------------------


def test_the_same_commit_is_not_built_twice(world: World) -> None:
    world.run()
    (world.folder / "dist" / "app.js").write_text("something else that calls notifyAppReady()")
    shipment = prepare_upload(world.process(), version=Version("1.0.0"))
    assert shipment.published is not None
    assert publish(world.process(), shipment, world.work) == shipment.published
    assert world.kinds().count("release.published") == 1


@pytest.mark.parametrize("context", [{"is_dirty": True}, {"commit": "f" * 40}])
def test_another_build_of_the_same_version_is_a_conflict(context: dict[str, Any], world: World) -> None:
    world.run()
    (world.folder / "dist" / "app.js").write_text("something else that calls notifyAppReady()")
    here = world.process(**context)
    with pytest.raises(ConflictError, match="published already"):
        publish(here, prepare_upload(here, version=Version("1.0.0")), world.work)


def test_a_fork_publishes_nothing(world: World) -> None:
    here = world.process(is_fork=True)
    with pytest.raises(UsageError, match="may not publish"):
        publish(here, prepare_upload(here, version=Version("1.0.0")), world.work)
    assert world.store.writes == []


@pytest.mark.parametrize("command", ["echo built > dist/built.txt", ("sh", "-c", "echo built > dist/built.txt")])
def test_the_build_command_runs_before_packing(command: Any, world: World) -> None:
    world.policy = replace(world.policy, build=BuildSpec(command, "dist"))
    notes: list[str] = []
    here = world.process()
    here.listener = Listener(note=notes.append)
    published = publish(here, prepare_upload(here, version=Version("1.0.0")), world.work)
    assert "built.txt" in [entry.path for entry in published.release.bundle.files]
    assert notes[0].startswith("building: ")
    (world.folder / "dist" / "built.txt").unlink()
    publish(here, prepare_upload(here, version=Version("1.0.1")), world.work, build=False)
    assert not (world.folder / "dist" / "built.txt").exists()


def test_without_a_build_command_nothing_is_run(world: World) -> None:
    run_build_command(world.process())
    assert not (world.folder / "dist" / "built.txt").exists()


def test_an_unknown_output_folder_is_said(world: World) -> None:
    world.policy = replace(world.policy, build=BuildSpec())
    with pytest.raises(UsageError, match="output folder is not known"):
        output_folder(world.process())


def test_unfit_files_leave_the_store_untouched(world: World) -> None:
    (world.folder / "dist" / "app.js").write_text("nothing")
    (world.folder / "dist" / "index.html").write_text("nothing")
    with pytest.raises(BundleError):
        world.run()
    assert world.store.writes == []


def test_a_missing_key_is_said_before_any_build(world: World) -> None:
    world.policy = replace(world.policy, build=BuildSpec("touch built", "dist"), seal=SealSpec(SealFormat.NONE))
    with pytest.raises(KeyMaterialError, match="no signing key"):
        world.run()
    assert not (world.folder / "built").exists()


@pytest.mark.parametrize(
    ("trust", "message"),
    [
        (TrustSpec(), "trusts no key"),
        (TrustSpec((f"ed25519:{'A' * 42}E=",)), "."),
    ],
)
def test_keys_that_do_not_fit_are_said(trust: TrustSpec, message: str, world: World) -> None:
    world.policy = replace(world.policy, trust=trust)
    with pytest.raises(KeyMaterialError, match=message):
        world.run()


def test_signing_with_a_key_that_nobody_trusts_is_refused(world: World) -> None:
    here = Workspace(world.policy, world.context, {"SIGNING": key("ed25519_other")}, world.clock)
    with pytest.raises(KeyMaterialError, match="does not trust the key that it signs with") as caught:
        _ = here.signer
    assert caught.value.found == signer("ed25519_other").public_key().key_id


def test_the_actor_is_the_ci_s_or_the_login(world: World) -> None:
    for context, environ, actor in [
        (Context("github", actor="octo"), {"USER": "x"}, "octo"),
        (Context("git"), {"USER": "x"}, "x"),
        (Context("git"), {"LOGNAME": "y"}, "y"),
        (Context("git"), {}, "unknown"),
    ]:
        assert Workspace(world.policy, context, environ).actor == actor


def test_a_release_has_a_life_when_the_policy_gives_it_one(world: World) -> None:
    world.policy = replace(world.policy, trust=TrustSpec(world.policy.trust.keys, release_ttl=DAY))
    here = world.process()
    published = publish(here, prepare_upload(here, version=Version("1.0.0")), world.work)
    assert published.release.expires == published.release.created + DAY


# --- looking ahead, measuring, ending ----------------------------------------------------------------------------------------------


def test_foreseeing_names_the_next_effects_or_what_is_waited_for(world: World) -> None:
    world.run()
    plan = foresee(world.process(), [world.state()])
    assert plan.steps == ()
    assert plan.notes[0].startswith("1.0.0-production waits for the soak")
    world.clock.pass_(DAY)
    plan = foresee(world.process(), [world.state()])
    assert [step.title for step in plan.steps] == ["offer stable at 100%"]
    assert foresee(world.process(), []).goal == "reconcile nothing: no rollout is active"
    assert steps_of(world.state()) == ()


def test_gates_are_read_over_the_window_of_the_phase(world: World) -> None:
    (world.folder / "m.json").write_text('{"bad": 1, "total": 50}')
    world.policy = replace(world.policy, gates=(replace(GATES[0], source=FileSource("m.json")),))
    world.run()
    world.clock.pass_(HOUR)
    readings = measure_rollout(world.state(), world.clock.now(), root=world.folder, environ={})
    assert [(reading.metric, reading.end - reading.start) for reading in readings] == [("crash_rate", HOUR)]
    here = Workspace(world.policy, world.context, {}, world.clock)
    assert here.measure(world.state(), world.clock.now()) == readings
    assert measure_rollout(fresh(), world.clock.now(), root=world.folder, environ={}) == ()


@pytest.mark.parametrize(
    ("stage", "actor", "plain", "detailed"),
    [
        (Stage.PENDING, "", 0, 6),
        (Stage.SOAKING, "", 0, 6),
        (Stage.AWAITING_APPROVAL, "", 0, 9),
        (Stage.PAUSED, "", 4, 4),
        (Stage.PAUSED, "ana", 0, 6),
        (Stage.ROLLED_BACK, "", 8, 8),
        (Stage.COMPLETED, "", 0, 0),
        (Stage.ABORTED, "", 0, 0),
        (Stage.SUPERSEDED, "", 0, 0),
    ],
)
def test_how_a_rollout_ends_the_process(stage: Stage, actor: str, plain: int, detailed: int) -> None:
    state = fresh(stage=stage, paused_actor=actor)
    assert (exit_code(state), exit_code(state, detailed=True)) == (plain, detailed)


def test_a_gate_that_fails_while_a_person_paused_the_rollout_is_a_failed_gate(world: World) -> None:
    world.run()
    actions.pause(world.process(), None, "a look").carry_out()
    assert exit_code(world.reconcile().state) == ExitCode.DONE
    world.clock.pass_(HOUR)
    world.devices.says = {"crash_rate": (110, 2000), "success": (10, 2000)}
    assert exit_code(world.reconcile().state) == ExitCode.GATE_FAILED
    actions.resume(world.process(), None, {"crash_rate": "known"}, "known").carry_out()
    assert exit_code(world.reconcile().state) == ExitCode.DONE


def test_channels_are_those_of_the_policy_then_the_others(world: World) -> None:
    world.to_completion()
    actions.promote(world.process(), ChannelName("aaa"), Version("1.0.0"), Weight(10_000)).carry_out()
    assert [str(name) for name in channel_names(world.process())] == ["stable", "development", "aaa"]
    assert active_rollouts(world.process()) == []


def test_pointers_are_signed_anew_in_the_second_half_of_their_life(world: World) -> None:
    world.to_completion()
    assert due(world.process()).readings == ()
    world.clock.pass_(16 * DAY)
    found = due(world.process())
    assert [step.title for step in refresh_steps(found.readings)] == ["sign the pointer of stable anew"]
    before = world.channel("stable")
    assert refresh(world.process(), found).channels == (ChannelName("stable"),)
    after = world.channel("stable")
    assert after is not None
    assert before is not None
    assert after == replace(before, serial=before.serial + 1)
    assert due(world.process()).readings == ()
    refresh(world.process(), found)
    assert world.channel("stable") == after, "somebody was first: nothing to do"


def test_a_damaged_pointer_keeps_no_other_from_being_signed_anew(world: World) -> None:
    world.to_completion()
    for name in ("aaa", "bbb", "nightly"):
        actions.promote(world.process(), ChannelName(name), Version("1.0.0"), Weight(10_000)).carry_out()
    world.clock.pass_(16 * DAY)
    found = due(world.process())
    for name in ("aaa", "bbb"):
        _damage(world, f"channels/{name}.json")
    again = due(world.process())
    assert [str(one.state.name) for one in again.readings] == ["stable", "nightly"]
    assert list(again.damaged) == ["pointer of aaa", "pointer of bbb"]
    done = refresh(world.process(), found)
    assert [str(name) for name in done.channels] == ["stable", "nightly"]
    assert {place: type(error) for place, error in done.failed.items()} == dict.fromkeys(again.damaged, VerificationError)


def _damage(world: World, name: str) -> None:
    key = f"apps/{world.policy.app}/{name}"
    found = world.store.documents.read(key)
    assert found is not None
    world.store.documents.replace(key, b"{}", found.token)


# --- a store that does not answer while it is waited ---------------------------------------------------------------------------


class Moody:
    """Documents that do not answer for a while. See DocumentStore."""

    def __init__(self, inner: DocumentStore, clock: JumpClock, since: timedelta, until: timedelta) -> None:
        self._inner, self._clock = inner, clock
        self._since, self._until = clock.now() + since, clock.now() + until

    def _ask(self) -> DocumentStore:
        if self._since <= self._clock.now() < self._until:
            raise UnavailableError("the store does not answer", "memory:world")
        return self._inner

    def read(self, key: str) -> Document | None:
        return self._ask().read(key)

    def create(self, key: str, body: bytes) -> str:
        return self._ask().create(key, body)

    def replace(self, key: str, body: bytes, token: str) -> str:
        return self._ask().replace(key, body, token)

    def delete(self, key: str) -> None:
        self._ask().delete(key)

    def keys(self, prefix: str) -> Iterator[str]:
        return self._ask().keys(prefix)


def waiting(world: World, since: timedelta, until: timedelta, wait: timedelta | None) -> tuple[Driven, list[str]]:
    """Reconcile in the foreground on a store that is away for some time; give what came of it, and the warnings."""
    world.run()
    here = world.process(Store("memory:world", world.store.blobs, Moody(world.store.documents, world.clock, since, until)))
    warnings: list[str] = []
    here.listener = Listener(warn=warnings.append)
    return drive_all(here, ["1.0.0-production"], wait=wait), warnings


@pytest.mark.parametrize("since", [timedelta(0), timedelta(minutes=25)])
def test_a_store_that_is_away_for_a_while_ends_no_waiting(since: timedelta, world: World) -> None:
    driven, warnings = waiting(world, since, since + HOUR, 3 * DAY)
    assert (driven.failed, driven.outcomes["1.0.0-production"].state.stage) == ({}, Stage.COMPLETED)
    assert len(warnings) == 1, "told once, though it was asked every minute"
    assert "1.0.0-production could not be looked at, and will be again: the store does not answer" in warnings[0]


def test_a_store_that_is_away_to_the_end_is_what_came_of_the_waiting(world: World) -> None:
    begin = world.clock.now()
    driven, _ = waiting(world, 2 * HOUR, 30 * DAY, 3 * HOUR)
    assert isinstance(driven.failed["1.0.0-production"], UnavailableError)
    assert driven.outcomes["1.0.0-production"].state.stage is Stage.SOAKING, "as it was at the last look that worked"
    assert world.clock.now() - begin == 3 * HOUR


def test_a_store_that_does_not_come_back_is_not_waited_for_without_end(world: World) -> None:
    begin = world.clock.now()
    driven, warnings = waiting(world, 2 * HOUR, 30 * DAY, 30 * DAY)
    assert isinstance(driven.failed["1.0.0-production"], UnavailableError)
    assert 4 * HOUR <= world.clock.now() - begin < 5 * HOUR
    assert len(warnings) == 1


def test_who_does_not_wait_is_told_at_once(world: World) -> None:
    driven, warnings = waiting(world, timedelta(0), HOUR, None)
    assert isinstance(driven.failed["1.0.0-production"], UnavailableError)
    assert (driven.outcomes, world.clock.now(), warnings) == ({}, world.state().created_at, [])


def test_what_waiting_does_not_mend_is_not_waited_for(world: World) -> None:
    world.run()
    _damage(world, "rollouts/1.0.0-production.json")
    with pytest.raises(VerificationError):
        drive(world.process(), "1.0.0-production", wait=DAY)
