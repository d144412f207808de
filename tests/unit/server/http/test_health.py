from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from otagate.server.http import health as module
from otagate.server.http.app import UpdateApp
from otagate.server.http.health import Health
from otagate.server.http.options import HttpOptions
from otagate.server.transport.limits import Limits, Traffic
from support.served import NOON, Client, Database, Got, Views, World


def serve(world: World, **state: Any) -> Client:
    return Client(UpdateApp(world.parts(), HttpOptions(stale_s=60)), state=state or None)


def test_a_server_that_is_well_says_so() -> None:
    got = serve(World()).get("/healthz")
    assert (got.status, got.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(("age", "status"), [(0.0, 200), (60.0, 200), (60.1, 503), (float("inf"), 503)])
def test_a_server_that_has_not_heard_of_rollbacks_is_not_asked(age: float, status: int) -> None:
    world = World()
    world.catalog.age = age
    got = serve(world).get("/healthz")
    assert got.status == status
    if status == 503:
        assert got.json()["reasons"] == ["catalog"]
        assert int(got.headers["retry-after"]) > 0


def test_a_server_without_a_database_is_not_asked() -> None:
    world = World()
    world.database.is_away = True
    got = serve(world).get("/healthz")
    assert (got.status, got.json()["reasons"]) == (503, ["database"])
    assert got.json().keys() >= {"error", "message"}


def test_a_server_that_ends_is_not_asked() -> None:
    traffic = Traffic(Limits())
    client = serve(World(), traffic=traffic)
    assert client.get("/healthz").status == 200
    traffic.is_draining = True
    assert client.get("/healthz").json()["reasons"] == ["draining"]


def test_asking_often_costs_the_database_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    client = serve(world)
    assert {client.get("/healthz").status for _ in range(50)} == {200}
    assert world.database.asked == 1
    monkeypatch.setattr(module, "KEPT_S", 0.0)
    world.database.is_away = True
    assert client.get("/healthz").status == 503
    assert world.database.asked == 2


def test_a_database_that_hangs_does_not_hold_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.01)
    go_on = threading.Event()

    class Hanging(Database):
        def assignments(self, after: int, limit: int = 10_000) -> list[Any]:
            go_on.wait(10)
            return []

    async def ask() -> list[int]:
        health = Health(Views(), Hanging(), 60)  # type: ignore[arg-type]
        found = [(await health.answer(NOON, is_draining=False)).status for _ in range(3)]
        go_on.set()
        health.stop()
        return found

    assert asyncio.run(ask()) == [503, 503, 503]


def test_a_process_lives_also_when_nothing_answers_it() -> None:
    world = World()
    world.database.is_away, world.catalog.age = True, float("inf")
    client = serve(world)
    assert client.get("/livez").json() == {"status": "ok"}
    head = client("HEAD", "/livez")
    assert isinstance(head, Got)
    assert (head.status, head.body) == (200, b"")
