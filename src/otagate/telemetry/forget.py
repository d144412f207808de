"""Retention: devices that were not seen for long, counters of buckets before an instant, channels that nobody follows any more.

A device's progress goes with the device: were it removed while the device lives, the next event would count the device once
more. So a row may outlive its bucket's counter; ``counted_from`` says from which bucket on counters are kept, and rows of
buckets before it move no counter.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, delete, exists, func, insert, select

from otagate.telemetry import locks
from otagate.telemetry.fold import DAY_S, bucket_of
from otagate.telemetry.interface import CHOSEN
from otagate.telemetry.meta import raise_floor
from otagate.telemetry.model import BUCKET_S
from otagate.telemetry.record import KEYS, among
from otagate.telemetry.tables import ACTIVE, ASSIGNMENTS, COUNTERS, DEVICES, HEARD, PROGRESS, RELEASES
from otagate.telemetry.upsert import add

CHUNK = 5_000
"""Most rows of a table that one transaction removes: others wait for it."""
_HOUR_S = 3600


def forget(connection: Connection, before_s: int, chunk: int = CHUNK) -> int:
    """Remove one chunk of each kind; give how many rows went."""
    apps = connection.execute(select(RELEASES.c.app).union(select(DEVICES.c.app))).scalars()
    locks.hold(connection, [locks.ASSIGNMENTS, *map(locks.of_app, apps)])
    floor = raise_floor(connection, _floor(connection, before_s))
    return (
        _forget_devices(connection, before_s // _HOUR_S, chunk)
        + _forget_counters(connection, floor, chunk)
        + _forget_choices(connection, before_s, chunk)
        + _forget_rest(connection, before_s)
    )


def _floor(connection: Connection, before_s: int) -> int:
    """Give from which bucket on counters are kept: above what is there, and no further.

    A clock that was years ahead for a moment takes what there is; it must not keep everything after it from being counted.
    """
    newest = connection.execute(select(func.max(COUNTERS.c.bucket))).scalar()
    return 0 if newest is None else min(bucket_of(before_s), int(newest) + BUCKET_S)


def _forget_devices(connection: Connection, hour: int, chunk: int) -> int:
    columns = DEVICES.c
    sums: dict[tuple[Any, ...], int] = defaultdict(int)
    keys: dict[str, list[bytes]] = defaultdict(list)
    where = (columns.app, columns.seen, columns.channel, columns.running, columns.target, columns.platform, columns.is_test)
    for key, *mine in connection.execute(select(columns.key, *where).where(columns.seen < hour).limit(chunk)):
        keys[mine[0]].append(bytes(key))
        sums[tuple(mine)] -= 1
    gone = 0
    for app, mine_keys in keys.items():
        its_rows = delete(PROGRESS).where(among(connection, PROGRESS.c.key))
        itself = delete(DEVICES).where(columns.app == app, among(connection, columns.key))
        gone += sum(connection.execute(statement, {KEYS: mine_keys}).rowcount for statement in (its_rows, itself))
    add(connection, ACTIVE, [(*where, count) for where, count in sums.items()])
    return gone


def _forget_counters(connection: Connection, floor: int, chunk: int) -> int:
    columns = COUNTERS.c
    old = select(columns.release_id, columns.bucket).where(columns.bucket < floor).distinct().limit(chunk)
    gone = 0
    for release, bucket in connection.execute(old).all():
        gone += connection.execute(delete(COUNTERS).where(columns.release_id == release, columns.bucket == bucket)).rowcount
        if gone >= chunk:
            break
    return gone


def _forget_choices(connection: Connection, before_s: int, chunk: int) -> int:
    """Take back what devices chose that are gone; the news of it stays for a day, for servers that poll."""
    columns = ASSIGNMENTS.c
    is_device_there = exists().where(DEVICES.c.app == columns.app, DEVICES.c.key == columns.device)
    orphans = (
        select(columns.seq, columns.app, columns.device)
        .where(columns.kind == CHOSEN, columns.channel.is_not(None), columns.at_s < before_s, ~is_device_there)
        .limit(chunk)
    )
    found = connection.execute(orphans).all()
    for seq, app, device in found:
        connection.execute(delete(ASSIGNMENTS).where(columns.seq == seq))
        connection.execute(insert(ASSIGNMENTS).values(app=app, device=device, kind=CHOSEN, channel=None, at_s=before_s))
    return len(found)


def _forget_rest(connection: Connection, before_s: int) -> int:
    columns = ASSIGNMENTS.c
    news = delete(ASSIGNMENTS).where(columns.channel.is_(None), columns.at_s < before_s - DAY_S)
    empty = delete(ACTIVE).where(ACTIVE.c.n == 0, ACTIVE.c.hour < before_s // _HOUR_S)
    hours = delete(HEARD).where(HEARD.c.hour < before_s // _HOUR_S)
    return sum(connection.execute(statement).rowcount for statement in (news, empty, hours))
