from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from otagate.gate.interface import Ask, MetricQuery, SourceError
from otagate.gate.sources.sentry import MOST_HOURS, SentryMetrics
from otagate.policy.model.vendors import SentrySource
from support.vendor_world import END, QUERY, START, Respond
from support.vendor_worlds_cloud import SentryWorld

SPEC = SentrySource("acme", "42", "app@{release}", "env:T")


class Health:
    """Answers for the intervals that it is asked for, with a series by status."""

    def __init__(self, series: Mapping[str, list[Any]], totals: Mapping[str, Any] | None = None) -> None:
        self.series = series
        self.totals = totals or {status: sum(numbers) for status, numbers in series.items()}
        self.asked: list[httpx.QueryParams] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        self.asked.append(asked)
        step = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}[asked["interval"]]
        start, end = (datetime.fromisoformat(asked[name]) for name in ("start", "end"))
        # As the real one: the end's second is included, and the range is rounded up to whole intervals.
        count = -(-(end + timedelta(seconds=1) - start) // step)
        intervals = [(start + at * step).strftime("%Y-%m-%dT%H:%M:%SZ") for at in range(count)]
        groups = [
            {
                "by": {"session.status": status},
                "totals": {asked["field"]: total},
                "series": {asked["field"]: self.series[status]},
            }
            for status, total in self.totals.items()
        ]
        return httpx.Response(200, json={"groups": groups, "intervals": intervals, "query": asked["query"]})


def source(respond: Respond, spec: SentrySource = SPEC) -> SentryMetrics:
    return SentryMetrics(spec, SentryWorld().root, {"T": "token"}, transport=httpx.MockTransport(respond))


def test_users_of_one_release_by_status() -> None:
    seen: list[httpx.Request] = []
    health = Health({"healthy": [90], "crashed": [4], "errored": [5], "abnormal": [1]})

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return health(request)

    found = source(respond, replace(SPEC, environment="prod & test")).read(QUERY)
    assert (found.bad, found.total, found.newest_at) == (4, 100, END)
    assert seen[0].url.path == "/api/0/organizations/acme/sessions/"
    assert seen[0].headers["Authorization"] == "Bearer token"
    assert dict(health.asked[0]) == {
        "project": "42",
        "field": "count_unique(user)",
        "groupBy": "session.status",
        "query": 'release:"app@1.4.2"',
        "interval": "1h",
        "start": "2026-11-21T00:00:00",
        "end": "2026-11-21T00:59:59",
        "utc": "true",
        "environment": "prod & test",
    }


@pytest.mark.parametrize(
    ("bad", "count"),
    [(("crashed",), 4), (("crashed", "abnormal"), 5), (("errored",), 12), (("crashed", "errored", "abnormal"), 17)],
)
def test_bad_statuses(bad: tuple[str, ...], count: int) -> None:
    health = Health({"healthy": [83], "crashed": [4], "errored": [5], "abnormal": [1], "unhandled": [7]})
    found = source(health, replace(SPEC, bad=bad)).read(QUERY)
    assert (found.bad, found.total) == (count, 100)


def test_sessions() -> None:
    health = Health({"healthy": [90], "crashed": [4]})
    assert source(health, replace(SPEC, unit="session")).read(QUERY).total == 94
    assert health.asked[0]["field"] == "sum(session)"


def at(start: timedelta, end: timedelta) -> MetricQuery:
    return replace(QUERY, start=START + start, end=START + end)


@pytest.mark.parametrize(
    ("query", "start", "end", "interval"),
    [
        (at(timedelta(minutes=59), timedelta(hours=3, minutes=59)), "2026-11-21T00:00:00", "2026-11-21T02:59:59", "1h"),
        (at(timedelta(), timedelta(hours=MOST_HOURS)), "2026-11-21T00:00:00", "2026-12-30T23:59:59", "1h"),
        (at(timedelta(hours=5), timedelta(hours=MOST_HOURS + 6)), "2026-11-21T00:00:00", "2026-12-30T23:59:59", "1d"),
    ],
)
def test_both_ends_are_rounded_down(query: MetricQuery, start: str, end: str, interval: str) -> None:
    health = Health({"healthy": [1]})
    source(health).read(query)
    assert [health.asked[0][name] for name in ("start", "end", "interval")] == [start, end, interval]


def test_a_window_without_a_whole_hour_asks_nothing() -> None:
    health = Health({})
    found = source(health).read(at(timedelta(minutes=1), timedelta(minutes=59)))
    assert (found.bad, found.total, found.digest, health.asked) == (None, None, None, [])
    assert "no whole hour in the window" in found.query


@pytest.mark.parametrize(
    ("series", "newest"),
    [
        ([3, 0, 0], START + timedelta(hours=1)),
        ([1, 1, 0], START + timedelta(hours=2)),
        ([0, 0, 9], START + timedelta(hours=3)),
        ([0, 0, None], None),
    ],
)
def test_the_newest_is_the_end_of_the_last_hour_with_anything(series: list[int], newest: datetime | None) -> None:
    found = source(Health({"healthy": series}, {"healthy": 5})).read(at(timedelta(), timedelta(hours=3, minutes=20)))
    assert found.newest_at == newest


def test_nobody_is_no_data() -> None:
    health = Health({"healthy": [0], "crashed": [0], "errored": [0], "abnormal": [0]})
    assert (source(health).read(QUERY).bad, source(health).read(QUERY).total) == (None, None)
    nulls = Health({"healthy": [None]}, {"healthy": None})
    assert source(nulls).read(QUERY).total is None


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (Health({"healthy": [9], "exploded": [1]}), "session.status exploded"),
        (Health({"healthy": [9], "crashed": [None]}, {"healthy": 9, "crashed": None}), "no count for some statuses"),
        (Health({"healthy": [9]}, {"healthy": 9.5}), "whole number"),
        (Health({"healthy": [9]}, {"healthy": "9"}), "is not a number"),
    ],
)
def test_what_is_no_count_is_an_error(health: Health, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        source(health).read(QUERY)


@pytest.mark.parametrize("intervals", [[], ["2026-11-21T01:00:00Z"], ["2026-11-21T00:00:00Z", "2026-11-21T01:00:00Z"]])
def test_another_window_than_asked_is_an_error(intervals: list[str]) -> None:
    answer = {**SentryWorld().answer({"healthy": 9}), "intervals": intervals}
    with pytest.raises(SourceError, match=r"expected: 1 intervals from 2026-11-21T00:00:00"):
        source(lambda _: httpx.Response(200, json=answer)).read(QUERY)


def test_a_status_that_comes_twice() -> None:
    answer = SentryWorld().answer({"healthy": 9})
    with pytest.raises(SourceError, match=r"session\.status healthy"):
        source(lambda _: httpx.Response(200, json={**answer, "groups": answer["groups"] * 2})).read(QUERY)


@pytest.mark.parametrize("release", ['1.0" OR release:"*', "1.*", "1\\", "1\n2"])
def test_releases_that_would_be_syntax_are_refused(release: str) -> None:
    health = Health({"healthy": [9]})
    with pytest.raises(SourceError, match="release 'app@"):
        source(health).read(replace(QUERY, release=release))
    assert health.asked == []


@pytest.mark.parametrize(
    "query", [replace(QUERY, ask=Ask.VALUE), replace(QUERY, ask=Ask.SPLIT), replace(QUERY, over=timedelta(1))]
)
def test_other_gates_are_refused(query: MetricQuery) -> None:
    with pytest.raises(SourceError, match="expected: a gate with `max` or `min`"):
        source(Health({"healthy": [9]})).read(query)
