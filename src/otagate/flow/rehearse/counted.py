"""The sources of a rehearsed rollout's gates."""

from __future__ import annotations

from otagate.gate.interface import MetricSource
from otagate.gate.sources.telemetry import TelemetryMetrics
from otagate.gate.sources.telemetry_interface import TelemetryReader
from otagate.policy.model.sources import TelemetrySource
from otagate.rollout.state import RolloutState


def sources_of(state: RolloutState, reader: TelemetryReader) -> dict[str, MetricSource]:
    """Give the sources of all gates, by metric, over one reader: who looks again and again opens nothing anew."""
    return {
        gate.metric: TelemetryMetrics(gate.source, reader)
        for gate in state.spec.gates
        if isinstance(gate.source, TelemetrySource)
    }
