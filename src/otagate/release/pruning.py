"""The announcement of a prune: what it is about to remove, so that nobody makes just that reachable meanwhile.

``prune.json``: ``{"schema": "otagate/prune/v1", "id": hex or "", "until": instant, "condemned": [hex], "actor": str}``.
Whoever prunes announces (:mod:`otagate.release.announcing`), waits longer than anybody takes between looking and writing, looks
again, and only then removes. Whoever makes a blob reachable looks at the announcement right before he writes. So one of the two
sees the other.
**Source:** docs/adr/0010-prune.md has the argument.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from otagate import _clock
from otagate._fields import Fields
from otagate._text import harmless, span
from otagate.errors import ConflictError, UnavailableError, VerificationError
from otagate.model import Digest
from otagate.store.interface import DocumentStore
from otagate.store.jsondoc import JsonDoc, read_json

KEY = "prune.json"
SCHEMA = "otagate/prune/v1"
LIFE = timedelta(minutes=15)
"""How long an announcement holds after it was written or renewed; who is killed leaves it to run out."""
MARGIN = timedelta(minutes=5)
"""So long before its end nothing is removed any more: a request that was sent may still be on its way."""
SKEW = timedelta(minutes=5)
"""So long after its end others still respect it: their clocks may be ahead."""
CHECK_HOLDS_S = 30.0
"""A look at the announcement that took longer than this, in seconds, is made again before anything is written."""
DEFAULT_WAIT = timedelta(minutes=3)
"""How long to wait between announcing and looking: a check (30 s), then a write with all its retries (60 s, and the last
attempt's own time limit), and as much again for what a slow service carries out late. **Source:** store/cloud.py, OPERATION."""
MAX_CONDEMNED = 5_000
"""Most blobs that one run removes; everybody who publishes reads the list (67 bytes each)."""
_LOOKS = 5


@dataclass(frozen=True, slots=True)
class Announced:
    """What the document says.

    Attributes:
        id: Whose it is; "" when it was withdrawn.
        until: Until when it holds, by the clock of whoever wrote it.
        condemned: What is about to be removed.
        actor: Who prunes, for messages.
    """

    id: str
    until: datetime
    condemned: frozenset[Digest]
    actor: str

    def left(self, now: datetime) -> timedelta:
        """Give how long others still have to respect it; zero or less when it is over."""
        return (self.until - now) + SKEW if self.id else timedelta(0)

    def refuse_endless(self, now: datetime) -> None:
        """Refuse an announcement that holds longer than any that was written by a clock near this one's.

        Raises:
            VerificationError: It does, and would stop everybody for as long.
        """
        if self.left(now) > LIFE + 2 * SKEW + MARGIN:
            raise VerificationError(
                "the announcement of a prune holds longer than any does",
                KEY,
                expected=f"at most {span(LIFE)} from now",
                found=f"until {self.until:%Y-%m-%d %H:%M} UTC, by {harmless(self.actor, 80) or 'somebody'}",
                remedy=f"compare the clocks; when no prune is going on, remove {KEY} from the store, and see who wrote it",
            )


def refuse_condemned(
    documents: DocumentStore, digest: Digest, now: datetime, *, monotonic: Callable[[], float] = time.monotonic
) -> None:
    """Refuse to make a blob reachable that is being removed. Call it directly before the write, on the store written to.

    Args:
        documents: The store of the document that will name the blob.
        digest: The blob.
        now: The current instant.
        monotonic: A clock in seconds.

    Raises:
        ConflictError: A prune that may still be going on removes it.
        UnavailableError: Looking took so long each time that the answer was old.
        VerificationError: The announcement is damaged, or holds for ever.
    """
    for _ in range(_LOOKS):
        began = monotonic()
        found = read_announced(documents)
        if found is not None and digest in found[1].condemned and found[1].left(now) > timedelta(0):
            found[1].refuse_endless(now)
            raise ConflictError(
                "prune is removing this very bundle",
                str(digest),
                expected="a bundle that stays",
                found=f"announced by {harmless(found[1].actor, 80) or 'somebody'}",
                remedy=f"run it again in {whole_minutes(found[1].left(now))}",
            )
        if monotonic() - began <= CHECK_HOLDS_S:
            return
    raise UnavailableError("the store answers too slowly to be written to safely", KEY, remedy="run it again later")


def whole_minutes(left: timedelta) -> str:
    """Write how long to wait, in whole minutes, such as ``17m``."""
    return span(timedelta(minutes=math.ceil(left / timedelta(minutes=1))))


def read_announced(documents: DocumentStore) -> tuple[JsonDoc, Announced] | None:
    """Read the announcement, or give None when there never was one.

    Raises:
        VerificationError: It is damaged.
    """
    doc = read_json(documents, KEY, SCHEMA)
    if doc is None:
        return None
    fields = Fields(doc.body, "announcement", KEY)
    return doc, Announced(
        id=fields.text("id"),
        until=fields.made("until", _clock.from_text),
        condemned=frozenset(fields.each("condemned", Digest)),
        actor=fields.text("actor"),
    )


def to_body(body: Announced) -> dict[str, object]:
    """Give the fields of the document."""
    return {
        "id": body.id,
        "until": _clock.to_text(body.until),
        "condemned": sorted(digest.hex for digest in body.condemned),
        "actor": body.actor,
    }
