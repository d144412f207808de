"""Comments of a merge request on GitLab, there called notes, through python-gitlab (extra ``gitlab``).

**Source:** docs.gitlab.com/api/notes; docs.gitlab.com/api/rest/authentication (access tokens as bearer tokens).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import gitlab
import requests
from gitlab.v4.objects import ProjectMergeRequestNoteManager

from otagate.ci.comments.one import Remark
from otagate.ci.comments.place import Place

TIMEOUT = 15
"""Seconds for connecting, and for each silence of the host."""
MAX_NOTES = 5000
"""That are looked through, system notes among them; oldest first."""

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
        # As a bearer token, because that header stays behind when a server redirects to another; and pages of an answer
        # are never fetched from another server either.
        self._client = gitlab.Gitlab(place.api, oauth_token=token, timeout=TIMEOUT, per_page=100, keep_base_url=True)

    def own(self, marker: str) -> Sequence[Remark]:
        """See Thread.own."""
        with self._told():
            listed = self._notes().list(iterator=True, order_by="created_at", sort="asc", **_AT_ONCE)
            notes = [note.attributes for note in islice(listed, MAX_NOTES)]
            marked = [note for note in notes if not note["system"] and note["body"].startswith(marker)]
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
