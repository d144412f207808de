"""A rollout judged again by another policy: what that would have done first. Pure.

Each look that was kept is judged, in order, and the machine decides on it as it would have. Up to the first decision that
differs from what happened, the two rollouts are one. From there on the numbers are those of a rollout that the other policy
would have led elsewhere: they are judged and shown, and nothing is decided by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from otagate.gate.interface import Ask
from otagate.gate.judge import GateResult, Look, LookKind, Reading, count_gating, judge_all
from otagate.gate.measure import asks
from otagate.policy.model.gates import GateSpec, Judgement
from otagate.rollout import machine
from otagate.rollout.deeds import Deed, was_done, would_do
from otagate.rollout.kept import KeptLook
from otagate.rollout.memory import believable, counted
from otagate.rollout.people import People
from otagate.rollout.state import Note, RolloutState, Stage


@dataclass(frozen=True, slots=True)
class ReplayedLook:
    """One look judged again.

    Attributes:
        look: As it was kept.
        judged_as: The kind of look that it is now.
        results: The gates, by the other policy.
        would: What that would have done, or None behind the first difference.
        did: What happened.
        reason: Why it would, in a sentence, or "".
    """

    look: KeptLook
    judged_as: LookKind
    results: tuple[GateResult, ...]
    would: Deed | None
    did: Deed
    reason: str

    @property
    def differs(self) -> bool:
        """Whether this is where the two part."""
        return self.would is not None and self.did not in {Deed.BY_HAND, Deed.HELD} and self.would is not self.did


@dataclass(frozen=True, slots=True)
class Replay:
    """A rollout judged again.

    Attributes:
        looks: In order.
        lacking: Metrics of the other policy that were not measured at some look where they count; they are left out there.
    """

    looks: tuple[ReplayedLook, ...]
    lacking: tuple[str, ...]

    @property
    def first_difference(self) -> ReplayedLook | None:
        """Where the other policy would have done something else, or None."""
        return next((look for look in self.looks if look.differs), None)

    @property
    def first_stop(self) -> ReplayedLook | None:
        """Where the other policy would have paused or rolled back, or None."""
        return next((look for look in self.looks if look.would in {Deed.PAUSE, Deed.ROLL_BACK}), None)


_FORWARD = {Deed.GO_ON, Deed.COMPLETE, Deed.ASK}


def replay(
    state: RolloutState,
    looks: Sequence[KeptLook],
    gates: Sequence[GateSpec],
    judgement: Judgement,
    measured: Sequence[Sequence[Reading]] | None = None,
    *,
    told: Mapping[int, Deed] | None = None,
) -> Replay:
    """Judge a rollout again.

    Args:
        state: The rollout as it stands.
        looks: What was kept of it, oldest first.
        gates: By these.
        judgement: And so.
        measured: What the sources say now to the same questions, one for each look; None: what was kept.
        told: What the ledger tells that the rollout did by itself: :func:`~otagate.rollout.deeds.by_itself`.
    """
    people = People()
    own = _Simulated(state, state.spec.gates, state.spec.judgement, people)
    other = _Simulated(state, gates, judgement, people)
    found: list[ReplayedLook] = []
    is_one = True
    for at, look in enumerate(looks):
        before, following = looks[at - 1] if at else None, looks[at + 1] if at + 1 < len(looks) else None
        kept = [reading.reading() for reading in look.readings]
        people.answer(before, own.after, look)
        did = was_done(look, state, following, told)
        if own.take(look, before, kept).would in _FORWARD and did is Deed.WAIT:
            did = Deed.HELD
        one = other.take(look, before, kept) if measured is None else other.take(look, before, measured[at], is_asked=True)
        one = replace(one, did=did)
        found.append(one if is_one else replace(one, would=None, reason=""))
        is_one = is_one and not one.differs
    return Replay(tuple(found), tuple(sorted(other.lacking)))


def state_at(state: RolloutState, look: KeptLook) -> RolloutState:
    """Give the rollout as it stood at a look, but for what it remembered of its gates.

    Its weights may be others by now: ``otagate amend``.
    """
    ramp = state.spec.track.phases[look.phase].ramp
    return replace(
        state,
        stage=look.stage,
        phase=look.phase,
        step=ramp.index(look.weight) if look.weight in ramp else min(look.step, len(ramp) - 1),
        entered_at=look.entered_at,
        phase_since=look.phase_since,
        not_before=look.not_before,
        peak=look.peak,
        control=look.control,
        overrides=_by_then(state.overrides, look),
        approvals=_by_then(state.approvals, look),
        exposed=state.exposed[: look.phase + 1] or state.exposed,
        intent=None,
        told=look.told,
        awaiting=state.awaiting if look.stage is Stage.AWAITING_APPROVAL else "",
        outcome="",
        events=(),
        unfinished=(),
    )


def _by_then(notes: Mapping[str, Note], look: KeptLook) -> dict[str, Note]:
    return {name: note for name, note in notes.items() if note.at <= look.at}


class _Simulated:
    """The rollout by one policy: what it remembers from one look to the next."""

    def __init__(self, state: RolloutState, gates: Sequence[GateSpec], judgement: Judgement, people: People) -> None:
        spec = replace(state.spec, gates=tuple(gates), judgement=judgement)
        self._state = replace(state, spec=spec, latched={}, troubles={}, seen=(), streaks={}, totals={}, passed=(), silent={})
        self._gating = count_gating(gates)
        self._people = people
        self.after: RolloutState | None = None
        self.lacking: set[str] = set()

    def take(
        self, look: KeptLook, before: KeptLook | None, readings: Sequence[Reading], *, is_asked: bool = False
    ) -> ReplayedLook:
        """Judge a look and decide on it; ``did`` is not known here. ``is_asked``: all was asked that this policy asks."""
        state = self._at(look, before)
        state = state if is_asked else self._measured(state, look)
        planned = machine.look_of(state, look.at) or Look(look.kind, look.entered_at, look.not_before)
        results = judge_all(
            state.gates,
            believable(state.totals, readings),
            look=planned,
            judgement=state.spec.judgement,
            gating_metrics=self._gating,
            now=look.at,
            streaks=state.streaks,
        )
        after = self.after = machine.decide(counted(state, results), results, look.at)
        self._state = replace(
            self._state,
            latched=after.latched,
            troubles=after.troubles,
            seen=after.seen,
            streaks=after.streaks,
            totals=after.totals,
            passed=after.passed,
            silent=after.silent,
            awaiting=after.awaiting,
        )
        would = would_do(state, after)
        return ReplayedLook(look, planned.kind, results, would, Deed.WAIT, _reason(after, results, would))

    def _measured(self, state: RolloutState, look: KeptLook) -> RolloutState:
        """Leave out the gates whose questions were not asked at this look."""
        known = {(kept.metric, kept.over, kept.ask) for kept in look.readings}
        left_out = {gate.metric for gate in state.gates if not questions(gate) <= known}
        self.lacking |= left_out
        gates = tuple(gate for gate in state.spec.gates if gate.metric not in left_out)
        return replace(state, spec=replace(state.spec, gates=gates))

    def _at(self, look: KeptLook, before: KeptLook | None) -> RolloutState:
        kept = self._state
        state = self._people.told(state_at(kept, look))
        # As the machine forgets: silences with each weight and each resume, looks and streaks with each phase.
        is_moved = before is not None and (before.entered_at, before.step) != (look.entered_at, look.step)
        is_entered = before is not None and before.phase != look.phase
        return replace(
            state,
            latched={metric: note for metric, note in kept.latched.items() if metric not in state.waived},
            troubles={} if is_moved or self._people.has_resumed else kept.troubles,
            seen=() if is_entered else kept.seen,
            streaks={} if is_entered else kept.streaks,
            passed=() if is_moved else kept.passed,
            silent={} if is_moved else kept.silent,
            last_reconcile_at=before.at if before else None,
        )


def _reason(after: RolloutState, results: Sequence[GateResult], would: Deed) -> str:
    if would is Deed.ROLL_BACK:
        return after.outcome
    if would is Deed.PAUSE:
        return after.paused_by
    return "; ".join(f"{one.metric}: {one.holding.reason}" for one in results if one.holds) if would is Deed.WAIT else ""


def questions(gate: GateSpec) -> set[tuple[str, timedelta | None, Ask]]:
    """Give what a gate asks: metric, limit of a length of time, and kind of answer."""
    overs: list[timedelta | None] = [limit.over for limit in gate.limits]
    return {(gate.metric, over, asks(gate)) for over in overs or [None]}
