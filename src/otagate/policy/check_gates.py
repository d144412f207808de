"""What the schema cannot say about gates and the sources of their counts."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from otagate._text import harmless, nearest
from otagate.policy import values
from otagate.policy.check_devices import counted_as
from otagate.policy.defaults import ACTION_ORDER, DEFAULT_GATES, SHAPES, effective_gates
from otagate.policy.findings import Findings
from otagate.policy.problems import YamlPath
from otagate.policy.values import length_of, share_of

SOURCE_PLACEHOLDERS = ("metric", "app", "channel", "release", "start", "end", "weight", "over")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LIMIT_KEYS_REFUSED = ("action", "target", "escalate")


def check_gates(findings: Findings) -> None:
    """Check every gate as it is after its defaults, and that gates which act have a source."""
    given = findings.mapping("gates")
    for name, gate in given.items():
        path: YamlPath = ("gates", name)
        near = nearest(name, DEFAULT_GATES)
        if name not in DEFAULT_GATES and near:
            findings.warn(path, f"this is a metric of your own; did you mean '{near}'?")
        if isinstance(gate, dict):
            _check_shape(findings, gate, effective_gates({name: gate})[name], path)
            _check_source(findings, (*path, "source"))
    _check_source(findings, ("metrics",))
    _check_sources_there(findings)
    _check_maturity(findings)


def _check_shape(findings: Findings, given: dict[str, Any], gate: dict[str, Any], path: YamlPath) -> None:
    shapes = [key for key in SHAPES if key in given] or [key for key in SHAPES if key in gate]
    if len(shapes) != 1:
        found = " and ".join(f"`{key}`" for key in shapes) or "none of them"
        findings.error(path, "a gate has exactly one kind of threshold", expected="one of `max`, `min`, `limits`", found=found)
        return
    if shapes == ["limits"]:
        _check_limits(findings, given, path)
    else:
        _check_target(findings, gate, path, shapes[0])
        _check_escalation(findings, gate, path)


def _check_target(findings: Findings, gate: dict[str, Any], path: YamlPath, shape: str) -> None:
    target, limit = share_of(gate.get("target")), share_of(gate.get(shape))
    if target is None or limit is None:
        return
    if (shape == "min" and target < limit) or (shape == "max" and target > limit):
        side = "at least" if shape == "min" else "at most"
        expected = f"{side} `{shape}`, {values.percent_text(limit)}"
        findings.error(
            (*path, "target"), "the target is beyond the limit", expected=expected, found=values.percent_text(target)
        )


def _check_escalation(findings: Findings, gate: dict[str, Any], path: YamlPath) -> None:
    escalation = gate.get("escalate")
    if not isinstance(escalation, dict):
        return
    path = (*path, "escalate")
    if "max" not in gate:
        findings.error(path, "`escalate` goes with `max` only", remedy="remove it, or write the gate with `max`")
        return
    above, limit = share_of(escalation.get("above")), share_of(gate["max"])
    if above is not None and limit is not None and above <= limit:
        expected = f"more than `max`, {values.percent_text(limit)}"
        findings.error((*path, "above"), "an escalation is a worse limit", expected=expected, found=values.percent_text(above))
    weak, strong = gate.get("action", "pause"), escalation.get("action")
    if weak in ACTION_ORDER and strong in ACTION_ORDER and ACTION_ORDER.index(strong) <= ACTION_ORDER.index(weak):
        findings.error((*path, "action"), "an escalation is a stronger action", expected=f"stronger than {weak}", found=strong)


def _check_limits(findings: Findings, given: dict[str, Any], path: YamlPath) -> None:
    for key in _LIMIT_KEYS_REFUSED:
        if key in given:
            findings.error((*path, key), f"`{key}` does not go with `limits`", remedy="each limit has its own action")
    seen: set[object] = set()
    for index, limit in enumerate(findings.items(*path, "limits")):
        over = limit.get("over") if isinstance(limit, dict) else None
        try:
            length = values.span(over) if isinstance(over, str) else None
        except ValueError:
            continue  # the schema reports it
        if length is not None and length in seen:
            findings.error((*path, "limits", index, "over"), "two limits have the same length", found=over)
        seen.add(length)


def _check_source(findings: Findings, path: YamlPath) -> None:
    source = findings.mapping(*path)
    if "timeout" in source and "command" not in source:
        findings.error((*path, "timeout"), "`timeout` goes with `command`", remedy="write it inside `http` for http")
    for place, text in findings.texts():
        if place[: len(path)] != path or "headers" in place:
            continue
        for name in _PLACEHOLDER.findall(text):
            if name not in SOURCE_PLACEHOLDERS:
                known = ", ".join(f"{{{known}}}" for known in SOURCE_PLACEHOLDERS)
                findings.error(place, f"there is no placeholder {{{harmless(name, 40)}}}", expected=f"one of {known}")
    http = findings.mapping(*path, "http")
    if "body" in http and http.get("method", "GET") != "POST":
        findings.error((*path, "http", "body"), "a body goes with POST", remedy="write `method: POST`")


def _check_sources_there(findings: Findings) -> None:
    """Refuse gates that act and can never see a number: each rollout would end paused for want of data."""
    tracks = findings.mapping("tracks")
    ships_by_track = any(findings.text("branches", pattern, "track") in tracks for pattern in findings.mapping("branches"))
    if not ships_by_track or findings.at(("metrics",)) is not None:
        return
    has_telemetry = findings.at(("telemetry",)) is not None
    unseen = {
        name: gate for name, gate in _effective(findings).items() if counted_as(name, gate, has_telemetry=has_telemetry) is None
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
    gates = _effective(findings)
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


def _effective(findings: Findings) -> dict[str, dict[str, Any]]:
    """Give the gates in effect; none when ``gates`` is there and no mapping."""
    root = findings.document.data
    given = root.get("gates") if isinstance(root, dict) else None
    return effective_gates(given) if given is None or isinstance(given, dict) else {}


def acts(gate: dict[str, Any]) -> bool:
    """Tell whether a gate, in the policy's words, can pause or roll back; not only alert."""
    limits = gate.get("limits")
    if isinstance(limits, list):
        return any(isinstance(limit, dict) and limit.get("action") != "alert" for limit in limits)
    return gate.get("action", "pause") != "alert" or bool(gate.get("escalate"))
