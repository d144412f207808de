"""What numbers mean: one table a rule."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from otagate import _canonical
from otagate.errors import PolicyError
from otagate.gate.evidence import evidence
from otagate.gate.interface import Measurement, SourceError
from otagate.gate.judge import (
    Demand,
    GateResult,
    Look,
    LookKind,
    Reading,
    Verdict,
    combine,
    count_gating,
    is_gating,
    judge,
)
from otagate.policy.model.gates import Action, Escalation, Evaluate, GateSpec, Judgement, Limit

START = datetime(2026, 11, 21, tzinfo=UTC)
NOW = START + timedelta(hours=24)
INTERIM = Look(LookKind.INTERIM, START, NOW)
SOAK_END = Look(LookKind.SOAK_END, START, NOW)
PHASE_END = Look(LookKind.PHASE_END, START, NOW)

CRASH = GateSpec(
    metric="crash_rate",
    max=Decimal("0.02"),
    action=Action.PAUSE,
    min_sample=300,
    escalate=Escalation(Decimal("0.10"), Action.ROLLBACK),
)
PLAIN = replace(CRASH, escalate=None)
SUCCESS = GateSpec(
    metric="device_success_rate",
    min=Decimal("0.85"),
    target=Decimal("0.98"),
    action=Action.ROLLBACK,
    min_sample=30,
)
ERRORS = GateSpec(metric="error_rate", max=Decimal("0.005"), action=Action.ALERT, min_sample=1000)
COMPLETION = GateSpec(metric="rollout_completion", min=Decimal("0.95"), target=Decimal("0.98"), evaluate=Evaluate.PHASE_END)
VERIFY = GateSpec(
    metric="verification_time",
    limits=(
        Limit(timedelta(seconds=45), Decimal("0.05"), Action.ALERT),
        Limit(timedelta(seconds=120), Decimal("0.05"), Action.PAUSE),
    ),
)


def reading(metric: str, bad: Any, total: Any, *, newest: datetime | None = NOW, over: int | None = None) -> Reading:
    measured = Measurement(bad, total, newest, "test", "ab" * 32)
    return Reading(metric, START, NOW, measured, timedelta(seconds=over) if over else None)


def judged(spec: GateSpec, *readings: Reading, look: Look = SOAK_END, gating_metrics: int = 1, **more: Any) -> GateResult:
    judgement = more.pop("judgement", Judgement())
    return judge(spec, readings, look=look, judgement=judgement, gating_metrics=gating_metrics, now=NOW)


def quick(
    spec: GateSpec, bad: Any, total: Any, *, look: Look = SOAK_END, newest: datetime | None = NOW, **more: Any
) -> GateResult:
    return judged(spec, reading(spec.metric, bad, total, newest=newest), look=look, **more)


@pytest.mark.parametrize(
    ("bad", "total", "verdict", "action"),
    [
        (0, 300, "pass", "none"),
        (6, 300, "pass", "none"),  # exactly at the limit
        (7, 300, "fail", "pause"),
        (0, 299, "insufficient", "none"),
        (5, 299, "insufficient", "none"),
        (3, 10, "fail", "pause"),  # beyond doubt long before min_sample (at alpha 0.05)
        (20, 1000, "pass", "none"),
        (21, 1000, "fail", "pause"),
        (0, 0, "no_data", "none"),
        (None, None, "no_data", "none"),
        (None, 0, "no_data", "none"),
        (0, None, "no_data", "none"),
        (None, 400, "pass", "none"),  # the total shows that the source works
    ],
)
def test_planned_look_at_a_largest_share(bad: Any, total: Any, verdict: str, action: str) -> None:
    result = quick(PLAIN, bad, total)
    assert (result.verdict, result.action) == (verdict, action)
    assert result.holds is (verdict != "pass")


@pytest.mark.parametrize(
    ("bad", "total"),
    [
        (-1, 10),
        (11, 10),
        (1, 0),
        (1, None),
        (0, -1),
        (math.nan, 400),
        (math.inf, 400),
        ("0", 400),
        (0, 400.0),
        (True, 400),
        (0, 10**13),
    ],
)
@pytest.mark.parametrize("look", [INTERIM, SOAK_END])
def test_what_cannot_be_true_is_an_error(bad: Any, total: Any, look: Look) -> None:
    result = quick(PLAIN, bad, total, look=look)
    assert (result.verdict, result.action, result.holds) == ("error", "none", True)
    assert result.checks[0].interval is None
    assert result.checks[0].bad is None


@pytest.mark.parametrize(
    ("bad", "total", "verdict", "action"),
    [
        (0, 100_000, "inconclusive", "none"),  # "fine so far" is not a pass
        (21, 1000, "inconclusive", "none"),  # a little beyond the limit is no proof
        (2, 10, "inconclusive", "none"),
        (3, 10, "fail", "pause"),
        (38, 1000, "fail", "pause"),
        (0, 0, "no_data", "none"),
    ],
)
def test_between_looks_only_evidence_acts(bad: Any, total: Any, verdict: str, action: str) -> None:
    result = quick(PLAIN, bad, total, look=INTERIM)
    assert (result.verdict, result.action, result.is_due) == (verdict, action, False)
    assert result.holds


def test_error_budget_is_split_over_metrics() -> None:
    boundary = [
        next(bad for bad in range(101) if quick(PLAIN, bad, 100, look=INTERIM, gating_metrics=m).action.stops) for m in (1, 5)
    ]
    # alpha 0.05 and 0.01: gates.md's boundary for 0.01 at 100 devices is 9.
    assert boundary == [8, 9]


@pytest.mark.parametrize(
    ("bad", "total", "verdict", "action"),
    [
        (0, 30, "pass", "none"),
        (2, 100, "pass", "none"),  # exactly the target
        (3, 100, "warn", "none"),
        (15, 100, "warn", "none"),  # exactly the limit
        (16, 100, "fail", "rollback"),
        (0, 29, "insufficient", "none"),
        (6, 10, "fail", "pause"),  # enough evidence to pause, not to roll back
        (7, 10, "fail", "rollback"),
    ],
)
def test_smallest_good_share_counts_bad_devices(bad: Any, total: Any, verdict: str, action: str) -> None:
    result = quick(SUCCESS, bad, total)
    assert (result.verdict, result.action) == (verdict, action)


def test_planned_look_is_not_softened_by_evidence_that_is_enough_to_pause_only() -> None:
    actions = {bad: quick(SUCCESS, bad, 50).action for bad in (7, 8, 16, 20)}
    assert actions == {7: "none", 8: "rollback", 16: "rollback", 20: "rollback"}
    assert quick(SUCCESS, 16, 50, look=INTERIM).action is Demand.PAUSE


def test_rollback_metrics_pause_first_and_roll_back_on_stronger_evidence() -> None:
    actions = [quick(SUCCESS, bad, 20, look=INTERIM).action for bad in range(21)]
    assert actions == sorted(actions, key=lambda one: one.rank)
    assert (actions[8], actions[9], actions[10]) == ("none", "pause", "rollback")


def test_worse_limit_escalates() -> None:
    paused, rolled_back = quick(CRASH, 5, 20, look=INTERIM), quick(CRASH, 9, 20, look=INTERIM)
    assert (paused.action, rolled_back.action) == ("pause", "rollback")
    assert [check.name for check in paused.checks] == ["limit", "escalate"]
    assert paused.checks[1].verdict == "inconclusive"
    assert (rolled_back.decisive.name, rolled_back.reason) == ("escalate", rolled_back.checks[1].reason)


@pytest.mark.parametrize(("bad", "action"), [(40, "pause"), (41, "rollback")])
def test_worse_limit_decides_at_the_planned_look_too(bad: Any, action: str) -> None:
    assert quick(CRASH, bad, 400).action == action


@pytest.mark.parametrize(
    ("bad", "total", "verdict", "action"), [(0, 1000, "pass", "none"), (6, 1000, "fail", "alert"), (0, 0, "no_data", "none")]
)
def test_alert_gates_neither_stop_nor_hold(bad: Any, total: Any, verdict: str, action: str) -> None:
    result = quick(ERRORS, bad, total)
    assert (result.verdict, result.action, result.holds, result.is_gating) == (verdict, action, False, False)


def test_alert_gates_report_evidence_between_looks() -> None:
    assert quick(ERRORS, 5, 10, look=INTERIM).action is Demand.ALERT


@pytest.mark.parametrize(("bad", "total"), [(300, 300), (0, 0), (-1, 0)])
@pytest.mark.parametrize("look", [INTERIM, SOAK_END])
def test_dry_run_is_shown_and_never_acts(bad: Any, total: Any, look: Look) -> None:
    result = quick(replace(CRASH, dry_run=True), bad, total, look=look)
    assert (result.action, result.holds, result.is_gating, result.is_dry_run) == ("none", False, False, True)
    assert {check.demand for check in result.checks} == {Demand.NONE}
    assert result.verdict == ("fail" if total else "no_data" if bad == 0 else "error")


@pytest.mark.parametrize(
    ("look", "verdict", "holds"),
    [(INTERIM, "inconclusive", True), (SOAK_END, "inconclusive", False), (PHASE_END, "pass", False)],
)
def test_end_of_phase_gate_lets_the_phase_reach_its_next_weight(look: Look, verdict: str, holds: bool) -> None:
    result = quick(COMPLETION, 0, 100, look=look)
    assert (result.verdict, result.holds, result.is_due) == (verdict, holds, look is PHASE_END)


@pytest.mark.parametrize("outcome", [Measurement(0, 0, None, "q"), SourceError("no answer")])
def test_end_of_phase_gate_without_data_still_holds(outcome: Any) -> None:
    assert judged(COMPLETION, Reading("rollout_completion", START, NOW, outcome)).holds


def test_end_of_soak_gate_is_due_at_the_end_of_the_phase() -> None:
    assert quick(PLAIN, 0, 300, look=PHASE_END).verdict is Verdict.PASS


def test_source_error_is_an_error_with_its_story() -> None:
    problem = SourceError("the metric source failed", subject="https://example.test/\x1b[31m", found="HTTP 500")
    result = judged(PLAIN, Reading("crash_rate", START, NOW, problem))
    assert (result.verdict, result.holds) == ("error", True)
    assert result.reason == "the metric source failed: https://example.test/\\x1b[31m: HTTP 500"


@pytest.mark.parametrize("readings", [[], [reading("other_rate", 0, 1000)]])
def test_what_was_not_measured_is_an_error(readings: list[Reading]) -> None:
    result = judged(PLAIN, *readings)
    assert (result.verdict, result.holds, result.checks[0].start) == ("error", True, None)


@pytest.mark.parametrize(("look", "verdict"), [(INTERIM, "inconclusive"), (SOAK_END, "insufficient")])
def test_window_that_is_not_open_yet_is_no_lack_of_data(look: Look, verdict: str) -> None:
    result = judged(PLAIN, Reading("crash_rate", START, START, None), look=look)
    assert (result.verdict, result.holds, result.checks[0].missing) == (verdict, True, 300)


@pytest.mark.parametrize(
    ("newest", "verdict"),
    [
        (NOW, "pass"),
        (None, "pass"),  # the source cannot tell
        (NOW - timedelta(hours=2), "pass"),
        (NOW - timedelta(hours=2, seconds=1), "stale"),
        (START - timedelta(days=9), "stale"),
        (NOW + timedelta(minutes=5), "pass"),
        (NOW + timedelta(minutes=5, seconds=1), "error"),
    ],
)
def test_age_of_the_newest_observation(newest: datetime | None, verdict: str) -> None:
    result = quick(PLAIN, 0, 300, newest=newest)
    assert (result.verdict, result.action) == (verdict, "none")


def test_staleness_is_measured_from_the_end_of_the_window() -> None:
    # A gate whose devices mature for a day can never have an observation of the last two hours.
    late = Reading("crash_rate", START, NOW - timedelta(hours=23), Measurement(0, 300, START + timedelta(minutes=30), "q"))
    assert judged(PLAIN, late, judgement=Judgement(min_coverage=Decimal(0))).verdict is Verdict.PASS


def test_silenced_devices_are_still_evidence() -> None:
    # A release that breaks devices also stops what they send.
    result = quick(CRASH, 30, 40, newest=START + timedelta(hours=1))
    assert (result.verdict, result.action) == ("fail", "rollback")


def test_the_first_instant_of_the_window_belongs_to_it() -> None:
    assert quick(CRASH, 30, 40, newest=START).action is Demand.ROLLBACK


def test_the_largest_count_is_still_a_count() -> None:
    assert quick(PLAIN, 0, 10**12).verdict is Verdict.PASS
    assert quick(PLAIN, 0, 10**12 + 1).verdict is Verdict.ERROR


def test_counts_from_before_the_window_are_evidence_of_nothing() -> None:
    result = quick(CRASH, 30, 40, newest=START - timedelta(seconds=1))
    assert (result.verdict, result.action) == ("stale", "none")


@pytest.mark.parametrize(("hours", "verdict"), [(12, "pass"), (11.99, "insufficient")])
def test_data_must_cover_half_of_the_soak(hours: float, verdict: str) -> None:
    result = quick(PLAIN, 0, 300, newest=START + timedelta(hours=hours), judgement=Judgement(max_staleness=timedelta(days=2)))
    assert result.verdict == verdict


def test_fail_at_the_planned_look_does_not_wait_for_coverage() -> None:
    early = START + timedelta(hours=1)
    result = quick(PLAIN, 7, 300, newest=early, judgement=Judgement(max_staleness=timedelta(days=2)))
    assert result.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("slow", "very_slow", "verdict", "action", "holds"),
    [
        ((0, 100), (0, 100), "pass", "none", False),
        ((6, 100), (0, 100), "fail", "alert", False),
        ((6, 100), (6, 100), "fail", "pause", True),
        ((6, 100), (0, 99), "fail", "alert", True),
        ((0, 0), (0, 100), "no_data", "none", False),
        ((0, 100), (0, 0), "no_data", "none", True),
    ],
)
def test_each_exceedance_limit_has_its_own_action(slow: Any, very_slow: Any, verdict: str, action: str, holds: bool) -> None:
    result = judged(VERIFY, reading("verification_time", *slow, over=45), reading("verification_time", *very_slow, over=120))
    assert (result.verdict, result.action, result.holds) == (verdict, action, holds)
    assert [check.name for check in result.checks] == ["over 45s", "over 2m"]


def test_one_exceedance_reading_does_not_stand_for_another() -> None:
    result = judged(VERIFY, reading("verification_time", 0, 100, over=45))
    assert [check.verdict for check in result.checks] == ["pass", "error"]


def test_several_stopping_limits_of_one_metric_share_its_budget() -> None:
    both = replace(VERIFY, limits=tuple(replace(limit, action=Action.PAUSE) for limit in VERIFY.limits))
    needed = judged(both).checks[0].log_e_pause
    assert needed == pytest.approx(math.log(2 / 0.05))
    assert judged(VERIFY).checks[1].log_e_pause == pytest.approx(math.log(1 / 0.05))


def test_gate_without_threshold_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"no threshold"):
        judged(GateSpec(metric="crash_rate"))


@pytest.mark.parametrize(
    ("limit", "bad", "total", "verdict"),
    [
        # 1/3 of 300 and 0.07 of 100 are where floats go wrong.
        ("0.07", 7, 100, "pass"),
        ("0.07", 8, 100, "fail"),
        ("0.1", 30, 300, "pass"),
        ("0", 0, 100, "pass"),
        ("0", 1, 10_000, "fail"),
        ("1", 100, 100, "pass"),
    ],
)
def test_estimates_are_compared_exactly(limit: str, bad: Any, total: Any, verdict: str) -> None:
    spec = GateSpec(metric="m", max=Decimal(limit), min_sample=1)
    assert quick(spec, bad, total).verdict == verdict


@pytest.mark.parametrize(
    ("good", "bad", "verdict"), [("0.3", 70, "pass"), ("0.3", 71, "fail"), ("0.9", 10, "pass"), ("0.9", 11, "fail")]
)
def test_good_shares_are_compared_exactly(good: str, bad: Any, verdict: str) -> None:
    assert quick(GateSpec(metric="m", min=Decimal(good), min_sample=1), bad, 100).verdict == verdict


def test_evidence_travels_with_the_verdict() -> None:
    check = quick(PLAIN, 3, 200).checks[0]
    assert (check.bad, check.total, check.missing, check.query, check.digest) == (3, 200, 100, "test", "ab" * 32)
    assert check.interval == pytest.approx((0.005114, 0.043166), abs=1e-6)
    assert check.log_e is not None
    assert check.log_e < check.log_e_pause == pytest.approx(math.log(20))
    assert check.log_e_rollback is None
    assert (check.start, check.end, check.newest_at) == (START, NOW, NOW)
    assert check.reason == "3 of 200 devices bad (1.5%): 100 more devices are needed to judge it"


def test_gating_gates_are_counted() -> None:
    gates = [CRASH, SUCCESS, ERRORS, VERIFY, replace(COMPLETION, dry_run=True)]
    assert [is_gating(gate) for gate in gates] == [True, True, False, True, False]
    assert count_gating(gates) == 3
    assert count_gating([ERRORS]) == count_gating([]) == 1


@pytest.mark.parametrize(("bad", "zero"), [(0, True), (1, False), (None, False)])
def test_zero_bad_needs_devices(bad: Any, zero: bool) -> None:
    total = 10 if bad is not None else None
    assert quick(PLAIN, bad, total).has_zero_bad is zero


@pytest.mark.parametrize(("alerts", "pauses", "zero"), [(1, 0, True), (1, 1, False), (0, 0, True)])
def test_what_only_alerts_is_no_bad_device_of_a_limit_that_acts(alerts: int, pauses: int, zero: bool) -> None:
    """One slow download of 20 would hold a rollout for a limit that is said to hold none."""
    result = judged(
        VERIFY, reading("verification_time", alerts, 20, over=45), reading("verification_time", pauses, 20, over=120)
    )
    assert (result.holds, result.has_zero_bad) == (True, zero)


GOOD = quick(PLAIN, 0, 300)
PAUSED = quick(PLAIN, 300, 300)
ROLLED_BACK = quick(SUCCESS, 30, 30)
NO_DATA = quick(COMPLETION, 0, 0)
ALERTED = quick(ERRORS, 1000, 1000)
WARNED = quick(SUCCESS, 3, 100)


@pytest.mark.parametrize(
    ("results", "action", "all_pass", "failed", "holding"),
    [
        ([GOOD, WARNED], "none", True, (), ()),
        ([GOOD, ALERTED], "alert", True, (), ()),
        ([ALERTED], "alert", True, (), ()),
        ([GOOD, NO_DATA], "none", False, (), ("rollout_completion",)),
        ([NO_DATA, PAUSED], "pause", False, ("crash_rate",), ("rollout_completion",)),
        ([PAUSED, ROLLED_BACK, GOOD], "rollback", False, ("device_success_rate", "crash_rate"), ()),
        ([], "none", False, (), ()),
    ],
)
def test_all_gates_together(
    results: list[GateResult], action: str, all_pass: bool, failed: tuple[str, ...], holding: tuple[str, ...]
) -> None:
    summary = combine(results)
    assert (summary.action, summary.all_pass, summary.failed, summary.holding) == (action, all_pass, failed, holding)
    assert summary.holds is bool(failed or holding)


def test_summary_names_warnings_and_alerts() -> None:
    summary = combine([GOOD, WARNED, ALERTED])
    assert (summary.warnings, summary.alerts) == (("device_success_rate",), ("error_rate",))


def test_evidence_is_canonical_json() -> None:
    told = evidence(quick(CRASH, 9, 20, look=INTERIM))
    assert _canonical.loads(_canonical.dumps(told)) == told
    assert told["verdict"] == "fail"
    checks = told["checks"]
    assert isinstance(checks, list)
    assert checks[1]["threshold"] == "0.10"
    assert checks[1]["estimate"] == "0.450000"
    assert checks[1]["interval"] == ["0.258198", "0.657915"]
    assert checks[0]["log_e_rollback"] is None
    assert checks[0]["window"] == {"start": "2026-11-21T00:00:00.000000Z", "end": "2026-11-22T00:00:00.000000Z"}


def test_evidence_of_nothing_is_canonical_json() -> None:
    told = evidence(judged(SUCCESS))
    assert _canonical.loads(_canonical.dumps(told)) == told
    checks = told["checks"]
    assert isinstance(checks, list)
    assert (checks[0]["bad"], checks[0]["estimate"], checks[0]["interval"], checks[0]["newest_at"]) == (None, None, None, None)


@pytest.mark.parametrize("total", [1, 5, 50, 400])
@pytest.mark.parametrize("spec", [CRASH, SUCCESS, COMPLETION, ERRORS])
def test_more_bad_devices_never_lead_to_a_milder_verdict(spec: GateSpec, total: Any) -> None:
    for look in (INTERIM, PHASE_END):
        results = [quick(spec, bad, total, look=look) for bad in range(total + 1)]
        ranks = [result.action.rank for result in results]
        assert ranks == sorted(ranks)
        severities = [result.verdict.severity for result in results]
        assert severities == sorted(severities)
