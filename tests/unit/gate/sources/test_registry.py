"""Each kind of source has its adapter."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

from otagate.gate.sources.azure_monitor import AzureMonitorMetrics
from otagate.gate.sources.capgo import CapgoMetrics
from otagate.gate.sources.cloudwatch import CloudwatchMetrics
from otagate.gate.sources.command import CommandMetrics
from otagate.gate.sources.datadog import DatadogMetrics
from otagate.gate.sources.dynatrace import DynatraceMetrics
from otagate.gate.sources.file import FileMetrics
from otagate.gate.sources.google_monitoring import GoogleMonitoringMetrics
from otagate.gate.sources.graphite import GraphiteMetrics
from otagate.gate.sources.http import HttpMetrics
from otagate.gate.sources.influxdb import InfluxdbMetrics
from otagate.gate.sources.newrelic import NewRelicMetrics
from otagate.gate.sources.prometheus import PrometheusMetrics
from otagate.gate.sources.registry import open_source, open_sources
from otagate.gate.sources.sentry import SentryMetrics
from otagate.gate.sources.telemetry import TelemetryMetrics
from otagate.policy.model.gates import GateSpec
from otagate.policy.model.sources import CommandSource, FileSource, HttpSource, Source, TelemetrySource, TelemetrySpec
from otagate.policy.model.vendors import (
    Asked,
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
)

ASKED = Asked("b", "t")


KINDS: list[tuple[Source, type]] = [
    (FileSource("x.json"), FileMetrics),
    (CommandSource(("x",)), CommandMetrics),
    (HttpSource("https://metrics.test/", "bad", "total"), HttpMetrics),
    (TelemetrySource(TelemetrySpec(database="sqlite:///t.db")), TelemetryMetrics),
    (PrometheusSource("https://x.test", ASKED), PrometheusMetrics),
    (GoogleMonitoringSource("p", ASKED), GoogleMonitoringMetrics),
    (GraphiteSource("https://x.test", ASKED), GraphiteMetrics),
    (InfluxdbSource("https://x.test", "o", "env:T", ASKED), InfluxdbMetrics),
    (DynatraceSource("https://x.test", "env:T", ASKED), DynatraceMetrics),
    (SentrySource("o", "1", "app@{release}", "env:T"), SentryMetrics),
    (DatadogSource("env:A", "env:B", ASKED), DatadogMetrics),
    (NewRelicSource(1, "env:T", ASKED), NewRelicMetrics),
    (CloudwatchSource("eu-central-1", ASKED), CloudwatchMetrics),
    (AzureMonitorSource("w", ASKED), AzureMonitorMetrics),
    (CapgoSource("env:T"), CapgoMetrics),
]


@pytest.mark.parametrize(("spec", "kind"), KINDS)
def test_source_opens_without_reading(spec: Source, kind: type) -> None:
    assert type(open_source(spec, root=Path("/nowhere"), environ={})) is kind


def test_every_kind_of_source_has_an_adapter() -> None:
    assert {type(spec) for spec, _ in KINDS} == set(get_args(Source))


def test_gates_without_source_are_left_out() -> None:
    gates = [GateSpec("a", max=Decimal(1), source=FileSource("x.json")), GateSpec("b", max=Decimal(1))]
    assert list(open_sources(gates, root=Path(), environ={})) == ["a"]
