"""Aborting, lowering, amending, windows, hold-outs, and what a rollout remembers of its looks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from otagate.gate.judge import Streak, Verdict
from otagate.model import Weight
from otagate.policy.model.gates import Evaluate, GateSpec, ValueLimit
from otagate.policy.model.tracks import PhaseSpec
from otagate.policy.model.windows import Freeze, Window, WindowsSpec
from otagate.rollout import machine
from otagate.rollout.codec import decode, encode
from otagate.rollout.state import OpKind, RolloutSpec, RolloutState, Stage
from support.rollouts import FAIL_PAUSE, PASS, finished, fresh, result
from support.world import CRASH_RATE, DAY, HOUR, NOW, SUCCESS, phase, track

LATER = NOW + DAY
RAMP = track(phase("internal"), phase("stable", 5, 50, 100))


def ops(state: RolloutState) -> list[str]:
    return [str(op) for op in state.intent.ops] if state.intent else []


def walk(steps: int, state: RolloutState | None = None) -> RolloutState:
    """Give a rollout after so many steps forward, a soak each."""
    state = state or fresh(spec=RAMP)
    for _ in range(steps):
        state = finished(
            machine.decide(state, PASS if state.phase >= 0 else (), (state.not_before or NOW)), state.not_before or NOW
        )
    return state


# --- abort ---------------------------------------------------------------------------------------------------------------


def test_an_abort_takes_it_off_where_it_has_not_settled() -> None:
    state = machine.abort(walk(2), "enough", "ana", LATER)
    assert (state.stage, state.outcome, ops(state)) == (Stage.ABORTED, "enough", ["drop stable", "drop internal"])
    assert state.events[-1].kind == "rollout.aborted"
    assert machine.abort(finished(state, LATER), "again", "ana", LATER) == finished(state, LATER)


def test_an_abort_of_a_paused_rollout_opens_the_channel_again() -> None:
    paused = finished(machine.pause(walk(2), "a look", "ana", LATER), LATER)
    assert ops(machine.abort(paused, "enough", "ana", LATER)) == ["drop stable", "drop internal", "unpause stable"]


def test_a_rollout_that_reached_nobody_is_aborted_at_once() -> None:
    state = machine.abort(fresh(), "enough", "ana", NOW)
    assert (state.stage, state.intent) == (Stage.ABORTED, None)


# --- lowering ------------------------------------------------------------------------------------------------------------


def test_lowering_goes_back_and_soaks_anew() -> None:
    state = walk(4)
    assert [str(weight) for weight in machine.lower_steps(state)] == ["5%", "50%"]
    lowered = machine.lower(state, Weight(500), "support calls", "ana", LATER)
    assert ops(lowered) == ["lower stable at 5%"]
    done = finished(lowered, LATER + HOUR)
    assert (done.stage, done.step, done.not_before) == (Stage.SOAKING, 0, LATER + HOUR + DAY)
    assert done.phase_since == state.phase_since, "the window of the metrics goes on"
    assert done.peak == Weight(10_000), "devices above the lowered weight still have it for a while"
    assert ops(machine.decide(done, PASS, LATER + HOUR + DAY)) == ["offer stable at 50%"]


@pytest.mark.parametrize("weight", [5000, 10_000, 700])
def test_lowering_to_what_is_not_below_changes_nothing(weight: int) -> None:
    state = walk(3)
    assert machine.lower(state, Weight(weight), "x", "ana", LATER) is state


def test_a_paused_rollout_that_is_lowered_stays_paused() -> None:
    paused = finished(machine.pause(walk(4), "a look", "ana", LATER), LATER)
    lowered = machine.lower(paused, Weight(500), "less", "ana", LATER)
    assert (lowered.stage, ops(lowered)) == (Stage.PAUSED, ["lower stable at 5%", "pause stable"])
    assert machine.decide(finished(lowered, LATER), PASS, LATER + 9 * DAY).stage is Stage.PAUSED


# --- amending ------------------------------------------------------------------------------------------------------------


def amended(state: RolloutState, **changes: object) -> RolloutState:
    return machine.amend(state, replace(state.spec, **changes), "policy of today", "ana", LATER)  # type: ignore[arg-type]


def test_an_amendment_moves_the_end_of_the_soak_and_keeps_the_past() -> None:
    state = replace(walk(2), latched={})
    longer = track(phase("internal"), phase("stable", 5, 50, 100, soak=3 * DAY))
    after = amended(state, track=longer)
    assert after.entered_at is not None
    assert after.not_before == after.entered_at + 3 * DAY
    assert (after.phase, after.step, after.intent) == (state.phase, state.step, None)
    assert after.events[-1].data["spec"] == str(after.spec.digest) != after.events[-1].data["was"]
    assert amended(after) is after


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (track(phase("beta"), phase("stable", 5, 50, 100)), "phase internal"),
        (track(phase("internal")), "phase stable"),
        (track(phase("internal"), phase("stable", 10, 100)), "5%"),
        (track(phase("internal"), phase("stable", 5, 100, channel="other")), "phase stable"),
    ],
)
def test_an_amendment_that_contradicts_the_past_is_refused(changed: object, said: str) -> None:
    state = walk(2)
    spec = replace(state.spec, track=changed)  # type: ignore[arg-type]
    assert said in machine.refuse_amendment(state, spec)
    assert machine.amend(state, spec, "x", "ana", LATER) is state


def test_what_has_failed_cannot_be_amended_away() -> None:
    state = finished(machine.decide(walk(2), FAIL_PAUSE, NOW + 2 * DAY), NOW + 2 * DAY)
    assert "crash_rate has failed" in machine.refuse_amendment(state, replace(state.spec, gates=(SUCCESS,)))
    assert machine.refuse_amendment(state, replace(state.spec, gates=(CRASH_RATE,))) == ""
    assert amended(state, gates=(CRASH_RATE,)).latched == state.latched


def test_before_the_first_phase_everything_may_change() -> None:
    state = amended(fresh(), track=track(phase("beta")))
    assert ops(machine.decide(state, (), NOW)) == ["claim beta", "offer beta at 100%"]


def test_an_approval_that_is_waited_for_is_asked_for_anew() -> None:
    spec = track(phase("internal"), phase("beta", approve=True))
    waits = machine.decide(walk(1, fresh(spec=spec)), PASS, LATER)
    assert waits.stage is Stage.AWAITING_APPROVAL
    free = amended(waits, track=track(phase("internal"), phase("beta")))
    assert ops(machine.decide(free, PASS, LATER))[-1] == "release_claim internal"


# --- windows -------------------------------------------------------------------------------------------------------------

OFFICE = WindowsSpec(
    "Europe/Berlin", (Window((0, 1, 2, 3), 9 * 60, 16 * 60),), (Freeze("2026-12-20", "2027-01-03", "holidays"),)
)
OPEN, SHUT = datetime(2026, 11, 23, 10, tzinfo=UTC), datetime(2026, 11, 21, 10, tzinfo=UTC)


def windowed(**more: Any) -> RolloutState:
    state = fresh(spec=track(phase("internal", 5, 100, **more), phase("stable")))
    return replace(state, spec=replace(state.spec, windows=OFFICE))


def test_nothing_rises_outside_of_the_windows() -> None:
    assert machine.decide(windowed(), (), SHUT) == windowed()
    entered = finished(machine.decide(windowed(), (), OPEN), OPEN)
    assert ops(entered) == []
    night = OPEN + DAY + 9 * HOUR
    assert machine.decide(entered, PASS, night) == entered
    assert "window" in machine.closed(entered, night)
    assert ops(machine.decide(entered, PASS, OPEN + DAY)) == ["offer internal at 100%"]


def test_gates_stop_a_rollout_at_any_time_and_a_freeze_delays_no_rollback() -> None:
    entered = finished(machine.decide(windowed(), (), OPEN), OPEN)
    assert machine.decide(entered, FAIL_PAUSE, datetime(2026, 12, 24, 3, tzinfo=UTC)).stage is Stage.PAUSED
    assert "holidays" in machine.closed(entered, datetime(2026, 12, 24, 10, tzinfo=UTC))


def test_a_hotfix_phase_knows_no_windows() -> None:
    state = windowed(ignore_windows=True)
    assert ops(machine.decide(state, (), SHUT)) == ["claim internal", "offer internal at 5%"]


# --- hold-outs -----------------------------------------------------------------------------------------------------------


def held_out(*percents: int, share: int = 500) -> PhaseSpec:
    return replace(phase("stable", *percents), holdout=Weight(share))


def test_the_ramp_ends_below_the_hold_out_and_the_last_devices_get_it_when_all_was_passed() -> None:
    assert [str(weight) for weight in held_out(5, 50, 100).ramp] == ["5%", "50%", "95%"]
    assert [str(weight) for weight in held_out(96, 98, 100).ramp] == ["95%"]
    state = walk(3, fresh(spec=track(held_out(5, 50, 100))))
    assert (state.weight, state.is_last_step) == (Weight(9500), True)
    ended = machine.decide(state, PASS, state.not_before or NOW)
    assert (ended.stage, ops(ended)) == (Stage.COMPLETED, ["offer stable at 100%", "settle stable"])
    assert machine.finish_intent(ended, LATER).entered_at == state.entered_at
    held = machine.decide(state, PASS, state.not_before or NOW, machine.Surroundings("expired"))
    assert held == state, "the last devices are an exposure too"


def test_between_phases_the_held_out_devices_get_it_before_it_settles() -> None:
    state = walk(1, fresh(spec=track(replace(phase("beta"), holdout=Weight(1000)), phase("stable"))))
    after = machine.decide(state, PASS, state.not_before or NOW)
    assert ops(after) == ["claim stable", "offer beta at 100%", "settle beta", "offer stable at 100%", "release_claim beta"]


# --- what it remembers ---------------------------------------------------------------------------------------------------

AGED = GateSpec("adoption", max=Decimal("0.5"), evaluate=Evaluate.AT_AGE, at_age=12 * HOUR)
LATENCY = GateSpec("latency", value=ValueLimit(max=Decimal(250)))


def test_a_look_at_an_age_is_remembered_for_its_phase() -> None:
    state = walk(1, fresh(spec=RAMP, gates=(AGED,)))
    seen = machine.decide(state, (result("adoption", Verdict.PASS),), NOW + 12 * HOUR)
    assert seen.seen == ("adoption",)
    look = machine.look_of(seen, NOW + 13 * HOUR)
    assert look is not None
    assert not look.is_planned_for(AGED)
    after = machine.decide(seen, (result("adoption", Verdict.PASS),), NOW + DAY)
    assert (after.phase, after.seen) == (1, ())


def test_streaks_survive_the_store() -> None:
    state = walk(1, fresh(spec=RAMP, gates=(LATENCY,)))
    odd = replace(result("latency", Verdict.INCONCLUSIVE), streak=Streak(2, NOW))
    kept = machine.decide(state, (odd,), NOW + HOUR)
    assert decode(RolloutState, encode(kept)).streaks == {"latency": Streak(2, NOW)}
    assert machine.decide(kept, (result("latency", Verdict.PASS),), NOW + 2 * HOUR).streaks == {}


def test_gates_count_in_their_phases_only() -> None:
    late = replace(CRASH_RATE, phases=("stable",))
    spec = track(replace(phase("internal"), gates=("success",)), phase("stable", 5, 100))
    state = walk(1, fresh(spec=spec, gates=(late, SUCCESS)))
    assert [gate.metric for gate in state.gates] == ["success"]
    assert [gate.metric for gate in walk(2, fresh(spec=spec, gates=(late, SUCCESS))).gates] == ["crash_rate", "success"]
    assert fresh(spec=spec).gates == ()
    none = walk(1, fresh(spec=track(replace(phase("internal"), gates=()), phase("stable"))))
    assert machine.decide(none, (), NOW + DAY).phase == 1, "a phase without gates waits for its soak only"


def test_what_the_channel_served_before_is_the_control() -> None:
    state = finished(machine.decide(fresh(spec=RAMP), (), NOW, machine.Surroundings(serves="0.9.0")), NOW)
    look = machine.look_of(state, NOW + HOUR)
    assert look is not None
    assert (state.control, look.has_control, look.weight_bps, look.age) == ("0.9.0", True, 10_000, timedelta(hours=1))
    assert machine.look_of(fresh(), NOW) is None


def test_a_spec_has_a_digest_that_tells_it_apart() -> None:
    spec = fresh().spec
    assert spec.digest == RolloutSpec(spec.track, spec.gates, spec.judgement).digest
    assert replace(spec, windows=OFFICE).digest != spec.digest
    assert {OpKind.LOWER, OpKind.DROP} <= set(OpKind)
