"""Reading a rehearsal's telemetry over connections that stay open: a look every half hour of weeks is thousands of looks."""

from __future__ import annotations

from pathlib import Path

from otagate.gate.interface import MetricSource
from otagate.gate.sources.telemetry import OneLook, TelemetryMetrics
from otagate.gate.sources.telemetry_reader import DatabaseReader
from otagate.policy.model import TelemetrySource, TelemetrySpec
from otagate.rollout.state import RolloutState
from otagate.telemetry.sql import SqlTelemetry


class _Kept(SqlTelemetry):
    """Telemetry whose connections are somebody else's to close."""

    def close(self) -> None:
        """Leave them open."""


class HeldReader(DatabaseReader):
    """See TelemetryReader: the same questions and answers, over telemetry that is open."""

    def __init__(self, telemetry: SqlTelemetry) -> None:
        super().__init__(TelemetrySpec(), Path(), {})
        self._telemetry = _Kept(telemetry.engines)

    def _open(self) -> SqlTelemetry:
        return self._telemetry


def sources_of(state: RolloutState, reader: OneLook) -> dict[str, MetricSource]:
    """Give the sources of a rollout's gates for one look, by metric."""
    return {
        gate.metric: TelemetryMetrics(gate.source, reader)
        for gate in state.spec.gates
        if isinstance(gate.source, TelemetrySource)
    }
