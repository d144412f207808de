"""Which adapter reads which kind of source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from otagate.gate.interface import MetricSource, SourceError
from otagate.gate.sources._identities import Identities
from otagate.policy.model.gates import GateSpec
from otagate.policy.model.sources import CommandSource, FileSource, HttpSource, Source, TelemetrySource, TelemetrySpec
from otagate.policy.model.vendors import (
    AzureMonitorSource,
    CapgoSource,
    CloudwatchSource,
    DatadogSource,
    DynatraceSource,
    GoogleMonitoringSource,
    GraphiteSource,
    InfluxdbSource,
    NewRelicSource,
    PrometheusSource,
    SentrySource,
    VendorSource,
)

if TYPE_CHECKING:
    from otagate.gate.sources.telemetry_interface import TelemetryReader


_SECRETS = frozenset({"token", "api_key", "application_key"})
"""Fields of sources that hold a reference; values of ``headers`` may."""


def open_source(spec: Source, *, root: Path, environ: Mapping[str, str], identities: Identities | None = None) -> MetricSource:
    """Make the adapter for one source. Nothing is read yet.

    Args:
        spec: As the policy says.
        root: Where relative paths and commands start: the app's folder.
        environ: Where ``env:`` references are looked up, and what commands may see a part of.
        identities: Who we are to the clouds, shared with other sources of the same environment; None: its own.

    Raises:
        PolicyError: A path into an http answer is malformed.
    """
    # Imported where they are needed: an http source drags more behind it than a file source needs.
    match spec:
        case FileSource():
            from otagate.gate.sources.file import FileMetrics  # noqa: PLC0415 - see above

            return FileMetrics(spec, root)
        case CommandSource():
            from otagate.gate.sources.command import CommandMetrics  # noqa: PLC0415 - see above

            return CommandMetrics(spec, root, environ)
        case HttpSource():
            from otagate.gate.sources.http import HttpMetrics  # noqa: PLC0415 - see above

            return HttpMetrics(spec, root, environ)
        case TelemetrySource():
            from otagate.gate.sources.telemetry import TelemetryMetrics  # noqa: PLC0415 - see above
            from otagate.gate.sources.telemetry_reader import open_reader  # noqa: PLC0415 - see above

            return TelemetryMetrics(spec, open_reader(spec.spec, root=root, environ=environ))
        case _:
            return _open_vendor(spec, root, environ, identities)


def _open_vendor(  # noqa: PLR0911 - one a vendor
    spec: VendorSource, root: Path, environ: Mapping[str, str], identities: Identities | None
) -> MetricSource:
    match spec:
        case PrometheusSource():
            from otagate.gate.sources.prometheus import PrometheusMetrics  # noqa: PLC0415 - see open_source

            return PrometheusMetrics(spec, root, environ, identities=identities)
        case GoogleMonitoringSource():
            from otagate.gate.sources.google_monitoring import GoogleMonitoringMetrics  # noqa: PLC0415 - see open_source

            return GoogleMonitoringMetrics(spec, root, environ, identities=identities)
        case GraphiteSource():
            from otagate.gate.sources.graphite import GraphiteMetrics  # noqa: PLC0415 - see open_source

            return GraphiteMetrics(spec, root, environ)
        case InfluxdbSource():
            from otagate.gate.sources.influxdb import InfluxdbMetrics  # noqa: PLC0415 - see open_source

            return InfluxdbMetrics(spec, root, environ)
        case DynatraceSource():
            from otagate.gate.sources.dynatrace import DynatraceMetrics  # noqa: PLC0415 - see open_source

            return DynatraceMetrics(spec, root, environ)
        case SentrySource():
            from otagate.gate.sources.sentry import SentryMetrics  # noqa: PLC0415 - see open_source

            return SentryMetrics(spec, root, environ)
        case DatadogSource():
            from otagate.gate.sources.datadog import DatadogMetrics  # noqa: PLC0415 - see open_source

            return DatadogMetrics(spec, root, environ)
        case NewRelicSource():
            from otagate.gate.sources.newrelic import NewRelicMetrics  # noqa: PLC0415 - see open_source

            return NewRelicMetrics(spec, root, environ)
        case CloudwatchSource():
            from otagate.gate.sources.cloudwatch import CloudwatchMetrics  # noqa: PLC0415 - see open_source

            return CloudwatchMetrics(spec, root, environ, identities=identities)
        case AzureMonitorSource():
            from otagate.gate.sources.azure_monitor import AzureMonitorMetrics  # noqa: PLC0415 - see open_source

            return AzureMonitorMetrics(spec, root, environ, identities=identities)
        case CapgoSource():
            from otagate.gate.sources.capgo import CapgoMetrics  # noqa: PLC0415 - see open_source

            return CapgoMetrics(spec, root, environ)
    assert_never(spec)


def unread(spec: Source, *, root: Path, environ: Mapping[str, str], subject: str) -> Iterator[SourceError]:
    """Give what keeps the references of a source, such as its token, from being read; nothing is asked.

    Args:
        spec: As the policy says.
        root: Where relative paths start: the app's folder.
        environ: Where ``env:`` references are looked up.
        subject: Names the source in messages.
    """
    from otagate.gate.sources._secrets import read  # noqa: PLC0415 - not needed to open sources

    for reference in _references(spec):
        try:
            read(reference, environ, root, f"{subject}, {reference}")
        except SourceError as error:
            yield error


def _references(spec: Source) -> Iterator[str]:
    for field in fields(spec):
        value = getattr(spec, field.name)
        if field.name in _SECRETS:
            yield value
        elif field.name == "headers":
            yield from (text for _, text in value if text.startswith(("env:", "file:")))


def open_sources(gates: Iterable[GateSpec], *, root: Path, environ: Mapping[str, str]) -> dict[str, MetricSource]:
    """Make the adapters of all gates that have a source, by metric, for one look.

    Gates that read the same telemetry share what it answers: of two that ask the same, only one asks. Gates that read from
    the same cloud share who we are to it.

    Raises:
        PolicyError: As for :func:`open_source`.
    """
    readers: dict[TelemetrySpec, TelemetryReader] = {}
    identities = Identities()
    sources: dict[str, MetricSource] = {}
    for gate in gates:
        if isinstance(gate.source, TelemetrySource):
            sources[gate.metric] = _shared(gate.source, readers, root, environ)
        elif gate.source is not None:
            sources[gate.metric] = open_source(gate.source, root=root, environ=environ, identities=identities)
    return sources


def _shared(
    source: TelemetrySource, readers: dict[TelemetrySpec, TelemetryReader], root: Path, environ: Mapping[str, str]
) -> MetricSource:
    from otagate.gate.sources.telemetry import OneLook, TelemetryMetrics  # noqa: PLC0415 - see open_source
    from otagate.gate.sources.telemetry_reader import open_reader  # noqa: PLC0415 - see open_source

    if source.spec not in readers:
        readers[source.spec] = OneLook(open_reader(source.spec, root=root, environ=environ, is_for_one_look=True))
    return TelemetryMetrics(source, readers[source.spec])
