"""What was measured at one look at a rollout, as it is kept so that it can be judged again by another policy. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from otagate._text import harmless
from otagate.gate.interface import Ask, ContrastRow, Measurement, SourceError
from otagate.gate.judge import MOST_DEVICES, Look, LookKind, Reading
from otagate.gate.measure import asks
from otagate.model import Weight
from otagate.rollout.codec import YEARS
from otagate.rollout.state import RolloutState, Stage

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_ERROR = 400
NUMBERS = 4
"""In each row of a contrast."""
AS_OLD = timedelta(minutes=10)
"""Newest observations whose ages differ by so little are as old as each other."""


@dataclass(frozen=True, slots=True)
class KeptReading:
    """One reading; see :class:`~otagate.gate.interface.Measurement`.

    Attributes:
        ask: What was asked for.
        was_asked: False: the window had no length yet, or there was no control.
        value: The plain number as text, exactly.
        rows: ``(bad, total, control_bad, control_total)``; those without a bad device are one: it weighs the same.
        error: Why there is no answer, or "".
        digest: Of the answer, or None.
    """

    metric: str
    start: datetime
    end: datetime
    ask: Ask
    over: timedelta | None = None
    was_asked: bool = True
    bad: int | None = None
    total: int | None = None
    value: str | None = None
    newest_at: datetime | None = None
    rows: tuple[tuple[int, ...], ...] = ()
    error: str = ""
    pending: int = 0
    digest: str | None = None

    def reading(self) -> Reading:
        """Give it as it was judged, but for the strata of rows and the words of the source."""
        return Reading(self.metric, self.start, self.end, self._outcome(), self.over)

    def _outcome(self) -> Measurement | SourceError | None:
        if self.error:
            return SourceError(harmless(self.error, _MAX_ERROR))  # what the store holds may have been changed
        if not self.was_asked:
            return None
        rows = tuple(ContrastRow(self.start, "", *row) for row in self.rows)
        value = None if self.value is None else float(self.value)
        told, digest = "as it was recorded", self.digest if _DIGEST.fullmatch(self.digest or "") else None
        return Measurement(self.bad, self.total, self.newest_at, told, digest, value=value, pending=self.pending, rows=rows)


@dataclass(frozen=True, slots=True)
class KeptLook:
    """One look: where the rollout stood, and what was measured; the attributes of the same names of RolloutState."""

    at: datetime
    kind: LookKind
    stage: Stage
    phase: int
    step: int
    weight: Weight
    peak: Weight
    entered_at: datetime
    phase_since: datetime
    not_before: datetime
    control: str
    paused_actor: str
    told: int
    readings: tuple[KeptReading, ...]

    def says_the_same_as(self, other: KeptLook) -> bool:
        """Tell whether only time passed between the two, and what is known is about as old."""
        return _timeless(self) == _timeless(other) and all(map(_is_as_old, self.readings, other.readings))


def keep(state: RolloutState, look: Look, readings: Sequence[Reading], now: datetime) -> KeptLook:
    """Give what is kept of a look at ``now``; ``state`` has entered a phase."""
    kinds = {gate.metric: asks(gate) for gate in state.spec.gates}
    kept = tuple(_kept(reading, kinds.get(reading.metric, Ask.COUNTS)) for reading in readings)
    return KeptLook(
        at=now,
        kind=look.kind,
        stage=state.stage,
        phase=state.phase,
        step=state.step,
        weight=state.weight,
        peak=state.peak,
        entered_at=look.soak_start,
        phase_since=state.phase_since or look.soak_start,
        not_before=look.soak_end,
        control=state.control,
        paused_actor=state.paused_actor if state.stage is Stage.PAUSED else "",
        told=state.told,
        readings=kept,
    )


def _kept(reading: Reading, ask: Ask) -> KeptReading:
    kept = KeptReading(reading.metric, reading.start, reading.end, ask, reading.over)
    outcome = reading.outcome
    if outcome is None:
        return replace(kept, was_asked=False)
    if isinstance(outcome, SourceError):
        parts = (outcome.what, outcome.subject, outcome.found)
        return replace(kept, error=harmless(": ".join(part for part in parts if part), _MAX_ERROR))
    counts = [outcome.bad, outcome.total, outcome.pending, *(count for row in outcome.rows for count in _numbers(row))]
    if not all(count is None or (type(count) is int and 0 <= count <= MOST_DEVICES) for count in counts):
        # The types promise it; a source may break the promise, and not everything can be written down.
        return replace(kept, error="the source said what is no count of devices")
    if not _is_sane(outcome):
        return replace(kept, error="the source said what is no number or no instant")
    return replace(
        kept,
        bad=outcome.bad,
        total=outcome.total,
        pending=outcome.pending,
        value=None if outcome.value is None else repr(outcome.value),
        newest_at=outcome.newest_at,
        rows=_compact(outcome.rows),
        digest=outcome.digest,
    )


def _is_sane(outcome: Measurement) -> bool:
    is_number = outcome.value is None or math.isfinite(outcome.value)
    return is_number and (outcome.newest_at is None or outcome.newest_at.year in YEARS)


def _compact(rows: Sequence[ContrastRow]) -> tuple[tuple[int, ...], ...]:
    """Sum what says nothing: evidence comes only from rows with a bad device on either side."""
    telling = tuple(_numbers(row) for row in rows if row.bad or row.control_bad)
    quiet = [row for row in rows if not (row.bad or row.control_bad)]
    summed = ((0, sum(row.total for row in quiet), 0, sum(row.control_total for row in quiet)),) if quiet else ()
    return (*telling, *summed)


def _numbers(row: ContrastRow) -> tuple[int, ...]:
    return (row.bad, row.total, row.control_bad, row.control_total)


def _is_as_old(one: KeptReading, other: KeptReading) -> bool:
    """Tell whether the newest observations have nearly the same age: the same numbers may be stale now, or fresh again."""
    if one.newest_at is None or other.newest_at is None:
        return one.newest_at is other.newest_at
    return abs((one.end - one.newest_at) - (other.end - other.newest_at)) <= AS_OLD


def _timeless(look: KeptLook) -> KeptLook:
    readings = tuple(
        replace(one, start=look.entered_at, end=look.entered_at, newest_at=None, digest=None) for one in look.readings
    )
    return replace(look, at=look.entered_at, readings=readings)
