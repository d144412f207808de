"""Brings a database to the schema that this program knows: all steps in one transaction, so that a kill leaves none or all.

Steps are Alembic revisions in ``migrations``, driven from here. Two processes that start at once take turns.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from otagate.errors import NotFoundError, UsageError
from otagate.telemetry import locks

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection

    from otagate.telemetry.engine import Engines

STEPS = Path(__file__).parent / "migrations"
_NAME = re.compile(r"r(\d{4})_\w+\.py")
_TABLE = "otagate_schema"


def newest(steps: Path = STEPS) -> str:
    """Give the number of the last step in a folder."""
    return max(match[1] for path in steps.iterdir() if (match := _NAME.fullmatch(path.name)))


def version_of(connection: Connection) -> str | None:
    """Give the step that a database stands at, or None when it has no schema yet."""
    from sqlalchemy import inspect, text  # noqa: PLC0415

    if not inspect(connection).has_table(_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalar()  # noqa: S608 - a constant
    return None if found is None else str(found)


def migrate(engines: Engines, steps: Path = STEPS) -> None:
    """Bring the database to the last step; do nothing when it is there.

    Raises:
        UsageError: It stands at a step that this program does not know.
        SQLAlchemyError: As the database says.
    """
    wanted = newest(steps)
    with engines.read() as connection:
        if version_of(connection) == wanted:
            return
    with engines.write() as connection:
        locks.hold(connection, [locks.SCHEMA])
        locks.take_time(connection)
        found = version_of(connection)  # another process may have done it by now
        if found != wanted:
            _refuse_newer(found, wanted, engines.place.shown)
            _take_steps(connection, found, steps)


def require_schema(engines: Engines, steps: Path = STEPS) -> None:
    """See that the database stands at the last step, without changing it.

    Raises:
        NotFoundError: It has no schema.
        UsageError: It stands at another step.
    """
    wanted, shown = newest(steps), engines.place.shown
    with engines.read() as connection:
        found = version_of(connection)
    if found is None:
        remedy = "check the address; `otagate serve` makes it"
        raise NotFoundError("there is no telemetry in this database", shown, remedy=remedy)
    _refuse_newer(found, wanted, shown)
    if found != wanted:
        remedy = "start the server of this version once: it brings the database up to date"
        raise UsageError("the database is older than this program", shown, expected=wanted, found=found, remedy=remedy)


def _refuse_newer(found: str | None, wanted: str, shown: str) -> None:
    if found is not None and (not found.isdigit() or found > wanted):
        expected, remedy = f"schema {wanted} or older", "use the otagate that the database was last used with, or a newer one"
        raise UsageError(
            "the database is newer than this program", shown, expected=expected, found=f"schema {found}", remedy=remedy
        )


def _take_steps(connection: Connection, found: str | None, steps: Path) -> None:
    from alembic.migration import MigrationContext  # noqa: PLC0415
    from alembic.operations import Operations  # noqa: PLC0415

    scripts = _scripts(steps)
    context = MigrationContext.configure(connection, opts={"version_table": _TABLE})
    due = list(scripts.iterate_revisions("head", found or "base"))
    with Operations.context(context):
        for script in reversed(due):
            script.module.upgrade()
            context.stamp(scripts, script.revision)


def _scripts(steps: Path) -> ScriptDirectory:
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    return ScriptDirectory(str(steps), version_locations=[str(steps)])
