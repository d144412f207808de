"""Tokens and audit over SQLite and over a real PostgreSQL, from several connections at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from otagate.errors import NotFoundError
from otagate.telemetry.engine import Engines, place_of
from otagate.telemetry.sql import SqlTelemetry, open_telemetry
from otagate.telemetry.token_store import TokenStore
from otagate.telemetry.token_tables import AUDIT
from otagate.telemetry.tokens import Limit, Verb
from support.operators import ACTOR, NOW, issue, scope
from support.servers import postgres

Open = Callable[[], TokenStore]


def each_at_once(count: int, work: Callable[[int], object]) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/t.db" if request.param == "sqlite" else postgres.new_database()


@pytest.fixture
def fresh(url: str, tmp_path: Path) -> Iterator[Open]:
    """Open the same database anew each time, as another process would."""
    opened: list[Engines] = []
    telemetry: SqlTelemetry = open_telemetry(url, {}, base=tmp_path)
    telemetry.close()

    def open_it() -> TokenStore:
        engines = Engines(place_of(url, {}, tmp_path))
        opened.append(engines)
        return TokenStore(engines)

    yield open_it
    for engines in opened:
        engines.close()


def test_a_token_s_life(fresh: Open) -> None:
    store, other = fresh(), fresh()
    wanted = scope(Verb.METRICS, apps=Limit.only("com.example.a_b"), channels=Limit.only("beta", "stable"))
    token, text = issue(store, wanted, timedelta(days=1))
    assert other.authenticate(text, NOW) == token
    assert other.use(token, "metrics.counts", {"app": "com.example.a_b", "allowed": True}, NOW)
    used = store.all()[0]
    assert (used.scope, used.last_used) == (wanted, NOW.replace(minute=0))
    assert other.revoke(token.id, actor=ACTOR, now=NOW)
    assert store.authenticate(text, NOW) is None
    assert not store.use(token, "metrics.counts", {}, NOW)
    assert not store.revoke(token.id, actor=ACTOR, now=NOW)
    with pytest.raises(NotFoundError):
        store.revoke("a" * 12, actor=ACTOR, now=NOW)
    assert store.audit.verify().problems == ()
    assert [entry.kind for entry in store.audit.entries()] == [
        "token.created",
        "metrics.counts",
        "token.revoked",
        "token.revoked",
    ]


def test_an_audit_by_many_at_once_is_one_chain(fresh: Open) -> None:
    """The first entry of all is written by several at once, too."""
    stores = [fresh() for _ in range(4)]
    each_at_once(4, lambda number: [stores[number].audit.append("x", f"n{number}", {"at": at}, NOW) for at in range(15)])
    report = stores[0].audit.verify()
    assert (report.entries, report.problems) == (60, ())
    assert {entry.actor for entry in stores[0].audit.entries()} == {"n0", "n1", "n2", "n3"}


def test_uses_makings_and_revocations_at_once_wait_for_each_other(fresh: Open) -> None:
    """None of them holds what another waits for while it waits for that one."""
    stores = [fresh() for _ in range(3)]
    tokens = [issue(stores[0])[0] for _ in range(5)]

    def work(number: int) -> None:
        store = stores[number]
        for token in tokens:
            if number == 0:
                store.revoke(token.id, actor=ACTOR, now=NOW)
            elif number == 1:
                store.use(token, "device.read", {}, NOW)
            else:
                issue(store)

    each_at_once(3, work)
    report = stores[0].audit.verify()
    assert report.problems == ()
    used = sum(entry.kind == "device.read" for entry in stores[0].audit.entries())
    assert report.entries == 5 + 5 + 5 + used
    assert sum(token.revoked is not None for token in stores[0].all()) == 5


def test_a_chain_that_is_added_to_while_it_is_checked_is_whole(fresh: Open) -> None:
    writer, reader = fresh(), fresh()
    writer.audit.append("first", "server", {}, NOW)
    done = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            try:
                for at in range(60):
                    writer.audit.append("x", "server", {"at": at}, NOW)
            finally:
                done.set()
        else:
            while not done.is_set():
                assert reader.audit.verify().problems == ()

    each_at_once(2, work)
    assert reader.audit.verify().entries == 61


def test_a_changed_entry_shows(fresh: Open) -> None:
    store = fresh()
    for at in range(3):
        store.audit.append("x", "server", {"n": at}, NOW)
    with store._engines.write() as connection:
        changed = sa.func.replace(AUDIT.c.entry, '"n":1', '"n":7')
        connection.execute(sa.update(AUDIT).where(AUDIT.c.seq == 2).values(entry=changed))
    assert len(store.audit.verify().problems) == 2
