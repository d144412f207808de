from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from otagate.ci import face
from otagate.ci.boot import launch
from otagate.ci.face import COMMANDS, INPUTS, make_call
from otagate.errors import KeyMaterialError, UsageError

PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIABC\n-----END PRIVATE KEY-----\n"


def inputs(**values: str) -> dict[str, str]:
    return {"OTAGATE_INPUT_" + name.upper(): value for name, value in values.items()}


@pytest.mark.parametrize(
    ("given", "argv"),
    [
        ({}, ["run"]),
        ({"command": ""}, ["run"]),
        ({"command": " status\n"}, ["status"]),
        ({"command": "run", "dry_run": "true", "wait": "true"}, ["run", "--wait", "--dry-run"]),
        ({"command": "run", "dry_run": "false", "wait": "false", "no_build": "false"}, ["run"]),
        ({"command": "run", "wait": "20m", "version": "1.2.3"}, ["run", "--version=1.2.3", "--wait=20m"]),
        ({"command": "run", "policy": "--dry-run"}, ["run", "--policy=--dry-run"]),
        ({"command": "status", "dry_run": "false", "no_build": "false", "wait": "false"}, ["status"]),
        ({"command": "reconcile", "detailed_exitcode": "true"}, ["reconcile", "--detailed-exitcode"]),
        ({"command": "promote", "channel": "beta", "release": "1.0.0", "weight": "5%"}, ["promote", "--channel=beta", "--release=1.0.0", "--weight=5%"]),
        ({"command": "plan", "comment": "true"}, ["plan", "--comment"]),
        ({"command": "plan", "comment": "false", "github_token": "t"}, ["plan"]),
        ({"command": "approve", "phase": "stable", "reason": "looks good"}, ["approve", "--reason=looks good", "--", "stable"]),
        ({"command": "resume", "override": "crash_rate, error_rate\nadoption_24h,", "reason": "x"}, ["resume", "--override=crash_rate", "--override=error_rate", "--override=adoption_24h", "--reason=x"]),
        ({"command": "rollback", "to": "builtin", "reason": "$(id); `id`\n::error::x"}, ["rollback", "--to=builtin", "--reason=$(id); `id`\n::error::x"]),
    ],
)  # fmt: skip
def test_inputs_become_arguments(given: dict[str, str], argv: list[str], tmp_path: Path) -> None:
    assert list(make_call(inputs(**given), tmp_path).argv) == argv


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param(inputs(command="rm"), r"no such command", id="unknown command"),
        pytest.param(inputs(command="promot"), r"did you mean `promote`", id="near miss of a command"),
        pytest.param(inputs(command="run --dry-run"), r"no such command", id="command with an option"),
        pytest.param(inputs(command="keys"), r"no such command", id="command that is not for jobs"),
        pytest.param(inputs(chanel="beta"), r"(?s)no such input: chanel.*did you mean `channel`", id="unknown input"),
        pytest.param(inputs(zzz="1"), r"no such input: zzz", id="unknown input without a near one"),
        pytest.param(inputs(dry_run="yes"), r"(?s)neither true nor false: input dry-run.*'yes'", id="flag that is no flag"),
        pytest.param(inputs(command="status", dry_run="True"), r"neither true nor false", id="flag in capitals"),
        pytest.param(inputs(command="status", dry_run="true"), r"(?s)`status` does not take this input: input dry-run", id="flag of others"),
        pytest.param(inputs(command="status", wait="20m"), r"wait only with run, reconcile", id="wait of others"),
        pytest.param(inputs(command="run", comment="true"), r"comment only with plan", id="comment of others"),
        pytest.param(inputs(command="run", release="1.0.0"), r"release only with promote", id="input of others"),
        pytest.param(inputs(working_directory="missing"), r"working directory cannot be entered", id="missing folder"),
        pytest.param(inputs() | {"GITLAB_CI": "true", "CI_DEBUG_TRACE": "true"}, r"(?s)CI_DEBUG_TRACE.*replace the keys", id="debug trace"),
        pytest.param(inputs() | {"GITLAB_CI": "true", "CI_DEBUG_TRACE": "1"}, r"prints every variable", id="debug trace by number"),
        pytest.param({"GITLAB_CI": "true", "OTAGATE_SIGNING_KEY": PEM}, r"(?s)cannot mask.*type File", id="key in lines on gitlab"),
    ],
)  # fmt: skip
def test_wrong_inputs_get_one_message(environ: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        make_call(environ, tmp_path)
    assert "MC4CAQAw" not in str(caught.value)


def test_a_working_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be entered"):
        make_call(inputs(working_directory="file"), tmp_path)


def test_the_call_stands_in_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "apps").mkdir()
    assert make_call(inputs(working_directory="apps"), tmp_path).folder == tmp_path / "apps"


@pytest.mark.parametrize(
    ("name", "variable"), [("signing_key", "OTAGATE_SIGNING_KEY"), ("encryption_key", "OTAGATE_ENCRYPTION_KEY")]
)
def test_a_secret_becomes_its_variable_and_never_an_argument(name: str, variable: str, tmp_path: Path) -> None:
    call = make_call(inputs(**{name: PEM}) | {variable: "older", "PATH": "/bin"}, tmp_path)
    assert call.environ == {"PATH": "/bin", variable: PEM.strip()}
    assert call.argv == ("run",)


def test_a_secret_without_an_input_stays_as_the_job_has_it(tmp_path: Path) -> None:
    call = make_call(inputs(signing_key="") | {"OTAGATE_SIGNING_KEY": "QUJD"}, tmp_path)
    assert call.environ == {"OTAGATE_SIGNING_KEY": "QUJD"}


def test_the_token_goes_to_the_plan_that_comments(tmp_path: Path) -> None:
    given = inputs(command="plan", comment="true", github_token=" ghs_x\n") | {"GITHUB_TOKEN": "older"}
    assert make_call(given, tmp_path).environ == {"GITHUB_TOKEN": "ghs_x"}


@pytest.mark.parametrize("given", [inputs(), inputs(command="plan"), inputs(command="plan", comment="false")])
def test_the_token_goes_to_nobody_else(tmp_path: Path, given: dict[str, str]) -> None:
    token = inputs(github_token="ghs_x")
    assert make_call(given | token, tmp_path).environ == {}
    assert make_call(given | token | {"GITHUB_TOKEN": "the job's own"}, tmp_path).environ == {"GITHUB_TOKEN": "the job's own"}


@pytest.mark.parametrize("host", [{}, {"GITLAB_CI": "true"}])
def test_a_secret_may_be_a_file(tmp_path: Path, host: dict[str, str]) -> None:
    (tmp_path / "key").write_text(PEM)
    call = make_call(host | {"OTAGATE_SIGNING_KEY": str(tmp_path / "key")}, tmp_path)
    assert call.environ["OTAGATE_SIGNING_KEY"] == PEM


@pytest.mark.parametrize("kind", ["missing", "folder", "large", "binary", "nul"])
def test_a_secret_file_that_is_none_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    if kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_bytes(b"x" * (face.MAX_KEY_BYTES + 1))
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe")
    with pytest.raises(KeyMaterialError, match="input signing-key"):
        make_call({"OTAGATE_SIGNING_KEY": f"{path}{'/' * (kind == 'nul')}"}, tmp_path)


def test_every_input_belongs_to_a_command_and_every_flag_is_an_input() -> None:
    assert set(face.FLAGS) <= set(INPUTS)
    assert set(face.SECRETS) <= set(INPUTS)
    assert len(INPUTS) == len(set(INPUTS))
    assert all(set(names) <= set(INPUTS) for names in COMMANDS.values())


class Executed(Exception):  # noqa: N818 - stands for the end of the process
    pass


def test_main_becomes_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def execve(program: str, argv: list[str], environ: Mapping[str, str]) -> None:
        seen.update(program=program, argv=argv, environ=environ, folder=Path.cwd())
        raise Executed

    (tmp_path / "app").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", inputs(command="status", working_directory="app", signing_key="c2VjcmV0"))
    monkeypatch.setattr(os, "execve", execve)
    with pytest.raises(Executed):
        face.main()
    assert seen["program"] == sys.executable
    assert seen["argv"][:3] == [sys.executable, "-I", "-c"]
    assert seen["argv"][4:] == [str(Path(face.__file__).parents[2]), "otagate", "status"]
    assert seen["environ"] == {"OTAGATE_SIGNING_KEY": "c2VjcmV0"}
    assert seen["folder"] == tmp_path / "app"


def test_main_masks_keys_on_github(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def execve(*_: object) -> None:
        raise Executed

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(os, "environ", inputs(signing_key=PEM) | {"GITHUB_ACTIONS": "true"})
    with pytest.raises(Executed):
        face.main()
    assert capsys.readouterr().err == "\n::add-mask::MC4CAQAwBQYDK2VwBCIEIABC\n"


def test_main_ends_with_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "environ", inputs(command="rm") | {"GITHUB_ACTIONS": "true"})
    with pytest.raises(SystemExit) as caught:
        face.main()
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: there is no such command for CI jobs: input command\n")
    assert "::error title=otagate::there is no such command" in captured.err


def test_the_module_runs_as_a_process(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name.startswith("COV")} | inputs(command="rm")
    command = launch(sys.executable, Path(face.__file__).parents[2], "otagate.ci.face")
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no such command for CI jobs")
