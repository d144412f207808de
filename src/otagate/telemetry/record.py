"""One transaction that takes a batch in: rows move forward, and sums move by the difference between after and before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, Connection, LargeBinary, any_, bindparam, select

from otagate.telemetry import locks
from otagate.telemetry.batch import Batch, Dimensions, Row, State
from otagate.telemetry.fold import COUNTED, contribution, difference
from otagate.telemetry.meta import floor_of
from otagate.telemetry.model import Mark, Progress
from otagate.telemetry.names import Naming
from otagate.telemetry.tables import ACTIVE, COUNTERS, DEVICES, HEARD, PROGRESS
from otagate.telemetry.upsert import add, upsert

KEYS = "keys"
_KEYS_AT_ONCE = 500
_Sums = dict[tuple[Any, ...], int]


def take_in(connection: Connection, naming: Naming, batch: Batch) -> None:
    """Write a batch. The caller's transaction is the one that it is durable with."""
    locks.hold(connection, map(locks.of_app, batch.apps))
    _move_progress(connection, naming, batch)
    _move_devices(connection, naming, batch)


def _move_progress(connection: Connection, naming: Naming, batch: Batch) -> None:
    told = {(row_key[2], naming.release(*row_key[:2])): (row_key[0], row) for row_key, row in batch.rows.items()}
    if not told:
        return
    there = _progress_there(connection, told)
    floor, written = floor_of(connection), []
    sums: dict[tuple[Any, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (key, release), (app, row) in told.items():
        old, dimensions = there.get((key, release)) or (None, _bounded(naming, app, row))
        new = row.progress if old is None else old.join(row.progress)
        if new == old:
            continue
        written.append(_progress_row(key, release, new, dimensions))
        if dimensions.bucket >= floor:
            bucket = dimensions.bucket
            sum_ = sums[release, *dimensions]
            for name, count in difference(contribution(new, bucket), contribution(old, bucket)).items():
                sum_[name] += count
    upsert(connection, PROGRESS, written)
    add(connection, COUNTERS, list(_counter_rows(sums)))


def _bounded(naming: Naming, app: str, row: Row) -> Dimensions:
    told = row.dimensions
    plugin = naming.plugin(app, told.plugin)
    return told if plugin == told.plugin else told._replace(plugin=plugin)


def _bounded_state(naming: Naming, app: str, told: State) -> State:
    plugin = naming.plugin(app, told.plugin)
    running = naming.running(app, told.running) if told.running else ""
    is_same = plugin == told.plugin and running == told.running
    return told if is_same else told._replace(plugin=plugin, running=running)


def _progress_row(key: bytes, release: int, progress: Progress, dimensions: Dimensions) -> tuple[Any, ...]:
    instants = (progress.started_ms, progress.verified_ms, progress.success_s)
    return (key, release, int(progress.marks), *instants, *dimensions)


def _counter_rows(sums: Mapping[tuple[Any, ...], Mapping[str, int]]) -> Iterator[tuple[Any, ...]]:
    for where, counts in sorted(sums.items()):
        if any(counts.values()):
            yield (*where, *(counts.get(name, 0) for name in COUNTED))


def _progress_there(
    connection: Connection, told: Iterable[tuple[bytes, int]]
) -> dict[tuple[bytes, int], tuple[Progress, Dimensions]]:
    found = {}
    columns = PROGRESS.c
    releases = sorted({release for _, release in told})
    for keys in _chunks(sorted({key for key, _ in told})):
        asked = select(PROGRESS).where(among(connection, columns.key), columns.release_id.in_(releases))
        for key, release, marks, started, verified, success, *where in connection.execute(asked, {KEYS: keys}):
            found[key, release] = (Progress(Mark(marks), started, verified, success), Dimensions(*where))
    return found


def _move_devices(connection: Connection, naming: Naming, batch: Batch) -> None:
    there = _devices_there(connection, batch)
    written: list[tuple[Any, ...]] = []
    sums: _Sums = defaultdict(int)
    heard: _Sums = defaultdict(int)
    for (app, key), told in batch.states.items():
        old = there.get((app, key))
        new, seen = _moved(old, _bounded_state(naming, app, told))
        if old is not None and (new, seen) == old:
            continue
        written.append((key, app, seen, *new))
        sums[_active_key(app, new, seen)] += 1
        if old is not None:
            sums[_active_key(app, *old)] -= 1
        if (old is None or seen > old[1]) and not new.is_test:
            heard[app, seen, new.channel] += 1
    upsert(connection, DEVICES, written)
    add(connection, ACTIVE, [(*where, count) for where, count in sorted(sums.items()) if count])
    add(connection, HEARD, [(*where, count) for where, count in sorted(heard.items())])


def _moved(old: tuple[State, int] | None, told: State) -> tuple[State, int]:
    """Give a device's state and the hour it was seen in; the old ones when nothing of interest changed."""
    if old is None:
        return told, told.hour
    state, seen = old
    if told.told_ms < state.told_ms:  # late: it only tells what nobody told since
        filled = state.after(told)
        return filled, seen
    new = told.after(state)
    is_same = new[1:] == state[1:] and told.hour <= seen
    return old if is_same else (new, max(seen, told.hour))


def _active_key(app: str, state: State, seen: int) -> tuple[Any, ...]:
    return (app, seen, state.channel, state.running, state.target, state.platform, state.is_test)


def _devices_there(connection: Connection, batch: Batch) -> dict[tuple[str, bytes], tuple[State, int]]:
    by_app: dict[str, list[bytes]] = defaultdict(list)
    for app, key in batch.states:
        by_app[app].append(key)
    found = {}
    for app, all_keys in by_app.items():
        for keys in _chunks(sorted(all_keys)):
            asked = select(DEVICES).where(DEVICES.c.app == app, among(connection, DEVICES.c.key))
            for key, _, seen, *state in connection.execute(asked, {KEYS: keys}):
                found[app, key] = (State(*state), seen)
    return found


def among(connection: Connection, column: Column[bytes]) -> ColumnElement[bool]:
    """Ask for rows with one of the keys that are given with the statement as ``KEYS``: on PostgreSQL as one array."""
    if connection.dialect.name == "postgresql":
        return column == any_(bindparam(KEYS, type_=ARRAY(LargeBinary)))
    return column.in_(bindparam(KEYS, expanding=True))


def _chunks(keys: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[start : start + _KEYS_AT_ONCE]
