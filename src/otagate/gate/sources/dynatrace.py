"""Counts and numbers by metric selectors, from Dynatrace's metrics API v2.

**Source:** Dynatrace, "Metrics API v2 - GET metric data points": ``metricSelector``, ``resolution``, ``from``, ``to``; an
answer holds ``result`` with ``data`` of ``timestamps`` and ``values``, ``nextPageKey`` and ``warnings``.
"""

from __future__ import annotations

from typing import Any

from otagate._text import harmless
from otagate.gate.interface import Measurement, MetricQuery, SourceError
from otagate.gate.sources import _fill, _shape
from otagate.gate.sources._asked import Manner, Told, measured
from otagate.gate.sources._door import Door, address, document, json_or_none
from otagate.gate.sources._literals import Language
from otagate.gate.sources._opened import Opened
from otagate.policy.model.vendors import DynatraceSource

PATH = "/api/v2/metrics/query"
_MINUTE_S = 60
"""The shortest slot in which data points are kept. **Source:** Dynatrace, "Metrics API - FAQ"."""
_RATIOS = ("dataPointCountRatio", "dimensionCountRatio")
"""How near a query came to the limits beyond which "the rest are ignored". **Source:** as above, "GET metric data points"."""

Points = list[tuple[float, int]]
"""Numbers, and the milliseconds since 1970 at which each one's slot ends."""


class DynatraceMetrics(Opened[DynatraceSource]):
    """See MetricSource. The window is one slot, whose aggregation the selector names."""

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        spec = self._spec
        subject = f"Dynatrace {address(spec.url)}"
        token = self._wire.secret(spec.token, f"{subject}, token")
        door = Door(self._wire, spec.url, (("Authorization", f"Api-Token {token}"),), spec.timeout)
        # A slot that a window cuts in two would count on both of its sides.
        start, end = (at // _MINUTE_S * _MINUTE_S for at in _fill.seconds_of(query))

        def ask(name: str, text: str) -> Told:
            if end <= start:
                return Told(None, b"", "no whole minute in the window")
            fields = {"metricSelector": text, "from": str(start * 1000), "to": str(end * 1000)}
            if name != "newest":
                fields["resolution"] = "Inf"
            answer = door.get(PATH, fields, subject, explained)
            try:
                points = points_of(document(answer, subject), subject)
                if name == "newest":
                    # The slot that is not over yet ends in the future: nothing is newer than the end of the window.
                    return Told(min(points[-1][1] / 1000, end) if points else None, answer.body)
                return Told(_only(points, subject), answer.body)
            except SourceError as error:
                raise door.guarded(error, answer.body) from error

        # A metric without data points has no series: beside devices in `total`, none is none.
        manner = Manner(Language.DYNATRACE, subject, ask, is_empty_zero=True, words=door.words)
        return measured(spec.ask, query, manner)


def explained(body: bytes) -> str | None:
    """Find what the server says is wrong: ``error.message`` of a refusal."""
    value = json_or_none(body)
    error = value.get("error") if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else None


def points_of(value: Any, subject: str) -> Points:
    """Read the points of the one series of an answer, in order of time, without those that are null.

    Raises:
        SourceError: Another shape, a warning, or several series.
    """
    result = value.get("result") if isinstance(value, dict) else None
    if not isinstance(result, list) or not all(isinstance(metric, dict) for metric in result):
        raise _shape.broken(subject, "another document", expected="an answer with `result`")
    for said in (value, *result):
        if said.get("warnings"):
            # Such as a dimension that the metric does not have: then nothing was filtered, or nothing found.
            found = f"a warning: {harmless(str(said['warnings']), 300)}"
            raise _shape.broken(subject, found, expected="an answer without warnings", remedy="mend what it warns of")
    _refuse_limits(result, subject)
    series = [one for metric in result for one in _list(metric.get("data"), subject)]
    if len(series) > 1 or value.get("nextPageKey"):
        count = "more" if value.get("nextPageKey") else len(series)
        remedy = "aggregate them: `:splitBy():sum`"
        raise _shape.broken(subject, f"{count} series", expected="one series", remedy=remedy)
    if not series:
        return []
    if not isinstance(series[0], dict):
        raise _shape.broken(subject, "a series of another shape", expected="`timestamps` and `values`")
    return _points(_list(series[0].get("timestamps"), subject), _list(series[0].get("values"), subject), subject)


def _refuse_limits(result: list[dict[str, Any]], subject: str) -> None:
    for metric in result:
        for name in _RATIOS:
            ratio = metric.get(name)
            if isinstance(ratio, int | float) and ratio >= 1:
                remedy = "narrow the selector with `:filter(…)`: beyond its limits Dynatrace leaves the rest out"
                raise _shape.broken(subject, f"{name} {ratio:g}", expected="a query below the limits", remedy=remedy)


def _points(times: list[Any], numbers: list[Any], subject: str) -> Points:
    whole = len(times) == len(numbers) and all(type(at) is int for at in times)
    if not whole or not all(number is None or type(number) in {int, float} for number in numbers):
        raise _shape.broken(subject, "points of another shape", expected="`timestamps` and `values` of numbers")
    return sorted(((float(number), at) for number, at in zip(numbers, times, strict=True) if number is not None), key=_time)


def _time(point: tuple[float, int]) -> int:
    return point[1]


def _list(value: Any, subject: str) -> list[Any]:
    if isinstance(value, list):
        return value
    raise _shape.broken(subject, "something that is no list", expected="`data`, `timestamps` and `values` as lists")


def _only(points: Points, subject: str) -> float | None:
    if len(points) > 1:
        remedy = "end the selector with an aggregation, such as `:sum`"
        raise _shape.broken(subject, f"{len(points)} points", expected="one for the whole window", remedy=remedy)
    return points[0][0] if points else None
