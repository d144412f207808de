"""What each verb says: its JSON, its view and its outputs, through the one way in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "app")


def test_before_anything_happened(project: Project) -> None:
    assert "no channel has been moved yet" in project("status").out
    assert "no rollout is active" in project("status").out
    assert "nothing has happened yet" in project("history").out
    assert "no rollout is active: nothing to do" in project("reconcile").out
    done = project("reconcile", "--format", "json").json
    assert (done["schema"], done["rollouts"], done["outputs"]) == ("otagate/reconcile/v1", [], {})


def test_build_vets_and_counts(project: Project) -> None:
    (project.folder / "dist" / ".DS_Store").write_text("x")
    done = project("build", "--format", "json")
    assert (done.code, done.json["schema"], done.json["files"], done.json["left_out"]) == (
        0,
        "otagate/build/v1",
        2,
        [".DS_Store"],
    )
    said = project("build").out
    assert "2 files, " in said
    assert "- .DS_Store" in said


def test_build_runs_the_command_and_streams_it(project: Project) -> None:
    policy = project.folder / "otagate.yml"
    policy.write_text(
        policy.read_text().replace("build: {output: dist}", "build: {output: dist, command: echo hello from the build}")
    )
    assert "run `echo hello from the build`" in project("build", "--dry-run").out
    done = project("build")
    assert (done.code, "  | hello from the build" in done.err) == (0, True), done.err


def test_bundle_is_the_same_wherever_it_is_made(project: Project, tmp_path: Path) -> None:
    first = project("bundle", "-o", "a.zip", "--manifest", "a.json", "--format", "json").json
    (tmp_path / "elsewhere").mkdir()
    second = project("bundle", str(project.folder / "dist"), "-o", "b.zip", "--format", "json", cwd=tmp_path / "elsewhere").json
    assert first["archive"] == second["archive"]
    assert (project.folder / "a.zip").read_bytes() == (tmp_path / "elsewhere" / "b.zip").read_bytes()
    assert len(json.loads((project.folder / "a.json").read_text())["files"]) == first["files"] == 2
    assert "packed 2 files" in project("bundle", "dist", "-o", "c.zip").out


@pytest.mark.parametrize("out", ["nowhere/a.zip", "dist"])
def test_bundle_says_where_it_cannot_write(out: str, project: Project) -> None:
    done = project("bundle", "-o", out)
    assert (done.code, "this file cannot be written" in done.err) == (2, True)


def test_bundle_needs_to_know_the_folder(project: Project) -> None:
    policy = project.folder / "otagate.yml"
    policy.write_text(policy.read_text().replace("build: {output: dist}\n", ""))
    done = project("bundle", "-o", "a.zip")
    assert (done.code, "output folder is not known" in done.err) == (2, True)


def test_upload_publishes_and_moves_nothing(project: Project) -> None:
    done = project("upload", "--format", "json")
    assert (done.code, done.json["schema"], done.json["version"], done.json["files"]) == (0, "otagate/upload/v1", "1.0.0", 2)
    assert done.json["outputs"]["bundle-url"].startswith("file:")
    assert done.json["outputs"]["release"].startswith("sha256:")
    assert "published 1.0.0" in project("upload").out, "twice is once"
    assert project("status", "--format", "json").json["channels"] == []
    assert [entry["kind"] for entry in project("history", "--format", "json").json["entries"]] == ["release.published"]


def test_run_gives_a_ci_what_it_needs(project: Project) -> None:
    done = project("run", "--format", "json").json
    assert done["schema"] == "otagate/run/v1"
    outputs = done["outputs"]
    assert (outputs["version"], outputs["state"], outputs["channel"], outputs["weight"], outputs["verdict"]) == (
        "1.0.0",
        "soaking",
        "internal",
        "100%",
        "inconclusive",
    )
    assert {"release", "bundle-url", "checksum"} <= set(outputs)
    assert done["gates"][0]["metric"] == "crash_rate"
    assert done["waiting_for"].startswith("the soak, until ")


def test_a_hand_moved_channel_is_shown(project: Project) -> None:
    assert project("upload").code == 0
    done = project("promote", "--channel", "nightly", "--release", "1.0.0", "--weight", "12.5%", "--format", "json").json
    assert done["schema"] == "otagate/action/v1"
    assert done["channel"]["candidate"]["weight"] == "12.5%"
    assert done["outputs"] == {"channel": "nightly", "version": "1.0.0", "release": done["channel"]["candidate"]["statement"]}
    assert "1.0.0 at 12.5%" in project("status", "--channel", "nightly").out
    said = project("rollback", "--channel", "nightly", "--reason", "a test")
    assert said.code == 0, said.err
    assert "done: roll nightly back to the built-in bundle" in said.out
    assert project("pause", "--channel", "nightly").code == 0
    shown = project("status", "--channel", "nightly", "--format", "markdown").out
    assert "| nightly | built-in | - | paused | 1.0.0 | in 29d |" in shown


def test_status_of_one_channel_shows_its_rollout(project: Project) -> None:
    assert project("run").code == 0
    one = project("status", "--channel", "internal", "--format", "json").json
    assert [rollout["id"] for rollout in one["rollouts"]] == ["1.0.0-production"]
    assert one["outputs"]["state"] == "soaking"
    assert project("status", "--channel", "stable", "--format", "json").json["rollouts"] == []


def test_history_can_be_cut(project: Project) -> None:
    assert project("run").code == 0
    newest = project("history", "--limit", "1", "--format", "json").json["entries"]
    assert [(entry["seq"], entry["kind"]) for entry in newest] == [(3, "rollout.advanced")]
    assert "no entry is of a kind that begins with 'rollout.pauzed'" in project("history", "--kind", "rollout.pauzed").out
    kinds = [entry["kind"] for entry in project("history", "--kind", "release.", "--format", "json").json["entries"]]
    assert kinds == ["release.published"]


def test_a_broken_chain_is_a_failed_verification(project: Project) -> None:
    assert project("run").code == 0
    entry = project.store / "apps/com.example.app/ledger/0000000002.json"
    entry.write_bytes(entry.read_bytes().replace(b"ana", b"bob"))
    done = project("history")
    assert (done.code, "the ledger's chain is broken" in done.err, "0000000003.json" in done.err) == (3, True, True)


def test_the_next_step_is_always_said(project: Project) -> None:
    assert "`otagate reconcile`" in project("run").out
    assert "otagate resume --channel internal" in project("pause").out
    assert project("resume").code == 0
    project.measure(140, 2000)
    assert "--override crash_rate" in project("reconcile").out
    assert "publish a fix" in project("rollback").out


def test_reconcile_of_one_channel(project: Project) -> None:
    assert project("run").code == 0
    done = project("reconcile", "--channel", "internal", "--format", "json").json
    assert [one["rollout"]["state"] for one in done["rollouts"]] == ["soaking"]
    assert done["outputs"]["version"] == "1.0.0"
    assert project("reconcile", "--channel", "stable", "--format", "json").json["rollouts"] == []
    assert "waits for the soak" in project("reconcile", "--dry-run").out


def test_run_and_wait_goes_all_the_way(tmp_path: Path) -> None:
    project = Project(tmp_path / "app", soak="20ms")
    done = project("run", "--wait", "1m")
    assert done.code == 0, done.err
    assert "1.0.0: completed" in done.err
    assert "done" in project("plan").out
    project.next_release("1.1.0")
    assert project("run", "--wait").code == 0
    state = project("status", "--format", "json").json
    assert {one["channel"]: one["stable"]["version"] for one in state["channels"]} == {"internal": "1.1.0", "stable": "1.1.0"}


def test_a_policy_s_warnings_are_told_on_stderr(tmp_path: Path) -> None:
    project = Project(tmp_path / "app")
    policy = project.folder / "otagate.yml"
    policy.write_text(policy.read_text().split("metrics:")[0] + "gates: {}\n")
    done = project("plan")
    assert done.code == 0
    assert "only time passes between phases" in done.out
    assert done.err == "" or done.err.startswith("warning: ")


GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_REPOSITORY": "acme/app",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REF_NAME": "main",
    "GITHUB_REF_TYPE": "branch",
}


def test_a_ci_gets_outputs_and_a_summary(project: Project, tmp_path: Path) -> None:
    outputs, summary = tmp_path / "outputs", tmp_path / "summary"
    outputs.touch()
    summary.touch()
    done = project("run", environ={**GITHUB, "GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)})
    assert done.code == 0, done.err
    assert "version" in outputs.read_text()
    assert "1.0.0" in summary.read_text()


def test_a_ci_that_cannot_be_told_is_a_warning(project: Project, tmp_path: Path) -> None:
    nowhere = {"GITHUB_OUTPUT": str(tmp_path / "no" / "outputs"), "GITHUB_STEP_SUMMARY": str(tmp_path / "no" / "summary")}
    done = project("run", environ={**GITHUB, **nowhere})
    assert done.code == 0
    assert "warning: the CI host could not be told of the result" in done.err


def test_a_verb_that_no_job_calls_tells_nobody(project: Project, tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    summary.touch()
    assert project("policy", "check", environ={**GITHUB, "GITHUB_STEP_SUMMARY": str(summary)}).code == 0
    assert summary.read_text() == ""


def test_a_failure_is_shown_to_the_ci(project: Project, tmp_path: Path) -> None:
    done = project("approve", environ=GITHUB)
    assert done.code == 2
    assert "error: no rollout is active" in done.err
