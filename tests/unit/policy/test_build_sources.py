from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from otagate.policy.model.sources import HttpSource, Source, TelemetrySource
from otagate.policy.model.vendors import (
    Asked,
    AzureMonitorSource,
    CapgoSource,
    CloudAuth,
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
from support.policies import TELEMETRY, load

COUNTS = Asked(bad="b{release}", total="t")
ASKS = "bad: 'b{release}', total: t"
WORKSPACE = "00000000-0000-0000-0000-000000000001"
SHORTEST: dict[str, Source] = {
    f"prometheus: {{url: 'https://p/', {ASKS}}}": PrometheusSource("https://p", COUNTS),
    f"google_monitoring: {{project: acme-mobile, {ASKS}}}": GoogleMonitoringSource("acme-mobile", COUNTS),
    f"graphite: {{url: 'https://g', {ASKS}}}": GraphiteSource("https://g", COUNTS),
    f"influxdb: {{url: 'https://i', org: acme, token: 'env:T', {ASKS}}}": InfluxdbSource("https://i", "acme", "env:T", COUNTS),
    f"dynatrace: {{url: 'https://d', token: 'env:T', {ASKS}}}": DynatraceSource("https://d", "env:T", COUNTS),
    "sentry: {organization: acme, project: 7, release: 'a@{release}', token: 'env:T'}": SentrySource(
        "acme", "7", "a@{release}", "env:T"
    ),
    f"datadog: {{api_key: 'env:A', application_key: 'env:B', {ASKS}}}": DatadogSource("env:A", "env:B", COUNTS),
    f"newrelic: {{account: 5, token: 'env:T', {ASKS}}}": NewRelicSource(5, "env:T", COUNTS),
    f"cloudwatch: {{region: eu-west-1, {ASKS}}}": CloudwatchSource("eu-west-1", COUNTS),
    f"azure_monitor: {{workspace: {WORKSPACE}, {ASKS}}}": AzureMonitorSource(WORKSPACE, COUNTS),
    "capgo: {token: 'file:t'}": CapgoSource("file:t"),
}
NEWEST = Asked(bad="{release}", total="t", newest="n")
ALL = "bad: '{release}', total: t, newest: n, timeout: 3s"
S3 = timedelta(seconds=3)
LONGEST: dict[str, Source] = {
    f"prometheus: {{url: 'https://p/x', headers: {{X-Scope-OrgID: a}}, auth: aws, region: us-gov-west-1, {ALL}}}": PrometheusSource(
        "https://p/x", NEWEST, (("X-Scope-OrgID", "a"),), CloudAuth.AWS, "us-gov-west-1", S3
    ),
    f"google_monitoring: {{project: acme-mobile, url: 'https://g', {ALL}}}": GoogleMonitoringSource(
        "acme-mobile", NEWEST, "https://g", S3
    ),
    f"graphite: {{url: 'https://g', reduce: max, headers: {{A: b}}, {ALL}}}": GraphiteSource(
        "https://g", NEWEST, "max", (("A", "b"),), S3
    ),
    "sentry: {organization: a, project: 7, release: '{release}', token: 'env:T', environment: prod, unit: session,"
    " statuses: [errored, abnormal], url: 'https://s', timeout: 3s}": SentrySource(
        "a", "7", "{release}", "env:T", "prod", "session", ("errored", "abnormal"), "https://s", S3
    ),
    f"datadog: {{site: datadoghq.eu, api_key: 'env:A', application_key: 'env:B', aggregator: last, url: 'https://d', {ALL}}}": DatadogSource(
        "env:A", "env:B", NEWEST, "datadoghq.eu", "last", "https://d", S3
    ),
    f"newrelic: {{account: 5, token: 'env:T', region: eu, url: 'https://n/graphql', {ALL}}}": NewRelicSource(
        5, "env:T", NEWEST, "eu", "https://n/graphql", S3
    ),
    "capgo: {token: 'file:t', url: 'http://localhost:8080', timeout: 3s}": CapgoSource("file:t", "http://localhost:8080", S3),
}


@pytest.mark.parametrize(("text", "expected"), [*SHORTEST.items(), *LONGEST.items()])
def test_each_source_is_read(text: str, expected: Source, tmp_path: Path) -> None:
    name = "crash_rate" if text.startswith("capgo") else "mine"  # Capgo knows few metrics
    policy = load(tmp_path, f"gates: {{{name}: {{max: 5%, escalate: null, action: pause, source: {{{text}}}}}}}\n")
    assert policy.gates[0].source == expected
    assert policy.warnings == ()


@pytest.mark.parametrize("text", SHORTEST)
def test_each_source_can_be_the_default_one(text: str, tmp_path: Path) -> None:
    known = text.startswith("capgo")  # it knows few metrics
    names = ("crash_rate", "device_success_rate") if known else ("mine", "other")
    shapes = "{max: 5%, escalate: null}, ", "{min: 5%, action: pause}"
    gates = f"{names[0]}: {shapes[0]}{names[1]}: {shapes[1]}"
    policy = load(tmp_path, f"metrics: {{{text}}}\ngates: {{{gates}}}\n")
    assert [gate.source for gate in policy.gates] == [SHORTEST[text]] * 2


def test_a_plain_number_is_asked_for_alone(tmp_path: Path) -> None:
    sources = ("prometheus: {url: 'https://p', value: '{release}'}", "http: {url: 'https://p', value: a.b}")
    found = [
        load(tmp_path, f"gates: {{slow: {{value: {{max: 5}}, source: {{{source}}}}}}}\n").gates[0].source for source in sources
    ]
    assert found == [PrometheusSource("https://p", Asked(value="{release}")), HttpSource("https://p", value="a.b")]


def test_failures_of_telemetry_are_chosen(tmp_path: Path) -> None:
    text = "gates: {device_success_rate: {source: {telemetry: {failures: [boot, network]}}}, crash_rate: {}}\n"
    first, second = (gate.source for gate in load(tmp_path, TELEMETRY + text).gates)
    assert isinstance(first, TelemetrySource)
    assert isinstance(second, TelemetrySource)
    assert first.failures == ("boot", "network")
    assert second.failures == ("boot", "integrity", "refusal")
