"""Comments of a merge request on GitLab, there called notes, through python-gitlab (extra ``gitlab``).

**Source:** docs.gitlab.com/api/notes; docs.gitlab.com/api/rest/authentication (access tokens as bearer tokens).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gitlab
import requests
from gitlab.v4.objects import ProjectMergeRequestNoteManager

from otagate.ci.comments.one import Remark
from otagate.ci.comments.place import Place

TIMEOUT = 15
"""Seconds for connecting, and for each silence of the host."""
PAGE, MAX_PAGES = 100, 50
"""Notes of a page, which is GitLab's most, and pages that are looked through, oldest first; system notes are among them."""

_NOT_READABLE = (gitlab.GitlabParsingError, AssertionError, AttributeError, KeyError, TypeError, ValueError)
"""What python-gitlab raises for an answer of another shape than it expects."""
_AT_ONCE: dict[str, Any] = {"obey_rate_limit": False}
"""python-gitlab by itself sleeps as long as the server likes."""


class GitlabThread:
    """See Thread."""

    def __init__(self, place: Place, token: str) -> None:
        """Connect to nothing yet.

        Args:
            place: The merge request.
            token: An access token of a project, a group or a person.
        """
        self._place = place
        # As a bearer token, because that header stays behind when a server redirects to another.
        self._client = gitlab.Gitlab(place.api, oauth_token=token, timeout=TIMEOUT)

    def own(self, marker: str) -> Sequence[Remark]:
        """See Thread.own."""
        with self._told():
            marked = [note for note in self._all() if not note["system"] and note["body"].startswith(marker)]
            if not marked:
                return []
            user = self._client.http_get("/user", **_AT_ONCE)
            ours = user["id"]  # type: ignore[index] # a JSON answer; anything else is caught as unreadable
            return [self._remark(note) for note in marked if note["author"]["id"] == ours]

    def create(self, body: str) -> Remark:
        """See Thread.create."""
        with self._told():
            return self._remark(self._notes().create({"body": body}, **_AT_ONCE).attributes)

    def edit(self, remark: Remark, body: str) -> None:
        """See Thread.edit."""
        with self._told():
            self._notes().update(remark.id, {"body": body}, **_AT_ONCE)

    def remove(self, remark: Remark) -> None:
        """See Thread.remove."""
        with self._told():
            self._notes().delete(remark.id, **_AT_ONCE)

    def _all(self) -> Iterator[Mapping[str, Any]]:
        # By number: the links to next pages name whatever server a proxy makes of it.
        for page in range(1, MAX_PAGES + 1):
            notes = self._notes().list(page=page, per_page=PAGE, order_by="created_at", sort="asc", get_all=False, **_AT_ONCE)
            yield from (note.attributes for note in notes)
            if len(notes) < PAGE:
                return

    def _notes(self) -> ProjectMergeRequestNoteManager:
        project = self._client.projects.get(self._place.project, lazy=True)
        return project.mergerequests.get(self._place.number, lazy=True).notes

    def _remark(self, note: Mapping[str, Any]) -> Remark:
        return Remark(note["id"], note["body"], f"{self._place.page}#note_{note['id']}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except _NOT_READABLE as error:
            raise self._place.nonsense(error) from error
        except gitlab.GitlabError as error:
            if error.response_code is None:
                raise self._place.nonsense(error) from error
            raise self._place.refusal(error.response_code) from error
        except requests.RequestException as error:
            raise self._place.silence(error) from error
