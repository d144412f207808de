"""What the schema cannot say about gates, beside their thresholds and sources."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from otagate._text import harmless, nearest
from otagate.policy.check_devices import counted_as
from otagate.policy.check_shapes import check_shape
from otagate.policy.check_sources import check_fit, check_sources
from otagate.policy.defaults import DEFAULT_GATES, effective_gates, gates_of
from otagate.policy.findings import Findings
from otagate.policy.problems import YamlPath
from otagate.policy.values import length_of


def check_gates(findings: Findings) -> None:
    """Check every gate as it is after its defaults, and that gates which act have a source."""
    given = findings.mapping("gates")
    for name, gate in given.items():
        path: YamlPath = ("gates", name)
        near = nearest(name, DEFAULT_GATES)
        if name not in DEFAULT_GATES and near:
            findings.warn(path, f"this is a metric of your own; did you mean '{near}'?")
        if isinstance(gate, dict):
            check_shape(findings, gate, effective_gates({name: gate})[name], path)
            _check_phases(findings, path)
    check_sources(findings)
    check_fit(findings, gates_of(findings))
    _check_sources_there(findings)
    _check_maturity(findings)


def _check_phases(findings: Findings, path: YamlPath) -> None:
    names = [
        phase.get("phase")
        for track in findings.mapping("tracks")
        for phase in findings.items("tracks", track)
        if isinstance(phase, dict)
    ]
    for index, name in enumerate(findings.items(*path, "phases")):
        if isinstance(name, str) and name not in names:
            findings.unknown((*path, "phases", index), "no track has such a phase", name, dict.fromkeys(names))


def _check_sources_there(findings: Findings) -> None:
    """Refuse gates that act and can never see a number: each rollout would end paused for want of data."""
    tracks = findings.mapping("tracks")
    ships_by_track = any(findings.text("branches", pattern, "track") in tracks for pattern in findings.mapping("branches"))
    if not ships_by_track or findings.at(("metrics",)) is not None:
        return
    has_telemetry = findings.at(("telemetry",)) is not None
    unseen = {
        name: gate for name, gate in gates_of(findings).items() if counted_as(name, gate, has_telemetry=has_telemetry) is None
    }
    blind = {name: gate for name, gate in unseen.items() if not gate.get("source") and not gate.get("dry_run")}
    acting = [name for name, gate in blind.items() if acts(gate)]
    if acting:
        findings.error(
            ("gates",) if findings.at(("gates",)) is not None else ("tracks",),
            f"nothing says where the numbers of these gates come from: {', '.join(harmless(name, 64) for name in acting)}",
            remedy="write `telemetry:`, or `metrics:` with a source (docs/gates.md), or `gates: {}` to ship without gates",
        )
    for name in blind:
        if name not in acting:
            findings.warn(("gates", name), f"the gate '{name}' has no source and is never measured", remedy="write `metrics:`")


def _check_maturity(findings: Findings) -> None:
    """Warn of phases that end before a gate can have seen a device: they would wait for data, and then be paused."""
    gates = gates_of(findings)
    for track in findings.mapping("tracks"):
        for index, phase in enumerate(findings.items("tracks", track)):
            soak = length_of(phase.get("soak", "24h")) if isinstance(phase, dict) else None
            weights = findings.items("tracks", track, index, "weights")
            late = [name for name, gate in gates.items() if acts(gate) and _is_late(findings, gate, soak, len(weights) or 1)]
            if late:
                names = ", ".join(harmless(name, 64) for name in late)
                remedy = "make the soak longer, or the gate's `maturity` shorter"
                findings.warn(("tracks", track, index, "soak"), f"no device can mature in this soak for {names}", remedy=remedy)


def _is_late(findings: Findings, gate: dict[str, Any], soak: timedelta | None, steps: int) -> bool:
    settle = length_of(findings.text("evaluation", "settle") or "0s")
    maturity = length_of(gate.get("maturity", "0s"))
    if soak is None or settle is None or maturity is None or not settle + maturity or gate.get("dry_run"):
        return False
    return soak * (steps if gate.get("evaluate") == "phase_end" else 1) <= settle + maturity


def acts(gate: dict[str, Any]) -> bool:
    """Tell whether a gate, in the policy's words, can pause or roll back; not only alert."""
    limits = gate.get("limits")
    if isinstance(limits, list):
        return any(isinstance(limit, dict) and limit.get("action") != "alert" for limit in limits)
    return gate.get("action", "pause") != "alert" or bool(gate.get("escalate"))
