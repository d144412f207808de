"""The world of one rehearsal: store, channels, server, telemetry and devices, under one virtual clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from otagate.fleet.config import Arrival, Crash, Faults, FleetConfig
from otagate.fleet.run import Fleet
from otagate.fleet.week import Week
from otagate.flow import actions
from otagate.flow.drive import drive, start
from otagate.flow.in_process import InProcess
from otagate.flow.measuring import measure_rollout
from otagate.flow.prepare import Shipment, prepare
from otagate.flow.publish import publish
from otagate.flow.rehearse.assumed import with_assumed
from otagate.flow.rehearse.counted import sources_of
from otagate.flow.rehearse.model import Outage, Scenario
from otagate.flow.rehearse.seam import seam
from otagate.flow.rehearse.stage import BEFORE, BRANCH, NATIVE, UNDER_TEST, StageSet, write_app
from otagate.flow.workspace import Workspace
from otagate.gate.interface import SourceError
from otagate.gate.judge import Reading
from otagate.gate.sources.telemetry import OneLook
from otagate.gate.sources.telemetry_database import DatabaseReader
from otagate.model import Context, Version, Weight
from otagate.policy.model.sources import TelemetrySpec
from otagate.rollout.effects import Effects
from otagate.rollout.reconciler import Reconciler
from otagate.rollout.state import RolloutState
from otagate.store.interface import Store
from otagate.store.memory import MemoryStore

if TYPE_CHECKING:
    from otagate.server.catalog import StoreCatalog
    from otagate.telemetry.sql import SqlTelemetry

COMMIT = "0" * 40
_SECRET = b"rehearsal"
_BACKGROUND_WITHIN = timedelta(days=3)
"""What crashes on a device in any release does so within so long."""
_LATE_WITHIN = timedelta(hours=6)
_LATE_AGAIN = 0.3


class VirtualClock:
    """A clock that only moves when it is told to, or when somebody sleeps."""

    def __init__(self, now: datetime) -> None:
        self.instant = now

    def now(self) -> datetime:
        """See Clock.now."""
        return self.instant

    def sleep(self, seconds: float) -> None:
        """See Clock.sleep."""
        self.instant += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Served:
    """The server's side: what it serves, what it counted, and the way to it."""

    catalog: StoreCatalog
    telemetry: SqlTelemetry
    transport: InProcess


class RehearsalWorld:
    """See the module. Close it at the end.

    Attributes:
        clock: Time.
        fleet: The devices.
        rollout_id: The rollout under test.
    """

    def __init__(self, stage: StageSet, scenario: Scenario, seed: int, folder: Path) -> None:
        """Publish two releases, give everybody the first, and start the rollout of the second."""
        self._stage, self._scenario, self._seed, self._folder = stage, scenario, seed, folder
        self._open = ExitStack()
        self.clock = VirtualClock(scenario.start)
        self._store = MemoryStore("rehearsal")
        self._first = self._workspace(self._store)
        self._reader = DatabaseReader(stage.policy.telemetry or TelemetrySpec(), folder, {})
        self._look: tuple[datetime, OneLook] | None = None
        self._serve_before()
        self._served = self._serve()
        self.rollout_id = self._start(f"{random.Random(seed).getrandbits(128):032x}")  # noqa: S311 - a simulation
        self.serve_anew()
        config = fleet_config(scenario, str(stage.policy.app))
        self.fleet = Fleet(config, self._served.transport, seed, start=scenario.start.timestamp())

    def close(self) -> None:
        """Let go of what is open."""
        self._open.close()

    # -- time

    def pass_to(self, instant: datetime) -> None:
        """Let the devices live until then."""
        self.fleet.run_until(instant.timestamp())
        self._served.transport.flush()
        self.clock.instant = instant

    def serve_anew(self) -> None:
        """Let the server see what the channels say now."""
        self._served.catalog.refresh()

    @property
    def since(self) -> timedelta:
        """Time since the rollout's start."""
        return self.clock.now() - self._scenario.start

    # -- machines

    def machine(self, point: Callable[[], None]) -> Workspace:
        """Start a machine that knows nothing but what it reads from the store; ``point`` is called at each operation."""
        return self._workspace(seam(self._store, point))

    @property
    def own(self) -> Workspace:
        """The rehearsal's own view, for looking and for what people do."""
        return self._first

    def _workspace(self, store: Store) -> Workspace:
        context = Context("rehearsal", COMMIT, branch=BRANCH, actor="rehearsal")
        made = Workspace(self._stage.policy, context, self._stage.environ, self.clock)
        made.store = store
        first = getattr(self, "_first", None)
        if first is not None:  # reading the same keys again would show nothing new
            made.trusted, made.signer = first.trusted, first.signer
        effects = Effects(made.policy.app, made.rollouts, made.channels, made.releases, self.clock)
        made.reconciler = Reconciler(effects, made.ledger, partial(self._measure, made))
        return made

    def _measure(self, machine: Workspace, state: RolloutState, now: datetime) -> Sequence[Reading]:
        # Machines that look at the same instant see the same: the phones live on only afterwards.
        if self._look is None or self._look[0] != now:
            self._look = now, OneLook(self._reader)
        policy = machine.policy
        sources = with_assumed(sources_of(state, self._look[1]), state.gates, self._scenario.assumed, self._seed)
        readings = measure_rollout(state, now, root=policy.root, environ=machine.environ, sources=sources)
        outage = self._scenario.faults.metric_outage
        if not is_out(outage, self.since):
            return readings
        return [_failed(reading) for reading in readings]

    # -- the beginning

    def _serve_before(self) -> None:
        """Give every channel of the track the release before."""
        self._publish(BEFORE)
        track = self._stage.policy.tracks[self._scenario.track]
        for name in dict.fromkeys(phase.channel for phase in track.phases):
            actions.promote(self._first, name, Version(BEFORE), Weight(10_000)).carry_out()

    def _publish(self, version: str) -> Shipment:
        write_app(self._folder, version)
        # Another commit each: of the same one the release that is there would be taken.
        here = self._first
        here.context = replace(here.context, commit=f"{version.encode().hex():0>40}")
        shipment = prepare(here, version=Version(version))
        publish(here, shipment, self._folder, build=False)
        return shipment

    def _start(self, seed: str) -> str:
        self._publish(UNDER_TEST)
        here = self._first
        shipment = prepare(here, version=Version(UNDER_TEST))
        published = here.releases.get(Version(UNDER_TEST))
        if published is None:
            raise AssertionError(UNDER_TEST)
        stored = start(here, shipment, published.ref)
        # Who is in must depend on nothing but the rehearsal's seed.
        here.rollouts.save(stored, replace(stored.state, seed=seed))
        drive(here, shipment.rollout_id, wait=None)
        return shipment.rollout_id

    def _serve(self) -> Served:
        from otagate.server.catalog import AppSource, StoreCatalog  # noqa: PLC0415 - needs the extra
        from otagate.server.choices import PolledChoices  # noqa: PLC0415 - likewise
        from otagate.server.http.links import DirectBundles, ServerLinks  # noqa: PLC0415 - likewise
        from otagate.server.service import PluginService  # noqa: PLC0415 - likewise
        from otagate.telemetry.secret import device_key  # noqa: PLC0415 - likewise
        from otagate.telemetry.sql import open_telemetry  # noqa: PLC0415 - likewise

        policy, here = self._stage.policy, self._first
        database = policy.telemetry.database if policy.telemetry is not None else None
        telemetry = open_telemetry(database or "", {}, base=self._folder)
        self._open.callback(telemetry.close)
        telemetry.engines.relax()
        source = AppSource(policy.app, policy.server, False, here.channels_read_only, here.releases, frozenset())
        catalog = StoreCatalog([source], self.clock, max_stale=self._scenario.until * 2)
        self._open.callback(catalog.stop)
        catalog.refresh()
        choices = PolledChoices(telemetry)
        service = PluginService(catalog, choices, ServerLinks(), partial(device_key, _SECRET))
        transport = InProcess(service, telemetry, DirectBundles(self._store.blobs), choices.choose)
        return Served(catalog, telemetry, transport)


def is_out(outage: Outage | None, since: timedelta) -> bool:
    """Tell whether something that may be away is away."""
    return outage is not None and outage.covers(since)


def _failed(reading: Reading) -> Reading:
    error = SourceError("the source does not answer", reading.metric, found="the rehearsed outage")
    return reading if reading.outcome is None else replace(reading, outcome=error)


def fleet_config(scenario: Scenario, app: str) -> FleetConfig:
    """Give the devices of a scenario."""
    plan = scenario.faults
    usual = Crash(scenario.crash_rate, within_s=_BACKGROUND_WITHIN.total_seconds(), is_fault=False)
    late = Crash(plan.late_crash, plan.late_crash_after.total_seconds(), _LATE_WITHIN.total_seconds(), _LATE_AGAIN)
    of_release = Faults(boot=plan.boot_crash, integrity=plan.integrity, crashes=(usual, late) if plan.late_crash else (usual,))
    return FleetConfig(
        app=app,
        base="http://updates.invalid",
        size=scenario.devices,
        generations=scenario.plugins,
        platforms=scenario.platforms,
        native=NATIVE,
        follows=scenario.follows,
        installed=BEFORE,
        arrival=Arrival.DAILY if scenario.is_daily else Arrival.UNIFORM,
        week=Week.of(scenario.hours) if scenario.hours else None,
        sessions_per_day=scenario.sessions,
        download_failures=scenario.network_failures if plan.network is None else plan.network,
        faults={UNDER_TEST: of_release},
        other_faults=Faults(crashes=(usual,)),
        remember_opened=True,
        tells_sessions=False,
        keep_answers=False,
    )
