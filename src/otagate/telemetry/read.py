"""What is asked of telemetry: sums over buckets and hours, and single devices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select, union

from otagate.telemetry.batch import HOUR_MS
from otagate.telemetry.fold import COUNTED, PLAIN, VERIFY_COLUMNS, bucket_of
from otagate.telemetry.interface import CHOSEN, OVERRIDE, Active, CountQuery, DeviceRow
from otagate.telemetry.model import BUCKET_S, Counts
from otagate.telemetry.tables import ACTIVE, ASSIGNMENTS, COUNTERS, DEVICES, RELEASES

_HOUR_S = HOUR_MS // 1000


def bucket_at(instant: datetime) -> int:
    """Give the start of the bucket that an instant lies in, Unix seconds."""
    return bucket_of(int(instant.timestamp()))


def hour_at(instant: datetime) -> int:
    """Give the hour since 1970 that an instant lies in."""
    return int(instant.timestamp()) // _HOUR_S


def counts(connection: Connection, query: CountQuery) -> Counts:
    """See Telemetry.counts."""
    columns = COUNTERS.c
    sums: list[ColumnElement[Any]] = [func.coalesce(func.sum(columns[name]), 0) for name in COUNTED]
    joined = select(func.max(columns.bucket), *sums).join(RELEASES, RELEASES.c.id == columns.release_id)
    return _counts(connection.execute(joined.where(RELEASES.c.version == query.release, *wanted(query))).one())


def wanted(query: CountQuery) -> list[ColumnElement[bool]]:
    """Say which rows of counters, joined with releases, a question is about; whichever release."""
    columns = COUNTERS.c
    limits: list[ColumnElement[bool]] = [
        RELEASES.c.app == query.app,
        columns.bucket >= bucket_at(query.start),
        columns.bucket < bucket_at(query.end),
        columns.is_test.is_(query.test),
    ]
    for column, value in (
        (columns.channel, query.channel),
        (columns.platform, query.platform),
        (columns.plugin, query.plugin),
    ):
        if value is not None:
            limits.append(column == value)
    return limits


def _counts(row: Row[Any]) -> Counts:
    newest = row[0]
    by_name = dict(zip(COUNTED, map(int, row[1:]), strict=True))
    verify = tuple(by_name[name] for name in VERIFY_COLUMNS)
    newest_at = None if newest is None else datetime.fromtimestamp(newest + BUCKET_S, UTC)
    return Counts(**{name: by_name[name] for name in PLAIN}, verify=verify, newest_at=newest_at)


def releases(connection: Connection, app: str, start: datetime, end: datetime) -> list[str]:
    """See Telemetry.releases."""
    newest = func.max(COUNTERS.c.bucket)
    asked = (
        select(RELEASES.c.version)
        .join(COUNTERS, COUNTERS.c.release_id == RELEASES.c.id)
        .where(RELEASES.c.app == app, COUNTERS.c.bucket >= bucket_at(start), COUNTERS.c.bucket < bucket_at(end))
        .group_by(RELEASES.c.version)
        .order_by(newest.desc(), RELEASES.c.version.desc())
    )
    return list(connection.execute(asked).scalars())


def active(connection: Connection, app: str, since: datetime) -> list[Active]:
    """See Telemetry.active."""
    columns = ACTIVE.c
    by = (columns.channel, columns.running, columns.platform)
    devices = func.sum(columns.n)
    asked = (
        select(*by, devices)
        .where(columns.app == app, columns.hour >= hour_at(since), columns.is_test.is_(False))
        .group_by(*by)
        .having(devices > 0)
        .order_by(*by)
    )
    return [Active(channel, running, platform, int(n)) for channel, running, platform, n in connection.execute(asked)]


def in_use(connection: Connection, app: str, since: datetime) -> set[str]:
    """See Telemetry.in_use."""
    seen = and_(ACTIVE.c.app == app, ACTIVE.c.hour >= hour_at(since), ACTIVE.c.n > 0)
    asked = union(select(ACTIVE.c.running).where(seen), select(ACTIVE.c.target).where(seen))
    return {version for version in connection.execute(asked).scalars() if version}


def device(connection: Connection, app: str, key: bytes) -> DeviceRow | None:
    """See Telemetry.device."""
    asked = _devices().where(DEVICES.c.app == app, DEVICES.c.key == key)
    row = connection.execute(asked).one_or_none()
    return None if row is None else _device(row)


def devices(connection: Connection, app: str, after: bytes, limit: int) -> list[DeviceRow]:
    """See Telemetry.devices."""
    asked = _devices().where(DEVICES.c.app == app, DEVICES.c.key > after).order_by(DEVICES.c.key).limit(limit)
    return [_device(row) for row in connection.execute(asked)]


def _devices() -> Select[Any]:
    override, chosen = (_own_channel(kind) for kind in (OVERRIDE, CHOSEN))
    return select(DEVICES, override.label("override"), chosen.label("chosen"))


def _own_channel(kind: str) -> Any:
    columns = ASSIGNMENTS.c
    mine = and_(columns.app == DEVICES.c.app, columns.device == DEVICES.c.key, columns.kind == kind)
    return select(columns.channel).where(mine).scalar_subquery()


def _device(row: Row[Any]) -> DeviceRow:
    fields = row._mapping  # noqa: SLF001 - public in spite of its name
    texts = {name: fields[name] for name in ("app", "platform", "plugin", "native", "channel", "running", "target")}
    seen = datetime.fromtimestamp(0, UTC) + timedelta(hours=fields["seen"])
    own = {name: fields[name] for name in ("override", "chosen")}
    return DeviceRow(**texts, **own, key=bytes(fields["key"]), is_test=bool(fields["is_test"]), seen=seen)
