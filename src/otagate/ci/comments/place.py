"""Which pull request this job belongs to, at which host, and what writing a comment there needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from otagate._text import harmless
from otagate.ci import _env
from otagate.errors import AccessError, OtagateError, UnavailableError
from otagate.model import Context

TOKENS = {"github": "GITHUB_TOKEN", "gitlab": "OTAGATE_GITLAB_TOKEN"}
"""The variable that holds the token, per host. GitLab's own ``CI_JOB_TOKEN`` may not write comments."""

_PERMISSIONS = {
    "github": "give GITHUB_TOKEN the permission `pull-requests: write`",
    "gitlab": "set OTAGATE_GITLAB_TOKEN to a project access token with the scope `api` and at least the role Reporter",
}
_FORK = "; a pull request from a fork gets a read-only token or none, so its plan is in the job's log only"
_GITHUB_PAGE = re.compile(r"https://(?P<host>[^/@\s]+)/(?P<project>[^/\s]+/[^/\s]+)/pull/(?P<number>[0-9]+)")
_GITLAB_PAGE = re.compile(r"(?P<server>https://[^/@\s]+)/(?P<project>\S+?)/-/merge_requests/(?P<number>[0-9]+)")
_TOKEN = re.compile(r"[!-~]{1,4096}", re.ASCII)


class TransientError(UnavailableError):
    """The host did not answer now, and may a moment later."""


@dataclass(frozen=True, slots=True)
class Place:
    """A pull or merge request.

    Attributes:
        host: ``github`` or ``gitlab``; a key of :data:`TOKENS`.
        api: Base URL: of GitHub's REST API, or of the GitLab server.
        project: ``owner/name``; for GitLab also the project's id.
        number: The request's number in the project.
        page: Its URL for people.
        is_fork: As in ``Context``.
    """

    host: str
    api: str
    project: str
    number: int
    page: str
    is_fork: bool

    @property
    def name(self) -> str:
        """Give what people call it, for messages."""
        return harmless(self.page or f"{self.project}#{self.number}")

    @property
    def remedy(self) -> str:
        """Say which permission is missing when the host refuses."""
        return _PERMISSIONS[self.host] + (_FORK if self.is_fork else "")

    def token(self, environ: Mapping[str, str]) -> str:
        """Read the token from its variable.

        Raises:
            AccessError: There is none, or it is none. The message does not repeat it.
        """
        variable = TOKENS[self.host]
        token = environ.get(variable, "").strip()
        if not token:
            raise AccessError("there is no token to write the comment with", variable, remedy=self.remedy)
        if not _TOKEN.fullmatch(token):
            raise AccessError(
                "this is not a token", variable, expected="one line without blanks and control characters", remedy=self.remedy
            )
        return token

    def refusal(self, status: int) -> OtagateError:
        """Give the error that an HTTP status of the host stands for; its text is not repeated."""
        found = f"HTTP {status}"
        if status >= 500:  # noqa: PLR2004 - HTTP: the server's own failures
            return TransientError("the host failed while the comment was written", self.name, found=found)
        if status == 429:  # noqa: PLR2004 - HTTP: too many requests
            return self.too_many(found)
        if status in {401, 403, 404}:
            return AccessError("the host does not let this token write the comment", self.name, found=found, remedy=self.remedy)
        return AccessError(
            "the host refuses the comment", self.name, found=found, remedy="look whether the conversation is locked"
        )

    def too_many(self, found: str) -> UnavailableError:
        """Give the error for a host that wants fewer requests; waiting for it could take an hour."""
        return UnavailableError(
            "the host wants fewer requests", self.name, found=found, remedy="the next run writes the comment"
        )

    def silence(self, error: Exception) -> TransientError:
        """Give the error for a host that does not answer. Only the kind of failure is told: its text may hold addresses."""
        return TransientError("the host does not answer", self.name, found=type(error).__name__)

    def nonsense(self, error: Exception) -> UnavailableError:
        """Give the error for an answer that is none, as a proxy's login page."""
        return UnavailableError("the host's answer cannot be understood", self.name, found=type(error).__name__)


def find_place(context: Context, environ: Mapping[str, str]) -> Place | None:
    """Find the pull request of this job, or None when it has none that can be written to.

    Args:
        context: What the CI tells of the run.
        environ: Variables of the job.

    **Source:** docs.github.com/actions/reference/workflows-and-actions/variables;
    docs.gitlab.com/ci/variables/predefined_variables; the Jenkins plugin Branch API (``CHANGE_URL``).
    """
    if context.pull_request is None:
        return None
    if context.provider == "github":
        return _github(context, context.pull_request, environ)
    if context.provider == "gitlab":
        return _gitlab(context, context.pull_request, environ)
    if context.provider == "jenkins":
        return _jenkins(context, environ)
    return None


def _github(context: Context, number: int, environ: Mapping[str, str]) -> Place | None:
    api = _env.first(environ, "GITHUB_API_URL") or "https://api.github.com"
    if not context.repository or not _is_http(api):
        return None
    server = _env.first(environ, "GITHUB_SERVER_URL") or "https://github.com"
    page = f"{server.rstrip('/')}/{context.repository}/pull/{number}"
    return Place("github", api.rstrip("/"), context.repository, number, page, context.is_fork)


def _gitlab(context: Context, number: int, environ: Mapping[str, str]) -> Place | None:
    api = (_env.first(environ, "CI_API_V4_URL") or "").rstrip("/").removesuffix("/api/v4")
    server = api or (_env.first(environ, "CI_SERVER_URL") or "").rstrip("/")
    # Of a fork's merge request the comment belongs to the project that it wants to go to.
    project = _env.first(environ, "CI_MERGE_REQUEST_PROJECT_ID", "CI_PROJECT_ID")
    if not project or not _is_http(server) or _env.first(environ, "CI_EXTERNAL_PULL_REQUEST_IID"):
        return None  # the last are pull requests of another host, which this job has no token for
    home = _env.first(environ, "CI_MERGE_REQUEST_PROJECT_URL", "CI_PROJECT_URL")
    page = f"{home.rstrip('/')}/-/merge_requests/{number}" if home else ""
    return Place("gitlab", server, project, number, page, context.is_fork)


def _jenkins(context: Context, environ: Mapping[str, str]) -> Place | None:
    page = _env.first(environ, "CHANGE_URL") or ""
    if match := _GITLAB_PAGE.fullmatch(page):
        return Place("gitlab", match["server"], match["project"], int(match["number"]), page, context.is_fork)
    if match := _GITHUB_PAGE.fullmatch(page):
        host = match["host"]
        api = "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
        return Place("github", api, match["project"], int(match["number"]), page, context.is_fork)
    return None


def _is_http(url: str) -> bool:
    return url.startswith(("https://", "http://"))
