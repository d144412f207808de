"""What evidence at any look promises, shown on simulated devices and by exact sums; all seeded."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from otagate.gate.contrast import log_e_contrast
from otagate.gate.sequence import confidence_sequence
from otagate.gate.split import log_e_split
from otagate.gate.stats import log_e_up

RUNS = 400


def bad_of(rng: random.Random, total: int, share: float) -> int:
    return sum(rng.random() < share for _ in range(total))


def chances(total: int, share: float) -> list[float]:
    return [math.comb(total, x) * share**x * (1 - share) ** (total - x) for x in range(total + 1)]


@pytest.mark.parametrize(("rate", "tolerance"), [(0.02, 0.0), (0.4, 0.0), (0.1, 0.5), (0.6, 0.5)])
def test_the_mean_of_a_contrast_is_at_most_one(rate: float, tolerance: float) -> None:
    # Exact, and at high rates too: the release is as bad as is tolerated, and not worse.
    total, control = 6, 9
    mean = math.fsum(
        here * there * math.exp(log_e_contrast([(bad, total, other, control)], tolerance))
        for bad, here in enumerate(chances(total, rate))
        for other, there in enumerate(chances(control, rate / (1 + tolerance)))
    )
    assert 0.5 < mean <= 1 + 1e-12


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_mean_of_a_split_check_is_one(share: float) -> None:
    total = 40
    mean = math.fsum(
        chance * math.exp(log_e_split([bad, total - bad], [share, 1 - share]))
        for bad, chance in enumerate(chances(total, share))
    )
    assert mean == pytest.approx(1, abs=1e-9)


def test_a_release_as_good_as_its_control_is_seldom_suspected() -> None:
    rng = random.Random(5)
    crossed = 0
    for _ in range(RUNS):
        rows: list[tuple[int, int, int, int]] = []
        highest = 0.0
        for hour in range(12):
            # The weight grows, and a backend that is down at noon hurts both.
            rate = 0.2 if hour == 6 else 0.03
            size = 5 * (hour + 1)
            rows.append((bad_of(rng, size, rate), size, bad_of(rng, 100 - size, rate), 100 - size))
            highest = max(highest, log_e_contrast(rows, 0.0))
        crossed += highest >= math.log(20)
    assert crossed <= RUNS * 0.05


def test_a_worse_release_is_found_whatever_the_hour() -> None:
    rows = [(9, 50, 1, 50), (4, 60, 0, 40), (9, 70, 1, 30)]
    assert log_e_contrast(rows, 0.0) > math.log(20)


def test_the_mix_of_devices_is_not_taken_for_a_difference() -> None:
    # Summed up the release looks more than twice as bad (23 of 200 against 10 of 200), in each kind of devices it is equal.
    rows = [(2, 100, 2, 100), (21, 100, 0, 0), (0, 0, 8, 100)]
    even = [(1, 50, 3, 150), (30, 150, 10, 50)]
    assert log_e_contrast(even, 0.0) < 0
    assert log_e_contrast([(31, 200, 13, 200)], 0.0) > math.log(5)
    assert log_e_contrast(rows, 0.0) == log_e_contrast(rows[:1], 0.0)


def test_rows_that_compare_nothing_are_no_evidence() -> None:
    assert log_e_contrast([], 0.0) == 0.0
    assert log_e_contrast([(5, 5, 0, 0), (0, 0, 5, 5), (0, 10, 0, 10)], 0.0) == 0.0


@pytest.mark.parametrize("tolerance", [0.0, 0.5, 10.0])
def test_contrast_grows_with_every_bad_device_and_falls_with_tolerance(tolerance: float) -> None:
    ups = [log_e_contrast([(bad, 40, 3, 80)], tolerance) for bad in range(41)]
    assert ups == sorted(set(ups))
    downs = [log_e_contrast([(5, 40, bad, 80)], tolerance) for bad in range(81)]
    assert downs == sorted(set(downs), reverse=True)
    assert log_e_contrast([(9, 40, 3, 80)], tolerance) > log_e_contrast([(9, 40, 3, 80)], tolerance + 1)


def test_rows_of_equal_split_may_be_joined() -> None:
    rows = [(3, 50, 2, 100), (1, 10, 4, 20), (0, 5, 1, 10)]
    assert log_e_contrast(rows, 0.25) == pytest.approx(log_e_contrast([(4, 65, 7, 130)], 0.25), abs=1e-9)
    assert log_e_contrast(rows, 0.25) == pytest.approx(log_e_contrast(rows[::-1], 0.25), abs=1e-12)


@pytest.mark.parametrize("rows", [[(10**9, 10**9, 0, 10**9)], [(0, 10**9, 10**9, 10**9)], [(1, 1, 10**9, 10**9)] * 3])
def test_contrast_of_huge_counts_is_finite(rows: list[tuple[int, int, int, int]]) -> None:
    assert math.isfinite(log_e_contrast(rows, 0.5))


@pytest.mark.parametrize(
    ("rows", "tolerance"), [([(2, 1, 0, 1)], 0.0), ([(0, 1, 2, 1)], 0.0), ([(-1, 1, 0, 1)], 0.0), ([], -0.1), ([], math.inf)]
)
def test_contrast_refuses_nonsense(rows: list[tuple[int, int, int, int]], tolerance: float) -> None:
    with pytest.raises(ValueError, match=r"cannot be|allowed increase"):
        log_e_contrast(rows, tolerance)


def test_a_share_is_inside_of_its_confidence_sequence_at_all_looks() -> None:
    rng = random.Random(6)
    missed = 0
    for _ in range(RUNS):
        bad, inside = 0, True
        for look in range(1, 9):
            bad += bad_of(rng, 30, 0.05)
            low, high = confidence_sequence(bad, 30 * look, 0.05)
            inside = inside and low <= 0.05 <= high
        missed += not inside
    assert missed <= RUNS * 0.05


@pytest.mark.parametrize(("bad", "total"), [(0, 1), (1, 2), (1, 50), (2, 50), (49, 50), (30, 1000), (1000, 1000), (3, 10**9)])
def test_less_doubt_needs_a_wider_sequence(bad: int, total: int) -> None:
    ends = [confidence_sequence(bad, total, alpha) for alpha in (0.2, 0.05, 0.01, 1e-6, 1e-100)]
    for (low, high), (wider_low, wider_high) in itertools.pairwise(ends):
        assert 0 <= wider_low <= low <= bad / total <= high <= wider_high <= 1


def test_a_confidence_sequence_is_the_same_seen_from_the_other_side() -> None:
    for bad, total in [(0, 7), (1, 9), (3, 50), (200, 1000), (5, 100_000)]:
        low, high = confidence_sequence(bad, total)
        assert confidence_sequence(total - bad, total) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_without_devices_nothing_is_known() -> None:
    assert confidence_sequence(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("tuned", [1.0, 30.0, 1e4])
def test_every_tuning_gives_an_interval(tuned: float) -> None:
    low, high = confidence_sequence(20, 1000, t_opt=tuned)
    assert 0 < low < 0.02 < high < 0.1


@pytest.mark.parametrize(("bad", "total", "alpha"), [(2, 1, 0.05), (-1, 1, 0.05), (0, 1, 0.0), (0, 1, 1.0)])
def test_a_confidence_sequence_refuses_nonsense(bad: int, total: int, alpha: float) -> None:
    with pytest.raises(ValueError, match=r"cannot be|not a chance"):
        confidence_sequence(bad, total, alpha)


def test_a_sequence_of_an_overwhelming_count_ends_at_the_border() -> None:
    # alpha so small that halving towards 0 reaches it
    assert confidence_sequence(2, 10, 1e-300)[0] == pytest.approx(0.0, abs=1e-100)


def test_a_split_as_intended_is_no_evidence() -> None:
    assert log_e_split([50, 950], [0.05, 0.95]) < 0
    assert log_e_split([0, 0], [0.5, 0.5]) == pytest.approx(0.0, abs=1e-12)
    assert log_e_split([120, 880], [0.05, 0.95]) > math.log(1000)
    assert log_e_split([10, 990], [0.05, 0.95]) > math.log(1000)


def test_devices_where_none_should_be_are_proof() -> None:
    assert log_e_split([1, 10], [0.0, 1.0]) == math.inf
    assert log_e_split([0, 10], [0.0, 1.0]) == pytest.approx(0.0, abs=1e-9)
    assert math.isfinite(log_e_split([10**9, 10**8], [0.9, 0.1]))


@pytest.mark.parametrize(
    ("counts", "shares", "concentration"),
    [
        ([1], [0.5, 0.5], 100),
        ([1, -1], [0.5, 0.5], 100),
        ([1, 1], [0.6, 0.5], 100),
        ([1, 1], [1.5, -0.5], 100),
        ([1, 1], [0.5, 0.5], 0),
    ],
)
def test_a_split_refuses_nonsense(counts: list[int], shares: list[float], concentration: float) -> None:
    with pytest.raises(ValueError, match=r"cannot be split|no split"):
        log_e_split(counts, shares, concentration)


def test_devices_that_turn_bad_late_do_not_break_the_promise() -> None:
    # They count as good first; the chance to ever cross stays within the budget.
    rng = random.Random(8)
    crossed = 0
    for _ in range(RUNS):
        fates = [rng.random() < 0.02 for _ in range(240)]
        delay = [rng.randint(0, 6) for _ in fates]
        highest = max(
            log_e_up(
                sum(
                    bad and place // 10 + late < hour
                    for place, (bad, late) in enumerate(zip(fates[: 10 * hour], delay, strict=False))
                ),
                10 * hour,
                0.02,
            )
            for hour in range(1, 25)
        )
        crossed += highest >= math.log(20)
    assert crossed <= RUNS * 0.05
