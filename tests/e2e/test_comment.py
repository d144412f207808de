"""``otagate plan --comment`` as CI jobs call it, against a GitHub and a GitLab at the wire."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import responses

from support.comment_hosts import TOKEN, FakeGithub, FakeGitlab, FakeHost
from support.project import POLICY, Project, Said

pytestmark = pytest.mark.e2e

MARKER = "<!-- otagate:plan:com.example.app -->"
PULLS = POLICY.replace("  develop:", '  "pulls/*": {{channel: preview}}\n  develop:')


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    made = Project(tmp_path / "app")
    made.policy(PULLS)
    made.commit("pull requests have a channel")
    return made


@pytest.fixture(params=[FakeGithub, FakeGitlab], ids=["github", "gitlab"])
def host(request: pytest.FixtureRequest) -> Iterator[FakeHost]:
    fake: FakeHost = request.param()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        fake.install(mock)
        yield fake


def job(host: FakeHost, folder: Path, *, fork: bool = False, target: str = "main") -> dict[str, str]:
    """Give the variables of a pull request's job."""
    if isinstance(host, FakeGitlab):
        return {
            "GITLAB_CI": "true",
            "CI_API_V4_URL": host.api,
            "CI_PROJECT_ID": "42",
            "CI_PROJECT_URL": "https://gitlab.example/sub/acme/app",
            "CI_MERGE_REQUEST_IID": "7",
            "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "43" if fork else "42",
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": target,
            "CI_PIPELINE_SOURCE": "merge_request_event",
            "OTAGATE_GITLAB_TOKEN": TOKEN,
        }
    head = {"ref": "fix", "sha": "b" * 40, "repo": {"full_name": "eve/app" if fork else "acme/app"}}
    event = folder.parent / "event.json"
    event.write_text(json.dumps({"number": 7, "pull_request": {"number": 7, "head": head, "base": {"ref": target}}}))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "acme/app",
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_TOKEN": TOKEN,
    }


def plan(project: Project, environ: dict[str, str], *more: str) -> Said:
    said = project("plan", "--comment", *more, environ=environ)
    assert TOKEN not in said.out + said.err
    assert "Traceback" not in said.err
    return said


def test_each_push_changes_the_one_comment(project: Project, host: FakeHost) -> None:
    environ = job(host, project.folder)
    first = plan(project, environ)
    assert first.code == 0, first.err
    [stored] = host.comments
    assert stored.body.startswith(f"{MARKER}\n### after a merge into main: ship 1.0.0 along track production\n")
    assert "### this pull request itself: ship 1.0.0 along track channel-preview\n" in stored.body
    assert f"the plan is a comment: {host.place.page}#" in first.err

    again = plan(project, environ)
    assert again.err == first.err
    assert len(host.writes) == 1

    project.next_release("1.1.0")
    assert plan(project, environ).code == 0
    assert [comment.id for comment in host.comments] == [stored.id]
    assert "ship 1.1.0 along track production" in stored.body
    assert "1.0.0" not in stored.body


def test_a_pull_request_that_ships_nothing_itself_shows_the_merge_alone(project: Project, host: FakeHost) -> None:
    project.policy(POLICY)
    environ = job(host, project.folder)
    said = plan(project, environ)
    assert "nothing to do" in said.out
    [stored] = host.comments
    assert "after a merge into main: ship 1.0.0 along track production" in stored.body
    assert "nothing to do" not in stored.body
    assert "itself" not in stored.body


def test_a_merge_that_ships_nothing_says_so(project: Project, host: FakeHost) -> None:
    environ = job(host, project.folder, target="docs")
    plan(project, environ)
    assert "### after a merge into docs: nothing to do" in host.comments[0].body


def test_a_merge_that_would_fail_says_why(project: Project, host: FakeHost) -> None:
    project.policy(POLICY.replace("versioning: package", "versioning: tag"))
    said = plan(project, job(host, project.folder))
    assert said.code == 0, said.err
    assert "### after a merge into main: a failure\n\n❌ " in host.comments[0].body


def test_a_forks_merge_is_ours(project: Project, host: FakeHost) -> None:
    said = plan(project, job(host, project.folder, fork=True))
    merge, _, itself = host.comments[0].body.partition("itself")
    assert "refused" not in merge
    assert "refused: a pull request from a fork" in itself
    assert said.code == 0


def test_without_a_target_branch_the_plan_of_the_request_is_shown(project: Project) -> None:
    environ = {"JENKINS_URL": "https://ci.example", "CHANGE_ID": "7", "CHANGE_URL": "https://github.com/acme/app/pull/7"}
    host = FakeGithub()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        host.install(mock)
        assert plan(project, environ | {"GITHUB_TOKEN": TOKEN}).code == 0
    assert host.comments[0].body.startswith(f"{MARKER}\n### plan: ship 1.0.0 along track channel-preview\n")


def test_the_plan_itself_is_the_same_with_and_without(project: Project, host: FakeHost) -> None:
    environ = job(host, project.folder)
    with_comment = plan(project, environ, "--format", "json")
    without = project("plan", "--format", "json", environ=environ)
    assert with_comment.json == without.json
    assert not project.store.exists()


@pytest.mark.parametrize("fault", [401, 403, 404, 422, 429, 500, 503, TimeoutError("slow")])
def test_a_host_that_refuses_is_a_warning(project: Project, host: FakeHost, fault: int | Exception) -> None:
    host.faults = [fault] * 9 if isinstance(fault, int) else [(200, {}, "<html>")]
    said = plan(project, job(host, project.folder))
    assert said.code == 0
    assert "warning: no comment: " in said.err
    assert "ship 1.0.0" in said.out
    if fault in {401, 403, 404}:
        assert ("`pull-requests: write`" if isinstance(host, FakeGithub) else "scope `api`") in said.err


def test_a_fork_is_told_why(project: Project, host: FakeHost) -> None:
    host.faults = [None, 403]
    said = plan(project, job(host, project.folder, fork=True))
    assert said.code == 0
    assert "read-only token" in said.err
    assert host.comments == []


def test_without_a_token_there_is_a_warning(project: Project, host: FakeHost) -> None:
    environ = {name: value for name, value in job(host, project.folder).items() if value != TOKEN}
    said = plan(project, environ)
    assert said.code == 0
    variable = "GITHUB_TOKEN" if isinstance(host, FakeGithub) else "OTAGATE_GITLAB_TOKEN"
    assert f"warning: no comment: there is no token to write the comment with: {variable}" in said.err
    assert host.asked == []


def test_without_a_pull_request_there_is_a_note(project: Project) -> None:
    said = plan(project, {"GITHUB_TOKEN": TOKEN})
    assert said.code == 0
    assert said.err == "no comment: this is not a job of a pull request on GitHub or of a merge request on GitLab\n"


def test_a_missing_library_is_told_before_anything_is_planned(
    project: Project, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    name = host.place.host
    monkeypatch.delitem(sys.modules, f"otagate.ci.comments.{name}", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    said = plan(project, job(host, project.folder))
    assert (said.code, said.out) == (2, "")
    assert f"pip install 'otagate[{name}]'" in said.err


def test_hostile_names_notify_nobody_and_command_nothing(project: Project, host: FakeHost) -> None:
    plan(project, job(host, project.folder, target="@acme/all\n/merge #1"))
    heading = host.comments[0].body.splitlines()[1]
    assert heading.startswith(r"### after a merge into \@<!-- -->acme/all")
    assert "\n/merge" not in host.comments[0].body
    assert "#1" not in host.comments[0].body
