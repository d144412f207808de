"""The action under act: the composite step really runs, in host mode, with a private environment from the lock file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.ci_app import CiApp, copy_source, environments, git, make_app, pip_settings, python_path
from support.ci_identity import bucket_for_identities
from support.comment_hosts import TOKEN, FakeGithub
from support.metric_server import send, serving

pytestmark = pytest.mark.integration

WORKFLOW = """\
name: ship
on: [push, pull_request]
jobs:
  ship:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v7
      - id: ship
        uses: acme/otagate@v1
        with:
          signing-key: ${{ secrets.SIGNING_KEY }}
%s
      - if: always()
        env:
          VERSION: ${{ steps.ship.outputs.version }}
        run: echo "afterwards version=$VERSION"
"""
HOSTILE_BRANCH = "x$(touch${IFS}pwned)`id`;'\"|&%0A##error"  # git allows neither ":" nor "["


@dataclass(frozen=True, slots=True)
class Run:
    code: int
    lines: list[dict[str, Any]]
    text: str

    def outputs(self) -> dict[str, str]:
        return {line["name"]: line["arg"] for line in self.lines if line.get("command") == "set-output"}

    def commands(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("command") == name]


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_source(tmp_path_factory.mktemp("action") / "otagate")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environments(tmp_path_factory)


Act = Callable[..., Run]


@pytest.fixture
def act(source: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Act:
    runner = tmp_path_factory.mktemp("runner")

    def call(
        app: CiApp, inputs: Sequence[str] = (), *, event: dict[str, Any] | None = None, environ: Sequence[str] = ()
    ) -> Run:
        workflow = app.folder / ".github" / "workflows" / "ship.yml"
        workflow.parent.mkdir(parents=True)
        workflow.write_text(WORKFLOW % "\n".join(f"          {line}" for line in inputs))
        (app.temp / "event.json").write_text(json.dumps(event or {}))
        command = [
            str(Path(sys.executable).parent / "act"), "pull_request" if event else "push", "-W", str(workflow), "-P", "ubuntu-latest=-self-hosted",
            "--local-repository", f"acme/otagate@v1={source}", "--no-cache-server", "--json", "--eventpath", str(app.temp / "event.json"),
            "--action-cache-path", str(runner), "--secret-file", str(secret_file(app)),
            *(f"--env={value}" for value in (f"OTAGATE_HOME={home}", *environ)),
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=app.folder, env={"PATH": python_path(), "HOME": str(app.temp), **pip_settings(tmp_path_factory)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280, check=False,
        )  # fmt: skip
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return Run(done.returncode, lines, done.stdout)

    return call


def secret_file(app: CiApp) -> Path:
    path = app.temp / "secrets"
    path.write_text("SIGNING_KEY=" + json.dumps(app.key) + "\n")
    return path


def test_a_push_is_shipped_and_the_outputs_tell_it(tmp_path: Path, act: Act) -> None:
    app = make_app(tmp_path)
    run = act(app, ["wait: true"])
    assert run.code == 0, run.text
    outputs = run.outputs()
    assert outputs["version"] == "1.0.0"
    assert (outputs["channel"], outputs["state"], outputs["weight"]) == ("stable", "completed", "100%")
    assert json.loads(outputs["result"])["schema"] == "otagate/run/v1"
    assert "afterwards version=1.0.0" in run.text
    assert any(name.startswith("apps/com.example.ci/channels/stable") for name in app.stored())
    [summary] = {line["content"] for line in run.commands("summary")}  # act tells it once more for the calling step
    assert "rollout of 1.0.0" in summary
    # act shows a mask command's argument to whoever asks for JSON; nothing else may hold a line of the key.
    parts = app.key.splitlines()[1:-1]
    shown = [
        line for line in run.lines if line.get("command") != "add-mask" and any(part in line.get("msg", "") for part in parts)
    ]
    assert [line["msg"] for line in shown] == []
    assert [line["arg"] for line in run.commands("add-mask")] == app.key.splitlines()[1:-1]


def test_a_dry_run_shows_the_plan_and_touches_nothing(tmp_path: Path, act: Act) -> None:
    app = make_app(tmp_path)
    run = act(app, ["dry-run: true"])
    assert run.code == 0, run.text
    assert json.loads(run.outputs()["result"])["schema"] == "otagate/plan/v1"
    assert app.stored() == {}


def test_without_a_folder_of_ours_the_runners_own_is_used(tmp_path: Path, act: Act) -> None:
    app = make_app(tmp_path)
    run = act(app, ["command: status"], environ=["OTAGATE_HOME="])
    assert run.code == 0, run.text
    assert json.loads(run.outputs()["result"])["schema"] == "otagate/status/v1"


def test_a_broken_policy_fails_the_step_at_its_line(tmp_path: Path, act: Act) -> None:
    app = make_app(tmp_path)
    (app.folder / "otagate.yml").write_text("version: 1\nap: {id: com.example.ci}\n")
    run = act(app)
    assert run.code == 1
    errors = run.commands("error")
    error = next(error for error in errors if error["kvPairs"]["line"] == "2")
    assert error["kvPairs"]["file"].endswith("otagate.yml")
    assert "Traceback" not in run.text
    assert "afterwards version=\\n" in run.text or 'afterwards version="' in run.text
    assert app.stored() == {}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["command: $(id)"], "no such command for CI jobs"),
        (["dry-run: perhaps"], "neither true nor false"),
        (["command: promote", "channel: stable", 'release: "1.0.0; touch pwned"'], "not a version"),
        (["working-directory: no/such/folder"], "working directory cannot be entered"),
    ],
)
def test_wrong_inputs_fail_the_step_with_one_message(tmp_path: Path, act: Act, inputs: list[str], message: str) -> None:
    app = make_app(tmp_path)
    run = act(app, inputs)
    assert run.code == 1
    assert message in run.text
    assert "Traceback" not in run.text
    assert app.stored() == {}


def test_a_hostile_branch_name_is_only_a_name(tmp_path: Path, act: Act) -> None:
    app = make_app(tmp_path, branch=HOSTILE_BRANCH)
    run = act(app, ["wait: true"])
    assert run.code == 0, run.text
    result = json.loads(run.outputs()["result"])
    assert result["schema"] == "otagate/plan/v1"
    assert HOSTILE_BRANCH in json.dumps(result, ensure_ascii=False).replace('\\"', '"')
    assert run.commands("error") == []
    assert app.stored() == {}
    assert not list(tmp_path.rglob("pwned"))


def test_a_job_reaches_the_bucket_by_its_own_identity(tmp_path: Path, act: Act) -> None:
    with bucket_for_identities() as bucket:
        app = make_app(tmp_path, files={"otagate.yml": bucket.policy})
        given = {
            **bucket.environ,
            **{name: text for name, text in bucket.issuer.github().items() if name.startswith("ACTIONS_")},
        }
        run = act(app, ["command: status"], environ=[f"{name}={text}" for name, text in given.items()])
    assert run.code == 0, run.text
    assert json.loads(run.outputs()["result"])["schema"] == "otagate/status/v1"
    assert bucket.issuer.requests[0] == "/github"
    assert any("/shop/apps/com.example.ci/" in path for path in bucket.asked)
    assert bucket.strangers == []
    assert not [word for word in (*bucket.issuer.tokens, *bucket.clouds.secrets) if word in run.text]


def pull_event(repository: str | None) -> dict[str, Any]:
    return {
        "number": 7,
        "pull_request": {
            "number": 7,
            "head": {"ref": HOSTILE_BRANCH, "sha": "b" * 40, "repo": {"full_name": repository} if repository else None},
            "base": {"ref": "main"},
        },
    }


def test_a_plan_is_a_comment_on_the_pull_request(tmp_path: Path, act: Act) -> None:
    host = FakeGithub()

    def respond(request: BaseHTTPRequestHandler, body: bytes) -> None:
        path = urlsplit(request.path).path
        host.asked.append(f"{request.command} {path}")
        host.tokens.append(("", str(request.headers["Authorization"])))
        status, headers, text = host.answer(request.command, path, {}, json.loads(body) if body else {})
        send(request, text.encode(), status=status, **headers)

    event, inputs = pull_event("acme/app"), ["command: plan", "comment: true", f"github-token: {TOKEN}"]
    with serving(respond) as url:
        app = make_app(tmp_path)
        git(app.folder, "remote", "add", "origin", "https://github.com/acme/app.git")
        run = act(app, inputs, event=event, environ=[f"GITHUB_API_URL={url}"])
    assert run.code == 0, run.text
    assert host.asked == ["GET /repos/acme/app/issues/7/comments", "POST /repos/acme/app/issues/7/comments"]
    [comment] = host.comments
    assert comment.body.startswith("<!-- otagate:plan:com.example.ci -->\n### after a merge into main: ship 1.0.0 along")
    assert {token for _, token in host.tokens} == {f"token {TOKEN}"}
    assert [line["arg"] for line in run.commands("add-mask")][-1] == TOKEN
    assert app.stored() == {}


def test_a_forks_pull_request_may_plan_and_may_not_ship(tmp_path: Path, act: Act) -> None:
    app = make_app(tmp_path / "plan")
    git(app.folder, "remote", "add", "origin", "https://github.com/acme/app.git")
    planned = act(app, ["command: plan"], event=pull_event("eve/app"))
    assert planned.code == 0, planned.text
    assert "pulls/7" in planned.outputs()["result"]

    other = make_app(tmp_path / "run")
    git(other.folder, "remote", "add", "origin", "https://github.com/acme/app.git")
    shipped = act(other, event=pull_event(None))
    assert shipped.code == 1
    assert "fork" in shipped.text
    assert other.stored() == {}
