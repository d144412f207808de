"""What a rollout keeps of what its gates said: failures that latch, silences, streaks, looks that were. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from otagate._text import span
from otagate.gate.judge import Demand, GateResult, Verdict, combine
from otagate.policy.model import Evaluate
from otagate.rollout._told import told
from otagate.rollout.state import Note, RolloutState

_TROUBLES = {Verdict.NO_DATA: "no_data_grace", Verdict.STALE: "no_data_grace", Verdict.ERROR: "error_grace"}


def remember(state: RolloutState, results: Sequence[GateResult], now: datetime) -> RolloutState:
    """Take in one look at all gates."""
    return _remember_looks(_remember_troubles(_latch(state, results, now), results, now), results)


def latched_reason(state: RolloutState, action: Demand) -> str:
    """Say which failures latched with this action, and why."""
    return "; ".join(f"{metric}: {note.reason}" for metric, note in state.latched.items() if note.action == action.value)


def lasting_trouble(state: RolloutState, results: Sequence[GateResult], now: datetime) -> str:
    """Give the reason to pause when a gate has been without an answer for longer than its grace, or ""."""
    for result in results:
        since = state.troubles.get(result.metric)
        if since is None or not _is_silent(state, result):
            continue
        grace: timedelta = getattr(state.spec.judgement, _TROUBLES[result.verdict])
        if now - since > grace:
            return f"{result.metric} has had no usable answer for longer than {span(grace)} (now {result.verdict.value})"
    return ""


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
        state = told(state, "gate.failed", now, metric=result.metric, action=result.action.value, reason=result.reason)
    return state


def _remember_troubles(state: RolloutState, results: Sequence[GateResult], now: datetime) -> RolloutState:
    """Keep since when each gate has been without a usable answer; from one kind of silence to another the time runs on."""
    if not results:
        return state
    silent = [result for result in results if _is_silent(state, result)]
    troubles = {result.metric: state.troubles.get(result.metric, now) for result in silent}
    return state if troubles == state.troubles else replace(state, troubles=troubles)


def _is_silent(state: RolloutState, result: GateResult) -> bool:
    return result.is_gating and result.verdict in _TROUBLES and result.metric not in state.overrides


def _remember_looks(state: RolloutState, results: Sequence[GateResult]) -> RolloutState:
    """Keep streaks, and which gates with a look at an age have had it."""
    if not results:
        return state
    once = {gate.metric for gate in state.gates if gate.evaluate is Evaluate.AT_AGE}
    had = {result.metric for result in results if result.metric in once and result.is_decided}
    seen = (*state.seen, *sorted(had - set(state.seen)))
    streaks = {result.metric: result.streak for result in results if result.streak is not None}
    return state if (seen, streaks) == (state.seen, state.streaks) else replace(state, seen=seen, streaks=streaks)
