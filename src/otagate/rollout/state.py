"""What a rollout remembers between two reconciles: everything, so that any machine can go on with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from otagate._canonical import dumps
from otagate.gate.look import Streak
from otagate.model import AppId, ChannelName, Digest, ReleaseRef, Weight
from otagate.policy.model.gates import GateSpec, Judgement
from otagate.policy.model.tracks import PhaseSpec, TrackSpec
from otagate.policy.model.windows import WindowsSpec
from otagate.rollout.codec import encode


class Stage(StrEnum):
    """Where a rollout stands. The last four are terminal and stay so."""

    PENDING = "pending"
    ROLLING = "rolling"
    SOAKING = "soaking"
    AWAITING_APPROVAL = "awaiting_approval"
    PAUSED = "paused"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"


TERMINAL = frozenset({Stage.COMPLETED, Stage.ROLLED_BACK, Stage.ABORTED, Stage.SUPERSEDED})
TAKEN_OFF = frozenset({Stage.ABORTED, Stage.SUPERSEDED})
"""Ended without a word about the release: it is offered no more where it had not settled, and its version is not blocked."""


class OpKind(StrEnum):
    """What an intent may do to the world. Each is idempotent: doing it twice is doing it once."""

    CLAIM = "claim"
    RELEASE_CLAIM = "release_claim"
    OFFER = "offer"
    SETTLE = "settle"
    WITHDRAW = "withdraw"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    LOWER = "lower"
    """Take the release back from a part of the devices: only a person asks for it."""
    DROP = "drop"
    """Stop offering the release where it has not settled, without blocking its version."""


@dataclass(frozen=True, slots=True)
class Op:
    """One idempotent effect on one channel; ``weight`` only with OFFER and LOWER."""

    kind: OpKind
    channel: ChannelName
    weight: Weight | None = None

    def __str__(self) -> str:
        return f"{self.kind.value} {self.channel}" + (f" at {self.weight}" if self.weight is not None else "")


@dataclass(frozen=True, slots=True)
class Event:
    """A ledger entry that is still to be written. ``id`` makes writing it twice harmless."""

    id: str
    kind: str
    at: datetime
    data: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Intent:
    """Effects that were decided and recorded, and may or may not have happened yet."""

    ops: tuple[Op, ...]
    then: Stage
    """The stage once all of them are done."""
    raised_at: datetime | None = None
    """When it was decided, if it raises exposure: what was decided long ago is looked at again before it is done."""


@dataclass(frozen=True, slots=True)
class Note:
    """Who said or saw something, when and why: a latched failure, an override, an approval."""

    at: datetime
    reason: str
    actor: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class Total:
    """The most devices, and the most bad ones, that a source has told of, in the window that begins then."""

    start: datetime
    devices: int
    bad: int = 0


@dataclass(frozen=True, slots=True)
class RolloutSpec:
    """The part of the policy that a rollout runs by, frozen when it starts; only ``otagate amend`` changes it."""

    track: TrackSpec
    gates: tuple[GateSpec, ...]
    judgement: Judgement
    windows: WindowsSpec = field(default_factory=WindowsSpec)

    @property
    def digest(self) -> Digest:
        """SHA-256 of the canonical JSON of its stored form: tells two specs apart in the ledger."""
        return Digest.of(dumps(encode(self)))


@dataclass(frozen=True, slots=True)
class RolloutState:
    """One rollout.

    Attributes:
        id: ``<version>-<track>``: a version is never reused, so starting it twice finds the first.
        seed: 32 hex digits; decides which devices are in, the same while weights grow.
        phase: Index into the track's phases; -1 before the first is entered.
        step: Index into the phase's ramp.
        entered_at: When the present weight was in force.
        phase_since: When the present phase's first weight was in force: where the window of every metric begins.
        not_before: When its soak ends; the planned look is then.
        exposed: Channels that named the release at some time, in order.
        latched: Metric to failure; only an override lifts it.
        overrides: Metric to who waived it last and why; see :attr:`waived` for which are in force.
        approvals: What was approved: ``phase:<name>`` or ``insufficient:<phase>:<step>``.
        awaiting: The approval that is waited for, or "".
        troubles: Metric to since when its gate has had no usable answer (no_data, stale, error).
        paused_by: Why it is paused, or "".
        paused_actor: Who paused it, or "" when its gates did.
        unfinished: Effects that had been decided when it was paused and may not have happened; done again on resume.
        outcome: The reason of a terminal stage, or "".
        events: Ledger entries not yet written.
        told: How many ledger entries it has made so far.
        origin: Commit, run URL, actor: where it was started from.
        peak: The highest weight that was in force in the present phase: devices above a lowered weight come back only slowly.
        control: Version that the present channel served when the phase was entered, or "": the built-in bundle.
        seen: Gates with ``evaluate: at_age`` whose planned look was in the present phase.
        streaks: Metric to how often in a row its plain number was out of bounds.
        alerted: Metrics whose failure, one that only alerts, was told of in the present phase.
        totals: The most devices that were told of, by what was asked: cumulative counts do not fall.
        passed: Checks that passed their planned look in the present soak; see :class:`~otagate.gate.look.Look`.
        silent: Metric to how much of the present soak its source said nothing, or nothing new.
        superseding: A run by a rule with ``supersede``: it ends rollouts that hold the channels it enters, paused or not.
    """

    id: str
    app: AppId
    release: ReleaseRef
    spec: RolloutSpec
    seed: str
    created_at: datetime
    stage: Stage = Stage.PENDING
    phase: int = -1
    step: int = 0
    entered_at: datetime | None = None
    phase_since: datetime | None = None
    not_before: datetime | None = None
    exposed: tuple[ChannelName, ...] = ()
    intent: Intent | None = None
    latched: dict[str, Note] = field(default_factory=dict)
    overrides: dict[str, Note] = field(default_factory=dict)
    approvals: dict[str, Note] = field(default_factory=dict)
    awaiting: str = ""
    troubles: dict[str, datetime] = field(default_factory=dict)
    paused_by: str = ""
    paused_actor: str = ""
    unfinished: tuple[Op, ...] = ()
    outcome: str = ""
    events: tuple[Event, ...] = ()
    told: int = 0
    origin: dict[str, str] = field(default_factory=dict)
    last_reconcile_at: datetime | None = None
    peak: Weight = field(default=Weight(0))
    control: str = ""
    seen: tuple[str, ...] = ()
    streaks: dict[str, Streak] = field(default_factory=dict)
    alerted: tuple[str, ...] = ()
    totals: dict[str, Total] = field(default_factory=dict)
    superseding: bool = False
    passed: tuple[str, ...] = ()
    silent: dict[str, timedelta] = field(default_factory=dict)

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended for good (an intent may still have to be finished)."""
        return self.stage in TERMINAL

    @property
    def is_over(self) -> bool:
        """Whether it has ended and nothing of it is left to do or to record."""
        return self.is_terminal and self.intent is None and not self.events

    @property
    def current(self) -> PhaseSpec | None:
        """The phase that is in force, or None before the first."""
        return self.spec.track.phases[self.phase] if self.phase >= 0 else None

    @property
    def held(self) -> ChannelName:
        """The channel that it holds for certain, by which people name it: the present one, or the last while it goes on."""
        return next(iter(self.leaving), (self.current or self.spec.track.phases[0]).channel)

    @property
    def leaving(self) -> tuple[ChannelName, ...]:
        """The channels that it has not given up yet, on its way to the next."""
        pending = (*self.unfinished, *(self.intent.ops if self.intent else ()))
        return tuple(op.channel for op in pending if op.kind is OpKind.RELEASE_CLAIM)

    @property
    def waived(self) -> frozenset[str]:
        """The metrics whose failures somebody lifted in the present phase.

        The next phase counts its devices anew, and more of them: what was accepted for a few is not accepted for all.
        """
        since = self.phase_since
        return frozenset(metric for metric, note in self.overrides.items() if since is None or note.at >= since)

    @property
    def gates(self) -> tuple[GateSpec, ...]:
        """The gates that count in the present phase; none before the first."""
        phase = self.current
        return tuple(gate for gate in self.spec.gates if gate.counts_in(phase)) if phase else ()

    @property
    def weight(self) -> Weight:
        """The present exposure on the current channel."""
        phase = self.current
        return phase.ramp[self.step] if phase else Weight(0)

    @property
    def is_last_step(self) -> bool:
        """Whether the phase is at its highest weight."""
        phase = self.current
        return phase is not None and self.step == len(phase.ramp) - 1
