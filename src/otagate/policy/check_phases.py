"""What the schema cannot say about gates and phases together: which gate counts where, and what it can see there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from otagate._text import harmless, span
from otagate.policy.defaults import gates_of
from otagate.policy.findings import Findings
from otagate.policy.problems import YamlPath
from otagate.policy.values import length_of

Gates = dict[str, dict[str, Any]]
"""Completed gates in the policy's words, by metric."""


def check_phases(findings: Findings) -> None:
    """Check the phases of gates and the gates of phases, and warn of gates that can see nothing."""
    gates = gates_of(findings)
    phases = list(_phases(findings))
    names = list(dict.fromkeys(phase["phase"] for _, phase in phases if isinstance(phase.get("phase"), str)))
    for metric, gate in gates.items():
        path: YamlPath = ("gates", metric, "phases")
        for index, name in enumerate(findings.items(*path)):
            if isinstance(name, str) and name not in names:
                findings.unknown((*path, index), "no track has such a phase", name, names)
        if phases and not any(counts_in(metric, gate, phase) for _, phase in phases):
            findings.warn(("gates", metric), f"the gate '{harmless(metric, 64)}' counts in no phase")
        _check_age(findings, gate, ("gates", metric, "evaluate", "at_age"))
    for path, phase in phases:
        _check_metrics(findings, (*path, "gates"), list(gates))
        here = {metric: gate for metric, gate in gates.items() if acts(gate) and counts_in(metric, gate, phase)}
        _check_maturity(findings, path, phase, here)
        _check_contrast(findings, path, phase, here)


def acts(gate: dict[str, Any]) -> bool:
    """Tell whether a gate, in the policy's words, can pause or roll back; not only alert."""
    if gate.get("dry_run"):
        return False
    limits = gate.get("limits")
    if isinstance(limits, list):
        return any(isinstance(limit, dict) and limit.get("action") != "alert" for limit in limits)
    return gate.get("action", "pause") != "alert" or bool(gate.get("escalate"))


def counts_in(metric: str, gate: dict[str, Any], phase: dict[str, Any]) -> bool:
    """Tell whether a gate counts in a phase, both in the policy's words; see GateSpec.counts_in."""
    metrics, phases = phase.get("gates"), gate.get("phases")
    named = not isinstance(metrics, list) or metric in metrics
    return named and (not isinstance(phases, list) or phase.get("phase") in phases)


def _phases(findings: Findings) -> Iterator[tuple[YamlPath, dict[str, Any]]]:
    for track in findings.mapping("tracks"):
        for index, phase in enumerate(findings.items("tracks", track)):
            if isinstance(phase, dict):
                yield ("tracks", track, index), phase


def _check_metrics(findings: Findings, path: YamlPath, metrics: list[str]) -> None:
    for index, metric in enumerate(findings.items(*path)):
        if isinstance(metric, str) and metric not in metrics:
            findings.unknown((*path, index), "there is no gate of this metric", metric, metrics)


def _check_maturity(findings: Findings, path: YamlPath, phase: dict[str, Any], gates: Gates) -> None:
    """Warn of phases that end before a gate can have seen a device: they would wait for data, and then be paused."""
    soak = length_of(phase.get("soak", "24h"))
    if soak is None:
        return  # the schema reports it
    steps = len(findings.items(*path, "weights")) or 1
    ends = {metric: soak if gate.get("evaluate", "soak_end") == "soak_end" else soak * steps for metric, gate in gates.items()}
    late = [metric for metric, gate in gates.items() if _is_late(findings, gate, ends[metric])]
    if late:
        names = ", ".join(harmless(name, 64) for name in late)
        remedy = "make the soak longer, or the gate's `maturity` shorter"
        findings.warn((*path, "soak"), f"no device can mature in this soak for {names}", remedy=remedy)


def _check_age(findings: Findings, gate: dict[str, Any], path: YamlPath) -> None:
    age = length_of(findings.at(path))
    if age and _is_late(findings, gate, age):
        remedy = "make it longer, or the gate's `maturity` shorter"
        findings.warn(path, f"no device can mature in the {span(age)} before this look", remedy=remedy)


def _is_late(findings: Findings, gate: dict[str, Any], after: timedelta) -> bool:
    settle = length_of(findings.text("evaluation", "settle") or "0s")
    maturity = length_of(gate.get("maturity", "0s"))
    if settle is None or maturity is None or not settle + maturity:
        return False
    return after <= settle + maturity


def _check_contrast(findings: Findings, path: YamlPath, phase: dict[str, Any], gates: Gates) -> None:
    """Warn of phases that leave no device to compare with: their gates would wait for some, and then pause."""
    contrasts = [metric for metric, gate in gates.items() if "max_increase" in gate]
    if contrasts and phase.get("weights", ["100%"]) == ["100%"] and phase.get("holdout", "0%") == "0%":
        names = ", ".join(harmless(name, 64) for name in contrasts)
        remedy = "write `holdout: 5%` or several `weights`, or name the gate's `phases`"
        findings.warn(path, f"every device gets the release at once, so {names} has none to compare it with", remedy=remedy)
