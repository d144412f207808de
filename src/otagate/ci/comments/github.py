"""Comments of a pull request on GitHub, through PyGithub (extra ``github``). A pull request's comments are an issue's.

**Source:** docs.github.com/rest/issues/comments; docs.github.com/graphql/reference/queries (``viewer``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import github
import requests
from github.Issue import Issue
from github.IssueComment import IssueComment

from otagate.ci.comments.one import Remark
from otagate.ci.comments.place import Place

TIMEOUT = 15
"""Seconds for connecting, and for each silence of the host."""
MAX_COMMENTS = 5000
"""That are looked through. Ours is among the oldest."""

T = TypeVar("T")
_NOT_READABLE = (github.BadAttributeException, AssertionError, AttributeError, KeyError, TypeError, ValueError)
"""What PyGithub raises for an answer of another shape than it expects, or for a next page on another server."""


class GithubThread:
    """See Thread."""

    def __init__(self, place: Place, token: str) -> None:
        """Connect to nothing yet.

        Args:
            place: The pull request.
            token: A token of an app, such as a job's own, or of a person.
        """
        self._place = place
        # PyGithub by itself sleeps between writes, and up to an hour for its rate limit.
        self._client = github.Github(
            base_url=place.api, auth=github.Auth.Token(token), lazy=True, timeout=TIMEOUT, per_page=100, retry=None,
            seconds_between_requests=0, seconds_between_writes=0,
        )  # fmt: skip

    def own(self, marker: str) -> Sequence[Remark]:
        """See Thread.own."""
        with self._told():
            comments = islice(self._issue().get_comments(), MAX_COMMENTS)
            marked = [comment for comment in comments if (comment.body or "").startswith(marker)]
            if not marked:
                return []
            login = self._login()
            mine = [_remark(comment) for comment in marked if _is_ours(comment, login)]
            # Who we are is not known to old servers: then another one may be somebody else's, and is left alone.
            return mine if login else mine[:1]

    def create(self, body: str) -> Remark:
        """See Thread.create."""
        with self._told():
            return _remark(self._issue().create_comment(body))

    def edit(self, remark: Remark, body: str) -> None:
        """See Thread.edit."""
        with self._told():
            self._issue().get_comment(remark.id).edit(body)

    def remove(self, remark: Remark) -> None:
        """See Thread.remove."""
        with self._told():
            self._issue().get_comment(remark.id).delete()

    def _issue(self) -> Issue:
        return self._client.get_repo(self._place.project).get_issue(self._place.number)

    def _login(self) -> str | None:
        """Ask who we are. GET /user is closed to a job's token, and this question is not; Gitea knows the former only."""
        try:
            _, answer = self._client.requester.graphql_query("query { viewer { login } }", {})
            login = answer["data"]["viewer"]["login"]
        except github.GithubException as error:
            if _is_passing(error):
                raise
            return self._login_by_rest()
        return login if isinstance(login, str) else None

    def _login_by_rest(self) -> str | None:
        try:
            return self._client.get_user().login
        except github.GithubException as error:
            if _is_passing(error):
                raise
            return None

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except github.RateLimitExceededException as error:
            raise self._place.too_many(f"HTTP {error.status}") from error
        except github.GithubException as error:
            raise self._place.refusal(error.status) from error
        except requests.RequestException as error:
            raise self._place.silence(error) from error
        except _NOT_READABLE as error:
            raise self._place.nonsense(error) from error


def _remark(comment: IssueComment) -> Remark:
    return Remark(_present(comment.id), comment.body, _present(comment.html_url))


def _present(value: T | None) -> T:
    """Refuse None, which PyGithub gives for what an answer lacks; it takes any answer below 400 for one."""
    if value is None:
        raise TypeError(value)
    return value


def _is_ours(comment: IssueComment, login: str | None) -> bool:
    if login is None:
        return comment.user.type != "User"  # a person cannot pass for an app
    return comment.user.login.casefold() == login.casefold()


def _is_passing(error: github.GithubException) -> bool:
    return error.status >= 500 or isinstance(error, github.RateLimitExceededException)  # noqa: PLR2004 - HTTP
