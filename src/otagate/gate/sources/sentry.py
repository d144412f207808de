"""Counts of users or sessions from Sentry's release health.

**Source:** Sentry's API reference, "Retrieve Release Health Session Statistics".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from otagate._clock import from_text, to_text
from otagate._text import harmless
from otagate.gate.interface import Ask, Measurement, MetricQuery
from otagate.gate.sources import _asked, _fill, _shape, _vendor
from otagate.gate.sources._door import Door, Wire, json_or_none
from otagate.gate.sources._exchange import Pace
from otagate.policy.source_model import SentrySource

if TYPE_CHECKING:
    import httpx

_HOUR = timedelta(hours=1)
_FIELDS = {"user": "count_unique(user)", "session": "sum(session)"}
_STATUSES = frozenset({"healthy", "crashed", "errored", "abnormal", "unhandled"})
"""``unhandled`` was a part of ``errored`` once, and counts with it."""
_SYNTAX = frozenset('"\\*')
"""Within quotes of Sentry's search: their end, the escape, and "whatever"."""


class SentryMetrics:
    """See MetricSource. Sentry counts by the hour: both ends of the window are rounded down to one."""

    def __init__(
        self,
        spec: SentrySource,
        root: Path,
        environ: Mapping[str, str],
        *,
        pace: Pace | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Ask ``spec.organization``; the token is read when it is asked. ``transport`` replaces the network."""
        self._spec = spec
        self._wire = Wire(root, environ, pace, transport)
        self._subject = f"sentry {harmless(spec.organization)}, project {harmless(spec.project)}"

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        subject = self._subject
        self._refuse(query)
        start, end = _hour(query.start), _hour(query.end)
        field = _FIELDS[self._spec.unit]
        asked = f'{subject}: {field} by session.status of release:"{harmless(self._release(query))}"'
        if end <= start:
            return Measurement(None, None, None, f"{asked}, no whole hour in the window")
        headers = (("Authorization", f"Bearer {self._wire.secret(self._spec.token, f'{subject}, token')}"),)
        door = Door(self._wire, self._spec.url, headers, self._spec.timeout)
        path = f"/api/0/organizations/{quote(self._spec.organization, safe='')}/sessions/"
        answer = door.get(path, self._fields(query, start, end), subject, _explain)
        totals, newest = _vendor.understood(answer, lambda value: _read(value, field, subject), subject, door.words)
        asked += f" from {to_text(start)} to {to_text(end)}"
        digest = hashlib.sha256(answer.body).hexdigest()
        total = sum(totals.values())
        if not total:
            return Measurement(None, None, None, asked, digest)
        bad = sum(count for status, count in totals.items() if status in self._bad)
        return Measurement(bad, total, min(query.end, newest) if newest else None, asked, digest)

    @property
    def _bad(self) -> frozenset[str]:
        return frozenset(self._spec.bad) | ({"unhandled"} if "errored" in self._spec.bad else frozenset())

    def _refuse(self, query: MetricQuery) -> None:
        if query.ask is not Ask.COUNTS or query.over is not None:
            found = f"a gate that asks for {'limits of time' if query.over else query.ask.value}"
            remedy = "take another source for this gate"
            raise _shape.broken(self._subject, found, expected="a gate with `max` or `min`", remedy=remedy)

    def _release(self, query: MetricQuery) -> str:
        release = _fill.plain(self._spec.release, query)
        if release.isprintable() and not _SYNTAX & set(release):
            return release
        raise _shape.broken(
            self._subject,
            f"release '{harmless(release)}'",
            expected="a name without quotes, backslashes and asterisks",
            remedy="rename the release, or mend `release` of the source",
        )

    def _fields(self, query: MetricQuery, start: datetime, end: datetime) -> dict[str, str]:
        spec = self._spec
        fields = {
            "project": spec.project,
            "field": _FIELDS[spec.unit],
            "groupBy": "session.status",
            "query": f'release:"{self._release(query)}"',
            "interval": "1h",
            "start": start.strftime("%Y-%m-%dT%H:%M:%S"),
            "end": end.strftime("%Y-%m-%dT%H:%M:%S"),
            "utc": "true",
        }
        return fields if spec.environment is None else {**fields, "environment": spec.environment}


def _hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _explain(body: bytes) -> str | None:
    answer = json_or_none(body)
    return _vendor.said(answer["detail"]) if isinstance(answer, dict) and answer.get("detail") else None


def _read(value: Any, field: str, subject: str) -> tuple[dict[str, int], datetime | None]:
    """Give the totals by status, and the end of the last hour in which anything was seen."""
    answer = _vendor.table(value, "answer", subject)
    intervals = _vendor.rows(answer.get("intervals"), "intervals", subject)
    totals: dict[str, int] = {}
    last = -1
    for entry in _vendor.rows(answer.get("groups"), "groups", subject):
        group = _vendor.table(entry, "groups[]", subject)
        status = _vendor.table(group.get("by"), "by", subject).get("session.status")
        if status not in _STATUSES or status in totals:
            found = f"session.status {harmless(str(status))}"
            raise _shape.broken(subject, found, expected="each status once", remedy="a newer otagate may know it")
        count = _vendor.number(_vendor.table(group.get("totals"), "totals", subject).get(field), field, subject)
        totals[status] = _asked.devices(count, status, subject) or 0
        series = _vendor.rows(_vendor.table(group.get("series"), "series", subject).get(field), f"series {field}", subject)
        seen = (at for at, number in enumerate(series) if _vendor.number(number, field, subject))
        last = max(last, *seen, -1)
    if last < 0 or last >= len(intervals):
        return totals, None
    return totals, _end_of(intervals[last], subject)


def _end_of(text: Any, subject: str) -> datetime:
    try:
        return from_text(text) + _HOUR
    except (ValueError, TypeError, OverflowError) as error:
        raise _vendor.unlike("intervals", "a list of instants", subject) from error
