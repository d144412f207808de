from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.served import APP, DIGEST, ZIP, device
from support.served_process import Served, served

pytestmark = pytest.mark.integration
EVENT = device(action="app_launch_ready", version_name="1.2.0", timestamp=1)


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served"), request.param) as running:
        yield running


@pytest.fixture
def client(server: Served) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


def operator(server: Served) -> dict[str, str]:
    return {"authorization": f"Bearer {server.token}"}


def test_a_phone_gets_its_bundle(client: httpx.Client, server: Served) -> None:
    found = client.post("/updates", json=device()).json()
    assert found["version"] == "1.2.0"
    assert found["url"] == f"{server.url}/bundles/sha256/{DIGEST.hex}"
    whole = client.get(found["url"])
    assert (whole.status_code, whole.content) == (200, ZIP)
    part = client.get(found["url"], headers={"range": "bytes=100-", "if-range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, ZIP[100:])
    assert client.get(found["url"], headers={"if-none-match": whole.headers["etag"]}).status_code == 304
    head = client.head(found["url"])
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(ZIP)), b"")


def test_what_was_acknowledged_is_counted_once(client: httpx.Client, server: Served) -> None:
    ids = [f"00000000-0000-4000-8000-{at:012d}" for at in range(200)]
    events = [{**EVENT, "device_id": one} for one in ids]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda event: client.post("/stats", json=event).status_code, events))
        statuses += pool.map(lambda event: client.post("/stats", json=[event, event]).status_code, events)
    assert set(statuses) == {200}
    query = {"app": APP, "release": "1.2.0", "start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
    assert client.get("/api/v1/metrics", params=query, headers=operator(server)).json()["counts"]["success"] == 0
    for what in ("active", "heard", "plugins"):
        since = {"app": APP, "since": "2020-01-01T00:00:00Z"}
        told = client.get(f"/api/v1/{what}", params=since, headers=operator(server)).json()
        assert sum(row["devices"] for row in told[what]) >= 200, what


def test_a_device_chooses_its_channel_and_an_operator_overrules_it(client: httpx.Client, server: Served) -> None:
    old = device(device_id="00000000-0000-4000-9000-000000000001", plugin_version="7.0.0")
    assert client.post("/channel_self", json={**old, "channel": "beta"}).json()["status"] == "ok"
    chosen = {"app_id": APP, "device_id": old["device_id"], "channel": "beta"}
    assert client.post("/device", json=chosen, headers=operator(server)).json() == {"status": "ok"}
    assert client.post("/device", json=chosen).status_code == 401
    shown = client.get("/device", params={"app_id": APP, "device_id": old["device_id"]}, headers={"capgkey": server.token})
    assert shown.status_code in (200, 404)  # the other worker may not have heard of it yet


def test_the_server_tells_how_it_is(client: httpx.Client, server: Served) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/livez").status_code == 200
    assert client.get("/metrics").status_code == 401
    before = _checks(client, server)
    for _ in range(20):
        with server.client() as fresh:  # a connection each: any worker may get it
            fresh.post("/updates", json=device())
    assert _checks(client, server) == before + 20


def _checks(client: httpx.Client, server: Served) -> float:
    page = client.get("/metrics", headers=operator(server)).text
    found = re.search(r'otagate_requests_total\{route="updates",status="200"\} ([0-9.]+)', page)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/updates", b"{", {}, 400),
        ("POST", "/updates", b"[" * 60_000, {}, 400),
        ("POST", "/updates", b" " * 70_000, {}, 413),
        ("POST", "/updates", b"{}", {"content-encoding": "gzip"}, 415),
        ("POST", "/updates", b"{}", {"content-type": "text/plain"}, 415),
        ("POST", "/stats", b'{"app_id": "\\ud800"}', {}, 400),
        ("OPTIONS", "/updates", b"", {}, 405),
        ("TRACE", "/device", b"", {}, 405),
        ("GET", "/nothing", b"", {}, 404),
        ("GET", "/updates", b"", {"x": "y" * 9000}, 431),
        ("POST", "/updates", json.dumps(device()).encode(), {"host": "a b"}, 400),
    ],
)
def test_what_is_refused_is_refused_in_json(
    client: httpx.Client, *, method: str, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    got = client.request(method, path, content=body, headers=headers)
    assert got.status_code == status
    assert got.json().keys() >= {"error", "message"}
    assert client.post("/updates", json=device()).status_code == 200
