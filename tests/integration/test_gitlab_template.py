"""The GitLab template under gitlab-ci-local: its job really runs, from a clone of otagate's repository."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from support import js
from support.ci_app import ROOT, CiApp, copy_source, git, make_app, pip_settings, python_path
from support.ci_identity import AUDIENCE, bucket_for_identities

pytestmark = pytest.mark.integration

PIPELINE = """\
include:
  - local: gitlab-ci-template.yml
ship:
  extends: JOB
  variables: {VARIABLES}
after:
  needs: [{job: ship, artifacts: true}]
  script:
    - echo "release <$OTAGATE_VERSION> is <$OTAGATE_STATE> on <$OTAGATE_CHANNEL>"
"""

Pipeline = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of otagate with a tag, to be cloned from."""
    folder = copy_source(tmp_path_factory.mktemp("gitlab") / "otagate")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "release")
    git(folder, "tag", "v0.1.0")
    return folder


@pytest.fixture
def pipeline(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    tool = js.npm_ci(ROOT / "tests" / "ci-js", "--ignore-scripts") / "gitlab-ci-local" / "dist" / "index.js"
    if shutil.which("rsync") is None:
        pytest.fail("rsync is missing: run scripts/system-packages")

    def call(
        app: CiApp, variables: Mapping[str, str], *options: str, job: str = ".otagate"
    ) -> subprocess.CompletedProcess[str]:
        given = {"OTAGATE_REPOSITORY": str(repository), "OTAGATE_REF": "v0.1.0", **variables}
        (app.folder / ".gitlab-ci.yml").write_text(PIPELINE.replace("JOB", job).replace("VARIABLES", json.dumps(given)[1:-1]))
        shutil.copy(ROOT / "gitlab-ci-template.yml", app.folder)
        git(app.folder, "add", ".gitlab-ci.yml", "gitlab-ci-template.yml")
        git(app.folder, "commit", "-qm", "ci")
        git(app.folder, "remote", "add", "origin", "https://gitlab.example/acme/app.git")
        git(app.folder, "update-ref", "refs/remotes/origin/main", "HEAD")
        git(app.folder, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
        (app.temp / "key.pem").write_text(app.key)
        command = [
            str(js.tool("node")), str(tool), "--force-shell-executor", "--shell-isolation", "--no-color",
            "--variable", "GITLAB_CI=true",  # gitlab-ci-local says false
            "--variable", f"OTAGATE_SIGNING_KEY={app.temp / 'key.pem'}", *options,
        ]  # fmt: skip
        environ = {"PATH": python_path(), "HOME": str(app.temp), "TMPDIR": str(app.temp), **pip_settings(tmp_path_factory)}
        return subprocess.run(command, cwd=app.folder, env=environ, capture_output=True, text=True, timeout=280, check=False)

    return call


def test_a_push_is_shipped_and_later_jobs_know_it(tmp_path: Path, pipeline: Pipeline) -> None:
    app = make_app(tmp_path)
    done = pipeline(app, {"OTAGATE_INPUT_WAIT": "true"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "release <1.0.0> is <completed> on <stable>" in done.stdout
    assert any(name.startswith("apps/com.example.ci/channels/stable") for name in app.stored())
    assert not any(line in done.stdout + done.stderr for line in app.key.splitlines()[1:-1])
    assert list(app.temp.glob("tmp.*")) == []  # the private folder goes with the job


@pytest.mark.parametrize(
    ("variables", "options", "message"),
    [
        pytest.param({"OTAGATE_REF": ""}, (), "where is otagate?", id="no source"),
        pytest.param({"OTAGATE_REF": "v9.9.9"}, (), "v9.9.9", id="no such tag"),
        pytest.param({}, ("--variable", "CI_DEBUG_TRACE=true"), "prints every variable", id="debug trace"),
        pytest.param(
            {"OTAGATE_INPUT_COMMAND": '"; touch pwned; "$(touch pwned)`touch pwned`'}, (), "no such command", id="hostile input"
        ),
        pytest.param({"OTAGATE_REF": "--upload-pack=touch pwned"}, (), "", id="hostile ref"),
    ],
)
def test_a_failure_is_one_message_and_touches_nothing(
    tmp_path: Path, pipeline: Pipeline, variables: dict[str, str], options: tuple[str, ...], message: str
) -> None:
    app = make_app(tmp_path)
    done = pipeline(app, variables, *options)
    text = done.stdout + done.stderr
    assert done.returncode == 1, text
    assert message in text
    assert "Traceback" not in text
    assert app.stored() == {}
    assert not list(tmp_path.rglob("pwned"))


def test_a_job_reaches_the_bucket_by_its_own_identity(tmp_path: Path, pipeline: Pipeline) -> None:
    with bucket_for_identities() as bucket:
        app = make_app(tmp_path, files={"otagate.yml": bucket.policy})
        given = {"OTAGATE_INPUT_COMMAND": "status", **bucket.environ}
        # gitlab-ci-local takes `id_tokens:` and issues none: a token that GitLab signs for the job is given in its place.
        token = bucket.issuer.token(AUDIENCE)
        done = pipeline(app, given, "--variable", f"OTAGATE_OIDC_TOKEN={token}", job=".otagate-oidc")
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "com.example.ci in s3://acme-updates/shop" in text
    assert any("/shop/apps/com.example.ci/" in path for path in bucket.asked)
    assert bucket.strangers == []
    assert not [word for word in (*bucket.issuer.tokens, *bucket.clouds.secrets) if word in text]


def test_a_merge_request_does_not_ship(tmp_path: Path, pipeline: Pipeline) -> None:
    options = ("--variable", "CI_PIPELINE_SOURCE=merge_request_event", "--list-json")
    done = pipeline(make_app(tmp_path), {}, *options)
    jobs = {job["name"]: job for job in json.loads(done.stdout[done.stdout.index("[\n") :])}
    assert jobs["ship"]["when"] == "never"
