"""The rollout machine: state, verdicts and the time in, the next state out. Pure.

Order of every decision: rollback > pause > hold > proceed, at most one step forward at a time. Exposure rises only in
:func:`decide`; people can stop, never speed up. The world is changed by nobody here: a state carries an *intent* (idempotent
effects) and *events* (ledger entries), which the reconciler carries out after the state was stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from otagate.gate.judge import Demand, GateResult, Look, LookKind
from otagate.model import ChannelName
from otagate.rollout._told import told
from otagate.rollout.commands import (
    abort,
    amend,
    approve,
    lower,
    lower_steps,
    refuse_amendment,
    resume,
    roll_back,
    supersede,
    unwaived,
)
from otagate.rollout.forward import ALONE, Surroundings, closed, following, go_on, pause, waits_for_window
from otagate.rollout.memory import lasting_trouble, latched_reason, remember
from otagate.rollout.state import OpKind, RolloutState, Stage

__all__ = [
    "Surroundings",
    "abort",
    "amend",
    "approve",
    "claimed",
    "closed",
    "decide",
    "finish_intent",
    "halt",
    "look_kind",
    "look_of",
    "lower",
    "lower_steps",
    "next_channel",
    "next_phase",
    "pause",
    "refuse_amendment",
    "resume",
    "roll_back",
    "started",
    "supersede",
    "undone",
    "unwaived",
    "waits_for_window",
]


def look_kind(state: RolloutState, now: datetime) -> LookKind:
    """Say what kind of look is due: planned ones only when a soak is over and nothing else is waited for."""
    if state.stage is not Stage.SOAKING or state.not_before is None or now < state.not_before:
        return LookKind.INTERIM
    return LookKind.PHASE_END if state.is_last_step else LookKind.SOAK_END


def look_of(state: RolloutState, now: datetime, kind: LookKind | None = None) -> Look | None:
    """Give the look at a rollout's gates that is due, or one of another kind; None before anything is exposed."""
    if state.entered_at is None or state.not_before is None or state.phase_since is None:
        return None
    return Look(
        kind or look_kind(state, now),
        state.entered_at,
        state.not_before,
        age=now - state.phase_since,
        seen=frozenset(state.seen),
        weight_bps=max(state.peak, state.weight).bps,
        has_control=bool(state.control),
        passed=frozenset(state.passed),
        silent=state.silent,
    )


def decide(state: RolloutState, results: Sequence[GateResult], now: datetime, world: Surroundings = ALONE) -> RolloutState:
    """Decide on one step.

    Args:
        state: As stored; without an intent (that is finished first), not terminal.
        results: All gates judged at ``now``; empty when the policy has none, or nothing is exposed yet.
        now: The same instant that the gates were judged at.
        world: What else must be known.

    Returns:
        The next state; equal to ``state`` when nothing is to be done but wait.
    """
    halted = halt(state, results, now)
    if halted.is_terminal or halted.stage is Stage.PAUSED:
        return halted
    return go_on(halted, results, now, world)


def halt(state: RolloutState, results: Sequence[GateResult], now: datetime) -> RolloutState:
    """Take in a look, and stop if it demands so: the half of :func:`decide` that never raises exposure."""
    state = remember(state, results, now)
    if any(note.action == Demand.ROLLBACK.value for note in state.latched.values()):
        return roll_back(state, latched_reason(state, Demand.ROLLBACK), "", now)
    if state.stage is Stage.PAUSED:
        return state
    if state.latched:
        return pause(state, latched_reason(state, Demand.PAUSE), "", now)
    trouble = lasting_trouble(state, results, now)
    return pause(state, trouble, "", now) if trouble else state


def undone(state: RolloutState, now: datetime, *, is_late: bool = False) -> RolloutState | None:
    """Give the rollout as devices still see it, when it was killed before raising exposure and must be looked at again.

    So when that was longer ago than one looks anew, and when no weight may rise any more, or with ``is_late``: its place was
    taken. None: there is no such intent, or it is fresh and simply finished.
    """
    decided = state.intent.raised_at if state.intent else None
    if decided is None or state.is_terminal:
        return None
    seen = _before(state)
    is_fresh = not is_late and now - decided <= state.spec.judgement.evaluate_every and not closed(seen, now)
    return None if is_fresh else seen


def _before(state: RolloutState) -> RolloutState:
    """Give a rollout as it was before the intent that raises exposure."""
    enters = any(op.kind is OpKind.CLAIM for op in state.intent.ops) if state.intent else False
    if not enters:
        # An amendment may have taken the weights below from the ramp.
        return replace(state, intent=None, stage=Stage.SOAKING, step=max(0, state.step - 1))
    phase = state.phase - 1
    step = len(state.spec.track.phases[phase].ramp) - 1 if phase >= 0 else 0
    return replace(state, intent=None, stage=Stage.SOAKING, phase=phase, step=step)


def finish_intent(state: RolloutState, now: datetime) -> RolloutState:
    """Give the state once every effect of its intent was carried out; a soak begins now, not when it was decided."""
    if state.intent is None:
        return state
    done = replace(state, intent=None, stage=state.intent.then)
    moved = any(op.kind in {OpKind.OFFER, OpKind.LOWER} for op in state.intent.ops)
    phase = done.current
    if not moved or phase is None or done.is_terminal:
        return done
    is_new = done.phase_since is None or any(op.kind is OpKind.CLAIM for op in state.intent.ops)
    since = now if is_new else done.phase_since
    return replace(done, entered_at=now, phase_since=since, not_before=now + phase.soak, troubles={}, silent={}, passed=())


def next_channel(state: RolloutState) -> str:
    """Name the channel that the rollout would enter next, or "" when it stays where it is."""
    phase = following(state)
    return str(phase.channel) if phase else ""


def next_phase(state: RolloutState) -> str:
    """Name the phase that the rollout would enter next, or "" when it stays where it is."""
    phase = following(state)
    return phase.name if phase else ""


def claimed(state: RolloutState) -> tuple[ChannelName, ...]:
    """Give every channel whose claim it may hold; giving up a claim that it does not hold is harmless."""
    return tuple(reversed(state.exposed)) or (state.spec.track.phases[0].channel,)


def started(state: RolloutState, now: datetime) -> RolloutState:
    """Queue the first ledger entry of a new rollout."""
    return told(state, "rollout.started", now, track=state.spec.track.name, spec=str(state.spec.digest), **state.origin)
