"""The port of metric sources: counts of devices, or a plain number, for one metric, one release, one closed window."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from otagate.errors import OtagateError


class Ask(StrEnum):
    """What kind of answer a gate needs."""

    COUNTS = "counts"
    """``bad`` and ``total`` devices."""
    VALUE = "value"
    """``value``, a plain number."""
    CONTRAST = "contrast"
    """``rows``: the release and its control, side by side, in closed buckets and alike devices."""
    SPLIT = "split"
    """``bad``: devices of the channel that have the release (or were chosen for it); ``total``: devices of the channel."""


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
        ask: What kind of answer is needed. A source that cannot give it raises SourceError and says so.
        control: With CONTRAST the release that the channel's other devices are served; None: the built-in bundle, so that
            there is nothing to compare with.
    """

    metric: str
    app: str
    channel: str
    release: str
    start: datetime
    end: datetime
    weight_bps: int
    over: timedelta | None = None
    ask: Ask = Ask.COUNTS
    control: str | None = None


@dataclass(frozen=True, slots=True)
class ContrastRow:
    """Devices first seen in one closed bucket, alike in platform and plugin version: those of the release, and its control.

    Rows are conditioned on one by one, so that neither the time of day, nor the growing weight, nor another mix of plugin
    versions or platforms is taken for a difference between the releases.
    """

    start: datetime
    stratum: str
    """Such as ``ios 8.51.4``; for the evidence."""
    bad: int
    total: int
    control_bad: int
    control_total: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One reading: counts of devices, never a bare ratio.

    Attributes:
        bad: Devices that failed, or None when the source knows none.
        total: Devices that were observed and matured, or None when the source has no data.
        newest_at: The newest observation in it, or None when the source cannot tell.
        query: What was asked of the source, for the evidence; without secrets.
        digest: SHA-256 hex of the raw answer, or None.
        value: With ``Ask.VALUE`` the number, or None when the source has no data. Never NaN or infinite.
        pending: Devices that were observed and matured, whose fate is not known yet: neither in ``bad`` nor in ``total``. Where
            failures are told sooner than successes, the share of bad ones among those that are known is too high.
        rows: With ``Ask.CONTRAST``, by start and stratum; then ``bad`` and ``total`` are the sums over the release's devices.
    """

    bad: int | None
    total: int | None
    newest_at: datetime | None
    query: str
    digest: str | None = None
    value: float | None = None
    pending: int = 0
    rows: tuple[ContrastRow, ...] = ()


class SourceError(OtagateError):
    """A source could not be read. It never fails or passes a gate: the verdict is ``error``.

    ``subject`` names the source, ``found`` what went wrong. Secrets never stand in it.
    """


class MetricSource(Protocol):
    """Reads measurements. Raises ``SourceError`` and nothing else; no data is a Measurement with ``total`` None or 0.

    With ``Ask.VALUE`` no data is a ``value`` of None.
    """

    def read(self, query: MetricQuery) -> Measurement:
        """Read one metric over one window, within 15 seconds a try and bounded tries."""
        ...


class Independent(ABC):
    """A MetricSource that shares nothing with another one while it is read, so that both may be asked at the same time.

    Those that read over a network of their own are such. Those that share a database connection or the answers of a look, or
    that start programs on this machine, are not.
    """

    @abstractmethod
    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read. One source is never asked two things at the same time."""
