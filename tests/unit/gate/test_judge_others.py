"""Contrasts, splits, plain numbers, proofs, and looks at an age."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from otagate import _canonical
from otagate.gate.evidence import evidence
from otagate.gate.interface import ContrastRow, Measurement, SourceError
from otagate.gate.judge import CheckKind, Demand, GateResult, Look, LookKind, Reading, Streak, Verdict, count_gating, judge
from otagate.policy.model.gates import Action, Escalation, Evaluate, GateSpec, Judgement, Split, ValueLimit

START = datetime(2026, 11, 21, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = START + 24 * HOUR
INTERIM = Look(LookKind.INTERIM, START, NOW)
PHASE_END = Look(LookKind.PHASE_END, START, NOW)
CONTRAST = GateSpec("worse", max_increase=Decimal("0.5"), min_sample=100)
SPLIT = GateSpec("split", split=Split.AT_MOST, min_sample=100)
VALUE = GateSpec("latency", value=ValueLimit(max=Decimal(250)), consecutive=3)
PROVE = GateSpec("crash_rate", max=Decimal("0.02"), prove=True, min_sample=1)
AGED = GateSpec("adoption", max=Decimal("0.5"), evaluate=Evaluate.AT_AGE, at_age=24 * HOUR, min_sample=10)


def judged(
    spec: GateSpec, outcome: Any, look: Look = PHASE_END, *, now: datetime = NOW, streak: Streak | None = None
) -> GateResult:
    reading = Reading(spec.metric, START, NOW, outcome)
    return judge(spec, [reading], look=look, judgement=Judgement(), gating_metrics=1, now=now, streak=streak)


# --- contrasts -----------------------------------------------------------------------------------------------------------


def rows(*four: tuple[int, int, int, int]) -> Measurement:
    made = tuple(ContrastRow(START + at * HOUR, "ios 8.51.4", *counts) for at, counts in enumerate(four))
    return Measurement(sum(row.bad for row in made), sum(row.total for row in made), NOW, "test", rows=made)


@pytest.mark.parametrize(
    ("look", "measured", "verdict", "demand"),
    [
        (PHASE_END, rows((2, 200, 20, 2000)), Verdict.PASS, Demand.NONE),
        (INTERIM, rows((2, 200, 20, 2000)), Verdict.INCONCLUSIVE, Demand.NONE),
        (INTERIM, rows((30, 200, 20, 2000)), Verdict.FAIL, Demand.PAUSE),
        (PHASE_END, rows((30, 200, 20, 2000)), Verdict.FAIL, Demand.PAUSE),
        # Twice the control, by three devices: no evidence of anything.
        (PHASE_END, rows((4, 200, 2, 200)), Verdict.PASS, Demand.NONE),
        (PHASE_END, rows((0, 200, 0, 50)), Verdict.INSUFFICIENT, Demand.NONE),
        (PHASE_END, rows((0, 50, 0, 2000)), Verdict.INSUFFICIENT, Demand.NONE),
        (PHASE_END, rows(), Verdict.NO_DATA, Demand.NONE),
        (PHASE_END, rows((1, 200, 9, 8)), Verdict.ERROR, Demand.NONE),
        (PHASE_END, SourceError("away", "x"), Verdict.ERROR, Demand.NONE),
        (PHASE_END, replace(rows((2, 200, 20, 2000)), newest_at=NOW - 3 * HOUR), Verdict.STALE, Demand.NONE),
    ],
)
def test_a_contrast_acts_on_evidence_only(look: Look, measured: Any, verdict: Verdict, demand: Demand) -> None:
    result = judged(CONTRAST, measured, look)
    assert (result.verdict, result.action) == (verdict, demand)


def test_devices_with_nobody_beside_them_are_compared_with_nothing() -> None:
    few = replace(rows((0, 50, 0, 2000)), bad=3, total=5000)
    found = judged(CONTRAST, few, PHASE_END)
    assert found.verdict is Verdict.INSUFFICIENT
    assert "50 of them side by side" in found.reason
    assert found.checks[0].missing == CONTRAST.min_sample - 50


def test_a_contrast_says_how_many_control_devices_it_lacks() -> None:
    found = judged(CONTRAST, rows((0, 200, 0, 30)), PHASE_END)
    assert (found.verdict, found.checks[0].missing) == (Verdict.INSUFFICIENT, CONTRAST.min_sample - 30)


def test_a_proof_says_how_far_it_has_come() -> None:
    found = judged(PROVE, Measurement(1, 150, NOW, "test"), PHASE_END)
    below = found.checks[0].log_e_below
    assert below is not None
    assert f"not yet proven to be below 2% ({math.exp(below):.3g} to 1, of 20 to 1)" in found.reason


def test_a_mix_shift_is_no_regression() -> None:
    # iOS crashes ten times as often as Android, whatever the release; the candidate has mostly iOS, the control mostly Android.
    ios, android = ContrastRow(START, "ios 8", 90, 900, 10, 100), ContrastRow(START, "android 8", 1, 100, 9, 900)
    together = ContrastRow(START, "all", 91, 1000, 19, 1000)
    apart = judged(CONTRAST, Measurement(91, 1000, NOW, "test", rows=(ios, android)), INTERIM)
    mixed = judged(CONTRAST, Measurement(91, 1000, NOW, "test", rows=(together,)), INTERIM)
    assert (apart.verdict, mixed.verdict) == (Verdict.INCONCLUSIVE, Verdict.FAIL)
    assert apart.checks[0].control == (19, 1000)


def test_without_a_control_a_contrast_warns_and_lets_through() -> None:
    nothing = replace(PHASE_END, has_control=False)
    result = judged(CONTRAST, None, nothing)
    assert (result.verdict, result.holds) == (Verdict.WARN, False)
    assert "nothing to compare" in result.reason
    assert judged(CONTRAST, None, replace(INTERIM, has_control=False)).verdict is Verdict.INCONCLUSIVE


# --- splits --------------------------------------------------------------------------------------------------------------


def split(bad: int, total: int, weight: int, kind: Split = Split.AT_MOST, look: Look = PHASE_END) -> GateResult:
    return judged(replace(SPLIT, split=kind), Measurement(bad, total, NOW, "test"), replace(look, weight_bps=weight))


@pytest.mark.parametrize(
    ("bad", "total", "weight", "kind", "verdict"),
    [
        (48, 1000, 500, Split.AT_MOST, Verdict.PASS),
        (10, 1000, 500, Split.AT_MOST, Verdict.PASS),  # devices are on their way
        (10, 1000, 500, Split.EQUAL, Verdict.FAIL),
        (52, 1000, 500, Split.EQUAL, Verdict.PASS),
        (250, 1000, 500, Split.AT_MOST, Verdict.FAIL),
        (250, 1000, 500, Split.EQUAL, Verdict.FAIL),
        (1000, 1000, 10_000, Split.EQUAL, Verdict.PASS),
        (5, 50, 500, Split.AT_MOST, Verdict.INSUFFICIENT),
        (0, 0, 500, Split.AT_MOST, Verdict.NO_DATA),
    ],
)
def test_as_many_devices_have_it_as_its_weight_says(bad: int, total: int, weight: int, kind: Split, verdict: Verdict) -> None:
    result = split(bad, total, weight, kind)
    assert result.verdict is verdict
    assert result.checks[0].threshold == Decimal(weight) / 10_000


def test_each_hour_of_a_split_has_a_part_of_the_budget() -> None:
    first = judged(SPLIT, Measurement(80, 1000, None, "test"), replace(INTERIM, weight_bps=500), now=START + HOUR / 2)
    tenth = judged(SPLIT, Measurement(80, 1000, None, "test"), replace(INTERIM, weight_bps=500), now=START + 9.5 * HOUR)
    assert first.checks[0].log_e is not None
    assert tenth.checks[0].log_e is not None
    assert first.checks[0].log_e - tenth.checks[0].log_e == pytest.approx(4.0073, abs=1e-3)  # ln(10 * 11 / 2)
    assert sum(1 / (hour * (hour + 1)) for hour in range(1, 100_000)) < 1


# --- plain numbers -------------------------------------------------------------------------------------------------------


def number(value: float | None) -> Measurement:
    return Measurement(None, None, None, "test", value=value)


def test_a_number_acts_only_after_several_looks_in_a_row() -> None:
    streak, verdicts = None, []
    for look in range(4):
        result = judged(VALUE, number(300.0), INTERIM, now=START + look * HOUR, streak=streak)
        streak = result.streak
        verdicts.append((result.verdict.value, result.action.value))
    assert verdicts == [("inconclusive", "none"), ("inconclusive", "none"), ("fail", "pause"), ("fail", "pause")]
    assert streak == Streak(4, START)


def test_a_good_look_in_between_begins_the_count_anew() -> None:
    assert judged(VALUE, number(100.0), INTERIM, streak=Streak(2, START)).streak is None


def test_a_look_without_a_number_keeps_the_count() -> None:
    for outcome in (SourceError("away", "x"), number(None), None):
        assert judged(VALUE, outcome, INTERIM, streak=Streak(2, START)).streak == Streak(2, START)


@pytest.mark.parametrize("newest", [START - HOUR, NOW - 3 * HOUR])
def test_a_number_of_long_ago_is_not_counted_again_at_each_look(newest: datetime) -> None:
    """It may be that of the release before; and the first number of now must not be taken for the fourth."""
    old = judged(VALUE, replace(number(900.0), newest_at=newest), INTERIM, streak=Streak(1, START))
    assert (old.verdict, old.streak) == (Verdict.STALE, Streak(1, START))


def test_many_looks_within_a_quarter_of_an_hour_are_not_enough() -> None:
    result = judged(VALUE, number(300.0), now=START + timedelta(minutes=14), streak=Streak(50, START))
    assert (result.verdict, result.action) == (Verdict.INCONCLUSIVE, Demand.NONE)
    assert judged(VALUE, number(300.0), now=START + timedelta(minutes=15), streak=Streak(50, START)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("spec", "value", "verdict"),
    [
        (VALUE, 250.0, Verdict.PASS),
        (VALUE, None, Verdict.NO_DATA),
        (VALUE, float("nan"), Verdict.ERROR),
        (VALUE, float("inf"), Verdict.ERROR),
        (replace(VALUE, value=ValueLimit(min=Decimal("0.5"))), 0.5, Verdict.PASS),
        (replace(VALUE, value=ValueLimit(min=Decimal("0.5"))), 0.4, Verdict.INCONCLUSIVE),
    ],
)
def test_numbers_at_a_planned_look(spec: GateSpec, value: float | None, verdict: Verdict) -> None:
    assert judged(spec, number(value)).verdict is verdict


def test_a_number_never_rolls_back() -> None:
    result = judged(replace(VALUE, action=Action.ROLLBACK), number(300.0), streak=Streak(5, START))
    assert result.action is Demand.PAUSE


def test_numbers_spend_nothing_of_the_budget() -> None:
    assert count_gating([PROVE, VALUE, VALUE]) == 1


# --- proofs and ages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [((0, 100), Verdict.INSUFFICIENT), ((0, 177), Verdict.PASS), ((5, 1000), Verdict.PASS), ((15, 1000), Verdict.INSUFFICIENT)],
)
def test_a_proof_needs_more_than_a_good_estimate(counts: tuple[int, int], verdict: Verdict) -> None:
    result = judged(PROVE, Measurement(*counts, NOW, "test"))
    assert result.verdict is verdict
    assert result.checks[0].log_e_below is not None


@pytest.mark.parametrize(
    ("kind", "age", "seen", "due"),
    [
        (LookKind.INTERIM, 23, (), False),
        (LookKind.INTERIM, 24, (), True),
        (LookKind.SOAK_END, 25, (), True),
        (LookKind.INTERIM, 25, ("adoption",), False),
        (LookKind.SOAK_END, 25, ("adoption",), False),
        (LookKind.PHASE_END, 30, ("adoption",), True),
        (LookKind.PHASE_END, 12, (), False),
    ],
)
def test_a_look_at_an_age_is_once_and_at_the_end(kind: LookKind, age: int, seen: tuple[str, ...], due: bool) -> None:
    look = Look(kind, START, NOW, age=age * HOUR, seen=frozenset(seen))
    result = judged(AGED, Measurement(1, 100, NOW, "test"), look)
    assert (result.is_due, result.is_decided) == (due, due)
    # Not yet looked at, it keeps the phase from ending, and not from its next weight.
    assert result.holds is (not due and kind is not LookKind.SOAK_END)


@pytest.mark.parametrize(("share", "decided"), [((3, 10), False), ((3, 3000), True), ((3000, 3000), True)])
def test_a_limit_that_only_alerts_does_not_have_the_look_of_the_one_that_acts(share: tuple[int, int], decided: bool) -> None:
    """The first limit has failed; the second has not been proven yet, and must still be looked at."""
    worse = Escalation(Decimal("0.6"), Action.ROLLBACK)
    spec = replace(AGED, max=Decimal("0.0002"), action=Action.ALERT, escalate=worse, prove=True, min_sample=1)
    result = judged(spec, Measurement(*share, NOW, "test"), Look(LookKind.INTERIM, START, NOW, age=24 * HOUR))
    assert (result.verdict, result.is_due, result.is_decided) == (Verdict.FAIL, True, decided)


def test_the_evidence_of_every_kind_is_canonical_json() -> None:
    results = [
        judged(CONTRAST, rows((2, 200, 20, 2000))),
        split(48, 1000, 500),
        judged(VALUE, number(300.0)),
        judged(PROVE, Measurement(0, 100, NOW, "test")),
    ]
    told = [json.loads(_canonical.dumps(evidence(result)))["checks"][0] for result in results]
    assert [check["kind"] for check in told] == [
        kind.value for kind in (CheckKind.CONTRAST, CheckKind.SPLIT, CheckKind.VALUE, CheckKind.SHARE)
    ]
    assert told[0]["control"] == {"bad": 20, "total": 2000}
    assert (told[2]["value"], told[2]["streak"]) == ("300", 1)
    assert told[3]["log_e_below"] is not None
    assert told[3]["exact_interval"] == ["0.000000", "0.036217"], "1 - 0.025 ** (1 / 100)"
    assert told[0]["exact_interval"] is None, "a contrast is no share"
    low, high = map(float, told[3]["sequence"])
    assert low == 0 < high < 0.1
