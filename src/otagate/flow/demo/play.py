"""The demo's two acts: a good release reaches every phone; a bad one is taken back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from otagate._text import span
from otagate.errors import UnavailableError
from otagate.fleet.config import Faults, FleetConfig
from otagate.fleet.diary import Fact
from otagate.fleet.http_transport import HttpTransport
from otagate.fleet.live import run_live
from otagate.fleet.run import Fleet
from otagate.flow.demo.counted import measure_now
from otagate.flow.demo.server import serving
from otagate.flow.demo.shop import APP_ID, NATIVE, Shop, open_shop
from otagate.flow.drive import drive, start
from otagate.flow.prepare import prepare
from otagate.flow.publish import publish
from otagate.flow.workspace import Workspace
from otagate.model import Context
from otagate.policy.load import load_policy
from otagate.rollout.effects import Effects
from otagate.rollout.reconciler import Outcome, Reconciler
from otagate.rollout.state import RolloutState, Stage

GOOD, BAD = "1.1.0", "1.2.0"
BOOT_CRASH = 0.3
_SPEED = 3000.0
"""Virtual seconds in a real one: fifty minutes."""
_SESSIONS = 60.0
"""Of a phone in a virtual day: one every half a second."""
_BURST_S = 0.5
_PATIENCE_S = 240.0
"""For one release. It takes about ten seconds on a small machine, and many times as long on one that does other things."""

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Act:
    """What became of one release.

    Attributes:
        version: Which.
        stage: Where its rollout ended.
        outcome: Why, in words.
        seconds: How long it took.
        exposed: Phones that ran it.
        failed: Phones on which it did not start.
        running: Phones that run it at the end.
    """

    version: str
    stage: str
    outcome: str
    seconds: float
    exposed: int
    failed: int
    running: int


@dataclass
class Demo:
    """The demo under way: app, server and phones.

    Attributes:
        shop: The app.
        environ: Environment variables.
        fleet: The phones.
        note: Told how things go.
        said: What was told last.
    """

    shop: Shop
    environ: Mapping[str, str]
    fleet: Fleet
    note: Note
    said: tuple[object, ...] = ()

    def act(self, version: str) -> Act:
        """Ship a release and let it go as far as its gates let it.

        Raises:
            UnavailableError: It takes too long.
        """
        began = time.monotonic()
        self.shop.build(version)
        here = self._machine(version)
        shipment = prepare(here)
        published = publish(here, shipment, self.shop.folder / ".otagate", build=False)
        start(here, shipment, published.ref)
        state = self._watch(shipment.rollout_id, began, version)
        self._return(state)
        return self._told(version, state, time.monotonic() - began)

    def _watch(self, rollout_id: str, began: float, version: str) -> RolloutState:
        while True:
            # Another machine each time, as a scheduled job would be.
            outcome = drive(self._machine(version), rollout_id, wait=None, on_step=self._say)
            if outcome.state.is_terminal or outcome.state.stage is Stage.PAUSED:
                return outcome.state
            if time.monotonic() - began > _PATIENCE_S:
                break
            self.live()
        raise UnavailableError(
            "the demo took too long",
            f"release {version}",
            expected=f"its end within {_PATIENCE_S:.0f} s",
            found=outcome.waiting_for or outcome.state.stage.value,
            remedy="try again when the machine is less busy, or with fewer phones: --devices 40",
        )

    def _return(self, state: RolloutState) -> None:
        """After a rollback, wait for the phones to be back; and after a good release for most to have it."""
        version = str(state.release.version)
        wanted = 0 if state.stage is not Stage.COMPLETED else len(self.fleet.devices) * 9 // 10
        until = time.monotonic() + _PATIENCE_S / 4
        while time.monotonic() < until:
            running = self._running(version)
            if (running >= wanted) if wanted else not running:
                return
            self.live()

    def live(self) -> None:
        """Let the phones live for a moment."""
        run_live(self.fleet, duration_s=_BURST_S, speed=_SPEED, threads=8)

    def _say(self, outcome: Outcome) -> None:
        state = outcome.state
        here = (state.id, state.stage, state.phase, state.step)
        if here == self.said:
            return
        self.said = here
        phase, version = state.current, str(state.release.version)
        where = f"{phase.channel} at {state.weight}, watched for {span(phase.soak)}" if phase and not state.is_terminal else ""
        run = len(self.fleet.diary.moments.get((version, Fact.SET), ()))
        self.note(f"{version}: {where or state.stage.value}; {run} phones ran it so far")

    def _machine(self, version: str) -> Workspace:
        context = Context("demo", version.encode().hex().zfill(40), branch="main", actor="demo")
        made = Workspace(load_policy(self.shop.policy), context, self.environ)
        effects = Effects(made.policy.app, made.rollouts, made.channels, made.releases, made.clock, made.follow)
        measure = partial(_measure, root=self.shop.folder, environ=self.environ)
        made.reconciler = Reconciler(effects, made.ledger, measure)
        return made

    def _running(self, version: str) -> int:
        return sum(1 for device in self.fleet.devices if device.bundles.running == version)

    def _told(self, version: str, state: RolloutState, seconds: float) -> Act:
        happened = self.fleet.diary.happened(version)
        why = state.outcome or state.paused_by
        return Act(version, state.stage.value, why, seconds, happened["set"], happened["boot"], self._running(version))


def _measure(state: RolloutState, now: datetime, *, root: Path, environ: Mapping[str, str]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return measure_now(state, now, root, environ)


def play(folder: Path, environ: Mapping[str, str], *, devices: int, seed: int, note: Note) -> tuple[Act, Act]:
    """Play the whole demo in a folder that is empty.

    Raises:
        OtagateError: Something cannot be written, or the server does not start, or it takes too long.
    """
    shop = open_shop(folder)
    note(f"made an app with keys and a policy in {folder}")
    with ExitStack() as stack:
        url = stack.enter_context(serving(folder, environ))
        note(f"otagate serve answers at {url}")
        transport = stack.enter_context(closing(HttpTransport(connections=8)))
        fleet = Fleet(_config(shop, url, devices), transport, seed, start=time.time(), stamp=lambda _at: time.time())
        demo = Demo(shop, environ, fleet, note)
        note(f"{devices} phones, of which two in five follow beta; release {GOOD} is good")
        good = demo.act(GOOD)
        note(f"release {BAD} does not start on {BOOT_CRASH:.0%} of the phones")
        bad = demo.act(BAD)
        fleet.settle()
    return good, bad


def _config(shop: Shop, url: str, devices: int) -> FleetConfig:
    config = FleetConfig(APP_ID, url, devices, shop.keys.encryption_public_pem, native=NATIVE)
    return replace(
        config,
        follows={"beta": 0.4, "stable": 0.6},
        sessions_per_day=_SESSIONS,
        session_s=60.0,
        killed=0.0,
        faults={BAD: Faults(boot=BOOT_CRASH)},
        tells_sessions=False,
        remember_opened=True,
        keep_answers=False,
    )
