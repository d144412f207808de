"""A whole world in memory: store, keys, releases, channels, ledger, rollouts and what drives them, with a clock that jumps.

Everything is the real thing except three outermost edges: the clock, the store's medium, and the numbers that devices report.
Several *processes* share one world; each is a :class:`~otagate.flow.workspace.Workspace` that begins with empty hands.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from otagate.errors import ConflictError
from otagate.flow.drive import drive, start
from otagate.flow.prepare import prepare
from otagate.flow.publish import publish
from otagate.flow.workspace import Workspace
from otagate.gate.interface import Measurement, SourceError
from otagate.gate.judge import Reading
from otagate.model import AppId, ChannelName, ChannelState, Context, Version, Weight
from otagate.policy.model.bundles import BuildSpec, BundleSpec, SealFormat, SealSpec, TrustSpec
from otagate.policy.model.gates import Action, Escalation, GateSpec, Judgement
from otagate.policy.model.policy import Policy
from otagate.policy.model.tracks import BranchRule, PhaseSpec, TrackSpec
from otagate.rollout.ledger_entry import LedgerEntry
from otagate.rollout.reconciler import Outcome
from otagate.rollout.state import RolloutState
from otagate.seal.trust import trust_line
from otagate.store.interface import Document, DocumentStore, Store
from otagate.store.memory import MemoryBlobs, MemoryStore
from support.keys import key, signer

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
APP = AppId("com.example.app")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GOOD: dict[str, Any] = {"crash_rate": (5, 2000), "success": (10, 2000)}
BAD: dict[str, Any] = {"crash_rate": (900, 2000), "success": (10, 2000)}

CRASH_RATE = GateSpec(
    "crash_rate", max=Decimal("0.02"), action=Action.PAUSE, min_sample=300, escalate=Escalation(Decimal("0.1"), Action.ROLLBACK)
)
SUCCESS = GateSpec("success", min=Decimal("0.85"), target=Decimal("0.98"), action=Action.ROLLBACK, min_sample=30)
GATES = (CRASH_RATE, SUCCESS)


def phase(name: str, *percents: int, soak: timedelta = DAY, **more: Any) -> PhaseSpec:
    """Give a phase on the channel of the same name, or on ``channel``."""
    channel = ChannelName(more.pop("channel", name))
    return PhaseSpec(name, channel, tuple(Weight(100 * percent) for percent in percents or (100,)), soak, **more)


def track(*phases: PhaseSpec, name: str = "production") -> TrackSpec:
    return TrackSpec(name, phases)


PRODUCTION = track(phase("internal"), phase("beta"), phase("stable", 5, 50, 100))


class JumpClock:
    """A clock that only moves when it is told to, or when somebody sleeps."""

    def __init__(self, now: datetime = NOW) -> None:
        self.instant = now

    def now(self) -> datetime:
        return self.instant

    def sleep(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)

    def pass_(self, span: timedelta) -> None:
        self.instant += span


@dataclass
class Devices:
    """What devices report: metric to ``(bad, total)``; None: no data; a text: the source fails with it."""

    says: dict[str, Any] = field(default_factory=lambda: dict(GOOD))
    newest_age: timedelta | None = None
    looks: int = 0

    def __call__(self, state: RolloutState, now: datetime) -> Sequence[Reading]:
        self.looks += 1
        begin = state.phase_since or now
        return [
            Reading(gate.metric, begin, now, self._outcome(gate.metric, now), over)
            for gate in state.spec.gates
            for over in dict.fromkeys(limit.over for limit in gate.limits) or (None,)
        ]

    def _outcome(self, metric: str, now: datetime) -> Measurement | SourceError:
        said = self.says.get(metric)
        if isinstance(said, str):
            return SourceError(said, metric)
        newest = None if self.newest_age is None else now - self.newest_age
        bad, total = said or (None, None)
        return Measurement(bad, total, newest, "scripted")


class Witness:
    """Documents that remember every write, in order. See DocumentStore."""

    def __init__(self, inner: DocumentStore) -> None:
        self._inner = inner
        self.writes: list[tuple[str, bytes]] = []

    def read(self, key: str) -> Document | None:
        return self._inner.read(key)

    def create(self, key: str, body: bytes) -> str:
        token = self._inner.create(key, body)
        self.writes.append((key, body))
        return token

    def replace(self, key: str, body: bytes, token: str) -> str:
        answer = self._inner.replace(key, body, token)
        self.writes.append((key, body))
        return answer

    def delete(self, key: str) -> None:
        self._inner.delete(key)

    def keys(self, prefix: str) -> Iterator[str]:
        return self._inner.keys(prefix)


class WitnessedStore(Store):
    """A store in memory whose document writes can be looked at afterwards."""

    witness: Witness

    def __init__(self) -> None:
        inner = MemoryStore("world")
        super().__init__(inner.url, inner.blobs, Witness(inner.documents))

    def twin(self) -> WitnessedStore:
        """Give a store of its own with the same content and past."""
        other = WitnessedStore()
        for name in self.documents.keys("apps/"):
            found = self.documents.read(name)
            other.documents.create(name, found.body if found else b"")
        other.writes[:] = self.writes
        if isinstance(self.blobs, MemoryBlobs) and isinstance(other.blobs, MemoryBlobs):
            other.blobs._bytes.update(self.blobs._bytes)
            other.blobs._written.update(self.blobs._written)
        return other

    @property
    def writes(self) -> list[tuple[str, bytes]]:
        documents = self.documents
        return documents.writes if isinstance(documents, Witness) else []


def make_policy(folder: Path, *, spec: TrackSpec = PRODUCTION, gates: Sequence[GateSpec] = GATES, **changes: Any) -> Policy:
    """Give a policy without a build and with signed-only releases, over the files in ``folder/dist``."""
    output = folder / "dist"
    output.mkdir(exist_ok=True, parents=True)
    if not (output / "index.html").exists():
        (output / "index.html").write_text("<script>notifyAppReady()</script>")
        (output / "app.js").write_text("CapacitorUpdater.notifyAppReady()")
    values: dict[str, Any] = {
        "file": folder / "otagate.yml",
        "root": folder,
        "digest": "0" * 64,
        "app": APP,
        "build": BuildSpec(output="dist"),
        "versioning": "package",
        "bundle": BundleSpec(),
        "seal": SealSpec(SealFormat.NONE, signing_key="env:SIGNING"),
        "trust": TrustSpec((trust_line(signer().public_key()),)),
        "storage": "memory:world",
        "channels": "hosted",
        "branches": (BranchRule("main", track=spec.name), BranchRule("develop", channel="development")),
        "tracks": {spec.name: spec},
        "gates": tuple(gates),
        "judgement": Judgement(),
    }
    return Policy(**{**values, **changes})


class World:
    """Store, clock, devices and policy; ``process()`` starts a process in it."""

    def __init__(self, folder: Path, **policy: Any) -> None:
        self.folder, self.work = folder, folder / "work"
        self.work.mkdir(exist_ok=True, parents=True)
        self.store = WitnessedStore()
        self.clock = JumpClock()
        self.devices = Devices()
        self.policy = make_policy(folder, **policy)
        self.context = Context("git", COMMIT, branch="main", actor="ana")

    def twin(self) -> World:
        """Give a world of its own that looks just like this one now."""
        other = copy.copy(self)
        other.store = self.store.twin()
        other.clock, other.devices = JumpClock(self.clock.instant), replace(self.devices, says=dict(self.devices.says))
        return other

    def process(self, store: Store | None = None, **context: Any) -> Workspace:
        """Start a process: everything that it knows it reads from the store."""
        workspace = Workspace(
            self.policy, replace(self.context, **context), {"SIGNING": key("ed25519"), "USER": "ana"}, self.clock
        )
        workspace.store = store or self.store
        workspace.reconciler = replace(workspace.reconciler, measure=self.devices)
        return workspace

    def run(self, version: str = "1.0.0", *, workspace: Workspace | None = None, **context: Any) -> Outcome:
        """Do what ``otagate run --version V`` does."""
        here = workspace or self.process(**context)
        shipment = prepare(here, version=Version(version))
        published = publish(here, shipment, self.work)
        return drive(here, start(here, shipment, published.ref).state.id, wait=None)

    def reconcile(self, rollout_id: str = "1.0.0-production") -> Outcome:
        """Take one step."""
        return self.process().reconciler.reconcile(rollout_id)

    def to_completion(self, version: str = "1.0.0", *, most: int = 30) -> Outcome:
        """Run a release through its whole track, a soak at a time."""
        outcome = self.run(version)
        for _ in range(most):
            if outcome.state.is_terminal:
                return outcome
            self.clock.pass_(DAY)
            outcome = self.run(version)
        message = f"it never ended: {outcome.state.stage}"
        raise TimeoutError(message)

    def state(self, rollout_id: str = "1.0.0-production") -> RolloutState:
        stored = self.process().rollouts.load(rollout_id)
        if stored is None:
            raise LookupError(rollout_id)
        return stored.state

    def channel(self, name: str) -> ChannelState | None:
        reading = self.process().channels.read(ChannelName(name))
        return reading.state if reading else None

    def ledger(self) -> list[LedgerEntry]:
        return list(self.process().ledger.entries())

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.ledger()]

    def claims(self) -> dict[str, str]:
        """Give the rollout that holds each channel; "" when it is free, also when a rollout that is over is still named."""
        prefix, rollouts = f"apps/{APP}/active/", self.process().rollouts
        names = [name.removeprefix(prefix).removesuffix(".json") for name in self.store.documents.keys(prefix)]
        holders = {name: rollouts.holder(ChannelName(name)) for name in names}
        return {name: holder.state.id if holder else "" for name, holder in holders.items()}


def begun(folder: Path, spec: TrackSpec) -> World:
    """Give a world whose channels serve a release, and a rollout of the next that was started and offered nothing yet."""
    world = World(folder, spec=spec)
    world.to_completion("0.9.0")
    here = world.process()
    shipment = prepare(here, version=Version("1.0.0"))
    start(here, shipment, publish(here, shipment, world.work).ref)
    return world


def shown(state: ChannelState | None) -> dict[str, Any] | None:
    """Give what a channel says, without what may differ from one try to the next: seed, serial and statement digests."""
    if state is None:
        return None
    candidate = state.candidate
    return {
        "stable": str(state.stable) if state.stable else None,
        "candidate": (str(candidate.release), candidate.weight.bps) if candidate else None,
        "paused": state.paused,
        "previous": [str(ref) if ref else None for ref in state.previous],
        "blocked": [str(version) for version in state.blocked],
    }


def picture(world: World) -> dict[str, Any]:
    """Give everything about a world that must not depend on where processes were killed."""
    names = world.process().channels.names()
    documents = world.store.documents
    rollouts = [name.rpartition("/")[2].removesuffix(".json") for name in documents.keys(f"apps/{APP}/rollouts/")]
    states = {name: world.state(name) for name in rollouts}
    return {
        "channels": {str(name): shown(world.channel(str(name))) for name in names},
        "rollouts": {
            name: (state.stage.value, state.phase, state.step, state.intent, state.events, sorted(state.latched))
            for name, state in states.items()
        },
        "ledger": [(entry.kind, entry.id if "#" in entry.id else "") for entry in world.ledger()],
        "claims": world.claims(),
    }


def check_invariants(world: World) -> None:
    """Raise AssertionError when the store is in a state that must never be seen, by anybody, at any time."""
    here = world.process()
    for name in here.channels.names():
        reading = here.channels.read(name)
        assert reading is not None
        state = reading.state
        named = [state.stable, state.candidate.release if state.candidate else None, *state.previous]
        for ref in {ref for ref in named if ref is not None}:
            here.releases.read_back(here.releases.resolve(ref))
    report = here.ledger.verify_chain()
    assert report.is_whole, report.problems
    ids = [entry.id for entry in here.ledger.entries()]
    assert len(ids) == len(set(ids)), "an event stands in the ledger twice"
    _check_history(world)


def _check_history(world: World) -> None:
    """Serials grow by one, revisions by one, and a candidate's weight falls only when its rollout, or a person, lowers it."""
    channels: dict[str, dict[str, Any]] = {}
    revisions: dict[str, int] = {}
    lowering: set[tuple[str, str, int]] = set()
    ruled: set[tuple[str, str]] = set()
    for name, body in world.store.writes:
        value = json.loads(body)
        if "/channels/" in name:
            after = json.loads(base64.b64decode(value["payload"]))
            _check_move(name, channels.get(name), after, ruled, lowering)
            channels[name] = after
        elif "revision" in value:
            assert value["revision"] == revisions.get(name, 0) + 1, name
            revisions[name] = value["revision"]
        if "/rollouts/" in name:
            rollout = value["rollout"]
            ops = (rollout["intent"] or {"ops": []})["ops"]
            version = rollout["release"]["version"]
            ruled |= {(one["channel"], version) for one in rollout["spec"]["track"]["phases"]}
            lowering |= {(op["channel"], version, op["weight"]) for op in ops if op["kind"] == "lower"}


def _check_move(
    name: str,
    before: dict[str, Any] | None,
    after: dict[str, Any],
    ruled: set[tuple[str, str]],
    lowering: set[tuple[str, str, int]],
) -> None:
    assert after["serial"] == (before["serial"] if before else 0) + 1, name
    was, now = (before or {}).get("candidate"), after.get("candidate")
    if was and now and was["version"] == now["version"]:
        channel = name.rpartition("/")[2].removesuffix(".json")
        told = (channel, now["version"], now["weight"]) in lowering or (channel, now["version"]) not in ruled
        assert now["weight"] >= was["weight"] or told, f"{name}: the weight fell"
        assert now["seed"] == was["seed"], f"{name}: another cohort"


__all__ = [
    "APP",
    "BAD",
    "GOOD",
    "NOW",
    "PRODUCTION",
    "ConflictError",
    "Devices",
    "JumpClock",
    "World",
    "begun",
    "check_invariants",
    "make_policy",
    "phase",
    "picture",
    "shown",
    "track",
]
