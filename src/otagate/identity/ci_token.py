"""The CI's own OIDC token for an audience: on GitHub Actions, GitLab CI, CircleCI, Buildkite, or handed over by the job.

The token is a secret until it expires. Nothing of it is shown but four claims: ``sub``, ``aud``, ``iss`` and ``exp``.

**Sources:** docs.github.com "OpenID Connect"; docs.gitlab.com "ID tokens"; circleci.com "OpenID Connect tokens in jobs";
buildkite.com "buildkite-agent oidc". Why not through a library: docs/adr/0009-identity.md.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlencode

from otagate.errors import AccessError, UnavailableError
from otagate.identity import _words
from otagate.identity._claims import Claims, read_claims
from otagate.identity._outside import Outside
from otagate.identity._wire import Ask, send

HANDED_OVER = "OTAGATE_OIDC_TOKEN"
"""What a GitLab ``id_tokens:`` entry or a Jenkins credential is called by our templates."""
_PROGRAM_S = 30.0
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_MAX_TOKEN = 16 * 1024
_NOT_IN_A_NAME = re.compile(r"[^A-Z0-9_]|^[^A-Z_]", re.ASCII)


@dataclass(frozen=True, slots=True)
class CiToken:
    """A token and what it says of itself."""

    text: str = field(repr=False)
    claims: Claims


@dataclass(frozen=True, slots=True)
class CiSource:
    """Where a token for one audience comes from.

    Attributes:
        host: The CI, for people.
        problem: Why it cannot give one, as a phrase; None when it can.
        remedy: What to do on this CI so that it can.
        get: Gives a new token. Raises AccessError and UnavailableError.
    """

    host: str
    problem: str | None
    remedy: str
    get: Callable[[], CiToken] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Job:
    environ: Mapping[str, str] = field(repr=False)
    audience: str
    outside: Outside


def ci_source(environ: Mapping[str, str], audience: str, outside: Outside) -> CiSource:
    """Find out which CI this is and whether it can give a token for ``audience``; asks nobody.

    A token that the job hands over in ``OTAGATE_OIDC_TOKEN`` comes first, when it is for this audience.
    """
    job = _Job(environ, audience, outside)
    handed = _handed_over(job)
    if handed is not None and handed.problem is None:
        return handed
    own = next((make(job) for mark, make in _HOSTS.items() if _is_set(environ, mark)), None)
    if own is not None and (own.problem is None or handed is None):
        return own
    return handed or _nowhere()


def _is_set(environ: Mapping[str, str], mark: str) -> bool:
    return environ.get(mark, "").strip().lower() not in {"", "false", "0"}


def _nowhere() -> CiSource:
    problem = "no CI that gives tokens is seen"
    remedy = f"run it on a CI that gives OIDC tokens, or put the job's token into {HANDED_OVER}"
    return CiSource("this machine", problem, remedy, lambda: _refuse(problem, remedy))


def _refuse(found: str, remedy: str, host: str = "this machine") -> CiToken:
    raise AccessError("the CI gives no OIDC token", host, found=found, remedy=remedy)


def _handed_over(job: _Job) -> CiSource | None:
    text = _words.value(job.environ, HANDED_OVER)
    if text is None:
        return None
    remedy = f"give the token in {HANDED_OVER} the audience {job.audience} (`aud:` of `id_tokens:` on GitLab)"
    claims = read_claims(text)
    problem = None
    if claims is None:
        problem = f"{HANDED_OVER} holds no JSON web token"
    elif not claims.is_for(job.audience):
        problem = f"the token in {HANDED_OVER} is for {claims.shown_audience}, and not for {job.audience}"
    return CiSource(HANDED_OVER, problem, remedy, lambda: _checked(text, job, HANDED_OVER, remedy))


def _github(job: _Job) -> CiSource:
    host, environ = "GitHub Actions", job.environ
    remedy = "give the job `permissions: id-token: write` (pull requests from forks never get it)"
    url, token = _words.value(environ, "ACTIONS_ID_TOKEN_REQUEST_URL"), _words.value(environ, "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    if url is None or token is None:
        problem = "the job has no `permissions: id-token: write`"
        return CiSource(host, problem, remedy, lambda: _refuse(problem, remedy, host))

    def get() -> CiToken:
        good = _words.address("ACTIONS_ID_TOKEN_REQUEST_URL", url)
        asked = f"{good}{'&' if '?' in good else '?'}{urlencode({'audience': job.audience})}"
        ask = Ask("get an OIDC token from GitHub Actions", "GET", asked, {"Authorization": f"bearer {token}"})
        answer = send(ask, job.outside)
        found = _words.text_of(_words.table(answer.body), "value")
        if not answer.is_fine or found is None:
            told = _words.said(answer.body.decode("utf-8", "replace"), [token]) if not answer.is_fine else "no token in it"
            return _refuse(f"HTTP {answer.status}: {told}", remedy, host)
        return _checked(found, job, host, remedy)

    return CiSource(host, None, remedy, get)


def _gitlab(job: _Job) -> CiSource:
    host, name = "GitLab CI", f"{_NOT_IN_A_NAME.sub('_', job.audience.upper())}_ID_TOKEN"
    remedy = f"give the job `id_tokens: {{{HANDED_OVER}: {{aud: {job.audience}}}}}`"
    text = _words.value(job.environ, name)
    if text is None:
        problem = f"the job has no `id_tokens:` entry for {job.audience}"
        return CiSource(host, problem, remedy, lambda: _refuse(problem, remedy, host))
    return CiSource(host, None, remedy, lambda: _checked(text, job, host, remedy))


def _circleci(job: _Job) -> CiSource:
    # Without --root-issuer: the organisation's own issuer is what the guides for the clouds trust, and it serves nobody else.
    words = ("circleci", "run", "oidc", "get", "--claims", json.dumps({"aud": job.audience}))
    remedy = "use an executor with the `circleci` command, and a context or project that may use OIDC"
    return _by_program("CircleCI", words, remedy, job)


def _buildkite(job: _Job) -> CiSource:
    words = ("buildkite-agent", "oidc", "request-token", "--audience", job.audience)
    remedy = "run it where `buildkite-agent` of the job is on the PATH (in a container: mount it, and pass its variables on)"
    return _by_program("Buildkite", words, remedy, job)


def _by_program(host: str, words: Sequence[str], remedy: str, job: _Job) -> CiSource:
    if job.outside.find(words[0], job.environ) is None:
        problem = f"there is no `{words[0]}` on the PATH"
        return CiSource(host, problem, remedy, lambda: _refuse(problem, remedy, host))

    def get() -> CiToken:
        try:
            done = job.outside.run(words, job.environ, _PROGRAM_S)
        except subprocess.TimeoutExpired:  # its text holds the output, and so perhaps a token
            what, found = f"cannot get an OIDC token from {host}", f"`{words[0]}` did not end within {_PROGRAM_S:g}s"
            raise UnavailableError(what, words[0], found=found, remedy="run the command again") from None
        if done is None or done.status != 0:
            told = _words.said(done.errors) if done is not None else "it is gone"
            return _refuse(f"`{words[0]}` failed: {told}", remedy, host)
        return _checked(done.output.strip(), job, host, remedy)

    return CiSource(host, None, remedy, get)


_HOSTS: dict[str, Callable[[_Job], CiSource]] = {
    "GITHUB_ACTIONS": _github,
    "GITLAB_CI": _gitlab,
    "CIRCLECI": _circleci,
    "BUILDKITE": _buildkite,
}


def _checked(text: str, job: _Job, host: str, remedy: str) -> CiToken:
    """Look at what a token says of itself: the cloud verifies it, but its refusals are harder to read than ours."""
    claims = read_claims(text) if len(text) <= _MAX_TOKEN and _TOKEN.fullmatch(text) else None
    if claims is None:
        return _refuse("what came is no JSON web token", remedy, host)
    if not claims.is_for(job.audience):
        raise AccessError("the CI's OIDC token is for somebody else", host, job.audience, claims.shown_audience, remedy)
    now: datetime = job.outside.now()
    if claims.expires is not None and claims.expires <= now:
        found = f"it expired at {claims.expires:%Y-%m-%d %H:%M:%S} UTC, and it is {now:%H:%M:%S}"
        late = "run otagate earlier in the job, or in a job of its own; a token is given once per job, and compare the clocks"
        raise AccessError("the CI's OIDC token has expired", host, "a token that still holds", found, late)
    return CiToken(text, claims)
