"""Which CI this is, what it can give, and what is wrong with what it gave."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

import httpx
import pytest

from otagate.errors import AccessError, OtagateError, UnavailableError
from otagate.identity._claims import read_claims
from otagate.identity._outside import Finished
from otagate.identity.ci_token import CiSource, ci_source
from support.identities import NOW, World, answering, jwt

AUDIENCE = "sts.amazonaws.com"
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://actions.example/token?api-version=2",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-secret",
}


def look(environ: Mapping[str, str], world: World | None = None) -> CiSource:
    return ci_source(environ, AUDIENCE, (world or World()).outside())


@pytest.mark.parametrize(
    ("environ", "host", "problem", "remedy"),
    [
        ({}, "this machine", "no CI that gives tokens", "OTAGATE_OIDC_TOKEN"),
        ({"GITHUB_ACTIONS": "false"}, "this machine", "no CI", "OTAGATE_OIDC_TOKEN"),
        ({"GITHUB_ACTIONS": "true"}, "GitHub Actions", "no `permissions: id-token: write`", "permissions: id-token: write"),
        ({**GITHUB, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": ""}, "GitHub Actions", "id-token: write", "id-token: write"),
        ({"GITLAB_CI": "true"}, "GitLab CI", "no `id_tokens:`", "id_tokens: {OTAGATE_OIDC_TOKEN: {aud: sts.amazonaws.com}}"),
        ({"CIRCLECI": "true"}, "CircleCI", "no `circleci` on the PATH", "executor"),
        ({"BUILDKITE": "true"}, "Buildkite", "no `buildkite-agent` on the PATH", "mount"),
        ({"OTAGATE_OIDC_TOKEN": jwt("other")}, "OTAGATE_OIDC_TOKEN", "is for other, and not for sts.amazonaws.com", "aud:"),
        ({"OTAGATE_OIDC_TOKEN": "x"}, "OTAGATE_OIDC_TOKEN", "no JSON web token", "audience sts.amazonaws.com"),
        ({"OTAGATE_OIDC_TOKEN": jwt("other"), "GITLAB_CI": "true"}, "OTAGATE_OIDC_TOKEN", "is for other", "id_tokens"),
    ],
)
def test_what_is_missing(environ: dict[str, str], host: str, problem: str, remedy: str) -> None:
    found = look(environ)

    assert found.host == host
    assert problem in (found.problem or "")
    assert remedy in found.remedy
    with pytest.raises(AccessError):
        found.get()


def test_a_token_handed_over() -> None:
    found = look({"OTAGATE_OIDC_TOKEN": f" {jwt([AUDIENCE, 'more'])}\n", **GITHUB})
    assert found.problem is None
    assert found.get().claims.shown == f"sub repo:acme/app, aud {AUDIENCE}, more, iss https://issuer.example"


def test_one_for_somebody_else_makes_way() -> None:
    assert look({"OTAGATE_OIDC_TOKEN": jwt("other"), **GITHUB}).host == "GitHub Actions"


def test_github() -> None:
    world = World(answering({"GET /token": {"value": jwt()}}))
    found = look(GITHUB, world)
    assert world.asked == []

    token = found.get()

    assert token.text == jwt()
    assert str(world.asked[0].url) == "https://actions.example/token?api-version=2&audience=sts.amazonaws.com"
    assert world.asked[0].headers["Authorization"] == "bearer request-secret"
    assert jwt() not in repr((found, token))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(403, text="no: request-secret is bad"), "HTTP 403: no: \\*\\*\\* is bad"),
        (httpx.Response(200, text="[]"), "no token in it"),
        (httpx.Response(200, json={"value": "x"}), "no JSON web token"),
        (httpx.Response(200, json={"value": jwt("other")}), "for somebody else"),
        (httpx.Response(200, json={"value": jwt(exp=int(NOW.timestamp()))}), "has expired"),
        (httpx.Response(503), "HTTP 503"),
    ],
)
def test_github_gives_none(answer: httpx.Response, said: str) -> None:
    with pytest.raises(OtagateError, match=said) as caught:
        look(GITHUB, World(lambda _: answer)).get()
    assert "request-secret" not in str(caught.value)
    assert caught.value.remedy


def test_gitlab_by_the_audiences_name() -> None:
    assert look({"GITLAB_CI": "true", "STS_AMAZONAWS_COM_ID_TOKEN": jwt()}).get().text == jwt()


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("CIRCLECI", ["circleci", "run", "oidc", "get", "--claims", '{"aud": "sts.amazonaws.com"}']),
        ("BUILDKITE", ["buildkite-agent", "oidc", "request-token", "--audience", "sts.amazonaws.com"]),
    ],
)
def test_programs(mark: str, words: list[str]) -> None:
    ran: list[Sequence[str]] = []

    def run(asked: Sequence[str]) -> Finished:
        ran.append(asked)
        return Finished(0, f"{jwt()}\n", "")

    found = look({mark: "true"}, World(programs={words[0]: run}))

    assert ran == []
    assert found.get().text == jwt()
    assert [list(asked) for asked in ran] == [words]


def hang(words: Sequence[str]) -> Finished:
    raise subprocess.TimeoutExpired(list(words), 30, jwt().encode())


@pytest.mark.parametrize(
    ("program", "kind", "said"),
    [
        (lambda _: Finished(1, jwt(), f"no plan {jwt()}"), AccessError, "failed: no plan \\*\\*\\*"),
        (lambda _: Finished(0, "", ""), AccessError, "no JSON web token"),
        (lambda _: None, AccessError, "gone"),
        (hang, UnavailableError, "did not end within 30s"),
    ],
)
def test_programs_that_fail(program: object, kind: type[OtagateError], said: str) -> None:
    world = World(programs={"circleci": program})  # type: ignore[dict-item]  # a table of lambdas
    with pytest.raises(kind, match=said) as caught:
        look({"CIRCLECI": "true"}, world).get()
    assert jwt() not in repr((caught.value, caught.value.__cause__))


@pytest.mark.parametrize(
    "token", ["", "a.b", "a.b.c.d", "a.!.c", "a.W10.c", "a.e30.c", "a.\u00fc.c", "a.bm90IGpzb24.c"], ids=range(8)
)
def test_no_claims(token: str) -> None:
    assert read_claims(token) is None


@pytest.mark.parametrize(("exp", "expires"), [(True, None), ("1", None), (-1, None), (1e30, None), (NOW.timestamp(), NOW)])
def test_ends(exp: object, expires: object) -> None:
    claims = read_claims(jwt(exp=exp))
    assert claims is not None
    assert claims.expires == expires


def test_odd_claims_are_shown_harmless() -> None:
    claims = read_claims(jwt({"not": "a list"}, sub="x\x1b[2J", iss=5))
    assert claims is not None
    assert claims.shown == "sub x\\x1b[2J, aud nobody, iss (none)"
