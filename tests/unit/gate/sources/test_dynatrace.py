"""What Dynatrace's metrics API answers, by the letter."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from otagate.gate.interface import Measurement, SourceError
from otagate.gate.sources.dynatrace import DynatraceMetrics
from otagate.policy.model.vendors import Asked, DynatraceSource
from support.vendor_world import END, NEWEST, QUERY, START, VALUE_QUERY, Clock, Respond
from support.vendor_worlds import DynatraceWorld

AT = int(END.timestamp()) * 1000
ASKED = Asked("bad", "total", "value")


def answer(*series: Any, **more: Any) -> dict[str, Any]:
    metric = {"metricId": "ext:x", "data": list(series)}
    return {"totalCount": len(series), "nextPageKey": None, "resolution": "Inf", "result": [metric], **more}


def one(*values: Any, times: list[Any] | None = None) -> dict[str, Any]:
    return {"dimensions": [], "dimensionMap": {}, "timestamps": times or [AT] * len(values), "values": list(values)}


def read(respond: Respond, asked: Asked = ASKED, *, is_value: bool = False) -> Measurement:
    spec = DynatraceSource("https://abc.live.dynatrace.test/", "env:T", asked)
    wire = httpx.MockTransport(respond)
    source = DynatraceMetrics(spec, Path(), {"T": "dt0c01.token-of-dynatrace"}, pace=Clock().pace(), transport=wire)
    return source.read(VALUE_QUERY if is_value else QUERY)


def value(document: object) -> float | None:
    return read(lambda _: httpx.Response(200, json=document), is_value=True).value


def test_the_question_is_what_the_policy_says() -> None:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=answer(one(3.0)))

    assert read(respond).total == 3
    params = dict(asked[1].url.params)
    assert params == {"metricSelector": "total", "resolution": "Inf", "from": str(AT - 3_600_000), "to": str(AT)}
    assert asked[1].url.path == "/api/v2/metrics/query"
    assert asked[1].headers["Authorization"] == "Api-Token dt0c01.token-of-dynatrace"


@pytest.mark.parametrize(
    ("document", "number"),
    [
        (answer(one(12.5)), 12.5),
        (answer(one(0)), 0.0),
        (answer(one(None, 7)), 7.0),
        (answer(one(None)), None),
        (answer(one()), None),
        (answer(), None),
        (answer(result=[]), None),
        (answer(one(3), warnings=[]), 3.0),
        (answer(one(3), warnings=None), 3.0),
        (answer(result=[{"metricId": "x", "data": [one(3)], "dimensionCountRatio": 0.99, "dataPointCountRatio": None}]), 3.0),
    ],
)
def test_numbers_are_read(document: object, number: float | None) -> None:
    assert value(document) == number


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (answer(one(3), one(4)), "2 series"),
        (answer(one(3), nextPageKey="AbC"), "more series"),
        (answer(one(3, 4)), "2 points"),
        (answer(one(3), warnings=["The dimension key `releas` is unknown"]), "releas"),
        (answer(result=[{"metricId": "x", "data": [], "warnings": ["no such dimension"]}]), "no such dimension"),
        (answer(result=[{"metricId": "x", "data": [one(3)], "dimensionCountRatio": 1}]), "dimensionCountRatio 1"),
        (answer(result=[{"metricId": "x", "data": [one(3)], "dataPointCountRatio": 2.5}]), "dataPointCountRatio 2.5"),
        (answer(one("NaN")), "another shape"),
        (answer(one(True)), "another shape"),
        (answer(one(1, 2, times=[AT])), "another shape"),
        (answer(one(1, times=["now"])), "another shape"),
        (answer(7), "another shape"),
        (answer({"timestamps": [1]}), "no list"),
        (answer(result=[{"metricId": "x"}]), "no list"),
        (answer(result=[7]), "another document"),
        ({"result": None}, "another document"),
        ([], "another document"),
    ],
)
def test_what_cannot_be_used(document: object, told: str) -> None:
    with pytest.raises(SourceError) as caught:
        value(document)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("start", "end", "sent"),
    [
        (START + timedelta(seconds=30), END, {(0, 3600)}),
        (START + timedelta(seconds=61), END + timedelta(seconds=59), {(60, 3600)}),
        (END - timedelta(seconds=50), END - timedelta(seconds=5), set()),
    ],
)
def test_a_slot_of_a_minute_is_in_a_window_or_not(start: datetime, end: datetime, sent: set[tuple[int, int]]) -> None:
    asked: set[tuple[int, int]] = set()

    def respond(request: httpx.Request) -> httpx.Response:
        began = int(START.timestamp()) * 1000
        window = [(int(request.url.params[name]) - began) // 1000 for name in ("from", "to")]
        asked.add((window[0], window[1]))
        return httpx.Response(200, json=answer(one(3.0)))

    found = DynatraceWorld(ExitStack()).source(respond).read(replace(QUERY, start=start, end=end, metric="crash_rate"))
    assert asked == sent
    assert ("no whole minute in the window" in found.query) is not bool(sent)
    assert found.total == (3 if sent else None)


def test_no_series_of_bad_devices_is_none() -> None:
    world = DynatraceWorld(ExitStack())
    found = world.source(world.answer(total=9, newest=1)).read(QUERY)
    assert (found.bad, found.total, found.newest_at) == (0, 9, NEWEST)


def test_the_age_is_asked_in_finer_steps_and_is_never_in_the_future() -> None:
    resolutions: list[str | None] = []

    def respond(request: httpx.Request) -> httpx.Response:
        resolutions.append(request.url.params.get("resolution"))
        if request.url.params["metricSelector"] == "newest":
            return httpx.Response(200, json=answer(one(1, 2, None, times=[AT + 60_000, AT - 60_000, AT + 120_000])))
        return httpx.Response(200, json=answer(one(9)))

    assert read(respond, Asked("bad", "total", newest="newest")).newest_at == END
    assert resolutions == ["Inf", "Inf", None]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error": {"code": 400, "message": "unknown metric key"}}, "HTTP 400: unknown metric key"),
        ({"error": "x"}, "HTTP 400\n"),
        ({"error": {"message": 7}}, "HTTP 400\n"),
        ([], "HTTP 400\n"),
    ],
)
def test_a_refusal_says_why(body: object, told: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(lambda _: httpx.Response(400, json=body))
    assert told in str(caught.value)
