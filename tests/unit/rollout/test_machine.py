from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from otagate.gate.judge import Demand, GateResult, LookKind, Verdict
from otagate.model import Weight
from otagate.policy.model.tracks import OnInsufficient
from otagate.rollout import machine
from otagate.rollout.state import Note, OpKind, RolloutState, Stage
from support.rollouts import FAIL_PAUSE, FAIL_ROLLBACK, PASS, finished, fresh, result
from support.world import DAY, HOUR, NOW, phase, track

SOAK_OVER = NOW + DAY


def entered(**changes: Any) -> RolloutState:
    """Give a rollout that soaks in its first phase."""
    return replace(finished(machine.decide(fresh(), (), NOW), NOW), **changes)


def at_weight(step: int, **changes: Any) -> RolloutState:
    """Give a rollout that soaks in the stable phase of a one-phase track, at a weight of 5, 50 or 100 percent."""
    state = finished(machine.decide(fresh(spec=track(phase("stable", 5, 50, 100))), (), NOW), NOW)
    for _ in range(step):
        state = finished(machine.decide(state, PASS, NOW + DAY), NOW)
    return replace(state, **changes)


def ops(state: RolloutState) -> list[str]:
    return [str(op) for op in state.intent.ops] if state.intent else []


def kinds(state: RolloutState) -> list[str]:
    return [event.kind for event in state.events]


# --- going forward ----------------------------------------------------------------------------------------------------


def test_the_first_decision_enters_the_first_phase() -> None:
    state = machine.decide(fresh(), (), NOW)
    assert (state.stage, state.phase, state.step) == (Stage.ROLLING, 0, 0)
    assert ops(state) == ["claim internal", "offer internal at 100%"]
    assert kinds(state) == ["rollout.advanced"]


def test_a_soak_begins_when_the_effects_are_done_not_when_they_were_decided() -> None:
    decided = machine.decide(fresh(), (), NOW)
    done = machine.finish_intent(decided, NOW + HOUR)
    assert (done.stage, done.entered_at, done.not_before) == (Stage.SOAKING, NOW + HOUR, NOW + HOUR + DAY)
    assert done.phase_since == NOW + HOUR
    assert machine.finish_intent(done, NOW + DAY) is done


def test_the_next_phase_is_claimed_before_the_last_is_given_up() -> None:
    state = machine.decide(entered(), PASS, SOAK_OVER)
    assert ops(state) == ["claim beta", "settle internal", "offer beta at 100%", "release_claim internal"]
    assert [str(name) for name in state.exposed] == ["internal", "beta"]


def test_two_phases_of_one_channel_keep_its_claim() -> None:
    spec = track(phase("few", 20, channel="stable"), phase("all", channel="stable"))
    state = finished(machine.decide(fresh(spec=spec), (), NOW), NOW)
    after = machine.decide(state, PASS, SOAK_OVER)
    assert ops(after) == ["claim stable", "settle stable", "offer stable at 100%"]
    assert [str(name) for name in after.exposed] == ["stable"]


def test_weights_are_raised_one_at_a_time() -> None:
    state, seen = at_weight(0), []
    for _ in range(3):
        state = machine.decide(state, PASS, SOAK_OVER)
        seen.append(ops(state))
        state = finished(state, NOW)
    assert seen == [["offer stable at 50%"], ["offer stable at 100%"], ["settle stable"]]
    assert state.stage is Stage.COMPLETED


def test_the_window_of_a_phase_begins_with_its_first_weight() -> None:
    state = machine.finish_intent(machine.decide(at_weight(0), PASS, SOAK_OVER), SOAK_OVER)
    assert (state.phase_since, state.entered_at) == (NOW, SOAK_OVER)


def test_before_the_soak_is_over_a_pass_does_nothing() -> None:
    state = entered()
    assert machine.decide(state, PASS, SOAK_OVER - timedelta(seconds=1)) == state


def test_gates_that_were_not_measured_have_not_passed() -> None:
    assert machine.decide(entered(), (), SOAK_OVER) == entered()


def test_without_gates_time_alone_decides() -> None:
    state = entered()
    free = replace(state, spec=replace(state.spec, gates=()))
    assert machine.decide(free, (), SOAK_OVER).phase == 1


def test_a_held_channel_is_not_entered() -> None:
    assert machine.decide(entered(), PASS, SOAK_OVER, machine.Surroundings("beta is held")) == entered()
    assert machine.decide(fresh(), (), NOW, machine.Surroundings("internal is held")) == fresh()


def test_what_may_not_rise_is_not_raised_and_may_still_be_stopped() -> None:
    assert machine.decide(at_weight(0), PASS, SOAK_OVER, machine.Surroundings("expired")) == at_weight(0)
    assert machine.decide(at_weight(0), FAIL_ROLLBACK, SOAK_OVER, machine.Surroundings("expired")).stage is Stage.ROLLED_BACK


@pytest.mark.parametrize(
    ("state", "after", "expected"),
    [
        (fresh(), timedelta(0), LookKind.INTERIM),
        (entered(), DAY - timedelta(seconds=1), LookKind.INTERIM),
        (entered(), DAY, LookKind.PHASE_END),
        (at_weight(0), DAY, LookKind.SOAK_END),
        (at_weight(2), DAY, LookKind.PHASE_END),
        (entered(stage=Stage.PAUSED), DAY, LookKind.INTERIM),
        (entered(stage=Stage.AWAITING_APPROVAL), DAY, LookKind.INTERIM),
    ],
)
def test_planned_looks_are_only_at_the_end_of_a_soak(state: RolloutState, after: timedelta, expected: LookKind) -> None:
    assert machine.look_kind(state, NOW + after) is expected


@pytest.mark.parametrize(
    ("state", "channel", "name"),
    [
        (fresh(), "internal", "internal"),
        (entered(), "beta", "beta"),
        (at_weight(0), "", ""),
        (at_weight(2), "", ""),
        (entered(stage=Stage.ABORTED), "", ""),
    ],
)
def test_the_next_channel_is_named_only_when_it_is_entered_next(state: RolloutState, channel: str, name: str) -> None:
    assert (machine.next_channel(state), machine.next_phase(state)) == (channel, name)


# --- gates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [HOUR, DAY])
def test_a_failure_pauses_and_stays(after: timedelta) -> None:
    paused = machine.decide(entered(), FAIL_PAUSE, NOW + after)
    assert (paused.stage, ops(paused), paused.paused_actor) == (Stage.PAUSED, ["pause internal"], "")
    assert kinds(paused) == ["gate.failed", "rollout.paused"]
    healed = machine.decide(finished(paused, NOW), PASS, SOAK_OVER)
    assert (healed.stage, set(healed.latched)) == (Stage.PAUSED, {"crash_rate"})


def test_rollback_beats_everything() -> None:
    state = entered(overrides={}, troubles={"success:no_data": NOW - DAY})
    after = machine.decide(state, (*FAIL_ROLLBACK, result("success", Verdict.NO_DATA, holds=True)), SOAK_OVER)
    assert (after.stage, ops(after)) == (Stage.ROLLED_BACK, ["withdraw internal"])


def test_pause_beats_hold() -> None:
    results = (*FAIL_PAUSE, result("success", Verdict.INSUFFICIENT, holds=True))
    assert machine.decide(entered(), results, SOAK_OVER + 4 * DAY).paused_by == "crash_rate: crash_rate fails"


def test_a_rollback_covers_every_channel_that_was_reached_the_widest_first() -> None:
    state = finished(machine.decide(entered(), PASS, SOAK_OVER), NOW)
    assert ops(machine.decide(state, FAIL_ROLLBACK, SOAK_OVER)) == ["withdraw beta", "withdraw internal"]


@pytest.mark.parametrize("stage", [Stage.PAUSED, Stage.AWAITING_APPROVAL])
def test_waiting_states_still_roll_back(stage: Stage) -> None:
    assert machine.decide(entered(stage=stage), FAIL_ROLLBACK, NOW + HOUR).stage is Stage.ROLLED_BACK


def test_an_awaiting_rollout_is_paused_by_a_failure() -> None:
    after = machine.decide(entered(stage=Stage.AWAITING_APPROVAL, awaiting="phase:beta"), FAIL_PAUSE, NOW + HOUR)
    assert (after.stage, after.awaiting) == (Stage.PAUSED, "")


def test_a_paused_rollout_latches_what_comes_after() -> None:
    by_hand = finished(machine.pause(entered(), "a look", "ana", NOW), NOW)
    after = machine.decide(by_hand, FAIL_PAUSE, NOW + HOUR)
    assert (after.stage, set(after.latched), after.paused_by) == (Stage.PAUSED, {"crash_rate"}, "a look")
    assert machine.decide(after, FAIL_PAUSE, NOW + DAY) == after, "it is told once"


def test_a_pause_that_becomes_worse_is_rolled_back() -> None:
    paused = finished(machine.decide(entered(), FAIL_PAUSE, NOW + HOUR), NOW)
    assert machine.decide(paused, FAIL_ROLLBACK, NOW + 2 * HOUR).stage is Stage.ROLLED_BACK


def test_a_latched_failure_pauses_again_after_any_way_out() -> None:
    state = entered(latched=machine.decide(entered(), FAIL_PAUSE, NOW).latched)
    assert machine.decide(state, PASS, SOAK_OVER).stage is Stage.PAUSED


def test_an_override_lifts_one_failure_for_good() -> None:
    paused = finished(machine.decide(entered(), FAIL_PAUSE, NOW + HOUR), NOW)
    assert machine.unwaived(paused, {}) == ("crash_rate",)
    assert machine.unwaived(paused, {"crash_rate": "known"}) == ()
    resumed = finished(machine.resume(paused, {"crash_rate": "known"}, "ana", NOW + HOUR), NOW + HOUR)
    assert (resumed.stage, resumed.latched, resumed.overrides["crash_rate"].actor) == (Stage.SOAKING, {}, "ana")
    assert resumed.not_before == SOAK_OVER, "a pause does not make a soak shorter or longer"
    assert machine.decide(resumed, FAIL_PAUSE, SOAK_OVER).phase == 1


def test_escalation_beats_an_override() -> None:
    paused = finished(machine.decide(entered(), FAIL_PAUSE, NOW + HOUR), NOW)
    resumed = finished(machine.resume(paused, {"crash_rate": "known"}, "ana", NOW), NOW)
    main = FAIL_PAUSE[0].checks[0]
    worse = replace(FAIL_ROLLBACK[0], checks=(main, replace(FAIL_ROLLBACK[0].checks[0], name="escalate")))
    assert machine.decide(resumed, [worse], NOW + HOUR).stage is Stage.ROLLED_BACK


def test_an_overridden_gate_has_no_troubles() -> None:
    silent = (result("crash_rate", Verdict.NO_DATA, holds=True), result("success", Verdict.PASS))
    state = entered(overrides={"crash_rate": Note(NOW, "known", "ana")})
    assert machine.decide(state, silent, SOAK_OVER).phase == 1


def test_alerts_stop_nothing() -> None:
    alert = (result("error_rate", Verdict.FAIL, Demand.ALERT, is_gating=False),)
    after = machine.decide(entered(), alert, SOAK_OVER)
    assert (after.phase, after.latched) == (1, {})


def test_a_gate_whose_look_is_at_the_phase_s_end_does_not_keep_it_from_the_next_weight() -> None:
    later = (result("completion", Verdict.INCONCLUSIVE, holds=False, is_due=False),)
    assert machine.decide(at_weight(0), later, SOAK_OVER).step == 1
    due = (result("completion", Verdict.INSUFFICIENT, holds=True),)
    assert machine.decide(at_weight(2), due, SOAK_OVER).stage is Stage.SOAKING


# --- too few devices, no data, stale, error -----------------------------------------------------------------------------


FEW = (result("crash_rate", Verdict.INSUFFICIENT, holds=True, bad=0, total=3), result("success", Verdict.PASS))
FEW_BAD = (result("crash_rate", Verdict.INSUFFICIENT, holds=True, bad=1, total=3),)
WAITED = SOAK_OVER + timedelta(hours=72)


def waiting(rule: OnInsufficient) -> RolloutState:
    spec = track(phase("internal", on_insufficient=rule), phase("beta"))
    return finished(machine.decide(fresh(spec=spec), (), NOW), NOW)


@pytest.mark.parametrize("rule", OnInsufficient)
def test_too_few_devices_wait_until_max_wait(rule: OnInsufficient) -> None:
    assert machine.decide(waiting(rule), FEW, WAITED - timedelta(seconds=1)) == waiting(rule)


def test_then_it_pauses() -> None:
    after = machine.decide(waiting(OnInsufficient.PAUSE), FEW, WAITED)
    assert (after.stage, after.paused_by) == (Stage.PAUSED, "too few devices for crash_rate after waiting for 3d")


def test_or_asks_for_an_approval_which_lets_it_go_on() -> None:
    asked = machine.decide(waiting(OnInsufficient.APPROVE), FEW, WAITED)
    assert (asked.stage, asked.awaiting) == (Stage.AWAITING_APPROVAL, "insufficient:internal:0")
    assert machine.decide(asked, FEW, WAITED + DAY) == asked
    approved = machine.approve(asked, "ana", "beta testers are few", WAITED)
    assert machine.decide(approved, FEW_BAD, WAITED).phase == 1


@pytest.mark.parametrize("verdict", [Verdict.NO_DATA, Verdict.STALE, Verdict.ERROR])
def test_such_an_approval_is_none_for_a_source_that_fails(verdict: Verdict) -> None:
    approved = machine.approve(machine.decide(waiting(OnInsufficient.APPROVE), FEW, WAITED), "ana", "few", WAITED)
    after = machine.decide(approved, (result("crash_rate", verdict, holds=True),), WAITED)
    assert (after.phase, after.stage) == (0, Stage.SOAKING)


def test_or_passes_when_no_device_failed() -> None:
    ruled = machine.decide(waiting(OnInsufficient.PASS_IF_ZERO_BAD), FEW, WAITED)
    assert kinds(ruled) == ["rollout.approved"]
    assert ruled.phase == 0, "one step at a time"
    assert machine.decide(ruled, FEW, WAITED).phase == 1


def test_but_not_when_one_has_failed_meanwhile() -> None:
    state = waiting(OnInsufficient.PASS_IF_ZERO_BAD)
    assert machine.decide(state, FEW_BAD, WAITED).stage is Stage.PAUSED
    ruled = machine.decide(state, FEW, WAITED)
    assert machine.decide(ruled, FEW_BAD, WAITED + HOUR).stage is Stage.PAUSED


@pytest.mark.parametrize(
    ("verdict", "grace"), [(Verdict.NO_DATA, 6 * HOUR), (Verdict.STALE, 6 * HOUR), (Verdict.ERROR, 2 * HOUR)]
)
def test_silence_holds_and_after_its_grace_pauses(verdict: Verdict, grace: timedelta) -> None:
    silent = (result("crash_rate", verdict, holds=True),)
    began = machine.decide(entered(), silent, SOAK_OVER)
    assert (began.stage, began.troubles) == (Stage.SOAKING, {"crash_rate": SOAK_OVER})
    held = machine.decide(began, silent, SOAK_OVER + grace)
    assert replace(held, silent=began.silent) == began
    after = machine.decide(began, silent, SOAK_OVER + grace + timedelta(seconds=1))
    assert (after.stage, after.paused_actor) == (Stage.PAUSED, "")
    assert "crash_rate has had no usable answer" in after.paused_by
    assert verdict.value in after.paused_by


def test_silence_of_changing_kinds_is_one_silence() -> None:
    silent = (result("crash_rate", Verdict.NO_DATA, holds=True),)
    broken = (result("crash_rate", Verdict.ERROR, holds=True),)
    state = machine.decide(entered(), silent, SOAK_OVER)
    for hours in range(1, 3):
        state = machine.decide(state, broken if hours % 2 else silent, SOAK_OVER + hours * HOUR)
        assert state.stage is Stage.SOAKING
    assert machine.decide(state, broken, SOAK_OVER + 3 * HOUR).stage is Stage.PAUSED


def test_one_answer_ends_the_count() -> None:
    silent = (result("crash_rate", Verdict.NO_DATA, holds=True),)
    began = machine.decide(entered(), silent, NOW + HOUR)
    spoke = machine.decide(began, (result("crash_rate", Verdict.INCONCLUSIVE, holds=True, is_due=False),), NOW + 2 * HOUR)
    assert spoke.troubles == {}
    assert machine.decide(began, (), NOW + 2 * HOUR).troubles == began.troubles


def test_gates_that_only_alert_are_in_no_trouble() -> None:
    silent = (result("adoption", Verdict.NO_DATA, is_gating=False),)
    assert machine.decide(entered(), silent, NOW + HOUR).troubles == {}


# --- approvals ----------------------------------------------------------------------------------------------------------


def test_a_phase_that_needs_an_approval_is_entered_only_after_it() -> None:
    spec = track(phase("internal"), phase("beta", approve=True))
    state = finished(machine.decide(fresh(spec=spec), (), NOW), NOW)
    asked = machine.decide(state, PASS, SOAK_OVER)
    assert (asked.stage, asked.awaiting, asked.intent) == (Stage.AWAITING_APPROVAL, "phase:beta", None)
    approved = machine.approve(asked, "ana", "looks well", SOAK_OVER)
    assert (approved.stage, approved.intent, approved.awaiting) == (Stage.SOAKING, None, ""), "people never raise exposure"
    assert machine.decide(approved, FAIL_PAUSE, SOAK_OVER).stage is Stage.PAUSED
    assert machine.decide(approved, PASS, SOAK_OVER).phase == 1


def test_so_may_the_very_first_phase() -> None:
    asked = machine.decide(fresh(spec=track(phase("internal", approve=True))), (), NOW)
    assert (asked.stage, asked.awaiting) == (Stage.AWAITING_APPROVAL, "phase:internal")
    approved = machine.approve(asked, "ana", "", NOW)
    assert approved.stage is Stage.PENDING
    assert machine.decide(approved, (), NOW).phase == 0


def test_nothing_to_approve_is_no_change() -> None:
    assert machine.approve(entered(), "ana", "", NOW) == entered()


# --- by hand ------------------------------------------------------------------------------------------------------------


def test_pausing_stops_an_unfinished_step_and_resuming_finishes_it() -> None:
    entering = machine.decide(entered(), PASS, SOAK_OVER)
    paused = machine.pause(entering, "a look", "ana", SOAK_OVER)
    assert ops(paused) == ["pause internal", "pause beta"]
    assert [str(op) for op in paused.unfinished] == ops(entering)
    resumed = machine.resume(finished(paused, NOW), {}, "ana", SOAK_OVER)
    assert ops(resumed) == ["unpause internal", "unpause beta", *ops(entering)]
    done = machine.finish_intent(resumed, SOAK_OVER + HOUR)
    assert (done.stage, done.not_before) == (Stage.SOAKING, SOAK_OVER + HOUR + DAY)


def test_pausing_while_resuming_loses_nothing() -> None:
    entering = machine.decide(entered(), PASS, SOAK_OVER)
    resumed = machine.resume(finished(machine.pause(entering, "a", "ana", NOW), NOW), {}, "ana", NOW)
    again = machine.pause(resumed, "b", "ana", NOW)
    assert [str(op) for op in again.unfinished] == ops(entering)


def test_what_was_seen_before_a_raise_stands_on_the_ramp_that_was_amended_since() -> None:
    raising = machine.decide(at_weight(0), PASS, SOAK_OVER)
    spec = replace(raising.spec, track=track(phase("stable", 50, 100)))
    seen = machine.undone(machine.amend(raising, spec, "", "ana", NOW), SOAK_OVER + DAY)
    assert seen is not None
    assert (seen.step, seen.weight) == (0, Weight(5000))


def test_a_rollout_that_exposed_nobody_yet_is_paused_without_touching_a_channel() -> None:
    paused = machine.pause(fresh(), "wait", "ana", NOW)
    assert (paused.stage, paused.intent) == (Stage.PAUSED, None)
    assert machine.decide(paused, (), NOW) == paused
    resumed = machine.resume(paused, {}, "ana", NOW)
    assert (resumed.stage, resumed.intent, resumed.events[-1].data["reason"]) == (Stage.PENDING, None, "resumed by hand")


def test_superseding_leaves_no_release_behind_that_nobody_watches() -> None:
    after = machine.supersede(entered(), "1.0.1-production", "ana", NOW)
    assert (after.stage, ops(after), after.outcome) == (Stage.SUPERSEDED, ["drop internal"], "superseded by 1.0.1-production")
    paused = finished(machine.pause(entered(), "a", "ana", NOW), NOW)
    assert ops(machine.supersede(paused, "b", "ana", NOW)) == ["drop internal", "unpause internal"]
    assert [str(name) for name in machine.claimed(after)] == ["internal"]
    assert [str(name) for name in machine.claimed(fresh())] == ["internal"]


def test_what_is_done_twice_is_done_once() -> None:
    paused = finished(machine.pause(entered(), "a", "ana", NOW), NOW)
    assert machine.pause(paused, "b", "bob", NOW) is paused
    assert machine.resume(entered(), {}, "ana", NOW) == entered()


@pytest.mark.parametrize("stage", [Stage.COMPLETED, Stage.ROLLED_BACK, Stage.ABORTED, Stage.SUPERSEDED])
def test_terminal_is_terminal(stage: Stage) -> None:
    ended = entered(stage=stage)
    assert ended.is_terminal
    assert machine.pause(ended, "a", "ana", NOW) is ended
    assert machine.resume(ended, {}, "ana", NOW) is ended
    assert machine.approve(ended, "ana", "", NOW) is ended
    assert machine.roll_back(ended, "a", "ana", NOW) is ended
    assert machine.supersede(ended, "b", "ana", NOW) is ended


def test_a_rollback_replaces_an_unfinished_step() -> None:
    entering = machine.decide(entered(), PASS, SOAK_OVER)
    after = machine.roll_back(entering, "a customer called", "ana", SOAK_OVER)
    assert ops(after) == ["withdraw beta", "withdraw internal"]
    assert after.events[-1].data["channels"] == "beta, internal"


def test_ending_before_anybody_was_exposed_changes_no_channel_but_to_block_a_version() -> None:
    for end, effects in ((machine.roll_back, ["withdraw internal"]), (machine.abort, []), (machine.supersede, [])):
        after = end(fresh(), "changed our mind", "ana", NOW)
        assert (after.is_terminal, ops(after)) == (True, effects)


def test_over_means_ended_and_recorded() -> None:
    ended = machine.roll_back(entered(), "bad", "ana", NOW)
    assert not ended.is_over
    assert not machine.finish_intent(ended, NOW).is_over
    assert replace(machine.finish_intent(ended, NOW), events=()).is_over
    assert not entered().is_over


def test_events_are_numbered_so_that_writing_them_twice_is_recognised() -> None:
    state = machine.started(fresh(origin={"commit": "c0ffee"}), NOW)
    state = machine.decide(state, (), NOW)
    assert [event.id for event in state.events] == ["1.0.0-production#1", "1.0.0-production#2"]
    assert state.events[0].data == {
        "rollout": "1.0.0-production",
        "version": "1.0.0",
        "track": "production",
        "spec": str(state.spec.digest),
        "commit": "c0ffee",
    }


def test_before_the_first_phase_there_is_no_weight() -> None:
    state = fresh()
    assert (state.current, state.weight.bps, state.is_last_step) == (None, 0, False)
    assert at_weight(1).weight.bps == 5000


def test_every_intent_is_known() -> None:
    # A new kind of effect needs a place in Effects, in the plan's steps and in this suite.
    assert {kind.value for kind in OpKind} == {
        "claim",
        "release_claim",
        "offer",
        "lower",
        "settle",
        "withdraw",
        "drop",
        "pause",
        "unpause",
    }


def test_results_are_what_gates_give() -> None:
    assert isinstance(PASS[0], GateResult)
