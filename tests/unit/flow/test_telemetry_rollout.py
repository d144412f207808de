"""Rollouts that go by what devices told an update server: the default gates, real telemetry, a clock that jumps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from otagate.flow.measuring import measure_rollout
from otagate.gate.judge import Reading
from otagate.policy.build import build_gates
from otagate.policy.model.sources import TelemetrySpec
from otagate.rollout.state import RolloutState, Stage
from otagate.telemetry.model import NOTHING, Mark, Observation
from support.counted import WHOLE, record, seen
from support.world import DAY, HOUR, Devices, World, phase, track

MINUTE = timedelta(minutes=1)
BROKEN = Mark.OFFERED | Mark.STARTED | Mark.VERIFIED | Mark.SET | Mark.BOOT
ON_THE_WAY = Mark.OFFERED | Mark.STARTED


@dataclass
class Counted(Devices):
    """What telemetry counted, instead of a script."""

    root: Path = Path()

    def __call__(self, state: RolloutState, now: datetime) -> Sequence[Reading]:
        return measure_rollout(state, now, root=self.root, environ={})


def make_world(folder: Path, *only: str) -> World:
    """Give a world with one phase of a day, judged by the default gates, or by some that pause; nobody told anything yet."""
    folder.mkdir(exist_ok=True)
    spec = TelemetrySpec(database=f"sqlite:///{folder}/t.db")
    gates = build_gates({name: {"action": "pause"} for name in only} or None, None, spec)
    world = World(folder, spec=track(phase("stable")), gates=gates, telemetry=spec)
    world.devices = Counted(root=folder)
    record(folder / "t.db")
    world.run()
    return world


def tell(world: World, ages: Iterable[timedelta], marks: Mark = WHOLE, *, first: int = 0) -> None:
    """Let one new device after the other tell, each as long ago as ``ages`` says."""
    now = world.clock.now()
    record(
        world.folder / "t.db",
        *(_seen(first + number, now - age, marks) for number, age in enumerate(ages)),
    )


def _seen(number: int, at: datetime, marks: Mark) -> Observation:
    running = "1.0.0" if marks in {WHOLE, NOTHING} else None
    return seen(number, "1.0.0", at, marks, channel="stable", app="com.example.app", running=running)


def spread(count: int, over: timedelta = DAY) -> list[timedelta]:
    return [over * number / count for number in range(1, count + 1)]


def test_a_good_release_goes_through(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.clock.pass_(DAY)
    tell(world, spread(500))
    assert world.reconcile().state.stage is Stage.COMPLETED


def test_a_release_that_does_not_start_is_rolled_back_at_the_next_look(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.clock.pass_(2 * HOUR)
    tell(world, spread(20, HOUR), first=100)
    tell(world, spread(25, HOUR), BROKEN)
    assert world.reconcile().state.stage is Stage.ROLLED_BACK


def test_a_release_that_crashes_is_paused_at_the_next_look(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.clock.pass_(2 * HOUR)
    tell(world, spread(80, HOUR), first=100)
    tell(world, spread(9, HOUR), WHOLE | Mark.CRASHED)
    assert world.reconcile().state.stage is Stage.PAUSED


def test_downloads_that_break_off_stop_nobody_at_once(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.clock.pass_(2 * HOUR)
    tell(world, spread(60, HOUR), Mark.OFFERED | Mark.STARTED | Mark.NETWORK)
    tell(world, spread(40, HOUR), first=100)
    assert world.reconcile().state.stage is Stage.SOAKING


def test_a_cdn_that_serves_nobody_is_paused_when_nobody_was_heard_to_have_it(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    for hour in range(9):
        world.clock.pass_(HOUR)
        tell(world, [30 * MINUTE] * 60, Mark.OFFERED | Mark.STARTED | Mark.NETWORK, first=100 * hour)
        world.reconcile()
    found = world.state()
    assert found.stage is Stage.PAUSED
    assert "no usable answer" in found.paused_by
    assert found.latched == {}, "nothing is said against the release"


def test_devices_on_their_way_stop_nobody(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    for _ in range(5):
        world.clock.pass_(HOUR)
        tell(world, [30 * MINUTE] * 50, ON_THE_WAY, first=1000 * world.clock.now().hour)
        assert world.reconcile().state.stage is Stage.SOAKING


@pytest.mark.parametrize(("metric", "quiet"), [("rollout_completion", 24), ("adoption_24h", 24), ("crash_rate", 0)])
def test_silence_is_counted_from_when_somebody_could_have_been_heard(metric: str, quiet: int, tmp_path: Path) -> None:
    """The grace for no data is six hours; it begins when the first device can be old enough."""
    world = make_world(tmp_path, metric)
    for hour in range(1, quiet + 6):
        world.clock.pass_(HOUR)
        found = world.reconcile().state
        assert found.stage is Stage.SOAKING, hour
    world.clock.pass_(3 * HOUR)
    assert world.reconcile().state.stage is Stage.PAUSED


def test_a_small_fleet_that_has_it_all_goes_on_as_long_as_it_is_heard(tmp_path: Path) -> None:
    """Forty devices have it within the first hour, and nobody comes after them."""
    world = make_world(tmp_path / "heard", "device_success_rate")
    world.clock.pass_(HOUR)
    tell(world, spread(40, 30 * MINUTE))
    world.clock.pass_(23 * HOUR + 45 * MINUTE)
    tell(world, [75 * MINUTE] * 3, NOTHING)
    assert world.reconcile().state.stage is Stage.COMPLETED


def test_a_fleet_that_fell_silent_holds(tmp_path: Path) -> None:
    world = make_world(tmp_path / "silent", "device_success_rate")
    world.clock.pass_(HOUR)
    tell(world, spread(40, 30 * MINUTE))
    world.clock.pass_(23 * HOUR + 45 * MINUTE)
    outcome = world.reconcile()
    assert outcome.state.stage is Stage.SOAKING
    assert [result.verdict.value for result in outcome.results] == ["stale"]
