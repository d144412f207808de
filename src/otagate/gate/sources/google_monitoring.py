"""PromQL over Google Cloud Monitoring: Prometheus's API at an address of Google's, with the identity of the CI job.

**Source:** Google, "Prometheus API", ``/v1/projects/PROJECT/location/global/prometheus/api/v1/query``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from otagate.gate.interface import Measurement, MetricQuery
from otagate.gate.sources._exchange import Pace
from otagate.gate.sources.prometheus import PrometheusMetrics
from otagate.policy.model.vendors import CloudAuth, GoogleMonitoringSource, PrometheusSource

if TYPE_CHECKING:
    import httpx

    from otagate.identity._outside import Outside


class GoogleMonitoringMetrics:
    """See MetricSource."""

    def __init__(
        self,
        spec: GoogleMonitoringSource,
        root: Path,
        environ: Mapping[str, str],
        *,
        pace: Pace | None = None,
        transport: httpx.BaseTransport | None = None,
        outside: Outside | None = None,
    ) -> None:
        """Ask for the metrics of ``spec.project``; the identity is looked for when it is asked. See PrometheusMetrics."""
        url = f"{spec.url.rstrip('/')}/v1/projects/{quote(spec.project, safe='')}/location/global/prometheus"
        same = PrometheusSource(url, spec.ask, auth=CloudAuth.GOOGLE, timeout=spec.timeout)
        self._same = PrometheusMetrics(same, root, environ, pace=pace, transport=transport, outside=outside)

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        return self._same.read(query)
