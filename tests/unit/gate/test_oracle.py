"""Our formulas against scipy and mpmath over a random grid. The only module that pays for importing them."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from scipy import special
from scipy import stats as scipy_stats

from otagate.gate.contrast import log_e_contrast
from otagate.gate.crossing import _binomial, stop_chances
from otagate.gate.power import Plan, even_looks, outlook
from otagate.gate.sequence import _log_mixture, confidence_sequence
from otagate.gate.split import log_e_split
from otagate.gate.stats import at_most, clopper_pearson, log_e_down, log_e_up, wilson

RNG = random.Random(20261121)
COUNTS = [(RNG.randint(0, total), total) for total in (int(10 ** RNG.uniform(0, 6)) + 1 for _ in range(90))]


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_intervals_agree_with_scipy(confidence: float) -> None:
    for bad, total in COUNTS:
        oracle = scipy_stats.binomtest(bad, total)
        exact = oracle.proportion_ci(confidence, method="exact")
        assert clopper_pearson(bad, total, confidence) == pytest.approx((exact.low, exact.high), abs=1e-9)
        score = oracle.proportion_ci(confidence, method="wilson")
        assert wilson(bad, total, confidence) == pytest.approx((score.low, score.high), abs=1e-12)


def test_binomial_chances_agree_with_scipy() -> None:
    for bad, total in COUNTS:
        share = min(1.0, max(0.0, bad / total + RNG.gauss(0, 2 / math.sqrt(total))))
        assert at_most(bad, total, share) == pytest.approx(scipy_stats.binom.cdf(bad, total, share), abs=1e-9)


def test_single_chances_agree_with_scipy() -> None:
    for _, total in COUNTS:
        rate = RNG.random() ** 3
        chances, first = _binomial(total, rate)
        places = [first, first + len(chances) // 2, first + len(chances) - 1]
        found = [chances[place - first] for place in places]
        assert found == pytest.approx([scipy_stats.binom.pmf(place, total, rate) for place in places], rel=1e-8, abs=1e-15)
        assert math.fsum(chances) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("limit", [0.0005, 0.02, 0.15, 0.5, 0.8])
def test_evidence_agrees_with_fifty_digits(limit: float) -> None:
    mpmath.mp.dps = 50
    p = mpmath.mpf(limit)
    for bad, total in COUNTS[:40]:
        for found, (start, end) in (
            (log_e_up(bad, total, limit), (p * mpmath.mpf(1.15), min(p * 20, mpmath.mpf(0.98)))),
            (log_e_down(bad, total, limit), (p / mpmath.mpf(1.15), p * mpmath.mpf(0.02))),
        ):
            grid = [start * (end / start) ** (mpmath.mpf(place) / 23) for place in range(24)]
            parts = [(q / p) ** bad * ((1 - q) / (1 - p)) ** (total - bad) for q in grid]
            assert found == pytest.approx(float(mpmath.log(sum(parts) / 24)), rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("tolerance", [0.0, 0.5, 3.0])
def test_contrast_agrees_with_fifty_digits(tolerance: float) -> None:
    mpmath.mp.dps = 50
    for _ in range(20):
        rows = [(RNG.randint(0, 20), RNG.randint(20, 300), RNG.randint(0, 20), RNG.randint(20, 3000)) for _ in range(3)]
        values = []
        for place in range(24):
            increase = mpmath.mpf(1.15) * (mpmath.mpf(20) / mpmath.mpf(1.15)) ** (mpmath.mpf(place) / 23)
            value = mpmath.mpf(1)
            for bad, total, control_bad, control_total in rows:
                odds = mpmath.mpf(1 + tolerance) * total / control_total
                old, new = odds / (1 + odds), odds * increase / (1 + odds * increase)
                value *= (new / old) ** bad * ((1 - new) / (1 - old)) ** control_bad
            values.append(value)
        assert log_e_contrast(rows, tolerance) == pytest.approx(float(mpmath.log(sum(values) / 24)), rel=1e-9, abs=1e-9)


def test_split_agrees_with_scipy() -> None:
    for bad, total in COUNTS:
        share = RNG.uniform(0.01, 0.99)
        marginal = special.betaln(100 * share + bad, 100 * (1 - share) + total - bad) - special.betaln(
            100 * share, 100 * (1 - share)
        )
        expected = marginal - special.xlogy(bad, share) - special.xlog1py(total - bad, -share)
        assert log_e_split([bad, total - bad], [share, 1 - share]) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_ends_of_a_confidence_sequence_are_where_scipy_finds_them() -> None:
    weight = 300 / (2 * math.log(20) + math.log(1 + 2 * math.log(20))) - 1
    for bad, total in COUNTS:
        for end in confidence_sequence(bad, total):
            if 0 < end < 1:
                beta = scipy_stats.betabinom.logpmf(bad, total, weight * end, weight * (1 - end))
                binomial = scipy_stats.binom.logpmf(bad, total, end)
                assert beta - binomial == pytest.approx(math.log(20), abs=1e-5)
                assert _log_mixture(bad, total, end, weight) == pytest.approx(beta - binomial, abs=1e-5)


def test_chances_to_be_stopped_agree_with_a_simulation() -> None:
    plan = Plan(Fraction(2, 100), 300, math.log(100), even_looks(480, 24))
    rng, runs, rate = scipy_stats.binom, 4000, 0.06
    new = rng.rvs(20, rate, size=(runs, 24), random_state=7).cumsum(axis=1)
    stopped = sum(
        any(log_e_up(int(bad), seen, 0.02) >= plan.log_e for bad, seen in zip(row, plan.looks, strict=True))
        for row in new[:400]
    )
    early = outlook(plan, rate).early
    assert stopped / 400 == pytest.approx(early, abs=4 * math.sqrt(early * (1 - early) / 400))
    # The first look alone is one binomial chance.
    (first,) = stop_chances([20], [3], rate)
    assert first == pytest.approx(float(rng.sf(2, 20, rate)), rel=1e-9)


# A canary of 1 %, 5 % and 25 % of 2,000 devices an hour, a day each; the others fail on 0.5 %.
CANARY = np.repeat([20, 100, 500], 24)


def ramped(worse: float, runs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Simulate canaries; give bad devices an hour of canary and control, and the evidence after each hour."""
    rng, control = np.random.default_rng(20261121), 2000 - CANARY
    bad, others = rng.binomial(CANARY, 0.005 * worse, (runs, 72)), rng.binomial(control, 0.005, (runs, 72))
    odds, increases = CANARY / control, 1.15 * (20 / 1.15) ** (np.arange(24) / 23)
    parts = np.stack([bad * np.log(d) + (bad + others) * (np.log1p(odds) - np.log1p(d * odds)) for d in increases])
    return bad, others, special.logsumexp(parts.cumsum(axis=2), axis=0) - math.log(24)


@pytest.mark.parametrize(
    ("worse", "ratio", "tested", "doubted", "hours"),
    [(1, 0.652, 0.433, 0.004, None), (2, 1, 1, 0.997, 49), (4, 1, 1, 1, 21), (10, 1, 1, 1, 4)],
)
def test_a_canary_that_grows(worse: float, ratio: float, tested: float, doubted: float, hours: int | None) -> None:
    """Half again as bad as the control, a repeated test of both shares, and our evidence at 100 to 1: how many are stopped."""
    bad, others, evidence = ramped(worse, 800)
    devices, control = CANARY.cumsum(), (2000 - CANARY).cumsum()
    here, there = bad.cumsum(axis=1) / devices, others.cumsum(axis=1) / control
    pooled = (bad + others).cumsum(axis=1) / (devices + control)
    far = np.abs(here - there) / np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * (1 / devices + 1 / control))
    beyond = evidence >= math.log(100)
    found = [float(stops.any(axis=1).mean()) for stops in (here > 1.5 * there, far > 1.96, beyond)]
    # The figures come from a simulation, and so do these.
    assert found == pytest.approx([ratio, tested, doubted], abs=0.06)
    assert found[2] <= 0.01 or worse > 1
    if hours is not None:
        assert abs(float(np.median(beyond.argmax(axis=1) + 1)) - hours) <= 2
    rows = list(zip(bad[0].tolist(), CANARY.tolist(), others[0].tolist(), (2000 - CANARY).tolist(), strict=True))
    for hour in (0, 30, 71):
        assert log_e_contrast(rows[: hour + 1], 0.0) == pytest.approx(evidence[0, hour], abs=1e-9)


def test_nothing_of_this_is_imported_at_run_time() -> None:
    code = (
        "import sys, pkgutil, importlib, otagate.gate, otagate.cli.main as m;"
        "m.build_parser('gate');"
        "[importlib.import_module(f'otagate.gate.{p.name}') for p in pkgutil.iter_modules(otagate.gate.__path__) if p.name != 'sources'];"
        "import otagate.cli.render.power;"
        "print(sorted({'scipy', 'numpy', 'mpmath', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
