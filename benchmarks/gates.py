"""How long one look takes: the six default gates, a contrast and a split, over a telemetry database with so many devices.

Run: python benchmarks/gates.py [--postgres] [--devices N ...] [--looks N] [--keep FOLDER]. Each database is filled in
bulk, with counters that agree with its rows; then every look opens it anew, as a reconcile does.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import psycopg

from otagate.gate.judge import GateResult, Look, LookKind, judge_all
from otagate.gate.measure import Subject, measure
from otagate.gate.sources.registry import open_sources
from otagate.policy.build import default_gates
from otagate.policy.model.gates import Action, GateSpec, Judgement, Split
from otagate.policy.model.sources import TelemetrySource, TelemetrySpec
from otagate.telemetry.fold import COUNTED, contribution
from otagate.telemetry.model import BUCKET_S, Mark, Progress
from otagate.telemetry.sql import open_telemetry
from otagate.telemetry.tables import ACTIVE_KEY, COUNTER_KEY
from support.servers.postgres import new_database

APP, CHANNEL, RELEASE, CONTROL = "com.example.app", "stable", "1.4.2", "1.4.1"
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
SOAK = timedelta(days=4)
SIZES = (1_000, 10_000_000)
_START_S = int((NOW - SOAK).timestamp()) // BUCKET_S * BUCKET_S
_BUCKETS = int(SOAK.total_seconds()) // BUCKET_S

# One row for each device and release. Most have success; some downloads broke off, some crashed, some told errors.
_MARKS = (
    "CASE WHEN i % 11 = 3 THEN 67 WHEN i % 211 = 5 THEN 1055 WHEN i % 307 = 7 THEN 2079 WHEN i % 401 = 9 THEN 271 ELSE 31 END"
)
# Multiplied by a large odd number and cut: a bucket must not go with the low digits of i, which say the rest.
_WHERE = f"""{_START_S} + {BUCKET_S} * (((CAST(i AS BIGINT) * 2654435761) / 65536) % {_BUCKETS})"""
_PLATFORM = "CASE WHEN (i / 4) % 5 < 3 THEN 'android' ELSE 'ios' END"
_PLUGIN = "CASE (i / 20) % 4 WHEN 0 THEN '7.30.1' WHEN 1 THEN '8.0.3' WHEN 2 THEN '8.50.0' ELSE '8.51.4' END"
_RELEASE = "CASE WHEN i % 4 = 0 THEN 2 ELSE 1 END"
_VERSION = f"CASE WHEN i % 11 = 3 THEN 'builtin' WHEN i % 4 = 0 THEN '{RELEASE}' ELSE '{CONTROL}' END"
_HOUR = f"{int(NOW.timestamp()) // 3600} - i % 48"
_TARGET = f"CASE WHEN i % 4 = 0 THEN '{RELEASE}' ELSE '{CONTROL}' END"
_MARKED = (31, 67, 271, 1055, 2079)
"""What :data:`_MARKS` gives: success; a broken download; a failed boot; success and a crash; success and an error."""


def _summed(name: str) -> str:
    """Give the SQL that sums a column of counters, as the rows count for it."""
    counted = []
    for marks in _MARKED:
        is_loaded, is_success = marks != 67, marks not in (67, 271)
        progress = Progress(Mark(marks), 0 if is_loaded else None, 7000 if is_loaded else None, 0 if is_success else None)
        counted += [str(marks)] if contribution(progress, 0).get(name) else []
    return f"SUM(CASE WHEN marks IN ({', '.join(counted)}) THEN 1 ELSE 0 END)" if counted else "0"


def statements(devices: int, *, is_postgres: bool) -> list[str]:
    """Give what fills a database that is empty but for its tables."""
    if is_postgres:
        numbers, key, no = f"generate_series(0, {devices - 1}) AS n(i)", "decode(lpad(to_hex(i), 32, '0'), 'hex')", "false"
    else:
        numbers = f"(WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {devices - 1}) SELECT i FROM n)"
        key, no = "CAST(printf('%016d', i) AS BLOB)", "0"
    sums = ", ".join(map(_summed, COUNTED))
    where = f"'{CHANNEL}', {_PLATFORM}, {_PLUGIN}"
    began, done = "CASE WHEN i % 11 = 3 THEN NULL ELSE 0 END", "CASE WHEN i % 11 = 3 THEN NULL ELSE 7000 END"
    success = f"CASE WHEN i % 11 = 3 OR {_MARKS} = 271 THEN NULL ELSE {_WHERE} END"
    told = f"({_HOUR}) * CAST(3600000 AS BIGINT)"
    progress = f"{key}, {_RELEASE}, {_MARKS}, {began}, {done}, {success}, {_WHERE}, {where}, 2500, {no}"
    device = f"{key}, '{APP}', {_HOUR}, {told}, {_VERSION}, {_TARGET}, {where}, '1.0.0', {no}"
    by = ", ".join(COUNTER_KEY)
    seen = ", ".join({"hour": "seen"}.get(name, name) for name in ACTIVE_KEY)
    return [
        f"INSERT INTO releases (id, app, version) VALUES (1, '{APP}', '{CONTROL}'), (2, '{APP}', '{RELEASE}')",
        f"INSERT INTO progress SELECT {progress} FROM {numbers}",
        f"INSERT INTO devices SELECT {device} FROM {numbers}",
        f"INSERT INTO counters SELECT {by}, {sums} FROM progress GROUP BY {by}",
        f"INSERT INTO active SELECT {seen}, COUNT(*) FROM devices GROUP BY {seen}",
    ]


def fill_sqlite(folder: Path, devices: int) -> str:
    file = folder / f"{devices}.db"
    url = f"sqlite:///{file}"
    if not file.exists():
        open_telemetry(url, {}).close()
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            for pragma in ("synchronous = OFF", "journal_mode = OFF", "temp_store = FILE", "cache_size = -500000"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN")
            for statement in statements(devices, is_postgres=False):
                connection.execute(statement)
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
    return url


def fill_postgres(_folder: Path, devices: int) -> str:
    url = new_database()
    open_telemetry(url, {}, secret=b"s" * 32).close()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in [*statements(devices, is_postgres=True), "ANALYZE"]:
            connection.execute(statement.encode())
    return url


def gates(url: str) -> tuple[GateSpec, ...]:
    """Give the default gates with two more, all over one database."""
    source = TelemetrySource(TelemetrySpec(database=url))
    contrast = GateSpec(
        "crash_vs_previous", max_increase=Decimal("0.5"), source=TelemetrySource(source.spec, metric="crash_rate")
    )
    split = GateSpec("split_check", split=Split.AT_MOST, action=Action.PAUSE, source=source)
    own = [replace(gate, source=source) for gate in default_gates()]
    return (*own, contrast, split)


def look(specs: tuple[GateSpec, ...], folder: Path) -> tuple[GateResult, ...]:
    """Measure and judge once, as a reconcile does."""
    subject = Subject(APP, CHANNEL, RELEASE, NOW - SOAK, 2500, control=CONTROL)
    readings = measure(specs, open_sources(specs, root=folder, environ={}), subject, settle=timedelta(0), now=NOW)
    at = Look(LookKind.PHASE_END, NOW - SOAK, NOW, SOAK, weight_bps=2500)
    return judge_all(specs, readings, look=at, judgement=Judgement(), gating_metrics=6, now=NOW)


def timed(specs: tuple[GateSpec, ...], folder: Path, looks: int) -> str:
    """Give the milliseconds of a look, and those of this process's processor; the first, which imports, is not among them."""
    wall, cpu = [], []
    for number in range(looks + 1):
        began, used = time.perf_counter(), time.process_time()
        look(specs, folder)
        if number:
            wall.append((time.perf_counter() - began) * 1000)
            cpu.append((time.process_time() - used) * 1000)
    return f"{statistics.median(wall):.1f} ({min(wall):.1f}-{max(wall):.1f}), CPU {statistics.median(cpu):.1f}"


def cells(specs: tuple[GateSpec, ...], folder: Path, looks: int) -> list[str]:
    verdicts = {one.metric: f"{one.verdict} {one.decisive.bad}/{one.decisive.total}" for one in look(specs, folder)}
    print(f"  {verdicts}", file=sys.stderr)
    return [timed(some, folder, looks) for some in (specs[:6], specs[6:7], specs[7:], specs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--devices", type=int, nargs="*", default=SIZES)
    parser.add_argument("--looks", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="a folder for SQLite's files, which are used again")
    args = parser.parse_args()
    fill: Callable[[Path, int], str] = fill_postgres if args.postgres else fill_sqlite
    print("| database | device rows | filled in s | six default gates, ms | contrast, ms | split, ms | all eight, ms |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        for devices in args.devices:
            began = time.monotonic()
            specs = gates(fill(folder, devices))
            kind = "PostgreSQL" if args.postgres else "SQLite"
            filled = f"{time.monotonic() - began:.0f}"
            print("| " + " | ".join([kind, f"{devices:,}", filled, *cells(specs, folder, args.looks)]) + " |", flush=True)


if __name__ == "__main__":
    main()
