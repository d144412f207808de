from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from otagate._clock import from_text, to_text
from otagate.gate.interface import Ask, MetricQuery, SourceError
from support.vendor_world import QUERY, START
from support.vendor_worlds_cloud import CapgoWorld, body_of

WORLD = CapgoWorld()
INSTALLS = replace(QUERY, metric="device_success_rate")
event = WORLD.event


class Log:
    """Events, in order, as Capgo gives them: from an instant on, so many at once."""

    def __init__(self, *events: dict[str, Any]) -> None:
        self.events = sorted(events, key=lambda one: str(one["created_at"]))
        self.asked: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = body_of(request)
        self.asked.append(body)
        since = from_text(body["rangeStart"])
        found = [one for one in self.events if from_text(one["created_at"]) >= since]
        return httpx.Response(200, json=found[: body["limit"]])


def test_the_events_are_asked_as_the_sdk_does() -> None:
    seen: list[httpx.Request] = []
    log = Log()

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return log(request)

    WORLD.source(respond).read(INSTALLS)
    assert str(seen[0].url) == "https://api.capgo.app/private/stats"
    assert seen[0].headers["capgkey"] == WORLD.secrets[0]
    actions = log.asked[0].pop("actions")
    assert {"set", "update_fail", "checksum_fail"} <= set(actions)
    assert "download_fail" not in actions
    assert log.asked[0] == {
        "appId": "com.example.app",
        "search": "1.4.2",
        "rangeStart": "2026-11-21T00:00:00.000000Z",
        "rangeEnd": "2026-11-21T01:00:00.000000Z",
        "order": [{"key": "created_at", "sortable": "asc"}],
        "limit": 1000,
    }


def test_a_device_counts_once() -> None:
    log = Log(
        *[event(1, "set"), event(1, "set"), event(1, "update_fail"), event(1, "update_fail")],
        event(2, "set"),
        event(3, "checksum_fail"),
    )
    found = WORLD.source(log).read(INSTALLS)
    assert (found.bad, found.total, found.newest_at) == (2, 3, START + timedelta(minutes=20))


def test_only_this_release_in_this_window() -> None:
    log = Log(
        event(1, "set"),
        event(2, "set", "1.4.20"),
        event(3, "set", "11.4.2"),
        event(4, "download_manifest_checksum_fail", "1.4.2:assets/main.js"),
        event(5, "set", at="2026-11-21T01:00:00Z"),
        event(6, "download_fail"),
    )
    found = WORLD.source(log).read(INSTALLS)
    assert (found.bad, found.total) == (1, 2)


@pytest.mark.parametrize(
    ("metric", "bad", "total"), [("crash_rate", 1, 3), ("error_rate", 1, 2), ("device_success_rate", 1, 2)]
)
def test_metrics(metric: str, bad: int, total: int) -> None:
    log = Log(
        *[event(1, "app_launch_ready"), event(2, "app_launch_ready")],
        *[event(3, "app_crash"), event(2, "webview_javascript_error")],
        *[event(8, "set"), event(9, "update_fail")],
    )
    found = WORLD.source(log).read(replace(QUERY, metric=metric))
    assert (found.bad, found.total) == (bad, total)


def test_plugins_that_cannot_tell_of_crashes_are_not_taken_for_healthy() -> None:
    assert WORLD.source(Log(event(1, "set"), event(2, "set"))).read(QUERY).total is None


def seconds(number: int, *, each: int = 1) -> list[dict[str, Any]]:
    return [event(at, "set", at=f"2026-11-21T00:{at // each // 60:02}:{at // each % 60:02}Z") for at in range(number)]


@pytest.mark.parametrize("number", [999, 1000, 1001, 2500])
def test_pages(number: int) -> None:
    log = Log(*seconds(number))
    found = WORLD.source(log).read(INSTALLS)
    assert (found.bad, found.total) == (0, number)
    assert found.newest_at == START + timedelta(seconds=number - 1)


def test_an_empty_page_where_an_event_is_known_is_an_error() -> None:
    """The service answers its own failures with an empty list: it must not be taken for the end."""
    log = Log(*seconds(1500))

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[]) if log.asked else log(request)

    with pytest.raises(SourceError, match="a page of events that is empty"):
        WORLD.source(respond).read(INSTALLS)


def test_more_events_in_an_instant_than_a_page() -> None:
    with pytest.raises(SourceError, match="more than 1000 events an instant"):
        WORLD.source(Log(*seconds(3000, each=3000))).read(INSTALLS)


def test_more_events_than_are_read() -> None:
    asked: list[datetime] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(from_text(body_of(request)["rangeStart"]))
        rows = [event(at, "set", at=to_text(asked[-1] + timedelta(microseconds=at))) for at in range(1000)]
        return httpx.Response(200, json=rows)

    with pytest.raises(SourceError, match="50000 in the window"):
        WORLD.source(respond).read(INSTALLS)
    assert asked[-1] == START + timedelta(microseconds=49 * 999)


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-11-21 00:25:07", START + timedelta(minutes=25, seconds=7)),
        ("2026-11-21T01:25:07+01:00", START + timedelta(minutes=25, seconds=7)),
        ("2026-11-21T00:25:07.25Z", START + timedelta(minutes=25, seconds=7.25)),
    ],
)
def test_instants(written: str, instant: datetime) -> None:
    found = WORLD.source(lambda _: httpx.Response(200, json=[event(1, "set", at=written)])).read(INSTALLS)
    assert found.newest_at == instant


@pytest.mark.parametrize(
    "row",
    [
        7,
        {},
        {**event(1, "set"), "device_id": None},
        {**event(1, "set"), "version_name": 7},
        {**event(1, "set"), "created_at": "yesterday"},
        {**event(1, "set"), "created_at": 1763717400},
    ],
)
def test_what_is_no_event_is_an_error(row: object) -> None:
    with pytest.raises(SourceError, match="is not"):
        WORLD.source(lambda _: httpx.Response(200, json=[row])).read(INSTALLS)


@pytest.mark.parametrize(
    "query",
    [
        replace(QUERY, metric="adoption_24h"),
        replace(QUERY, metric="my_crashes"),
        replace(QUERY, ask=Ask.VALUE),
        replace(QUERY, ask=Ask.SPLIT),
        replace(QUERY, over=timedelta(seconds=45)),
        replace(QUERY, release="1.0\n2"),
        replace(QUERY, release="1" * 600),
    ],
)
def test_what_it_does_not_know_is_refused(query: MetricQuery) -> None:
    log = Log()
    with pytest.raises(SourceError, match=r"expected: (counts for device_success_rate, crash_rate, error_rate|a version)"):
        WORLD.source(log).read(query)
    assert log.asked == []


def test_a_refusal_without_words() -> None:
    with pytest.raises(SourceError, match=r"HTTP 400\n"):
        WORLD.source(lambda _: httpx.Response(400, json=[])).read(INSTALLS)
