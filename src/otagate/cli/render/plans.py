"""Plans as blocks for people and as JSON-ready data; apart from the other views because a dry run needs nothing else."""

from __future__ import annotations

from typing import Any

from otagate.cli.render.blocks import Block, Facts, Heading, Line, Table, Tone
from otagate.plan.steps import Plan, Status

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


def plan_view(plan: Plan, *, dry_run: bool = False) -> list[Block]:
    """Show a plan."""
    view: list[Block] = [Heading(f"plan: {plan.goal}")]
    if plan.facts:
        view.append(Facts(plan.facts))
    if plan.steps:
        rows = tuple((str(at), _SIGNS[step.status], step.title, step.detail) for at, step in enumerate(plan.steps, 1))
        view.append(Table(("#", "status", "step", "detail"), rows))
    view += [Line(f"note: {note}", Tone.WARN) for note in plan.notes]
    if plan.refusal:
        view.append(Line(f"refused: {plan.refusal}", Tone.BAD))
    if dry_run:
        view.append(Line("dry run: nothing was touched", Tone.DIM))
    return view
