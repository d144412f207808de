"""Counts to (bad, total): the definitions of docs/gates.md, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from otagate.errors import UsageError
from otagate.telemetry.metrics import METRICS, AtMost, Tally, quantile, tally
from otagate.telemetry.model import VERIFY_BOUNDS_S, Counts

BINS = len(VERIFY_BOUNDS_S) + 1
COUNTS = Counts(
    devices=1000, offered=900, pending=40, success=800, network=100, integrity=7, boot=11, refusal=42,
    ran=815, crashed=13, errored=21, adopted_24h=780, verify=tuple(range(1, BINS + 1)),
)  # fmt: skip
SECONDS = [timedelta(seconds=bound) for bound in VERIFY_BOUNDS_S]


@pytest.mark.parametrize(
    ("metric", "bad", "total"),
    [
        ("device_success_rate", 7 + 11 + 42, 800 + 7 + 11 + 42),
        ("crash_rate", 13, 815),
        ("error_rate", 21, 815),
        ("rollout_completion", 100, 900),
        ("adoption_24h", 120, 900),
    ],
)
def test_shares(metric: str, bad: int, total: int) -> None:
    assert tally(metric, COUNTS) == Tally(bad, total)


def test_what_says_nothing_about_the_bundle_moves_no_success_rate() -> None:
    more = replace(COUNTS, pending=5000, network=9000, devices=15000)
    assert tally("device_success_rate", more) == tally("device_success_rate", COUNTS)


def test_devices_that_told_of_a_release_that_was_not_offered_them_make_no_negative_count() -> None:
    assert tally("rollout_completion", Counts(devices=9, offered=3, success=9)) == Tally(0, 3)


@pytest.mark.parametrize("at", range(len(SECONDS) - 1))
def test_devices_slower_than_each_bound(at: int) -> None:
    assert tally("verification_time", COUNTS, SECONDS[at]) == Tally(sum(range(at + 2, BINS)), sum(range(1, BINS)))


def test_a_device_that_began_anew_hours_later_is_no_slow_one() -> None:
    later = Counts(devices=100, verify=(68, *(0,) * (BINS - 2), 32))
    assert tally("verification_time", later, timedelta(minutes=2)) == Tally(0, 68)


def test_nobody_is_nobody() -> None:
    for metric in METRICS:
        assert tally(metric, Counts(), SECONDS[0] if metric == "verification_time" else None) == Tally(0, 0)


@pytest.mark.parametrize(
    ("metric", "over", "said"),
    [
        ("crash_rte", None, "did you mean crash_rate?"),
        ("checkout", None, "one of crash_rate, error_rate"),
        ("crash_rate", SECONDS[0], "no limits of time"),
        ("verification_time", None, "one of 1s, 2s, 5s"),
        ("verification_time", timedelta(seconds=50), "found: 50s"),
        ("verification_time", timedelta(minutes=30), "found: 1800s"),
        ("verification_time", timedelta(seconds=45.5), "found: 45.5s"),
    ],
)
def test_what_cannot_be_answered_exactly_is_refused(metric: str, over: timedelta | None, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        tally(metric, COUNTS, over)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("fast", "slow", "share", "expected"),
    [
        (0, 0, 0.5, None),
        (1, 0, 0.5, AtMost(1)),
        (1, 0, 1.0, AtMost(1)),
        (95, 5, 0.5, AtMost(1)),
        (95, 5, 0.95, AtMost(1)),
        (94, 6, 0.95, AtMost(None)),
        (0, 3, 0.5, AtMost(None)),
    ],
)
def test_quantiles(fast: int, slow: int, share: float, expected: AtMost | None) -> None:
    assert quantile((fast, *(0,) * (BINS - 2), slow), share) == expected


def test_a_quantile_is_the_first_bin_that_reaches_its_share() -> None:
    verify = (0, 10, 0, 10, 0, *(0,) * (BINS - 5))
    assert [quantile(verify, share) for share in (0.0, 0.5, 0.51, 1.0)] == [AtMost(1), AtMost(2), AtMost(10), AtMost(10)]
