"""What was taken off is gone by every way to it, and what devices say of themselves stays in no log, figure or file."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from support.update_server import APP, NO_RATES, ServedApp, UpdateServer, device_id, facts, serving

pytestmark = pytest.mark.integration

GOOD, BAD = "1.1.0", "1.2.0"
POLL_S = 60.0
"""Far more than the two seconds after which a server has read the channels again, on any machine."""


@pytest.fixture
def app(tmp_path: Path) -> ServedApp:
    made = ServedApp.make(tmp_path / "app", GOOD, BAD)
    for channel in ("live", "beta", "hidden"):
        made.promote(GOOD, channel)
        made.promote(BAD, channel)
    return made


@pytest.fixture
def server(app: ServedApp, tmp_path: Path) -> Iterator[UpdateServer]:
    with serving(app, f"sqlite:///{tmp_path}/telemetry.sqlite", *NO_RATES, "--metrics-public") as running:
        yield running


def ask(
    server: UpdateServer, method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, target, raw, {"content-type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()


def named(server: UpdateServer, **about: str) -> tuple[str, str]:
    status, body = ask(server, "POST", "/updates", {**facts(device_id(1)), **about})
    found = json.loads(body)
    assert status == 200
    return found.get("version", found.get("error")), found.get("url", "")


def test_a_release_that_was_taken_off_is_gone_by_every_way(app: ServedApp, server: UpdateServer) -> None:
    version, url = named(server)
    path = url.removeprefix(server.base)
    assert version == BAD
    assert ask(server, "GET", path)[0] == 200
    app.roll_back(GOOD)
    _wait(lambda: named(server)[0] == GOOD)
    # Two other channels name it still.
    assert ask(server, "GET", path)[0] == 200
    for channel in ("beta", "hidden"):
        app.roll_back(GOOD, channel)
    _wait(lambda: ask(server, "GET", path)[0] == 404)
    tag = f'"{path.rpartition("/")[2]}"'
    for headers in (
        {},
        {"range": "bytes=0-9"},
        {"range": "bytes=5-", "if-range": tag},
        {"if-none-match": tag},
        {"if-none-match": "*"},
    ):
        assert ask(server, "GET", path, headers=headers)[0] == 404
    assert ask(server, "HEAD", path)[0] == 404
    asked: tuple[dict[str, str], ...] = (
        {},
        {"defaultChannel": "beta"},
        {"defaultChannel": "hidden"},
        {"version_name": BAD},
        {"version_name": BAD, "defaultChannel": "beta"},
        {"plugin_version": "7.20.0", "defaultChannel": "beta"},
    )
    assert {named(server, **about)[0] for about in asked} == {GOOD}
    app.roll_back(None)
    _wait(lambda: named(server, version_name=GOOD)[0] == "builtin")
    assert named(server, version_name=BAD)[0] == "builtin"
    assert named(server)[0] == "already_on_builtin"


def test_what_devices_say_stays_in_no_log_figure_or_file(server: UpdateServer, tmp_path: Path) -> None:
    told = facts("deadbeef-dead-4ead-8ead-deadbeefdead", custom_id="marker-custom")
    headers = {
        "user-agent": "marker-agent",
        "x-forwarded-for": "10.99.88.77",
        "authorization": "Bearer marker-token",
        "x-marker": "marker-header",
    }
    events = (
        {"action": "marker-action"},
        {"action": "set", "version_name": "marker-version"},
        {"action": "set", "version_name": BAD},
    )
    asked: list[tuple[str, str, object]] = [
        ("POST", "/updates?marker-query", told),
        *(("POST", "/stats", {**told, **event}) for event in events),
        ("POST", "/stats", [{**told, "action": "set", "plugin_version": "8.1.2-marker"}, {"app_id": "marker-app"}]),
        ("POST", "/channel_self", {**told, "plugin_version": "7.20.0", "channel": "beta"}),
        ("POST", "/channel_self", {**told, "plugin_version": "7.20.0", "channel": "marker-channel"}),
        ("GET", f"/device?app_id={APP}&device_id={told['device_id']}", None),
        ("GET", "/marker-path", None),
        ("GET", "/bundles/sha256/marker-digest", None),
        ("MARKER", "/updates", told),
        ("POST", "/updates", b"marker-body{"),
    ]
    statuses = [ask(server, *one, headers)[0] for one in asked]
    assert statuses == [200, 200, 200, 200, 200, 200, 200, 401, 404, 404, 400, 400]
    assert ask(server, "POST", "/updates", told, {**headers, "host": "marker host"})[0] == 400
    figures = ask(server, "GET", "/metrics")[1]
    # Its own session: what else runs here may say what it likes.
    processes = subprocess.run(["ps", "-ww", "-f", "--sid", str(server.pid)], capture_output=True, check=True).stdout
    assert server.stop() == 0
    places = {
        "log": server.log.read_bytes(),
        "figures": figures,
        "processes": processes,
        "database": b"".join(path.read_bytes() for path in tmp_path.glob("telemetry.sqlite*")),
    }
    assert b"status=401" in places["log"]
    assert b"serve" in processes
    assert BAD.encode() in places["database"]
    for mark in (b"marker", b"MARKER", b"deadbeef", b"10.99.88.77"):
        assert [name for name, content in places.items() if mark in content] == []


def _wait(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + POLL_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)
