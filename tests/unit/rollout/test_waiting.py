"""What a rollout waits for, how long, and what it says meanwhile: no wait is for ever, and none is taken for health."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from otagate.cli.render.views import next_hint
from otagate.flow import actions
from otagate.gate.crossing import stop_chances
from otagate.gate.interface import ContrastRow, Measurement, SourceError
from otagate.gate.judge import Demand, Look, LookKind, Reading, Verdict, judge
from otagate.gate.stats import log_e_up
from otagate.model import Weight
from otagate.policy.model.gates import Action, Escalation, GateSpec, Judgement, Limit, Split
from otagate.policy.model.tracks import OnInsufficient
from otagate.policy.model.windows import Freeze, WindowsSpec
from otagate.rollout import machine
from otagate.rollout.effects import Effects
from otagate.rollout.reconciler import Outcome
from otagate.rollout.state import Note, Stage
from support.rollouts import FAIL_ROLLBACK, finished, fresh
from support.world import BAD, DAY, GOOD, HOUR, NOW, World, phase, shown, track

RAMP = track(phase("stable", 5, 100))
ID = "1.0.0-production"
ERRORS = GateSpec(
    "error_rate",
    max=Decimal("0.005"),
    action=Action.ALERT,
    min_sample=1000,
    escalate=Escalation(Decimal("0.05"), Action.PAUSE),
)
SOON, LATE = timedelta(seconds=45), timedelta(seconds=120)
SLOW = GateSpec(
    "verification_time", limits=(Limit(SOON, Decimal("0.05"), Action.ALERT), Limit(LATE, Decimal("0.05"), Action.PAUSE))
)


def look_until(world: World, happens: Callable[[Outcome], bool], *, every: timedelta = 12 * HOUR) -> Outcome:
    """Reconcile again and again until something is so."""
    for _ in range(200):
        world.clock.pass_(every)
        outcome = world.reconcile()
        if happens(outcome):
            return outcome
    raise TimeoutError(every)


# --- a limit that only alerts, beside one that acts ----------------------------------------------------------------------


def test_an_alert_beyond_doubt_does_not_make_the_limit_beside_it_wait_for_ever(tmp_path: Path) -> None:
    """3 % of 300 devices: far above what alerts, below what pauses, and too few for either planned look."""
    world = World(tmp_path, spec=RAMP, gates=[ERRORS])
    world.devices.says = {"error_rate": (9, 300)}
    world.run()
    outcome = look_until(world, lambda one: one.state.stage is Stage.PAUSED)
    assert "too few devices for error_rate" in outcome.state.paused_by
    assert world.clock.now() - NOW == 4 * DAY, "a soak, and max_wait"
    assert world.kinds().count("gate.failed") == 1, "the alert, once"


def test_too_few_devices_beside_an_alert_can_be_approved(tmp_path: Path) -> None:
    asks = track(phase("stable", 5, 100, on_insufficient=OnInsufficient.APPROVE))
    world = World(tmp_path, spec=asks, gates=[ERRORS])
    world.devices.says = {"error_rate": (9, 300)}
    world.run()
    waits = world.reconcile()
    assert waits.results[0].reason.startswith("9 of 300 devices bad (3%): beyond doubt")
    world.clock.pass_(DAY)
    assert "700 more devices are needed" in world.reconcile().waiting_for, "what is waited for, not what was alerted"
    look_until(world, lambda one: one.state.stage is Stage.AWAITING_APPROVAL)
    world.process().reconciler.command(ID, lambda state, now: machine.approve(state, "ana", "small fleet", now))
    assert world.reconcile().state.step == 1


def test_a_limit_without_an_answer_beside_an_alert_runs_out_of_its_grace() -> None:
    """The source tells of one duration and fails for the other."""
    state = finished(machine.decide(fresh(spec=RAMP, gates=(SLOW,)), (), NOW), NOW)

    def decided(now: datetime) -> Stage:
        readings = [
            Reading("verification_time", NOW, now, Measurement(300, 400, now, "test"), SOON),
            Reading("verification_time", NOW, now, SourceError("no such column"), LATE),
        ]
        look = Look(LookKind.INTERIM, NOW, NOW + DAY)
        said = judge(SLOW, readings, look=look, judgement=Judgement(), gating_metrics=1, now=now)
        assert (said.verdict, said.holding.verdict) == (Verdict.FAIL, Verdict.ERROR)
        nonlocal state
        state = machine.decide(state, [said], now)
        return state.stage

    assert decided(NOW + HOUR) is Stage.SOAKING
    assert decided(NOW + 4 * HOUR) is Stage.PAUSED
    assert "now error" in state.paused_by


# --- the planned look is taken once --------------------------------------------------------------------------------------

CRASHES = GateSpec("crash_rate", max=Decimal("0.02"), min_sample=300)
INSTALLS = GateSpec("success", min=Decimal("0.85"), action=Action.ROLLBACK, min_sample=30)
WINTER = WindowsSpec("UTC", freezes=(Freeze("2026-11-22", "2026-12-05", "sale"),))


def test_while_another_gate_waits_one_that_passed_is_not_tried_again_and_again(tmp_path: Path) -> None:
    """40 devices at the end of the soak: enough for one gate, which rolls back, and too few for the other."""
    world = World(tmp_path, spec=RAMP, gates=[CRASHES, INSTALLS])
    world.devices.says = {"crash_rate": (0, 40), "success": (4, 40)}
    world.run()
    world.clock.pass_(DAY)
    assert [one.verdict for one in world.reconcile().results] == ["insufficient", "pass"]
    world.devices.says = {"crash_rate": (0, 50), "success": (8, 50)}
    world.clock.pass_(HOUR)
    above = world.reconcile()
    assert above.state.stage is Stage.SOAKING, "16 % of 50 is what luck does to a good release at some look"
    assert "within it when its look was due" in above.waiting_for
    world.devices.says = {"crash_rate": (0, 300), "success": (30, 300)}
    world.clock.pass_(HOUR)
    assert world.reconcile().state.step == 1


def test_what_passed_when_it_was_due_still_fails_beyond_doubt(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP, gates=[CRASHES, INSTALLS])
    world.devices.says = {"crash_rate": (0, 40), "success": (4, 40)}
    world.run()
    world.clock.pass_(DAY)
    world.reconcile()
    world.devices.says = {"crash_rate": (0, 100), "success": (40, 100)}
    world.clock.pass_(HOUR)
    assert world.reconcile().state.stage is Stage.ROLLED_BACK


def test_what_is_above_its_limit_again_goes_no_further_and_pauses_in_the_end(tmp_path: Path) -> None:
    """Passing once is no free pass: it waits until it is within its limit again, and not for ever."""
    world = World(tmp_path, spec=RAMP, gates=[CRASHES, INSTALLS])
    world.devices.says = {"crash_rate": (0, 40), "success": (4, 40)}
    world.run()
    world.clock.pass_(DAY)
    world.reconcile()
    world.devices.says = {"crash_rate": (0, 400), "success": (62, 400)}
    outcome = look_until(world, lambda one: one.state.stage is not Stage.SOAKING)
    assert (outcome.state.stage, outcome.state.step) == (Stage.PAUSED, 0)
    assert world.clock.now() - NOW == 4 * DAY
    assert list(outcome.state.latched) == ["success"], "a failure, that a person must lift knowingly"
    assert outcome.state.paused_by.startswith("success: 62 of 400 devices bad (15.5%): more than the 15%")
    assert "gate.failed" in world.kinds()


def test_an_approval_of_too_few_devices_is_none_of_another_gate_that_is_above_its_limit_again(tmp_path: Path) -> None:
    """Crashes have too few devices for the planned look, and that was approved; installs passed theirs, and fail since."""
    patient = track(phase("stable", 5, 100, on_insufficient=OnInsufficient.APPROVE, max_wait=HOUR))
    world = World(tmp_path, spec=patient, gates=[CRASHES, INSTALLS])
    world.devices.says = {"crash_rate": (0, 40), "success": (4, 40)}
    world.run()
    world.clock.pass_(DAY + 2 * HOUR)
    assert world.reconcile().state.awaiting == "insufficient:stable:0"
    actions.approve(world.process(), None, None, "a small fleet").carry_out()
    world.devices.says = {"crash_rate": (0, 50), "success": (8, 50)}
    state = world.reconcile().state
    assert (state.stage, state.step, [*state.latched]) == (Stage.PAUSED, 0, ["success"])


def test_a_limit_with_too_few_devices_does_not_hide_another_that_is_above_its_again() -> None:
    """Both limits of a gate wait; the second has passed when its look was due."""
    slow = replace(SLOW, limits=(Limit(SOON, Decimal("0.05"), Action.PAUSE), Limit(LATE, Decimal("0.05"), Action.PAUSE)))
    patient = track(phase("stable", 5, 100, on_insufficient=OnInsufficient.APPROVE, max_wait=HOUR))
    state = finished(machine.decide(fresh(spec=patient, gates=(slow,)), (), NOW), NOW)
    state = replace(state, passed=("verification_time over 2m",))
    now = NOW + DAY + 2 * HOUR
    counts = {SOON: Measurement(0, 40, now, "test"), LATE: Measurement(8, 120, now, "test")}
    readings = [Reading("verification_time", NOW, now, counts[over], over) for over in counts]
    look = machine.look_of(state, now)
    assert look is not None
    said = judge(slow, readings, look=look, judgement=Judgement(), gating_metrics=1, now=now)
    assert [check.verdict for check in said.checks] == [Verdict.INSUFFICIENT] * 2
    paused = machine.decide(state, [said], now)
    assert (paused.stage, [*paused.latched]) == (Stage.PAUSED, ["verification_time"])
    assert paused.latched["verification_time"].reason.startswith("8 of 120 devices bad")


def test_what_passed_and_has_a_few_devices_less_now_has_too_few_and_has_not_failed(tmp_path: Path) -> None:
    """Late revisions move totals. Without a bad device there is nothing that a person would have to waive."""
    world = World(tmp_path, spec=track(phase("stable", 5, 100, on_insufficient=OnInsufficient.PASS_IF_ZERO_BAD)))
    world.devices.says = {"crash_rate": (0, 310), "success": (0, 20)}
    world.run()
    world.clock.pass_(DAY)
    assert world.reconcile().waiting_for.startswith("success: 0 of 20")
    world.devices.says = {"crash_rate": (0, 290), "success": (0, 31)}
    outcome = look_until(world, lambda outcome: outcome.changed)
    assert (outcome.state.latched, [*outcome.state.approvals]) == ({}, ["insufficient:stable:0"])


def test_too_few_devices_of_which_one_failed_are_let_through_by_who_waives_the_gates(tmp_path: Path) -> None:
    spec = track(phase("beta", on_insufficient=OnInsufficient.PASS_IF_ZERO_BAD, max_wait=HOUR), phase("stable"))
    world = World(tmp_path, spec=spec)
    world.devices.says = {"crash_rate": (1, 20), "success": (0, 20)}
    world.run()
    world.clock.pass_(DAY + HOUR)
    paused = world.reconcile().state
    assert (paused.stage, paused.latched) == (Stage.PAUSED, {})
    said = next_hint(paused)
    actions.resume(world.process(), None, {}, "").carry_out()
    assert world.reconcile().state.stage is Stage.PAUSED, "there are not more of them now"
    assert "otagate resume --channel beta --override METRIC --reason '…'" in said
    actions.resume(world.process(), None, dict.fromkeys(("crash_rate", "success"), "a tester's own phone"), "").carry_out()
    assert world.reconcile().state.current == spec.phases[1]


def test_weeks_of_looks_in_a_freeze_are_no_weeks_of_planned_looks(tmp_path: Path) -> None:
    """The soak ends in a freeze. What the devices say when it is over decides, not the worst moment meanwhile."""
    world = World(tmp_path, spec=RAMP, gates=[INSTALLS], windows=WINTER)
    world.devices.says = {"success": (4, 40)}
    world.run()
    world.clock.pass_(DAY)
    assert world.reconcile().results[0].verdict is Verdict.PASS
    world.devices.says = {"success": (8, 50)}
    world.clock.pass_(5 * DAY)
    assert world.reconcile().state.stage is Stage.SOAKING, "it may go no further anyway"
    world.devices.says = {"success": (60, 600)}
    world.clock.pass_(9 * DAY)
    assert world.reconcile().state.step == 1


def test_each_weight_and_each_amendment_has_a_planned_look_of_its_own(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP, gates=[INSTALLS])
    world.devices.says = {"success": (4, 40)}
    world.run()
    world.clock.pass_(DAY)
    assert world.reconcile().state.step == 1
    world.devices.says = {"success": (80, 500)}
    world.clock.pass_(DAY)
    assert world.reconcile().state.stage is Stage.ROLLED_BACK

    state = replace(fresh(gates=(INSTALLS,)), passed=("success limit",))
    stricter = replace(state.spec, gates=(replace(INSTALLS, min=Decimal("0.9")),))
    assert machine.amend(state, stricter, "stricter", "ana", NOW).passed == ()


def test_rolling_back_by_bad_luck_stays_as_rare_as_one_look_makes_it() -> None:
    """The default gates with two devices an hour, looked at every half hour until the other gate has its 300 devices.

    10 % of the installs fail, where 15 % may. One look at 48 devices stops 10 % of such releases; 145 looks would stop 23 %.
    """
    looks = [48 + at for at in range(145)]
    again = judge(
        INSTALLS,
        [Reading("success", NOW, NOW + DAY, Measurement(12, 60, NOW + DAY, "test"))],
        look=Look(LookKind.SOAK_END, NOW, NOW + DAY, passed=frozenset({"success limit"})),
        judgement=Judgement(),
        gating_metrics=2,
        now=NOW + DAY,
    )
    assert (again.verdict, again.action, again.holds) == (Verdict.INSUFFICIENT, Demand.NONE, True)
    planned = [int(0.15 * devices) + 1 for devices in looks]
    beyond = [next(bad for bad in range(devices) if log_e_up(bad, devices, 0.15) >= math.log(2 / 0.01)) for devices in looks]
    ours = sum(stop_chances(looks, [planned[0], *beyond[1:]], 0.1))
    assert ours < 0.105
    assert sum(stop_chances(looks, planned, 0.1)) > 0.2


# --- silence is no health ------------------------------------------------------------------------------------------------


def test_numbers_at_the_last_moment_do_not_cover_a_soak(tmp_path: Path) -> None:
    """Three and a half hours of nothing, then two thousand healthy devices: that is no soak of four hours."""
    world = World(tmp_path, spec=track(phase("stable", 5, 100, soak=4 * HOUR)))
    world.devices.says = {"crash_rate": None, "success": None}
    world.run()
    for _ in range(7):
        world.clock.pass_(HOUR / 2)
        world.reconcile()
    world.devices.says, world.devices.newest_age = dict(GOOD), timedelta(minutes=1)
    world.clock.pass_(HOUR / 2)
    short = world.reconcile()
    assert [one.verdict for one in short.results] == ["insufficient", "insufficient"]
    assert "the data covers less than 50% of the soak" in short.waiting_for
    outcome = look_until(world, lambda one: one.state.step == 1, every=HOUR / 2)
    assert world.clock.now() - NOW == 5.5 * HOUR, "half of the soak with data"
    assert (outcome.state.silent, outcome.state.passed) == ({}, ())


@pytest.mark.parametrize(("hours", "goes_on"), [(11, True), (13, False)])
def test_silences_before_a_resume_count_too(tmp_path: Path, hours: int, goes_on: bool) -> None:
    """Paused for want of data, and resumed by a person as soon as it is there."""
    world = World(tmp_path, spec=RAMP)
    world.run()
    world.devices.says = {"crash_rate": None, "success": None}
    for _ in range(hours):
        world.clock.pass_(HOUR)
        world.reconcile()
    assert world.state().stage is Stage.PAUSED
    world.devices.says = dict(GOOD)
    world.process().reconciler.command(ID, lambda state, now: machine.resume(state, {}, "ana", now))
    world.clock.pass_(DAY - hours * HOUR)
    assert (world.reconcile().state.step == 1) is goes_on


def test_a_source_that_failed_for_long_and_then_tells_all_covers_the_soak(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    world.run()
    world.devices.says = {"crash_rate": "down", "success": "down"}
    for _ in range(15):
        world.clock.pass_(HOUR)
        world.reconcile()
    world.devices.says = dict(GOOD)
    world.process().reconciler.command(ID, lambda state, now: machine.resume(state, {}, "ana", now))
    world.clock.pass_(9 * HOUR)
    assert world.reconcile().state.step == 1


def test_devices_that_were_late_and_have_all_come_right_are_believed(tmp_path: Path) -> None:
    """A gate on good devices, such as ``rollout_completion``: who is not there yet counts as bad, until it is."""
    world = World(tmp_path, spec=RAMP, gates=[INSTALLS])
    world.devices.says = {"success": (12, 200)}
    world.run()
    world.clock.pass_(HOUR)
    world.reconcile()
    world.devices.says = {"success": (0, 200)}
    world.clock.pass_(DAY)
    assert world.reconcile().state.step == 1


@pytest.mark.parametrize(
    ("before", "after", "believed"),
    [
        ((30, 2000), (None, 2100), False),  # the series of what is bad is gone, that of all devices is not
        ((1, 2000), (None, 2100), False),
        ((30, 2000), (0, 2100), False),
        ((10, 2000), (0, 2100), True),  # so few may have been revised
        ((30, 2000), (12, 2100), True),
        ((0, 2000), (None, 2100), True),
    ],
)
def test_failures_do_not_vanish_from_a_window(
    tmp_path: Path, before: tuple[int, int], after: tuple[int | None, int], believed: bool
) -> None:
    world = World(tmp_path, spec=RAMP)
    world.devices.says = {"crash_rate": before, "success": (0, 2000)}
    world.run()
    world.clock.pass_(HOUR)
    world.reconcile()
    world.devices.says = {"crash_rate": after, "success": (0, 2100)}
    world.clock.pass_(DAY)
    outcome = world.reconcile()
    assert (outcome.state.step == 1) is believed
    assert believed or "went backwards" in outcome.waiting_for


# --- what a person lifted ------------------------------------------------------------------------------------------------


def waive(world: World, metric: str) -> None:
    world.process().reconciler.command(ID, lambda state, now: machine.resume(state, {metric: "known"}, "ana", now))


def test_a_waiver_for_a_few_testers_is_none_for_everybody(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("beta"), phase("stable", 5, 100)))
    world.devices.says = {"crash_rate": (30, 400), "success": (0, 400)}
    world.run()
    world.clock.pass_(HOUR)
    assert world.reconcile().state.stage is Stage.PAUSED
    waive(world, "crash_rate")
    world.clock.pass_(DAY)
    left = world.reconcile()
    assert (left.state.phase, left.waived) == (1, frozenset({"crash_rate"})), "it was accepted for this phase"
    world.clock.pass_(HOUR)
    again = world.reconcile()
    assert (again.state.stage, list(again.state.latched), again.waived) == (Stage.PAUSED, ["crash_rate"], frozenset())
    waive(world, "crash_rate")
    for _ in range(2):
        world.clock.pass_(DAY)
        world.reconcile()
    assert world.state().stage is Stage.COMPLETED, "asked once a phase, not once a weight"


def test_a_waived_limit_does_not_roll_back_when_its_look_is_due(tmp_path: Path) -> None:
    """Gates that roll back pause first. Who lifts that pause knowingly has lifted the limit, not a part of its evidence."""
    world = World(tmp_path, spec=RAMP, gates=[INSTALLS])
    world.devices.says = {"success": (19, 60)}
    world.run()
    world.clock.pass_(HOUR)
    assert world.reconcile().state.stage is Stage.PAUSED
    waive(world, "success")
    world.clock.pass_(HOUR)
    assert world.reconcile().waiting_for.startswith("the soak")
    world.clock.pass_(DAY)
    assert (world.reconcile().state.step, world.state().latched) == (1, {})


ONLY = (
    (GateSpec("split", split=Split.AT_MOST, action=Action.ROLLBACK, min_sample=10), (15, 100), (80, 200)),
    (GateSpec("slow", limits=(Limit(LATE, Decimal("0.05"), Action.ROLLBACK),)), (8, 40), (30, 60)),
    (GateSpec("worse", max_increase=Decimal("0.5"), action=Action.ROLLBACK), (28, 300), (60, 300)),
)


@pytest.mark.parametrize(("gate", "before", "after"), ONLY, ids=[gate.metric for gate, _, _ in ONLY])
def test_the_only_limit_of_a_gate_is_lifted_as_a_whole(gate: GateSpec, before: tuple[int, int], after: tuple[int, int]) -> None:
    """Paused on half of the evidence that rolls back, and resumed knowingly: the other half is lifted, too."""
    state = finished(machine.decide(fresh(spec=RAMP, gates=(gate,)), (), NOW), NOW)
    state = replace(state, control="0.9.0")

    def looked(counts: tuple[int, int], now: datetime) -> tuple[Stage, Demand]:
        over = gate.limits[0].over if gate.limits else None
        rows = (ContrastRow(NOW, "ios", *counts, 5, 300),) if gate.max_increase else ()
        reading = Reading(gate.metric, NOW, now, Measurement(*counts, now, "test", rows=rows), over)
        look = machine.look_of(state, now)
        assert look is not None
        said = judge(gate, [reading], look=look, judgement=Judgement(), gating_metrics=1, now=now)
        return machine.decide(state, [said], now).stage, said.action

    assert looked(before, NOW + HOUR) == (Stage.PAUSED, Demand.PAUSE)
    state = replace(state, overrides={gate.metric: Note(NOW + HOUR, "known", "ana")})
    assert looked(after, NOW + 2 * HOUR) == (Stage.SOAKING, Demand.ROLLBACK)


@pytest.mark.parametrize("worse", ["escalate", "over 120s"])
def test_a_worse_limit_still_rolls_back_what_is_waived(worse: str) -> None:
    check = FAIL_ROLLBACK[0].checks[0]
    said = replace(FAIL_ROLLBACK[0], checks=(replace(check, demand=Demand.NONE), replace(check, name=worse)))
    waived = finished(machine.decide(fresh(), (), NOW), NOW)
    waived = replace(waived, overrides={"crash_rate": Note(NOW + HOUR, "known", "ana")})
    assert machine.decide(waived, [said], NOW + 2 * HOUR).stage is Stage.ROLLED_BACK
    assert machine.decide(waived, FAIL_ROLLBACK, NOW + 2 * HOUR).stage is Stage.SOAKING


def killed(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Run something and kill it before its first effect."""
    with monkeypatch.context() as patched:
        patched.setattr(Effects, "carry_out", lambda *_args: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            action()


# --- what was decided just before a freeze -------------------------------------------------------------------------------


def test_a_raise_that_was_decided_minutes_before_a_freeze_is_not_done_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between deciding and doing; the next reconcile comes soon, and a quarter of an hour into the freeze."""
    freeze = WindowsSpec("UTC", freezes=(Freeze("2026-11-22T09:35", "2026-11-30", "sale"),))
    world = World(tmp_path, spec=RAMP, windows=freeze)
    world.run()
    world.clock.pass_(DAY)
    killed(monkeypatch, world.reconcile)
    world.clock.pass_(timedelta(minutes=20))
    held = world.reconcile()
    channel = world.channel("stable")
    assert channel is not None
    assert channel.candidate is not None
    assert (channel.candidate.weight, held.waiting_for) == (Weight(500), "frozen: sale")
    world.clock.pass_(9 * DAY)
    assert world.reconcile().state.weight == Weight(10_000)


def test_the_next_phase_is_not_entered_in_a_freeze_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    freeze = WindowsSpec("UTC", freezes=(Freeze("2026-11-22T09:35", "2026-11-30", "sale"),))
    world = World(tmp_path, spec=track(phase("beta", 50, 100, soak=12 * HOUR), phase("stable")), windows=freeze)
    world.run()
    world.clock.pass_(12 * HOUR)
    world.reconcile()
    world.clock.pass_(12 * HOUR)
    killed(monkeypatch, world.reconcile)
    world.clock.pass_(timedelta(minutes=20))
    assert (world.reconcile().waiting_for, world.channel("stable")) == ("frozen: sale", None)
    world.devices.says = dict(BAD)
    world.clock.pass_(DAY)
    assert world.reconcile().state.stage is Stage.ROLLED_BACK, "it is watched meanwhile, on the channel where it is"
    assert world.channel("stable") is None or shown(world.channel("stable"))["candidate"] is None  # type: ignore[index]


def test_a_resume_that_was_killed_raises_nothing_days_later_without_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A raise was killed, the rollout paused and resumed, and that killed too; the devices have gone bad meanwhile."""
    world = World(tmp_path, spec=RAMP)
    world.run()
    world.clock.pass_(DAY)
    killed(monkeypatch, world.reconcile)
    reconciler = world.process().reconciler
    reconciler.command(ID, lambda state, now: machine.pause(state, "by hand", "ana", now))
    killed(monkeypatch, lambda: reconciler.command(ID, lambda state, now: machine.resume(state, {}, "ana", now)))
    world.devices.says = dict(BAD)
    world.clock.pass_(3 * DAY)
    assert world.reconcile().state.stage is Stage.ROLLED_BACK
    pointers = [
        json.loads(base64.b64decode(json.loads(body)["payload"])) for name, body in world.store.writes if "/channels/" in name
    ]
    assert {pointer["candidate"]["weight"] for pointer in pointers if pointer.get("candidate")} == {500}
