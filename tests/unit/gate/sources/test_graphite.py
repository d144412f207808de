"""What Graphite's render API answers, by the letter."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from otagate.gate.interface import Measurement, SourceError
from otagate.gate.sources.graphite import GraphiteMetrics
from otagate.policy.model.vendors import Asked, GraphiteSource
from support.vendor_world import END, NEWEST, QUERY, START, VALUE_QUERY, Clock
from support.vendor_worlds import GraphiteWorld

BEGAN, ENDED = int(START.timestamp()), int(END.timestamp())


def series(*points: Any) -> list[dict[str, Any]]:
    return [{"target": "x", "datapoints": list(points)}]


def read(answer: object, reduce: str = "sum", *, is_value: bool = False) -> Measurement:
    spec = GraphiteSource("https://graphite.test", Asked("bad", "total", "value"), reduce)
    wire = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    source = GraphiteMetrics(spec, Path(), {}, pace=Clock().pace(), transport=wire)
    return source.read(VALUE_QUERY if is_value else QUERY)


@pytest.mark.parametrize(("reduce", "told"), [("sum", 6.0), ("last", 2.0), ("max", 3.0)])
def test_points_become_one_number(reduce: str, told: float) -> None:
    points = [[None, BEGAN], [1, BEGAN + 60], [2, BEGAN + 180], [3.0, BEGAN + 120], [None, BEGAN + 240]]
    assert read(series(*points), reduce, is_value=True).value == told


def test_points_outside_of_the_window_do_not_count() -> None:
    points = [[100, BEGAN - 60], [1, BEGAN], [2, ENDED - 60], [100, ENDED], [100, ENDED + 60]]
    assert read(series(*points)).total == 3


def every(step: int, start: int, end: int) -> list[dict[str, Any]]:
    """One device a step, as a store lists them: from the first step after ``start`` on."""
    return series(*([1, at] for at in range(start // step * step + step, end, step)))


@pytest.mark.parametrize(
    ("step", "start", "end", "told"),
    [
        (60, BEGAN - 1, ENDED, 60),
        (10, BEGAN - 1, ENDED, 360),
        (600, BEGAN - 1, ENDED + 600, 6),
        (420, BEGAN - 1, ENDED + 420, 8),  # the ninth is cut in two by the end of the window
        (3600, BEGAN - 1, ENDED + 3600, 1),
        (7200, BEGAN - 1, ENDED + 7200, None),
    ],
)
def test_a_step_that_the_window_cuts_in_two_does_not_count(step: int, start: int, end: int, told: int | None) -> None:
    assert read(every(step, start, end)).total == told


def test_a_store_that_has_thrown_the_beginning_away_is_no_evidence() -> None:
    # As graphite-web 1.1.10 answers from files with the retention that it is shipped with, a day, when asked for more.
    kept = every(60, ENDED - 1200, ENDED)
    with pytest.raises(SourceError) as caught:
        read(kept)
    assert caught.value.found == f"points from {ENDED - 1140} on"
    assert caught.value.expected == f"points from {BEGAN} on"
    assert "storage-schemas.conf" in str(caught.value.remedy)


@pytest.mark.parametrize("first", [BEGAN, BEGAN + 59, BEGAN + 60])
def test_a_series_begins_within_a_step_of_the_window(first: int) -> None:
    assert read(series([None, first], [3, first + 60], [4, first + 120])).total == 7


def test_what_was_cached_for_another_window_of_the_minute_is_not_taken() -> None:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=[])

    spec = GraphiteSource("https://graphite.test", Asked("bad", "total"))
    GraphiteMetrics(spec, Path(), {}, transport=httpx.MockTransport(respond)).read(QUERY)
    assert {request.url.params["noCache"] for request in seen} == {"1"}


@pytest.mark.parametrize("answer", [[], series(), series([None, BEGAN], [None, BEGAN + 60]), series([5, BEGAN - 60])])
def test_no_point_is_no_data(answer: object) -> None:
    found = read(answer)
    assert (found.bad, found.total) == (None, None)


@pytest.mark.parametrize("bad", [[], series([None, BEGAN])])
def test_no_file_of_bad_devices_is_none(bad: object) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=bad if request.url.params["target"] == "bad" else series([9, BEGAN]))

    source = GraphiteMetrics(
        GraphiteSource("https://graphite.test", Asked("bad", "total")), Path(), {}, transport=httpx.MockTransport(respond)
    )
    found = source.read(QUERY)
    assert (found.bad, found.total) == (0, 9)
    assert "read as 0" in found.query


def test_the_newest_point_is_the_age() -> None:
    world = GraphiteWorld(ExitStack())
    found = world.source(world.answer(bad=1, total=2, newest=1)).read(QUERY)
    assert found.newest_at == NEWEST


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({}, "another document"),
        ([7], "another document"),
        ([{"target": "x"}], "without `datapoints`"),
        ([{"target": "x", "datapoints": None}], "without `datapoints`"),
        (series([1]), "the point [1]"),
        (series([1, 2, 3]), "the point"),
        (series(["1", BEGAN]), "the point"),
        (series([True, BEGAN]), "the point"),
        (series([1, "now"]), "the point"),
        (series([1, BEGAN]) + series([1, BEGAN]), "2 series"),
        (series([0.5, BEGAN]), "round in the query"),
    ],
)
def test_what_cannot_be_used(answer: object, told: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(answer)
    assert told in str(caught.value)


def test_what_graphite_writes_for_infinity_is_an_error() -> None:
    wire = httpx.MockTransport(
        lambda _: httpx.Response(200, content=b'[{"target": "x", "datapoints": [[1e9999, %d]]}]' % BEGAN)
    )
    source = GraphiteMetrics(GraphiteSource("https://graphite.test", Asked("bad", "total")), Path(), {}, transport=wire)
    with pytest.raises(SourceError):
        source.read(QUERY)
