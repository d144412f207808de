"""One at a time, over all processes: PostgreSQL's advisory locks; with SQLite every transaction that writes is alone.

And how long a statement may take.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

SCHEMA = "schema"
ASSIGNMENTS = "assignments"


def of_app(app: str) -> str:
    """Name the lock that everything counted for an app is changed under."""
    return f"app {app}"


def hold(connection: Connection, names: Iterable[str]) -> None:
    """Wait for these locks, and hold them until the transaction ends; always taken in the same order."""
    if connection.dialect.name != "postgresql":
        return
    from sqlalchemy import text  # noqa: PLC0415

    statement = text("SELECT pg_advisory_xact_lock(:number)")
    for number in sorted({lock_number(name) for name in names}):
        connection.execute(statement, {"number": number})


def lock_number(name: str) -> int:
    """Give a lock's number: 64 bits, signed, as PostgreSQL takes it."""
    return int.from_bytes(hashlib.sha256(b"otagate telemetry " + name.encode()).digest()[:8], "big", signed=True)


def take_time(connection: Connection) -> None:
    """Let the statements of this transaction take as long as they must."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
