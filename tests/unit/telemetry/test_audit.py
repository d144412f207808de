from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from otagate import _canonical
from otagate.telemetry import audit as module
from otagate.telemetry.audit import AuditLog
from otagate.telemetry.engine import Engines
from otagate.telemetry.token_tables import AUDIT, AUDIT_HEAD
from support.operators import NOW, new_database


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    engines = new_database(tmp_path / "a.db")
    yield engines
    engines.close()


@pytest.fixture
def log(engines: Engines) -> AuditLog:
    log = AuditLog(engines)
    for at in range(5):
        assert log.append("device.set", "token:aaaa", {"n": at, "ü": "é"}, NOW + timedelta(seconds=at)) == at + 1
    return log


def row(engines: Engines, seq: int) -> tuple[str, str]:
    with engines.read() as connection:
        entry, digest = connection.execute(sa.select(AUDIT.c.entry, AUDIT.c.digest).where(AUDIT.c.seq == seq)).one()
    return entry, digest


def write(engines: Engines, *statements: sa.Executable) -> None:
    with engines.write() as connection:
        for statement in statements:
            connection.execute(statement)


def test_entries_name_the_one_before(engines: Engines, log: AuditLog) -> None:
    first, second = (json.loads(row(engines, seq)[0]) for seq in (1, 2))
    assert (first["prev"], first["schema"], first["at"]) == (None, "otagate/audit/v1", "2026-11-21T09:30:00.000000Z")
    assert second["prev"] == hashlib.sha256(row(engines, 1)[0].encode()).hexdigest() == row(engines, 1)[1]


def test_a_whole_chain_holds_and_an_empty_one_too(engines: Engines, log: AuditLog, tmp_path: Path) -> None:
    empty = new_database(tmp_path / "empty.db")
    report = log.verify()
    assert (report.entries, report.head, report.problems) == (5, f"5:{row(engines, 5)[1]}", ())
    assert AuditLog(empty).verify() == module.AuditReport(0, None, ())
    empty.close()


def test_entries_and_the_newest(log: AuditLog) -> None:
    assert [entry.data["n"] for entry in log.entries()] == [0, 1, 2, 3, 4]
    assert [entry.seq for entry in log.entries(after=2, limit=2)] == [3, 4]
    assert [entry.seq for entry in log.newest(2)] == [4, 5]
    assert log.entries()[0].actor == "token:aaaa"


def test_a_changed_entry_shows(engines: Engines, log: AuditLog) -> None:
    forged = row(engines, 3)[0].replace('"n":2', '"n":9')
    write(engines, sa.update(AUDIT).where(AUDIT.c.seq == 3).values(entry=forged))
    assert log.verify().problems == (
        "entry 3 was changed: its digest does not fit",
        "entry 4 does not follow entry 3: one of them was changed",
    )


def test_a_changed_entry_shows_also_when_its_digest_was_changed_with_it(engines: Engines, log: AuditLog) -> None:
    forged = row(engines, 3)[0].replace('"n":2', '"n":9')
    digest = hashlib.sha256(forged.encode()).hexdigest()
    write(engines, sa.update(AUDIT).where(AUDIT.c.seq == 3).values(entry=forged, digest=digest))
    assert log.verify().problems == ("entry 4 does not follow entry 3: one of them was changed",)


def test_a_removed_entry_shows(engines: Engines, log: AuditLog) -> None:
    write(engines, sa.delete(AUDIT).where(AUDIT.c.seq.in_([2, 3])))
    assert log.verify().problems == ("entries 2 to 3 are missing",)


def test_missing_newest_entries_show(engines: Engines, log: AuditLog) -> None:
    write(engines, sa.delete(AUDIT).where(AUDIT.c.seq > 3))
    assert log.verify().problems == ("the head says that entry 5 is the newest, and 3 was found to be",)
    write(engines, sa.delete(AUDIT))
    assert log.verify().problems == ("the head says that entry 5 is the newest, and 0 was found to be",)


def test_a_head_that_was_set_back_shows(engines: Engines, log: AuditLog) -> None:
    write(engines, sa.update(AUDIT_HEAD).values(seq=3, digest=row(engines, 3)[1]))
    assert log.verify().problems == ("the head says that entry 3 is the newest, and 5 was found to be",)
    write(engines, sa.delete(AUDIT_HEAD))
    assert len(log.verify().problems) == 1


def test_entries_in_another_order_show(engines: Engines, log: AuditLog) -> None:
    (two, two_digest), (three, three_digest) = row(engines, 2), row(engines, 3)
    write(
        engines,
        sa.update(AUDIT).where(AUDIT.c.seq == 2).values(entry=three, digest=three_digest),
        sa.update(AUDIT).where(AUDIT.c.seq == 3).values(entry=two, digest=two_digest),
    )
    assert "entry 2 is no entry of that number" in log.verify().problems


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seq":3}', "not JSON", '{"seq":3,"seq":3}'])
def test_what_is_no_entry_shows_and_does_not_stop_the_others(engines: Engines, log: AuditLog, text: str) -> None:
    write(engines, sa.update(AUDIT).where(AUDIT.c.seq == 3).values(entry=text))
    assert "entry 3 is no entry of that number" in log.verify().problems
    assert [entry.seq for entry in log.entries()] == [1, 2, 4, 5]
    assert [entry.seq for entry in log.newest(3)] == [4, 5]


def test_a_chain_that_was_written_anew_shows_to_whoever_kept_a_head(engines: Engines, log: AuditLog) -> None:
    known = log.verify().head
    log.append("later", "server", {}, NOW)
    assert log.verify(known).problems == ()
    write(engines, sa.delete(AUDIT), sa.delete(AUDIT_HEAD))
    for _ in range(6):
        log.append("innocent", "server", {}, NOW)
    assert log.verify().problems == ()
    assert log.verify(known).problems == ("the head that you know is not in the chain: it was written anew",)


def test_long_chains_are_read_in_pieces(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 2)
    report = log.verify()
    assert (report.entries, report.problems) == (5, ())


def test_an_entry_that_is_added_while_the_chain_is_read_does_no_harm(
    engines: Engines, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, late = module._Walk.step, [True]

    def slow(walk: module._Walk, seq: int, text: str, digest: str) -> None:
        if late:
            late.clear()
            log.append("late", "server", {}, NOW)
        step(walk, seq, text, digest)

    monkeypatch.setattr(module._Walk, "step", slow)
    report = log.verify()
    assert (report.entries, report.problems, late) == (5, (), [])


def test_many_writers_make_one_chain(engines: Engines, log: AuditLog) -> None:
    def work() -> None:
        for _ in range(10):
            log.append("x", "server", {}, NOW)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = log.verify()
    assert (report.entries, report.problems) == (45, ())


def test_entries_are_canonical(engines: Engines, log: AuditLog) -> None:
    text = row(engines, 2)[0]
    assert _canonical.dumps(json.loads(text)).decode() == text
