"""One entry of the ledger, as bytes and as a value. Pure.

The bytes are canonical JSON::

    {"schema": "otagate/ledger/v1", "seq": int from 1, "at": instant, "kind": str, "id": str, "data": object,
     "prev": "sha256:<hex>" or null}

``prev`` is the digest of the bytes of the entry before, instants are RFC 3339 in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from otagate import _canonical, _clock
from otagate._fields import Fields
from otagate._text import harmless
from otagate.errors import VerificationError
from otagate.model import Digest
from otagate.store.interface import Document

SCHEMA = "otagate/ledger/v1"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One thing that happened.

    Attributes:
        seq: 1 for the first, one more for each after it.
        at: When, by the clock of whoever wrote it.
        kind: What, such as ``published`` or ``rolled_back``.
        id: Names the event: the same event is recorded once.
        data: Everything else; who did it and in which run stand here.
        prev: Digest of the bytes of the entry before, None for the first.
        digest: Digest of this entry's bytes.
    """

    seq: int
    at: datetime
    kind: str
    id: str
    data: dict[str, Any]
    prev: Digest | None
    digest: Digest


def to_bytes(seq: int, at: datetime, kind: str, event_id: str, *, data: dict[str, Any], prev: Digest | None) -> bytes:
    """Write an entry.

    Raises:
        ValueError: ``data`` holds a float or something that JSON cannot say.
    """
    return _canonical.dumps(
        {
            "schema": SCHEMA,
            "seq": seq,
            "at": _clock.to_text(at),
            "kind": kind,
            "id": event_id,
            "data": data,
            "prev": None if prev is None else str(prev),
        }
    )


def parse(stored: Document, seq: int) -> LedgerEntry:
    """Read an entry.

    Raises:
        VerificationError: It is damaged, or is not entry ``seq``.
    """
    try:
        value = _canonical.loads(stored.body)
    except ValueError as error:
        raise VerificationError(
            "a ledger entry is damaged", stored.key, expected="strict JSON", found=harmless(str(error))
        ) from error
    fields = Fields(value, "entry", stored.key)
    fields.exactly("schema", SCHEMA)
    if fields.integer("seq") != seq:
        raise VerificationError(
            "a ledger entry stands in the wrong place", stored.key, expected=f"seq {seq}", found=str(value["seq"])[:20]
        )
    return LedgerEntry(
        seq=seq,
        at=fields.made("at", _clock.from_text),
        kind=fields.text("kind"),
        id=fields.text("id"),
        data=fields.object("data").value,
        prev=fields.made_or_none("prev", Digest.parse),
        digest=Digest.of(stored.body),
    )


def try_parse(stored: Document, seq: int) -> LedgerEntry | None:
    """Read an entry, or give None when it is damaged: then it is nobody's event, and ``verify_chain`` reports it."""
    try:
        return parse(stored, seq)
    except VerificationError:
        return None


def faults(stored: Document, seq: int, before: Digest | None) -> list[str]:
    """Say what is wrong with an entry, given the digest of the bytes of the one before."""
    try:
        entry = parse(stored, seq)
    except VerificationError as error:
        return [f"{stored.key}: {error.what}: expected {error.expected}, found {error.found}"]
    if entry.prev != before:
        return [f"{stored.key}: it does not follow the entry before it: expected prev {before}, found {entry.prev}"]
    return []


def ends_search(entry: LedgerEntry, event_id: str, earliest: datetime) -> bool:
    """Tell whether an event that cannot be older than ``earliest`` was not recorded before this entry.

    Rollouts tell late when they are killed: their entries may stand behind newer ones. But each tells in order.
    """
    rollout, is_numbered, number = entry.id.partition("#")
    if not is_numbered:
        return entry.at < earliest
    ours, _, which = event_id.partition("#")
    return rollout == ours and number.isdecimal() and which.isdecimal() and int(number) < int(which)
