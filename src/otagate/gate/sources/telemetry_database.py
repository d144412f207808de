"""Reading telemetry from its database."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
import weakref
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otagate import _canonical
from otagate._clock import to_text
from otagate.gate.sources.telemetry_interface import Compared, Counted
from otagate.policy.model.sources import TelemetrySpec
from otagate.telemetry.fold import PLAIN
from otagate.telemetry.interface import Active, CountQuery, Heard, PluginUse, SideBySide
from otagate.telemetry.model import Counts, together

if TYPE_CHECKING:
    from otagate.telemetry.interface import Telemetry

_PLAIN = attrgetter(*PLAIN)
_CUTS = (timedelta(hours=25), timedelta(hours=7), timedelta(hours=1))
"""A bit more than the maturities of the default gates: a day, six hours, half an hour."""
_Heads = list[tuple[datetime, Counts]]
"""Counts from the beginning of a window to some instants in it, which itself is the first."""


class DatabaseReader:
    """Reads the database itself: opened at the first question, closed when nobody has this reader any more.

    Opening costs more than any question. Between two of them no transaction is open, and nothing is locked.
    """

    def __init__(self, spec: TelemetrySpec, root: Path, environ: Mapping[str, str], *, is_for_one_look: bool = False) -> None:
        """Read ``spec.database``; a reference is looked up when it is first asked."""
        self._heads: dict[CountQuery, _Heads] | None = {} if is_for_one_look else None
        self._database = spec.database or ""
        self._root = root
        self._environ = environ
        self._telemetry: Telemetry | None = None
        self._lock = threading.Lock()

    def counted(self, query: CountQuery) -> Counted:
        """See TelemetryReader.counted."""
        counts = self._open().counts(query) if self._heads is None else self._counts(query, self._heads)
        return Counted(counts, f"the telemetry database: {_told(query)}", digest_of(counts))

    def _counts(self, query: CountQuery, heads: dict[CountQuery, _Heads]) -> Counts:
        """Count a window that begins as others of this look do: what they have in common is counted once.

        Gates ask for the same window with ends that differ by their maturity. A device counts in one bucket only, so that the
        counts of two times that follow each other add up.
        """
        beginning = replace(query, end=query.start)
        if beginning not in heads:
            heads[beginning] = [(query.start, Counts())]
            for before in _CUTS if query.end - query.start > 2 * _CUTS[0] else ():
                at, head = heads[beginning][-1]
                cut = query.end - before
                further = self._open().counts(replace(query, start=at, end=cut))
                heads[beginning].append((cut, together(head, further)))
        at, head = max((known for known in heads[beginning] if known[0] <= query.end), key=lambda known: known[0])
        return together(head, self._open().counts(replace(query, start=at)))

    def side_by_side(self, query: CountQuery, control: str) -> Compared:
        """See TelemetryReader.side_by_side."""
        rows = self._open().side_by_side(query, control)
        # There may be thousands of rows, and they hold nothing but short texts and integers.
        digest = hashlib.sha256(json.dumps([_side_by_side_data(row) for row in rows]).encode()).hexdigest()
        return Compared(rows, f"the telemetry database: {_told(query)}, beside {control}", digest)

    def releases(self, app: str, start: datetime, end: datetime) -> list[str]:
        """See TelemetryReader.releases."""
        return self._open().releases(app, start, end)

    def active(self, app: str, since: datetime) -> list[Active]:
        """See TelemetryReader.active."""
        return self._open().active(app, since)

    def heard(self, app: str, since: datetime) -> list[Heard]:
        """See TelemetryReader.heard."""
        return self._open().heard(app, since)

    def plugins(self, app: str, since: datetime) -> list[PluginUse]:
        """See TelemetryReader.plugins."""
        return self._open().plugins(app, since)

    def in_use(self, app: str, since: datetime) -> frozenset[str]:
        """See TelemetryReader.in_use."""
        return frozenset(self._open().in_use(app, since))

    def _open(self) -> Telemetry:
        from otagate.telemetry.sql import open_telemetry  # noqa: PLC0415 - only who reads a database pays for SQL

        with self._lock:
            if self._telemetry is None:
                # Never made here: an empty one would say "no device", and that would be believed.
                self._telemetry = open_telemetry(self._database, self._environ, base=self._root, is_made=False)
                weakref.finalize(self, self._telemetry.close)
            return self._telemetry


def counts_data(counts: Counts) -> dict[str, Any]:
    """Write counts as JSON: the fields of Counts, the instant as RFC 3339."""
    found = {field.name: getattr(counts, field.name) for field in dataclasses.fields(counts)}
    newest = counts.newest_at
    return {**found, "verify": list(counts.verify), "newest_at": None if newest is None else to_text(newest)}


def _side_by_side_data(row: SideBySide) -> list[Any]:
    return [int(row.start.timestamp()), row.platform, row.plugin, *_PLAIN(row.release), *_PLAIN(row.control)]


def digest_of(counts: Counts) -> str:
    """Give the SHA-256 hex of counts, written canonically."""
    return hashlib.sha256(_canonical.dumps(counts_data(counts))).hexdigest()


def _told(query: CountQuery) -> str:
    limits = [f"{name} {value}" for name, value in (("platform", query.platform), ("plugin", query.plugin)) if value]
    if query.test:
        limits.append("test devices")
    where = f"{query.app} {query.release} on {query.channel or 'all channels'}"
    return ", ".join([where, *limits, f"{to_text(query.start)} to {to_text(query.end)}"])
