"""How a rehearsed rollout ended, and what its ledger says of the way there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from otagate.flow.rehearse.model import Ending, Moment
from otagate.notify.message import Happening, compose
from otagate.rollout.ledger_entry import LedgerEntry
from otagate.rollout.state import RolloutState, Stage

_UNSAID = frozenset({"actor", "run"})
"""What says nothing in a rehearsal: nobody real did it."""


def ending_of(state: RolloutState) -> Ending:
    """Say how a rollout ended."""
    if state.stage is Stage.COMPLETED:
        return Ending.COMPLETED
    if state.latched and state.stage in {Stage.PAUSED, Stage.ROLLED_BACK}:
        return Ending.STOPPED
    return Ending.HELD if state.stage is Stage.PAUSED else Ending.UNFINISHED


def moments_of(entries: Iterable[LedgerEntry], rollout_id: str, start: datetime) -> tuple[Moment, ...]:
    """Give what the ledger says of a rollout, in order."""
    found = []
    for entry in entries:
        if entry.data.get("rollout") == rollout_id:
            data = {name: value for name, value in entry.data.items() if name not in _UNSAID}
            said = compose(Happening("", entry.seq, entry.at, entry.kind, data)).sentence
            found.append(Moment(entry.at - start, entry.kind, said))
    return tuple(found)
