from __future__ import annotations

import asyncio
import json
import logging
import threading
from dataclasses import replace
from typing import Any

import pytest

from otagate.errors import UnavailableError, VerificationError
from otagate.model import Version
from otagate.release.repository import PublishedRelease
from otagate.server.admin.api import ROUTES as ADMIN_ROUTES
from otagate.server.http import handlers
from otagate.server.http.app import UpdateApp
from otagate.server.http.options import HttpOptions
from otagate.server.http.rates import Limits, Rate
from otagate.server.http.routes import ROUTES, Kind
from otagate.server.interface import Reply
from otagate.server.learning import Learner
from otagate.telemetry.engine import READERS
from support.served import APP, DIGEST, Client, Got, World, device, ref, release, view

EVENT = device(action="app_launch_ready", version_name="1.2.0", timestamp=1)


def serve(world: World | None = None, options: HttpOptions | None = None, **changes: Any) -> Client:
    return Client(UpdateApp((world or World()).parts(**changes), options))


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.message, getattr(record, "route", "")) for record in caplog.records]


def counted(client: Client, line: str) -> bool:
    page = client.get("/metrics", authorization="Bearer good").body.decode()
    return line in page.splitlines()


def test_an_update_check_is_answered() -> None:
    world = World()
    got = serve(world).post("/updates", device())
    assert got.status == 200
    assert got.json() == {
        "version": "1.2.0",
        "url": f"https://updates.example.com/bundles/sha256/{DIGEST.hex}",
        "session_key": "aXY=:a2V5",
        "checksum": "ab",
    }
    assert got.headers["content-type"] == "application/json"
    assert got.headers["cache-control"] == "no-store"
    assert int(got.headers["content-length"]) == len(got.body)
    assert [one.release for one in world.intake.later_ones] == ["1.2.0"]
    assert not world.intake.durable_ones


def test_the_operator_s_address_is_the_base_of_links() -> None:
    got = serve(base_url="https://ota.example.org/x").post("/updates", device())
    assert got.json()["url"] == f"https://ota.example.org/x/bundles/sha256/{DIGEST.hex}"


def test_an_update_check_does_not_wait_for_a_full_queue_and_what_was_dropped_is_counted() -> None:
    world = World()
    world.intake.is_full = True
    client = serve(world)
    assert client.post("/updates", device()).status == 200
    assert counted(client, "otagate_observations_dropped_total 1.0")


def test_events_are_durable_before_they_are_acknowledged() -> None:
    world = World()
    client = serve(world)
    assert client.post("/stats", EVENT).json() == {"status": "ok"}
    assert len(world.intake.durable_ones) == 1
    got = client.post("/stats", [EVENT, {**EVENT, "action": 5}, EVENT])
    assert [result["status"] for result in got.json()["results"]] == ["ok", "error", "ok"]
    assert len(world.intake.durable_ones) == 3
    assert counted(client, 'otagate_refused_total{reason="invalid_event"} 1.0')


def test_a_full_queue_and_a_database_that_is_away_are_503_and_never_a_silent_loss(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    client = serve(world)
    world.intake.is_full = True
    full = client.post("/stats", EVENT)
    world.intake.is_full, world.intake.is_away = False, True
    away = client.post("/stats", EVENT)
    assert (full.status, away.status) == (503, 503)
    assert 2 <= int(full.headers["retry-after"]) <= 10
    assert 5 <= int(away.headers["retry-after"]) <= 30
    assert full.json()["error"] == away.json()["error"] == "unavailable"
    assert counted(client, 'otagate_refused_total{reason="intake_full"} 1.0')
    assert ("unavailable", "stats") in logged(caplog)


def test_events_of_an_app_that_is_not_served_are_told_to_wait() -> None:
    got = serve().post("/stats", device(app_id="com.example.other", action="set"))
    assert got.status == 429
    assert int(got.headers["retry-after"]) > 0


def test_a_device_s_choice_is_durable_before_it_is_acknowledged() -> None:
    world = World()
    world.catalog.apps = [view()]
    client = serve(world)
    old = {"plugin_version": "7.0.0"}
    assert client.post("/channel_self", device(**old, channel="stable")).json()["status"] == "ok"
    assert len(world.choices.chosen) == 1
    world.choices.is_away = True
    assert client.post("/channel_self", device(**old, channel="stable")).status == 503


def test_channel_self_takes_a_query_too() -> None:
    client = serve()
    query = "&".join(f"{name}={str(value).lower()}" for name, value in device().items())
    listed = client.get(f"/channel_self?{query}")
    assert [channel["name"] for channel in listed.json()] == ["stable"]
    told = client("PUT", "/channel_self", json_body=device())
    assert told is not None
    assert told.json()["channel"] == "stable"
    unset = client("DELETE", f"/channel_self?{query}")
    assert unset is not None
    assert unset.json() == {"status": "ok"}
    with_body = client("DELETE", "/channel_self", json_body=device())  # as plugins before x.34 do on Android
    assert with_body is not None
    assert with_body.json() == {"status": "ok"}
    assert client.get("/channel_self?a=%ff").json()["error"] == "invalid_query"


@pytest.mark.parametrize("path", ["/updates", "/stats", "/channel_self"])
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"null", {}, 400),
        (b"[]", {}, None),
        (b"[1]", {}, None),
        (b'"text"', {}, 400),
        (b"{}", {}, 400),
        (b"[" * 60_000, {}, 400),
        (b'{"app_id": NaN}', {}, 400),
        (b'{"app_id": "\xff"}', {}, 400),
        (b'{"app_id": "\\ud800.x", "device_id": "\\u0000"}', {}, 400),
        (b"{" + b" " * 530_000 + b"}", {}, 413),
        (b"{}", {"content-length": "100000000"}, 413),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {"content-encoding": "gzip"}, 415),
        (json.dumps(device(app_id="x" * 60_000)).encode(), {}, 400),
        (json.dumps(device(device_id=["a"])).encode(), {}, 400),
        (json.dumps(device(plugin_version="4.0.0", is_prod="yes")).encode(), {}, 400),
        (json.dumps(device(version_build={"a": 1}, action={})).encode(), {}, 400),
    ],
)
def test_hostile_bodies_are_told_no_in_json(path: str, body: bytes, headers: dict[str, str], status: int | None) -> None:
    got = serve()("POST", path, body, headers=headers)
    assert got is not None
    assert got.status == status or (status is None and got.status in (200, 400))
    if got.status != 200:
        assert got.json().keys() >= {"error", "message"}


def test_bodies_come_in_pieces_and_without_a_type() -> None:
    raw = json.dumps(device()).encode()
    got = serve()("POST", "/updates", [raw[:10], raw[10:11], b"", raw[11:]])
    assert got is not None
    assert got.json()["version"] == "1.2.0"


def test_a_client_that_goes_away_gets_nothing() -> None:
    client = serve()
    assert client("POST", "/updates", [b"{"], hangs_up=True) is None
    assert counted(client, 'otagate_refused_total{reason="client_gone"} 1.0')


@pytest.mark.parametrize(
    "path", ["/", "/update", "/updates/", "/bundles", "/bundles/", "/api/v1/", "/api/v1/tokens", "/../updates", "*"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "TRACE"])
def test_a_path_that_is_not_there(path: str, method: str) -> None:
    got = serve()(method, path)
    assert got is not None
    assert got.status == 404
    assert got.json() == {"error": "not_found", "message": "There is nothing here"}


@pytest.mark.parametrize("path", [*ROUTES, f"/bundles/sha256/{DIGEST.hex}"])
@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PATCH", "FOO", "get", "HEAD", "PUT", "DELETE"])
def test_a_method_that_is_not_there_touches_nothing(path: str, method: str) -> None:
    route = ROUTES.get(path)
    allowed = route.methods if route is not None else {"GET", "HEAD"}
    if method in allowed:
        return
    world = World()
    got = Client(UpdateApp(world.parts()))(method, path, b"{")
    assert got is not None
    assert got.status == 405
    assert set(got.headers["allow"].split(", ")) == allowed
    assert not world.admin.requests
    assert not world.database.asked
    if method != "HEAD":
        assert got.json()["error"] == "method_not_allowed"


def test_the_operators_side_has_the_routes_that_are_passed_on() -> None:
    ours = {path: route.methods for path, route in ROUTES.items() if route.kind in (Kind.DEVICE, Kind.API)}
    assert ours.pop("/device/") == ours["/device"]
    assert ours == {path: set(methods) for path, methods in ADMIN_ROUTES.items()}


def test_operators_requests_are_passed_on_whole() -> None:
    world = World()
    client = serve(world)
    got = client("GET", "/device?app_id=a.b&device_id=%C3%A9", b"", headers={"Authorization": "otg_x", "X": "\xe9"})
    assert got is not None
    assert got.json() == {"status": "ok"}
    asked = world.admin.requests[0]
    assert (asked.method, asked.path, dict(asked.query), asked.body) == (
        "GET",
        "/device",
        {"app_id": "a.b", "device_id": "é"},
        None,
    )
    assert asked.headers["authorization"] == "otg_x"
    assert asked.peer == "192.0.2.1"
    assert "otg_x" not in repr(asked)
    client("DELETE", "/device", b'{"app_id": "a.b"}', headers={"content-type": "application/json"})
    assert world.admin.requests[1].body == {"app_id": "a.b"}
    refused = client("POST", "/device", b"app_id=a.b", headers={"content-type": "application/x-www-form-urlencoded"})
    assert refused is not None
    assert refused.status == 415


def test_a_refused_operator_is_told_how_to_authenticate() -> None:
    world = World()
    world.admin.reply = Reply(401, {"error": "invalid_apikey", "message": "no"}, note="admin_unauthorized")
    got = serve(world).get("/api/v1/in-use?app=a.b")
    assert got.status == 401
    assert got.headers["www-authenticate"].startswith("Bearer")


class Broken:
    """A service with a bug, whose message holds what a device sent."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def updates(self, body: Any, now: Any, base: str) -> Reply:
        raise self.error

    stats = channel_self = updates


@pytest.mark.parametrize("error", [ValueError("secret device"), RecursionError(), VerificationError("secret device")])
def test_a_bug_is_a_500_without_a_word_about_it(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    client = serve(service=Broken(error))
    with caplog.at_level(logging.ERROR):
        got = client.post("/updates", device())
    assert got.status == 500
    assert got.json() == {"error": "internal", "message": "Something went wrong; it was logged"}
    told = next(record.__dict__ for record in caplog.records if record.message == "internal_error")
    assert (told["route"], told["reason"]) == ("updates", type(error).__name__)
    assert "test_app.py:" in told["detail"]
    assert "secret device" not in repr([record.__dict__ for record in caplog.records])
    assert "Traceback" not in caplog.text
    assert counted(client, 'otagate_requests_total{route="updates",status="500"} 1.0')
    assert serve().post("/updates", device()).status == 200


def test_what_the_store_or_database_says_stays_inside(caplog: pytest.LogCaptureFixture) -> None:
    error = UnavailableError("the database does not answer", "postgres://user:password@host")
    got = serve(service=Broken(error)).post("/updates", device())
    assert got.status == 503
    assert "postgres" not in got.body.decode() + repr([record.__dict__ for record in caplog.records])


def test_refusals_are_logged_without_a_word_about_who_was_refused(caplog: pytest.LogCaptureFixture) -> None:
    client = serve(options=limited(0.1, 3))
    with caplog.at_level(logging.INFO):
        client.post("/updates", device())
        client.post("/updates", device(platform="secret"))
        client.get("/secret")
        client("POST", "/updates", b"{")
        client.post("/updates", device())
    told = [record.__dict__ for record in caplog.records]
    assert [(one["message"], one["route"], one["status"], one["note"]) for one in told] == [
        ("refused", "updates", 400, "invalid_request"),
        ("refused", "unknown", 404, "not_found"),
        ("refused", "updates", 400, "invalid_json"),
    ]
    assert "secret" not in repr(told)
    assert "192.0.2" not in repr(told)


def test_a_database_that_hangs_holds_up_reports_for_a_while_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "_DURABLE_S", 0.2)
    world = World()
    client = serve(world, HttpOptions(reports=2))
    world.intake.hangs = True

    async def crowd() -> list[Got | None]:
        waiting = [asyncio.create_task(client.ask("POST", "/stats", json_body=EVENT)) for _ in range(2)]
        await asyncio.sleep(0)
        return [
            await client.ask("POST", "/stats", json_body=EVENT),
            await client.ask("POST", "/updates", json_body=device()),
            *await asyncio.gather(*waiting),
        ]

    told = [got for got in asyncio.run(crowd()) if got is not None]
    assert [got.status for got in told] == [503, 200, 503, 503]
    assert [got.json().get("error") for got in told] == ["unavailable", None, "unavailable", "unavailable"]
    assert counted(client, 'otagate_refused_total{reason="intake_full"} 1.0')
    world.intake.hangs = False
    assert [client.post("/stats", EVENT).status for _ in range(3)] == [200, 200, 200]


def test_calls_never_hold_all_connections_to_the_database() -> None:
    assert handlers._DATABASE_THREADS + 2 <= 1 + READERS


@pytest.mark.parametrize("in_flight", [1, 8, 512])
def test_most_requests_in_flight_may_wait_but_never_all(in_flight: int) -> None:
    options = HttpOptions.within(in_flight, limits=Limits(), stale_s=60)
    shares = options.downloads, options.reports, options.blocking
    assert min(shares) >= 1
    assert sum(shares) < in_flight or in_flight < 8


def limited(per_s: float = 1, burst: int = 2, app: Rate | None = None) -> HttpOptions:
    return HttpOptions(limits=Limits.of(Rate(per_s, burst), app or Rate(0)))


def test_an_address_that_asks_too_often_is_told_when_to_return() -> None:
    client = serve(options=limited(0.1))
    assert [client.post("/updates", device()).status for _ in range(3)] == [200, 200, 429]
    got = client.post("/updates", device(device_id="6ba7b810-9dad-11d1-80b4-00c04fd430c9"))
    assert got.status == 429
    assert got.json()["error"] == "too_many_requests"
    assert got.json()["moreInfo"]["retryAfterSeconds"] == int(got.headers["retry-after"])
    assert 9 < int(got.headers["retry-after"]) <= 15
    assert client.post("/stats", EVENT).status == 200
    client.peer = "192.0.2.2"
    assert client.post("/updates", device()).status == 200
    assert counted(client, 'otagate_answers_total{note="too_many_requests",route="updates"} 2.0')


def test_bodies_of_those_who_ask_too_often_are_not_read() -> None:
    client = serve(options=limited(0.1, 1))
    assert client("POST", "/updates", [b"x"], hangs_up=True) is None
    got = client("POST", "/updates", [b"x"], hangs_up=True)
    assert got is not None
    assert got.status == 429


def test_whoever_watches_the_server_is_always_answered() -> None:
    client = serve(options=limited(0.1, 1))
    assert {client.get("/healthz").status for _ in range(20)} == {200}


def test_an_app_is_limited_over_all_addresses_and_apps_that_are_not_served_share_one_bucket() -> None:
    client = serve(options=HttpOptions(limits=Limits.of(Rate(0), Rate(0.1, 2))))
    statuses = []
    for at in range(4):
        client.peer = f"192.0.2.{at}"
        statuses.append(client.post("/updates", device()).status)
    assert statuses == [200, 200, 429, 429]
    assert client.post("/stats", [EVENT]).status == 200
    assert client.post("/stats", EVENT).status == 200
    assert client.post("/stats", [EVENT]).status == 429
    others: list[Any] = [device(app_id=f"com.example.other{at}") for at in range(2)]
    assert [client.post("/updates", one).status for one in others] == [429, 429]
    assert [client.post("/updates", one).json()["error"] for one in ([], [1], 5)] == ["too_many_requests"] * 3


def test_what_runs_beside_is_started_in_order_and_stopped_in_reverse() -> None:
    world, told = World(), []

    class Beside:
        def __init__(self, name: str) -> None:
            self.name = name

        def start(self) -> None:
            told.append(f"start {self.name}")

        def stop(self) -> None:
            told.append(f"stop {self.name}")

    app = UpdateApp(world.parts(background=(Beside("a"), Beside("b"))))

    async def live() -> None:
        await app.start()
        await asyncio.sleep(0)
        await app.stop()

    asyncio.run(live())
    assert told == ["start a", "start b", "stop b", "stop a"]
    assert (world.admin.closed, world.database.closed) == (1, 1)


def test_the_database_is_let_go_also_when_the_audit_cannot_be_completed(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.admin.is_away = True
    asyncio.run(UpdateApp(world.parts()).stop())
    assert world.database.closed == 1
    assert "audit_incomplete" in caplog.messages


class Lifespan:
    """A server that knows of the protocol's lifespan only."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive(self) -> dict[str, Any]:
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))


def test_any_asgi_server_can_start_and_stop_it() -> None:
    server, world = Lifespan(), World()
    asyncio.run(UpdateApp(world.parts())({"type": "lifespan"}, server.receive, server.send))
    assert [message["type"] for message in server.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert world.database.closed == 1


def test_a_start_that_fails_is_told_and_what_was_started_is_stopped() -> None:
    told: list[str] = []

    class Good:
        def start(self) -> None:
            told.append("start")

        def stop(self) -> None:
            told.append("stop")

    class Bad(Good):
        def start(self) -> None:
            raise UnavailableError("the database does not answer", "test")

    server = Lifespan()
    app = UpdateApp(World().parts(background=(Good(), Bad())))
    asyncio.run(app({"type": "lifespan"}, server.receive, server.send))
    assert server.sent == [{"type": "lifespan.startup.failed", "message": "the database does not answer: test"}]
    assert told == ["start", "stop"]


def test_there_are_no_web_sockets() -> None:
    server = Lifespan()
    asyncio.run(UpdateApp(World().parts())({"type": "websocket"}, server.receive, server.send))
    assert server.sent == [{"type": "websocket.close", "code": 1000}]


def test_the_document_is_served() -> None:
    got = serve().get("/openapi.json")
    assert got.json()["openapi"].startswith("3.1")
    head = serve()("HEAD", "/openapi.json")
    assert isinstance(head, Got)
    assert head.body == b""
    assert head.headers["content-length"] == got.headers["content-length"]


def test_an_answer_names_no_app_that_the_client_did_not_name() -> None:
    assert APP not in serve().post("/updates", device(app_id="com.example.other")).body.decode()


@pytest.mark.parametrize(("path", "status"), [("/updates", 413), ("/channel_self", 413), ("/stats", 200)])
def test_only_events_may_be_many(path: str, status: int) -> None:
    events = [device(action="app_moved_to_foreground", metadata={"route": "r" * 300}) for _ in range(200)]
    body = json.dumps(events).encode()
    assert 90_000 < len(body) < 512 * 1024
    assert serve().post(path, events).status == status


class Elsewhere:
    """Releases that another server gave out; this one finds them when it looks."""

    def __init__(self, world: World, *there: str) -> None:
        self.world, self.there, self.asked = world, there, 0

    def get(self, version: Version) -> PublishedRelease | None:
        self.asked += 1
        return PublishedRelease(release(str(version)), ref(str(version)), b"") if str(version) in self.there else None

    def add_known(self, app: str, version: str) -> None:
        (one,) = self.world.catalog.apps
        self.world.catalog.apps = [replace(one, known=one.known | {version})]

    def learner(self) -> Learner:
        return Learner({APP: self}, self, self.world.time)


def test_events_of_a_release_that_only_another_server_knows_are_counted() -> None:
    world = World()
    elsewhere = Elsewhere(world, "1.3.0")
    app = UpdateApp(world.parts(learner=elsewhere.learner()))
    told = [device(action="set", version_name="1.3.0"), device(action="set", version_name="1.4.0")]

    async def talk() -> list[Got | None]:
        return list(await asyncio.gather(*(Client(app).ask("POST", "/stats", json_body=told) for _ in range(5))))

    assert [got.status for got in asyncio.run(talk()) if got is not None] == [200] * 5
    assert [one.release for one in world.intake.durable_ones] == ["1.3.0"] * 5
    assert elsewhere.asked == 2
    # What is none is not looked up again, and its events are not counted.
    assert serve(world, learner=elsewhere.learner()).post("/stats", told[1]).status == 200
    assert len(world.intake.durable_ones) == 5


def test_a_check_of_a_device_that_runs_what_only_another_server_knows_is_counted_later() -> None:
    world = World()
    app = UpdateApp(world.parts(learner=Elsewhere(world, "1.3.0").learner()))

    async def talk() -> Got | None:
        got = await Client(app).ask("POST", "/updates", json_body=device(version_name="1.3.0"))
        for _ in range(2000):
            if any(one.release == "1.3.0" for one in world.intake.later_ones):
                break
            await asyncio.sleep(0.001)
        return got

    got = asyncio.run(talk())
    assert got is not None
    assert got.status == 200
    (seen,) = [one for one in world.intake.later_ones if one.release == "1.3.0"]
    assert seen.running == "1.3.0"


def test_a_store_that_hangs_does_not_hold_events_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "_LEARNING_S", 0.01)
    world, ending = World(), threading.Event()
    elsewhere = Elsewhere(world, "1.3.0")
    monkeypatch.setattr(elsewhere, "get", lambda _version: ending.wait(20) and None)
    got = serve(world, learner=elsewhere.learner()).post("/stats", device(action="set", version_name="1.3.0"))
    ending.set()
    assert got.status == 200
    assert world.intake.durable_ones == []
