"""Counts and numbers from Graphite's render API.

**Source:** Graphite, "The Render URL API": ``target``, ``from``, ``until``, ``format=json``; an answer is a list of
``{"target": name, "datapoints": [[number or null, seconds], …]}``, in which every step is listed, also those without a number.
Asked for more than it keeps, it answers with what it keeps (``file_fetch`` of Graphite's whisper).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from otagate._text import harmless
from otagate.gate.interface import Measurement, MetricQuery, SourceError
from otagate.gate.sources import _fill, _shape
from otagate.gate.sources._asked import Manner, Told, measured
from otagate.gate.sources._door import Door, address, document
from otagate.gate.sources._literals import Language
from otagate.gate.sources._opened import Opened
from otagate.policy.model.vendors import GraphiteSource

PATH = "/render"
_REDUCE: dict[str, Callable[[list[float]], float]] = {"sum": math.fsum, "last": lambda numbers: numbers[-1], "max": max}
_PAIR = 2

Points = list[tuple[float, int]]
"""Numbers and the seconds since 1970 at which each one's step begins."""


class GraphiteMetrics(Opened[GraphiteSource]):
    """See MetricSource. Of a target's points those count whose step lies in the window."""

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        spec = self._spec
        subject = f"Graphite {address(spec.url)}"
        headers = tuple((name, self._wire.secret(value, f"{subject}, header {harmless(name)}")) for name, value in spec.headers)
        door = Door(self._wire, spec.url, headers, spec.timeout)
        start, end = _fill.seconds_of(query)

        def ask(name: str, text: str) -> Told:
            # `from` is excluded there, and `until` included: the points decide what belongs to the window.
            fields = {"target": text, "from": str(start - 1), "until": str(end), "format": "json", "noCache": "1"}
            answer = door.query(PATH, fields, subject, lambda _: None)
            try:
                points = points_of(document(answer, subject), (start, end), subject)
            except SourceError as error:
                raise door.guarded(error, answer.body) from error
            if not points:
                return Told(None, answer.body)
            # It has no function that gives a time; the newest point of the target says it.
            return Told(float(points[-1][1]) if name == "newest" else self._reduced(points), answer.body)

        # What was never counted has no file there: beside devices in `total`, none is none.
        manner = Manner(Language.GRAPHITE, subject, ask, is_empty_zero=True, words=door.words)
        return measured(spec.ask, query, manner)

    def _reduced(self, points: Points) -> float:
        return _REDUCE[self._spec.reduce]([number for number, _ in points])


def points_of(value: Any, window: tuple[int, int], subject: str) -> Points:
    """Read those points of the one series whose steps lie in the window, in order of time, without those that are null.

    Raises:
        SourceError: Another shape, several series, or one that does not reach back to the beginning of the window.
    """
    if not isinstance(value, list) or not all(isinstance(series, dict) for series in value):
        raise _shape.broken(subject, "another document", expected="a list of series")
    if len(value) > 1:
        raise _shape.broken(subject, f"{len(value)} series", expected="one series", remedy="aggregate them: `sumSeries(…)`")
    listed = value[0].get("datapoints") if value else []
    if not isinstance(listed, list):
        raise _shape.broken(subject, "a series without `datapoints`", expected="a list of series")
    points = sorted((_point(point, subject) for point in listed), key=lambda point: point[1])
    step = min((after - at for (_, at), (_, after) in pairwise(points) if after > at), default=0)
    start, end = window
    if step and points[0][1] > start + step:
        # What is older was thrown away: the rest would be taken for all devices.
        found = f"points from {points[0][1]} on"
        remedy = "keep them longer (`retentions` in storage-schemas.conf) than a phase lasts"
        raise _shape.broken(subject, found, expected=f"points from {start} on", remedy=remedy)
    # A step that ends after the window holds devices whose fate is not known yet. Of a single point no step is known.
    last = end - (step or 1)
    return [(number, at) for number, at in points if number is not None and start <= at <= last]


def _point(point: Any, subject: str) -> tuple[float | None, int]:
    if isinstance(point, list) and len(point) == _PAIR and type(point[0]) in {int, float, type(None)} and type(point[1]) is int:
        return None if point[0] is None else float(point[0]), point[1]
    raise _shape.broken(subject, f"the point {harmless(str(point), 60)}", expected="[number or null, seconds]")
