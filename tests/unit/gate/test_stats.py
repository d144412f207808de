"""The formulas against what they promise; published values are in test_vectors.py."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from otagate.gate.stats import at_most, clopper_pearson, log_e_down, log_e_up, wilson

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


@pytest.mark.parametrize(("bad", "total"), [(38, 38), (0, 77), (0, 1), (1, 1), (0, 10**12), (10**12, 10**12)])
def test_wilson_stays_within_0_and_1(bad: int, total: int) -> None:
    low, high = wilson(bad, total)
    assert 0.0 <= low < high <= 1.0
    assert low == 0.0 if bad == 0 else high == 1.0


def test_clopper_pearson_of_no_failures_is_the_rule_of_three() -> None:
    assert clopper_pearson(0, 149, 0.90)[1] == pytest.approx(1 - 0.05 ** (1 / 149), abs=1e-12)


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


@pytest.mark.parametrize(
    ("bad", "total", "share", "chance"),
    [
        (-1, 5, 0.5, 0.0),
        (5, 5, 0.5, 1.0),
        (9, 5, 0.5, 1.0),
        (0, 5, 0.0, 1.0),
        (4, 5, 1.0, 0.0),
        (0, 0, 0.3, 1.0),
        (2, 4, 0.5, 11 / 16),
    ],
)
def test_chance_of_at_most(bad: int, total: int, share: float, chance: float) -> None:
    assert at_most(bad, total, share) == pytest.approx(chance, abs=1e-15)


@pytest.mark.parametrize(("total", "share"), [(-1, 0.5), (1, -0.1), (1, 1.1)])
def test_chances_of_nonsense_are_refused(total: int, share: float) -> None:
    with pytest.raises(ValueError, match=r"cannot be|not a share"):
        at_most(0, total, share)
