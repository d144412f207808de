"""abort, amend, status --max-age, reconcile --all and --junit, through the one way in."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from otagate.cli.commands import _junit
from otagate.cli.render.junit import draw
from otagate.gate.interface import SourceError
from otagate.gate.judge import Look, LookKind, Reading, judge
from otagate.policy.model.gates import Judgement
from support.project import Project
from support.world import CRASH_RATE, DAY, NOW


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "app")


def test_abort_says_what_it_does_and_does_it_once(project: Project) -> None:
    assert project("run").code == 0
    plan = project("abort", "--dry-run").out
    assert "drop internal" in plan
    done = project("abort", "--reason", "wrong branch", "--format", "json").json
    assert (done["rollout"]["state"], done["rollout"]["outcome"]) == ("aborted", "wrong branch")
    for again in (project("abort", "--dry-run"), project("abort"), project("abort", "--channel", "internal")):
        assert (again.code, "rollout 1.0.0-production is aborted already" in again.out) == (0, True)
    other = project("abort", "--channel", "stable")
    assert (other.code, "no rollout is active" in other.err) == (2, True)
    assert "rollout.aborted" in project("history").out


def test_amend_takes_what_the_policy_says_now(project: Project) -> None:
    assert project("run").code == 0
    before = project("status", "--format", "json").json["rollouts"][0]
    text = (project.folder / "otagate.yml").read_text()
    (project.folder / "otagate.yml").write_text(text.replace("min_sample: 100", "min_sample: 50"))
    assert project("amend").code == 2, "a reason is needed"
    assert project("amend", "--reason", "few devices").code == 0
    for again in (("amend", "--dry-run"), ("amend",)):
        assert "rollout 1.0.0-production goes by this policy already" in project(*again, "--reason", "few devices").out
    after = project("status", "--format", "json").json["rollouts"][0]
    assert (before["id"], before["not_before"]) == (after["id"], after["not_before"])
    assert before["spec"] != after["spec"]
    refused = project("amend", "--weight", "5%", "--reason", "x")
    assert (refused.code, "earlier weight" in refused.err) == (2, True)


@pytest.mark.parametrize(("most", "code"), [("2h", 0), ("1s", 7), ("soon", 2)])
def test_status_tells_a_monitor_when_nobody_reconciles(most: str, code: int, project: Project) -> None:
    assert project("status", "--max-age", most).code in {0, 2}, "nothing is active"
    assert project("run").code == 0
    rollout = project.store / "apps/com.example.app/rollouts/1.0.0-production.json"
    if code == 7:  # as a schedule that stopped long ago leaves it
        text = rollout.read_text()
        at = project("status", "--format", "json").json["rollouts"][0]["last_reconcile_at"]
        rollout.write_text(text.replace(f'"last_reconcile_at":"{at}"', '"last_reconcile_at":"2020-01-01T00:00:00.000000Z"'))
    done = project("status", "--max-age", most)
    assert done.code == code, done.err
    assert ("is the schedule of `otagate reconcile` running?" in done.out) is (code == 7)


def test_status_points_out_what_no_gate_can_stop(project: Project) -> None:
    assert project("run").code == 0
    assert project("status", "--format", "json").json["unwatched"] == []
    assert project("promote", "--channel", "nightly", "--release", "1.0.0", "--weight", "20%").code == 0
    assert project("status", "--format", "json").json["unwatched"] == ["nightly"]
    assert "1.0.0 is offered to 20% of nightly and no rollout watches it" in project("status").out
    assert project("rollback", "--channel", "nightly").code == 0
    assert project("status", "--format", "json").json["unwatched"] == []


def test_reconcile_takes_off_what_an_ended_rollout_left_offered(project: Project) -> None:
    assert project("run").code == 0
    pointer = project.store / "apps/com.example.app/channels/internal.json"
    offered = pointer.read_bytes()
    assert project("abort", "--reason", "enough").code == 0
    pointer.write_bytes(offered)  # as a machine leaves it that offered it late, and was killed
    what = "take 1.0.0 off internal: 1.0.0-production, which offered it, is aborted"
    seen = project("status", "--format", "json").json
    assert (seen["leftovers"], seen["unwatched"]) == ([what], [])
    assert f"the next `otagate reconcile` will {what}" in project("status").out
    assert what in project("reconcile", "--dry-run").out
    assert pointer.read_bytes() == offered
    done = project("reconcile", "--format", "json").json
    assert (done["taken_back"], done["failed"]) == ([what.replace("take ", "took ")], {})
    assert project("status", "--format", "json").json["channels"][0]["candidate"] is None
    assert "no rollout is active: nothing to do" in project("reconcile").out


def test_reconcile_all_is_reconcile(project: Project) -> None:
    assert project("run").code == 0
    done = project("reconcile", "--all", "--format", "json").json
    assert [rollout["rollout"]["id"] for rollout in done["rollouts"]] == ["1.0.0-production"]
    assert done["failed"] == {}
    assert done["rollouts"][0]["next_look"]
    both = project("reconcile", "--all", "--channel", "internal")
    assert both.code == 2


def test_a_failed_gate_is_a_failed_test_case(project: Project) -> None:
    assert project("run").code == 0
    project.measure(140, 2000)
    report = project.folder / "gates.xml"
    assert project("reconcile", "--junit", "gates.xml").code == 4
    suite = ET.fromstring(report.read_text()).find("testsuite")
    assert suite is not None
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("1.0.0-production", "2", "1")
    failure = suite.find("testcase[@classname='gate.crash_rate']/failure")
    assert failure is not None
    assert "140 of 2000" in (failure.get("message") or "")
    assert '"log_e"' in (suite.findtext("testcase/system-out") or "")


def test_what_is_not_decided_is_skipped_and_a_source_that_fails_an_error(project: Project) -> None:
    assert project("run", "--junit", "gates.xml").code == 0
    assert 'skipped="2"' in (project.folder / "gates.xml").read_text()
    (project.folder / "metrics" / "crash_rate.json").write_text("nonsense")
    assert project("gate", "eval", "--junit", "gates.xml").code == 6
    assert 'errors="2"' in (project.folder / "gates.xml").read_text()
    missing = project("gate", "eval", "--junit", "nowhere/gates.xml")
    assert (missing.code, "no such folder" in missing.err) == (2, True)


def test_a_report_that_cannot_be_written_does_not_hide_what_was_done(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_junit, "atomic_write", full)
    started = project("run", "--junit", "gates.xml")
    assert (started.code, "the disk or the quota is full" in started.err) == (7, True)
    assert "rollout of 1.0.0: soaking" in started.out
    project.measure(140, 2000)
    paused = project("reconcile", "--junit", "gates.xml")
    assert (paused.code, "140 of 2000" in paused.out, "cannot write the JUnit report" in paused.err) == (4, True, True)


@pytest.mark.parametrize("verb", ["run", "reconcile"])
def test_a_report_without_a_folder_is_refused_before_anything_is_done(verb: str, project: Project) -> None:
    refused = project(verb, "--junit", "nowhere/gates.xml")
    assert (refused.code, "no such folder" in refused.err) == (2, True)
    assert "no rollout is active" in project("status").out


def test_a_damaged_rollout_does_not_keep_the_others_from_being_judged(project: Project) -> None:
    assert project("run").code == 0
    folder = next(project.folder.rglob("active"))
    (folder / "stable.json").write_text("{}")
    project.measure(140, 2000)
    said = project("reconcile", "--junit", "gates.xml")
    suites = ET.fromstring((project.folder / "gates.xml").read_text()).findall("testsuite")
    assert [(suite.get("name"), suite.get("errors")) for suite in suites] == [
        ("1.0.0-production", "0"),
        ("channel stable", "1"),
    ]
    assert "channel stable could not be reconciled: a stored document is not what otagate writes there" in said.out
    assert "140 of 2000" in said.out
    assert said.code == 3
    assert "paused" in project("status", "--channel", "internal").out
    assert project("status").code == 3


def test_what_fails_alone_is_no_old_report(project: Project) -> None:
    assert project("run", "--junit", "gates.xml").code == 0
    folder = next(project.folder.rglob("active"))
    for path in folder.iterdir():
        path.write_text("{}")
    assert project("reconcile", "--junit", "gates.xml").code == 3
    root = ET.fromstring((project.folder / "gates.xml").read_text())
    assert [case.find("error") is not None for case in root.iter("testcase")] == [True]
    error = root.find("testsuite/testcase/error")
    assert error is not None
    assert "is not what otagate writes there" in (error.get("message") or "")


def test_a_pointer_that_cannot_be_signed_anew_does_not_hide_what_was_done(project: Project) -> None:
    assert project("run").code == 0
    (next(project.folder.rglob("channels")) / "odd.json").write_text("{}")
    project.measure(140, 2000)
    said = project("reconcile")
    assert ("140 of 2000" in said.out, said.code) == (True, 3)


def test_each_damaged_pointer_is_reported(project: Project) -> None:
    assert project("run").code == 0
    for name in ("odd", "even"):
        (next(project.folder.rglob("channels")) / f"{name}.json").write_text("{}")
    plan = project("reconcile", "--dry-run")
    assert ("pointer of odd cannot be read" in plan.out, "pointer of even cannot be read" in plan.out, plan.code) == (
        True,
        True,
        3,
    )
    assert "1.0.0-production waits for the soak" in plan.out
    said = project("reconcile", "--format", "json")
    assert (sorted(said.json["failed"]), said.code) == (["pointer of even", "pointer of odd"], 3)


def test_a_report_is_xml_whatever_a_source_says() -> None:
    said = "\x00\x1b[2J\u202e\ufffe\uffff</failure>&lt; ]]> \x85"
    look = Look(LookKind.PHASE_END, NOW, NOW + DAY)
    reading = Reading(CRASH_RATE.metric, NOW, NOW + DAY, SourceError(said, said, found=said))
    result = judge(CRASH_RATE, [reading], look=look, judgement=Judgement(), gating_metrics=1, now=NOW + DAY)
    suite = ET.fromstring(draw({said: [result]})).find("testsuite")
    assert suite is not None
    assert (suite.get("errors"), len(suite.findall("testcase/error"))) == ("2", 2)


@pytest.mark.parametrize("verb", ["status", "reconcile"])
def test_a_channel_that_is_nowhere_is_no_channel_where_all_is_well(verb: str, project: Project) -> None:
    assert project("run").code == 0
    done = project(verb, "--channel", "internall")
    assert (done.code, "did you mean internal?" in done.err) == (2, True)
    assert project(verb, "--channel", "internal").code == 0


def test_a_channel_that_a_rule_makes_up_is_known(project: Project) -> None:
    text = (project.folder / "otagate.yml").read_text()
    (project.folder / "otagate.yml").write_text(
        text.replace("branches:", 'branches:\n  "pulls/*": {channel: "pr-{number}"}', 1)
    )
    assert project("status", "--channel", "pr-12").code == 0
    assert project("status", "--channel", "rp-12").code == 2


def test_a_waived_failure_is_shown_as_such_and_fails_no_test_case(project: Project) -> None:
    assert project("run").code == 0
    project.measure(140, 2000)
    assert project("reconcile").code == 4
    misspelt = project("resume", "--override", "crash_rat", "--reason", "known")
    assert (misspelt.code, "did you mean crash_rate?" in misspelt.err) == (2, True)
    assert project("resume", "--override", "crash_rate", "--reason", "known").code == 0
    done = project("reconcile", "--junit", "gates.xml")
    assert (done.code, "fail (waived)" in done.out) == (0, True)
    suite = ET.fromstring((project.folder / "gates.xml").read_text()).find("testsuite")
    assert suite is not None
    said = [str(case.get("message")) for case in suite.iter("skipped")]
    assert (suite.get("failures"), said[0].startswith("waived: 140 of 2000 devices bad")) == ("0", True)


def test_a_version_whose_rollout_was_aborted_is_not_said_to_be_shipped(project: Project) -> None:
    assert project("run").code == 0
    assert project("abort", "--reason", "wrong branch").code == 0
    done = project("run")
    assert "nothing is shipped: the rollout of 1.0.0 is aborted" in done.err
    assert "otagate promote --channel internal --release 1.0.0" in done.out
