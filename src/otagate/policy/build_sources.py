"""Where counts come from, as a checked document says; see otagate.policy.build."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from otagate.policy import defaults, values
from otagate.policy.model.sources import CommandSource, FileSource, HttpSource, Source, TelemetrySource, TelemetrySpec
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
    VendorSource,
)

Readers = dict[str, Callable[[Any], Any]]
"""Key to what reads its value."""

_ASKED = ("bad", "total", "value", "newest")
_HEADERS: Readers = {"headers": lambda given: tuple(given.items())}
_TELEMETRY: Readers = {"metric": str, "platform": str, "plugin": str, "failures": tuple}
_HTTP: Readers = {
    "url": str,
    "bad": str,
    "total": str,
    "newest_at": str,
    "value": str,
    "method": str,
    **_HEADERS,
    "body": str,
    "timeout": values.duration,
}
_COMMON: Readers = {"url": lambda given: given.rstrip("/"), "timeout": values.duration}
_VENDORS: dict[str, tuple[type[VendorSource], Readers]] = {
    "prometheus": (PrometheusSource, {**_HEADERS, "auth": CloudAuth, "region": str}),
    "google_monitoring": (GoogleMonitoringSource, {"project": str}),
    "graphite": (GraphiteSource, {**_HEADERS, "reduce": str}),
    "influxdb": (InfluxdbSource, {"org": str, "token": str}),
    "dynatrace": (DynatraceSource, {"token": str}),
    "sentry": (
        SentrySource,
        {"organization": str, "project": str, "release": str, "token": str, "environment": str, "unit": str},
    ),
    "datadog": (DatadogSource, {"site": str, "api_key": str, "application_key": str, "aggregator": str}),
    "newrelic": (NewRelicSource, {"account": int, "token": str, "region": str}),
    "cloudwatch": (CloudwatchSource, {"region": str}),
    "azure_monitor": (AzureMonitorSource, {"workspace": str}),
    "capgo": (CapgoSource, {"token": str}),
}
VENDOR_KEYS: dict[type[Any], str] = {kind: key for key, (kind, _) in _VENDORS.items()}
"""The key of each vendor's source."""
ASKING = tuple(key for key, (kind, _) in _VENDORS.items() if "ask" in kind.__dataclass_fields__)
"""Keys of the sources that are asked with ``bad`` and ``total``, or with ``value``, besides ``http``."""


def read(given: dict[str, Any], readers: Readers) -> dict[str, Any]:
    """Give keyword arguments for what is there; the value types hold the defaults of the rest."""
    return {key: reader(given[key]) for key, reader in readers.items() if key in given}


def telemetry_spec(given: dict[str, Any], folder: Path) -> TelemetrySpec:
    """Make the address of telemetry; its files are relative to the policy's folder, from wherever it is read."""
    if "server" in given:
        return TelemetrySpec(given["server"].rstrip("/"), _reference(given.get("token", defaults.DEFAULT_SERVER_TOKEN), folder))
    database: str = given["database"]
    if database.startswith("sqlite:///") and not database.startswith("sqlite:////"):
        database = f"sqlite:///{_below(folder, database.removeprefix('sqlite:///'))}"
    return TelemetrySpec(database=_reference(database, folder))


def _reference(text: str, folder: Path) -> str:
    return f"file:{_below(folder, text.removeprefix('file:'))}" if text.startswith("file:") else text


def _below(folder: Path, path: str) -> str:
    return os.path.abspath(folder / path)  # noqa: PTH100 - resolve() fails on links in a circle


def source_spec(given: dict[str, Any], telemetry: TelemetrySpec | None = None) -> Source:
    """Make a source; ``telemetry`` is what one that counts there reads."""
    if "telemetry" in given and telemetry is not None:
        return TelemetrySource(telemetry, **read(given["telemetry"], _TELEMETRY))
    if "file" in given:
        return FileSource(given["file"])
    if "command" in given:
        return CommandSource(tuple(given["command"]), **read(given, {"timeout": values.duration}))
    if "http" in given:
        return HttpSource(**read(given["http"], _HTTP))
    key = next(key for key in _VENDORS if key in given)
    return _vendor(key, given[key])


def _vendor(key: str, given: dict[str, Any]) -> Source:
    kind, readers = _VENDORS[key]
    spec = read(given, {**_COMMON, **readers})
    if key in ASKING:
        spec["ask"] = Asked(**{name: given[name] for name in _ASKED if name in given})
    if "statuses" in given:
        spec["bad"] = tuple(given["statuses"])
    return kind(**spec)
