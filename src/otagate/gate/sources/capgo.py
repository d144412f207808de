"""Counts of devices from the events that Capgo keeps of every device.

Capgo's documented statistics know no failures of a bundle. Its public SDK and command line read the events themselves, with an
API key that may read logs; so do we.

**Source:** ``getStats`` in Capgo's SDK (``POST /private/stats``); the actions are those of the plugin's protocol.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from otagate._clock import to_text
from otagate._text import harmless
from otagate.gate.interface import Ask, Measurement, MetricQuery, SourceError
from otagate.gate.sources import _secrets, _shape, _vendor
from otagate.gate.sources._door import Door, address, document, json_or_none
from otagate.gate.sources._opened import Opened
from otagate.policy.model.vendors import CapgoSource

_FAILED = frozenset(
    {
        "set_fail",
        "update_fail",
        "app_launch_timeout",
        "finish_download_fail",
        "download_manifest_checksum_fail",
        "download_manifest_brotli_fail",
        "manifest_path_fail",
        "checksum_fail",
        "checksum_required",
        "decrypt_fail",
        "unzip_fail",
        "windows_path_fail",
        "canonical_path_fail",
        "directory_path_fail",
        "low_mem_fail",
        "insufficient_disk_space",
    }
)
"""What speaks against a bundle. Failed downloads are not among them: most of them say nothing about it."""
_CRASHED = frozenset(
    {"app_crash", "app_crash_native", "app_anr", "app_initialization_failure", "app_killed_excessive_resource_usage"}
)
_ERRORED = frozenset({"webview_javascript_error", "webview_unhandled_rejection"})
_LAUNCHED = frozenset({"app_launch_start", "app_launch_ready", "app_launch_timeout"})
"""Only plugins that tell of crashes tell of launches, so that older ones are not taken for healthy."""

_METRICS = {
    "device_success_rate": (_FAILED, frozenset({"set"})),
    "crash_rate": (_CRASHED, _LAUNCHED),
    "error_rate": (_ERRORED, _LAUNCHED),
}
"""By metric: the actions of a bad device, and those that show a device of either kind."""
_PAGE = 1000
_MOST_PAGES = 50
_MAX_SEARCH = 512


@dataclass(slots=True)
class _Seen:
    """What the pages of one answer add up to: devices by what they did."""

    devices: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    newest: datetime | None = None


class CapgoMetrics(Opened[CapgoSource]):
    """See MetricSource. Knows ``device_success_rate``, ``crash_rate`` and ``error_rate``."""

    @property
    def _subject(self) -> str:
        return f"capgo {address(self._spec.url)}"

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        subject = self._subject
        self._refuse(query)
        headers = (("capgkey", self._wire.secret(self._spec.token, f"{subject}, token")),)
        door = Door(self._wire, self._spec.url, headers, self._spec.timeout)
        seen, digest, start = _Seen(), hashlib.sha256(), query.start
        for _ in range(_MOST_PAGES):
            answer = door.post("/private/stats", self._body(query, start), (), subject, _explain)
            digest.update(answer.body)
            try:
                rows = _vendor.rows(document(answer, subject), "answer", subject)
                if not rows and start != query.start:
                    # The service answers its own failures with an empty list; this page must begin with a known event.
                    raise _shape.broken(subject, "a page of events that is empty", expected="the event it begins with")
                last = _add(seen, rows, query, subject)
                if len(rows) < _PAGE:
                    return self._measurement(seen, query, digest.hexdigest())
                start = self._next(start, last)
            except SourceError as error:
                raise _secrets.guarded(error, answer.body, door.words) from error
        raise self._too_many()

    def _measurement(self, seen: _Seen, query: MetricQuery, digest: str) -> Measurement:
        window = f"from {to_text(query.start)} to {to_text(query.end)}"
        asked = f"{self._subject}: devices of {harmless(query.release)} for {harmless(query.metric)} {window}"
        if not seen.devices:
            return Measurement(None, None, None, asked, digest)
        return Measurement(len(seen.bad), len(seen.devices), seen.newest, asked, digest)

    def _next(self, start: datetime, last: datetime | None) -> datetime:
        if last is None or last <= start:
            raise self._too_many()
        return last

    def _too_many(self) -> SourceError:
        found = f"more than {_PAGE} events an instant, or {_PAGE * _MOST_PAGES} in the window"
        return _shape.broken(self._subject, found, remedy="count devices with an update server of your own: `telemetry`")

    def _refuse(self, query: MetricQuery) -> None:
        if query.metric not in _METRICS or query.ask is not Ask.COUNTS or query.over is not None:
            found = f"{harmless(query.metric)}, as {query.ask.value}"
            remedy = "take another source for this gate, or name it as one of these"
            raise _shape.broken(self._subject, found, expected=f"counts for {', '.join(_METRICS)}", remedy=remedy)
        if not query.release.isprintable() or len(query.release) > _MAX_SEARCH:
            raise _shape.broken(self._subject, f"release '{harmless(query.release)}'", expected="a version")

    def _body(self, query: MetricQuery, start: datetime) -> str:
        bad, shown = _METRICS[query.metric]
        return json.dumps(
            {
                "appId": query.app,
                "search": query.release,
                "actions": sorted(bad | shown),
                "rangeStart": to_text(start),
                "rangeEnd": to_text(query.end),
                "order": [{"key": "created_at", "sortable": "asc"}],
                "limit": _PAGE,
            }
        )


def _explain(body: bytes) -> str | None:
    answer = json_or_none(body)
    if not isinstance(answer, dict) or "error" not in answer:
        return None
    return _vendor.said(f"{answer['error']}: {answer.get('message', '')}")


def _add(seen: _Seen, rows: list[Any], query: MetricQuery, subject: str) -> datetime | None:
    bad, shown = _METRICS[query.metric]
    last: datetime | None = None
    for entry in rows:
        row = _vendor.table(entry, "[]", subject)
        texts = [row.get(name) for name in ("device_id", "action", "version_name", "created_at")]
        if not all(isinstance(text, str) for text in texts):
            raise _vendor.unlike("[]", "an event with device, action, version and time", subject)
        device, action, version, created = (str(text) for text in texts)
        at = _instant(created, subject)
        last = at if last is None else max(last, at)
        # A failure of a single file is told as `1.2.3:main.js`; the search finds texts that only contain the version.
        if version.partition(":")[0] != query.release or not query.start <= at < query.end or action not in bad | shown:
            continue
        seen.devices.add(device)
        seen.newest = at if seen.newest is None else max(seen.newest, at)
        if action in bad:
            seen.bad.add(device)
    return last


def _instant(text: str, subject: str) -> datetime:
    """Read an instant; without an offset it is in UTC, as Capgo's event store writes it."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise _vendor.unlike("created_at", "an instant", subject) from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
