"""Channels of single devices. Numbers are given under one lock: who reads up to a number has missed nothing below it."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from otagate.telemetry import locks
from otagate.telemetry.interface import Assignment
from otagate.telemetry.tables import ASSIGNMENTS


def assign(connection: Connection, app: str, device: bytes, kind: str, channel: str | None, *, at_s: int) -> Assignment:
    """Set or take back; the same again changes nothing, nor does taking back what is not there (``seq`` 0)."""
    locks.hold(connection, [locks.ASSIGNMENTS])
    columns = ASSIGNMENTS.c
    mine = (columns.app == app, columns.device == device, columns.kind == kind)
    found = connection.execute(select(columns.seq, columns.channel).where(*mine)).one_or_none()
    if found is not None and found.channel == channel:
        return Assignment(found.seq, app, device, kind, channel)
    if found is None and channel is None:
        # Nothing to take back, and so nothing to write: device ids can be made up.
        return Assignment(0, app, device, kind, None)
    connection.execute(delete(ASSIGNMENTS).where(*mine))
    made = insert(ASSIGNMENTS).values(app=app, device=device, kind=kind, channel=channel, at_s=at_s).returning(columns.seq)
    return Assignment(connection.execute(made).scalar_one(), app, device, kind, channel)


def assignments(connection: Connection, after: int, limit: int) -> list[Assignment]:
    """See Telemetry.assignments."""
    columns = ASSIGNMENTS.c
    asked = (
        select(columns.seq, columns.app, columns.device, columns.kind, columns.channel)
        .where(columns.seq > after)
        .order_by(columns.seq)
        .limit(limit)
    )
    return [Assignment(seq, app, bytes(device), kind, channel) for seq, app, device, kind, channel in connection.execute(asked)]
