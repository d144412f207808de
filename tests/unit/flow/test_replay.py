"""`otagate gate replay`: looks that reconcile kept, judged again by the policy as it is now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from otagate.cli.main import build_parser
from otagate.cli.render.human import plain
from otagate.cli.render.replay import replay_data, replay_view
from otagate.errors import NotFoundError, UnavailableError, UsageError
from otagate.flow.drive import drive
from otagate.flow.looks import recorder
from otagate.flow.replay import replay_rollout
from otagate.flow.workspace import Listener, Workspace
from otagate.gate.interface import Measurement
from otagate.gate.judge import Look, LookKind
from otagate.policy.model.gates import GateSpec, Judgement, ValueLimit
from otagate.policy.model.sources import FileSource
from otagate.rollout.deeds import Deed
from otagate.rollout.looks import Looks
from otagate.rollout.state import Stage
from otagate.store.interface import Document
from otagate.store.memory import MemoryDocuments
from support.project import Project
from support.rollouts import fresh
from support.world import APP, DAY, GATES, HOUR, NOW, Devices, World, phase, track

ID = "1.0.0-production"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, spec=track(phase("internal"), phase("stable", 5, 100)))


def played(world: World, looks: int = 12) -> World:
    world.run()
    for _ in range(looks):
        world.clock.pass_(12 * HOUR)
        if drive(world.process(), ID, wait=None).state.is_terminal:
            break
    return world


def by(world: World, **gates: GateSpec) -> Workspace:
    here = world.process()
    here.policy = replace(here.policy, gates=tuple(gates.values()) or GATES)
    return here


def test_a_rollout_is_judged_again_by_the_present_policy(world: World) -> None:
    played(world)
    assert world.state().stage is Stage.COMPLETED
    same = replay_rollout(by(world), ID, ask_again=False)
    assert same.replay.first_difference is None
    assert len(same.replay.looks) > 5
    strict = GateSpec("crash_rate", max=Decimal("0.0005"), min_sample=300)
    found = replay_rollout(by(world, strict=strict), ID, ask_again=False)
    first = found.replay.first_difference
    assert first is not None
    assert first.would is Deed.PAUSE
    assert found.state.id == ID


@dataclass
class OneNumber(Devices):
    """A source of a plain number that is out of bounds."""

    def _outcome(self, metric: str, now: datetime) -> Measurement:
        return Measurement(None, None, None, metric, value=2412.5)


@pytest.mark.parametrize("minutes", [1, 4, 9, 11])
@pytest.mark.parametrize("kind", ["number", "silence"])
def test_looks_in_quick_succession_are_judged_again_as_they_were(kind: str, minutes: int, tmp_path: Path) -> None:
    """What paused was a look that said the same as the one before: a third in a row, or the end of a grace."""
    slow = GateSpec("slow", value=ValueLimit(max=Decimal(1800)))
    gates, judgement = ((slow,), Judgement()) if kind == "number" else (GATES, Judgement(no_data_grace=HOUR))
    world = World(tmp_path, spec=track(phase("internal")), gates=gates, judgement=judgement)
    world.devices = OneNumber() if kind == "number" else Devices({"crash_rate": None, "success": None})
    world.run()
    for _ in range(90):
        world.clock.pass_(timedelta(minutes=minutes))
        if world.reconcile().state.stage is Stage.PAUSED:
            break
    assert world.state().stage is Stage.PAUSED
    for _ in range(3):
        world.clock.pass_(timedelta(minutes=minutes))
        world.reconcile()
    here = world.process()
    again = replay_rollout(here, ID, ask_again=False).replay
    assert (again.first_difference, again.first_stop is None) == (None, False)
    assert len(Looks(here.store.documents, APP).all(ID)) < 20


def test_who_would_wait_is_named_shortly_and_the_reasons_stand_below(world: World) -> None:
    played(world, 2)
    patient = GateSpec("crash_rate", max=Decimal("0.02"), min_sample=5000)
    also = GateSpec("success", min=Decimal("0.85"), min_sample=5000)
    found = replay_rollout(by(world, patient=patient, also=also), ID, ask_again=False)
    lines = [line for block in replay_view(found.state, found.replay) for line in plain(block)]
    assert lines[0].endswith("this policy would wait for crash_rate, success; the rollout went on")
    assert any("3000 more devices are needed" in line for line in lines)


def test_it_is_shown_with_what_happened_beside_it(world: World) -> None:
    played(world)
    strict = GateSpec("crash_rate", max=Decimal("0.0005"), min_sample=300)
    other = GateSpec("slow_starts", max=Decimal("0.1"))
    found = replay_rollout(by(world, strict=strict, other=other), ID, ask_again=False)
    lines = [line for block in replay_view(found.state, found.replay) for line in plain(block)]
    assert "this policy would pause; the rollout went on: crash_rate: 5 of 2000 devices bad" in lines[0]
    assert any("not measured then, left out  slow_starts" in line for line in lines)
    assert any("pause" in line and "go on (!)" in line for line in lines)
    data = replay_data(found.state, found.replay)
    assert (data["same"], data["lacking"], data["first_difference"]["would"]) == (False, ["slow_starts"], "pause")
    assert data["first_difference"] == data["first_stop"]
    assert data["evidence"]["at"] == data["first_stop"]["at"]
    gate = data["evidence"]["gates"][0]
    assert (gate["metric"], gate["checks"][0]["threshold"], gate["checks"][0]["total"]) == ("crash_rate", "0.0005", 2000)
    assert any(line.split()[:3] == ["crash_rate", "fail", "5/2000"] for line in lines)
    assert any("e-value" in line for line in lines)
    would = [look["would"] for look in data["looks"]]
    assert would[would.index("pause") + 1 :] == [None] * (len(would) - would.index("pause") - 1)
    assert data["looks"][0]["gates"][0]["bad"] == 5
    again = replay_rollout(by(world), ID, ask_again=False)
    shown = [line for block in replay_view(again.state, again.replay) for line in plain(block)]
    assert shown[0] == "this policy would have done the same"
    assert any("complete" in line for line in shown)


def test_the_sources_can_be_asked_again_about_the_same_windows(world: World, tmp_path: Path) -> None:
    played(world)
    (tmp_path / "slow_starts.json").write_text('{"bad": 900, "total": 1000}')
    gate = GateSpec("slow_starts", max=Decimal("0.1"), source=FileSource("{metric}.json"))
    here = by(world, gate=gate)
    told: list[tuple[str, int, int]] = []
    here.listener = Listener(progress=lambda *said: told.append(said))
    found = replay_rollout(here, ID, ask_again=True).replay
    assert found.lacking == ()
    assert [look.would for look in found.looks[:2]] == [Deed.WAIT, Deed.PAUSE]
    assert found.looks[1].results[0].checks[0].end == found.looks[1].look.at
    assert told[-1] == ("asking again", len(found.looks), len(found.looks))


def test_what_cannot_be_replayed_is_said(world: World) -> None:
    world.run()
    world.store.documents.delete(f"apps/{APP}/looks/{ID}/0000.json")
    with pytest.raises(NotFoundError, match="no look at this rollout was kept"):
        replay_rollout(by(world), ID, ask_again=False)
    with pytest.raises(NotFoundError, match="no such rollout"):
        replay_rollout(by(world), "9.9.9-production", ask_again=False)
    here = by(world)
    here.policy = replace(here.policy, gates=())
    with pytest.raises(UsageError, match="no gates"):
        replay_rollout(here, ID, ask_again=False)


class Refusing(MemoryDocuments):
    """Documents in a store that takes nothing."""

    def read(self, key: str) -> Document | None:
        raise UnavailableError("the store does not answer", key)


def test_a_look_that_cannot_be_kept_is_told_and_fails_nothing(world: World) -> None:
    here = world.process()
    said: list[str] = []
    here.listener = Listener(warn=said.append)
    here.store = replace_documents(here)
    state = fresh(entered_at=NOW, phase_since=NOW, phase=0)
    for age in (HOUR, None):
        recorder(here)(state, Look(LookKind.INTERIM, NOW, NOW + DAY, age), (), age is None)
    assert len(said) == 2
    assert "gate replay" in said[0]
    assert "does not answer" in said[0]


def replace_documents(here: Workspace) -> Any:
    from otagate.store.interface import Store

    return Store(here.store.url, here.store.blobs, Refusing())


def test_a_workspace_keeps_the_looks_of_its_reconciler(world: World) -> None:
    world.run()
    world.clock.pass_(HOUR)
    world.process().reconciler.reconcile(ID)
    first, look = Looks(world.store.documents, APP).all(ID)
    assert (first.at, look.at) == (NOW, NOW + HOUR)
    assert [reading.metric for reading in look.readings] == ["crash_rate", "success"]


# --- as people type it -------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "app", soak="1h")


def test_the_verb_replays_the_active_rollout_or_one_by_name(project: Project) -> None:
    assert project("run").code == 0
    assert project("reconcile").code == 0
    said = project("gate", "replay", "--format", "json")
    assert (said.code, said.json["schema"], said.json["rollout"], said.json["same"]) == (
        0,
        "otagate/gate-replay/v1",
        "1.0.0-production",
        True,
    )
    named = project("gate", "replay", "1.0.0-production", "--ask")
    assert named.code == 0
    assert "this policy would have done the same" in named.out
    assert project("gate", "replay", "--channel", "internal").code == 0
    assert "no such rollout" in project("gate", "replay", "2.0.0-production").err
    assert "there is no such channel" in project("gate", "replay", "--channel", "nowhere").err


def test_its_arguments() -> None:
    args = build_parser("gate").parse_args(["replay", "x", "--ask"])
    assert (args.action, args.rollout, args.ask, args.channel) == ("replay", "x", True, None)


def test_a_version_names_its_only_rollout_and_others_are_listed(world: World) -> None:
    played(world)
    assert replay_rollout(by(world), "1.0.0", ask_again=False).state.id == ID
    with pytest.raises(NotFoundError) as caught:
        replay_rollout(by(world), "1.0.1", ask_again=False)
    assert caught.value.expected == f"one of {ID}"
