"""What a CI host shows as failed tests is what somebody has to look at."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from otagate.cli.render.junit import draw
from otagate.gate.interface import Measurement
from otagate.gate.judge import Demand, Look, LookKind, Reading, Verdict, judge
from otagate.gate.summary import is_lifted
from otagate.policy.model.gates import Judgement
from support.project import Project
from support.rollouts import result
from support.world import CRASH_RATE, DAY, NOW


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "app")


def test_that_no_device_has_it_yet_is_no_error_of_the_push_that_ships_it(project: Project) -> None:
    (project.folder / "metrics" / "crash_rate.json").unlink()
    assert project("run", "--junit", "gates.xml").code == 0
    suite = ET.fromstring((project.folder / "gates.xml").read_text()).find("testsuite")
    assert suite is not None
    assert (suite.get("errors"), suite.get("failures"), suite.get("tests")) == ("0", "0", suite.get("skipped"))


@pytest.mark.parametrize(("waiting", "errors"), [((), "2"), (("1.0.0-production",), "0")])
def test_that_nobody_tells_anything_is_an_error_when_the_grace_is_over(waiting: tuple[str, ...], errors: str) -> None:
    reading = Reading(CRASH_RATE.metric, NOW, NOW + DAY, Measurement(None, None, None, "q"))
    look = Look(LookKind.INTERIM, NOW + DAY, NOW + 2 * DAY)
    result = judge(CRASH_RATE, [reading], look=look, judgement=Judgement(), gating_metrics=1, now=NOW + DAY)
    suite = ET.fromstring(draw({"1.0.0-production": [result]}, waiting=waiting)).find("testsuite")
    assert suite is not None
    assert suite.get("errors") == errors


@pytest.mark.parametrize(("names", "tag"), [(("over 2m",), "skipped"), (("limit", "escalate"), "failure")])
def test_the_only_limit_of_a_gate_is_waived_as_the_rollout_takes_it(names: tuple[str, ...], tag: str) -> None:
    one = result("times", Verdict.FAIL, Demand.ROLLBACK, holds=True)
    one = replace(one, checks=tuple(replace(one.checks[0], name=name) for name in names))
    assert is_lifted(one, {"times"}) is (tag == "skipped")
    case = ET.fromstring(draw({"1.0.0-production": [one]}, {"1.0.0-production": {"times"}})).findall("*/testcase")[-1]
    assert [child.tag for child in case] == [tag, "system-out"]


def test_a_report_takes_no_devices_place(project: Project) -> None:
    os.mkfifo(project.folder / "pipe")
    done = project("run", "--junit", "pipe")
    assert (done.code, "found: a device or a pipe" in done.err) == (2, True)
    assert (project.folder / "pipe").is_fifo()
