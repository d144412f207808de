"""What the schema cannot say about the thresholds of one gate."""

from __future__ import annotations

from typing import Any

from otagate.policy import values
from otagate.policy.defaults import ACTION_ORDER, SHAPES
from otagate.policy.findings import Findings
from otagate.policy.problems import YamlPath
from otagate.policy.values import share_of

_GOES_WITH = {
    "target": ("max", "min"),
    "escalate": ("max",),
    "evidence": ("max", "min"),
    "consecutive": ("value",),
    "min_sample": tuple(shape for shape in SHAPES if shape != "value"),
    "action": tuple(shape for shape in SHAPES if shape != "limits"),
}


def shape_of(gate: dict[str, Any]) -> str | None:
    """Give the kind of threshold that a completed gate has, or None when it is not exactly one."""
    shapes = [key for key in SHAPES if key in gate]
    return shapes[0] if len(shapes) == 1 else None


def check_shape(findings: Findings, given: dict[str, Any], gate: dict[str, Any], path: YamlPath) -> None:
    """Check a gate's threshold, and that nothing stands beside it that goes with others.

    Args:
        findings: Takes what is wrong.
        given: The gate as written.
        gate: The gate completed from its default.
        path: Where it is.
    """
    shapes = [key for key in SHAPES if key in given] or [key for key in SHAPES if key in gate]
    if len(shapes) != 1:
        expected = f"one of {', '.join(f'`{key}`' for key in SHAPES)}"
        found = " and ".join(f"`{key}`" for key in shapes) or "none of them"
        findings.error(path, "a gate has exactly one kind of threshold", expected=expected, found=found)
        return
    _check_beside(findings, given, path, shapes[0])
    if shapes == ["limits"]:
        _check_limits(findings, path)
    elif shapes == ["value"]:
        _check_value(findings, gate, path)
    else:
        _check_target(findings, gate, path, shapes[0])
        _check_escalation(findings, gate, path)


def _check_beside(findings: Findings, given: dict[str, Any], path: YamlPath, shape: str) -> None:
    for key, shapes in _GOES_WITH.items():
        if given.get(key) is None or shape in shapes:
            continue
        if key == "action":
            findings.error((*path, key), "`action` does not go with `limits`", remedy="each limit has its own action")
        elif key == "min_sample":
            findings.error(
                (*path, key), "`min_sample` does not go with `value`", remedy="remove it: a number counts no devices"
            )
        else:
            words = " and ".join(f"`{one}`" for one in shapes)
            findings.error((*path, key), f"`{key}` goes with {words} only", found=f"`{shape}`", remedy="remove it")


def _check_value(findings: Findings, gate: dict[str, Any], path: YamlPath) -> None:
    if gate.get("action") == "rollback":
        findings.error(
            (*path, "action"),
            "a plain number does not count devices, so it cannot roll back",
            expected="alert or pause",
            found="rollback",
        )
    bounds = {key: findings.at((*path, "value", key)) for key in ("min", "max")}
    for key in bounds:
        text = findings.document.texts.get((*path, "value", key), "")
        if values.digits(text) > values.MAX_DIGITS:
            expected = f"a number of at most {values.MAX_DIGITS} digits"
            findings.error((*path, "value", key), "this number cannot be kept exactly", expected=expected, found=text)
    low, high = bounds["min"], bounds["max"]
    if _is_number(low) and _is_number(high) and low >= high:
        found = findings.document.texts.get((*path, "value", "max"))
        findings.error((*path, "value", "max"), "no number is within these bounds", expected="more than `min`", found=found)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
    if not isinstance(escalation, dict) or "max" not in gate:
        return
    path = (*path, "escalate")
    above, limit = share_of(escalation.get("above")), share_of(gate["max"])
    if above is not None and limit is not None and above <= limit:
        expected = f"more than `max`, {values.percent_text(limit)}"
        findings.error((*path, "above"), "an escalation is a worse limit", expected=expected, found=values.percent_text(above))
    weak, strong = gate.get("action", "pause"), escalation.get("action")
    if weak in ACTION_ORDER and strong in ACTION_ORDER and ACTION_ORDER.index(strong) <= ACTION_ORDER.index(weak):
        findings.error((*path, "action"), "an escalation is a stronger action", expected=f"stronger than {weak}", found=strong)


def _check_limits(findings: Findings, path: YamlPath) -> None:
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
