"""Counts of devices from our own telemetry."""

from __future__ import annotations

from datetime import datetime, timedelta

from otagate._text import harmless, span
from otagate.errors import OtagateError
from otagate.gate.interface import Measurement, MetricQuery, SourceError
from otagate.gate.sources.telemetry_reader import Counted, TelemetryReader
from otagate.policy.model import TelemetrySource
from otagate.telemetry.interface import Active, CountQuery
from otagate.telemetry.metrics import check_metric, check_over, tally
from otagate.telemetry.model import BUCKET_S

_BUCKET = timedelta(seconds=BUCKET_S)
_HOUR = timedelta(hours=1)


class TelemetryMetrics:
    """See MetricSource.

    A window is made of closed buckets: both its ends are rounded down, so that a device is in it once or not at all, and two
    looks at the same window differ only by what devices told in between.
    """

    def __init__(self, spec: TelemetrySource, reader: TelemetryReader) -> None:
        """Count as ``spec`` says, and read with ``reader``."""
        self._spec = spec
        self._reader = reader

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        metric = self._spec.metric or query.metric
        try:
            check_metric(metric)
            check_over(metric, query.over)
            return self._measure(metric, query)
        except SourceError:
            raise
        except OtagateError as error:
            raise SourceError(
                error.what, error.subject or f"telemetry: {metric}", error.expected, error.found, error.remedy
            ) from error

    def _measure(self, metric: str, query: MetricQuery) -> Measurement:
        name = metric if query.over is None else f"{metric} over {span(query.over)}"
        asked = CountQuery(
            app=query.app,
            release=query.release,
            start=floor(query.start, _BUCKET),
            end=floor(query.end, _BUCKET),
            channel=query.channel,
            platform=self._spec.platform,
            plugin=self._spec.plugin,
        )
        found = self._reader.counted(asked)
        told = harmless(f"{name} from {found.asked}", 600)
        if not found.counts.devices:
            return Measurement(None, None, None, told, found.digest)
        counted = tally(metric, found.counts, query.over)
        return Measurement(counted.bad, counted.total, self._newest(asked, found.counts.newest_at), told, found.digest)

    def _newest(self, asked: CountQuery, newest: datetime | None) -> datetime | None:
        """Say until when devices of the release were surely heard.

        A device counts in the bucket in which it was first seen. In a small fleet all of them are there after an hour; that
        no new one comes is no silence, as long as those that run the release go on telling so.
        """
        since = floor(asked.end - _HOUR, _HOUR)
        if newest is None or newest >= since:
            return newest
        heard = any(_is_about(row, asked) for row in self._reader.active(asked.app, since))
        return since if heard else newest


def _is_about(row: Active, asked: CountQuery) -> bool:
    return (
        row.devices > 0
        and row.release == asked.release
        and row.channel == asked.channel
        and asked.platform in (None, row.platform)
    )


def floor(instant: datetime, step: timedelta) -> datetime:
    """Round an aware instant down to a multiple of ``step`` since the Unix epoch."""
    over = int(instant.timestamp()) % int(step.total_seconds())
    return instant.replace(microsecond=0) - timedelta(seconds=over)


class OneLook:
    """Asks each question only once: the gates of one look have mostly the same. See TelemetryReader."""

    def __init__(self, reader: TelemetryReader) -> None:
        """Ask ``reader``."""
        self._reader = reader
        self._counted: dict[CountQuery, Counted] = {}
        self._active: dict[tuple[str, datetime], list[Active]] = {}

    def counted(self, query: CountQuery) -> Counted:
        """See TelemetryReader.counted."""
        if query not in self._counted:
            self._counted[query] = self._reader.counted(query)
        return self._counted[query]

    def active(self, app: str, since: datetime) -> list[Active]:
        """See TelemetryReader.active."""
        if (app, since) not in self._active:
            self._active[app, since] = list(self._reader.active(app, since))
        return self._active[app, since]

    def releases(self, app: str, start: datetime, end: datetime) -> list[str]:
        """See TelemetryReader.releases."""
        return list(self._reader.releases(app, start, end))

    def in_use(self, app: str, since: datetime) -> frozenset[str]:
        """See TelemetryReader.in_use."""
        return self._reader.in_use(app, since)
