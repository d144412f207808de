"""Plans as blocks for people and as JSON-ready data; apart from the other views because a dry run needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otagate.cli.render.blocks import Block, Facts, Heading, Line, Table, Tone
from otagate.plan.steps import Plan, Status, StepKind

_SIGNS = {Status.TODO: "do", Status.DONE: "done", Status.LATER: "later", Status.REFUSED: "stopped"}


def plan_data(plan: Plan) -> dict[str, Any]:
    """Give a plan as JSON-ready data (``otagate/plan/v1``)."""
    return {
        "goal": plan.goal,
        "facts": dict(plan.facts),
        "steps": [
            {"kind": step.kind.value, "title": step.title, "status": step.status.value, "detail": step.detail}
            for step in plan.steps
        ],
        "notes": list(plan.notes),
        "refusal": plan.refusal,
        "has_work": plan.has_work,
    }


def _rows(plan: Plan) -> Iterator[tuple[str, ...]]:
    """Give the steps; gates that are those of the soak before are not listed again."""
    gates = ""
    for at, step in enumerate(plan.steps, 1):
        detail = step.detail
        if step.kind is StepKind.SOAK:
            detail, gates = "the same gates" if gates and detail == gates else detail, detail
        yield str(at), _SIGNS[step.status], step.title, detail


def plan_view(plan: Plan, *, dry_run: bool = False) -> list[Block]:
    """Show a plan."""
    view: list[Block] = [Heading(f"plan: {plan.goal}")]
    if plan.facts:
        view.append(Facts(plan.facts))
    if plan.steps:
        view.append(Table(("#", "status", "step", "detail"), tuple(_rows(plan))))
    view += [Line(f"note: {note}", Tone.WARN) for note in plan.notes]
    if plan.refusal:
        view.append(Line(f"refused: {plan.refusal}", Tone.BAD))
    if dry_run:
        view.append(Line("dry run: nothing was touched", Tone.DIM))
    return view
