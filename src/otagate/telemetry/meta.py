"""Single values of a database: the check of its secret, and the instant that everything before was forgotten."""

from __future__ import annotations

import hmac

from sqlalchemy import Connection, insert, select, update

from otagate.errors import UsageError, VerificationError
from otagate.telemetry.secret import check_value
from otagate.telemetry.tables import META

_SECRET = "secret_check"  # noqa: S105 - a name
_FLOOR = "counted_from"


def check_secret(connection: Connection, secret: bytes, shown: str) -> None:
    """See that the secret is the one that the database began with; the first one is remembered.

    Raises:
        UsageError: It is another one.
    """
    found, mine = _get(connection, _SECRET), check_value(secret)
    if found is None:
        connection.execute(insert(META).values(name=_SECRET, value=mine))
    elif not hmac.compare_digest(found.encode(), mine.encode()):
        remedy = "give the secret that this database was first used with; with another one every device would look new"
        raise UsageError("this is not the secret that the database's device ids were hashed with", shown, remedy=remedy)


def floor_of(connection: Connection) -> int:
    """Give the start of the first bucket that is still counted; older ones were forgotten."""
    text = _get(connection, _FLOOR)
    if text is None:
        return 0
    if not text.isdigit():
        raise VerificationError("a value of the database is damaged", f"meta {_FLOOR}", remedy="restore a backup")
    return int(text)


def raise_floor(connection: Connection, bucket: int) -> int:
    """Move the floor up to ``bucket``, never down; give where it is."""
    floor = floor_of(connection)
    if bucket <= floor:
        return floor
    moved = connection.execute(update(META).where(META.c.name == _FLOOR).values(value=str(bucket)))
    if not moved.rowcount:
        connection.execute(insert(META).values(name=_FLOOR, value=str(bucket)))
    return bucket


def _get(connection: Connection, name: str) -> str | None:
    return connection.execute(select(META.c.value).where(META.c.name == name)).scalar()
