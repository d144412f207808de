"""What a rollout keeps of what its gates said: failures that latch, silences, streaks, totals, looks that were. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from otagate._text import span
from otagate.gate.evidence import proof
from otagate.gate.interface import Measurement, SourceError
from otagate.gate.judge import CheckKind, Demand, GateResult, Reading, Verdict, combine
from otagate.gate.look import question
from otagate.gate.summary import is_lifted
from otagate.policy.model.gates import Evaluate
from otagate.rollout._told import told
from otagate.rollout.state import Note, RolloutState, Total

FALL, FEW = 0.8, 10
"""A total below this share of the highest, and by more than so few devices, is no late revision."""
_CUMULATIVE = {CheckKind.SHARE, CheckKind.CONTRAST}
_NO_TIME = timedelta(0)
_TROUBLES = {Verdict.NO_DATA: "no_data_grace", Verdict.STALE: "no_data_grace", Verdict.ERROR: "error_grace"}


def remember(state: RolloutState, results: Sequence[GateResult], now: datetime) -> RolloutState:
    """Take in one look at all gates."""
    told_of = _alert(_latch(state, results, now), results, now)
    return _remember_looks(_remember_troubles(told_of, results, now), results)


def believable(totals: Mapping[str, Total], readings: Sequence[Reading]) -> list[Reading]:
    """Give the readings, with an error instead of those whose counters went backwards.

    Windows begin at one instant and grow, so that a device which was counted once is counted at every look. A source that
    has lost many of them has lost the bad ones, too; late revisions and estimates move totals by less (:data:`FALL`).
    """
    return [_doubted(totals.get(_question(one.metric, one.over)), one) for one in readings]


def counted(state: RolloutState, results: Sequence[GateResult]) -> RolloutState:
    """Keep the highest totals of a look, for :func:`believable` at the next, and which checks were due and passed."""
    totals = dict(state.totals)
    # Where good devices are wanted, who is not yet good is bad, and all of them may come right.
    turning = {gate.metric for gate in state.spec.gates if gate.min is not None}
    for result in results:
        for check in result.checks:
            if check.kind not in _CUMULATIVE or check.verdict is Verdict.ERROR or not check.total or check.start is None:
                continue
            asked = f"{result.metric} {check.name}" if check.name.startswith("over ") else result.metric
            known = totals.get(asked)
            known = known if known is not None and known.start == check.start else Total(check.start, 0)
            bad = 0 if result.metric in turning else check.bad or 0
            totals[asked] = replace(known, devices=max(known.devices, check.total), bad=max(known.bad, bad))
    passes = {
        question(result.metric, check.name)
        for result in results
        for check in result.checks
        if result.is_due and check.kind is CheckKind.SHARE and check.verdict.lets_through
    }
    passed = (*state.passed, *sorted(passes - set(state.passed)))
    return state if (totals, passed) == (state.totals, state.passed) else replace(state, totals=totals, passed=passed)


def _doubted(known: Total | None, reading: Reading) -> Reading:
    measured = reading.outcome
    if known is None or known.start != reading.start or not isinstance(measured, Measurement) or measured.total is None:
        return reading
    if measured.total < min(known.devices * FALL, known.devices - FEW):
        found = f"{measured.total} devices, {known.devices} at an earlier look in the same window"
    elif known.bad > (FEW if measured.bad is not None else 0) and not measured.bad:
        # Who has crashed has crashed; and a series that was there is not one that never was.
        found = f"no bad device, {known.bad} at an earlier look in the same window"
    else:
        return reading
    return replace(reading, outcome=SourceError("the counters of this source went backwards", found=found))


def latched_reason(state: RolloutState, action: Demand) -> str:
    """Say which failures latched with this action, and why."""
    return "; ".join(f"{metric}: {note.reason}" for metric, note in state.latched.items() if note.action == action.value)


def lasting_trouble(state: RolloutState, results: Sequence[GateResult], now: datetime) -> str:
    """Give the reason to pause when a gate has been without an answer for longer than its grace, or ""."""
    for result in results:
        since = state.troubles.get(result.metric)
        if since is None or not _is_silent(state, result):
            continue
        verdict = result.holding.verdict
        grace: timedelta = getattr(state.spec.judgement, _TROUBLES[verdict])
        if now - since > grace:
            return f"{result.metric} has had no usable answer for longer than {span(grace)} (now {verdict.value})"
    return ""


def _latch(state: RolloutState, results: Sequence[GateResult], now: datetime) -> RolloutState:
    """Keep failures: later good numbers do not lift them. A waived metric may still escalate to a rollback."""
    summary = combine([result for result in results if not is_lifted(result, state.waived)])
    for result in results:
        if result.metric not in summary.failed or not result.action.stops:
            continue
        known = state.latched.get(result.metric)
        if known is not None and known.action in {result.action.value, Demand.ROLLBACK.value}:
            continue
        note = Note(now, result.reason, "", result.action.value)
        state = replace(state, latched={**state.latched, result.metric: note})
        state = _told_of(state, result, now)
    return state


def _alert(state: RolloutState, results: Sequence[GateResult], now: datetime) -> RolloutState:
    """Tell of failures that only alert, each once a phase: they are no step, so the rollout's own count stays."""
    phase = state.current
    for result in results:
        if phase is None or result.action is not Demand.ALERT or result.metric in state.alerted:
            continue
        said = _told_of(state, result, now)
        event = replace(said.events[-1], id=f"{state.id}#{phase.name}:{result.metric}")
        state = replace(state, events=(*state.events, event), alerted=(*state.alerted, result.metric))
    return state


def _told_of(state: RolloutState, result: GateResult, now: datetime) -> RolloutState:
    about = {"metric": result.metric, "action": result.action.value, "reason": result.reason}
    return told(state, "gate.failed", now, **about, **proof(result.decisive))


def _remember_troubles(state: RolloutState, results: Sequence[GateResult], now: datetime) -> RolloutState:
    """Keep since when each gate has been without a usable answer; from one kind of silence to another the time runs on."""
    if not results:
        return state
    without = [result for result in results if _is_silent(state, result)]
    troubles = {result.metric: state.troubles.get(result.metric, now) for result in without}
    # A source that failed may know of that time later; one that answered and had nothing does not.
    nothing = [result.metric for result in without if result.holding.verdict is not Verdict.ERROR]
    passed = now - max(filter(None, (state.entered_at, state.last_reconcile_at)), default=now)
    silent = {**state.silent, **{one: state.silent.get(one, _NO_TIME) + max(passed, _NO_TIME) for one in nothing}}
    return replace(state, troubles=troubles, silent=silent) if (troubles, silent) != (state.troubles, state.silent) else state


def _is_silent(state: RolloutState, result: GateResult) -> bool:
    return result.is_gating and result.holding.verdict in _TROUBLES and result.metric not in state.waived


def _question(metric: str, over: timedelta | None) -> str:
    return metric if over is None else f"{metric} over {span(over)}"


def _remember_looks(state: RolloutState, results: Sequence[GateResult]) -> RolloutState:
    """Keep streaks, and which gates with a look at an age have had it."""
    if not results:
        return state
    once = {gate.metric for gate in state.gates if gate.evaluate is Evaluate.AT_AGE}
    had = {result.metric for result in results if result.metric in once and result.is_decided}
    seen = (*state.seen, *sorted(had - set(state.seen)))
    streaks = {result.metric: result.streak for result in results if result.streak is not None}
    return state if (seen, streaks) == (state.seen, state.streaks) else replace(state, seen=seen, streaks=streaks)
