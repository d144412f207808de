"""What doctor finds about pointers, mirrors, the ledger and rollouts; and how a group that fails is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from otagate.errors import (
    AccessError,
    ConflictError,
    ExitCode,
    KeyMaterialError,
    NotFoundError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from otagate.flow import actions
from otagate.flow.doctor.channels import check_ledger, check_mirrors, check_pointers, check_rollouts, checked
from otagate.flow.doctor.model import Check, CheckUp, Status, code_of, from_error, trouble
from otagate.flow.doctor.patient import Patient
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName
from support.mirrored import MirroredWorld
from support.world import DAY, HOUR, World, phase, track

STABLE = ChannelName("stable")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a world in which 0.9.0 went all the way on ``stable`` and 1.0.0 soaks there."""
    made = World(tmp_path, spec=track(phase("stable", 5, 100)))
    made.to_completion("0.9.0")
    made.run("1.0.0")
    return made


def patient_of(world: World) -> tuple[Patient, Workspace]:
    return Patient(None, world.folder, {}, world.clock, policy=world.policy), world.process()


def codes(checks: list[Check]) -> list[str]:
    return [found.code for check in checks for found in check.troubles]


def test_fresh_pointers_have_no_problem(world: World) -> None:
    (check,) = check_pointers(*patient_of(world))
    assert (check.name, check.status) == ("stable", Status.OK)
    assert "0.9.0" in check.detail


@pytest.mark.parametrize(
    ("age", "code"),
    [(19 * DAY, None), (21 * DAY, "pointer.expiring"), (29 * DAY, "pointer.expiring"), (31 * DAY, "pointer.expired")],
)
def test_a_pointer_is_pointed_out_in_the_last_third_of_its_life(age: timedelta, code: str | None, world: World) -> None:
    world.clock.pass_(age)
    checks = list(check_pointers(*patient_of(world)))
    assert codes(checks) == ([code] if code else [])
    assert all(found.commands == ("otagate reconcile",) for check in checks for found in check.troubles)


def test_a_pointer_that_somebody_else_wrote_is_found(world: World) -> None:
    key = "apps/com.example.app/channels/stable.json"
    there = world.store.documents.read(key)
    assert there is not None
    world.store.documents.replace(key, there.body.replace(b'"sig":"', b'"sig":"AAAA'), there.token)
    checks = list(check_pointers(*patient_of(world)))
    assert codes(checks) == ["pointer.invalid"]
    assert CheckUp(tuple(checks)).exit_code is ExitCode.VERIFICATION


def test_before_anything_was_moved(tmp_path: Path) -> None:
    world = World(tmp_path)
    patient, workspace = patient_of(world)
    assert [check.detail for check in check_pointers(patient, workspace)] == ["none has been moved yet"]
    assert [check.detail for check in check_rollouts(patient, workspace)] == ["none is active"]
    assert [check.detail for check in check_ledger(patient, workspace)] == ["0 entries"]
    assert list(check_mirrors(patient, workspace)) == []


@pytest.mark.parametrize(("gap", "code"), [(5 * HOUR, None), (7 * HOUR, "rollout.stuck"), (9 * DAY, "rollout.stuck")])
def test_a_rollout_that_nobody_reconciles_is_found(gap: timedelta, code: str | None, world: World) -> None:
    world.clock.pass_(gap)
    checks = list(check_rollouts(*patient_of(world)))
    assert codes(checks) == ([code] if code else [])


def test_a_paused_rollout_waits_for_a_person(world: World) -> None:
    actions.pause(world.process(), STABLE, "look").carry_out()
    world.clock.pass_(9 * DAY)
    assert codes(list(check_rollouts(*patient_of(world)))) == []


def test_a_ledger_that_was_changed_is_found(world: World) -> None:
    key = "apps/com.example.app/ledger/0000000002.json"
    world.store.documents.delete(key)
    checks = list(check_ledger(*patient_of(world)))
    assert set(codes(checks)) == {"ledger.broken"}


def mirrored(tmp_path: Path) -> MirroredWorld:
    made = MirroredWorld(tmp_path, mirrors=1, spec=track(phase("stable", 5, 100)))
    made.to_completion("0.9.0")
    return made


def test_a_mirror_that_is_in_step(tmp_path: Path) -> None:
    (check,) = check_mirrors(*patient_of(mirrored(tmp_path)))
    assert (check.status, check.detail) == (Status.OK, "memory:mirror-1: in step")


def test_a_mirror_that_lost_everything_lags(tmp_path: Path) -> None:
    world = mirrored(tmp_path)
    world.inner[0].documents.delete("apps/com.example.app/channels/stable.json")
    world.inner[0].documents.delete("apps/com.example.app/releases/0.9.0.json")
    for blob in list(world.inner[0].blobs.list()):
        world.inner[0].blobs.delete(blob.digest)
    (check,) = check_mirrors(*patient_of(world))
    assert {found.code for found in check.troubles} == {"mirror.lagging"}
    assert any("0.9.0" in found.what for found in check.troubles)
    assert any("channel stable" in found.what for found in check.troubles)
    assert {found.commands for found in check.troubles} == {("otagate mirror",)}
    assert CheckUp((check,)).exit_code is ExitCode.DONE


def test_a_mirror_with_what_nobody_signed_is_said(tmp_path: Path) -> None:
    world = mirrored(tmp_path)
    key = "apps/com.example.app/channels/stable.json"
    there = world.inner[0].documents.read(key)
    assert there is not None
    world.inner[0].documents.replace(key, b"{}", there.token)
    (check,) = check_mirrors(*patient_of(world))
    assert {found.code for found in check.troubles} == {"mirror.lagging"}


def test_a_mirror_that_is_down_is_said(tmp_path: Path) -> None:
    world = mirrored(tmp_path)
    world.plans[0].is_down = True
    (check,) = check_mirrors(*patient_of(world))
    assert "mirror.unreachable" in {found.code for found in check.troubles}


@pytest.mark.parametrize(
    ("error", "code", "is_made"),
    [
        (UnavailableError("no answer", "s3://b"), "store.unreachable", True),
        (VerificationError("damaged", "apps/x.json"), "store.damaged", True),
        (NotFoundError("no bucket", "s3://b"), "store.missing", True),
        (KeyMaterialError("no key is trusted", "trust.keys"), "", False),
        (AccessError("cannot read", "s3://b"), "", False),
        (ConflictError("somebody was first", "x"), "store.unusable", True),
    ],
)
def test_a_group_that_fails_is_told(error: UnavailableError, code: str, is_made: bool, tmp_path: Path) -> None:
    check = checked("pointers", error)
    assert (check.is_made, codes([check])) == (is_made, [code] if code else [])


def test_the_gravest_problem_decides_how_it_ends() -> None:
    def ends(*found: str) -> ExitCode:
        return CheckUp((Check("g", "n", troubles=tuple(trouble(code, "x") for code in found)),)).exit_code

    assert ends() is ExitCode.DONE
    assert ends("policy.warning", "store.probe-left") is ExitCode.DONE
    assert ends("store.unreachable") is ExitCode.UNAVAILABLE
    assert ends("store.unreachable", "store.permission") is ExitCode.USAGE
    assert ends("store.unreachable", "store.permission", "ledger.broken") is ExitCode.VERIFICATION


def test_an_error_has_the_code_of_its_kind() -> None:
    assert code_of(AccessError("x")) == "store.permission"
    assert code_of(UsageError("x")) == "store.unusable"


def test_an_error_is_told_whole() -> None:
    error = VerificationError("it does not hold", "x", "this", "that", "do so", ("first", "second"))
    found = from_error(code_of(error), error)
    assert (found.subject, found.fix) == ("x", "do so")
    assert found.what == "it does not hold; expected this; found that; first; second"


def test_a_status_is_the_worst_of_its_problems() -> None:
    several = tuple(trouble(code, "x") for code in ("store.probe-left", "policy.warning", "key.missing"))
    assert Check("g", "n", troubles=several).status is Status.ERROR
    assert Check("g", "n", troubles=several[:2]).status is Status.WARNING
    assert Check("g", "n", troubles=several[:1]).status is Status.NOTE
    assert Check("g", "n", is_made=False).status is Status.NOT_CHECKED
    assert Check("g", "n").status is Status.OK
