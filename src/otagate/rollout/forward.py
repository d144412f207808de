"""How a rollout goes forward: the next weight, the next phase, the end. Pure; only :func:`.machine.decide` asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from otagate._text import span
from otagate.gate.judge import Check, Demand, GateResult, Verdict
from otagate.gate.look import question
from otagate.model import FULL_WEIGHT, ChannelName, Weight
from otagate.policy.model.gates import Action
from otagate.policy.model.tracks import OnInsufficient, PhaseSpec
from otagate.rollout import windows
from otagate.rollout._told import told
from otagate.rollout.state import Intent, Note, Op, OpKind, RolloutState, Stage

TOO_FEW = "too few devices"
"""Begins the reason of a pause that ends only with more devices, or with a waiver: resumed without one it is back at once."""
_BY_RULE = "by rule"
"""Marks an approval that the policy gave, not a person: it holds only while no device has failed."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a decision must know of the world besides the rollout itself.

    Attributes:
        held_by: Why exposure may not rise now (another rollout holds the next channel, the release has expired), or "".
        serves: Version that the next channel serves now, or "": the built-in bundle, or no next channel.
        gone: Why it will never go on (its release was rolled back where it would), or "": a person has to end it.
    """

    held_by: str = ""
    serves: str = ""
    gone: str = ""


ALONE = Surroundings()
"""Nothing holds it, and its channel serves the built-in bundle."""


def following(state: RolloutState) -> PhaseSpec | None:
    """Give the phase that the rollout would enter next, or None when it stays where it is."""
    phases = state.spec.track.phases
    enters = state.phase < 0 or (state.is_last_step and state.phase + 1 < len(phases))
    return phases[state.phase + 1] if enters and not state.is_terminal else None


def closed(state: RolloutState, now: datetime) -> str:
    """Say why no weight may rise at this time of the day or year, or ""."""
    # To enter a phase is also to give the release to whom the last one held out.
    rise = [state.current] if state.current and _holds_out(state) else []
    rise += [phase] if (phase := following(state) or state.current) else []
    if state.is_terminal or all(phase.ignore_windows for phase in rise):
        return ""
    return windows.closed(state.spec.windows, now)


def waits_for_window(state: RolloutState, now: datetime) -> str:
    """Say what a rollout waits for while no weight may rise, with the instant at which one may again; or ""."""
    return windows.waits(state.spec.windows, now) if closed(state, now) else ""


def go_on(state: RolloutState, results: Sequence[GateResult], now: datetime, world: Surroundings) -> RolloutState:
    """Take at most one step forward, or wait, or give up waiting."""
    if state.stage is Stage.AWAITING_APPROVAL:
        return state
    if world.gone:
        return pause(state, world.gone, "", now)
    if state.phase < 0:
        return _enter(state, 0, now, world)
    if state.not_before is None or now < state.not_before:
        return state
    if state.gates and not results:
        return state  # gates that were not measured have not passed
    held = [result for result in results if result.holds and not is_let_pass(state, result)]
    if held:
        return _held(state, held, now)
    if not state.is_last_step:
        return state if world.held_by or closed(state, now) else _raise(state, now)
    if state.phase + 1 < len(state.spec.track.phases):
        return _enter(state, state.phase + 1, now, world)
    if _holds_out(state) and (world.held_by or closed(state, now)):
        return state  # the devices that were held out are the last step
    return _complete(state, now)


def intent(ops: Sequence[Op], then: Stage, now: datetime | None = None) -> Intent | None:
    """Give an intent, or None when there is nothing to do. ``now`` goes with what raises exposure."""
    return Intent(tuple(ops), then, now) if ops else None


def is_let_pass(state: RolloutState, result: GateResult) -> bool:
    """Tell whether a gate that holds is let pass: overridden, or too few devices and that was approved.

    An approval of too few devices is no approval of a source that fails or of devices that do.
    """
    if result.metric in state.waived:
        return True
    phase = state.current
    note = state.approvals.get(f"insufficient:{phase.name}:{state.step}") if phase else None
    if note is None or result.holding.verdict is not Verdict.INSUFFICIENT or _relapsed(state, result):
        return False
    return note.action != _BY_RULE or result.has_zero_bad


def _held(state: RolloutState, held: Sequence[GateResult], now: datetime) -> RolloutState:
    """Wait for more devices, and after ``max_wait`` do what the phase says. Silence is no waiting."""
    phase = state.current
    unheard = max(state.silent.get(result.metric, timedelta(0)) for result in held)
    if phase is None or state.not_before is None or now < state.not_before + phase.max_wait + unheard:
        return state
    if any(result.holding.verdict is not Verdict.INSUFFICIENT for result in held):
        return state  # no data, stale and error have graces of their own
    relapsed = {result.metric: check for result in held if (check := _relapsed(state, result))}
    passed = relapsed or [one for one in held if question(one.metric, one.holding.name) in state.passed]
    if passed and closed(state, now):
        return state  # what they say in a freeze does not matter yet; what they say when a weight may rise does
    if relapsed:
        return _relapse(state, relapsed, phase.max_wait, now)
    names = ", ".join(result.metric for result in held)
    if phase.on_insufficient is OnInsufficient.PASS_IF_ZERO_BAD and all(result.has_zero_bad for result in held):
        return _approve_by_rule(state, phase.name, names, now)
    if phase.on_insufficient is OnInsufficient.APPROVE:
        return _await(state, f"insufficient:{phase.name}:{state.step}", now)
    return pause(state, f"{TOO_FEW} for {names} after waiting for {span(phase.max_wait)}", "", now)


def _relapsed(state: RolloutState, result: GateResult) -> Check | None:
    """Give the check that has passed its planned look and has devices enough to be above its limit again, or None."""
    acting = (check for check in result.checks if check.action is not Action.ALERT and check.is_above)
    insufficient = (check for check in acting if check.verdict is Verdict.INSUFFICIENT)
    return next((check for check in insufficient if question(result.metric, check.name) in state.passed), None)


def _relapse(state: RolloutState, relapsed: Mapping[str, Check], waited: timedelta, now: datetime) -> RolloutState:
    """Take for failed what has passed its planned look, was above its limit again, and did not come back."""
    for metric, check in relapsed.items():
        note = Note(now, f"{check.reason}; still so {span(waited)} after the soak", "", Demand.PAUSE.value)
        state = replace(state, latched={**state.latched, metric: note})
        state = told(state, "gate.failed", now, metric=metric, action=note.action, reason=note.reason)
    reasons = "; ".join(f"{metric}: {state.latched[metric].reason}" for metric in relapsed)
    return pause(state, reasons, "", now)


def _approve_by_rule(state: RolloutState, phase: str, names: str, now: datetime) -> RolloutState:
    key = f"insufficient:{phase}:{state.step}"
    note = Note(now, f"on_insufficient: pass_if_zero_bad, no device failed ({names})", "policy", _BY_RULE)
    approved = replace(state, approvals={**state.approvals, key: note})
    return told(approved, "rollout.approved", now, what=key, reason=note.reason, actor="policy")


def _enter(state: RolloutState, index: int, now: datetime, world: Surroundings) -> RolloutState:
    """Settle the phase that is over and enter the next: one decision, several idempotent effects."""
    phase, key = state.spec.track.phases[index], f"phase:{state.spec.track.phases[index].name}"
    if phase.approve and key not in state.approvals:
        return _await(state, key, now)
    if world.held_by or closed(state, now):
        return state
    # The next channel is claimed before the last one is given up: a rollout that holds none would not be found again.
    before, weight = state.current, phase.ramp[0]
    ops = [Op(OpKind.CLAIM, phase.channel), *_settling(state), Op(OpKind.OFFER, phase.channel, weight)]
    ops += [Op(OpKind.RELEASE_CLAIM, before.channel)] if before is not None and before.channel != phase.channel else []
    exposed = (*(name for name in state.exposed if name != phase.channel), phase.channel)
    entered = replace(
        state,
        stage=Stage.ROLLING,
        phase=index,
        step=0,
        exposed=exposed,
        peak=weight,
        control=world.serves,
        seen=(),
        streaks={},
        alerted=(),
        intent=intent(ops, Stage.SOAKING, now),
    )
    return told(entered, "rollout.advanced", now)


def _holds_out(state: RolloutState) -> bool:
    return state.current is not None and state.current.holdout > Weight(0)


def _settling(state: RolloutState) -> list[Op]:
    """Give what ends a phase: the devices that were held out get the release, and it is what the channel serves."""
    phase = state.current
    if phase is None:
        return []
    held_out = [Op(OpKind.OFFER, phase.channel, Weight(FULL_WEIGHT))] if _holds_out(state) else []
    return [*held_out, Op(OpKind.SETTLE, phase.channel)]


def _raise(state: RolloutState, now: datetime) -> RolloutState:
    phase = state.spec.track.phases[state.phase]
    weight = phase.ramp[state.step + 1]
    raised = replace(
        state,
        stage=Stage.ROLLING,
        step=state.step + 1,
        peak=max(state.peak, weight),
        intent=intent([Op(OpKind.OFFER, phase.channel, weight)], Stage.SOAKING, now),
    )
    return told(raised, "rollout.advanced", now)


def _complete(state: RolloutState, now: datetime) -> RolloutState:
    reason = f"every phase of track {state.spec.track.name} was passed"
    ended = replace(state, stage=Stage.COMPLETED, outcome=reason, intent=intent(_settling(state), Stage.COMPLETED))
    return told(ended, "rollout.completed", now, reason=reason)


def _await(state: RolloutState, key: str, now: datetime) -> RolloutState:
    waiting = replace(state, stage=Stage.AWAITING_APPROVAL, awaiting=key)
    return told(waiting, "rollout.awaiting_approval", now, what=key)


def standing_on(state: RolloutState) -> tuple[ChannelName, ...]:
    """Give the channels that devices may be taking it from: the present one, and with it the next or the last.

    There are two when somebody was killed between them. One that it has not claimed is not paused for it.
    """
    if not state.exposed:
        return ()
    here = [state.current.channel] if state.current else []
    return tuple(dict.fromkeys([*state.leaving, *here, state.exposed[-1]]))


def pause(state: RolloutState, reason: str, actor: str, now: datetime) -> RolloutState:
    """Expose no further devices; those that have the release keep it."""
    if state.is_terminal or state.stage is Stage.PAUSED:
        return state
    pending = state.intent.ops if state.intent else ()
    # What takes the release from devices does not wait for the resume.
    ops = tuple(op for op in pending if op.kind is OpKind.LOWER)
    ops += tuple(Op(OpKind.PAUSE, name) for name in standing_on(state))
    paused = replace(
        state,
        stage=Stage.PAUSED,
        paused_by=reason,
        paused_actor=actor,
        awaiting="",
        unfinished=tuple(op for op in pending if op.kind not in {OpKind.LOWER, OpKind.PAUSE, OpKind.UNPAUSE}),
        intent=intent(ops, Stage.PAUSED),
    )
    return told(paused, "rollout.paused", now, reason=reason, actor=actor)
