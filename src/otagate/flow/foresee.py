"""What a reconcile would do now: the same measuring, judging and deciding, without the writing."""

from __future__ import annotations

from collections.abc import Sequence

from otagate.flow.workspace import Workspace
from otagate.plan.steps import Plan, Status, Step, StepKind
from otagate.rollout.state import OpKind, RolloutState

_KINDS = {
    OpKind.OFFER: StepKind.ADVANCE,
    OpKind.LOWER: StepKind.MOVE,
    OpKind.SETTLE: StepKind.MOVE,
    OpKind.DROP: StepKind.MOVE,
    OpKind.WITHDRAW: StepKind.ROLL_BACK,
    OpKind.PAUSE: StepKind.PAUSE,
    OpKind.UNPAUSE: StepKind.RESUME,
    OpKind.CLAIM: StepKind.START,
    OpKind.RELEASE_CLAIM: StepKind.COMPLETE,
}


def steps_of(state: RolloutState) -> tuple[Step, ...]:
    """Show a state's intent as steps."""
    ops = state.intent.ops if state.intent else ()
    return tuple(Step(_KINDS[op.kind], str(op), Status.TODO, state.id) for op in ops)


def foresee(workspace: Workspace, states: Sequence[RolloutState], more: Sequence[Step] = ()) -> Plan:
    """Plan the next step of each rollout, and ``more``. Reads metrics and the store, writes nothing."""
    steps: list[Step] = []
    notes: list[str] = []
    for state in states:
        outcome = workspace.reconciler.foresee(state)
        found = steps_of(outcome.state)
        steps += found
        if not found:
            notes.append(f"{state.id} waits for {outcome.waiting_for or 'its next look'}")
    goal = "reconcile " + (", ".join(state.id for state in states) or "nothing: no rollout is active")
    return Plan(goal, (*steps, *more), (), tuple(notes))
