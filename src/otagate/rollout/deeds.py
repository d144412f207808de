"""What came of a look at a rollout: what a decision would do, and what happened. Pure."""

from __future__ import annotations

from enum import StrEnum

from otagate.rollout.kept import KeptLook
from otagate.rollout.state import RolloutState, Stage


class Deed(StrEnum):
    """What came of a look."""

    WAIT = "wait"
    GO_ON = "go on"
    ASK = "ask for approval"
    PAUSE = "pause"
    ROLL_BACK = "roll back"
    COMPLETE = "complete"
    HELD = "held"
    """Its gates let it go on, and something else did not: another rollout, a mirror, a closed window."""
    BY_HAND = "by hand"
    """A person paused, resumed, lowered, rolled back or ended it: no policy is asked about that."""


def would_do(before: RolloutState, after: RolloutState) -> Deed:
    """Say what a decision comes to."""
    if after.stage is Stage.ROLLED_BACK:
        return Deed.ROLL_BACK
    if after.stage is Stage.COMPLETED:
        return Deed.COMPLETE
    if after.stage is Stage.PAUSED and before.stage is not Stage.PAUSED:
        return Deed.PAUSE
    if (after.phase, after.step) != (before.phase, before.step):
        return Deed.GO_ON
    is_asking = after.stage is Stage.AWAITING_APPROVAL and before.stage is not Stage.AWAITING_APPROVAL
    return Deed.ASK if is_asking else Deed.WAIT


def was_done(look: KeptLook, end: RolloutState, following: KeptLook | None) -> Deed:
    """Say what happened between a look and the next, or what stands now."""
    stage, actor = (following.stage, following.paused_actor) if following else (end.stage, end.paused_actor)
    place = (following.phase, following.step) if following else (end.phase, end.step)
    if stage is Stage.ROLLED_BACK:
        return Deed.ROLL_BACK if any(note.action == "rollback" for note in end.latched.values()) else Deed.BY_HAND
    if stage is Stage.COMPLETED:
        return Deed.COMPLETE
    if stage in {Stage.ABORTED, Stage.SUPERSEDED} or place < (look.phase, look.step):
        return Deed.BY_HAND
    if place > (look.phase, look.step):
        return Deed.GO_ON
    if (stage is Stage.PAUSED) != (look.stage is Stage.PAUSED):
        return Deed.PAUSE if stage is Stage.PAUSED and not actor else Deed.BY_HAND
    if stage is Stage.AWAITING_APPROVAL and look.stage is not Stage.AWAITING_APPROVAL:
        return Deed.ASK
    # It stands where it stood, and something was written down: it was approved, or paused and resumed.
    told = following.told if following else end.told
    return Deed.WAIT if told == look.told else Deed.BY_HAND
