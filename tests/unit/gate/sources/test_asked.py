"""From single numbers to a measurement: what every maker's source shares."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from otagate.gate.interface import Ask, Measurement, MetricQuery, SourceError
from otagate.gate.sources._asked import Manner, Told, devices, measured
from otagate.gate.sources._literals import Language
from otagate.policy.model.vendors import Asked
from support.vendor_world import QUERY, VALUE_QUERY

ASKED = Asked("bad", "total", "value", "newest")
SECONDS = QUERY.end.timestamp()


def read(
    asked: Asked = ASKED, query: MetricQuery = QUERY, *, is_zero: bool = False, note: str = "", **numbers: float | None
) -> Measurement:
    def ask(name: str, text: str) -> Told:
        assert text
        return Told(numbers.get(name), name.encode(), note)

    return measured(asked, query, Manner(Language.PROMQL, "a store", ask, is_zero, ("s3cr3t-word",)))


def failure(asked: Asked = ASKED, query: MetricQuery = QUERY, **numbers: float | None) -> str:
    with pytest.raises(SourceError) as caught:
        read(asked, query, is_zero=False, note="", **numbers)
    return str(caught.value)


def test_counts_are_asked_in_order() -> None:
    found = read(bad=3, total=500, newest=SECONDS)
    assert (found.bad, found.total, found.newest_at, found.value) == (3, 500, QUERY.end, None)
    assert found.digest == hashlib.sha256(b"badtotalnewest").hexdigest()


def test_values_are_asked_alone() -> None:
    found = read(query=VALUE_QUERY, value=12.5, newest=SECONDS)
    assert (found.bad, found.total, found.value, found.newest_at) == (None, None, 12.5, QUERY.end)
    assert found.digest == hashlib.sha256(b"valuenewest").hexdigest()


def test_shares_of_a_channel_are_counts() -> None:
    assert read(query=replace(QUERY, ask=Ask.SPLIT), bad=50, total=1000, newest=SECONDS).bad == 50


@pytest.mark.parametrize(
    ("number", "count"),
    [(None, None), (12.0, 12), (0.0, 0), (-3.0, -3), (119.99999999999999, 120), (1e9 + 1e-3, 1_000_000_000)],
)
def test_whole_numbers_are_devices(number: float | None, count: int | None) -> None:
    assert devices(number, "bad", "s") == count


@pytest.mark.parametrize("number", [12.5, 0.001, 1e300, float("nan"), float("inf"), -0.4])
def test_what_is_no_count_of_devices(number: float) -> None:
    with pytest.raises(SourceError):
        devices(number, "bad", "s")


def test_no_total_is_no_data() -> None:
    assert read(bad=None, total=None).total is None
    assert read(bad=0, total=None, is_zero=True).bad == 0
    assert read(bad=None, total=0).bad is None
    assert read(query=VALUE_QUERY, value=None).value is None


def test_silence_about_bad_devices_is_zero_only_where_a_store_has_nothing_else_to_say() -> None:
    assert read(Asked("bad", "total"), bad=None, total=5, is_zero=True).bad == 0
    assert "no bad count" in failure(Asked("bad", "total"), bad=None, total=5)


@pytest.mark.parametrize(
    ("asked", "query", "told"),
    [
        (Asked(value="v"), QUERY, "no query for bad and total"),
        (Asked(bad="b"), QUERY, "add `total`"),
        (Asked("b", "t"), VALUE_QUERY, "no query for value"),
        (ASKED, replace(QUERY, ask=Ask.CONTRAST, control="1"), "max_increase"),
        (ASKED, replace(QUERY, over=timedelta(seconds=45)), "use {over}"),
        (Asked("x{a={release}}", "t"), QUERY, "cannot stand in a query"),
    ],
)
def test_what_a_policy_does_not_ask(asked: Asked, query: MetricQuery, told: str) -> None:
    assert told in failure(asked, query, bad=1, total=1)


def test_limits_are_told() -> None:
    assert read(Asked("b{{{over}}}", "t"), replace(QUERY, over=timedelta(seconds=45)), bad=1, total=2).total == 2


@pytest.mark.parametrize("newest", [1e15, -1e15, float("nan"), float("inf")])
def test_what_is_no_instant(newest: float) -> None:
    assert "newest" in failure(bad=1, total=2, newest=newest)


def test_milliseconds_are_noticed() -> None:
    assert "divide milliseconds" in failure(bad=1, total=2, newest=1.8e12)


def test_age_without_data_is_no_age() -> None:
    assert read(bad=0, total=0, newest=None).newest_at is None
    assert "no data for `newest`" in failure(bad=0, total=1, newest=None)
    assert read(bad=0, total=1, newest=0.5).newest_at == datetime(1970, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)


def test_evidence_is_bounded_and_holds_no_credential() -> None:
    asked = Asked('x{k="s3cr3t-word"}\n\x1b[2J' + "y" * 5000, "total")
    found = read(asked, bad=1, total=2, note="capped\nby the store")
    assert "s3cr3t-word" not in found.query
    assert '***"}' in found.query
    assert "\n" not in found.query
    assert "\x1b" not in found.query
    assert "bad: capped\\x0aby the store" in found.query
    assert len(found.query) < 800
