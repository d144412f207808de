from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, text

from otagate._retry import Patience
from otagate.errors import NotFoundError, OtagateError, UnavailableError, UsageError, VerificationError
from otagate.telemetry.interface import CountQuery, RowsRefusedError
from otagate.telemetry.model import Mark, Observation
from otagate.telemetry.sql import SqlTelemetry, device_secret, open_telemetry
from support.devices_told import APP, T0, key, told
from support.recount import audit_counters

SECRET = b"s" * 32
SHORT = Patience(total=0.2, first=0.01, longest=0.01)


def url(folder: Path) -> str:
    return f"sqlite:///{folder}/t.db"


def devices(telemetry: SqlTelemetry, release: str = "1.1.0") -> int:
    from datetime import timedelta

    return telemetry.counts(CountQuery(APP, release, T0 - timedelta(days=1), T0 + timedelta(days=1))).devices


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[SqlTelemetry]:
    telemetry = open_telemetry(url(tmp_path), {}, secret=SECRET, patience=SHORT)
    yield telemetry
    telemetry.close()


def test_another_secret_is_refused_before_anything_is_served(telemetry: SqlTelemetry, tmp_path: Path) -> None:
    for _ in range(2):
        open_telemetry(url(tmp_path), {}, secret=SECRET).close()
    with pytest.raises(UsageError, match="not the secret") as caught:
        open_telemetry(url(tmp_path), {}, secret=b"x" * 32)
    assert caught.value.exit_code == 2
    open_telemetry(url(tmp_path), {}, is_made=False).close()


def test_reading_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        open_telemetry(url(tmp_path), {}, is_made=False)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFoundError, match="check the path"):
        open_telemetry(url(tmp_path / "missing"), {})


def test_only_its_owner_can_read_the_database(telemetry: SqlTelemetry, tmp_path: Path) -> None:
    telemetry.record([told(Mark.OFFERED)])
    assert {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {
        "t.db": 0,
        "t.db-wal": 0,
        "t.db-shm": 0,
    }


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 100])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.db").write_bytes(content)
    with pytest.raises(VerificationError):
        open_telemetry(url(tmp_path), {}, patience=SHORT)
    assert (tmp_path / "t.db").read_bytes() == content


def test_somebody_else_s_database_is_left_alone(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "t.db")
    other.execute("CREATE TABLE devices (x)")
    other.close()
    with pytest.raises(VerificationError, match="already exists"):
        open_telemetry(url(tmp_path), {}, patience=SHORT)


def test_a_secret_beside_the_file_or_from_a_reference(tmp_path: Path) -> None:
    made = device_secret("sqlite:///t.db", None, {}, tmp_path)
    assert made == device_secret("sqlite:///t.db", None, {}, tmp_path)
    assert (tmp_path / "t.db.secret").is_file()
    assert device_secret("sqlite:///t.db", "env:S", {"S": SECRET.hex()}, tmp_path) == SECRET
    with pytest.raises(UsageError, match="PostgreSQL needs a secret"):
        device_secret("postgresql://u@db.example/o", None, {}, tmp_path)


def test_a_full_disk_is_told_and_passes(telemetry: SqlTelemetry) -> None:
    telemetry.record([told(Mark.OFFERED)])
    with telemetry.engines.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    many = [told(Mark.OFFERED, number) for number in range(2000)]
    with pytest.raises(UnavailableError, match="disk is full"):
        telemetry.record(many)
    assert devices(telemetry) == 1
    with telemetry.engines.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    telemetry.record(many)
    assert devices(telemetry) == 2000
    assert audit_counters(telemetry) == []


def test_a_database_that_stays_busy_is_waited_for_and_then_told(tmp_path: Path, telemetry: SqlTelemetry) -> None:
    with telemetry.engines.write() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(tmp_path / "t.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="busy"):
        telemetry.record([told(Mark.OFFERED)])
    timer = threading.Timer(0.05, other.rollback)
    timer.start()
    telemetry.record([told(Mark.OFFERED)])
    timer.join()
    other.close()
    assert devices(telemetry) == 1


def test_what_was_looked_up_in_a_transaction_that_failed_is_not_believed(telemetry: SqlTelemetry) -> None:
    def fails(*_: object) -> None:
        raise OverflowError

    event.listen(telemetry.engines._writer, "commit", fails)
    with pytest.raises(RowsRefusedError):
        telemetry.record([told(Mark.OFFERED, plugin="7.0.0")])
    event.remove(telemetry.engines._writer, "commit", fails)
    telemetry.record([told(Mark.OFFERED, 2, release="2.0.0", plugin="6.0.0")])
    telemetry.record([told(Mark.OFFERED, plugin="7.0.0")])
    assert (devices(telemetry), devices(telemetry, "2.0.0")) == (1, 1)
    assert audit_counters(telemetry) == []


def test_damage_is_told(telemetry: SqlTelemetry) -> None:
    telemetry.record([told(Mark.OFFERED)])
    with telemetry.engines.write() as connection:
        connection.execute(text("INSERT INTO meta VALUES ('counted_from', 'soon')"))
    with pytest.raises(VerificationError, match="counted_from"):
        telemetry.record([told(Mark.OFFERED, 2)])
    with telemetry.engines.write() as connection:
        connection.execute(text("DROP TABLE counters"))
    with pytest.raises(VerificationError):
        devices(telemetry)


def test_sums_that_are_not_what_the_rows_say_are_found(telemetry: SqlTelemetry) -> None:
    telemetry.record([told(Mark.OFFERED), told(Mark.READY, 2)])
    assert audit_counters(telemetry) == []
    with telemetry.engines.write() as connection:
        connection.execute(text("UPDATE counters SET success = 3"))
        connection.execute(text("UPDATE active SET n = n + 1"))
    found = audit_counters(telemetry)
    assert len(found) == 2
    assert "success is 3, the rows say 1" in found[0]
    assert found[1].startswith("active ")
    assert "n is 3, the rows say 2" in found[1]


def test_a_device_costs_at_most_one_write_an_hour_while_it_says_the_same(telemetry: SqlTelemetry) -> None:
    written: list[str] = []

    def heard(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            written.append(statement.split()[2])

    def check(after: int) -> Observation:
        return told(Mark.RAN, running="1.1.0", target="1.1.0", after=after)

    telemetry.record([check(0)])
    event.listen(telemetry.engines._writer, "before_cursor_execute", heard)
    for minute in range(1, 60):
        telemetry.record([check(minute * 60)])
    assert written == []
    telemetry.record([check(3600)])
    assert written == ["devices", "active", "heard"]


def test_reading_waits_for_nobody_and_writing_of_many_threads_is_in_turn(telemetry: SqlTelemetry) -> None:
    errors: list[OtagateError] = []

    def work(me: int) -> None:
        try:
            for number in range(20):
                telemetry.record([told(Mark.OFFERED, me * 100 + number), told(Mark.READY, number)])
                telemetry.device(APP, key(number))
        except OtagateError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert devices(telemetry) == 80
    assert audit_counters(telemetry) == []
