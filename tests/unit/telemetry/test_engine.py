from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from otagate.errors import UsageError
from otagate.telemetry.engine import Engines, place_of

PASSWORD = "hunter2"


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    engines = Engines(place_of(f"sqlite:///{tmp_path}/t.db", {}, tmp_path))
    yield engines
    engines.close()


def test_addresses(tmp_path: Path) -> None:
    assert place_of("sqlite:////data/t.db", {}, tmp_path).path == Path("/data/t.db")
    assert place_of("sqlite:///t.db", {}, tmp_path).path == tmp_path / "t.db"
    (tmp_path / "url").write_text("postgres://u:hunter2@db.example/otagate\n")
    place = place_of("file:url", {}, tmp_path)
    assert (place.path, place.url.drivername, place.url.password) == (None, "postgresql+psycopg", PASSWORD)
    assert place.shown == "postgresql+psycopg://u:***@db.example/otagate"
    assert place_of("env:DB", {"DB": "postgresql://u@db.example/o"}, tmp_path).url.host == "db.example"
    assert place_of("postgresql://u@db.example/o", {}, tmp_path).url.username == "u"


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://u:hunter2@db.example/o",
        "postgresql://u@db.example/o?password=hunter2",
        "postgresql://u@db.example/o?sslpassword=hunter2",
        "mysql://u@db.example/hunter2",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:////data/t.db?mode=hunter2",
        "hunter2",
        "postgresql://u:hunter2@db.example:port/o",
        "",
        "env:NOT_SET",
        "file:missing",
    ],
)
def test_what_is_no_address_is_refused_and_no_password_shown(tmp_path: Path, address: str) -> None:
    with pytest.raises(UsageError) as caught:
        place_of(address, {}, tmp_path)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None or PASSWORD not in str(caught.value.__cause__)


@pytest.mark.parametrize(("module", "extra"), [("psycopg", "postgres"), ("sqlalchemy", "server")])
def test_a_part_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, module: str, extra: str) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == module else found(name))
    with pytest.raises(UsageError, match=rf"otagate\[{extra}\]"):
        place_of("postgresql://u@db.example/o", {}, Path())


def test_what_is_committed_is_synced_and_what_fails_is_undone(engines: Engines) -> None:
    with engines.write() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]

    def fails() -> None:
        with engines.write() as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fails()
    with engines.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM t")).scalar() == 0


def test_readers_do_not_wait_for_a_writer_and_a_writer_is_alone(engines: Engines) -> None:
    with engines.write() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with engines.write() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
        with engines.read() as reader:
            assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
        assert engines.place.path is not None
        other = sqlite3.connect(engines.place.path, timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()


def test_a_snapshot_sees_one_instant(engines: Engines) -> None:
    with engines.write() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with engines.read(is_snapshot=True) as reader:
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
        with engines.write() as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
        assert reader.execute(text("SELECT count(*) FROM t")).scalar() == 0
