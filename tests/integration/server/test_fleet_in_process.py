"""Many virtual devices against the real service and the real database, under a virtual clock.

``OTAGATE_TEST_DEVICES=10000`` lets ten thousand live their day, instead of a part of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.fleet.config import Faults, FleetConfig
from otagate.fleet.run import Fleet
from otagate.flow.in_process import InProcess
from otagate.flow.serve import ServeOptions, build_parts
from otagate.model import ChannelState
from otagate.server.catalog import StoreCatalog
from otagate.server.choices import PolledChoices
from otagate.server.parts import ServerParts
from otagate.telemetry.interface import CountQuery
from otagate.telemetry.model import Counts
from otagate.telemetry.sql import SqlTelemetry
from support.recount import audit_counters
from support.update_server import APP, CHANNEL, ServedApp

pytestmark = pytest.mark.integration
SIZE = int(os.environ.get("OTAGATE_TEST_DEVICES", "1200"))
GENERATIONS = ("5.9.5", "5.50.2", "6.14.26", "6.51.16", "7.0.50", "7.27.9", "7.51.21", "8.41.2", "8.45.10", "8.51.23")
HOUR = 3600.0


@dataclass
class Time:
    """The catalog's clock: that of the fleet."""

    at: float = field(default_factory=time.time)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@dataclass
class World:
    app: ServedApp
    parts: ServerParts
    clock: Time
    fleet: Fleet
    transport: InProcess

    def go(self, hours: float) -> None:
        """Let the server see what the store says, and devices live on."""
        self.clock.at = self.fleet.now
        catalog, choices = self.parts.catalog, self.parts.background[2]
        assert isinstance(catalog, StoreCatalog)
        assert isinstance(choices, PolledChoices)
        catalog.refresh()
        choices.refresh()
        self.fleet.run_until(self.fleet.now + hours * HOUR)
        self.transport.flush()

    def counted(self, release: str, channel: str | None = None, **more: Any) -> dict[str, Any]:
        """Give what telemetry counted, in the words of the diary."""
        start, end = datetime.fromtimestamp(0, UTC), datetime.fromtimestamp(self.fleet.now, UTC) + timedelta(days=1)
        found = self.parts.telemetry.counts(CountQuery(APP, release, start, end, channel, **more))
        return {one.name: getattr(found, one.name) for one in fields(Counts) if one.name != "newest_at"}


def open_world(app: ServedApp, size: int, **more: Any) -> World:
    values: dict[str, Any] = {
        "generations": dict.fromkeys(GENERATIONS, 1.0),
        "native": "0.1.0",
        "default_channel": CHANNEL,
        "sessions_per_day": 24.0,
        "remember_opened": True,
        **more,
    }
    made = FleetConfig(app=APP, base="http://updates.invalid", size=size, public_key=app.public_key, **values)
    clock, folder = Time(), app.shop.folder
    options = ServeOptions((app.policy,), f"sqlite:///{folder}/telemetry.sqlite", folder, keep=None)
    parts = build_parts(options, app.shop.environ, clock)
    assert parts.bundles is not None
    transport = InProcess(parts.service, parts.telemetry, parts.bundles, parts.choose, made.base)
    return World(app, parts, clock, Fleet(made, transport, 1, start=clock.at), transport)


@pytest.fixture
def app(tmp_path: Path) -> ServedApp:
    return ServedApp.make(tmp_path / "shop")


def test_what_is_counted_is_what_happened_to_the_devices(app: ServedApp) -> None:
    faults = {"1.1.0": Faults(boot=0.2, crash=0.1, error=0.1), "1.2.0": Faults(integrity=0.1)}
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        app.publish(version)
    world = open_world(app, 500, faults=faults, loss=0.02, emulators=0.05, chooses={"beta": 0.1}, leaves=0.1, skew_s=300.0)
    world.app.promote("1.0.0")
    world.app.promote("1.2.0", "beta")
    world.go(6)
    world.app.ramp("1.1.0", 30)
    world.go(4)
    world.app.roll_back("1.0.0")
    world.go(6)
    world.fleet.settle()
    world.transport.flush()

    diary = world.fleet.diary
    for release in ("1.0.0", "1.1.0", "1.2.0"):
        assert world.counted(release) == diary.counts(release), release
        assert world.counted(release, test=True) == diary.counts(release, test=True), release
        for platform in ("android", "ios"):
            assert world.counted(release, platform=platform) == diary.counts(release, platform=platform)
        for plugin in GENERATIONS:
            assert world.counted(release, plugin=plugin) == diary.counts(release, plugin=plugin), plugin
    for channel in (CHANNEL, "beta"):
        assert world.counted("1.2.0", channel) == diary.counts("1.2.0", channel)
    bad = diary.counts("1.1.0")
    assert bad["boot"] > 12
    assert bad["crashed"] > 5
    assert diary.counts("1.2.0")["integrity"] > 2
    assert isinstance(world.parts.telemetry, SqlTelemetry)
    assert audit_counters(world.parts.telemetry) == []


def test_nobody_gets_what_the_pointer_does_not_name_for_him(app: ServedApp) -> None:
    from otagate.channel.cohort import choose

    app.publish("1.0.0")
    app.publish("1.1.0")
    world = open_world(app, 350)
    world.app.promote("1.0.0")
    steps: tuple[Callable[[], ChannelState], ...] = (
        app.state,
        lambda: app.ramp("1.1.0", 5),
        lambda: app.ramp("1.1.0", 50),
        lambda: app.roll_back("1.0.0"),
    )
    seen = 0
    for step in steps:
        step()
        before = len(world.fleet.diary.answers)
        world.go(3)
        state = world.app.state()
        for answer in world.fleet.diary.answers[before:]:
            if answer.version in {None, "builtin"}:
                continue
            profile = world.fleet.diary.devices[answer.device]
            named = choose(state, profile.device_id, None)
            assert str(named) == answer.version, answer
            seen += 1
    assert seen > 350


def test_many_devices_live_a_day_in_seconds(app: ServedApp) -> None:
    app.publish("1.0.0")
    world = open_world(app, SIZE, sessions_per_day=2.0, keep_answers=False)
    world.app.promote("1.0.0")
    world.go(24)
    counted = world.counted("1.0.0")
    assert counted == world.fleet.diary.counts("1.0.0")
    assert counted["success"] > 0.4 * SIZE
