"""What people ask of a rollout, and what ends one: resume, approve, roll back, abort, lower, amend, supersede. Pure.

None of them raises exposure: that is for :func:`otagate.rollout.machine.decide` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from otagate.model import Weight
from otagate.rollout._told import told
from otagate.rollout.forward import intent, standing_on
from otagate.rollout.state import Note, Op, OpKind, RolloutSpec, RolloutState, Stage


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
    # Whoever lowered the weight may have been killed before devices saw it: what is recorded must be what they see.
    ops = tuple(op for op in (state.intent.ops if state.intent else ()) if op.kind is OpKind.LOWER)
    ops += tuple(Op(OpKind.UNPAUSE, name) for name in standing_on(state)) + state.unfinished
    stage = Stage.SOAKING if state.exposed else Stage.PENDING
    # A raise that is finished with it is looked at again when whoever resumes is killed now, and it is finished much later.
    raises = any(op.kind is OpKind.OFFER for op in state.unfinished)
    resumed = replace(
        state,
        stage=stage,
        paused_by="",
        paused_actor="",
        unfinished=(),
        latched={metric: note for metric, note in state.latched.items() if metric not in overrides},
        overrides={**state.overrides, **waived},
        troubles={},
        intent=intent(ops, stage, now if raises else None),
    )
    why = "; ".join(f"{metric}: {reason}" for metric, reason in overrides.items()) or "resumed by hand"
    return told(resumed, "rollout.resumed", now, reason=why, actor=actor)


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
    return told(approved, "rollout.approved", now, what=state.awaiting, reason=reason, actor=actor)


def roll_back(state: RolloutState, reason: str, actor: str, now: datetime) -> RolloutState:
    """Take the release off every channel that it reached, the widest first. Final.

    Any unfinished intent is replaced: withdrawing covers whatever part of it had happened. One that has reached none yet is
    blocked on its first, so that the same command again finds it rolled back there.
    """
    if state.is_terminal:
        return state
    reached = tuple(reversed(state.exposed)) or (state.spec.track.phases[0].channel,)
    ops = tuple(Op(OpKind.WITHDRAW, name) for name in reached)
    ended = replace(state, stage=Stage.ROLLED_BACK, outcome=reason, awaiting="", intent=intent(ops, Stage.ROLLED_BACK))
    return told(ended, "rollout.rolled_back", now, reason=reason, actor=actor, channels=", ".join(map(str, reached)))


def supersede(state: RolloutState, by: str, actor: str, now: datetime) -> RolloutState:
    """End a rollout where it stands because a newer one takes its place. Final.

    It leaves no release behind that nobody watches: the newer one may be ended, or killed, before it offers anything.

    Args:
        state: A rollout that is not over.
        by: The newer one.
        actor: Who does it.
        now: The time.
    """
    return _end(state, Stage.SUPERSEDED, f"superseded by {by}", actor, now)


def abort(state: RolloutState, reason: str, actor: str, now: datetime) -> RolloutState:
    """End a rollout where it stands. Final.

    What it has settled stays; where it had not, the release is taken off, and its version is not blocked: nothing is said
    against it.
    """
    return _end(state, Stage.ABORTED, reason, actor, now)


def _end(state: RolloutState, stage: Stage, reason: str, actor: str, now: datetime) -> RolloutState:
    if state.is_terminal:
        return state
    ops = [Op(OpKind.DROP, name) for name in reversed(state.exposed)]
    # Also when it was being resumed and whoever did that was killed before the channel was open again.
    if state.stage is Stage.PAUSED or _opens(state):
        ops += [Op(OpKind.UNPAUSE, name) for name in standing_on(state)]
    ended = replace(state, stage=stage, outcome=reason, awaiting="", unfinished=(), intent=intent(ops, stage))
    return told(ended, f"rollout.{stage.value}", now, reason=reason, actor=actor)


def _opens(state: RolloutState) -> bool:
    return state.intent is not None and any(op.kind is OpKind.UNPAUSE for op in state.intent.ops)


def lower_steps(state: RolloutState) -> tuple[Weight, ...]:
    """Give the weights of the present phase below the present one: what :func:`lower` takes."""
    phase = state.current
    return phase.ramp[: state.step] if phase is not None and not state.is_terminal else ()


def lower(state: RolloutState, weight: Weight, reason: str, actor: str, now: datetime) -> RolloutState:
    """Go back to an earlier weight of the phase; it is watched for a whole soak again.

    Args:
        state: A rollout that is not over.
        weight: One of :func:`lower_steps`; anything else changes nothing.
        reason: Why.
        actor: Who does it.
        now: The time.
    """
    phase = state.current
    if phase is None or weight not in lower_steps(state):
        return state
    # Above the first weight only raising can be unfinished, and lowering covers that. A paused channel stays paused.
    stage = Stage.PAUSED if state.stage is Stage.PAUSED else Stage.SOAKING
    pausing = [Op(OpKind.PAUSE, phase.channel)] if stage is Stage.PAUSED else []
    # Whoever resumed it may have been killed before the channel was open again.
    pausing += [Op(OpKind.UNPAUSE, phase.channel)] if stage is not Stage.PAUSED and _opens(state) else []
    lowered = replace(
        state,
        stage=stage,
        step=phase.ramp.index(weight),
        awaiting="",
        approvals=_without_few(state),
        unfinished=(),
        intent=intent([Op(OpKind.LOWER, phase.channel, weight), *pausing], stage),
    )
    return told(lowered, "rollout.lowered", now, reason=reason, actor=actor)


def _without_few(state: RolloutState) -> dict[str, Note]:
    """Give the approvals without those of too few devices: the next soak has others, and steps may be counted anew."""
    return {key: note for key, note in state.approvals.items() if not key.startswith("insufficient:")}


def refuse_amendment(state: RolloutState, spec: RolloutSpec) -> str:
    """Say why a rollout cannot go on by another spec, or ""."""
    was, now = state.spec.track, spec.track
    behind = state.phase + 1
    for index in range(behind):
        old = was.phases[index]
        new = now.phases[index] if index < len(now.phases) else None
        if new is None or (new.name, new.channel) != (old.name, old.channel):
            return f"phase {old.name} on channel {old.channel} was entered already and must stay where it is"
    if behind and state.weight not in now.phases[state.phase].ramp:
        return f"its present weight, {state.weight}, is not among the new weights of phase {now.phases[state.phase].name}"
    known = {gate.metric for gate in spec.gates}
    gone = sorted(set(state.latched) - known)
    return f"{gone[0]} has failed and cannot be taken out of the gates; waive it with a reason instead" if gone else ""


def amend(state: RolloutState, spec: RolloutSpec, reason: str, actor: str, now: datetime) -> RolloutState:
    """Go on by another spec, one that :func:`refuse_amendment` does not refuse. What has failed stays failed."""
    if state.is_terminal or spec == state.spec or refuse_amendment(state, spec):
        return state
    phase = spec.track.phases[state.phase] if state.phase >= 0 else None
    waited = state.stage is Stage.AWAITING_APPROVAL
    amended = replace(
        state,
        spec=spec,
        step=phase.ramp.index(state.weight) if phase else 0,
        not_before=state.entered_at + phase.soak if phase and state.entered_at else state.not_before,
        # Whether an approval is still waited for is for the next reconcile to say.
        stage=(Stage.SOAKING if state.exposed else Stage.PENDING) if waited else state.stage,
        awaiting="",
        approvals=_without_few(state),
        totals={},  # another source may count otherwise
        passed=(),  # and other limits have not been held yet
    )
    changed = {"was": str(state.spec.digest), "spec": str(spec.digest)}
    return told(amended, "rollout.amended", now, reason=reason, actor=actor, **changed)
