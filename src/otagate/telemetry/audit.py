"""The audit: who asked the operators' side for what, and which tokens were made and taken back. Entries are only added.

Each entry is canonical JSON and names the digest of the one before::

    {"schema": "otagate/audit/v1", "seq": int from 1, "at": instant, "actor": str, "kind": str, "data": object,
     "prev": "<sha256 hex>" or null}

So an entry that was changed, removed or slipped in shows. Who can write to the database can still write the whole chain
anew: keep the head that ``otagate token audit --verify`` prints in another place, and compare with ``--head``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from otagate import _canonical, _clock
from otagate.telemetry.problems import told
from otagate.telemetry.token_tables import AUDIT, AUDIT_HEAD

if TYPE_CHECKING:
    from otagate.telemetry.engine import Engines

SCHEMA = "otagate/audit/v1"
_HEAD = 1
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry.

    Attributes:
        seq: 1 for the first, one more for each after it.
        at: When.
        actor: ``token:<id>``, ``command:<user>`` or ``server``.
        kind: What, such as ``device.set`` or ``token.created``.
        data: Everything else. Devices stand here by their stored hash.
    """

    seq: int
    at: str
    actor: str
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a check of the whole chain found.

    Attributes:
        entries: How many are there.
        head: ``<seq>:<digest>`` of the newest, or None when there is none.
        problems: What is wrong, one line each; empty: nothing.
    """

    entries: int
    head: str | None
    problems: tuple[str, ...]


class AuditLog:
    """The audit in a database. Safe from several threads and processes at once.

    Errors of every method: ``UnavailableError`` (the database does not answer, or has no room), ``VerificationError`` (what
    stands in it cannot be).
    """

    def __init__(self, engines: Engines) -> None:
        """Use a database whose schema is there."""
        self._engines = engines

    def append(self, kind: str, actor: str, data: Mapping[str, Any], at: datetime) -> int:
        """Add an entry; durable when this returns. Gives its number."""
        with told("the audit cannot be written", self._engines.place.shown), self._engines.write() as connection:
            return write_entry(connection, kind, actor, data, at)

    def entries(self, after: int = 0, limit: int = _CHUNK) -> list[AuditEntry]:
        """Give entries above ``after``, at most ``limit``, oldest first; ones that cannot be read are left to ``verify``."""
        query = sa.select(AUDIT.c.entry).where(AUDIT.c.seq > after).order_by(AUDIT.c.seq).limit(limit)
        return self._read(query)

    def newest(self, limit: int) -> list[AuditEntry]:
        """Give the newest entries, oldest first."""
        query = sa.select(AUDIT.c.entry).order_by(AUDIT.c.seq.desc()).limit(limit)
        return self._read(query)[::-1]

    def verify(self, known_head: str | None = None) -> AuditReport:
        """Check every entry against the one before, and the last against the head.

        Args:
            known_head: A head that an earlier check gave; that entry must still be there as it was.
        """
        walk = _Walk(known_head)
        with told("the audit cannot be read", self._engines.place.shown), self._engines.read(is_snapshot=True) as connection:
            head = _walk_along(connection, walk)
        return walk.report(head)

    def _read(self, query: sa.Select[Any]) -> list[AuditEntry]:
        with told("the audit cannot be read", self._engines.place.shown), self._engines.read() as connection:
            texts = connection.execute(query).scalars().all()
        return [entry for text in texts if (entry := _read(text)) is not None]


def _walk_along(connection: sa.Connection, walk: _Walk) -> tuple[int, str | None]:
    """Take every entry, and give the head: its number and digest."""
    query = sa.select(AUDIT).order_by(AUDIT.c.seq).limit(_CHUNK)
    while rows := connection.execute(query.where(AUDIT.c.seq > walk.seq)).all():
        for row in rows:
            walk.step(row.seq, row.entry, row.digest)
    found = connection.execute(sa.select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.digest)).first()
    return (0, None) if found is None else (int(found.seq), found.digest)


def write_entry(connection: sa.Connection, kind: str, actor: str, data: Mapping[str, Any], at: datetime) -> int:
    """Add an entry within a transaction: it waits here for whoever else adds one. Rows of other tables are locked before."""
    advance = (
        sa.update(AUDIT_HEAD)
        .where(AUDIT_HEAD.c.id == _HEAD)
        .values(seq=AUDIT_HEAD.c.seq + 1)
        .returning(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.digest)
    )
    head = connection.execute(advance).one_or_none()
    if head is None:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        first = dialect.insert(AUDIT_HEAD).values(id=_HEAD, seq=0, digest=None)
        connection.execute(first.on_conflict_do_nothing())
        head = connection.execute(advance).one()
    entry = _canonical.dumps(
        {
            "schema": SCHEMA,
            "seq": head.seq,
            "at": _clock.to_text(at),
            "actor": actor,
            "kind": kind,
            "data": dict(data),
            "prev": head.digest,
        }
    )
    digest = hashlib.sha256(entry).hexdigest()
    connection.execute(sa.insert(AUDIT).values(seq=head.seq, entry=entry.decode("utf-8"), digest=digest))
    connection.execute(sa.update(AUDIT_HEAD).where(AUDIT_HEAD.c.id == _HEAD).values(digest=digest))
    return int(head.seq)


class _Walk:
    """Goes along the chain and notes what does not fit."""

    def __init__(self, known_head: str | None) -> None:
        self._known = known_head
        self.seq = 0
        self._count = 0
        self._digest: str | None = None
        self._problems: list[str] = []
        self._has_met_known = known_head is None

    def step(self, seq: int, text: str, digest: str) -> None:
        """Take the next row."""
        if seq != self.seq + 1:
            self._problems.append(f"entries {self.seq + 1} to {seq - 1} are missing")
        actual = hashlib.sha256(text.encode("utf-8")).hexdigest()
        fields = _fields(text)
        if actual != digest:
            self._problems.append(f"entry {seq} was changed: its digest does not fit")
        if fields is None or fields.get("seq") != seq or fields.get("schema") != SCHEMA:
            self._problems.append(f"entry {seq} is no entry of that number")
        elif fields.get("prev") != self._digest and seq == self.seq + 1:
            self._problems.append(f"entry {seq} does not follow entry {seq - 1}: one of them was changed")
        self._has_met_known = self._has_met_known or self._known == f"{seq}:{actual}"
        self.seq, self._digest, self._count = seq, actual, self._count + 1

    def report(self, head: tuple[int, str | None]) -> AuditReport:
        """Compare with the head, and tell all."""
        if head != (self.seq, self._digest):
            self._problems.append(f"the head says that entry {head[0]} is the newest, and {self.seq} was found to be")
        if not self._has_met_known:
            self._problems.append("the head that you know is not in the chain: it was written anew")
        newest = f"{self.seq}:{self._digest}" if self._count else None
        return AuditReport(self._count, newest, tuple(self._problems))


def _fields(text: str) -> dict[str, Any] | None:
    try:
        value = _canonical.loads(text.encode("utf-8"))
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _read(text: str) -> AuditEntry | None:
    fields = _fields(text) or {}
    try:
        return AuditEntry(fields["seq"], fields["at"], fields["actor"], fields["kind"], fields["data"])
    except KeyError:
        return None
