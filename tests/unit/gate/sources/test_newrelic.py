from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from otagate.gate.interface import SourceError
from otagate.gate.sources.newrelic import NewRelicMetrics
from otagate.policy.model.vendors import Asked, NewRelicSource
from support.vendor_world import NEWEST, QUERY, VALUE_QUERY, Respond
from support.vendor_worlds_cloud import NewRelicWorld, body_of

WINDOW = "SINCE 1795219200000 UNTIL 1795222800000"


def rows(*found: object) -> httpx.Response:
    return httpx.Response(200, json={"data": {"actor": {"account": {"nrql": {"results": list(found)}}}}})


def source(respond: Respond, bad: str = "bad", total: str = "total", **options: Any) -> NewRelicMetrics:
    spec = NewRelicSource(7, "env:K", Asked(bad, total), **options)
    return NewRelicMetrics(spec, NewRelicWorld().root, {"K": "key"}, transport=httpx.MockTransport(respond))


def asked_of(total: str) -> str:
    queries: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        queries.append(body_of(request)["variables"]["nrql"])
        return rows({"count": 1})

    source(respond, total=total).read(QUERY)
    return queries[1]


def test_nerdgraph_is_asked_with_variables() -> None:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return rows({"uniqueCount.device": 3})

    source(respond).read(QUERY)
    body = body_of(seen[0])
    assert str(seen[0].url) == "https://api.newrelic.com/graphql"
    assert seen[0].headers["API-Key"] == "key"
    assert body["variables"] == {"account": 7, "nrql": f"bad {WINDOW}", "timeout": 15}
    assert "$nrql: Nrql!" in body["query"]


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"region": "eu"}, "https://api.eu.newrelic.com/graphql"),
        ({"url": "https://proxy.example/"}, "https://proxy.example/graphql"),
    ],
)
def test_places(options: dict[str, str], url: str) -> None:
    seen = set()

    def respond(request: httpx.Request) -> httpx.Response:
        seen.add(str(request.url))
        return rows({"count": 3})

    source(respond, **options).read(QUERY)
    assert seen == {url}


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("SELECT count(*) FROM Mobile", f"SELECT count(*) FROM Mobile {WINDOW}"),
        ("SELECT count(*) FROM A WHERE b = 'since until'", f"SELECT count(*) FROM A WHERE b = 'since until' {WINDOW}"),
        ("SELECT count(*) FROM A -- since", f"SELECT count(*) FROM A -- since\n {WINDOW}"),
        ("SELECT a FROM A SINCE {start_ms} UNTIL {end_ms}", f"SELECT a FROM A {WINDOW}"),
        ("SELECT a FROM A SINCE {start_unix} UNTIL {end_unix} ", "SELECT a FROM A SINCE 1795219200 UNTIL 1795222800 "),
    ],
)
def test_the_window_of_the_gate_is_added(written: str, sent: str) -> None:
    assert asked_of(written) == sent


@pytest.mark.parametrize("written", ["SELECT a FROM A SINCE 1 day ago", "SELECT a FROM A until 5 minutes ago"])
def test_other_windows_are_refused(written: str) -> None:
    with pytest.raises(SourceError, match="a window of its own"):
        asked_of(written)


@pytest.mark.parametrize("written", ["SELECT a FROM A TIMESERIES", "SELECT a FROM A COMPARE  WITH 1 day ago"])
def test_series_are_refused(written: str) -> None:
    with pytest.raises(SourceError, match="TIMESERIES"):
        asked_of(written)


def test_a_value_that_would_end_its_literal_is_refused() -> None:
    with pytest.raises(SourceError, match="cannot stand"):
        NewRelicWorld().echoing().read(QUERY.__class__("m", "a", "c", "1' OR 1=1", QUERY.start, QUERY.end, 1))


@pytest.mark.parametrize("nothing", [rows(), rows({"latest.x": None})])
def test_shapes_of_no_data(nothing: httpx.Response) -> None:
    found = source(lambda _: nothing).read(QUERY)
    assert (found.bad, found.total) == (None, None)


def test_more_than_a_number_is_an_error() -> None:
    with pytest.raises(SourceError, match="2 columns: facet, count"):
        source(lambda _: rows({"facet": "ios", "count": 3})).read(QUERY)


@pytest.mark.parametrize(
    "said",
    [
        {"errors": [{"message": "NRQL Syntax Error: Error at line 1"}], "data": {"actor": {"account": {"nrql": None}}}},
        {"errors": [{"message": "NRQL Syntax Error"}], "data": {"actor": {"account": {"nrql": {"results": [{"a": 1}]}}}}},
        {"errors": "NRQL Syntax Error"},
        {"errors": ["NRQL Syntax Error"]},
    ],
)
def test_errors_beside_http_200(said: object) -> None:
    with pytest.raises(SourceError, match="NRQL Syntax Error"):
        source(lambda _: httpx.Response(200, json=said)).read(QUERY)


NOTHING = "No events found -- do you have the correct event type and time range?"


@pytest.mark.parametrize("metadata", [None, {}, {"messages": None}, {"messages": []}, {"messages": [NOTHING]}])
def test_remarks_that_are_no_warnings(metadata: object) -> None:
    found = {"results": [{"count": 3}], "metadata": metadata}
    said = {"data": {"actor": {"account": {"nrql": found}}}}
    assert source(lambda _: httpx.Response(200, json=said)).read(QUERY).total == 3


@pytest.mark.parametrize("messages", [["Expressions can't be transformed"], [NOTHING, "Expressions can't be transformed"]])
def test_a_warning_is_no_evidence(messages: list[str]) -> None:
    said = {"data": {"actor": {"account": {"nrql": {"results": [{"count": 3}], "metadata": {"messages": messages}}}}}}
    with pytest.raises(SourceError, match="a warning: Expressions can't be transformed"):
        source(lambda _: httpx.Response(200, json=said)).read(QUERY)


@pytest.mark.parametrize("extensions", [None, {}, {"errorClass": "BAD_USER_INPUT"}, "TIMEOUT"])
def test_errors_that_stay_are_not_asked_again(extensions: object) -> None:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"errors": [{"message": "unknown function", "extensions": extensions}]})

    with pytest.raises(SourceError, match="unknown function"):
        source(respond).read(QUERY)
    assert len(asked) == 1


def test_errors_with_a_status() -> None:
    with pytest.raises(SourceError, match="HTTP 400: bad variables"):
        source(lambda _: httpx.Response(400, json={"errors": [{"message": "bad variables"}]})).read(QUERY)
    with pytest.raises(SourceError, match=r"HTTP 400\n"):
        source(lambda _: httpx.Response(400, json=[])).read(QUERY)


@pytest.mark.parametrize("level", ["actor", "account", "nrql"])
def test_an_account_that_cannot_be_read(level: str) -> None:
    text = json.dumps({"data": {"actor": {"account": {"nrql": {}}}}})
    cut = text[: text.index(f'"{level}": ')] + f'"{level}": null' + "}" * ["actor", "account", "nrql"].index(level) + "}}"
    with pytest.raises(SourceError, match=f"`{level}` is not an object"):
        source(lambda _: httpx.Response(200, content=cut.encode())).read(QUERY)


def test_newest() -> None:
    assert NewRelicWorld().counting(1, 2).read(QUERY).newest_at == NEWEST


@pytest.mark.parametrize(
    ("query", "row", "told"),
    [
        ("SELECT percentile(duration, 95) FROM A", {"percentile.duration": {"95": 0.25}}, 0.25),
        ("SELECT PERCENTILE (duration, 95) AS 'p' FROM A", {"p": {"95": 0.25}}, 0.25),
        ("SELECT percentile(duration, 95) FROM A", {"percentile.duration": {"95": None}}, None),
        ("SELECT percentile(duration, 95) FROM A", {"percentile.duration": None}, None),
        ("SELECT average(duration) FROM A", {"average.duration": 0.25}, 0.25),
    ],
)
def test_a_percentile_stands_below_its_percentage(query: str, row: object, told: float | None) -> None:
    spec = NewRelicSource(7, "env:K", Asked(value=query))
    wire = httpx.MockTransport(lambda _: rows(row))
    assert NewRelicMetrics(spec, NewRelicWorld().root, {"K": "key"}, transport=wire).read(VALUE_QUERY).value == told


@pytest.mark.parametrize(
    ("query", "row"),
    [
        ("SELECT percentile(duration, 50, 95) FROM A", {"percentile.duration": {"50": 0.1, "95": 0.25}}),
        ("SELECT percentile(duration, 95) FROM A", {"percentile.duration": {}}),
        ("SELECT percentile(duration, 95) FROM A", {"percentile.duration": {"95": "0.25"}}),
        ("SELECT histogram(duration, 10, 1) FROM A", {"histogram.duration": {"0": 50}}),
        ("SELECT histogram(duration, 10, 1) FROM A WHERE b = 'percentile('", {"histogram.duration": {"0": 50}}),
    ],
)
def test_other_objects_are_no_number(query: str, row: object) -> None:
    spec = NewRelicSource(7, "env:K", Asked(value=query))
    wire = httpx.MockTransport(lambda _: rows(row))
    with pytest.raises(SourceError, match="is not a number"):
        NewRelicMetrics(spec, NewRelicWorld().root, {"K": "key"}, transport=wire).read(VALUE_QUERY)
