"""Two releases side by side: who was first seen with either at the same time, and is alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal_column, select

from otagate.telemetry.fold import PLAIN
from otagate.telemetry.interface import MAX_SIDE_BY_SIDE, CountQuery, SideBySide
from otagate.telemetry.model import Counts
from otagate.telemetry.read import bucket_at, wanted
from otagate.telemetry.tables import COUNTERS, RELEASES

_WIDTHS_S = (3_600, 6 * 3_600, 86_400, 7 * 86_400)
"""Hours are the finest: in five minutes few devices have company."""


def side_by_side(connection: Connection, query: CountQuery, control: str, most: int = MAX_SIDE_BY_SIDE) -> list[SideBySide]:
    """See Telemetry.side_by_side; ``most``: at most so many."""
    at, rows_of_two = COUNTERS.c.bucket, 2 * most
    for width_s in _WIDTHS_S:
        # Literals: a parameter in SELECT is another one than that in GROUP BY to PostgreSQL.
        start = at - at % literal_column(str(width_s))
        rows = connection.execute(_asked(query, control, func.min(start), (start,), rows_of_two + 1)).all()
        if len(rows) <= rows_of_two:
            return _paired(rows, query.release, control)
    whole: ColumnElement[Any] = literal_column(str(bucket_at(query.start)))
    return _paired(connection.execute(_asked(query, control, whole, (), rows_of_two)), query.release, control)


def _asked(
    query: CountQuery, control: str, start: ColumnElement[Any], by_time: tuple[ColumnElement[Any], ...], most: int
) -> Select[Any]:
    columns = COUNTERS.c
    by = (columns.platform, columns.plugin, RELEASES.c.version)
    return (
        select(start, *by, *(func.sum(columns[name]) for name in PLAIN))
        .join(RELEASES, RELEASES.c.id == columns.release_id)
        .where(RELEASES.c.version.in_((query.release, control)), *wanted(query))
        .group_by(*by_time, *by)
        .limit(most)
    )


def _paired(rows: Iterable[Row[Any]], release: str, control: str) -> list[SideBySide]:
    found: dict[tuple[int, str, str], dict[str, Counts]] = defaultdict(dict)
    for row in rows:
        start_s, platform, plugin, version, *sums = tuple(row)
        found[int(start_s), platform, plugin][version] = _counts(*map(int, sums))
    return [
        SideBySide(datetime.fromtimestamp(start_s, UTC), platform, plugin, both[release], both[control])
        for (start_s, platform, plugin), both in sorted(found.items())
        if all(version in both and both[version].devices > 0 for version in (release, control))
    ]


def _counts(*sums: int) -> Counts:
    named: dict[str, Any] = dict(zip(PLAIN, sums, strict=True))
    return Counts(**named)
