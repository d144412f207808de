"""What `status` and the verbs of people show of the gates: the last look, as it was judged, without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from otagate.errors import VerificationError
from otagate.flow.last_look import glance, last_look
from otagate.flow.workspace import Listener
from otagate.gate.interface import Measurement
from otagate.gate.judge import Verdict
from otagate.policy.model.gates import GateSpec, ValueLimit
from otagate.rollout.looks import LOOKS_A_PAGE
from otagate.rollout.state import Stage
from support.project import Project
from support.rollouts import fresh
from support.world import BAD, DAY, GATES, GOOD, HOUR, Devices, World, phase, track

ID = "1.0.0-production"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, spec=track(phase("internal"), phase("stable", 5, 100)))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "app")


@pytest.mark.parametrize("says", [GOOD, BAD, {"crash_rate": "the source is away", "success": None}])
def test_it_says_what_reconcile_said(says: dict[str, object], world: World) -> None:
    world.run()
    world.devices.says = dict(says)
    for wait in (HOUR, DAY, HOUR):
        world.clock.pass_(wait)
        outcome = world.reconcile()
        asked = world.devices.looks
        found = last_look(world.process(), outcome.state)
        assert world.devices.looks == asked, "nothing is asked"
        assert found is not None
        if not outcome.results:
            assert outcome.state.stage is Stage.ROLLED_BACK
            continue
        assert found.look.at == world.clock.now()
        assert [(one.metric, one.verdict, one.action) for one in found.results] == [
            (one.metric, one.verdict, one.action) for one in outcome.results
        ]
        pairs = zip(found.results, outcome.results, strict=True)
        assert all(
            (mine.bad, mine.total, mine.log_e, mine.interval) == (its.bad, its.total, its.log_e, its.interval)
            for one, other in pairs
            for mine, its in zip(one.checks, other.checks, strict=True)
        )


@dataclass
class Numbers(Devices):
    """A source of a plain number that is out of bounds at some looks."""

    def _outcome(self, metric: str, now: datetime) -> Measurement:
        return Measurement(None, None, None, metric, value=12.5 if self.looks % 7 == 0 else 2412.5)


def test_a_plain_number_is_as_often_out_of_bounds_as_reconcile_said(tmp_path: Path) -> None:
    slow = GateSpec("slow", value=ValueLimit(max=Decimal(1800)), consecutive=9)
    world = World(tmp_path, spec=track(phase("internal")), gates=(slow,))
    world.devices = Numbers()
    world.run()
    said = set()
    for _ in range(20):
        world.clock.pass_(HOUR / 2)
        outcome = world.reconcile()
        found = last_look(world.process(), outcome.state)
        assert found is not None
        assert [one.reason for one in found.results] == [one.reason for one in outcome.results]
        said.add(found.results[0].reason)
    assert len(said) > 5


def test_of_many_looks_only_the_last_page_is_read(world: World) -> None:
    world.run()
    for bad in range(LOOKS_A_PAGE + 3):
        world.clock.pass_(HOUR / 4)
        world.devices.says["crash_rate"] = (bad % 7, 2000 + bad)
        world.reconcile()
    found = last_look(world.process(), world.state())
    assert found is not None
    assert (found.look.at, found.results[0].checks[0].total) == (world.clock.now(), 2000 + LOOKS_A_PAGE + 2)


def test_a_gate_that_an_amendment_added_is_not_shown_before_it_was_asked(world: World) -> None:
    world.run()
    world.clock.pass_(HOUR)
    state = world.reconcile().state
    amended = replace(state, spec=replace(state.spec, gates=(*state.spec.gates, GateSpec("new", max=Decimal("0.5")))))
    found = last_look(world.process(), amended)
    assert found is not None
    assert [one.metric for one in found.results] == [gate.metric for gate in GATES]


@pytest.mark.parametrize("gates", [GATES, ()])
def test_where_nothing_is_judged_there_is_none(gates: tuple[GateSpec, ...], tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("internal")), gates=gates)
    assert last_look(world.process(), fresh()) is None
    assert (last_look(world.process(), world.run().state) is None) is (not gates)


def test_one_that_cannot_be_read_is_a_warning(world: World) -> None:
    state = world.run().state
    documents = world.store.documents
    key = next(key for key in documents.keys("apps/") if "/looks/" in key)
    document = documents.read(key)
    assert document is not None
    documents.replace(key, document.body.replace(b'"phase":0', b'"phase":7'), document.token)
    with pytest.raises(VerificationError, match="another rollout"):
        last_look(world.process(), state)
    said: list[str] = []
    here = world.process()
    here.listener = Listener(warn=said.append)
    assert glance(here, state) is None
    assert said == [f"the last look at {ID} cannot be shown: the looks that were kept are those of another rollout"]


def test_status_and_the_verbs_of_people_show_it(project: Project) -> None:
    assert project("run").code == 0
    assert project("reconcile").code == 0
    (one,) = project("status", "--format", "json").json["rollouts"]
    assert one["next_look"] is not None
    assert [(gate["metric"], gate["verdict"]) for gate in one["last_look"]["gates"]] == [("crash_rate", "inconclusive")]
    check = one["last_look"]["gates"][0]["checks"][0]
    assert (check["bad"], check["total"], len(check["digest"])) == (5, 2000, 64)
    looked = project("gate", "eval", "--format", "json").json
    assert one["next_look"] < looked["next_look"], "it is a few moments later"
    assert "next look  20" in project("gate", "eval").out
    assert (
        project("gate", "eval", "--metric", "crash_rate", "--bad", "1", "--total", "9", "--format", "json").json["next_look"]
        is None
    )
    shown = project("status").out
    assert all(word in shown for word in ("its gates, at the look of", "5/2000", "e-value", "next look at"))
    paused = project("pause", "--reason", "lunch", "--format", "json").json
    assert paused["last_look"] == one["last_look"]
    assert "5/2000" in project("resume", "--format", "markdown").out
    looks = next(project.store.rglob("looks/*/0000.json"))
    looks.write_text("{}")
    for argv in (("status",), ("rollback",)):
        done = project(*argv)
        assert (done.code, "warning: the last look at 1.0.0-production cannot be shown" in done.err) == (0, True)


def test_what_somebody_wrote_into_the_store_is_harmless(world: World) -> None:
    world.devices.says["crash_rate"] = "away"
    state = world.run().state
    world.clock.pass_(HOUR)
    world.reconcile()
    documents = world.store.documents
    key = next(key for key in documents.keys("apps/") if "/looks/" in key)
    document = documents.read(key)
    assert document is not None
    body = document.body.replace(b"away", b"\\u001b[31mforged").replace(b'"digest":null', b'"digest":"\\u001b[31m"')
    assert body.count(b"forged") > 0
    documents.replace(key, body, document.token)
    found = last_look(world.process(), state)
    assert found is not None
    assert {one.verdict for one in found.results} >= {Verdict.ERROR}
    assert "\x1b" not in "".join(check.reason + (check.digest or "") for one in found.results for check in one.checks)
