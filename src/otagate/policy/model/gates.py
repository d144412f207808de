"""What a gate asks of a metric, what its failure does, and how gates are judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from otagate.policy.model.sources import Source
from otagate.policy.model.tracks import PhaseSpec


class Action(StrEnum):
    """What a failed gate does, weakest first."""

    ALERT = "alert"
    PAUSE = "pause"
    ROLLBACK = "rollback"


class Evaluate(StrEnum):
    """When a gate's planned look is."""

    SOAK_END = "soak_end"
    PHASE_END = "phase_end"
    AT_AGE = "at_age"
    """Once, at the first look after the release has been ``GateSpec.at_age`` in its phase; and at the phase's end."""


class Split(StrEnum):
    """What a split check compares with the weight: the share of the channel's devices that have it, or were offered it."""

    EQUAL = "equal"
    """It must equal the weight: for sources that count who was chosen."""
    AT_MOST = "at_most"
    """It must not exceed the weight: for sources that count who runs it already, our telemetry among them."""


@dataclass(frozen=True, slots=True)
class Escalation:
    """A worse limit of the same metric with a stronger action."""

    above: Decimal
    action: Action


@dataclass(frozen=True, slots=True)
class Limit:
    """An exceedance limit: at most ``max_share`` of the devices may take longer than ``over``."""

    over: timedelta
    max_share: Decimal
    action: Action


@dataclass(frozen=True, slots=True)
class ValueLimit:
    """Bounds of a plain number, such as a latency in milliseconds; at least one of them."""

    max: Decimal | None = None
    min: Decimal | None = None


@dataclass(frozen=True, slots=True)
class GateSpec:
    """One metric's thresholds. Shares are exact decimals 0..1.

    Exactly one of these shapes: ``max`` (a share of bad devices), ``min`` (a share of good devices: the measurement then counts
    the GOOD ones' complement, so sources always report bad and total), ``limits``, ``max_increase`` (against devices that are
    served the previous release at the same time), ``split`` (the share of devices that have it, against the weight), or
    ``value`` (a plain number).

    Attributes:
        metric: Name, such as ``crash_rate``.
        max: Largest tolerated share of bad devices, or None.
        min: Smallest tolerated share of good devices, or None (then bad share must stay below ``1 - min``).
        target: Between target and limit the verdict is warn. A share of bad devices with ``max``, of good ones with ``min``.
        action: What a fail does.
        min_sample: Devices needed at the planned look.
        maturity: How old a device's installation must be to count (sources get a window that ends that much earlier).
        escalate: A worse limit with a stronger action, or None.
        evaluate: When the planned look is.
        limits: Exceedance limits; empty for the other shapes.
        source: Where its counts come from, or None when the policy names none.
        dry_run: Measured and shown, never acted on.
        max_increase: By how much the rate of bad devices may exceed that of the control devices: 0.5 is one and a half times.
        split: What the share of devices is compared with, or None.
        value: Bounds of a plain number, or None. Its action is pause at most.
        consecutive: So many looks in a row, over at least 15 minutes, must find ``value`` out of bounds before it acts.
        prove: Pass only when the devices prove that the share is below the limit; otherwise the estimate decides.
        phases: Names of the phases in which the gate counts; empty: in all.
        at_age: With ``evaluate`` AT_AGE, after how long in its phase.
    """

    metric: str
    max: Decimal | None = None
    min: Decimal | None = None
    target: Decimal | None = None
    action: Action = Action.PAUSE
    min_sample: int = 100
    maturity: timedelta = timedelta(0)
    escalate: Escalation | None = None
    evaluate: Evaluate = Evaluate.SOAK_END
    limits: tuple[Limit, ...] = ()
    source: Source | None = None
    dry_run: bool = False
    max_increase: Decimal | None = None
    split: Split | None = None
    value: ValueLimit | None = None
    consecutive: int = 3
    prove: bool = False
    phases: tuple[str, ...] = ()
    at_age: timedelta | None = None

    def counts_in(self, phase: PhaseSpec) -> bool:
        """Tell whether the gate is measured and judged in a phase."""
        named = phase.gates is None or self.metric in phase.gates
        return named and (not self.phases or phase.name in self.phases)


@dataclass(frozen=True, slots=True)
class Judgement:
    """How gates are judged.

    Attributes:
        settle: Observations younger than this are not counted: metric backends are late and revise.
        evaluate_every: How often ``run --wait`` looks while it waits.
        no_data_grace: So long a gate may be without data before the rollout pauses.
        error_grace: So long a source may fail before the rollout pauses.
        max_staleness: An older newest observation is ``stale``.
        min_coverage: Share of a soak that data must cover.
        alpha_pause: Chance, over a phase, all its looks and all gating metrics, of pausing a release that is at its limit.
        alpha_rollback: The same for rolling back.
    """

    settle: timedelta = timedelta(0)
    evaluate_every: timedelta = timedelta(minutes=30)
    no_data_grace: timedelta = timedelta(hours=6)
    error_grace: timedelta = timedelta(hours=2)
    max_staleness: timedelta = timedelta(hours=2)
    min_coverage: Decimal = Decimal("0.5")
    alpha_pause: Decimal = Decimal("0.05")
    alpha_rollback: Decimal = Decimal("0.01")
