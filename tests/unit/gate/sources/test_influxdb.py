"""What InfluxDB answers, by the letter: annotated CSV."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from otagate.gate.interface import Measurement, SourceError
from otagate.gate.sources.influxdb import InfluxdbMetrics
from otagate.policy.model.vendors import Asked, InfluxdbSource
from support.vendor_world import QUERY, VALUE_QUERY, Clock, Respond

HEAD = "#datatype,string,long,double\n#default,_result,,\n,result,table,_value\n"
ERROR = "#datatype,string,string\n#default,,\n,error,reference\n,query ran out of memory,897\n"
ASKED = Asked("bad", "total", "value")


def csv(text: str) -> httpx.Response:
    body = text.replace("\n", "\r\n")
    return httpx.Response(200, content=body.encode(), headers={"Content-Type": "text/csv; charset=utf-8"})


def read(respond: Respond, asked: Asked = ASKED, *, is_value: bool = False) -> Measurement:
    spec = InfluxdbSource("https://influx.test/", "acme", "env:T", asked)
    wire = httpx.MockTransport(respond)
    source = InfluxdbMetrics(spec, Path(), {"T": "token-of-influx=="}, pace=Clock().pace(), transport=wire)
    return source.read(VALUE_QUERY if is_value else QUERY)


def value(text: str) -> float | None:
    return read(lambda _: csv(text), is_value=True).value


def failure(text: str) -> str:
    with pytest.raises(SourceError) as caught:
        value(text)
    return str(caught.value)


def test_the_question_is_what_the_policy_says() -> None:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return csv(f"{HEAD},,0,3\n\n")

    assert read(respond).total == 3
    request = asked[0]
    assert (request.method, str(request.url)) == ("POST", "https://influx.test/api/v2/query?org=acme")
    assert request.headers["Authorization"] == "Token token-of-influx=="
    assert request.headers["Accept"] == "application/csv"
    dialect = {"header": True, "annotations": ["datatype", "default"]}
    sent = {"query": "bad", "type": "flux", "dialect": dialect, "now": "2026-11-21T01:00:00.000000Z"}
    assert json.loads(request.content) == sent


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (f"{HEAD},,0,12.5\n\n", 12.5),
        (f"{HEAD},,0,-1e-3\n", -0.001),
        (HEAD.replace("double", "long") + ",,0,7\n\n", 7.0),
        (HEAD.replace("double", "unsignedLong") + ",,0,7\n\n", 7.0),
        # A column that is named with quotes, a default, and no annotations at all.
        (HEAD.replace("#default,_result,,", "#default,_result,,4") + ",,0,\n\n", 4.0),
        (",result,table,_value\n,,0,9\n\n", 9.0),
        (',result,table,"host, a",_value\n,,0,"x,y",9\n\n', 9.0),
        # A table without a row, and one after it with one.
        (f"{HEAD}\n{HEAD},,0,5\n\n", 5.0),
        ("", None),
        ("\n", None),
        (f"{HEAD}\n", None),
        (f"{HEAD},,0,\n\n", None),
    ],
)
def test_numbers_are_read(text: str, number: float | None) -> None:
    assert value(text) == number


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{HEAD},,0,4\n,,0,5\n\n", "2 rows for value"),
        (f"{HEAD},,0,4\n\n{HEAD},,1,5\n\n", "2 rows for value"),
        (f"{HEAD},,0,NaN\n\n", "value = nan"),
        (f"{HEAD},,0,+Inf\n\n", "value = inf"),
        (f"{HEAD},,0,four\n\n", "'four'"),
        (HEAD.replace("double", "string") + ",,0,4\n\n", "of type string"),
        (HEAD.replace("double", "boolean") + ",,0,true\n\n", "of type boolean"),
        (HEAD.replace("_value", "crashes") + ",,0,4\n\n", "without `_value`"),
        (f"{HEAD},,0\n\n", "3 of 4 columns"),
        (f"{HEAD},,0,4,5\n\n", "5 of 4 columns"),
        (f"{HEAD},,0,12", "breaks off"),
        (f'{HEAD},,0,"12', ""),
        (ERROR, "query ran out of memory"),
        (f"{HEAD},,0,4\n\n{ERROR}", "query ran out of memory"),
    ],
)
def test_what_cannot_be_used(text: str, told: str) -> None:
    assert told in failure(text)


@pytest.mark.parametrize(
    ("content", "kind"), [(b"\xff\xfe\r\n", "text/csv"), (b"{}", "application/json"), (b"", "text/html"), (b"", "")]
)
def test_another_document(content: bytes, kind: str) -> None:
    with pytest.raises(SourceError):
        read(lambda _: httpx.Response(200, content=content, headers={"Content-Type": kind}))


def test_no_row_of_bad_devices_is_not_zero() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return csv("\n" if json.loads(request.content)["query"] == "bad" else f"{HEAD},,0,9\n\n")

    with pytest.raises(SourceError, match="no bad count"):
        read(respond)


@pytest.mark.parametrize(
    ("row", "newest"),
    [
        (",result,table,_time\n,,0,2026-11-21T00:59:00Z\n\n", datetime(2026, 11, 21, 0, 59, tzinfo=UTC)),
        (",result,table,_time,_value\n,,0,2026-11-21T00:59:00Z,1795219200\n\n", datetime(2026, 11, 21, tzinfo=UTC)),
    ],
)
def test_the_age_is_a_time_or_seconds(row: str, newest: datetime) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return csv(row if json.loads(request.content)["query"] == "newest" else f"{HEAD},,0,9\n\n")

    assert read(respond, Asked("bad", "total", newest="newest")).newest_at == newest


@pytest.mark.parametrize(("cell", "told"), [("yesterday", "'yesterday'"), ("", "no data for `newest`")])
def test_what_is_no_age(cell: str, told: str) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        is_newest = json.loads(request.content)["query"] == "newest"
        return csv(f",result,table,_time\n,,0,{cell}\n\n" if is_newest else f"{HEAD},,0,9\n\n")

    with pytest.raises(SourceError) as caught:
        read(respond, Asked("bad", "total", newest="newest"))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("body", "told"),
    [({"code": "invalid", "message": "compilation failed: undefined x"}, "invalid: compilation failed"), ([], "HTTP 400")],
)
def test_a_refusal_says_why(body: object, told: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(lambda _: httpx.Response(400, json=body))
    assert told in str(caught.value)


def test_no_token() -> None:
    spec = InfluxdbSource("https://influx.test/", "acme", "env:T", Asked("bad", "total"))
    with pytest.raises(SourceError, match="set env:T"):
        InfluxdbMetrics(spec, Path(), {}).read(QUERY)
