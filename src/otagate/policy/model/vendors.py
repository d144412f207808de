"""Metric sources of other makers, as a policy says them: frozen values. What each asks is in docs/gates.md.

Every source is asked for two counts, ``bad`` and ``total`` devices, or for one ``value``; ``newest`` asks for the instant of
the newest observation, where the store can tell. Texts may hold the placeholders of docs/gates.md. Secrets are references,
``env:NAME`` or ``file:PATH``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

DEFAULT_TIMEOUT = timedelta(seconds=15)


class CloudAuth(StrEnum):
    """How requests to a cloud are signed; the identity is that of the CI job or machine (docs/stores.md)."""

    NONE = "none"
    AWS = "aws"
    """Signature version 4; of the service ``aps`` for Amazon Managed Service for Prometheus."""
    GOOGLE = "google"
    AZURE = "azure"


@dataclass(frozen=True, slots=True)
class Asked:
    """What one gate asks of a source: exactly ``bad`` and ``total``, or ``value``.

    Attributes:
        bad: Query for the number of bad devices.
        total: Query for the number of devices.
        value: Query for a plain number, for gates with ``value``.
        newest: Query for the instant of the newest observation, in Unix seconds, or None.
    """

    bad: str | None = None
    total: str | None = None
    value: str | None = None
    newest: str | None = None


@dataclass(frozen=True, slots=True)
class PrometheusSource:
    """PromQL over the Prometheus HTTP API: Prometheus, Mimir, Thanos, Grafana Cloud, Amazon's and Google's managed services.

    Attributes:
        url: What stands before ``/api/v1/query``.
        ask: PromQL, evaluated at the end of the window; each must give one series, or none for no data.
        headers: Name to value or reference, such as ``Authorization`` or ``X-Scope-OrgID``.
        auth: How requests are signed, when not by a header.
        region: With ``auth: aws``.
    """

    url: str
    ask: Asked
    headers: tuple[tuple[str, str], ...] = ()
    auth: CloudAuth = CloudAuth.NONE
    region: str | None = None
    timeout: timedelta = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class GoogleMonitoringSource:
    """PromQL over Google Cloud Monitoring's Prometheus API of one project."""

    project: str
    ask: Asked
    url: str = "https://monitoring.googleapis.com"
    timeout: timedelta = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class GraphiteSource:
    """Targets of Graphite's render API; every target must give one series. ``reduce``: how its points become one number."""

    url: str
    ask: Asked
    reduce: str = "sum"
    """``sum``, ``last`` or ``max``."""
    headers: tuple[tuple[str, str], ...] = ()
    timeout: timedelta = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class InfluxdbSource:
    """Flux over InfluxDB 2; each query must give one row."""

    url: str
    org: str
    token: str
    ask: Asked
    timeout: timedelta = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class DynatraceSource:
    """Metric selectors of Dynatrace's metrics API v2, with resolution ``Inf``."""

    url: str
    token: str
    ask: Asked
    timeout: timedelta = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class SentrySource:
    """Release health of Sentry: users (or sessions) of the release, and those among them that crashed.

    Attributes:
        organization: Slug.
        project: Numeric id.
        release: The release's name in Sentry, with placeholders: it must name the bundle, such as ``app@1.2.3+{release}``.
        environment: Only of this one, or None.
        unit: ``user`` or ``session``. Sessions are not devices: such a gate may pause at most.
        bad: Which statuses are bad: of ``crashed``, ``errored``, ``abnormal``.
    """

    organization: str
    project: str
    release: str
    token: str
    environment: str | None = None
    unit: str = "user"
    bad: tuple[str, ...] = ("crashed",)
    url: str = "https://sentry.io"
    timeout: timedelta = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class DatadogSource:
    """Scalar queries of Datadog's API v2; ``site`` such as ``datadoghq.eu``. ``url`` replaces ``https://api.{site}``.

    Plain numbers are averaged where ``aggregator`` is ``sum``.
    """

    api_key: str
    application_key: str
    ask: Asked
    site: str = "datadoghq.com"
    aggregator: str = "sum"
    url: str | None = None
    timeout: timedelta = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class NewRelicSource:
    """NRQL over NerdGraph; each query must give one row with one number. ``region``: ``us`` or ``eu``."""

    account: int
    token: str
    ask: Asked
    region: str = "us"
    url: str | None = None
    timeout: timedelta = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class CloudwatchSource:
    """Metric math of CloudWatch's GetMetricData; each must give one series: counts are its sum, plain numbers its mean."""

    region: str
    ask: Asked
    url: str | None = None
    timeout: timedelta = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class AzureMonitorSource:
    """KQL over a Log Analytics workspace; each query must give one row with one number."""

    workspace: str
    ask: Asked
    url: str = "https://api.loganalytics.azure.com"
    timeout: timedelta = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class CapgoSource:
    """Devices of a release, and those among them that failed or crashed, by the events that Capgo keeps.

    Capgo thins events out when there are very many, so such a gate may pause at most.

    Attributes:
        token: API key.
        url: Where Capgo's API is.
    """

    token: str
    url: str = "https://api.capgo.app"
    timeout: timedelta = DEFAULT_TIMEOUT


VendorSource = (
    PrometheusSource
    | GoogleMonitoringSource
    | GraphiteSource
    | InfluxdbSource
    | DynatraceSource
    | SentrySource
    | DatadogSource
    | NewRelicSource
    | CloudwatchSource
    | AzureMonitorSource
    | CapgoSource
)
