from __future__ import annotations

import random
import timeit

import pytest

from otagate.errors import UsageError
from otagate.server.http.rates import NO_LIMIT, Buckets, Limiter, Limits, Rate, RouteClass, network_of


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("50", Rate(50, 200)),
        ("50:7", Rate(50, 7)),
        ("0.5", Rate(0.5, 2)),
        ("0.1", Rate(0.1, 1)),
        ("0", Rate(0, 1)),
        ("0:0", Rate(0, 1)),
        ("3:0", Rate(3, 1)),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "-1", "x", "50:", ":5", "50/s", "1e9", "50:1.5", "nan", "\u0665"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a rate"):
        Rate.parse(text)


@pytest.mark.parametrize(("per_s", "burst"), [(-1.0, 1), (float("nan"), 1), (float("inf"), 1), (1.0, 0)])
def test_a_rate_that_cannot_be_is_refused(per_s: float, burst: int) -> None:
    with pytest.raises(UsageError, match="not a rate"):
        Rate(per_s, burst)


def test_a_burst_passes_and_then_the_rate() -> None:
    buckets = Buckets(Rate(10, 5))
    assert [buckets.take("a", 100.0) for _ in range(5)] == [0.0] * 5
    assert buckets.take("a", 100.0) == pytest.approx(0.1)
    assert buckets.take("b", 100.0) == 0.0
    assert buckets.take("a", 100.05) == pytest.approx(0.05)
    assert buckets.take("a", 100.1) == 0.0
    assert buckets.take("a", 100.1) > 0.0


def test_in_the_long_run_no_more_than_the_rate_and_one_burst_passes() -> None:
    chance = random.Random(7)
    for rate in (Rate(3, 12), Rate(10, 40), Rate(0.5, 10), Rate(200, 100)):
        buckets, now, passed = Buckets(rate), 50.0, 0
        for _ in range(5000):
            now += chance.expovariate(4 * rate.per_s)
            passed += not buckets.take("a", now)
        most = rate.burst + rate.per_s * (now - 50.0)
        assert most * 0.97 - rate.burst <= passed <= most + 1


def test_no_rate_is_no_limit_and_costs_no_memory() -> None:
    buckets = Buckets(NO_LIMIT)
    assert not any(buckets.take("a", 1.0) for _ in range(1000))
    assert len(buckets) == 0


def test_buckets_are_bounded_and_an_abuser_does_not_get_a_fresh_one_by_pushing_it_out() -> None:
    buckets = Buckets(Rate(1, 10), capacity=2000)
    for _ in range(10):
        assert buckets.take("abuser", 0.0) == 0.0
    refused = 0
    for at in range(50_000):
        refused += buckets.take(f"made up {at}", 0.001 * (at / 50_000)) > 0
    assert len(buckets) <= 2000
    assert refused > 40_000  # new-comers share what little there is
    assert buckets.take("abuser", 0.002) > 8e-1


def test_a_bucket_outlives_a_change_of_generations_until_it_is_full() -> None:
    buckets = Buckets(Rate(10, 100))  # full again after 10 s, which is a generation
    assert not any(buckets.take("a", 9.9) for _ in range(100))
    assert not any(buckets.take("b", 0.0) for _ in range(100))
    assert buckets.take("a", 10.0) == 0.0  # one has come back
    assert buckets.take("a", 10.0) > 0.0
    assert sum(not buckets.take("a", 40.0) for _ in range(200)) == 100
    assert len(buckets) == 1


def test_every_class_of_routes_is_limited_by_itself() -> None:
    limiter = Limiter(Limits.of(Rate(1, 1), Rate(2, 1)))
    assert limiter.address(RouteClass.UPDATES, "192.0.2.1", 5.0) == 0.0
    assert limiter.address(RouteClass.UPDATES, "192.0.2.1", 5.0) > 0.0
    assert limiter.address(RouteClass.STATS, "192.0.2.1", 5.0) == 0.0
    assert limiter.address(RouteClass.UPDATES, "192.0.2.2", 5.0) == 0.0
    assert limiter.limits_apps
    assert limiter.app(RouteClass.UPDATES, "com.example.app", 5.0) == 0.0
    assert limiter.app(RouteClass.UPDATES, "com.example.app", 5.0) > 0.0
    assert limiter.app(RouteClass.STATS, "com.example.app", 5.0) == 0.0


def test_no_limit_for_devices_leaves_operators_limited() -> None:
    limits = Limits.of(NO_LIMIT)
    assert limits.address[RouteClass.STATS].per_s == 0
    assert limits.address[RouteClass.ADMIN].per_s > 0
    assert not Limiter(limits).limits_apps


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("unix", "unix", True),
    ],
)
def test_a_customer_s_addresses_are_one(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


def test_addresses_of_one_customer_share_a_bucket() -> None:
    limiter = Limiter(Limits.of(Rate(1, 1)))
    assert limiter.address(RouteClass.UPDATES, "2001:db8::1", 5.0) == 0.0
    assert limiter.address(RouteClass.UPDATES, "2001:db8::2", 5.0) > 0.0


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    limiter = Limiter(Limits.of(NO_LIMIT))
    for at in range(20_000):
        limiter.address(RouteClass.UPDATES, f"2001:db8::{at:x}", 5.0)
    assert len(limiter._keys) <= 8192


def test_a_check_costs_microseconds() -> None:
    limiter = Limiter(Limits())
    peers = [f"10.0.{at >> 8}.{at & 255}" for at in range(2000)]
    seconds = min(timeit.repeat(lambda: [limiter.address(RouteClass.UPDATES, peer, 5.0) for peer in peers], number=1, repeat=5))
    assert seconds / len(peers) < 20e-6  # about 1 µs; the bound is for a busy machine
