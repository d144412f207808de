"""Three server processes on one store and one PostgreSQL, and a fleet that asks them in turn while channels are moved.

No device is given what no pointer in force named for it, and the counters are what the fleet knows of itself.
``OTAGATE_TEST_DEVICES`` says how many devices, instead of the few of the suite; channels are then moved more slowly.
A move waits for answers, not for the clock, so that nothing depends on how busy the machine is.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import os
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from otagate.channel.transitions import pause, set_stable, unpause
from otagate.fleet.config import Arrival, AutoUpdate, Faults, FleetConfig
from otagate.fleet.diary import Answer
from otagate.fleet.generations import REPRESENTATIVE, generation
from otagate.fleet.interface import NoAnswerError, Response
from otagate.fleet.run import Fleet
from otagate.model import ChannelState
from otagate.telemetry.interface import CountQuery
from otagate.telemetry.sql import open_telemetry
from support.recount import audit_counters
from support.servers import postgres
from support.update_server import APP, CHANNEL, NO_RATES, Moved, ServedApp, UpdateServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

SIZE = int(os.environ.get("OTAGATE_TEST_DEVICES", "128"))
SERVERS = 3
FLEETS = 16
"""Threads with a part of the devices each: a report waits until it is durable, so that many at once are what a server needs."""
POLL_S = 0.2
CHECKS = SIZE * 3 // 4
"""Between two moves: each is in force alone for so many answers."""
PATIENCE_S = 600.0
HOUR = 3600.0
SECRET = bytes(range(32))
NATIVE = "1.0.0"
RELEASES = ("1.0.1", "1.1.0", "1.2.0")


class InTurn:
    """A Transport over HTTP to several servers: each request goes to the next one.

    Attributes:
        longest: Seconds that the slowest request took.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self.longest = 0.0
        self._ports = itertools.cycle(ports)
        self._open: dict[int, http.client.HTTPConnection] = {}

    def request(self, method: str, url: str, body: Any = None, *, at: float) -> Response:
        path = urlsplit(url).path
        if method in {"GET", "DELETE"}:
            told = {name: str(value).lower() if isinstance(value, bool) else value for name, value in (body or {}).items()}
            status, headers, answer = self._send(method, f"{path}?{urlencode(told)}", None, {})
        else:
            status, headers, answer = self._send(method, path, json.dumps(body).encode(), {"content-type": "application/json"})
        return Response(status, json.loads(answer), headers)

    def download(self, url: str, start: int = 0, *, at: float) -> Response:
        # The server that gave the link gives the bundle, too; any of them could.
        status, headers, data = self._send("GET", urlsplit(url).path, None, {"range": f"bytes={start}-"} if start else {})
        return Response(status, data, headers)

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        port, began = next(self._ports), time.monotonic()
        connection = self._open.get(port) or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._open[port] = connection
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NoAnswerError from error
        finally:
            self.longest = max(self.longest, time.monotonic() - began)

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()


def bucket(seed: str, device_id: str) -> int:
    """Place a device, by the words of the design: first 8 bytes of HMAC-SHA256(seed, app id and device id), modulo 10000."""
    digest = hmac.new(bytes.fromhex(seed), (APP + device_id.lower()).encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") % 10_000


def named(state: ChannelState, device_id: str, running: str) -> str | None:
    """Give what a pointer tells a device to install: a version, ``builtin``, or None when it is to keep what it has."""
    blocked = {str(version) for version in state.blocked}
    stable = "builtin" if state.stable is None or str(state.stable.version) in blocked else str(state.stable.version)
    ramp, target = state.candidate, stable
    if ramp is not None and str(ramp.release.version) not in blocked and bucket(ramp.seed, device_id) < ramp.weight.bps:
        target = str(ramp.release.version)
    if state.paused:
        target = stable if running in blocked else running
    return None if target == running else target


@dataclass
class Part:
    """Some of the devices, in a thread of their own."""

    fleet: Fleet
    transport: InTurn
    ending: threading.Event
    failure: list[BaseException] = field(default_factory=list)
    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            while not self.ending.is_set():
                self.fleet.run_until(self.fleet.now + 60)
            self.fleet.settle()
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.failure.append(error)
        finally:
            self.transport.close()


def _config(app: ServedApp, generations: Sequence[str], size: int, **more: object) -> FleetConfig:
    settings: dict[str, object] = {
        "size": size,
        "public_key": app.public_key,
        "generations": dict.fromkeys(generations, 1.0),
        "platforms": {"android": 5, "ios": 4, "electron": 1},
        "native": NATIVE,
        "default_channel": CHANNEL,
        "arrival": Arrival.BURST,
        "burst_s": 600,
        "sessions_per_day": 24,
        "emulators": 0.05,
        "auto_update": AutoUpdate.ALWAYS,
        "remember_opened": True,
        "faults": {"1.1.0": Faults(boot=0.2, integrity=0.05), "1.2.0": Faults(crash=0.05, error=0.1)},
    }
    return FleetConfig(APP, "http://updates.test", **{**settings, **more})  # type: ignore[arg-type]


def _parts(app: ServedApp, ports: Sequence[int], ending: threading.Event) -> list[Part]:
    """Make the fleets: plugins that keep a chosen channel choose one; of the others a server learns later than its neighbour."""
    keeping = [version for version in REPRESENTATIVE if generation(version).has("keeps_channel")]
    others = [version for version in REPRESENTATIVE if version not in keeping]
    parts = []
    for number in range(FLEETS):
        is_choosing = number % 2 == 0
        more: dict[str, object] = {"chooses": {"beta": 0.3}} if is_choosing else {}
        config = _config(app, keeping if is_choosing else others, SIZE // FLEETS, **more)
        transport = InTurn([*ports[number % SERVERS :], *ports[: number % SERVERS]])
        fleet = Fleet(config, transport, number, start=time.time(), stamp=lambda _at: time.time())
        parts.append(Part(fleet, transport, ending))
    return parts


def _moves(app: ServedApp) -> Iterator[Callable[[], object]]:
    yield lambda: app.ramp("1.1.0", 20)
    yield lambda: app.ramp("1.1.0", 50)
    yield lambda: app.ramp("1.1.0", 50, "beta")
    yield lambda: app.move(pause)
    yield lambda: app.roll_back("1.0.1")
    yield lambda: app.move(unpause)
    yield lambda: app.roll_back(None, "beta")
    yield lambda: app.ramp("1.2.0", 30)
    yield lambda: app.move(lambda state: set_stable(state, app.ref("1.2.0")), "beta")
    yield lambda: app.promote("1.2.0")


def _channel_at(app: ServedApp, channel: str, since: float, until: float) -> list[ChannelState]:
    """Give the states of a channel that were in force at some instant between the two."""
    moves = [move for move in app.history if str(move.state.name) == channel]
    ends = [*(after.until for after in moves[1:]), float("inf")]
    return [move.state for move, end in zip(moves, ends, strict=True) if move.since <= until and end >= since]


def _is_named(app: ServedApp, part: Part, answer: Answer) -> bool:
    device = part.fleet.diary.devices[answer.device]
    # It was stamped when it was there; a tenth of a second for what is between a request and the stamp.
    states = _channel_at(app, answer.channel, answer.at - part.transport.longest - 0.1, answer.at)
    running = "builtin" if answer.running in {"builtin", NATIVE} else answer.running
    wanted = {named(state, device.device_id, running) for state in states}
    if answer.version is None:
        # Plugins before 6.2 cannot go back to the built-in bundle, and are told so.
        return None in wanted or ("builtin" in wanted and answer.error == "revert_to_builtin_plugin_version_too_old")
    return answer.version in wanted


@contextlib.contextmanager
def _servers(app: ServedApp, database: str) -> Iterator[list[UpdateServer]]:
    options = ("--secret", "env:DEVICE_SECRET", "--poll", f"{POLL_S * 1000:.0f}ms", "--metrics-public", *NO_RATES)
    servers = [UpdateServer(app, database, options, {"DEVICE_SECRET": SECRET.hex()}, measures=False) for _ in range(SERVERS)]
    try:
        yield [server.start() for server in servers]
    finally:
        for server in servers:
            server.kill()


def _wait(is_so: Callable[[], bool], parts: Sequence[Part]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert [part.failure for part in parts if part.failure] == []
        assert time.monotonic() < end
        time.sleep(0.05)


def _read_at(server: UpdateServer) -> float:
    """Give when a server read the channels last."""
    with urllib.request.urlopen(f"{server.base}/metrics", timeout=60) as answer:
        asked, page = time.time(), answer.read().decode()
    return asked - float(re.findall(r"^otagate_catalog_age_seconds (\S+)", page, re.MULTILINE)[0])


def _settle(app: ServedApp, servers: Sequence[UpdateServer], parts: Sequence[Part]) -> None:
    """Wait until all servers have read what was moved last: until then, what was there before is in force, too."""
    seen = [time.time()] * len(servers)
    for _ in range(2):  # the first reading may have begun before the move
        for at, server in enumerate(servers):
            _wait(lambda: _read_at(server) > seen[at] + POLL_S / 2, parts)  # noqa: B023 - it is over before they change
        seen = [_read_at(server) for server in servers]
    app.history[-1] = replace(app.history[-1], until=time.time())


def test_a_fleet_on_three_servers_gets_what_the_pointers_name_and_is_counted_exactly(tmp_path: Path) -> None:
    app = ServedApp.make(tmp_path / "app", *RELEASES)
    app.promote("1.0.1")
    app.promote("1.0.1", "beta")
    database, ending, began = postgres.new_database(), threading.Event(), datetime.now(UTC)
    with _servers(app, database) as servers:
        parts = _parts(app, [server.port for server in servers], ending)
        # What was promoted before the servers began has always been in force for them.
        app.history = [Moved(move.state, 0.0, move.until) for move in app.history]
        try:
            for part in parts:
                part.start()
            for move in (lambda: None, *_moves(app)):
                move()
                _settle(app, servers, parts)
                wanted = _answered(parts) + CHECKS
                _wait(lambda: _answered(parts) >= wanted, parts)  # noqa: B023 - it is over before it changes
        finally:
            ending.set()
            for part in parts:
                part.thread.join(PATIENCE_S)
        assert [part.failure for part in parts if part.failure] == []
        assert [server.stop() for server in servers] == [0] * SERVERS

    answers = [(part, answer) for part in parts for answer in part.fleet.diary.answers]
    wrong = [answer for part, answer in answers if not _is_named(app, part, answer)]
    assert wrong == [], Counter((answer.channel, answer.running, answer.version, answer.error) for answer in wrong)
    assert len(answers) > 5 * SIZE
    assert {answer.version for _, answer in answers} == {*RELEASES, "builtin", None}
    for version in RELEASES:
        assert all(part.fleet.diary.is_exact(version) for part in parts)
    _compare_counts(database, parts, began)


def _answered(parts: Sequence[Part]) -> int:
    return sum(len(part.fleet.diary.answers) for part in parts)


def _compare_counts(database: str, parts: Sequence[Part], began: datetime) -> None:
    telemetry = open_telemetry(database, {}, is_made=False)
    start, end = began - timedelta(hours=1), began + timedelta(days=1)
    for version, channel, platform, test in itertools.product(
        RELEASES, (None, CHANNEL, "beta"), (None, "ios", "android"), (False, True)
    ):
        query = CountQuery(APP, version, start, end, channel=channel, platform=platform, test=test)
        found = asdict(telemetry.counts(query))
        del found["newest_at"]
        diaries = [part.fleet.diary.counts(version, channel, platform=platform, test=test) for part in parts]
        expected = {name: sum(each[name] for each in diaries) for name in found if name != "verify"}
        expected["verify"] = tuple(map(sum, zip(*(each["verify"] for each in diaries), strict=True)))
        assert found == expected, (version, channel, platform, test)
    assert telemetry.counts(CountQuery(APP, "1.1.0", start, end)).boot > SIZE / 100
    assert audit_counters(telemetry) == []
    telemetry.close()
