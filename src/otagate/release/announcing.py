"""Making, holding and withdrawing the announcement of a prune. See :mod:`otagate.release.pruning`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from otagate._text import harmless
from otagate.errors import ConflictError, OtagateError
from otagate.model import Digest
from otagate.release.pruning import KEY, LIFE, MARGIN, SCHEMA, Announced, read_announced, to_body, whole_minutes
from otagate.store.interface import DocumentStore
from otagate.store.jsondoc import JsonDoc, new_txn, write_json

_RENEW_AFTER_S = 240.0
_LOOK_AFTER_S = 10.0


class Announcement:
    """An announcement of ours, in every store that is pruned. Made by :func:`announce`."""

    def __init__(
        self, places: Sequence[DocumentStore], body: Announced, now: Callable[[], datetime], monotonic: Callable[[], float]
    ) -> None:
        self.body = body
        self._places = tuple(places)
        self._docs: list[JsonDoc] = []
        self._now, self._monotonic = now, monotonic
        self._written = self._looked = (monotonic(), now())

    def hold(self) -> None:
        """Make sure that it still holds and is ours; renew it in time. Call it before each removal.

        Raises:
            ConflictError: It ran out, or somebody else took its place: remove nothing more.
        """
        age = self._since(self._written)
        if age >= (LIFE - MARGIN).total_seconds():
            raise _lost("it has run out: this machine slept, or the store is very slow")
        if age >= _RENEW_AFTER_S:
            self._write()
        elif self._since(self._looked) >= _LOOK_AFTER_S:
            self._look()

    def withdraw(self) -> None:
        """Take it back. Only after every removal was answered; fine when it is somebody else's by now."""
        over = Announced("", self._now(), frozenset(), self.body.actor)
        for documents, doc in zip(self._places, self._docs, strict=False):
            try:
                write_json(documents, KEY, SCHEMA, to_body(over), doc)
            except ConflictError:
                # Somebody took it over after it had run out: it is theirs to withdraw.
                continue

    def acquire(self) -> None:
        """Write it for the first time, in each store.

        Raises:
            ConflictError: Somebody else's announcement holds.
        """
        try:
            for documents in self._places:
                current = _free(documents, self._now())
                self._docs.append(write_json(documents, KEY, SCHEMA, to_body(self._renewed()), current))
        except OtagateError:
            self.withdraw()
            raise

    def _write(self) -> None:
        began = (self._monotonic(), self._now())
        body = self._renewed()
        try:
            self._docs = [
                write_json(documents, KEY, SCHEMA, to_body(body), doc)
                for documents, doc in zip(self._places, self._docs, strict=True)
            ]
        except ConflictError as error:
            raise _lost("somebody else wrote it") from error
        self._written = self._looked = began

    def _renewed(self) -> Announced:
        return Announced(self.body.id, self._now() + LIFE, self.body.condemned, self.body.actor)

    def _look(self) -> None:
        began = (self._monotonic(), self._now())
        for documents in self._places:
            found = read_announced(documents)
            if found is None or found[1].id != self.body.id:
                raise _lost("another announcement stands there")
        self._looked = began

    def _since(self, then: tuple[float, datetime]) -> float:
        """Give the seconds since, by the clock that says more: one stands still while a machine sleeps, one can be set back."""
        return max(self._monotonic() - then[0], (self._now() - then[1]).total_seconds())


def announce(
    places: Sequence[DocumentStore],
    condemned: frozenset[Digest],
    actor: str,
    now: Callable[[], datetime],
    *,
    monotonic: Callable[[], float] = time.monotonic,
) -> Announcement:
    """Announce what is about to be removed.

    Args:
        places: The documents of every store that is pruned.
        condemned: The blobs, at most :data:`MAX_CONDEMNED`.
        actor: Who does it.
        now: The clock.
        monotonic: A clock in seconds that only grows.

    Raises:
        ConflictError: Another prune is going on, or was killed and its announcement has not run out.
        VerificationError: What stands there is no announcement.
    """
    mine = Announcement(places, Announced(new_txn(), now() + LIFE, condemned, actor), now, monotonic)
    mine.acquire()
    return mine


def _free(documents: DocumentStore, now: datetime) -> JsonDoc | None:
    found = read_announced(documents)
    if found is None:
        return None
    doc, other = found
    other.refuse_endless(now)
    if other.left(now) > timedelta(0):
        raise ConflictError(
            "another prune is going on, or was killed a short while ago",
            KEY,
            expected="no announcement that holds",
            found=f"one by {harmless(other.actor, 80) or 'somebody'}, until {other.until:%Y-%m-%d %H:%M} UTC",
            remedy=f"run it again in {whole_minutes(other.left(now))}",
        )
    return doc


def _lost(found: str) -> ConflictError:
    return ConflictError(
        "the announcement of this prune does not hold any longer, so nothing more is removed",
        KEY,
        found=found,
        remedy="run it again: it goes on with what is left",
    )
