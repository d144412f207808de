"""A fleet against the update server's own service and telemetry, in one process: nobody gets what is not for them, and the
server's counters are the fleet's diary."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otagate.fleet.config import Arrival, AutoUpdate, Faults, FleetConfig
from otagate.fleet.diary import Answer
from otagate.fleet.generations import REPRESENTATIVE
from otagate.fleet.run import Fleet
from otagate.model import AppId, ChannelState, Version
from otagate.telemetry.interface import CountQuery
from otagate.telemetry.sql import SqlTelemetry, open_telemetry
from support.interop import APP_ID, Shipment, ship
from support.recount import audit_counters
from support.served_fleet import BASE, InProcessServer, ServedApp

START, HOUR = 1_800_000_000.0, 3600.0
SIZE = int(os.environ.get("OTAGATE_TEST_FLEET", "200"))

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def shipment(tmp_path_factory: pytest.TempPathFactory) -> Shipment:
    return ship(tmp_path_factory.mktemp("shipment"))


@pytest.fixture
def telemetry(tmp_path: Path) -> Iterator[SqlTelemetry]:
    opened = open_telemetry(f"sqlite:///{tmp_path}/telemetry.db", {}, secret=b"s" * 32)
    try:
        yield opened
    finally:
        opened.close()


def bucket(seed: str, device_id: str) -> int:
    """Place a device, by the words of the design: first 8 bytes of HMAC-SHA256(seed, app id and device id), modulo 10000."""
    digest = hmac.new(bytes.fromhex(seed), (APP_ID + device_id.lower()).encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") % 10_000


def allowed(state: ChannelState, device_id: str) -> str:
    ramp = state.candidate
    if ramp is not None and ramp.release.version not in state.blocked and bucket(ramp.seed, device_id) < ramp.weight.bps:
        return str(ramp.release.version)
    return "builtin" if state.stable is None or state.stable.version in state.blocked else str(state.stable.version)


def check_answer(served: ServedApp, fleet: Fleet, answer: Answer) -> None:
    if answer.version is None:
        return
    device_id = fleet.diary.devices[answer.device].device_id
    assert answer.version == allowed(served.pointer(answer.at, answer.channel), device_id)


def counts_of(
    telemetry: SqlTelemetry, release: str, channel: str | None, platform: str | None, *, test: bool
) -> dict[str, object]:
    start, end = datetime.fromtimestamp(START - 300, UTC), datetime.fromtimestamp(START + 400 * HOUR, UTC)
    found = asdict(telemetry.counts(CountQuery(APP_ID, release, start, end, channel=channel, platform=platform, test=test)))
    del found["newest_at"]
    return found


def config_of(shipment: Shipment, **more: object) -> FleetConfig:
    settings: dict[str, object] = {
        "size": SIZE,
        "public_key": shipment.keys.encryption_public.read_text(),
        "generations": dict.fromkeys(REPRESENTATIVE, 1.0),
        "platforms": {"android": 5, "ios": 4, "electron": 1},
        "default_channel": "stable",
        "chooses": {"beta": 0.2},
        "arrival": Arrival.DAILY,
        "sessions_per_day": 8,
        "zones": {-8.0: 1, 1.0: 2, 9.0: 1},
        "skew_s": 300,
        "emulators": 0.05,
        "development": 0.05,
        "remember_opened": True,
    }
    return FleetConfig(APP_ID, BASE, **{**settings, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", [AutoUpdate.AT_BACKGROUND, AutoUpdate.ALWAYS])
def test_two_days_with_promotions_pauses_and_rollbacks(
    shipment: Shipment, telemetry: SqlTelemetry, tmp_path: Path, mode: AutoUpdate
) -> None:
    served = ServedApp(AppId(APP_ID))
    for version in ("1.0.1", "1.1.0", "1.2.0"):
        served.publish(version, shipment, tmp_path)
    server = InProcessServer(served, telemetry)
    faults = {"1.1.0": Faults(boot=0.3, integrity=0.05), "1.2.0": Faults(crash=0.05, error=0.1, late_crash_after=HOUR)}
    config = config_of(shipment, faults=faults, other_faults=Faults(boot=0.01), loss=0.03, auto_update=mode)
    fleet = Fleet(config, server, seed=11, start=START)
    bad = {"blocked": (Version("1.1.0"),)}

    def after(hours: float, channel: str, *args: object, **more: object) -> None:
        fleet.run_until(START + hours * HOUR)
        served.move(fleet.now, channel, *args, **more)  # type: ignore[arg-type]

    served.move(START, "stable", "1.0.1")
    served.move(START, "beta", "1.0.1", "1.1.0", 5000)
    after(10, "stable", "1.0.1", "1.1.0", 2000)
    after(14, "stable", "1.0.1", "1.1.0", 4000)
    after(16, "stable", "1.0.1", "1.1.0", 4000, paused=True)
    after(18, "stable", "1.0.1", **bad)
    after(18, "beta", None, **bad)
    after(26, "beta", "1.2.0", **bad)
    after(28, "stable", "1.0.1", "1.2.0", 3000, seed="77" * 16, **bad)
    after(36, "stable", "1.2.0", **bad)
    fleet.run_until(START + 48 * HOUR)
    fleet.settle()
    server.flush()

    assert len(fleet.diary.answers) > 8 * SIZE
    for answer in fleet.diary.answers:
        check_answer(served, fleet, answer)
    for version in ("1.0.1", "1.1.0", "1.2.0"):
        assert fleet.diary.is_exact(version)
        for channel in (None, "stable", "beta"):
            for platform in (None, "ios", "android"):
                for test in (False, True):
                    expected = fleet.diary.counts(version, channel, platform=platform, test=test)
                    assert counts_of(telemetry, version, channel, platform, test=test) == expected
    assert fleet.diary.counts("1.1.0")["boot"] > SIZE / 50
    assert fleet.diary.counts("1.2.0")["success"] > SIZE / 2
    assert fleet.diary.happened("1.2.0")["crashed"] > 0
    assert not any(device.bundles.running == "1.1.0" and device.bundles.is_proven for device in fleet.devices) or (
        # Only a phone that was not opened since the rollback may still run it.
        sum(device.bundles.running == "1.1.0" for device in fleet.devices) < SIZE / 20
    )
    assert audit_counters(telemetry) == []


@pytest.mark.parametrize("version", REPRESENTATIVE)
@pytest.mark.parametrize("is_sealed", [True, False])
def test_what_otagate_seals_opens_in_every_generation(
    shipment: Shipment, telemetry: SqlTelemetry, tmp_path: Path, version: str, *, is_sealed: bool
) -> None:
    served = ServedApp(AppId(APP_ID), is_signed=is_sealed)
    if is_sealed:
        served.publish("1.0.1", shipment, tmp_path)
    else:
        served.publish_clear("1.0.1", shipment)
    served.move(START, "stable", "1.0.1")
    more: dict[str, object] = {} if is_sealed else {"public_key": None}
    config = config_of(shipment, size=6, generations={version: 1.0}, emulators=0, development=0, chooses={}, **more)
    fleet = Fleet(config, InProcessServer(served, telemetry), seed=3, start=START)
    fleet.run_until(START + 24 * HOUR)
    assert fleet.diary.happened("1.0.1")["ready"] == 6
    assert fleet.diary.happened("1.0.1")["integrity"] == 0
    held = fleet.devices[0].bundles.held["1.0.1"]
    assert held.digest == shipment.bundle.archive.hex
    assert held.files == {entry.path: entry.digest.hex for entry in shipment.bundle.files}
