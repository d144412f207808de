"""One command line in, streams and an exit code out."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otagate import __version__
from otagate.cli import main
from otagate.cli.main import VERBS, run_command, sub_parsers
from otagate.errors import ExitCode
from support.project import Project


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project whose rollout soaks in its first phase; tests only look."""
    project = Project(tmp_path_factory.mktemp("cli") / "app")
    assert project("run").code == 0
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "app")


def said(*argv: str, cwd: Path = Path("/"), **environ: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return run_command(argv, environ, cwd, out, err), out.getvalue(), err.getvalue()


# --- exit codes -----------------------------------------------------------------------------------------------------------


def test_done(shared: Project) -> None:
    assert shared("status").code == ExitCode.DONE


def test_a_bug_is_told_as_one_without_a_traceback(shared: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(dict[str, str]):
        def __contains__(self, verb: object) -> bool:
            message = "a secret that must not be shown"
            raise RuntimeError(message)

    monkeypatch.setattr(main, "VERBS", Broken())
    done = shared("status")
    assert done.code == ExitCode.BUG
    assert done.out == ""
    assert "this is a bug in otagate: RuntimeError at " in done.err
    assert "secret" not in done.err
    assert "Traceback" not in done.err


MISSPELT = (
    *(["pause"], ["resume"], ["rollback"], ["approve"], ["abort"], ["amend", "--reason", "x"], ["status"], ["reconcile"]),
    *(["amend", "--weight", "5%", "--reason", "x"], ["gate", "replay"]),
    ["rollback", "--to", "2.0.0"],
)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["frobnicate"], "there is no such command: 'frobnicate'"),
        (["statsu"], "did you mean `otagate status`?"),
        (["status", "--nope"], "unrecognized arguments: --nope"),
        (["status", "--format", "xml"], "invalid choice: 'xml'"),
        (["status", "--format", "jsn"], "did you mean json?"),
        (["status", "--maxage=2h"], "did you mean --max-age?"),
        (["policy", "chek"], "did you mean check?"),
        (["gate", "eval", "--metrc", "crash_rate"], "did you mean --metric?"),
        (["rehearse", "--sessions", "few"], "--sessions takes a number, and 'few' is none"),
        (["policy"], "the following arguments are required"),
        (["run", "--version", "v1"], "not a version that devices accept"),
        (["run", "--wait", "soon"], "this is not a length of time"),
        (["promote", "--channel", "a b", "--release", "1.0.0"], "this is not a channel name"),
        (["promote", "--channel", "stable", "--release", "1.0.0", "--weight", "lots"], "this is not a weight"),
        (["promote", "--channel", "nightly", "--release", "7.7.7"], "this release is not published"),
        (["resume", "--override", "crash_rate"], "a gate is waived only with a reason"),
        (["resume", "--override", "speed", "--reason", "x"], "there is no such gate"),
        (["rollback", "--to", "1.0.0"], "--to needs --channel"),
        (["pause", "--channel", "nowhere"], "there is no such channel"),
        *(([*argv, "--channel", "internla"], "try: did you mean internal?") for argv in MISSPELT),
        (["promote", "--channel", "stable", "--release", "1.0.0", "--weight", "5"], "did you mean 5%?"),
        (["amend", "--weight", "0,5 %", "--reason", "x"], "this is not a weight: --weight"),
        (["history", "--limit", "-1"], "this is not a number of entries"),
        (["status", "--policy", "nowhere.yml"], "nowhere.yml"),
    ],
)
def test_usage_is_two_with_one_message(argv: list[str], message: str, shared: Project) -> None:
    done = shared(*argv)
    assert (done.code, done.out) == (ExitCode.USAGE, "")
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("release", "code"), [([], ExitCode.USAGE), (["--release", "1.0.0"], ExitCode.DONE)])
def test_sources_may_know_a_channel_that_otagate_does_not(release: list[str], code: ExitCode, shared: Project) -> None:
    done = shared("gate", "eval", "--channel", "internla", *release)
    assert done.code == code
    assert "warning: there is no such channel: internla of com.example.app; did you mean internal?" in done.err


def test_a_failed_verification_is_three(project: Project) -> None:
    assert project("run").code == 0
    statement = project.store / "apps/com.example.app/releases/1.0.0.json"
    statement.write_bytes(statement.read_bytes().replace(b'"sig":"', b'"sig":"AAAA'))
    done = project("promote", "--channel", "nightly", "--release", "1.0.0")
    assert done.code == ExitCode.VERIFICATION, done.err


def test_a_gate_that_pauses_is_four(project: Project) -> None:
    assert project("run").code == 0
    project.measure(140, 2000)
    done = project("reconcile")
    assert (done.code, "paused" in done.out) == (ExitCode.GATE_FAILED, True), done.out
    assert project("run").code == ExitCode.GATE_FAILED, "until a person lifts it"
    assert project("resume").code == ExitCode.CONFLICT, "a latched failure is waived by name"
    assert project("resume", "--override", "crash_rate", "--reason", "known").code == ExitCode.DONE
    assert project("run").code == ExitCode.DONE


@pytest.mark.parametrize(
    "argv",
    [
        ["approve"],
        ["approve", "stable"],
        ["promote", "--channel", "internal", "--release", "1.0.0"],
        ["rollback", "--channel", "stable"],
    ],
)
def test_a_conflict_is_five(argv: list[str], shared: Project) -> None:
    done = shared(*argv)
    assert done.code == ExitCode.CONFLICT, done.err


@pytest.mark.parametrize(
    ("argv", "code"), [(["run"], 0), (["run", "--detailed-exitcode"], 6), (["reconcile", "--detailed-exitcode"], 6)]
)
def test_waiting_is_six_only_when_asked_for(argv: list[str], code: int, shared: Project) -> None:
    assert shared(*argv).code == code


def test_a_full_disk_is_seven_and_the_store_is_unharmed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        done = project("run")
    assert done.code == ExitCode.UNAVAILABLE, done.err
    assert "the disk or the quota is full" in done.err
    assert "free some space" in done.err
    assert project("run").code == ExitCode.DONE
    assert project("history").code == ExitCode.DONE


def test_a_bad_release_is_eight(project: Project) -> None:
    assert project("run").code == 0
    project.measure(1500, 2000)
    assert project("reconcile").code == ExitCode.ROLLED_BACK
    assert project("run").code == ExitCode.ROLLED_BACK
    assert "rolled back" in project("status").out


def test_an_awaited_approval_is_nine_only_when_asked_for(project: Project) -> None:
    policy = project.folder / "otagate.yml"
    policy.write_text(policy.read_text().replace("channel: internal, soak", "channel: internal, approve: true, soak"))
    assert project("run").code == ExitCode.DONE
    assert project("run", "--detailed-exitcode").code == ExitCode.WAITING_FOR_APPROVAL
    assert "approve" in project("status").out
    assert project("approve", "internal", "--reason", "go").code == ExitCode.DONE
    assert project("approve", "internal").code == ExitCode.DONE, "twice is once"
    assert project("run").code == ExitCode.DONE
    assert "internal" in project("status").out


@pytest.mark.parametrize(
    ("verb", "said"), [("status", ""), ("run", "; what was done is kept, and the same command goes on from there")]
)
def test_an_interrupt_is_a_hundred_and_thirty(verb: str, said: str, shared: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_verb: str) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "build_parser", interrupted)
    done = shared(verb)
    assert (done.code, done.err) == (130, f"warning: interrupted{said}\n")


# --- help -------------------------------------------------------------------------------------------------------------------


def _leaves() -> Iterator[tuple[str, ...]]:
    for verb in VERBS:
        yield (verb,)
        yield from ((verb, leaf) for leaf in sub_parsers(main.build_parser(verb)))


@pytest.mark.parametrize("words", list(_leaves()), ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_verb_and_sub_verb_has_help(words: tuple[str, ...], flag: str) -> None:
    code, out, err = said(*words, flag)
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: otagate {' '.join(words)}")
    has_leaves = len(words) == 1 and sub_parsers(main.build_parser(words[0]))
    assert has_leaves or "--format" in out


def test_the_overview_names_every_verb() -> None:
    code, out, _ = said("--help")
    assert code == 0
    assert all(f"  {verb} " in out for verb in VERBS)
    assert said("help")[1] == said("-h")[1] == out
    assert said() == (ExitCode.USAGE, out, ""), "no command is a mistake, and the overview says which there are"


def test_the_version() -> None:
    assert said("--version") == (0, f"otagate {__version__}\n", "")


def test_help_after_two_dashes_is_an_argument(shared: Project) -> None:
    assert shared("status", "--", "--help").code == ExitCode.USAGE


# --- secrets ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ",
        "-----BEGIN RSA PRIVATE KEY-----",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp_" + "a1B2" * 9,
        "glpat-" + "x" * 20,
    ],
)
@pytest.mark.parametrize("form", ["{}", "--reason={}", "prefix {}"])
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(secret: str, form: str) -> None:
    code, out, err = said("pause", "--reason", form.format(secret))
    assert code == ExitCode.USAGE
    assert "argument 3 looks like a secret" in err
    assert secret[:14] not in out + err


# --- formats --------------------------------------------------------------------------------------------------------------------


def test_json_names_its_schema_and_ends_in_a_newline(shared: Project) -> None:
    done = shared("status", "--format", "json")
    assert done.json["schema"] == "otagate/status/v1"
    assert done.out.endswith("}\n")
    assert done.json["rollouts"][0]["state"] == "soaking"


def test_a_failure_is_also_an_object_for_whoever_reads_json(shared: Project) -> None:
    done = shared("promote", "--channel", "nightly", "--release", "7.7.7", "--format", "json")
    assert done.json["schema"] == "otagate/error/v1"
    assert done.json["exit_code"] == done.code == 2
    assert done.json["what"] in done.err
    assert done.json["remedy"] in done.err


def test_many_problems_are_listed_in_both(project: Project) -> None:
    (project.folder / "otagate.yml").write_text("version: 1\napp: {id: x}\nnonsense: 1\n")
    done = project("policy", "check", "--format", "json")
    assert done.code == 2
    assert len(done.json["details"]) >= 2
    assert all(line in done.err for line in done.json["details"])


@pytest.mark.parametrize("name", ["text", "markdown"])
def test_other_formats_leave_stdout_empty_on_failure(name: str, shared: Project) -> None:
    assert shared("approve", "--format", name).out == ""


def test_markdown_cannot_be_injected_by_a_branch(project: Project) -> None:
    project.git("checkout", "-q", "-b", "x`(a)<b>|_evil_")
    done = project("plan", "--format", "markdown")
    assert done.code == 0
    assert "### plan: nothing to do" in done.out
    assert "x\\`(a)\\<b\\>\\|\\_evil\\_" in done.out
    assert "<b>" not in done.out


def test_quiet_keeps_warnings_and_errors(project: Project) -> None:
    done = project("run", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert "the web output folder" not in done.err
    assert project("approve", "--quiet").err.startswith("error: ")


def test_a_fork_may_plan_and_nothing_else(project: Project) -> None:
    event = project.folder / "event.json"
    repository = {"repository": {"full_name": "acme/app"}}
    head = {"sha": "a" * 40, "ref": "main", "repo": {"full_name": "mallory/app", "fork": True}}
    base = {"ref": "main", "repo": {"full_name": "acme/app"}}
    event.write_text(json.dumps({**repository, "pull_request": {"number": 7, "head": head, "base": base}}))
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "acme/app",
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_SHA": "b" * 40,
    }
    policy = project.folder / "otagate.yml"
    policy.write_text(policy.read_text().replace("branches:\n", 'branches:\n  "pulls/*": {channel: "pr-{number}"}\n'))
    planned = project("plan", environ=github)
    assert planned.code == 0, planned.err
    assert "refused: a pull request from a fork may plan, and may not publish" in planned.out
    for argv in (["run"], ["upload"], ["pause", "--channel", "a"], ["resume"], ["approve"], ["rollback"], ["reconcile"]):
        done = project(*argv, environ=github)
        assert (done.code, "from a fork may plan" in done.err) == (2, True), argv
    assert not project.store.exists()
