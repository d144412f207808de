"""The rollout machine: state, verdicts and the time in, the next state out. Pure.

Order of every decision: rollback > pause > hold > proceed, at most one step forward at a time. Exposure rises only in
:func:`decide`; people can stop, never speed up. The world is changed by nobody here: a state carries an *intent* (idempotent
effects) and *events* (ledger entries), which the reconciler carries out after the state was stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from otagate._text import span
from otagate.gate.judge import Demand, GateResult, LookKind, Verdict, combine
from otagate.model import ChannelName
from otagate.policy.model import OnInsufficient, PhaseSpec
from otagate.rollout.state import Event, Intent, Note, Op, OpKind, RolloutState, Stage

_BY_RULE = "by rule"
"""Marks an approval that the policy gave, not a person: it holds only while no device has failed."""
_TROUBLES = {Verdict.NO_DATA: "no_data_grace", Verdict.STALE: "no_data_grace", Verdict.ERROR: "error_grace"}


def look_kind(state: RolloutState, now: datetime) -> LookKind:
    """Say what kind of look is due: planned ones only when a soak is over and nothing else is waited for."""
    if state.stage is not Stage.SOAKING or state.not_before is None or now < state.not_before:
        return LookKind.INTERIM
    return LookKind.PHASE_END if state.is_last_step else LookKind.SOAK_END


def decide(state: RolloutState, results: Sequence[GateResult], now: datetime, *, held_by: str = "") -> RolloutState:
    """Decide on one step.

    Args:
        state: As stored; without an intent (that is finished first), not terminal.
        results: All gates judged at ``now``; empty when the policy has none, or nothing is exposed yet.
        now: The same instant that the gates were judged at.
        held_by: Why exposure may not rise now (another rollout holds the next channel, the release has expired), or "".

    Returns:
        The next state; equal to ``state`` when nothing is to be done but wait.
    """
    state = _remember_troubles(_latch(state, results, now), results, now)
    if any(note.action == Demand.ROLLBACK.value for note in state.latched.values()):
        return roll_back(state, _latched_reason(state, Demand.ROLLBACK), "", now)
    if state.stage is Stage.PAUSED:
        return state
    if state.latched:
        return pause(state, _latched_reason(state, Demand.PAUSE), "", now)
    trouble = _lasting_trouble(state, results, now)
    if trouble:
        return pause(state, trouble, "", now)
    return _go_on(state, results, now, held_by)


def finish_intent(state: RolloutState, now: datetime) -> RolloutState:
    """Give the state once every effect of its intent was carried out; a soak begins now, not when it was decided."""
    if state.intent is None:
        return state
    done = replace(state, intent=None, stage=state.intent.then)
    raised = any(op.kind is OpKind.OFFER for op in state.intent.ops)
    phase = done.current
    if not raised or phase is None:
        return done
    since = now if done.step == 0 else done.phase_since
    return replace(done, entered_at=now, phase_since=since, not_before=now + phase.soak, troubles={})


def pause(state: RolloutState, reason: str, actor: str, now: datetime) -> RolloutState:
    """Expose no further devices; those that have the release keep it."""
    if state.is_terminal or state.stage is Stage.PAUSED:
        return state
    ops = (Op(OpKind.PAUSE, state.exposed[-1]),) if state.exposed else ()
    pending = state.intent.ops if state.intent else ()
    paused = replace(
        state,
        stage=Stage.PAUSED,
        paused_by=reason,
        paused_actor=actor,
        awaiting="",
        unfinished=tuple(op for op in pending if op.kind not in {OpKind.PAUSE, OpKind.UNPAUSE}),
        intent=_intent(ops, Stage.PAUSED),
    )
    return _tell(paused, "rollout.paused", now, reason=reason, actor=actor)


def resume(state: RolloutState, overrides: Mapping[str, str], actor: str, now: datetime) -> RolloutState:
    """Go on after a pause.

    Args:
        state: A paused rollout.
        overrides: Metric to the reason why its failure is waived. All latched failures must be in it
            (:func:`unwaived` tells which are not).
        actor: Who does it.
        now: The time.
    """
    if state.stage is not Stage.PAUSED:
        return state
    waived = {metric: Note(now, reason, actor) for metric, reason in overrides.items()}
    ops = ((Op(OpKind.UNPAUSE, state.exposed[-1]),) if state.exposed else ()) + state.unfinished
    stage = Stage.SOAKING if state.exposed else Stage.PENDING
    resumed = replace(
        state,
        stage=stage,
        paused_by="",
        paused_actor="",
        unfinished=(),
        latched={metric: note for metric, note in state.latched.items() if metric not in overrides},
        overrides={**state.overrides, **waived},
        troubles={},
        intent=_intent(ops, stage),
    )
    why = "; ".join(f"{metric}: {reason}" for metric, reason in overrides.items()) or "resumed by hand"
    return _tell(resumed, "rollout.resumed", now, reason=why, actor=actor)


def unwaived(state: RolloutState, overrides: Mapping[str, str]) -> tuple[str, ...]:
    """Give the latched failures that ``overrides`` does not lift, sorted."""
    return tuple(sorted(set(state.latched) - set(overrides)))


def approve(state: RolloutState, actor: str, reason: str, now: datetime) -> RolloutState:
    """Record the approval that the rollout waits for; the next reconcile goes on."""
    if state.stage is not Stage.AWAITING_APPROVAL:
        return state
    stage = Stage.SOAKING if state.exposed else Stage.PENDING
    approvals = {**state.approvals, state.awaiting: Note(now, reason, actor)}
    approved = replace(state, stage=stage, approvals=approvals, awaiting="")
    return _tell(approved, "rollout.approved", now, what=state.awaiting, reason=reason, actor=actor)


def roll_back(state: RolloutState, reason: str, actor: str, now: datetime) -> RolloutState:
    """Take the release off every channel that it reached, the widest first. Final.

    Any unfinished intent is replaced: withdrawing covers whatever part of it had happened.
    """
    if state.is_terminal:
        return state
    reached = tuple(reversed(state.exposed))
    ops = tuple(Op(OpKind.WITHDRAW, name) for name in reached)
    ended = replace(state, stage=Stage.ROLLED_BACK, outcome=reason, awaiting="", intent=_intent(ops, Stage.ROLLED_BACK))
    return _tell(ended, "rollout.rolled_back", now, reason=reason, actor=actor, channels=", ".join(map(str, reached)))


def supersede(state: RolloutState, by: str, actor: str, now: datetime) -> RolloutState:
    """End a rollout because a newer one takes its place. Its channels are left as they are: the newer one moves them."""
    if state.is_terminal:
        return state
    reason = f"superseded by {by}"
    ended = replace(state, stage=Stage.SUPERSEDED, outcome=reason, awaiting="", intent=None)
    return _tell(ended, "rollout.superseded", now, reason=reason, actor=actor)


def next_channel(state: RolloutState) -> str:
    """Name the channel that the rollout would enter next, or "" when it stays where it is."""
    following = _following(state)
    return str(following.channel) if following else ""


def next_phase(state: RolloutState) -> str:
    """Name the phase that the rollout would enter next, or "" when it stays where it is."""
    following = _following(state)
    return following.name if following else ""


def _following(state: RolloutState) -> PhaseSpec | None:
    phases = state.spec.track.phases
    enters = state.phase < 0 or (state.is_last_step and state.phase + 1 < len(phases))
    return phases[state.phase + 1] if enters and not state.is_terminal else None


# --- going forward -----------------------------------------------------------------------------------------------------


def _go_on(state: RolloutState, results: Sequence[GateResult], now: datetime, held_by: str) -> RolloutState:
    if state.stage is Stage.AWAITING_APPROVAL:
        return state
    if state.phase < 0:
        return _enter(state, 0, now, held_by)
    if state.not_before is None or now < state.not_before:
        return state
    if state.spec.gates and not results:
        return state  # gates that were not measured have not passed
    held = [result for result in results if result.holds and not _is_waived(state, result)]
    if held:
        return _held(state, held, now)
    if not state.is_last_step:
        return state if held_by else _raise(state, now)
    if state.phase + 1 < len(state.spec.track.phases):
        return _enter(state, state.phase + 1, now, held_by)
    return _complete(state, now)


def _is_waived(state: RolloutState, result: GateResult) -> bool:
    """Tell whether a gate that holds is let pass: overridden, or too few devices and that was approved.

    An approval of too few devices is no approval of a source that fails or of devices that do.
    """
    if result.metric in state.overrides:
        return True
    phase = state.current
    note = state.approvals.get(f"insufficient:{phase.name}:{state.step}") if phase else None
    if note is None or result.verdict is not Verdict.INSUFFICIENT:
        return False
    return note.action != _BY_RULE or result.has_zero_bad


def _held(state: RolloutState, held: Sequence[GateResult], now: datetime) -> RolloutState:
    """Wait for more devices, and after ``max_wait`` do what the phase says."""
    phase = state.current
    if phase is None or state.not_before is None or now < state.not_before + phase.max_wait:
        return state
    if any(result.verdict is not Verdict.INSUFFICIENT for result in held):
        return state  # no data, stale and error have graces of their own
    names = ", ".join(result.metric for result in held)
    if phase.on_insufficient is OnInsufficient.PASS_IF_ZERO_BAD and all(result.has_zero_bad for result in held):
        return _approve_by_rule(state, phase.name, names, now)
    if phase.on_insufficient is OnInsufficient.APPROVE:
        return _await(state, f"insufficient:{phase.name}:{state.step}", now)
    return pause(state, f"too few devices for {names} after waiting for {span(phase.max_wait)}", "", now)


def _approve_by_rule(state: RolloutState, phase: str, names: str, now: datetime) -> RolloutState:
    key = f"insufficient:{phase}:{state.step}"
    note = Note(now, f"on_insufficient: pass_if_zero_bad, no device failed ({names})", "policy", _BY_RULE)
    return _tell(
        replace(state, approvals={**state.approvals, key: note}),
        "rollout.approved",
        now,
        what=key,
        reason=note.reason,
        actor="policy",
    )


def _enter(state: RolloutState, index: int, now: datetime, held_by: str) -> RolloutState:
    """Settle the phase that is over and enter the next: one decision, several idempotent effects."""
    phase, key = state.spec.track.phases[index], f"phase:{state.spec.track.phases[index].name}"
    if phase.approve and key not in state.approvals:
        return _await(state, key, now)
    if held_by:
        return state
    # The next channel is claimed before the last one is given up: a rollout that holds none would not be found again.
    before = state.current
    ops = [Op(OpKind.CLAIM, phase.channel)]
    ops += [Op(OpKind.SETTLE, before.channel)] if before is not None else []
    ops += [Op(OpKind.OFFER, phase.channel, phase.weights[0])]
    ops += [Op(OpKind.RELEASE_CLAIM, before.channel)] if before is not None and before.channel != phase.channel else []
    exposed = state.exposed if phase.channel in state.exposed else (*state.exposed, phase.channel)
    entered = replace(
        state, stage=Stage.ROLLING, phase=index, step=0, exposed=exposed, intent=_intent(tuple(ops), Stage.SOAKING)
    )
    return _tell(entered, "rollout.advanced", now, phase=phase.name, channel=str(phase.channel), weight=str(phase.weights[0]))


def _raise(state: RolloutState, now: datetime) -> RolloutState:
    phase = state.spec.track.phases[state.phase]
    weight = phase.weights[state.step + 1]
    ops = (Op(OpKind.OFFER, phase.channel, weight),)
    raised = replace(state, stage=Stage.ROLLING, step=state.step + 1, intent=_intent(ops, Stage.SOAKING))
    return _tell(raised, "rollout.advanced", now, phase=phase.name, channel=str(phase.channel), weight=str(weight))


def _complete(state: RolloutState, now: datetime) -> RolloutState:
    channel = state.spec.track.phases[state.phase].channel
    ops = (Op(OpKind.SETTLE, channel),)
    reason = f"every phase of track {state.spec.track.name} was passed"
    ended = replace(state, stage=Stage.COMPLETED, outcome=reason, intent=_intent(ops, Stage.COMPLETED))
    return _tell(ended, "rollout.completed", now, reason=reason)


def _await(state: RolloutState, key: str, now: datetime) -> RolloutState:
    waiting = replace(state, stage=Stage.AWAITING_APPROVAL, awaiting=key)
    return _tell(waiting, "rollout.awaiting_approval", now, what=key)


# --- what gates leave behind ------------------------------------------------------------------------------------------


def _latch(state: RolloutState, results: Sequence[GateResult], now: datetime) -> RolloutState:
    """Keep failures: later good numbers do not lift them. A waived metric may still escalate to a rollback."""
    summary = combine([r for r in results if not (r.metric in state.overrides and r.action is not Demand.ROLLBACK)])
    for result in results:
        if result.metric not in summary.failed or not result.action.stops:
            continue
        known = state.latched.get(result.metric)
        if known is not None and known.action in {result.action.value, Demand.ROLLBACK.value}:
            continue
        note = Note(now, result.reason, "", result.action.value)
        state = replace(state, latched={**state.latched, result.metric: note})
        state = _tell(state, "gate.failed", now, metric=result.metric, action=result.action.value, reason=result.reason)
    return state


def _latched_reason(state: RolloutState, action: Demand) -> str:
    return "; ".join(f"{metric}: {note.reason}" for metric, note in state.latched.items() if note.action == action.value)


def _remember_troubles(state: RolloutState, results: Sequence[GateResult], now: datetime) -> RolloutState:
    """Keep since when each gate has been without a usable answer; from one kind of silence to another the time runs on."""
    if not results:
        return state
    silent = [result for result in results if _is_silent(state, result)]
    troubles = {result.metric: state.troubles.get(result.metric, now) for result in silent}
    return state if troubles == state.troubles else replace(state, troubles=troubles)


def _is_silent(state: RolloutState, result: GateResult) -> bool:
    return result.is_gating and result.verdict in _TROUBLES and result.metric not in state.overrides


def _lasting_trouble(state: RolloutState, results: Sequence[GateResult], now: datetime) -> str:
    """Give the reason to pause when a gate has been without an answer for longer than its grace, or ""."""
    for result in results:
        since = state.troubles.get(result.metric)
        if since is None or not _is_silent(state, result):
            continue
        grace: timedelta = getattr(state.spec.judgement, _TROUBLES[result.verdict])
        if now - since > grace:
            return f"{result.metric} has had no usable answer for longer than {span(grace)} (now {result.verdict.value})"
    return ""


def claimed(state: RolloutState) -> tuple[ChannelName, ...]:
    """Give every channel whose claim it may hold; giving up a claim that it does not hold is harmless."""
    return tuple(reversed(state.exposed)) or (state.spec.track.phases[0].channel,)


def _intent(ops: tuple[Op, ...], then: Stage) -> Intent | None:
    return Intent(ops, then) if ops else None


def _tell(state: RolloutState, kind: str, now: datetime, **data: str) -> RolloutState:
    """Queue a ledger entry. Its id is the rollout's own count, so that a repeated write is recognised."""
    number = state.told + 1
    said = {name: value for name, value in data.items() if value}
    event = Event(f"{state.id}#{number}", kind, now, {"rollout": state.id, "version": str(state.release.version), **said})
    return replace(state, told=number, events=(*state.events, event))


def started(state: RolloutState, now: datetime) -> RolloutState:
    """Queue the first ledger entry of a new rollout."""
    return _tell(state, "rollout.started", now, track=state.spec.track.name, **state.origin)


__all__ = [
    "approve",
    "claimed",
    "decide",
    "finish_intent",
    "look_kind",
    "next_channel",
    "next_phase",
    "pause",
    "resume",
    "roll_back",
    "started",
    "supersede",
    "unwaived",
]
