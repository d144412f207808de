from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from otagate.gate.interface import Ask, SourceError
from otagate.gate.sources.datadog import DatadogMetrics
from otagate.policy.model.vendors import Asked, DatadogSource
from support.vendor_world import QUERY
from support.vendor_worlds_cloud import DatadogWorld, body_of


def answer(*columns: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"data": {"type": "scalar_response", "attributes": {"columns": list(columns)}}})


def number(*values: object) -> dict[str, Any]:
    return {"name": "a", "type": "number", "values": list(values), "meta": {"unit": None}}


GROUP = {"name": "platform", "type": "group", "values": [["platform:ios"]]}


def test_one_scalar_request_sums_the_window() -> None:
    asked: list[httpx.Request] = []
    world = DatadogWorld()

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return world.says(1, 9)(request)

    world.source(respond).read(QUERY)
    assert str(asked[0].url) == "https://api.datadoghq.com/api/v2/query/scalar"
    assert (asked[0].headers["DD-API-KEY"], asked[0].headers["DD-APPLICATION-KEY"]) == world.secrets
    assert body_of(asked[0]) == {
        "data": {
            "type": "scalar_request",
            "attributes": {
                "from": 1795219200000,
                "to": 1795222800000,
                "queries": [
                    {"data_source": "metrics", "name": "a", "query": "bad{version:1.4.2}", "aggregator": "sum"},
                ],
                "formulas": [{"formula": "a"}],
            },
        }
    }


@pytest.mark.parametrize(
    ("given", "ask", "used"),
    [
        ("sum", Ask.COUNTS, ["sum", "sum", "max"]),
        ("last", Ask.COUNTS, ["last", "last", "max"]),
        ("sum", Ask.VALUE, ["avg", "max"]),
        ("percentile", Ask.VALUE, ["percentile", "max"]),
    ],
)
def test_aggregators(given: str, ask: Ask, used: list[str]) -> None:
    world, seen = DatadogWorld(), []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(body_of(request)["data"]["attributes"]["queries"][0]["aggregator"])
        return world.says(1, 9)(request)

    spec = DatadogSource("env:A", "env:B", world.asked, aggregator=given)
    wire = httpx.MockTransport(respond)
    DatadogMetrics(spec, world.root, {"A": "a", "B": "b"}, transport=wire).read(replace(QUERY, ask=ask))
    assert seen == used


@pytest.mark.parametrize(
    ("url", "site", "asked"),
    [
        (None, "us5.datadoghq.com", "https://api.us5.datadoghq.com/api/v2/query/scalar"),
        ("https://proxy.example/dd/", "datadoghq.com", "https://proxy.example/dd/api/v2/query/scalar"),
    ],
)
def test_sites(url: str | None, site: str, asked: str) -> None:
    world, seen = DatadogWorld(), set()

    def respond(request: httpx.Request) -> httpx.Response:
        seen.add(str(request.url))
        return world.says(1, 9)(request)

    spec = DatadogSource("env:A", "env:B", Asked("bad{}", "total{}"), site=site, aggregator="max", url=url)
    DatadogMetrics(spec, world.root, {"A": "a", "B": "b"}, transport=httpx.MockTransport(respond)).read(QUERY)
    assert seen == {asked}


@pytest.mark.parametrize(
    "nothing", [answer(), answer(number()), answer(number(None)), answer({**GROUP, "values": []}, number())]
)
def test_shapes_of_no_data(nothing: httpx.Response) -> None:
    found = DatadogWorld().source(lambda _: nothing).read(QUERY)
    assert (found.bad, found.total) == (None, None)


def test_one_group_is_one_series() -> None:
    assert DatadogWorld().source(lambda _: answer(GROUP, number(1795219200))).read(QUERY).total == 1795219200


def test_several_numbers_are_several_series() -> None:
    with pytest.raises(SourceError, match="2 series"):
        DatadogWorld().source(lambda _: answer(number(1), number(2))).read(QUERY)


def test_errors_beside_http_200() -> None:
    said = {"data": {"type": "scalar_response", "attributes": {"columns": [number(1)]}}, "errors": "query\n timed out"}
    with pytest.raises(SourceError, match="query timed out"):
        DatadogWorld().source(lambda _: httpx.Response(200, json=said)).read(QUERY)


@pytest.mark.parametrize(
    ("meta", "words"),
    [({"status": "timeout"}, "status timeout"), ({"warnings": [{"detail": "too many groups"}]}, "too many groups")],
)
def test_a_part_is_no_evidence(meta: object, words: str) -> None:
    said = {"data": {"type": "scalar_response", "attributes": {"columns": [number(1)]}}, "meta": meta}
    with pytest.raises(SourceError, match=words):
        DatadogWorld().source(lambda _: httpx.Response(200, json=said)).read(QUERY)


@pytest.mark.parametrize("meta", [None, {}, {"status": "done"}, {"warnings": []}])
def test_other_remarks_are_none(meta: object) -> None:
    said = {"data": {"type": "scalar_response", "attributes": {"columns": [number(1)]}}, "meta": meta}
    assert DatadogWorld().source(lambda _: httpx.Response(200, json=said)).read(QUERY).total == 1


@pytest.mark.parametrize(("told", "waits"), [("11", [11.0]), ("1795260000", [0.0])])  # the second is an instant, not seconds
def test_the_reset_of_a_rate_limit_is_waited_for(told: str, waits: list[float]) -> None:
    world = DatadogWorld()
    refusals = [httpx.Response(429, headers={"X-RateLimit-Reset": told}, json={"errors": ["Rate limit exceeded"]})]
    source = world.source(lambda request: refusals.pop() if refusals else world.says(1, 9)(request))
    assert source.read(QUERY).total == 9
    assert world.clock.waits == waits


def test_no_key() -> None:
    spec = DatadogSource("env:A", "env:B", Asked("bad{}", "total{}"))
    with pytest.raises(SourceError, match="application_key"):
        DatadogMetrics(spec, DatadogWorld().root, {"A": "a"}).read(QUERY)
