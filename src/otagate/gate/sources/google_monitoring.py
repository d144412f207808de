"""PromQL over Google Cloud Monitoring: Prometheus's API at an address of Google's, with the identity of the CI job.

**Source:** Google, "Prometheus API", ``/v1/projects/PROJECT/location/global/prometheus/api/v1/query``.
"""

from __future__ import annotations

from urllib.parse import quote

from otagate.gate.interface import Measurement, MetricQuery
from otagate.gate.sources._opened import Opened
from otagate.gate.sources.prometheus import read_promql
from otagate.policy.model.vendors import CloudAuth, GoogleMonitoringSource, PrometheusSource


class GoogleMonitoringMetrics(Opened[GoogleMonitoringSource]):
    """See MetricSource."""

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        spec = self._spec
        url = f"{spec.url.rstrip('/')}/v1/projects/{quote(spec.project, safe='')}/location/global/prometheus"
        same = PrometheusSource(url, spec.ask, auth=CloudAuth.GOOGLE, timeout=spec.timeout)
        return read_promql(same, self._wire, query)
