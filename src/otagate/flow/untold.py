"""What the app's plugin does not tell, so that no gate over telemetry can count it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from otagate.errors import UsageError
from otagate.fleet.generations import SINCE, generation
from otagate.policy.model.gates import GateSpec
from otagate.policy.model.sources import TelemetrySource

_TIMES, _CRASHES = "batches", "tells_crashes"
_NEEDS: Mapping[str, tuple[str, str]] = {
    "verification_time": (_TIMES, "sends no times, so this gate has no data and pauses rollouts"),
    "crash_rate": (_CRASHES, "tells of no crashes, so this gate counts only starts without readiness"),
    "error_rate": (_CRASHES, "tells of no errors of scripts, so this gate finds none"),
}
"""Metric of telemetry to what it needs of the plugin (a name in ``SINCE``), and what is wrong without."""


def untold(gates: Iterable[GateSpec], version: str | None) -> dict[str, str]:
    """Give the gates that a version of the plugin tells nothing for, or not all, each with a sentence.

    Args:
        gates: Gates of a policy; those without telemetry as their source are left out.
        version: Of ``@capgo/capacitor-updater`` in the app; unknown ones are taken to tell everything.
    """
    try:
        plugin = generation(version or "")
    except UsageError:
        return {}
    found = {}
    for gate in gates:
        if not isinstance(gate.source, TelemetrySource):
            continue
        feature, words = _NEEDS.get(gate.source.metric or gate.metric, ("", ""))
        if feature and not plugin.has(feature):
            found[gate.metric] = f"{gate.metric}: the plugin {plugin.version} {words}; {_since(feature)} and newer do"
    return found


def _since(feature: str) -> str:
    *most, last = [f"{major}.{minor}.{patch}" for major, (minor, patch) in SINCE[feature].items()]
    return f"{', '.join(most)} and {last}" if most else last
