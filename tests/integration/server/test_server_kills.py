"""The server is killed at random instants under load: what it acknowledged is there, and nothing is counted twice.

``OTAGATE_TEST_KILLS`` says how often, instead of the few times of the suite.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, create_engine, text

from otagate.telemetry.interface import CountQuery
from otagate.telemetry.model import Mark
from otagate.telemetry.secret import device_key
from otagate.telemetry.sql import open_telemetry
from support.recount import audit_counters
from support.servers import postgres
from support.update_server import APP, NO_RATES, ServedApp, UpdateServer, device_id, facts

pytestmark = pytest.mark.integration

SECRET = bytes(range(32))
RELEASE = "1.1.0"
STEPS = (
    ("download_zip_start", "download_complete", "set"),
    ("app_launch_ready",),
)
"""What a device tells, request by request: first as an array, then as a single object."""
TOLD = (Mark.STARTED | Mark.VERIFIED | Mark.SET, Mark.STARTED | Mark.VERIFIED | Mark.SET | Mark.READY)
REPORTERS = 8


@dataclass
class Reporters:
    """Threads that report devices one after another; each tells on until it is acknowledged, as a phone does.

    Attributes:
        acknowledged: How many requests of a device were answered with 2xx.
        resent: Requests that had to be sent more than once.
    """

    port: int
    acknowledged: dict[int, int] = field(default_factory=dict)
    resent: int = 0
    numbers: Iterator[int] = field(default_factory=itertools.count)
    ending: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> Reporters:
        self.threads = [threading.Thread(target=self._report, daemon=True) for _ in range(REPORTERS)]
        for thread in self.threads:
            thread.start()
        return self

    def finish(self) -> None:
        """Let each end the device that it is at."""
        self.ending.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def _report(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self.ending.is_set():
            number = next(self.numbers)
            for at, actions in enumerate(STEPS):
                connection = self._tell(connection, _body(number, actions))
                self.acknowledged[number] = at + 1
        if connection is not None:
            connection.close()

    def _tell(self, connection: http.client.HTTPConnection | None, body: bytes) -> http.client.HTTPConnection:
        for tries in itertools.count():
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request("POST", "/stats", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = None
                time.sleep(0.02)
            else:
                if answer.status == 200:
                    self.resent += bool(tries)
                    return connection
                assert answer.status == 503
        raise AssertionError


def _body(number: int, actions: Sequence[str]) -> bytes:
    now = int(time.time() * 1000)
    told = [facts(device_id(number), RELEASE, action=action, timestamp=now) for action in actions]
    return json.dumps(told if len(told) > 1 else told[0]).encode()


def _lost(engine: Engine, devices: dict[int, int]) -> list[int]:
    """Give the devices whose acknowledged events are not in the database."""
    keys = {device_key(SECRET, APP, device_id(number)): number for number in devices}
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT key, marks FROM progress")).all()
    marks = {keys[bytes(key)]: Mark(found) for key, found in rows if bytes(key) in keys}
    return [number for number, steps in devices.items() if ~marks.get(number, Mark(0)) & TOLD[steps - 1]]


def _workers(server: UpdateServer) -> list[psutil.Process]:
    """Give the processes that answer; wait for one while all are being started again."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(server.pid).children()
            if found := [
                child for child in children if child.cmdline() and "resource_tracker" not in " ".join(child.cmdline())
            ]:
                return found
        time.sleep(0.05)
    raise AssertionError("no worker came back")


def _kill(server: UpdateServer, victims: str, chance: random.Random) -> None:
    if victims == "worker":
        chance.choice(_workers(server)).kill()
        return
    server.kill()


def _database(kind: str, folder: Path) -> tuple[str, Engine]:
    if kind == "sqlite":
        url = f"sqlite:///{folder}/telemetry.sqlite"
        return url, create_engine(url)
    url = postgres.new_database()
    return url, create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


def _kills(share: float) -> int:
    return max(2, round(int(os.environ.get("OTAGATE_TEST_KILLS", "12")) * share))


@pytest.mark.parametrize(
    ("kind", "workers", "victims", "share"),
    [
        ("sqlite", 1, "server", 0.5),
        ("sqlite", 2, "server", 0.2),
        ("postgresql", 1, "server", 0.2),
        # Fewer: a worker that dies again and again is started again later and later.
        ("sqlite", 2, "worker", 0.1),
    ],
)
def test_a_killed_server_loses_nothing_that_it_acknowledged_and_counts_nothing_twice(
    tmp_path: Path, kind: str, workers: int, victims: str, share: float
) -> None:
    app = ServedApp.make(tmp_path / "app", "1.0.0", RELEASE)
    app.promote("1.0.0")
    app.promote(RELEASE)
    url, engine = _database(kind, tmp_path)
    options = ("--workers", str(workers), "--secret", "env:DEVICE_SECRET", *NO_RATES)
    server = UpdateServer(app, url, options, {"DEVICE_SECRET": SECRET.hex()}, is_killed=True).start()
    reporters, chance, lost = Reporters(server.port).start(), random.Random(f"{kind}{workers}"), []
    began = datetime.now(UTC)
    try:
        for _ in range(_kills(share)):
            time.sleep(chance.uniform(0.02, 0.5))
            told = dict(reporters.acknowledged)
            _kill(server, victims, chance)
            if victims == "server":
                # Nobody is acknowledged now: what was, before the kill or while it was on its way, is all that there is.
                lost += _lost(engine, dict(reporters.acknowledged))
                server.start()
            else:
                lost += _lost(engine, told)
        reporters.finish()
        assert server.stop() == 0
    finally:
        reporters.ending.set()
        server.kill()
    assert lost == []
    assert _lost(engine, reporters.acknowledged) == []
    assert reporters.resent > 0, "nobody had to send anything again: the kills hit nothing"
    told_all = len(reporters.acknowledged)
    telemetry = open_telemetry(url, {}, is_made=False)
    counts = telemetry.counts(CountQuery(APP, RELEASE, began - timedelta(hours=1), began + timedelta(days=1)))
    assert (counts.devices, counts.success, counts.ran, sum(counts.verify)) == (told_all,) * 4
    assert audit_counters(telemetry) == []
    telemetry.close()
    engine.dispose()
