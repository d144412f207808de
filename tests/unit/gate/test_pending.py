"""Devices whose fate is not known yet: failures are told at once, successes hours later."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from otagate.gate.evidence import evidence
from otagate.gate.interface import Measurement
from otagate.gate.judge import Demand, GateResult, Look, LookKind, Reading, Verdict, judge
from otagate.gate.sequence import confidence_sequence
from otagate.gate.stats import log_e_up
from otagate.policy.model.gates import Action, GateSpec, Judgement
from otagate.rollout.kept import keep
from support.rollouts import fresh

START = datetime(2026, 11, 21, tzinfo=UTC)
NOW = START + timedelta(hours=24)
INTERIM = Look(LookKind.INTERIM, START, NOW)
DUE = Look(LookKind.SOAK_END, START, NOW)
INSTALLS = GateSpec("success", min=Decimal("0.85"), target=Decimal("0.98"), action=Action.ROLLBACK, min_sample=30)


def reading(bad: Any, total: Any, pending: Any) -> Reading:
    return Reading("success", START, NOW, Measurement(bad, total, NOW, "test", pending=pending))


def judged(bad: Any, total: Any, pending: Any, look: Look = DUE, spec: GateSpec = INSTALLS) -> GateResult:
    said = reading(bad, total, pending)
    return judge(spec, [said], look=look, judgement=Judgement(), gating_metrics=1, now=NOW)


@pytest.mark.parametrize(
    ("counts", "look", "verdict", "action"),
    [
        ((28, 60, 190), INTERIM, "inconclusive", "none"),  # 47 % of those that are known, 11 % of all
        ((28, 60, 0), INTERIM, "fail", "rollback"),
        ((80, 100, 100), INTERIM, "fail", "rollback"),  # beyond doubt whatever becomes of the others
        ((28, 60, 190), DUE, "insufficient", "none"),  # above the limit, or within it
        ((28, 60, 127), DUE, "insufficient", "none"),
        ((16, 60, 46), DUE, "fail", "rollback"),  # above it even if none of the others fails
        ((9, 60, 1000), DUE, "warn", "none"),
        ((0, 60, 1000), DUE, "pass", "none"),
        ((0, 29, 1000), DUE, "insufficient", "none"),  # who is on the way makes up no sample
        ((0, 0, 1000), DUE, "no_data", "none"),
        ((5, 60, -1), DUE, "error", "none"),
        ((5, 60, True), DUE, "error", "none"),
        ((5, 60, 10**13), DUE, "error", "none"),
    ],
)
def test_what_is_known_of_devices_on_their_way(counts: tuple[Any, Any, Any], look: Look, verdict: str, action: str) -> None:
    result = judged(*counts, look=look)
    assert (result.verdict, result.action) == (verdict, action), result.reason


def test_devices_of_whom_none_has_told_are_not_said_to_be_unknown() -> None:
    assert judged(0, 0, 12).reason == "12 devices are on their way, and none has told yet what became of it"
    assert judged(0, 0, 0).reason.startswith("the source knows no device")


@pytest.mark.parametrize(
    ("counts", "has"), [((0, 20, 0), True), ((0, 20, 20), True), ((0, 20, 21), False), ((1, 20, 0), False)]
)
def test_no_bad_device_is_not_said_where_most_have_told_nothing(counts: tuple[int, int, int], has: bool) -> None:
    assert judged(*counts).has_zero_bad is has


def test_the_evidence_says_what_it_rests_on() -> None:
    check = judged(28, 60, 190).checks[0]
    assert (check.bad, check.total, check.pending) == (28, 60, 190)
    assert check.log_e == log_e_up(28, 250, 0.15)
    assert check.sequence == (confidence_sequence(28, 250)[0], confidence_sequence(218, 250)[1])
    assert "28 of 60 devices bad (46.67%), 190 on their way" in check.reason
    shown: Any = evidence(judged(28, 60, 190))["checks"]
    assert (shown[0]["pending"], shown[0]["log_e"]) == (190, f"{log_e_up(28, 250, 0.15):.6f}")


def test_a_look_is_kept_with_them() -> None:
    state = replace(fresh(), phase_since=START, entered_at=START, not_before=NOW, phase=0)
    kept = keep(state, DUE, [reading(28, 60, 190)], NOW).readings[0]
    again = kept.reading().outcome
    assert isinstance(again, Measurement)
    assert again.pending == 190


def _stops(rng: random.Random, share: float, *, known_only: bool) -> Demand:
    """Live through a day: 20 devices an hour; who fails tells it at once, the others on average after twelve hours."""
    devices = [(hour, rng.random() < share, rng.expovariate(1 / 12)) for hour in range(24) for _ in range(20)]
    worst = Demand.NONE
    for now in range(1, 25):
        here = [(bad, now - hour >= wait) for hour, bad, wait in devices if hour < now]
        bad = sum(is_bad for is_bad, _ in here)
        good = sum(is_told and not is_bad for is_bad, is_told in here)
        pending = 0 if known_only else len(here) - bad - good
        result = judged(bad, bad + good, pending, look=DUE if now == 24 else INTERIM)
        worst = max(worst, result.action, key=lambda demand: demand.rank)
    return worst


def test_a_good_release_is_not_stopped_because_failures_are_told_first() -> None:
    """11 % of the installs fail, where 15 % may: taken as they come in, failures are above 40 % for hours."""
    rng = random.Random(5)
    assert [_stops(rng, 0.11, known_only=False) for _ in range(40)].count(Demand.NONE) == 40
    assert [_stops(rng, 0.11, known_only=True) for _ in range(10)].count(Demand.ROLLBACK) >= 8


def test_a_bad_release_is_still_stopped() -> None:
    rng = random.Random(5)
    assert [_stops(rng, 0.3, known_only=False) for _ in range(20)].count(Demand.ROLLBACK) == 20


def test_a_limit_with_devices_on_their_way_waits_and_then_passes_or_fails() -> None:
    """The same release, as the last devices come in."""
    verdicts = [judged(28, total, 250 - total).verdict for total in (60, 150, 200, 250)]
    assert verdicts == [Verdict.INSUFFICIENT, Verdict.INSUFFICIENT, Verdict.WARN, Verdict.WARN]
