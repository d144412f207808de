"""A virtual fleet over HTTP against a server process: its verb, and counters that equal its diary."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.cli.main import run_command
from otagate.fleet.config import Arrival, Faults, FleetConfig
from otagate.fleet.generations import REPRESENTATIVE
from otagate.fleet.http_transport import HttpTransport
from otagate.fleet.live import run_live
from otagate.fleet.run import Fleet
from otagate.telemetry.interface import CountQuery
from otagate.telemetry.sql import open_telemetry
from support.recount import audit_counters
from support.update_server import APP, CHANNEL, NO_RATES, ServedApp, UpdateServer, serving

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> ServedApp:
    made = ServedApp.make(tmp_path_factory.mktemp("served") / "app", "1.0.1", "1.0.2")
    made.promote("1.0.1")
    return made


@pytest.fixture
def server(app: ServedApp, tmp_path: Path) -> Iterator[UpdateServer]:
    database = f"sqlite:///{tmp_path}/telemetry.db"
    with serving(app, database, *NO_RATES, "--poll", "200ms") as running:
        yield running


def counts_of(server: UpdateServer, release: str) -> dict[str, Any]:
    telemetry = open_telemetry(server.database, {})
    try:
        now = datetime.now(UTC)
        found = asdict(telemetry.counts(CountQuery(APP, release, now - HOUR, now + HOUR)))
        assert audit_counters(telemetry) == []
    finally:
        telemetry.close()
    del found["newest_at"]
    return found


def settled_counts(server: UpdateServer, release: str, expected: dict[str, Any]) -> dict[str, Any]:
    """Read until they are as expected: what update checks teach is recorded a moment after the answer."""
    end = time.monotonic() + 60
    while (found := counts_of(server, release)) != expected and time.monotonic() < end:
        time.sleep(0.1)
    return found


def live_until(fleet: Fleet, is_enough: Callable[[], bool]) -> None:
    """Let an hour after the other pass; on a busy machine less happens in each."""
    for _ in range(100):
        run_live(fleet, duration_s=1.5, speed=2400, threads=16)
        if is_enough():
            return
    raise AssertionError("too little happens")


def test_every_generation_installs_over_http_and_is_counted(app: ServedApp, server: UpdateServer) -> None:
    config = FleetConfig(
        APP,
        server.base,
        size=120,
        public_key=app.public_key,
        generations=dict.fromkeys(REPRESENTATIVE, 1.0),
        arrival=Arrival.BURST,
        burst_s=600,
        sessions_per_day=24,
        loss=0.02,
        faults={"1.0.2": Faults(boot=0.5)},
    )
    transport = HttpTransport(connections=16)
    try:
        fleet = Fleet(config, transport, 5, start=time.time(), stamp=lambda _at: time.time())
        live_until(fleet, lambda: fleet.diary.happened("1.0.1")["ready"] > 100)
        app.ramp("1.0.2", 50)
        live_until(fleet, lambda: fleet.diary.happened("1.0.2")["boot"] > 5)
        fleet.settle()
    finally:
        transport.close()
    assert fleet.traffic.errors == sum(count for (_what, status), count in fleet.traffic.answers.items() if status == 0)
    assert {answer.version for answer in fleet.diary.answers} == {None, "1.0.1", "1.0.2"}
    assert fleet.diary.happened("1.0.1")["ready"] > 100
    assert fleet.diary.happened("1.0.2")["boot"] > 5
    assert fleet.diary.happened("1.0.1")["integrity"] == fleet.diary.happened("1.0.2")["integrity"] == 0
    for release in ("1.0.1", "1.0.2"):
        assert fleet.diary.is_exact(release)
        expected = fleet.diary.counts(release)
        assert settled_counts(server, release, expected) == expected


def test_the_verb(app: ServedApp, server: UpdateServer) -> None:
    key: Path = app.shop.path(".otagate/keys/encryption.pub.pem")
    argv = ["fleet", "run", "--against", server.base, "--app", APP, "--public-key", str(key), "--channel", CHANNEL]
    argv += [
        "--devices",
        "50",
        "--sessions",
        "24",
        "--speed",
        "3600x",
        "--generation",
        "8.51.23",
        "--generation",
        "7.28.0",
    ]
    data: dict[str, Any] = {}
    for duration in ("2s", "10s", "50s"):  # the longer ones are for busy machines
        out, err = io.StringIO(), io.StringIO()
        code = run_command([*argv, "--duration", duration, "--format", "json"], {}, app.shop.folder, out, err)
        assert (code, err.getvalue()) == (0, "")
        data = json.loads(out.getvalue())
        assert data["errors"] == 0
        if sum(item["happened"]["set"] for item in data["releases"]) > 30:
            break
    assert data["requests"] > 100
    assert sum(item["happened"]["set"] for item in data["releases"]) > 30
