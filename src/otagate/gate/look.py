"""What goes into a judgement: the look, what was read, and what earlier looks left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from otagate.gate.interface import Measurement, SourceError
from otagate.policy.model.gates import Evaluate, GateSpec


class LookKind(StrEnum):
    """Why gates are looked at."""

    INTERIM = "interim"
    """Between planned looks: only always-valid evidence acts, nothing passes."""
    SOAK_END = "soak_end"
    """A soak is over, and a further weight of the same phase follows: planned for gates that are evaluated then."""
    PHASE_END = "phase_end"
    """The last soak of a phase is over: planned for every gate."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at all gates of a rollout.

    Attributes:
        kind: Why.
        soak_start: When the soak that is running, or just over, began.
        soak_end: When it ends: the absolute instant that the rollout's state holds.
        age: How long the release has been in its phase, for gates with ``evaluate: at_age``; None: not known, so that they are
            looked at as planned.
        seen: Gates with ``evaluate: at_age`` whose planned look was already.
        weight_bps: The highest weight of the phase so far, which devices are split by; 0 to 10000.
        has_control: Other devices of the channel are served a release that one can compare with.
        passed: Checks (:func:`question`) that passed their planned look in this soak: from then on only evidence fails them.
        silent: Metric to how much of this soak its source said nothing, or nothing new.
    """

    kind: LookKind
    soak_start: datetime
    soak_end: datetime
    age: timedelta | None = None
    seen: frozenset[str] = frozenset()
    weight_bps: int = 10_000
    has_control: bool = True
    passed: frozenset[str] = frozenset()
    silent: Mapping[str, timedelta] = field(default_factory=dict)

    def is_planned_for(self, spec: GateSpec) -> bool:
        """Tell whether this is the gate's planned look, the one that may pass it."""
        if spec.evaluate is Evaluate.AT_AGE and spec.at_age is not None and self.age is not None:
            return self.age >= spec.at_age and (self.kind is LookKind.PHASE_END or spec.metric not in self.seen)
        if self.kind is LookKind.SOAK_END:
            return spec.evaluate is Evaluate.SOAK_END
        return self.kind is LookKind.PHASE_END


def question(metric: str, check: str) -> str:
    """Name one check among those of all gates."""
    return f"{metric} {check}"


@dataclass(frozen=True, slots=True)
class Streak:
    """How often in a row a plain number was found out of its bounds, and since when."""

    count: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source said to one question, as :func:`otagate.gate.measure.measure` collects it.

    Attributes:
        metric: The gate's name.
        start: Beginning of the window, included.
        end: End of the window, excluded.
        outcome: Counts, or why there are none. None: the window has no length yet, so no device can have matured and
            nothing was asked.
        over: For exceedance metrics, which limit it belongs to; otherwise None.
    """

    metric: str
    start: datetime
    end: datetime
    outcome: Measurement | SourceError | None
    over: timedelta | None = None
