"""The Jenkins step under the Groovy that Jenkins ships: real shell, real otagate, stand-ins for the pipeline's own steps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.ci_app import ROOT, CiApp, copy_source, environments, make_app, pip_settings, python_path
from support.ci_identity import AUDIENCE, bucket_for_identities

pytestmark = pytest.mark.integration

Step = Callable[..., dict[str, Any]]


def java_home() -> str:
    """Find the JDK's folder: Debian's groovy does not look for it itself."""
    java = shutil.which("java")
    if java is None:
        pytest.fail("java is missing: run scripts/system-packages")
    return os.environ.get("JAVA_HOME") or str(Path(java).resolve().parents[1])


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_source(tmp_path_factory.mktemp("jenkins") / "otagate source")


@pytest.fixture(scope="session")
def workspace_temp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace tmp")
    (folder / "otagate").symlink_to(environments(tmp_path_factory))
    return folder


@pytest.fixture
def step(tmp_path: Path, source: Path, workspace_temp: Path, tmp_path_factory: pytest.TempPathFactory) -> Step:
    groovy = shutil.which("groovy")
    if groovy is None:
        pytest.fail("groovy is missing: run scripts/system-packages")

    def call(app: CiApp, call: dict[str, Any], *, unix: bool = True, more: Mapping[str, str] | None = None) -> dict[str, Any]:
        environ = {
            "PATH": python_path(), "HOME": str(app.temp), "JENKINS_URL": "https://ci.example/", "BUILD_NUMBER": "3", "BRANCH_NAME": "main",
            "WORKSPACE": str(app.folder), "WORKSPACE_TMP": str(workspace_temp), "OTAGATE_SOURCE": str(source), **pip_settings(tmp_path_factory), **(more or {}),
        }  # fmt: skip
        (app.temp / "key.pem").write_text(app.key)
        credentials = {"text": {"text": app.key}, "pem": {"file": str(app.temp / "key.pem")}}
        request = {"call": call, "env": environ, "credentials": credentials, "folder": str(app.folder), "unix": unix}
        (app.temp / "request.json").write_text(json.dumps(request))
        command = [
            groovy,
            str(ROOT / "tests/groovy/harness.groovy"),
            str(source / "Jenkinsfile.groovy"),
            str(app.temp / "request.json"),
        ]
        done = subprocess.run(
            command, env={"PATH": os.environ["PATH"], "HOME": str(app.temp), "JAVA_HOME": java_home(), "LC_ALL": "C.UTF-8"}, capture_output=True, text=True, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return call


@pytest.mark.parametrize("credential", ["text", "file:pem"])
def test_a_build_is_shipped_and_the_map_tells_it(tmp_path: Path, step: Step, credential: str) -> None:
    app = make_app(tmp_path)
    answer = step(app, {"command": "run", "wait": True, "signing-key": credential})
    assert "error" not in answer, answer["console"]
    result = answer["result"]
    assert {name: result[name] for name in ("version", "channel", "state", "weight")} == {
        "version": "1.0.0", "channel": "stable", "state": "completed", "weight": "100%",
    }  # fmt: skip
    assert json.loads(result["result"])["schema"] == "otagate/run/v1"
    assert answer["steps"][-4:] == ["withCredentials", "sh", "readFile", "sh"]
    assert not any(line in answer["console"] for line in app.key.splitlines()[1:-1])
    assert not list(app.folder.glob("otagate.*properties"))


def test_a_build_reaches_the_bucket_by_its_own_identity(tmp_path: Path, step: Step) -> None:
    with bucket_for_identities() as bucket:
        app = make_app(tmp_path, files={"otagate.yml": bucket.policy})
        # As a withCredentials around the step gives it.
        more = {"OTAGATE_OIDC_TOKEN": bucket.issuer.token(AUDIENCE), **bucket.environ}
        answer = step(app, {"command": "status"}, more=more)
    assert "error" not in answer, answer["console"]
    assert json.loads(answer["result"]["result"])["schema"] == "otagate/status/v1"
    assert any("/shop/apps/com.example.ci/" in path for path in bucket.asked)
    assert bucket.strangers == []
    assert not [word for word in (*bucket.issuer.tokens, *bucket.clouds.secrets) if word in answer["console"]]


def test_a_dry_run_touches_nothing(tmp_path: Path, step: Step) -> None:
    app = make_app(tmp_path)
    answer = step(app, {"dry-run": True, "signing-key": "text"})
    assert json.loads(answer["result"]["result"])["schema"] == "otagate/plan/v1"
    assert app.stored() == {}


def test_a_failure_ends_the_build_with_the_code(tmp_path: Path, step: Step) -> None:
    app = make_app(tmp_path)
    (app.folder / "otagate.yml").write_text("version: 1\nap: {}\n")
    answer = step(app, {})
    assert answer["error"].startswith("otagate ended with exit code 2")
    assert "otagate.yml:2" in answer["console"]
    assert "Traceback" not in answer["console"]


@pytest.mark.parametrize("value", ['$(touch pwned)`touch pwned`"; touch pwned; "', "'; touch pwned; '"])
def test_hostile_values_are_only_values(tmp_path: Path, step: Step, value: str) -> None:
    app = make_app(tmp_path)
    answer = step(app, {"command": "pause", "reason": value, "channel": "stable", "dry-run": True})
    assert answer["error"].startswith("otagate ended with exit code")  # there is no rollout to pause
    assert not list(tmp_path.rglob("pwned"))


def test_an_unknown_key_ends_the_build_before_anything_runs(tmp_path: Path, step: Step) -> None:
    answer = step(make_app(tmp_path), {"comand": "run"})
    assert "there is no key comand" in answer["error"]
    assert "signing-key" in answer["error"]
    assert answer["steps"] == ["error"]


def test_an_agent_without_a_unix_shell_is_refused(tmp_path: Path, step: Step) -> None:
    answer = step(make_app(tmp_path), {}, unix=False)
    assert "Unix shell" in answer["error"]
    assert "sh" not in answer["steps"]
