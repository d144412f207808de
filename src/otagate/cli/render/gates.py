"""A judgement for people: the answer first, then all the evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from otagate._text import harmless, span
from otagate.cli.render.blocks import Block, Facts, Line, Table, Tone
from otagate.cli.render.views import gate_view
from otagate.gate.judge import Check, GateResult, Verdict, combine

_TONES = {Verdict.PASS: Tone.GOOD, Verdict.WARN: Tone.WARN, Verdict.FAIL: Tone.BAD}
_LARGEST_SHOWN = math.log(1e9)


def gate_eval_view(results: Sequence[GateResult], verdict: Verdict, facts: Sequence[tuple[str, str]]) -> list[Block]:
    """Show what ``gate eval`` found.

    Args:
        results: The gates, judged.
        verdict: The one for all of them.
        facts: What was judged: names with values; empty values are left out.
    """
    summary = combine(results)
    told = f"{verdict.value}: a rollout would {_deed(results)}"
    pairs = (*facts, ("failed", ", ".join(summary.failed)), ("alerts", ", ".join(summary.alerts)))
    shown = tuple((name, value) for name, value in pairs if value)
    rows = tuple(_evidence(result, check) for result in results for check in result.checks)
    table = Table(
        ("gate", "evidence", "pauses at", "rolls back at", "always-valid interval", "still needed", "window", "asked"), rows
    )
    return [Line(told, _TONES.get(verdict, Tone.WARN)), Facts(shown), *gate_view(results), table]


def _deed(results: Sequence[GateResult]) -> str:
    summary = combine(results)
    if summary.action.stops:
        return "roll back" if summary.action.value == "rollback" else "pause"
    return "wait" if summary.holds else "go on"


def _evidence(result: GateResult, check: Check) -> tuple[str, ...]:
    name = result.metric if check.name == "limit" else f"{result.metric} ({check.name})"
    length = span(check.end - check.start) if check.start and check.end else "-"
    needed = str(check.missing) if check.missing else "-"
    return (
        name,
        _odds(check.log_e),
        _odds(check.log_e_pause),
        _odds(check.log_e_rollback),
        f"{check.sequence[0]:.2%} to {check.sequence[1]:.2%}" if check.sequence else "-",
        needed,
        length,
        harmless(check.query, 80) or "-",
    )


def _odds(log_e: float | None) -> str:
    """Write an e-value as a plain number: how many to one the counts speak against the limit."""
    if log_e is None:
        return "-"
    return f"{math.exp(log_e):.3g}" if log_e < _LARGEST_SHOWN else "over 1e9"
