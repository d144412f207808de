"""Counts of devices from our own telemetry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from otagate._clock import to_text
from otagate._text import harmless, span
from otagate.errors import OtagateError
from otagate.gate.interface import Ask, ContrastRow, Measurement, MetricQuery, SourceError
from otagate.gate.sources._silence import is_silent, refuse_silence
from otagate.gate.sources.telemetry_interface import Compared, Counted, TelemetryReader
from otagate.policy.model.sources import TelemetrySource
from otagate.telemetry.interface import Active, CountQuery, Heard, PluginUse
from otagate.telemetry.metrics import DEVICE_SUCCESS, VERIFICATION_TIME, check_metric, check_over, tally
from otagate.telemetry.model import BUCKET_S, Counts

_Key = TypeVar("_Key")
_Told = TypeVar("_Told")

_BUCKET = timedelta(seconds=BUCKET_S)
_HOUR = timedelta(hours=1)
_TOLD = frozenset({"crash_rate", "error_rate", DEVICE_SUCCESS})
"""Metrics whose bad devices are those that tell so."""


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
            return self._answer(metric, query)
        except SourceError:
            raise
        except OtagateError as error:
            raise SourceError(
                error.what, error.subject or f"telemetry: {metric}", error.expected, error.found, error.remedy
            ) from error

    def _answer(self, metric: str, query: MetricQuery) -> Measurement:
        if query.ask is Ask.VALUE:
            raise _cannot("telemetry counts devices", metric, "a plain number", "write `max` or `min` instead of `value`")
        if query.ask is Ask.SPLIT:
            return self._split(query)
        check_metric(metric)
        if query.ask is Ask.CONTRAST:
            if metric == VERIFICATION_TIME:
                raise _cannot("telemetry compares shares of devices only", metric, "a length of time", "name another metric")
            return self._contrast(metric, query)
        check_over(metric, query.over)
        return self._measure(metric, query)

    def _asked(self, query: MetricQuery) -> CountQuery:
        return CountQuery(
            app=query.app,
            release=query.release,
            start=floor(query.start, _BUCKET),
            end=floor(query.end, _BUCKET),
            channel=query.channel,
            platform=self._spec.platform,
            plugin=self._spec.plugin,
        )

    def _measure(self, metric: str, query: MetricQuery) -> Measurement:
        name = metric if query.over is None else f"{metric} over {span(query.over)}"
        asked = self._asked(query)
        found = self._reader.counted(asked)
        told = harmless(f"{name} from {found.asked}", 600)
        if not found.counts.devices:
            return Measurement(None, None, None, told, found.digest)
        self._refuse_silence(metric, found.counts, asked)
        counted = tally(metric, found.counts, query.over, self._spec.failures)
        newest = self._newest(asked, found.counts.newest_at)
        # A broken download is told at once, a good one when the app is opened again.
        pending = found.counts.pending if metric == DEVICE_SUCCESS else 0
        return Measurement(counted.bad, counted.total, newest, told, found.digest, pending=pending)

    def _refuse_silence(self, metric: str, counts: Counts, asked: CountQuery) -> None:
        if metric in _TOLD and is_silent(counts):
            refuse_silence(metric, counts, self._reader.plugins(asked.app, asked.start))

    def _contrast(self, metric: str, query: MetricQuery) -> Measurement:
        """Give all devices of the release, and by hour and kind those that have company of the control's."""
        if query.control is None or query.control == query.release:
            said = f"{metric}: the other devices of channel {query.channel} run the built-in bundle: nothing to compare with"
            return Measurement(None, None, None, harmless(said, 600))
        asked = self._asked(query)
        whole = self._reader.counted(asked)
        found = self._reader.side_by_side(asked, query.control)
        told = harmless(f"{metric} beside {query.control} from {found.asked}", 600)
        if not whole.counts.devices:
            return Measurement(None, None, None, told, found.digest)
        self._refuse_silence(metric, whole.counts, asked)
        all_of_it = self._tally(metric, whole.counts)
        newest = self._newest(asked, whole.counts.newest_at)
        return Measurement(*all_of_it, newest, told, found.digest, rows=self._rows(metric, found))

    def _rows(self, metric: str, found: Compared) -> tuple[ContrastRow, ...]:
        kinds = {(row.platform, row.plugin) for row in found.rows}
        strata = {kind: harmless(" ".join(kind), 100) for kind in kinds}
        rows = (
            ContrastRow(
                row.start,
                strata[row.platform, row.plugin],
                *self._tally(metric, row.release),
                *self._tally(metric, row.control),
            )
            for row in found.rows
        )
        return tuple(row for row in rows if row.total and row.control_total)

    def _tally(self, metric: str, counts: Counts) -> tuple[int, int]:
        found = tally(metric, counts, None, self._spec.failures)
        return found.bad, found.total

    def _split(self, query: MetricQuery) -> Measurement:
        """Count who runs the release among the channel's devices that were seen since the last closed hour began.

        A device is counted in the hour in which it was last seen, so that older hours hold only those that went away.
        """
        if self._spec.plugin is not None:
            raise _cannot("telemetry does not tell active devices by plugin", "split", self._spec.plugin, "remove `plugin`")
        since = floor(query.end - _HOUR, _HOUR)
        platform = self._spec.platform
        rows = [
            row
            for row in self._reader.active(query.app, since)
            if row.channel == query.channel and platform in (None, row.platform)
        ]
        total = sum(row.devices for row in rows)
        who = f"{query.app} on {query.channel}" + (f", platform {platform}" if platform else "")
        told = harmless(f"devices of {who} seen since {to_text(since)}; bad: those that run {query.release}", 600)
        if not total:
            return Measurement(None, None, None, told)
        # No newer than that is known for sure.
        return Measurement(sum(row.devices for row in rows if row.release == query.release), total, since, told)

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


def _cannot(what: str, metric: str, found: str, remedy: str) -> SourceError:
    return SourceError(what, f"telemetry: {metric}", found=found, remedy=remedy)


def floor(instant: datetime, step: timedelta) -> datetime:
    """Round an aware instant down to a multiple of ``step`` since the Unix epoch."""
    over = int(instant.timestamp()) % int(step.total_seconds())
    return instant.replace(microsecond=0) - timedelta(seconds=over)


class OneLook:
    """Asks each question only once: the gates of one look have mostly the same. See TelemetryReader.

    A question that failed has been tried often enough: who asks it again gets the same error, at once.
    """

    def __init__(self, reader: TelemetryReader) -> None:
        """Ask ``reader``."""
        self._reader = reader
        self._counted: dict[CountQuery, Counted | OtagateError] = {}
        self._compared: dict[tuple[CountQuery, str], Compared | OtagateError] = {}
        self._active: dict[tuple[str, datetime], list[Active] | OtagateError] = {}

    def counted(self, query: CountQuery) -> Counted:
        """See TelemetryReader.counted."""
        return _once(self._counted, query, lambda: self._reader.counted(query))

    def side_by_side(self, query: CountQuery, control: str) -> Compared:
        """See TelemetryReader.side_by_side."""
        return _once(self._compared, (query, control), lambda: self._reader.side_by_side(query, control))

    def active(self, app: str, since: datetime) -> list[Active]:
        """See TelemetryReader.active."""
        return _once(self._active, (app, since), lambda: list(self._reader.active(app, since)))

    def heard(self, app: str, since: datetime) -> list[Heard]:
        """See TelemetryReader.heard."""
        return list(self._reader.heard(app, since))

    def plugins(self, app: str, since: datetime) -> list[PluginUse]:
        """See TelemetryReader.plugins."""
        return list(self._reader.plugins(app, since))

    def releases(self, app: str, start: datetime, end: datetime) -> list[str]:
        """See TelemetryReader.releases."""
        return list(self._reader.releases(app, start, end))

    def in_use(self, app: str, since: datetime) -> frozenset[str]:
        """See TelemetryReader.in_use."""
        return self._reader.in_use(app, since)


def _once(known: dict[_Key, _Told | OtagateError], key: _Key, ask: Callable[[], _Told]) -> _Told:
    if key not in known:
        try:
            known[key] = ask()
        except OtagateError as error:
            known[key] = error
    told = known[key]
    if isinstance(told, OtagateError):
        raise told
    return told
