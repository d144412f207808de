"""The gates of a policy that names none, as a policy would write them, and how a given gate is completed from them.

**Source:** the thresholds are those of DESIGN.md §5: crash rate above 2 %, error rate above 0.5 %, device success below 85 %,
completion below 95 % (target 98 %), verification above 45 s and 120 s, adoption below 50 % (target 75 %) after 24 hours.
How long a device needs until its fate is known is ours (docs/gates.md, "What telemetry counts"): the plugin applies an update
when the app goes to the background, so half an hour shows whether it works, and a day whether it arrived. That it has not
arrived says as much of people who do not open the app as of the release, so completion alerts, as adoption does
(docs/adr/0016-gates.md).
"""

from __future__ import annotations

from typing import Any

from otagate.policy.findings import Findings
from otagate.policy.values import share_of
from otagate.telemetry.metrics import METRICS

SHAPES = ("max", "min", "limits", "max_increase", "split", "value")
"""The keys of which a gate has exactly one."""

DEFAULT_GATES: dict[str, dict[str, Any]] = {
    "crash_rate": {"max": "2%", "action": "pause", "min_sample": 300, "escalate": {"above": "10%", "action": "rollback"}},
    "error_rate": {"max": "0.5%", "action": "alert", "min_sample": 1000},
    "device_success_rate": {"min": "85%", "target": "98%", "action": "rollback", "min_sample": 30, "maturity": "30m"},
    "rollout_completion": {"min": "95%", "target": "98%", "action": "alert", "evaluate": "phase_end", "maturity": "24h"},
    "verification_time": {
        "limits": [
            {"over": "45s", "max_share": "5%", "action": "alert"},
            {"over": "120s", "max_share": "5%", "action": "pause"},
        ]
    },
    "adoption_24h": {"min": "50%", "target": "75%", "action": "alert", "maturity": "24h"},
}

DEFAULT_SERVER_TOKEN = "env:OTAGATE_SERVER_TOKEN"  # noqa: S105 - where it is, not what
DEFAULT_ENCRYPTION_KEY = "env:OTAGATE_ENCRYPTION_KEY"
DEFAULT_SIGNING_KEY = "env:OTAGATE_SIGNING_KEY"
DEFAULT_STORAGE = "file:.otagate/store"
DEFAULT_VERSIONING = "package"

ACTION_ORDER = ("alert", "pause", "rollback")
"""Weakest first."""


def effective_gates(given: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Give every gate of a policy in the policy's own words, completed from the defaults.

    Args:
        given: The value of ``gates``, or None when the policy has no such key.

    Returns:
        Metric name to keys; gates that are no mappings are left out (the schema reports them).
    """
    if given is None:
        return {name: dict(gate) for name, gate in DEFAULT_GATES.items()}
    return {name: _complete(gate, DEFAULT_GATES.get(name, {})) for name, gate in given.items() if isinstance(gate, dict)}


def gates_of(findings: Findings) -> dict[str, dict[str, Any]]:
    """Give the gates in effect of a document that need not fit the schema; none when ``gates`` is there and no mapping."""
    root = findings.document.data
    given = root.get("gates") if isinstance(root, dict) else None
    return effective_gates(given) if given is None or isinstance(given, dict) else {}


def is_counted(name: str, gate: dict[str, Any]) -> bool:
    """Tell whether a completed gate without a source is counted by telemetry, where there is one.

    It is for the metrics that telemetry knows, and for what nobody else can count or knows no name of.
    """
    return "split" in gate or "max_increase" in gate or (name in METRICS and "value" not in gate)


def _complete(given: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    own_shape = [key for key in SHAPES if key in given]
    if own_shape and not any(key in default for key in own_shape):
        # Another shape than the default's: its thresholds would say something else there, or all of it about other things.
        alike = {} if {"split", "value"} & set(own_shape) else default
        default = {key: value for key, value in alike.items() if key not in {*SHAPES, "target", "escalate"}}
    merged = {**default, **given}
    if "target" not in given and _contradicts_target(merged):
        del merged["target"]
    if merged.get("escalate", ...) is None or ("escalate" not in given and _contradicts_escalation(merged)):
        merged.pop("escalate", None)
    return merged


def _contradicts_target(gate: dict[str, Any]) -> bool:
    """Tell whether a default target makes no sense beside a limit that the policy gave."""
    target, limit = share_of(gate.get("target")), share_of(gate.get("min"))
    return target is not None and (limit is None or target < limit)


def _contradicts_escalation(gate: dict[str, Any]) -> bool:
    """Tell whether a default escalation makes no sense beside a limit or action that the policy gave."""
    escalation = gate.get("escalate")
    if escalation is None:
        return False
    above, limit = share_of(escalation["above"]), share_of(gate.get("max"))
    return above is None or limit is None or above <= limit or gate.get("action") == escalation["action"]
