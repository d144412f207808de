"""The port of metric sources: counts of devices for one metric, one release, one closed window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from otagate.errors import OtagateError


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """What is asked.

    Attributes:
        metric: The gate's name, such as ``crash_rate``.
        app: App id.
        channel: Channel name.
        release: Version under test.
        start: Beginning of the window, included.
        end: End of the window, excluded; already reduced by the settle time.
        weight_bps: Exposure at the time of asking, 0 to 10000.
        over: For exceedance metrics the duration that a device must exceed to count as bad; otherwise None.
    """

    metric: str
    app: str
    channel: str
    release: str
    start: datetime
    end: datetime
    weight_bps: int
    over: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One reading: counts of devices, never a bare ratio.

    Attributes:
        bad: Devices that failed, or None when the source knows none.
        total: Devices that were observed and matured, or None when the source has no data.
        newest_at: The newest observation in it, or None when the source cannot tell.
        query: What was asked of the source, for the evidence; without secrets.
        digest: SHA-256 hex of the raw answer, or None.
    """

    bad: int | None
    total: int | None
    newest_at: datetime | None
    query: str
    digest: str | None = None


class SourceError(OtagateError):
    """A source could not be read. It never fails or passes a gate: the verdict is ``error``.

    ``subject`` names the source, ``found`` what went wrong. Secrets never stand in it.
    """


class MetricSource(Protocol):
    """Reads measurements. Raises ``SourceError`` and nothing else; no data is a Measurement with ``total`` None or 0."""

    def read(self, query: MetricQuery) -> Measurement:
        """Read one metric over one window, within 15 seconds a try and bounded tries."""
        ...
