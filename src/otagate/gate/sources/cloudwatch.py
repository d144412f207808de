"""Counts and numbers from Amazon CloudWatch, by metric math over an explicit window.

**Source:** the API reference of GetMetricData, in CloudWatch's JSON protocol.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from otagate._text import harmless
from otagate.gate.interface import Measurement, MetricQuery
from otagate.gate.sources import _fill, _shape, _vendor
from otagate.gate.sources._asked import Manner, Told, measured
from otagate.gate.sources._door import Door, json_or_none
from otagate.gate.sources._exchange import Pace
from otagate.gate.sources._literals import Language
from otagate.gate.sources._opened import Opened
from otagate.policy.model.vendors import CloudAuth, CloudwatchSource

_TYPE = "application/x-amz-json-1.0"
_TARGET = "GraniteServiceVersion20100801.GetMetricData"
_DAY_S = 86_400
_PERIODS = ((15 * _DAY_S, 60), (63 * _DAY_S, 300))
"""Data points of a minute are kept 15 days, those of five minutes 63 days, those of an hour longer."""
_LONG_S = 3 * _DAY_S
"""A window above this is asked in steps of at least five minutes: fewer points, the same sum."""
_MOST_POINTS = 10_000
"""A page; it stays below the largest answer that is read."""
_MOST_PAGES = 20
_INTERNAL = "InternalError"
_BUSY = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceeded",
        "LimitExceededException",
        "SlowDown",
        "RequestTimeout",
        "RequestTimeoutException",
    }
)
"""Kinds of errors that come with HTTP 400 and mean "not now". **Source:** botocore, its standard retries; CloudWatch's own
error code for its limits besides."""
_TEXT = r"(?:'[^']*'|\"[^\"]*\")"
_SEARCH = re.compile(rf"\bSEARCH\s*\(\s*{_TEXT}\s*,\s*{_TEXT}\s*,\s*([1-9][0-9]{{0,5}})\s*\)", re.IGNORECASE)
"""A search has a period of its own."""


@dataclass(slots=True)
class _Series:
    """What the pages of one answer add up to."""

    labels: set[str] = field(default_factory=set)
    values: list[float] = field(default_factory=list)
    newest: float | None = None
    raw: list[bytes] = field(default_factory=list)


class CloudwatchMetrics(Opened[CloudwatchSource]):
    """See MetricSource. Counts are the sums of a series' points in the window, plain numbers their mean."""

    @property
    def _periods(self) -> frozenset[int]:
        asked = (self._spec.ask.bad, self._spec.ask.total, self._spec.ask.value)
        return frozenset(int(period) for text in asked if text for period in _SEARCH.findall(text))

    def _door(self) -> Door:
        region = self._spec.region
        url = self._spec.url or f"https://monitoring.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
        signer = self._wire.signer(CloudAuth.AWS, url, region=region)
        return Door(self._wire, url, (), self._spec.timeout, signer=signer, is_busy=_is_busy)

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        newest: list[float] = []
        start, end, period = self._window(query)
        subject, door = f"cloudwatch {harmless(self._spec.region)}", self._door()

        def ask(name: str, text: str) -> Told:
            place = f"{subject}, {name}"
            if end <= start:
                return Told(None, b"", "no whole period in the window")
            found = _series(door, {"Id": "q", "Expression": text, "Period": period}, start, end, place)
            if found.newest is not None and name in {"total", "value"}:
                newest.append(min(found.newest + max(period, *self._periods, 0), end))
            return Told(_reduced(found.values, name), b"".join(found.raw))

        manner = Manner(Language.CLOUDWATCH, subject, ask, is_empty_zero=True)
        found = measured(self._spec.ask, query, manner)
        if self._spec.ask.newest is not None or not newest:
            return found
        return replace(found, newest_at=min(query.end, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=newest[0])))

    def _window(self, query: MetricQuery) -> tuple[int, int, int]:
        start, end = _fill.seconds_of(query)
        age = (self._wire.pace or Pace()).now().timestamp() - start
        period = next((seconds for kept, seconds in _PERIODS if age < kept), 3600)
        period = max(period, 300 if end - start > _LONG_S else 60)
        if end - start > period * _MOST_POINTS:
            # An expression gets no second page: what does not fit on the first one would be left out.
            period = 3600
        # A point holds a whole period: one that begins before the end may hold what came after it.
        step = math.lcm(period, *self._periods)
        return start // step * step, end // step * step, period


def _series(door: Door, asked: Mapping[str, Any], start: int, end: int, subject: str) -> _Series:
    found, token = _Series(), None
    for _ in range(_MOST_PAGES):
        body: dict[str, Any] = {
            "MetricDataQueries": [asked],
            "StartTime": start,
            "EndTime": end,
            "ScanBy": "TimestampAscending",
            "MaxDatapoints": _MOST_POINTS,
        }
        if token is not None:
            body["NextToken"] = token
        headers = (("Content-Type", _TYPE), ("X-Amz-Target", _TARGET))
        answer = door.post("/", json.dumps(body), headers, subject, _explain)
        found.raw.append(answer.body)
        page = _vendor.understood(answer, lambda value: _vendor.table(value, "answer", subject), subject, door.secrets)
        token = page.get("NextToken")
        _add(found, page, subject, is_last=token is None)
        if token is None:
            return found
    raise _shape.broken(subject, f"more than {_MOST_PAGES} pages", remedy="narrow the query of the source")


def _kind(answer: Any) -> str | None:
    """Give the kind of an error, without its namespace and without what may follow a colon."""
    if not isinstance(answer, dict) or "__type" not in answer:
        return None
    return str(answer["__type"]).rpartition("#")[2].partition(":")[0]


def _is_busy(body: bytes) -> bool:
    answer = json_or_none(body)
    if _kind(answer) in _BUSY:
        return True
    results = answer.get("MetricDataResults") if isinstance(answer, dict) else None
    # "An error occurred. Retry your request."
    return isinstance(results, list) and any(
        isinstance(result, dict) and result.get("StatusCode") == _INTERNAL for result in results
    )


def _explain(body: bytes) -> str | None:
    answer = json_or_none(body)
    kind = _kind(answer)
    if kind is None:
        return f"StatusCode {_INTERNAL}" if _is_busy(body) else None
    return _vendor.said(f"{kind}: {answer.get('message') or answer.get('Message') or ''}")


def _add(found: _Series, page: Mapping[str, Any], subject: str, *, is_last: bool) -> None:
    _refuse_messages(page, subject)
    results = _vendor.rows(page.get("MetricDataResults"), "MetricDataResults", subject)
    for entry in results:
        result = _vendor.table(entry, "MetricDataResults[]", subject)
        _refuse_messages(result, subject)
        status = result.get("StatusCode")
        # A page that is not the last may say that there is more to come.
        if status != "Complete" and (is_last or status != "PartialData"):
            remedy = "a part of the data is no evidence: it is asked for again at the next look"
            raise _shape.broken(subject, f"StatusCode {harmless(str(status))}", expected="Complete", remedy=remedy)
        times = _vendor.rows(result.get("Timestamps"), "Timestamps", subject)
        values = _vendor.rows(result.get("Values"), "Values", subject)
        if len(times) != len(values):
            raise _vendor.unlike("Timestamps", "as long as `Values`", subject)
        found.labels.add(str(result.get("Label")))
        found.values += [_certain(value, "Values", subject) for value in values]
        found.newest = max((_certain(time, "Timestamps", subject) for time in times), default=found.newest)
    if len(results) > 1 or len(found.labels) > 1:
        remedy = "wrap the search in SUM(…), or leave GROUP BY out, so that it gives one series"
        raise _vendor.several(max(len(results), len(found.labels)), subject, remedy)


def _refuse_messages(holder: Mapping[str, Any], subject: str) -> None:
    # The service says here what it left out while it did "as much of the operation as possible".
    messages = holder.get("Messages")
    if messages:
        texts = [
            f"{m.get('Code')}: {m.get('Value')}" if isinstance(m, dict) else str(m)
            for m in _vendor.rows(messages, "Messages", subject)
        ]
        raise _vendor.refused(subject, _vendor.said("; ".join(texts)))


def _certain(value: Any, name: str, subject: str) -> float:
    found = _vendor.number(value, name, subject)
    if found is None:
        raise _vendor.unlike(name, "a list of numbers", subject)
    return found


def _reduced(values: list[float], name: str) -> float | None:
    if not values:
        return None
    match name:
        case "value":
            return sum(values) / len(values)
        case "newest":
            return max(values)
        case _:
            return sum(values)
