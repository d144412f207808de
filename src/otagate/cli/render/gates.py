"""A judgement for people: the answer first, then all the evidence."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import timedelta

from otagate._text import harmless, span
from otagate.cli.render.blocks import Block, Facts, Line, Table, Tone
from otagate.gate.judge import Check, CheckKind, GateResult, Verdict, combine
from otagate.gate.summary import is_lifted, rolls_back_all_the_same
from otagate.policy.model.gates import Action

_TONES = {Verdict.PASS: Tone.GOOD, Verdict.WARN: Tone.WARN, Verdict.FAIL: Tone.BAD}
_LIFTED = frozenset({Verdict.FAIL, Verdict.ERROR, Verdict.NO_DATA, Verdict.STALE, Verdict.INSUFFICIENT})
_SMALLEST_SHOWN, _LARGEST_SHOWN = math.log(0.01), math.log(1e9)
_EVIDENCE = ("gate", "e-value", "pauses at", "rolls back at", "valid at any look", "still needed", "window", "answer", "asked")


def gate_eval_view(
    results: Sequence[GateResult], verdict: Verdict, facts: Sequence[tuple[str, str]], waived: Collection[str] = ()
) -> list[Block]:
    """Show what ``gate eval`` found.

    Args:
        results: The gates, judged.
        verdict: The one for all of them.
        facts: What was judged: names with values; empty values are left out.
        waived: Metrics whose failures somebody lifted.
    """
    acting = [result for result in results if not is_lifted(result, waived)]
    summary = combine(acting)
    told = f"{verdict.value}: a rollout would {_deed(acting)}"
    failed, alerts = ", ".join(summary.failed), ", ".join(summary.alerts)
    pairs = (*facts, ("failed", failed), ("alerts", alerts), ("waived", ", ".join(sorted(waived))))
    shown = tuple((name, value) for name, value in pairs if value)
    return [Line(told, _TONES.get(verdict, Tone.WARN)), Facts(shown), *gate_view(results, waived), *evidence_view(results)]


def gate_view(results: Sequence[GateResult], waived: Collection[str] = ()) -> list[Block]:
    """Show what gates found: the counts, what they are held against, and why the verdict is what it is.

    Args:
        results: The gates, judged.
        waived: Metrics whose failures somebody lifted; they are shown, and said to be so.
    """
    rows = []
    for result in results:
        for check in result.checks:
            counts = f"{check.bad}/{check.total}" if check.total is not None else "-"
            interval = f"{check.interval[0]:.2%} to {check.interval[1]:.2%}" if check.interval else "-"
            aside = " (dry run)" if result.is_dry_run else " (waived)" if is_waived(result, check, waived) else ""
            verdict = check.verdict.value + aside
            shown = (_name(result, check), verdict, counts, _estimate(check), interval, _limit(check), check.reason)
            rows.append(shown)
    return [Table(("gate", "verdict", "bad/total", "share", "95% interval", "limit", "reason"), tuple(rows))]


def is_waived(result: GateResult, check: Check, waived: Collection[str]) -> bool:
    """Tell whether a verdict holds nothing up any more; what a worse limit than the main one rolls back is not waived."""
    return check.verdict in _LIFTED and result.metric in waived and not rolls_back_all_the_same(result, check)


def evidence_view(results: Sequence[GateResult]) -> list[Block]:
    """Show what the verdicts rest on: e-values and where they act, and what the sources were asked; nothing if none was."""
    rows = tuple(_evidence(result, check) for result in results for check in result.checks if check.query or check.digest)
    return [Table(_EVIDENCE, rows)] if rows else []


def _deed(results: Sequence[GateResult]) -> str:
    summary = combine(results)
    if summary.action.stops:
        return "roll back" if summary.action.value == "rollback" else "pause"
    return "wait" if summary.holds else "go on"


def _name(result: GateResult, check: Check) -> str:
    is_only = check.name in {"limit", result.metric} or check.kind in {CheckKind.CONTRAST, CheckKind.SPLIT}
    return result.metric if is_only else f"{result.metric} ({check.name})"


def _limit(check: Check) -> str:
    """Write what a check is held against, in the words of its kind."""
    match check.kind:
        case CheckKind.CONTRAST:
            return f"control {float(check.threshold):+.0%}"
        case CheckKind.VALUE:
            return f"{check.name} {check.threshold}"
        case CheckKind.SPLIT:
            return f"weight {100 * float(check.threshold):.4g}%"
        case _:
            return f"≤ {100 * float(check.threshold):.4g}% bad"


def _estimate(check: Check) -> str:
    if check.kind is CheckKind.VALUE:
        return "-" if check.value is None else f"{check.value:.6g}"
    return f"{float(check.estimate):.2%}" if check.estimate is not None else "-"


def _evidence(result: GateResult, check: Check) -> tuple[str, ...]:
    is_alert = check.action is Action.ALERT and check.log_e_pause is not None
    return (
        _name(result, check),
        _odds(check.log_e),
        "-" if check.kind is CheckKind.VALUE else _odds(check.log_e_pause) + (" (alerts)" if is_alert else ""),
        "-" if check.kind is CheckKind.VALUE else _odds(check.log_e_rollback),
        f"{check.sequence[0]:.2%} to {check.sequence[1]:.2%}" if check.sequence else "-",
        f"{check.missing} devices" if check.missing else "-",
        f"{_length(check.end - check.start)} from {check.start:%m-%d %H:%M}" if check.start and check.end else "-",
        (check.digest or "-").removeprefix("sha256:")[:12],
        harmless(check.query, 120) or "-",
    )


def _length(window: timedelta) -> str:
    return span(window) if window >= timedelta(seconds=1) else "under 1s"


def _odds(log_e: float | None) -> str:
    """Write an e-value as a plain number: how many to one the counts speak against the limit."""
    if log_e is None:
        return "-"
    if log_e < _SMALLEST_SHOWN:
        return "below 0.01"
    return f"{math.exp(log_e):.3g}" if log_e < _LARGEST_SHOWN else "over 1e9"
