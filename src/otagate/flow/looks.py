"""Keeping what every reconcile measured, for ``otagate gate replay``."""

from __future__ import annotations

from collections.abc import Sequence

from otagate.errors import OtagateError
from otagate.flow.workspace import Workspace
from otagate.gate.judge import Look, Reading
from otagate.rollout.kept import keep
from otagate.rollout.looks import Looks
from otagate.rollout.reconciler import Record
from otagate.rollout.state import RolloutState


def recorder(workspace: Workspace) -> Record:
    """Give what keeps a look. It never fails a reconcile: people are warned, and the look is missing from replays."""
    looks = Looks(workspace.store.documents, workspace.policy.app)

    def record(state: RolloutState, look: Look, readings: Sequence[Reading], always: bool = False) -> None:
        since, age = state.phase_since, look.age
        now = workspace.store_clock.now() if since is None or age is None else since + age
        try:
            looks.append(state.id, keep(state, look, readings, now), always=always)
        except OtagateError as error:
            workspace.listener.warn(f"what was measured is not kept for `otagate gate replay`: {error.what}: {error.subject}")

    return record
