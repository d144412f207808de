"""What Prometheus and its relatives answer, by the letter."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from otagate.gate.interface import Measurement, SourceError
from otagate.gate.sources.prometheus import PrometheusMetrics
from otagate.policy.model.vendors import Asked, CloudAuth, PrometheusSource
from support.identities import World
from support.vendor_world import END, QUERY, Clock, Respond
from support.vendor_worlds import GoogleWorld, PrometheusWorld

ASKED = Asked("bad", "total")
USER = "user:pass-word-1@"


def vector(*values: str) -> dict[str, Any]:
    rows = [{"metric": {"at": str(at)}, "value": [END.timestamp(), value]} for at, value in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": rows}}


def read(respond: Respond, user: str = "", **more: Any) -> Measurement:
    spec = PrometheusSource(f"https://{user}prom.test/prometheus/", ASKED, **more)
    wire = httpx.MockTransport(respond)
    return PrometheusMetrics(spec, Path(), {"T": "Bearer abc-def-ghi"}, pace=Clock().pace(), transport=wire).read(QUERY)


def failure(answer: object, status: int = 200) -> str:
    with pytest.raises(SourceError) as caught:
        read(lambda _: httpx.Response(status, json=answer))
    return str(caught.value)


def test_the_question_is_what_the_policy_says() -> None:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=vector("3"))

    found = read(respond, headers=(("Authorization", "env:T"), ("X-Scope-OrgID", "acme")))
    assert [request.url.path for request in asked] == ["/prometheus/api/v1/query"] * 2
    assert [request.url.params["query"] for request in asked] == ["bad", "total"]
    assert {request.url.params["time"] for request in asked} == {"1795222799.999"}
    assert {(request.headers["Authorization"], request.headers["X-Scope-OrgID"]) for request in asked} == {
        ("Bearer abc-def-ghi", "acme")
    }
    assert found.query == "Prometheus https://prom.test/prometheus from 1795219200 to 1795222800; bad = bad; total = total"


def test_long_questions_are_forms() -> None:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=vector("3"))

    spec = PrometheusSource("https://prom.test", Asked("x" * 3000, "total"))
    found = PrometheusMetrics(spec, Path(), {}, transport=httpx.MockTransport(respond)).read(QUERY)
    assert [request.method for request in asked] == ["POST", "GET"]
    assert asked[0].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked[0].content.decode() == f"query={'x' * 3000}&time=1795222799.999"
    assert len(found.query) < 500


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        ({"status": "error", "errorType": "bad_data", "error": "parse error: x"}, 400, "HTTP 400: bad_data: parse error: x"),
        (
            {"status": "error", "errorType": "timeout", "error": "took too long"},
            503,
            "HTTP 503: timeout: took too long (3 tries)",
        ),
        (
            {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "no permission"}},
            403,
            "HTTP 403: PERMISSION_DENIED: no permission",
        ),
        ({"status": "error", "errorType": "execution"}, 200, "execution"),
        ({"status": "error"}, 200, "no answer of Prometheus"),
        ([], 200, "no answer of Prometheus"),
        ({**vector("3"), "warnings": ["No StoreAPIs matched: partial response"]}, 200, "partial response"),
        ({**vector("3"), "isPartial": True}, 200, "isPartial"),
        (vector("3", "4", "5"), 200, "3 series"),
        (vector("NaN"), 200, "total = nan"),
        (vector("+Inf"), 200, "total = inf"),
        (vector("many"), 200, "'many'"),
        (vector("2.5"), 200, "round in the query"),
        ({"status": "success", "data": {"resultType": "matrix", "result": []}}, 200, "a matrix"),
        ({"status": "success", "data": {"resultType": "vector", "result": {}}}, 200, "a vector"),
        ({"status": "success", "data": {"resultType": "vector", "result": [7]}}, 200, "no sample"),
        ({"status": "success", "data": {"resultType": "vector", "result": [{"histogram": [1, {}]}]}}, 200, "histogram_count"),
        ({"status": "success", "data": {"resultType": "scalar", "result": [1, 2]}}, 200, "no sample"),
    ],
)
def test_what_cannot_be_used(answer: object, status: int, told: str) -> None:
    assert told in failure(answer, status)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"7", b'{"error": 7, "errorType": ""}'])
def test_a_refusal_without_a_reason(body: bytes) -> None:
    with pytest.raises(SourceError, match=r"HTTP 422\n"):
        read(lambda _: httpx.Response(422, content=body))


def test_hints_about_a_query_are_no_part_of_an_answer() -> None:
    whole = {**vector("3"), "infos": ["might not be a counter"], "isPartial": False, "warnings": []}
    assert read(lambda _: httpx.Response(200, json=whole)).total == 3


def test_passwords_of_addresses_are_not_shown() -> None:
    with pytest.raises(SourceError) as caught:
        read(lambda _: httpx.Response(200, json={**vector("3"), "warnings": ["for user:pass-word-1"]}), USER)
    assert "pass-word-1" not in str(caught.value)
    with pytest.raises(SourceError) as caught:
        read(lambda _: httpx.Response(400, json={"status": "error", "error": "who is pass-word-1?"}), USER)
    assert "who is ***?" in str(caught.value)
    assert "pass-word-1" not in repr(read(lambda _: httpx.Response(200, json=vector("3")), USER))


def test_a_server_that_says_nothing_of_bad_devices_counted_none() -> None:
    world = PrometheusWorld(ExitStack())
    found = world.source(world.answer(total=12, newest=END.timestamp())).read(QUERY)
    assert (found.bad, found.total) == (0, 12)
    assert found.query.endswith("(bad: no series, read as 0)")


def test_age_that_is_asked_must_be_told() -> None:
    world = PrometheusWorld(ExitStack())
    with pytest.raises(SourceError, match="no data for `newest`"):
        world.source(world.answer(bad=0, total=12)).read(QUERY)
    assert world.source(world.answer(bad=0, total=0)).read(QUERY).newest_at is None


def test_amazon_is_asked_with_a_signature() -> None:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=vector("3"))

    url = "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1"
    spec = PrometheusSource(url, ASKED, auth=CloudAuth.AWS, region="eu-central-1")
    environ = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI"}
    wire = httpx.MockTransport(respond)
    found = PrometheusMetrics(spec, Path(), environ, transport=wire, outside=World().outside()).read(QUERY)
    assert found.total == 3
    assert "/eu-central-1/aps/aws4_request" in asked[0].headers["Authorization"]
    assert "wJalrXUtnFEMI" not in repr(found)


def test_no_identity_is_an_error() -> None:
    spec = PrometheusSource("https://prom.test", ASKED, auth=CloudAuth.AWS, region="eu-central-1")
    source = PrometheusMetrics(spec, Path(), {"HOME": "/nowhere"}, outside=World().outside())
    with pytest.raises(SourceError, match="no identity"):
        source.read(QUERY)


@pytest.mark.parametrize("url", ["https://[", "ftp://prom.test", "prom.test", "", "https://x:99999999", "https://x\0y"])
@pytest.mark.parametrize("auth", CloudAuth)
def test_what_is_no_address(url: str, auth: CloudAuth) -> None:
    source = PrometheusMetrics(PrometheusSource(url, ASKED, auth=auth), Path(), {}, pace=Clock().pace())
    with pytest.raises(SourceError, match="no http or https URL"):
        source.read(QUERY)


def test_the_window_follows_the_question() -> None:
    asked: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["time"])
        return httpx.Response(200, json=vector("3"))

    spec = PrometheusSource("https://prom.test", ASKED)
    source = PrometheusMetrics(spec, Path(), {}, transport=httpx.MockTransport(respond))
    source.read(replace(QUERY, end=END + timedelta(seconds=90, microseconds=5)))
    assert asked == ["1795222889.999"] * 2


def test_google_takes_no_forms() -> None:
    asked: list[httpx.Request] = []
    world = GoogleWorld(ExitStack())
    world.asked = replace(world.asked, bad=f"devices_bad + {'0 + ' * 800} 0")

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return world.says(2, 40)(request)

    assert world.source(respond).read(QUERY).bad == 2
    assert {(request.method, request.content) for request in asked} == {("GET", b"")}
    assert max(len(str(request.url)) for request in asked) > 3000
