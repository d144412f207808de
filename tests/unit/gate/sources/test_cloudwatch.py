from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.parsers import create_parser
from botocore.retries import standard
from botocore.serialize import create_serializer
from botocore.session import Session

from otagate.gate.interface import Ask, SourceError
from otagate.gate.sources import cloudwatch
from otagate.gate.sources.cloudwatch import CloudwatchMetrics
from otagate.policy.model.vendors import Asked, CloudwatchSource
from support.vendor_world import END, NEWEST, QUERY, START
from support.vendor_worlds_cloud import CloudwatchWorld, body_of

BEGAN = START.timestamp()
WORLD = CloudwatchWorld()


class Pages:
    """Answers with page after page, each of which names the next."""

    def __init__(self, *pages: Mapping[str, Any]) -> None:
        self.pages = list(pages)
        self.asked: list[dict[str, Any]] = []
        self.headers: list[httpx.Headers] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = body_of(request)
        self.asked.append(body)
        self.headers.append(request.headers)
        at = int(body.get("NextToken", "0"))
        token = {"NextToken": str(at + 1)} if at + 1 < len(self.pages) else {}
        return httpx.Response(200, json={"Messages": [], **self.pages[at], **token})


def page(points: Mapping[float, object], status: str = "Complete", label: str = "q", **more: object) -> dict[str, Any]:
    return {"MetricDataResults": [{**WORLD.result(points, status, label), **more}]}  # type: ignore[arg-type]


def test_the_request_is_signed_and_whole() -> None:
    pages = Pages(page({BEGAN: 3}))
    WORLD.source(pages).read(QUERY)
    assert pages.asked[0] == {
        "MetricDataQueries": [{"Id": "q", "Expression": "bad of '1.4.2'", "Period": 60}],
        "StartTime": 1795219200,
        "EndTime": 1795222800,
        "ScanBy": "TimestampAscending",
        "MaxDatapoints": 10000,
    }
    headers = pages.headers[0]
    assert headers["X-Amz-Target"] == "GraniteServiceVersion20100801.GetMetricData"
    assert headers["Content-Type"] == "application/x-amz-json-1.0"
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target," in headers["Authorization"]
    assert "/eu-central-1/monitoring/" in headers["Authorization"]


def test_the_points_of_all_pages_are_summed() -> None:
    pages = Pages(page({BEGAN: 3, BEGAN + 60: 4.0}, "PartialData"), page({BEGAN + 120: 5}))
    found = WORLD.source(pages).read(QUERY)
    assert (found.bad, found.total) == (12, 12)
    assert found.newest_at == START + timedelta(minutes=3)
    assert [body.get("NextToken") for body in pages.asked] == [None, "1", None, "1"]


def test_plain_numbers_are_the_mean() -> None:
    found = WORLD.source(Pages(page({BEGAN: 10, BEGAN + 60: 15}))).read(replace(QUERY, ask=Ask.VALUE))
    assert (found.value, found.newest_at) == (12.5, START + timedelta(minutes=2))


def test_the_newest_may_be_asked() -> None:
    world = CloudwatchWorld()
    world.asked = Asked("bad", "total", newest="newest")
    answer = page({BEGAN: 7, BEGAN + 60: NEWEST.timestamp()})
    found = world.source(lambda _: httpx.Response(200, json=answer)).read(replace(QUERY, ask=Ask.COUNTS))
    assert found.newest_at == NEWEST


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden", "Novel", None])
def test_what_is_not_complete_is_an_error(status: str) -> None:
    with pytest.raises(SourceError, match=f"StatusCode {status}"):
        WORLD.source(Pages(page({BEGAN: 3}, status))).read(QUERY)


@pytest.mark.parametrize("status", ["InternalError", "Forbidden"])
def test_more_to_come_does_not_excuse_an_error(status: str) -> None:
    with pytest.raises(SourceError, match=f"StatusCode {status}"):
        WORLD.source(Pages(page({BEGAN: 3}, status), page({BEGAN + 60: 3}))).read(QUERY)


MESSAGE = {"Code": "MaxMetricsExceeded", "Value": "Maximum number of allowed metrics exceeded"}


@pytest.mark.parametrize(
    "answer",
    [
        {**page({BEGAN: 3}), "Messages": [MESSAGE]},
        page({BEGAN: 3}, Messages=[MESSAGE]),
        {**page({BEGAN: 3}), "Messages": ["MaxMetricsExceeded"]},
    ],
)
def test_a_message_says_that_something_is_missing(answer: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="MaxMetricsExceeded"):
        WORLD.source(Pages(answer)).read(QUERY)


def test_series_of_different_pages() -> None:
    with pytest.raises(SourceError, match="2 series"):
        WORLD.source(Pages(page({BEGAN: 3}, label="ios"), page({BEGAN: 3}, label="android"))).read(QUERY)


def test_endless_pages() -> None:
    with pytest.raises(SourceError, match="more than 20 pages"):
        WORLD.source(Pages(*[page({BEGAN: 3})] * 30)).read(QUERY)


@pytest.mark.parametrize(
    "answer",
    [
        page({BEGAN: None}),
        page({BEGAN: "3"}),
        page({BEGAN: 3}, Timestamps=[]),
        page({BEGAN: 3}, Timestamps=["2026"]),
        {"MetricDataResults": [7]},
    ],
)
def test_other_shapes_are_errors(answer: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="is not"):
        WORLD.source(Pages(answer)).read(QUERY)


@pytest.mark.parametrize("nothing", [{"MetricDataResults": []}, page({})])
def test_shapes_of_no_data(nothing: dict[str, Any]) -> None:
    found = WORLD.source(Pages(nothing)).read(QUERY)
    assert (found.bad, found.total, found.newest_at) == (None, None, None)


@pytest.mark.parametrize(
    ("start", "end", "period", "asked"),
    [
        # Whole periods only: a point that begins before the end may hold what came after it.
        (START + timedelta(seconds=90), END + timedelta(seconds=59), 60, (60, 3600)),
        (START, START + timedelta(days=3), 60, (0, 3 * 86400)),
        (START, START + timedelta(days=4, seconds=299), 300, (0, 4 * 86400)),
        # After so many days CloudWatch keeps no shorter points.
        (END - timedelta(days=16), END - timedelta(days=15, seconds=-61), 300, (3600 - 16 * 86400, 3600 - 15 * 86400)),
        (END - timedelta(days=64), END, 3600, (3600 - 64 * 86400, 3600)),
        # What one page cannot hold is asked in hours: an expression has no second page.
        (END - timedelta(days=34), END, 300, (3600 - 34 * 86400, 3600)),
        (END - timedelta(days=35), END, 3600, (3600 - 35 * 86400, 3600)),
    ],
)
def test_periods(start: datetime, end: datetime, period: int, asked: tuple[int, int]) -> None:
    pages = Pages(page({BEGAN: 3}))
    WORLD.source(pages).read(replace(QUERY, start=start, end=end))
    sent = pages.asked[0]
    assert sent["MetricDataQueries"][0]["Period"] == period
    assert (sent["StartTime"] - BEGAN, sent["EndTime"] - BEGAN) == asked


def test_a_window_below_a_period_asks_nothing() -> None:
    pages = Pages()
    found = WORLD.source(pages).read(replace(QUERY, start=START + timedelta(seconds=5), end=START + timedelta(seconds=50)))
    assert (found.bad, found.total, pages.asked) == (None, None, [])
    assert "no whole period in the window" in found.query


def test_the_period_of_a_search_counts_too() -> None:
    """Its points begin at whole hours: those at the ends of the window must not be cut in two."""
    pages = Pages(page({BEGAN: 3}))
    world = CloudwatchWorld()
    world.asked = Asked(
        "SUM(SEARCH('{OTA,Release} Release=\"{release}\"', 'Sum', 900))", "SUM(search('{OTA}', \"Sum\" , 3600 ))"
    )
    window = (START + timedelta(minutes=10), START + timedelta(hours=5, minutes=59))
    found = world.source(pages).read(replace(QUERY, start=window[0], end=window[1]))
    assert {(sent["StartTime"] - BEGAN, sent["EndTime"] - BEGAN) for sent in pages.asked} == {(0, 5 * 3600)}
    assert found.newest_at == START + timedelta(hours=1)


@pytest.mark.parametrize(
    ("region", "url", "asked"),
    [
        ("eu-central-1", None, "https://monitoring.eu-central-1.amazonaws.com/"),
        ("cn-north-1", None, "https://monitoring.cn-north-1.amazonaws.com.cn/"),
        ("eu-central-1", "https://vpce-1.monitoring.eu-central-1.vpce.amazonaws.com/", None),
    ],
)
def test_places(region: str, url: str | None, asked: str | None) -> None:
    pages, seen = Pages(page({BEGAN: 3})), set()

    def respond(request: httpx.Request) -> httpx.Response:
        seen.add(str(request.url))
        return pages(request)

    environ = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-key"}
    spec = CloudwatchSource(region, Asked("bad", "total"), url)
    CloudwatchMetrics(spec, WORLD.root, environ, pace=WORLD.clock.pace(), transport=httpx.MockTransport(respond)).read(QUERY)
    assert seen == {asked or url}


def test_throttling_is_told() -> None:
    said = {"__type": "com.amazon.coral.service#ThrottlingException", "message": "Rate exceeded"}
    with pytest.raises(SourceError, match="HTTP 400: ThrottlingException: Rate exceeded"):
        WORLD.source(lambda _: httpx.Response(400, json=said)).read(QUERY)
    with pytest.raises(SourceError, match=r"HTTP 400\n"):
        WORLD.source(lambda _: httpx.Response(400, json={})).read(QUERY)
    refusals = [httpx.Response(400, json=said)]
    found = WORLD.source(lambda request: refusals.pop() if refusals else WORLD.says(1, 9)(request)).read(QUERY)
    assert (found.bad, found.total) == (1, 9)


@pytest.mark.parametrize("kind", ["ValidationError", "InvalidNextToken", "AccessDeniedException", "MissingParameterException"])
def test_what_stays_wrong_is_not_asked_again(kind: str) -> None:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(400, json={"__type": f"com.amazon.coral.service#{kind}", "message": "Throttling"})

    with pytest.raises(SourceError, match=kind):
        WORLD.source(respond).read(QUERY)
    assert len(asked) == 1


def test_the_sdk_is_as_patient() -> None:
    """Of the errors that AWS's own client tries again, those of other services alone are none here."""
    elsewhere = {
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
    }
    throttled = standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES
    transient = standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES
    assert {*throttled, *transient} - elsewhere == cloudwatch._BUSY - {"LimitExceeded"}


def sdk() -> Any:
    """Give AWS's own description of the service."""
    return Session().get_service_model("cloudwatch").operation_model("GetMetricData")


def test_the_sdk_sends_the_same() -> None:
    pages = Pages(page({BEGAN: 3}))
    WORLD.source(pages).read(QUERY)
    asked = {**pages.asked[0], "StartTime": START, "EndTime": END}
    sent = create_serializer("json").serialize_to_request(asked, sdk())
    assert json.loads(sent["body"]) == pages.asked[0]
    for name in ("Content-Type", "X-Amz-Target"):
        assert pages.headers[0][name] == sent["headers"][name]


def test_the_sdk_reads_the_answers_of_these_tests() -> None:
    answer = {**page({BEGAN: 3, BEGAN + 60: 4.5}, "PartialData", Messages=[MESSAGE]), "NextToken": "1"}
    response = {"body": json.dumps(answer).encode(), "headers": {}, "status_code": 200}
    found = create_parser("json").parse(response, sdk().output_shape)
    (result,) = found["MetricDataResults"]
    assert (result["Timestamps"], result["Values"]) == ([START, START + timedelta(minutes=1)], [3, 4.5])
    assert (result["StatusCode"], result["Messages"], found["NextToken"]) == ("PartialData", [MESSAGE], "1")
