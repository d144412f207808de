"""What the server stands on fails under load: the disk is full, the database's connections die, it crashes, it is copied."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import psycopg
import pytest

from otagate.telemetry.interface import CHOSEN, CountQuery
from otagate.telemetry.secret import device_key
from otagate.telemetry.sql import open_telemetry
from support.recount import audit_counters
from support.servers import postgres
from support.update_server import APP, NO_RATES, ServedApp, UpdateServer, device_id, facts, serving

pytestmark = pytest.mark.integration

SECRET = bytes(range(32))
OPTIONS = ("--secret", "env:DEVICE_SECRET", *NO_RATES)
ENVIRON = {"DEVICE_SECRET": SECRET.hex()}
RELEASE = "1.1.0"
OLD_PLUGIN = "7.20.0"
"""One whose choice of a channel the server keeps."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> ServedApp:
    made = ServedApp.make(tmp_path_factory.mktemp("served") / "app", RELEASE)
    made.promote(RELEASE)
    made.promote(RELEASE, "beta")
    return made


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a real file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@dataclass
class Tellers:
    """Phones that tell of a success, one after another; each tells on until it is acknowledged.

    Attributes:
        acknowledged: Numbers of the devices.
        refused: Answers with 503, each with its Retry-After.
        odd: Answers that are neither.
    """

    port: int
    count: int = 4
    acknowledged: set[int] = field(default_factory=set)
    refused: int = 0
    odd: list[tuple[int, bytes]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    ending: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.threads = [threading.Thread(target=self._tell, daemon=True) for _ in range(self.count)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join(60)

    def until(self, is_so: Callable[[], bool], seconds: float = 90.0) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, (len(self.acknowledged), self.refused, self.odd)
            time.sleep(0.02)

    def until_more(self, devices: int = 50) -> None:
        """Wait for so many more to be acknowledged."""
        wanted = len(self.acknowledged) + devices
        self.until(lambda: len(self.acknowledged) >= wanted)

    def _tell(self) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            while not self.ending.is_set():
                number = next(self.numbers)
                while not self.ending.is_set() and not self._told(connection, number):
                    time.sleep(0.02)

    def _told(self, connection: http.client.HTTPConnection, number: int) -> bool:
        body = json.dumps(facts(device_id(number), RELEASE, action="app_launch_ready", timestamp=1_790_000_000_000))
        connection.request("POST", "/stats", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status == 200:
            self.acknowledged.add(number)
            return True
        if answer.status == 503 and int(answer.headers["retry-after"]) > 0:
            self.refused += 1
        else:
            self.odd.append((answer.status, said))
        return False


def check_counts(url: str, tellers: Tellers, began: datetime) -> None:
    """See that every acknowledged device is counted, and no other more than once."""
    telemetry = open_telemetry(url, {}, is_made=False)
    try:
        lost = [
            number
            for number in tellers.acknowledged
            if telemetry.device(APP, device_key(SECRET, APP, device_id(number))) is None
        ]
        counts = telemetry.counts(CountQuery(APP, RELEASE, began - timedelta(hours=1), began + timedelta(days=1)))
        assert lost == []
        # Whoever was told 503 at the very end may have been recorded all the same.
        assert 0 <= counts.success - len(tellers.acknowledged) <= len(tellers.threads)
        assert audit_counters(telemetry) == []
    finally:
        telemetry.close()


def checks_for_updates(server: UpdateServer, number: int = 1) -> None:
    """See that phones get their release and its bytes."""
    status, body = server.post("/updates", facts(device_id(number)))
    assert isinstance(body, dict)
    assert (status, body["version"]) == (200, RELEASE)
    with urllib.request.urlopen(body["url"], timeout=30) as answer:
        assert len(answer.read()) == int(answer.headers["content-length"]) > 0


def test_a_full_disk_is_told_to_who_writes_and_phones_go_on(app: ServedApp, disk: Path) -> None:
    url, began = f"sqlite:///{disk}/telemetry.sqlite", datetime.now(UTC)
    with serving(app, url, *OPTIONS, environ=ENVIRON) as server, Tellers(server.port) as tellers:
        tellers.until_more()
        with suppress(OSError):  # to the last byte, whatever the server writes meanwhile
            (disk / "fill").write_bytes(b"\0" * shutil.disk_usage(disk).total)
        tellers.until(lambda: tellers.refused > 5)
        for number in range(20):
            checks_for_updates(server, number)
        choice = facts(device_id(10**6), plugin_version=OLD_PLUGIN, channel="beta")
        assert server.post("/channel_self", choice)[0] == 503
        (disk / "fill").unlink()
        tellers.until_more()
        assert server.post("/channel_self", choice) == (200, {"status": "ok", "allowSet": True})
        with urllib.request.urlopen(f"{server.base}/healthz", timeout=30) as answer:
            assert answer.status == 200
        tellers.ending.set()
        for thread in tellers.threads:
            thread.join(60)
        assert server.stop() == 0
        assert "Traceback" not in server.log.read_text()
    assert tellers.odd == []
    with closing(sqlite3.connect(disk / "telemetry.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check_counts(url, tellers, began)


def test_a_copy_that_is_made_under_load_is_whole(app: ServedApp, tmp_path: Path) -> None:
    place = tmp_path / "telemetry.sqlite"
    url, began = f"sqlite:///{place}", datetime.now(UTC)
    with serving(app, url, *OPTIONS, environ=ENVIRON) as server, Tellers(server.port) as tellers:
        for number in range(5):
            tellers.until_more()
            before = set(tellers.acknowledged)
            copy = tmp_path / f"copy-{number}.sqlite"
            with closing(sqlite3.connect(place)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target, pages=16, sleep=0.001)
                assert target.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            telemetry = open_telemetry(f"sqlite:///{copy}", {}, is_made=False)
            assert audit_counters(telemetry) == []
            assert all(telemetry.device(APP, device_key(SECRET, APP, device_id(one))) is not None for one in before)
            telemetry.close()
    assert (tellers.odd, tellers.refused) == ([], 0)
    check_counts(url, tellers, began)


def test_postgresql_that_loses_connections_or_crashes_loses_nothing(app: ServedApp) -> None:
    began = datetime.now(UTC)
    # Not below the folder of the tests: the database runs as another user, who may not look into that.
    with tempfile.TemporaryDirectory() as folder, postgres.serving(Path(folder)) as base:
        url = f"{base}/postgres"
        with serving(app, url, *OPTIONS, environ=ENVIRON) as server, Tellers(server.port) as tellers:
            for _ in range(5):
                tellers.until_more()
                with psycopg.connect(url, autocommit=True) as admin:
                    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'otagate'")
            for _ in range(3):
                tellers.until_more()
                _crash(url)
                checks_for_updates(server)
            tellers.until_more()
            choice = facts(device_id(1), plugin_version=OLD_PLUGIN, channel="beta")
            assert server.post("/channel_self", choice)[0] == 200
            tellers.ending.set()
            for thread in tellers.threads:
                thread.join(60)
            assert server.stop() == 0
            assert "Traceback" not in server.log.read_text()
        assert tellers.odd == []
        check_counts(url, tellers, began)
        telemetry = open_telemetry(url, {}, is_made=False)
        assert [(one.kind, one.channel) for one in telemetry.assignments(0)] == [(CHOSEN, "beta")]
        telemetry.close()


def test_while_postgresql_hangs_phones_get_their_updates(app: ServedApp) -> None:
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder, postgres.serving(Path(folder)) as base:
        url = f"{base}/postgres"
        # Half of those in flight may wait for the database: there are more tellers than that.
        with (
            serving(app, url, *OPTIONS, "--in-flight", "16", environ=ENVIRON) as server,
            Tellers(server.port, 12) as tellers,
        ):
            tellers.until_more()
            frozen = _processes(url, Path(folder))
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            try:
                tellers.until(lambda: tellers.refused > 20)
                for number in range(50):
                    checks_for_updates(server, number)
            finally:
                for pid in frozen:
                    os.kill(pid, signal.SIGCONT)
            tellers.until_more()
            tellers.ending.set()
            for thread in tellers.threads:
                thread.join(60)
            assert server.stop() == 0
        assert tellers.odd == []
        check_counts(url, tellers, began)


def _processes(url: str, folder: Path) -> list[int]:
    with psycopg.connect(url, autocommit=True) as admin:
        rows = admin.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'otagate'").fetchall()
    return [int((folder / "data/postmaster.pid").read_text().splitlines()[0]), *(pid for (pid,) in rows)]


def _crash(url: str) -> None:
    """Kill a process of the database: it ends all others, and recovers."""
    with psycopg.connect(url, autocommit=True) as admin, suppress(psycopg.OperationalError):
        found = admin.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'otagate' LIMIT 1").fetchone()
        assert found is not None
        os.kill(found[0], signal.SIGKILL)
