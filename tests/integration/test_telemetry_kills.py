"""Nothing that was acknowledged is lost and nothing is counted twice, however servers end; migrations end whole or not at all.

``OTAGATE_TEST_KILLS`` says how often, instead of the few times of the suite.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from otagate.telemetry.engine import Engines, place_of
from otagate.telemetry.interface import CountQuery
from otagate.telemetry.migrate import STEPS, migrate, newest, version_of
from otagate.telemetry.model import Counts, Mark, Progress
from otagate.telemetry.sql import SqlTelemetry, open_telemetry
from otagate.telemetry.tables import PROGRESS, RELEASES
from support.devices_told import APP, T0, key
from support.recount import audit_counters
from support.servers.postgres import new_database
from support.telemetry_processes import Processes, processes
from support.telemetry_worker import CLIENTS, deed
from support.telemetry_worker import RELEASES as VERSIONS

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get("OTAGATE_TEST_KILLS", "20"))
FAR = 10_000_000
SEEN = timedelta(days=1)


@pytest.fixture(scope="module")
def many() -> Iterator[Processes]:
    with processes() as started:
        yield started


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/telemetry.db"


def postgres_url(folder: Path) -> str:
    return new_database()


@dataclass
class Writer:
    """One server's clients; they send again what was not acknowledged, as phones do."""

    many: Processes
    url: str
    base: int
    out: Path
    pid: int = 0
    acknowledged: set[int] = field(default_factory=set)

    def start(self, end: int | None = None) -> None:
        self.pid = self.many.start(deed="write", url=self.url, first=self.first, end=end or self.base + FAR, out=str(self.out))

    def kill(self) -> None:
        assert self.many.kill(self.pid) == -9
        self.hear()

    def hear(self) -> None:
        if self.out.exists():  # a last line without its end was being written
            lines = self.out.read_text().splitlines(keepends=True)
            self.acknowledged = {int(line) for line in lines if line.endswith("\n")}

    @property
    def first(self) -> int:
        number = self.base
        while number in self.acknowledged:
            number += 1
        return number

    @property
    def end(self) -> int:
        """Give a number that nothing was sent above of."""
        return max(self.acknowledged, default=self.base) + 2 * CLIENTS


def marks_of(telemetry: SqlTelemetry) -> dict[tuple[bytes, str], Mark]:
    asked = select(PROGRESS.c.key, RELEASES.c.version, PROGRESS.c.marks).join(RELEASES, RELEASES.c.id == PROGRESS.c.release_id)
    with telemetry.engines.read() as connection:
        return {(bytes(key_), version): Mark(marks) for key_, version, marks in connection.execute(asked)}


def diary(numbers: set[int]) -> dict[tuple[bytes, str], Mark]:
    told: dict[tuple[bytes, str], Mark] = defaultdict(lambda: Mark(0))
    for number in numbers:
        device, release, mark = deed(number)
        told[key(device), release] |= mark
    return told


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("make_url", [sqlite_url, postgres_url])
def test_servers_that_are_killed_lose_nothing_that_they_acknowledged(
    many: Processes, tmp_path: Path, make_url: Callable[[Path], str]
) -> None:
    rnd, url = random.Random(20), make_url(tmp_path)
    telemetry = open_telemetry(url, {})
    writers = [Writer(many, url, me * FAR, tmp_path / f"out{me}") for me in range(2)]
    for writer in writers:
        writer.start()
    for _ in range(KILLS):
        time.sleep(rnd.uniform(0.02, 0.3))
        writer = rnd.choice(writers)
        writer.kill()
        there, promised = marks_of(telemetry), diary(writer.acknowledged)
        assert {what: mark for what, mark in promised.items() if mark not in there.get(what, Mark(0))} == {}
        writer.start()
    for writer in writers:
        writer.kill()
        writer.start(writer.end)
        assert many.wait(writer.pid) == 0
        writer.hear()
    everything = {number for writer in writers for number in range(writer.base, writer.first)}
    assert len(everything) > 10 * KILLS
    check_sums(telemetry, everything)
    telemetry.close()


def check_sums(telemetry: SqlTelemetry, sent: set[int]) -> None:
    """See that rows and counters are what the clients sent, and nothing else."""
    expected = diary(sent)
    assert marks_of(telemetry) == expected
    assert audit_counters(telemetry) == []
    for version in VERSIONS:
        rows = [Progress(marks) for (_, release), marks in expected.items() if release == version]
        outcomes = Counter(row.outcome.value for row in rows)
        found = telemetry.counts(CountQuery(APP, version, T0 - SEEN, T0 + SEEN))
        assert found == Counts(
            devices=len(rows),
            offered=sum(Mark.OFFERED in row.marks for row in rows),
            pending=outcomes["pending"],
            success=outcomes["success"],
            network=outcomes["network"],
            boot=outcomes["boot"],
            ran=sum(row.has_run for row in rows),
            crashed=sum(bool(row.marks & (Mark.CRASHED | Mark.BOOT)) for row in rows),
            adopted_24h=sum(Mark.OFFERED in row.marks and row.outcome.value == "success" for row in rows),
            newest_at=T0 + timedelta(minutes=5),
        )
    devices = {device for device, _ in expected}
    assert sum(one.devices for one in telemetry.active(APP, T0)) == len(devices)


NEXT_STEP = """
import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "{before}"


def upgrade():
    op.add_column("devices", sa.Column("colour", sa.Text))
    for number in range(20):
        op.create_table(f"of_tomorrow_{{number}}", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("UPDATE releases SET version = version || '+1'")
"""


@pytest.fixture
def tomorrow(tmp_path: Path) -> Path:
    steps = tmp_path / "steps"
    shutil.copytree(STEPS, steps, ignore=shutil.ignore_patterns("__pycache__"))
    (steps / "r9001_tomorrow.py").write_text(NEXT_STEP.format(before=newest()))
    return steps


def engines_at(url: str) -> Engines:
    return Engines(place_of(url, {}, Path()))


def version_and_releases(engines: Engines) -> tuple[str | None, list[str]]:
    with engines.read() as connection:
        return version_of(connection), list(connection.execute(text("SELECT version FROM releases")).scalars())


@pytest.mark.parametrize(("make_url", "kills"), [(sqlite_url, 20), (postgres_url, 8)])
def test_a_migration_that_is_killed_is_completed_by_the_next_start(
    many: Processes, tmp_path: Path, tomorrow: Path, make_url: Callable[[Path], str], kills: int
) -> None:
    rnd, undone = random.Random(21), 0
    for attempt in range(50 * kills):
        if attempt >= kills and undone:
            break
        folder = tmp_path / str(attempt)
        folder.mkdir()
        url = make_url(folder)
        engines = engines_at(url)
        migrate(engines)
        with engines.write() as connection:
            connection.execute(text("INSERT INTO releases (app, version) VALUES ('a', '1.0.0')"))
        pid = many.start(deed="migrate", url=url, steps=str(tomorrow))
        time.sleep(rnd.uniform(0.0, 0.06))
        many.kill(pid)
        after = version_and_releases(engines)
        assert after in ((newest(), ["1.0.0"]), ("9001", ["1.0.0+1"])), "all of it or nothing"
        undone += after[0] != "9001"
        migrate(engines, tomorrow)
        assert version_and_releases(engines) == ("9001", ["1.0.0+1"])
        engines.close()
    assert undone, "no kill came before the end: this test shows nothing"


@pytest.mark.parametrize("make_url", [sqlite_url, postgres_url])
def test_many_that_begin_at_once_migrate_once(
    many: Processes, tmp_path: Path, tomorrow: Path, make_url: Callable[[Path], str]
) -> None:
    url = make_url(tmp_path)
    started = [many.start(deed="migrate", url=url, steps=str(tomorrow)) for _ in range(5)]
    assert [many.wait(pid) for pid in started] == [0] * 5
    engines = engines_at(url)
    assert version_and_releases(engines) == ("9001", [])
    engines.close()
