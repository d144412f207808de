"""One look at the gates of a rollout: asked, and judged. Pure, but for what measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from otagate.gate.judge import GateResult, Look, Reading, count_gating, judge_all
from otagate.rollout import machine
from otagate.rollout.memory import believable
from otagate.rollout.state import RolloutState

Measure = Callable[[RolloutState, datetime], Sequence[Reading]]
"""Reads every gate of a rollout's spec at one instant; never raises for a source that fails."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was measured, and what the gates say of it.

    Attributes:
        state: The rollout as it was looked at.
        look: Why; None when nothing is exposed yet, or there are no gates.
        readings: As measured.
        results: As judged.
    """

    state: RolloutState
    look: Look | None = None
    readings: Sequence[Reading] = ()
    results: tuple[GateResult, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether a later decision needs that there was this look: it is one of those in a row that a plain number needs."""
        needed = {gate.metric: gate.consecutive for gate in self.state.gates}
        numbers = [(one.metric, check) for one in self.results for check in one.checks if check.value is not None]
        return any(0 < check.streak <= needed[metric] for metric, check in numbers)


def look_at(state: RolloutState, now: datetime, measure: Measure) -> Judged:
    """Measure and judge at ``now``."""
    look = machine.look_of(state, now)
    if look is None or not state.gates:
        return Judged(state)
    readings = measure(state, now)
    results = judge_all(
        state.gates,
        believable(state.totals, readings),
        look=look,
        judgement=state.spec.judgement,
        gating_metrics=count_gating(state.spec.gates),
        now=now,
        streaks=state.streaks,
    )
    return Judged(state, look, readings, results)
