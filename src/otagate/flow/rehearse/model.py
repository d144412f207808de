"""What is rehearsed, and what a rehearsal found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from otagate.flow.rehearse.usual import CRASH_RATE


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which something is away, since the rollout's start."""

    begin: timedelta
    end: timedelta

    def covers(self, since: timedelta) -> bool:
        """Tell whether it is away at that time."""
        return self.begin <= since < self.end


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What goes wrong. Shares are between 0 and 1.

    Attributes:
        boot_crash: Devices on which the release never says that it is ready, so that the plugin rolls back.
        late_crash: Devices on which it crashes, ...
        late_crash_after: ... so long after it was installed.
        integrity: Downloads of the release that arrive with other bytes.
        network: Downloads that fail, of any release; None: the usual share.
        metric_outage: Every source of metrics fails meanwhile.
        reconcile_down: Nobody reconciles meanwhile.
        reconcilers: So many machines reconcile at once, each time.
        restart: Reconciles that are killed at some operation of the store.
    """

    boot_crash: float = 0.0
    late_crash: float = 0.0
    late_crash_after: timedelta = timedelta(0)
    integrity: float = 0.0
    network: float | None = None
    metric_outage: Outage | None = None
    reconcile_down: Outage | None = None
    reconcilers: int = 1
    restart: float = 0.0

    @property
    def is_of_release(self) -> bool:
        """Whether anything is wrong with the release itself, so that a stop is no false one."""
        return bool(self.boot_crash or self.late_crash or self.integrity)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is rehearsed.

    Attributes:
        track: Name of the track.
        start: When the rollout begins.
        faults: What goes wrong.
        devices: How many.
        follows: Weight by channel: which channel the devices' builds follow.
        platforms: Weight by platform.
        plugins: Weight by version of the plugin.
        is_daily: Devices are opened most in the evening; otherwise evenly.
        hours: Of each hour of a week, from Monday 00:00 UTC on: how often apps are opened, where the mean is 1; comes before
            ``is_daily``. Empty: not told.
        sessions: Of a device a day, in the mean.
        crash_rate: Share of devices on which any release crashes once.
        network_failures: Share of downloads that fail, of any release.
        every: Between two reconciles.
        approve_after: An approval that is waited for is given after so long.
        resume_after: A pause that no gate failed for is lifted after so long; None: never.
        until: The rehearsal ends then at the latest.
        assumed: Rates of metrics that telemetry does not know, by metric, between 0 and 1.
        taken: Where ``devices``, ``follows``, ``platforms``, ``plugins``, ``arrivals`` and ``sessions`` come from:
            ``default``, ``policy``, ``telemetry`` or ``option``.
    """

    track: str
    start: datetime
    faults: FaultPlan = FaultPlan()
    devices: int = 2000
    follows: Mapping[str, float] = field(default_factory=dict)
    platforms: Mapping[str, float] = field(default_factory=lambda: {"android": 0.6, "ios": 0.4})
    plugins: Mapping[str, float] = field(default_factory=lambda: {"8.51.23": 1.0})
    is_daily: bool = False
    hours: tuple[float, ...] = ()
    sessions: float = 4.0
    crash_rate: float = CRASH_RATE
    network_failures: float = 0.05
    every: timedelta = timedelta(minutes=30)
    approve_after: timedelta = timedelta(hours=1)
    resume_after: timedelta | None = None
    until: timedelta = timedelta(days=30)
    assumed: Mapping[str, float] = field(default_factory=dict)
    taken: Mapping[str, str] = field(default_factory=dict)


class Ending(StrEnum):
    """How a rehearsed rollout ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    """A gate failed: paused or rolled back."""
    HELD = "held"
    """Paused for another reason: no usable answer of a source for too long, or too few devices."""
    UNFINISHED = "unfinished"
    """Still under way when the rehearsal's time was over."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, as the ledger has it. ``at`` is since the rollout's start."""

    at: timedelta
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """How things stood after one reconcile.

    Attributes:
        at: Since the rollout's start.
        phase: Its name, ``""`` before the first.
        weight_bps: Exposure in it, 0 to 10000.
        exposed: Devices that ran the release so far.
        met: Devices that met the fault so far.
        verdict: The worst verdict of the gates that may stop the rollout, ``""`` when none was judged.
    """

    at: timedelta
    phase: str
    weight_bps: int
    exposed: int
    met: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a rollout was stopped.

    Attributes:
        at: Since the rollout's start.
        metric: The gate that failed; ``""`` when none did.
        action: ``pause`` or ``rollback``.
        reason: In words.
        phase: In which phase.
        weight: At which weight, as text.
        exposed: Devices that ran the release by then.
        met: Devices that met the fault by then.
        first_met: When the first device met it, since the start; None: none did.
    """

    at: timedelta
    metric: str
    action: str
    reason: str
    phase: str
    weight: str
    exposed: int
    met: int
    first_met: timedelta | None


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One rehearsal.

    Attributes:
        seed: Of all chance in it.
        ending: How it ended.
        stage: The rollout's stage at the end.
        ended_at: When it got there, since the start.
        outcome: In words.
        stop: Where a gate stopped it first, or, when none did, where it was paused first; None: it never was.
        is_false_stop: It was stopped by a gate although nothing is wrong with the release.
        is_held_once: It was paused for another reason at some time.
        offered: Devices that were offered the release.
        exposed: Devices that ran it.
        met: Devices that met the fault.
        back_after: After a rollback, until the last device had left the release; None: some have it still, or there was none.
        left: Devices that run it at the end.
        looks: Reconciles that judged the gates.
        killed: Reconciles that were killed.
        errors: Reconciles that ended with an error, by its first words.
        moments: What the ledger says.
        samples: One a reconcile.
    """

    seed: int
    ending: Ending
    stage: str
    ended_at: timedelta
    outcome: str
    stop: Stop | None
    is_false_stop: bool
    is_held_once: bool
    offered: int
    exposed: int
    met: int
    back_after: timedelta | None
    left: int
    looks: int
    killed: int
    errors: Mapping[str, int]
    moments: tuple[Moment, ...]
    samples: tuple[Sample, ...]
