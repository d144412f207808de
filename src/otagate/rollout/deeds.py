"""What came of a look at a rollout: what a decision would do, and what happened. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from otagate.rollout.kept import KeptLook
from otagate.rollout.ledger_entry import LedgerEntry
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


_MOST_DIGITS = 9


def by_itself(entries: Iterable[LedgerEntry], rollout_id: str) -> dict[int, Deed]:
    """Give where a rollout's gates paused it and where it asked for an approval, by the numbers of its events.

    Args:
        entries: Of the ledger, in any order.
        rollout_id: Others are passed over.
    """
    found: dict[int, Deed] = {}
    for entry in entries:
        name, _, number = entry.id.rpartition("#")
        deed = Deed.PAUSE if entry.kind == "rollout.paused" and not entry.data.get("actor") else None
        deed = Deed.ASK if entry.kind == "rollout.awaiting_approval" else deed
        if name == rollout_id and deed is not None and number.isdecimal() and len(number) <= _MOST_DIGITS:
            found[int(number)] = deed
    return found


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


def was_done(look: KeptLook, end: RolloutState, following: KeptLook | None, told: Mapping[int, Deed] | None = None) -> Deed:
    """Say what came of a look.

    Args:
        look: The look.
        end: The rollout as it stands.
        following: The next look, or None after the last.
        told: What :func:`by_itself` gives: a person may have answered before the next look, and what was done is not seen then.
    """
    did = _between(look, end, following)
    if did is not Deed.BY_HAND or not told:
        return did
    last = following.told if following else end.told
    return min(((number, deed) for number, deed in told.items() if look.told < number <= last), default=(0, did))[1]


def _between(look: KeptLook, end: RolloutState, following: KeptLook | None) -> Deed:
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
