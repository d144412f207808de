from __future__ import annotations

from datetime import timedelta

import pytest

from otagate.server.admin import failures as module
from otagate.server.admin.failures import MOST, WINDOW, Failures, FailureSum, group
from support.operators import NOW

SECOND = timedelta(seconds=1)


def test_an_address_waits_after_too_many_and_another_does_not() -> None:
    failures = Failures()
    for _ in range(MOST):
        assert failures.wait_s("203.0.113.7", NOW) == 0
        failures.add("203.0.113.7", NOW)
    assert failures.wait_s("203.0.113.7", NOW + 10 * SECOND) == 50
    assert failures.wait_s("203.0.113.7", NOW + WINDOW - timedelta(microseconds=1)) == 1
    assert failures.wait_s("203.0.113.8", NOW) == 0
    assert failures.wait_s("203.0.113.7", NOW + WINDOW) == 0


def test_a_window_begins_anew() -> None:
    failures = Failures()
    for at in range(MOST):
        failures.add("a", NOW + at * WINDOW)
    assert failures.wait_s("a", NOW + (MOST - 1) * WINDOW) == 0


def test_the_sum_is_told_once_a_window() -> None:
    failures = Failures()
    assert failures.take(NOW) is None
    failures.add("203.0.113.7", NOW)
    assert failures.take(NOW) == FailureSum(1, 1, NOW)
    for at in range(5):
        failures.add(f"203.0.113.{at % 2}", NOW + at * SECOND)
    assert failures.take(NOW + 59 * SECOND) is None
    assert failures.take(NOW + WINDOW) == FailureSum(5, 2, NOW)
    assert failures.take(NOW + 2 * WINDOW) is None


def test_what_is_left_can_be_told_at_once() -> None:
    failures = Failures()
    failures.add("a", NOW)
    failures.take(NOW)
    failures.add("a", NOW)
    assert failures.take(NOW + SECOND, at_once=True) == FailureSum(1, 1, NOW)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ADDRESSES", 100)
    failures = Failures()
    for at in range(1000):
        failures.add(f"10.0.{at // 256}.{at % 256}", NOW)
    assert len(failures._windows) == 100
    assert failures.take(NOW) == FailureSum(1000, 100, NOW)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("unix:", "unix:", True),
        ("", "x", False),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, is_same: bool) -> None:
    assert (group(one) == group(other)) is is_same


def test_a_name_that_is_no_address_is_cut() -> None:
    assert len(group("x" * 1000)) == 64
