"""What the gates of a rollout said at its last look, as it was kept: for whoever looks, or decides, without asking anew."""

from __future__ import annotations

from otagate.errors import OtagateError, VerificationError
from otagate.flow.workspace import Workspace
from otagate.rollout.last import judged_alone
from otagate.rollout.looks import Looks
from otagate.rollout.replay import ReplayedLook
from otagate.rollout.state import RolloutState


def glance(workspace: Workspace, state: RolloutState) -> ReplayedLook | None:
    """Give the last look; one that cannot be read is warned of, because it must not stand in the way of anything."""
    try:
        return last_look(workspace, state)
    except OtagateError as error:
        workspace.listener.warn(f"the last look at {state.id} cannot be shown: {error.what}")
        return None


def last_look(workspace: Workspace, state: RolloutState) -> ReplayedLook | None:
    """Judge the newest look that was kept by the rollout's own policy; nothing is asked of any source.

    Returns:
        None when there was none: nothing was exposed, or there are no gates.

    Raises:
        OtagateError: The store does not answer, or what stands there are no looks at this rollout.
    """
    if state.entered_at is None or not state.spec.gates:
        return None
    look = Looks(workspace.store.documents, workspace.policy.app).newest(state.id)
    if look is None:
        return None
    if look.phase not in range(len(state.spec.track.phases)) or look.step < 0:
        raise VerificationError("the looks that were kept are those of another rollout", state.id)
    return judged_alone(state, look)
