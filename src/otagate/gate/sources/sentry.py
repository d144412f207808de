"""Counts of users or sessions from Sentry's release health.

**Source:** Sentry's API reference, "Retrieve Release Health Session Statistics".
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from otagate._clock import from_text, to_text
from otagate._text import harmless
from otagate.gate.interface import Ask, Measurement, MetricQuery
from otagate.gate.sources import _asked, _fill, _shape, _vendor
from otagate.gate.sources._door import Door, json_or_none
from otagate.gate.sources._opened import Opened
from otagate.policy.model.vendors import SentrySource

MOST_HOURS = 960
"""Sentry gives at most 1000 intervals, and only of an hour or a day."""
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_SECOND = timedelta(seconds=1)
_NAMES = {_HOUR: "1h", _DAY: "1d"}
_FIELDS = {"user": "count_unique(user)", "session": "sum(session)"}
_STATUSES = frozenset({"healthy", "crashed", "errored", "abnormal", "unhandled"})
"""``unhandled`` was a part of ``errored`` once, and counts with it."""
_SYNTAX = frozenset('"\\*')
"""Within quotes of Sentry's search: their end, the escape, and "whatever"."""


class SentryMetrics(Opened[SentrySource]):
    """See MetricSource. Sentry counts by the hour: both ends of the window are rounded down to one.

    Windows above :data:`MOST_HOURS` are counted by the day, and their ends rounded down to one.
    """

    @property
    def _subject(self) -> str:
        return f"sentry {harmless(self._spec.organization)}, project {harmless(self._spec.project)}"

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        subject = self._subject
        self._refuse(query)
        step = _HOUR if query.end - query.start <= MOST_HOURS * _HOUR else _DAY
        start, end = _down(query.start, step), _down(query.end, step)
        field = _FIELDS[self._spec.unit]
        asked = f'{subject}: {field} by session.status of release:"{harmless(self._release(query))}"'
        if end <= start:
            return Measurement(None, None, None, f"{asked}, no whole hour in the window")
        headers = (("Authorization", f"Bearer {self._wire.secret(self._spec.token, f'{subject}, token')}"),)
        door = Door(self._wire, self._spec.url, headers, self._spec.timeout)
        path = f"/api/0/organizations/{quote(self._spec.organization, safe='')}/sessions/"
        answer = door.get(path, self._fields(query, (start, end), step), subject, _explain)
        hours = [start + at * step for at in range((end - start) // step)]
        totals, last = _vendor.understood(answer, lambda value: _read(value, field, hours, subject), subject, door.words)
        asked += f" from {to_text(start)} to {to_text(end)}"
        digest = hashlib.sha256(answer.body).hexdigest()
        total = sum(totals.values())
        if not total:
            return Measurement(None, None, None, asked, digest)
        bad = sum(count for status, count in totals.items() if status in self._bad)
        return Measurement(bad, total, min(query.end, last + step) if last else None, asked, digest)

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

    def _fields(self, query: MetricQuery, window: tuple[datetime, datetime], step: timedelta) -> dict[str, str]:
        spec = self._spec
        fields = {
            "project": spec.project,
            "field": _FIELDS[spec.unit],
            "groupBy": "session.status",
            "query": f'release:"{self._release(query)}"',
            "interval": _NAMES[step],
            "start": window[0].strftime("%Y-%m-%dT%H:%M:%S"),
            # Sentry includes the second that is named as the end, and then rounds up to a whole interval.
            "end": (window[1] - _SECOND).strftime("%Y-%m-%dT%H:%M:%S"),
            "utc": "true",
        }
        return fields if spec.environment is None else {**fields, "environment": spec.environment}


def _down(instant: datetime, step: timedelta) -> datetime:
    hour = instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour if step == _HOUR else hour.replace(hour=0)


def _explain(body: bytes) -> str | None:
    answer = json_or_none(body)
    return _vendor.said(answer["detail"]) if isinstance(answer, dict) and answer.get("detail") else None


def _read(value: Any, field: str, hours: list[datetime], subject: str) -> tuple[dict[str, int], datetime | None]:
    """Give the totals by status, and the beginning of the last interval in which anything was seen."""
    answer = _vendor.table(value, "answer", subject)
    told = [_instant(text, subject) for text in _vendor.rows(answer.get("intervals"), "intervals", subject)]
    if told != hours:
        found = f"{len(told)} intervals" + (f" from {to_text(told[0])}" if told else "")
        raise _shape.broken(subject, found, expected=f"{len(hours)} intervals from {to_text(hours[0])}")
    totals: dict[str, int | None] = {}
    last = -1
    for entry in _vendor.rows(answer.get("groups"), "groups", subject):
        group = _vendor.table(entry, "groups[]", subject)
        status = _vendor.table(group.get("by"), "by", subject).get("session.status")
        if not isinstance(status, str) or status not in _STATUSES or status in totals:
            found = f"session.status {harmless(str(status))}"
            raise _shape.broken(subject, found, expected="each status once", remedy="a newer otagate may know it")
        count = _vendor.number(_vendor.table(group.get("totals"), "totals", subject).get(field), field, subject)
        totals[status] = _asked.devices(count, status, subject)
        series = _vendor.rows(_vendor.table(group.get("series"), "series", subject).get(field), f"series {field}", subject)
        last = max([last, *(at for at, number in enumerate(series[: len(hours)]) if _vendor.number(number, field, subject))])
    known = {status: count for status, count in totals.items() if count is not None}
    if len(known) < len(totals) and any(known.values()):
        raise _shape.broken(subject, "no count for some statuses", expected=f"{field} for each session.status")
    return known, hours[last] if last >= 0 else None


def _instant(text: Any, subject: str) -> datetime:
    try:
        return from_text(text)
    except (ValueError, TypeError, OverflowError) as error:
        raise _vendor.unlike("intervals", "a list of instants", subject) from error
