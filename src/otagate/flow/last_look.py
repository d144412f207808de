"""What the gates of a rollout said at its last look, as it was kept: for whoever looks, or decides, without asking anew."""

from __future__ import annotations

from otagate.errors import OtagateError, VerificationError
from otagate.flow.workspace import Workspace
from otagate.rollout.looks import Looks
from otagate.rollout.replay import ReplayedLook, replay
from otagate.rollout.state import RolloutState


def glance(workspace: Workspace, state: RolloutState) -> ReplayedLook | None:
    """Give the last look; one that cannot be read is warned of, because it must not stand in the way of anything."""
    try:
        return last_look(workspace, state)
    except OtagateError as error:
        workspace.listener.warn(f"the last look at {state.id} cannot be shown: {error.what}")
        return None


def last_look(workspace: Workspace, state: RolloutState) -> ReplayedLook | None:
    """Judge the looks that were kept by the rollout's own policy, and give the newest; nothing is asked of any source.

    Returns:
        None when there was none: nothing was exposed, or there are no gates.

    Raises:
        OtagateError: The store does not answer, or what stands there are no looks at this rollout.
    """
    if state.entered_at is None or not state.spec.gates:
        return None
    looks = Looks(workspace.store.documents, workspace.policy.app).all(state.id)
    if any(look.phase not in range(len(state.spec.track.phases)) or look.step < 0 for look in looks):
        raise VerificationError("the looks that were kept are those of another rollout", state.id)
    judged = replay(state, looks, state.spec.gates, state.spec.judgement).looks
    return judged[-1] if judged else None
