from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otagate.ci.comments.place import Place, TransientError, find_place
from otagate.errors import AccessError, UnavailableError
from otagate.model import Context

GITHUB = Context("github", pull_request=7, repository="acme/app")
GITLAB = Context("gitlab", pull_request=7, repository="acme/app")
JENKINS = Context("jenkins", pull_request=7)
GITLAB_VARIABLES = {
    "CI_API_V4_URL": "https://git.example/sub/api/v4",
    "CI_PROJECT_ID": "42",
    "CI_PROJECT_URL": "https://git.example/sub/acme/app",
}
PULL = Place("github", "https://api.github.com", "acme/app", 7, "https://github.com/acme/app/pull/7", is_fork=False)
MERGE = Place(
    "gitlab", "https://git.example/sub", "42", 7, "https://git.example/sub/acme/app/-/merge_requests/7", is_fork=False
)


@pytest.mark.parametrize(
    ("context", "environ", "place"),
    [
        pytest.param(GITHUB, {}, PULL, id="github"),
        pytest.param(
            GITHUB,
            {"GITHUB_API_URL": "https://ghe.example/api/v3/", "GITHUB_SERVER_URL": "https://ghe.example"},
            replace(PULL, api="https://ghe.example/api/v3", page="https://ghe.example/acme/app/pull/7"),
            id="github enterprise",
        ),
        pytest.param(replace(GITHUB, is_fork=True), {}, replace(PULL, is_fork=True), id="github fork"),
        pytest.param(GITLAB, GITLAB_VARIABLES, MERGE, id="gitlab"),
        pytest.param(
            GITLAB,
            {**GITLAB_VARIABLES, "CI_API_V4_URL": "", "CI_SERVER_URL": "https://git.example/sub/"},
            MERGE,
            id="gitlab without the api's address",
        ),
        pytest.param(
            replace(GITLAB, is_fork=True),
            {
                **GITLAB_VARIABLES,
                "CI_MERGE_REQUEST_PROJECT_ID": "1",
                "CI_MERGE_REQUEST_PROJECT_URL": "https://git.example/sub/up/app",
            },
            replace(MERGE, project="1", page="https://git.example/sub/up/app/-/merge_requests/7", is_fork=True),
            id="a fork's goes to the project that it wants to go to",
        ),
        pytest.param(
            GITLAB,
            {"CI_SERVER_URL": "http://git.local", "CI_PROJECT_ID": "42"},
            replace(MERGE, api="http://git.local", page=""),
            id="gitlab without the project's address",
        ),
        pytest.param(JENKINS, {"CHANGE_URL": PULL.page}, PULL, id="jenkins with github"),
        pytest.param(
            JENKINS,
            {"CHANGE_URL": "https://ghe.example/acme/app/pull/7"},
            replace(PULL, api="https://ghe.example/api/v3", page="https://ghe.example/acme/app/pull/7"),
            id="jenkins with github enterprise",
        ),
        pytest.param(
            replace(JENKINS, is_fork=True),
            {"CHANGE_URL": "https://git.example/g/sub/app/-/merge_requests/7"},
            Place("gitlab", "https://git.example", "g/sub/app", 7, "https://git.example/g/sub/app/-/merge_requests/7", is_fork=True),
            id="jenkins with gitlab",
        ),
    ],
)  # fmt: skip
def test_where_the_comment_goes(context: Context, environ: dict[str, str], place: Place) -> None:
    assert find_place(context, environ) == place


@pytest.mark.parametrize(
    ("context", "environ"),
    [
        pytest.param(Context("git", branch="main"), {}, id="a laptop"),
        pytest.param(replace(GITHUB, pull_request=None), {}, id="a push"),
        pytest.param(replace(GITHUB, repository=None), {}, id="no repository"),
        pytest.param(GITHUB, {"GITHUB_API_URL": "file:///etc/passwd"}, id="no web address"),
        pytest.param(replace(GITLAB, pull_request=None), GITLAB_VARIABLES, id="a branch pipeline"),
        pytest.param(GITLAB, {"CI_API_V4_URL": "https://git.example/api/v4"}, id="no project"),
        pytest.param(GITLAB, {"CI_PROJECT_ID": "42"}, id="no server"),
        pytest.param(GITLAB, {**GITLAB_VARIABLES, "CI_EXTERNAL_PULL_REQUEST_IID": "7"}, id="another host's pull request"),
        pytest.param(JENKINS, {}, id="jenkins without the change's address"),
        pytest.param(JENKINS, {"CHANGE_URL": "https://bitbucket.org/acme/app/pull-requests/7"}, id="jenkins elsewhere"),
        pytest.param(JENKINS, {"CHANGE_URL": "http://github.com/acme/app/pull/7"}, id="jenkins in clear"),
        pytest.param(
            JENKINS, {"CHANGE_URL": "https://x@evil.example/acme/app/pull/7"}, id="jenkins with a name in the address"
        ),
        pytest.param(Context("bitbucket", pull_request=7), {}, id="a host without comments"),
    ],
)
def test_where_no_comment_can_go(context: Context, environ: dict[str, str]) -> None:
    assert find_place(context, environ) is None


@pytest.mark.parametrize(("place", "variable"), [(PULL, "GITHUB_TOKEN"), (MERGE, "OTAGATE_GITLAB_TOKEN")])
def test_the_token_is_read_from_its_variable(place: Place, variable: str) -> None:
    assert place.token({variable: " secret\n"}) == "secret"
    with pytest.raises(AccessError, match=f"(?s)no token.*{variable}.*{place.remedy[:10]}"):
        place.token({"CI_JOB_TOKEN": "x", variable: " "})


@pytest.mark.parametrize("token", ["two words", "two\nlines", "sécret", "a\x00b", "x" * 5000])
def test_what_is_no_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(AccessError, match="not a token") as caught:
        PULL.token({"GITHUB_TOKEN": token})
    assert token not in str(caught.value)


def test_a_forks_remedy_says_why() -> None:
    assert "fork" not in PULL.remedy
    assert "read-only" in replace(PULL, is_fork=True).remedy


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (401, AccessError, "pull-requests: write"),
        (403, AccessError, "pull-requests: write"),
        (404, AccessError, "pull-requests: write"),
        (422, AccessError, "locked"),
        (429, UnavailableError, "fewer requests"),
        (500, TransientError, "failed"),
        (599, TransientError, "failed"),
    ],
)
def test_what_a_status_means(status: int, kind: type[Any], message: str) -> None:
    error = PULL.refusal(status)
    assert type(error) is kind
    assert message in str(error)
    assert f"HTTP {status}" in str(error)


def test_a_hostile_name_is_made_harmless() -> None:
    assert replace(PULL, page="", project="acme/\x1b[31mapp").name == "acme/\\x1b[31mapp#7"
