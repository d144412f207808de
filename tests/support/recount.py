"""Whether the sums of telemetry are what its rows say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, func, select

from otagate.telemetry.batch import Dimensions
from otagate.telemetry.fold import COUNTED, contribution
from otagate.telemetry.meta import floor_of
from otagate.telemetry.model import Mark, Progress
from otagate.telemetry.sql import SqlTelemetry
from otagate.telemetry.tables import ACTIVE, ACTIVE_KEY, COUNTER_KEY, COUNTERS, DEVICES, PROGRESS

_ROWS_AT_ONCE = 5_000
_Sums = dict[tuple[Any, ...], Counter[str]]


def audit_counters(telemetry: SqlTelemetry) -> list[str]:
    """Reckon all sums anew from the rows; give a line for each that is another."""
    with telemetry.engines.read(is_snapshot=True) as connection:
        return _all_differences(connection)


def _all_differences(connection: Connection) -> list[str]:
    floor = floor_of(connection)
    return [
        *_differences("counters", _counters_due(connection, floor), _counters_there(connection, floor)),
        *_active(connection),
    ]


def _counters_due(connection: Connection, floor: int) -> _Sums:
    sums: _Sums = defaultdict(Counter)
    rows = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(select(PROGRESS))
    for _, release, marks, started, verified, success, *where in rows:
        dimensions = Dimensions(*where)
        if dimensions.bucket >= floor:
            progress = Progress(Mark(marks), started, verified, success)
            sums[release, *dimensions].update(contribution(progress, dimensions.bucket))
    return sums


def _counters_there(connection: Connection, floor: int) -> _Sums:
    width = len(COUNTER_KEY)
    rows = connection.execute(select(COUNTERS).where(COUNTERS.c.bucket >= floor)).all()
    return {tuple(row[:width]): Counter(dict(zip(COUNTED, row[width:], strict=True))) for row in rows}


def _active(connection: Connection) -> Iterator[str]:
    columns = DEVICES.c
    by = tuple(columns[{"hour": "seen"}.get(name, name)] for name in ACTIVE_KEY)
    due = {tuple(row[:-1]): Counter(n=row[-1]) for row in connection.execute(select(*by, func.count()).group_by(*by))}
    there = {tuple(row[:-1]): Counter(n=row[-1]) for row in connection.execute(select(ACTIVE))}
    return _differences("active", due, there)


def _differences(table: str, due: _Sums, there: _Sums) -> Iterator[str]:
    for where in sorted({*due, *there}):
        must, found = due.get(where, Counter()), there.get(where, Counter())
        for name in sorted({*must, *found}):
            if must[name] != found[name]:
                yield f"{table} {where}: {name} is {found[name]}, the rows say {must[name]}"
