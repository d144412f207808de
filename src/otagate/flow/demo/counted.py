"""The telemetry of a demo that lasts seconds: what the server counted up to now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from otagate.flow.measuring import measure_rollout
from otagate.gate.interface import Measurement, MetricQuery, MetricSource
from otagate.gate.judge import Reading
from otagate.gate.sources.registry import open_sources
from otagate.rollout.state import RolloutState
from otagate.telemetry.model import BUCKET_S


class UpToNow:
    """See MetricSource: also the five minutes that are not over.

    In life a gate counts closed buckets only, so that two looks at the same window see the same; a demo has no time for that.
    """

    def __init__(self, inner: MetricSource) -> None:
        self._inner = inner

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        found = self._inner.read(replace(query, end=query.end + timedelta(seconds=BUCKET_S)))
        return replace(found, newest_at=None)


def measure_now(state: RolloutState, now: datetime, root: Path, environ: Mapping[str, str]) -> Sequence[Reading]:
    """Read every gate of a rollout up to now."""
    opened = open_sources(state.spec.gates, root=root, environ=environ)
    sources = {metric: UpToNow(source) for metric, source in opened.items()}
    return measure_rollout(state, now, root=root, environ=environ, sources=sources)
