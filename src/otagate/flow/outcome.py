"""How a rollout's state ends the process: one table for ``run``, ``reconcile`` and the CI faces."""

from __future__ import annotations

from otagate.errors import ExitCode
from otagate.rollout.state import RolloutState, Stage


def exit_code(state: RolloutState, *, detailed: bool = False) -> ExitCode:
    """Give the exit code for a rollout as it stands.

    Args:
        state: The rollout.
        detailed: Tell waiting apart from done (``--detailed-exitcode``).
    """
    if state.stage is Stage.ROLLED_BACK:
        return ExitCode.ROLLED_BACK
    if state.stage is Stage.PAUSED and (state.latched or not state.paused_actor):
        return ExitCode.GATE_FAILED
    if detailed and state.stage is Stage.AWAITING_APPROVAL:
        return ExitCode.WAITING_FOR_APPROVAL
    if detailed and not state.is_terminal:
        return ExitCode.INCONCLUSIVE
    return ExitCode.DONE
