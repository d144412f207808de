"""What the schema cannot say about gates, beside their thresholds and sources."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from otagate._text import harmless, nearest, span
from otagate.policy.check_devices import counted_as
from otagate.policy.check_phases import acts
from otagate.policy.check_shapes import check_shape
from otagate.policy.check_sources import check_fit, check_sources
from otagate.policy.defaults import DEFAULT_GATES, effective_gates, gates_of
from otagate.policy.findings import Findings
from otagate.policy.problems import YamlPath
from otagate.policy.values import length_of, percent_text, share_of

_HALF = Decimal("0.5")
_HEARD_WITHIN = timedelta(hours=2)
"""So old may be what telemetry surely knows of devices that are heard all the time: the beginning of the last whole hour."""
_RATES_OF_BAD = frozenset({"crash_rate", "error_rate"})


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
            _check_sense(findings, name, gate)
    check_sources(findings)
    check_fit(findings, gates_of(findings))
    _check_sources_there(findings)
    _check_staleness(findings)


def _check_sense(findings: Findings, name: str, gate: dict[str, Any]) -> None:
    """Warn where good and bad devices are likely to be mixed up: such a gate passes nearly everything."""
    most, least = share_of(gate.get("max")), share_of(gate.get("min"))
    if most is not None and most > _HALF:
        what = f"at most {percent_text(most)} of the devices may be *bad*: nearly every release passes"
        findings.warn(("gates", name, "max"), what, remedy=f"did you mean `min: {percent_text(most)}`, good devices?")
    if least is not None and least < _HALF and name in _RATES_OF_BAD:
        what = f"only {percent_text(least)} of the devices have to be *good*: nearly every release passes"
        findings.warn(("gates", name, "min"), what, remedy=f"did you mean `max: {percent_text(least)}`, bad devices?")


def _check_staleness(findings: Findings) -> None:
    """Warn where devices that were heard a moment ago are too old: telemetry tells in which hour that was."""
    length = length_of(findings.text("evaluation", "max_staleness") or "")
    if length is None or length >= _HEARD_WITHIN:
        return
    has_telemetry = findings.at(("telemetry",)) is not None
    gates = gates_of(findings).items()
    if any(acts(gate) and counted_as(name, gate, has_telemetry=has_telemetry) for name, gate in gates):
        what = f"telemetry knows by the hour when devices were heard: with {span(length)}, a fleet without new ones is stale"
        findings.warn(("evaluation", "max_staleness"), what, remedy=f"write {span(_HEARD_WITHIN)} or more")


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
            remedy=_where_from(acting, has_telemetry=has_telemetry),
        )
    for name in blind:
        if name not in acting:
            findings.warn(("gates", name), f"the gate '{name}' has no source and is never measured", remedy="write `metrics:`")


def _where_from(names: list[str], *, has_telemetry: bool) -> str:
    near = [found for name in names if name not in DEFAULT_GATES and (found := nearest(name, DEFAULT_GATES))]
    meant = f"did you mean '{near[0]}'? Otherwise " if near else ""
    if has_telemetry:
        return f"{meant}write `metrics:` with a source, or `source` in the gate: telemetry does not know them (docs/gates.md)"
    return f"{meant}write `telemetry:`, or `metrics:` with a source (docs/gates.md), or `gates: {{}}` to ship without gates"
