"""The formulas against published values, and against what they promise."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from otagate.gate.stats import clopper_pearson, log_e_down, log_e_up, wilson

# R 4 prop.test(correct = FALSE), R binom, statsmodels results_proportion.py
WILSON = [
    (3, 10, 0.95, 0.1077913, 0.6032219),
    (3, 10, 0.99, 0.07956632, 0.6799753),
    (0, 10, 0.95, 0.0, 0.2775328),
    (4, 20, 0.95, 0.0806576625797981, 0.4160174322518935),
    (18, 20, 0.95, 0.6989663547715128, 0.972133518786232),
    (4, 200, 0.95, 0.00780442641634947, 0.05028708690582643),
    (19, 38, 0.95, 0.348499283643951, 0.651500716356049),
    # One-sided 95 % ends are the ends of the two-sided 90 % interval.
    (3, 10, 0.90, 0.1268766, 0.5583002),
    (0, 10, 0.90, 0.0, 0.212942),
    (10, 10, 0.90, 0.787058, 1.0),
]

# R 3.6.2 binom.test, R binom, scipy TestBinomTest, statsmodels
CLOPPER_PEARSON = [
    (20, 100, 0.95, 0.1266555521019559, 0.2918426890886281),
    (20, 100, 0.90, 0.1366613252458672, 0.2772002496709138),
    (3, 50, 0.99, 0.006872485, 0.202706269),
    (3, 50, 0.98, 0.008860761, 0.1872093),
    (0, 10, 0.95, 0.0, 0.3084971),
    (0, 10, 0.90, 0.0, 0.2588656),
    (10, 10, 0.95, 0.6915029, 1.0),
    (10, 10, 0.90, 0.7411344, 1.0),
    (4, 20, 0.95, 0.05733399705003284, 0.436614002996668),
    (18, 20, 0.95, 0.6830172859809176, 0.9876514728297052),
    (4, 200, 0.95, 0.005475565879556443, 0.05041360908989634),
    (100, 200, 0.95, 0.4286584, 0.5713416),
    (100, 200, 0.90, 0.439641, 0.560359),
]

UP = [
    (0, 100, -2.362522),
    (1, 10, 0.476138),
    (3, 10, 4.760488),
    (5, 100, 0.572988),
    (9, 100, 5.483085),
    (17, 300, 5.298901),
    (40, 1000, 5.895406),
]
DOWN = [(0, 149, 2.498637), (0, 177, 2.996848), (1, 300, 2.764587), (5, 1000, 6.940798)]

# The smallest count that is beyond doubt at alpha 0.01.
BOUNDARY = [
    (0.02, 10, 3),
    (0.02, 20, 4),
    (0.02, 50, 6),
    (0.02, 100, 9),
    (0.02, 200, 13),
    (0.02, 300, 17),
    (0.02, 500, 24),
    (0.02, 1000, 39),
    (0.02, 3000, 91),
    (0.15, 10, 7),
    (0.15, 20, 10),
    (0.15, 50, 18),
    (0.15, 100, 29),
    (0.15, 200, 50),
    (0.15, 500, 106),
]


def digits(value: float) -> float:
    """Half a unit in the last published digit of a value with at most seven of them, tighter for longer ones."""
    return 6e-7 if len(repr(value)) < 13 else 1e-12


@pytest.mark.parametrize(("bad", "total", "confidence", "low", "high"), WILSON)
def test_wilson_matches_r(bad: int, total: int, confidence: float, low: float, high: float) -> None:
    found = wilson(bad, total, confidence)
    assert found[0] == pytest.approx(low, abs=digits(low))
    assert found[1] == pytest.approx(high, abs=digits(high))


@pytest.mark.parametrize(("bad", "total"), [(38, 38), (0, 77), (0, 1), (1, 1), (0, 10**12), (10**12, 10**12)])
def test_wilson_stays_within_0_and_1(bad: int, total: int) -> None:
    low, high = wilson(bad, total)
    assert 0.0 <= low < high <= 1.0
    assert low == 0.0 if bad == 0 else high == 1.0


@pytest.mark.parametrize(("bad", "total", "confidence", "low", "high"), CLOPPER_PEARSON)
def test_clopper_pearson_matches_r(bad: int, total: int, confidence: float, low: float, high: float) -> None:
    found = clopper_pearson(bad, total, confidence)
    assert found[0] == pytest.approx(low, abs=digits(low))
    assert found[1] == pytest.approx(high, abs=digits(high))


def test_clopper_pearson_of_no_failures_is_the_rule_of_three() -> None:
    assert clopper_pearson(0, 149, 0.90)[1] == pytest.approx(1 - 0.05 ** (1 / 149), abs=1e-12)


@pytest.mark.parametrize(("bad", "total", "expected"), UP)
def test_evidence_for_worse(bad: int, total: int, expected: float) -> None:
    assert log_e_up(bad, total, 0.02) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("bad", "total", "expected"), DOWN)
def test_evidence_for_better(bad: int, total: int, expected: float) -> None:
    assert log_e_down(bad, total, 0.02) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("limit", "total", "smallest"), BOUNDARY)
def test_where_evidence_is_beyond_doubt(limit: float, total: int, smallest: int) -> None:
    needed = math.log(100)
    assert log_e_up(smallest - 1, total, limit) < needed <= log_e_up(smallest, total, limit)


@pytest.mark.parametrize("limit", [0.0, 0.0001, 0.02, 0.5, 0.8, 0.86, 0.99, 0.999999, 1.0])
def test_no_devices_are_no_evidence(limit: float) -> None:
    assert log_e_up(0, 0, limit) == pytest.approx(0.0, abs=1e-12)
    assert log_e_down(0, 0, limit) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("limit", [0.0005, 0.02, 0.15, 0.5, 0.84, 0.852, 0.86, 0.95, 0.9999])
def test_evidence_grows_with_every_bad_device(limit: float) -> None:
    ups = [log_e_up(bad, 40, limit) for bad in range(41)]
    downs = [log_e_down(bad, 40, limit) for bad in range(41)]
    assert ups == sorted(ups)
    assert len(set(ups)) == 41
    assert downs == sorted(downs, reverse=True)
    # All bad speaks for "worse", all good for "better", whatever the limit.
    assert ups[0] < 0 < ups[40]
    assert downs[40] < 0 < downs[0]


def test_a_limit_of_zero_tolerates_nothing() -> None:
    assert log_e_up(0, 1000, 0.0) == 0.0
    assert log_e_up(1, 1000, 0.0) == math.inf
    assert log_e_down(0, 1000, 0.0) == 0.0


def test_a_limit_of_one_tolerates_everything() -> None:
    assert log_e_up(1000, 1000, 1.0) == 0.0
    assert log_e_down(999, 1000, 1.0) == math.inf
    assert log_e_down(1000, 1000, 1.0) == 0.0


def test_large_counts_do_not_overflow() -> None:
    assert 1e10 < log_e_up(10**11, 10**12, 0.02) < math.inf
    assert -math.inf < log_e_up(0, 10**12, 0.02) < 0


@pytest.mark.parametrize("function", [wilson, clopper_pearson])
@pytest.mark.parametrize(("bad", "total"), [(-1, 5), (6, 5), (0, -1), (0, 0)])
def test_impossible_counts_are_refused_by_intervals(function: Any, bad: int, total: int) -> None:
    with pytest.raises(ValueError, match=r"cannot be|no devices"):
        function(bad, total)


@pytest.mark.parametrize("function", [log_e_up, log_e_down])
@pytest.mark.parametrize(("bad", "total", "limit"), [(-1, 5, 0.1), (6, 5, 0.1), (1, 5, -0.1), (1, 5, 1.1), (1, 5, math.nan)])
def test_impossible_input_is_refused_by_evidence(function: Any, bad: int, total: int, limit: float) -> None:
    with pytest.raises(ValueError, match=r"cannot be|not a share"):
        function(bad, total, limit)


@pytest.mark.parametrize("limit", [0.02, 0.15, 0.9])
@pytest.mark.parametrize("total", [1, 7, 60])
def test_the_mean_of_the_evidence_is_one_at_the_limit(limit: float, total: int) -> None:
    # Exact expectation over the binomial distribution: this is what makes peeking harmless.
    mean = math.fsum(
        math.comb(total, bad) * limit**bad * (1 - limit) ** (total - bad) * math.exp(log_e_up(bad, total, limit))
        for bad in range(total + 1)
    )
    assert mean == pytest.approx(1.0, abs=1e-9)


def test_peeking_after_every_device_rarely_condemns_a_release_at_its_limit() -> None:
    rng, runs, condemned = random.Random(20261121), 300, 0
    for _ in range(runs):
        bad = 0
        for total in range(1, 301):
            bad += rng.random() < 0.05
            if log_e_up(bad, total, 0.05) >= math.log(20):
                condemned += 1
                break
    # Promised: at most 5 %, 15 of 300. In truth about 2 %.
    assert condemned <= 15
