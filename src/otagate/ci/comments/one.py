"""One comment per marker: found again, changed in place, never written twice. The hosts only differ in how that is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from otagate._clock import Clock
from otagate.ci.comments.body import compose, is_same
from otagate.ci.comments.place import TransientError

PAUSES = (1.0, 2.0)
"""Seconds before the second and the third try. There is no fourth: a job should not wait for a comment."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment as the host has it.

    Attributes:
        id: The host's id.
        body: Its text.
        url: Where people read it.
    """

    id: int
    body: str
    url: str


class Thread(Protocol):
    """What a host can do with the comments of one pull request. Errors are those of ``Comments.put``."""

    def own(self, marker: str) -> Sequence[Remark]:
        """Give the comments that this token's account wrote and that begin with ``marker``, oldest first."""
        ...

    def create(self, body: str) -> Remark:
        """Write a comment."""
        ...

    def edit(self, remark: Remark, body: str) -> None:
        """Give a comment another text."""
        ...

    def remove(self, remark: Remark) -> None:
        """Delete a comment."""
        ...


@dataclass(frozen=True, slots=True)
class OneComment:
    """See :class:`otagate.ci.comments.interface.Comments`."""

    thread: Thread
    clock: Clock

    def put(self, marker: str, markdown: str) -> str:
        """See Comments.put."""
        body = compose(marker, markdown)
        for pause in PAUSES:
            try:
                return self._put(marker, body)
            except TransientError:
                # From the start: a comment whose answer was lost is found then, and not written a second time.
                self.clock.sleep(pause)
        return self._put(marker, body)

    def _put(self, marker: str, body: str) -> str:
        found = self.thread.own(marker)
        if not found:
            return self.thread.create(body).url
        first, *others = found
        if not is_same(first.body, body):
            self.thread.edit(first, body)
        # Two jobs at the same moment may both have found none.
        for other in others:
            self.thread.remove(other)
        return first.url
