"""The record of all that happened to an app: entries that are only ever added, each holding the digest of the one before.

Entry ``n`` stands in ``apps/<app>/ledger/<n as ten digits>.json`` and is created, never changed
(:mod:`otagate.rollout.ledger_entry` has its form). The last entry is found by exact keys, from a hint in
``apps/<app>/ledger-head.json`` that may lag behind or be missing; nothing is decided by listing.

An entry that is damaged at rest does not keep new ones from being added, because what happens must be recorded most of all
then; :meth:`Ledger.verify_chain` names it. Cutting off the end together with the hint cannot be seen from the chain alone:
keep the head digest that ``verify_chain`` gives somewhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

from otagate.errors import ConflictError, VerificationError
from otagate.model import AppId, Digest
from otagate.rollout._together import AHEAD, together
from otagate.rollout.ledger_entry import LedgerEntry, ends_search, faults, parse, to_bytes, try_parse
from otagate.store.interface import Document, DocumentStore
from otagate.store.jsondoc import JsonDoc, read_json, write_json

_MOST = 10**10 - 1
"""Entries that a ledger can have: the ten digits of their keys. A hint beyond was not written by otagate."""
HEAD_SCHEMA = "otagate/ledger-head/v1"
CLOCK_SLACK = timedelta(hours=1)
"""How far the clocks of two machines may be apart without an event being recorded twice."""
_ATTEMPTS = 200
_WIDEST_GAP = 20
"""Entries in a row that are missing or damaged; who plants one far beyond the end would have everybody look for millions."""
_LATE = 8
"""Older entries that are passed over: what a killed rollout had to tell is told by whoever finds it, with its own time."""


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What a check of the whole chain found.

    Attributes:
        entries: How many entries stand in an unbroken row from 1 on.
        head: Digest of the last of them, or None when there are none.
        problems: What is wrong, one sentence each, in order; empty when the chain is whole.
    """

    entries: int
    head: Digest | None
    problems: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class Ledger:
    """The ledger of one app in a document store."""

    def __init__(self, documents: DocumentStore, app: AppId) -> None:
        self._documents = documents
        self._app = app

    def append(
        self, kind: str, event_id: str, data: dict[str, Any], at: datetime, *, since: datetime | None = None
    ) -> LedgerEntry:
        """Record an event, unless it was recorded already.

        Several processes may do so at once: all entries land, and the chain stays whole.

        Args:
            kind: What happened.
            event_id: Names the event. An entry with this id that is not older than ``since`` is taken for this event.
            data: JSON without floats.
            at: When it happened.
            since: The earliest instant at which the event can have been recorded before; default ``at``.

        Returns:
            The entry: the new one, or the one that recorded this event before.

        Raises:
            ConflictError: Too many others append at the same moment.
            ValueError: ``data`` holds a float or something that JSON cannot say.
        """
        hint, hinted = self._hint()
        head = self._head(hinted)
        found = self._recorded(head, event_id, (at if since is None else since) - CLOCK_SLACK)
        if found is None:
            found = self._add(head, kind, event_id, data, at)
        self._note(hint, hinted, found.seq)
        return found

    def entries(self, after_seq: int = 0) -> Iterator[LedgerEntry]:
        """Give the entries after ``after_seq``, oldest first, up to the last one in an unbroken row.

        Raises:
            VerificationError: While iterating: an entry is damaged.
        """
        for seq, found in self._row(after_seq + 1):
            yield parse(found, seq)

    def newest(self, most: int) -> Iterator[LedgerEntry]:
        """Give the last ``most`` entries, newest first; one that is damaged or gone is passed over."""
        head = self._head(self._hint()[1])
        last = self._seq(head)
        # One by one where most who look find it; who goes on may have thousands before them.
        near, far = range(last - 1, 0, -1)[:AHEAD], range(last - 1, 0, -1)[AHEAD:]
        singly = ((seq, self._read(seq)) for seq in near)
        for seq, found in islice(chain([(last, head)], singly, together(self._read, far)), most):
            entry = None if found is None else try_parse(found, seq)
            if entry is not None:
                yield entry

    def last(self) -> int:
        """Give the number of the last entry; 0 when there is none. It may be damaged."""
        return self._seq(self._head(self._hint()[1]))

    def verify_chain(self) -> LedgerReport:
        """Read every entry and check that it names the one before; report all that is wrong."""
        problems: list[str] = []
        before: Digest | None = None
        seq = 0
        for seq, found in self._row(1):
            problems += faults(found, seq, before)
            before = Digest.of(found.body)
        problems += self._beyond(seq)
        return LedgerReport(seq, before, tuple(problems))

    def _row(self, seq: int) -> Iterator[tuple[int, Document]]:
        """Give what stands from ``seq`` on in an unbroken row; far from the hinted end, several are read at the same time."""
        _, hinted = self._hint()
        far = range(seq, hinted - (hinted - seq) % AHEAD)
        for at, found in together(self._read, far):
            if found is None:
                return
            yield at, found
        seq += len(far)
        while (found := self._read(seq)) is not None:
            yield seq, found
            seq += 1

    def _beyond(self, last: int) -> list[str]:
        """Look for traces of entries that are gone."""
        problems = []
        prefix = self._key(0).rpartition("/")[0] + "/"
        stray = [key for key in self._documents.keys(prefix) if key > self._key(last)]
        if stray:
            problems.append(f"entry {last + 1} is gone: {len(stray)} stand after it, the first of them {stray[0]}")
        try:
            hint = read_json(self._documents, self._hint_key(), HEAD_SCHEMA)
        except VerificationError as error:
            return [*problems, f"the hint {error.subject} is damaged: expected {error.expected}, found {error.found}"]
        if hint is not None and _seq_of(hint) > last:
            problems.append(f"the hint names entry {_seq_of(hint)}, but the last one is {last}: entries were cut off")
        return problems

    def _add(self, head: Document | None, kind: str, event_id: str, data: dict[str, Any], at: datetime) -> LedgerEntry:
        for _ in range(_ATTEMPTS):
            seq = self._seq(head) + 1
            prev = None if head is None else Digest.of(head.body)
            body = to_bytes(seq, at, kind, event_id, data=data, prev=prev)
            try:
                self._documents.create(self._key(seq), body)
            except ConflictError:
                # Somebody else was first; or it was us and the answer was lost; or nobody won yet and we try again.
                there = self._read(seq)
                found = try_parse(there, seq) if there is not None else None
                if found is not None and found.id == event_id:
                    return found
                head = there if there is not None else head
            else:
                return LedgerEntry(seq, at, kind, event_id, data, prev, Digest.of(body))
        raise ConflictError(
            "too many others write to the ledger at the same moment",
            f"ledger of {self._app}",
            remedy="run the command again",
        )

    def _recorded(self, head: Document | None, event_id: str, earliest: datetime) -> LedgerEntry | None:
        """Look back from the head for an entry that recorded this event; a wide gap was not left by otagate and ends it."""
        gap = late = 0
        for seq in range(self._seq(head), 0, -1):
            stored = head if head is not None and seq == self._seq(head) else self._read(seq)
            entry = None if stored is None else try_parse(stored, seq)
            if entry is None:
                gap += 1
                if gap > _WIDEST_GAP:
                    return None
                continue
            gap = 0
            if entry.id == event_id:
                return entry
            late += entry.at < earliest
            if late > _LATE or ends_search(entry, event_id, earliest):
                return None
        return None

    def _head(self, hinted: int) -> Document | None:
        """Find the last entry: from the hint on in steps that double, then by halving. A few reads when the hint is right."""
        head = self._read(hinted) if hinted else None
        low, step = hinted if head is not None else 0, 1
        while (found := self._read(low + step)) is not None:
            head, low, step = found, low + step, step * 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            found = self._read(middle)
            if found is None:
                high = middle
            else:
                head, low = found, middle
        return head

    def _hint(self) -> tuple[JsonDoc | None, int]:
        try:
            hint = read_json(self._documents, self._hint_key(), HEAD_SCHEMA)
        except VerificationError:
            # It only saves reads: without it the head is found from 1 on. verify_chain reports the damage.
            return None, 0
        return hint, _seq_of(hint) if hint is not None else 0

    def _note(self, hint: JsonDoc | None, hinted: int, seq: int) -> None:
        if seq <= hinted:
            return
        try:
            write_json(self._documents, self._hint_key(), HEAD_SCHEMA, {**(hint.body if hint else {}), "seq": seq}, hint)
        except (ConflictError, VerificationError):
            # Somebody else noted a head meanwhile, or it cannot be read. A hint that lags costs reads, nothing else.
            return

    def _read(self, seq: int) -> Document | None:
        return self._documents.read(self._key(seq))

    def _seq(self, head: Document | None) -> int:
        return 0 if head is None else int(head.key.rpartition("/")[2].removesuffix(".json"))

    def _key(self, seq: int) -> str:
        return f"apps/{self._app}/ledger/{seq:010d}.json"

    def _hint_key(self) -> str:
        return f"apps/{self._app}/ledger-head.json"


def _seq_of(hint: JsonDoc) -> int:
    seq = hint.body.get("seq")
    return seq if type(seq) is int and 0 < seq <= _MOST else 0
