"""Random lives of a rollout: whatever gates say, whenever one looks and whatever people ask, the rules hold."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from otagate import _canonical
from otagate.gate.judge import Demand, GateResult, Verdict
from otagate.policy.model.tracks import OnInsufficient
from otagate.rollout import machine
from otagate.rollout.codec import decode, encode
from otagate.rollout.state import OpKind, RolloutState, Stage
from support.rollouts import fresh, result
from support.world import DAY, NOW, phase, track

_RESULTS = [
    result("crash_rate", Verdict.PASS),
    result("crash_rate", Verdict.WARN),
    result("crash_rate", Verdict.FAIL, Demand.PAUSE, holds=True),
    result("crash_rate", Verdict.FAIL, Demand.ROLLBACK, holds=True),
    result("crash_rate", Verdict.FAIL, Demand.ALERT, is_gating=False),
    *(result("crash_rate", verdict, holds=True) for verdict in (Verdict.NO_DATA, Verdict.STALE, Verdict.ERROR)),
    *(result("crash_rate", Verdict.INSUFFICIENT, holds=True, bad=bad) for bad in (0, 1)),
    result("crash_rate", Verdict.INCONCLUSIVE, holds=True, is_due=False),
]
_TRACKS = st.builds(
    lambda names, rule, approve: track(
        *(phase(name, *weights, on_insufficient=rule, approve=approve and at == 1) for at, (name, weights) in enumerate(names))
    ),
    st.lists(
        st.tuples(st.sampled_from(["a1", "b1", "c1"]), st.sampled_from([(100,), (5, 100), (1, 20, 100)])),
        min_size=1,
        max_size=3,
        unique_by=lambda pair: pair[0],
    ),
    st.sampled_from(OnInsufficient),
    st.booleans(),
)


class Act(NamedTuple):
    name: str
    wait: timedelta
    results: tuple[GateResult, ...]
    held: bool
    completes: bool
    """Whether the recorded effects are done before it."""


_ACTS = st.builds(
    Act,
    st.sampled_from(["look"] * 6 + ["pause", "resume", "override", "approve", "roll_back", "supersede"]),
    st.sampled_from([timedelta(0), timedelta(hours=1), DAY, 4 * DAY]),
    st.lists(st.sampled_from(_RESULTS), max_size=1).map(tuple),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([True, True, True, False]),
)


def take(state: RolloutState, act: Act, now: datetime) -> RolloutState:
    match act.name:
        case "look":
            if state.is_terminal:
                return state
            ready = machine.finish_intent(state, now)
            return machine.decide(ready, act.results, now, machine.Surroundings("held" if act.held else ""))
        case "pause":
            return machine.pause(state, "by hand", "ana", now)
        case "resume":
            return state if machine.unwaived(state, {}) else machine.resume(state, {}, "ana", now)
        case "override":
            return machine.resume(state, {"crash_rate": "known"}, "ana", now)
        case "approve":
            return machine.approve(state, "ana", "", now)
        case "roll_back":
            return machine.roll_back(state, "by hand", "ana", now)
        case _:
            return machine.supersede(state, "another", "ana", now)


def exposure(state: RolloutState) -> tuple[int, int]:
    return (state.phase, state.step)


@settings(max_examples=300, deadline=None)
@given(spec=_TRACKS, acts=st.lists(_ACTS, max_size=40))
def test_the_rules_hold_whatever_happens(spec: object, acts: list[Act]) -> None:
    state, now = fresh(spec=spec), NOW  # type: ignore[arg-type]
    for act in acts:
        now += act.wait
        if act.completes:
            state = machine.finish_intent(state, now)
        before, state = state, take(state, act, now)
        assert exposure(state) >= exposure(before)
        if act.name != "look":
            assert exposure(state) == exposure(before), "people never raise exposure"
        steps_up = _steps(state) - _steps(before)
        assert steps_up in {0, 1}, "one step at a time"
        if steps_up:
            assert not act.held
            assert not before.latched, "a latched failure is not passed"
            silent = [one for one in act.results if one.verdict in {Verdict.NO_DATA, Verdict.STALE, Verdict.ERROR}]
            assert before.phase < 0 or before.overrides or (act.results and not silent), "no data is never a pass"
        if before.is_terminal:
            assert state == before
        if state.is_terminal and not before.is_terminal and state.stage is Stage.ROLLED_BACK:
            withdrawn = {op.channel for op in state.intent.ops} if state.intent else set()
            assert withdrawn == (set(state.exposed) or {state.spec.track.phases[0].channel})
        if state.stage in {Stage.PAUSED, Stage.AWAITING_APPROVAL}:
            assert not any(op.kind is OpKind.OFFER for op in (state.intent.ops if state.intent else ()))
        assert len({event.id for event in state.events}) == len(state.events)
        steps = [event for event in state.events if event.data.get("action") != Demand.ALERT.value]
        assert len(steps) == state.told
        stored = _canonical.loads(_canonical.dumps(encode(state)))
        assert decode(RolloutState, stored) == state


def _steps(state: RolloutState) -> int:
    phases = state.spec.track.phases
    if state.phase < 0:
        return 0
    return sum(len(one.weights) for one in phases[: state.phase]) + state.step + 1


@settings(max_examples=60, deadline=None)
@given(spec=_TRACKS, acts=st.lists(_ACTS.filter(lambda act: act.name in {"look", "pause", "approve"}), max_size=15))
def test_every_path_ends_or_waits_for_a_person(spec: object, acts: list[Act]) -> None:
    state, now = fresh(spec=spec), NOW  # type: ignore[arg-type]
    for act in acts:
        now += act.wait
        state = take(machine.finish_intent(state, now), act, now)
    good = (result("crash_rate", Verdict.PASS),)
    for _ in range(40):
        now += DAY
        state = machine.finish_intent(state, now)
        if state.is_terminal or state.stage is Stage.PAUSED:
            return
        if state.stage is Stage.AWAITING_APPROVAL:
            state = machine.approve(state, "ana", "", now)
        state = machine.decide(state, good, now)
    message = f"still {state.stage} after forty good days"
    raise AssertionError(message)
