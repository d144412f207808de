"""What people answered between the looks at a rollout, as far as the looks show it. Pure.

A rollout keeps one answer of a kind: who waives a metric again, or lowers a weight, writes over what was there. A replay needs
those of the past.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from otagate.rollout.kept import KeptLook
from otagate.rollout.state import Note, RolloutState, Stage

_TWICE = 2
"""To pause and to resume."""


@dataclass(slots=True)
class People:
    """What was answered up to a look.

    Attributes:
        has_resumed: Somebody resumed since the look before.
        overrides: Metric to a waiver, as old as the look before it.
        approvals: What was approved to an approval, likewise.
    """

    has_resumed: bool = False
    overrides: dict[str, Note] = field(default_factory=dict)
    approvals: dict[str, Note] = field(default_factory=dict)

    def answer(self, before: KeptLook | None, after: RolloutState | None, look: KeptLook) -> None:
        """Take in what happened between two looks.

        Args:
            before: The look before.
            after: The rollout as its own policy left it at that look.
            look: Where it stands now.
        """
        self.has_resumed = False
        if before is None or after is None:
            return
        # What the policy approved by itself is lost as well.
        self.approvals |= {key: one for key, one in after.approvals.items() if one.at == before.at}
        note, acts = Note(before.at, "as the next look shows"), look.told - after.told
        if after.stage is Stage.PAUSED and look.stage is not Stage.PAUSED:
            self.has_resumed = True
            # Nobody can resume without lifting every failure.
            self.overrides |= dict.fromkeys(after.latched, note)
        elif after.stage is look.stage and look.stage is not Stage.PAUSED and acts >= _TWICE:
            self.has_resumed = True
        elif after.stage is Stage.AWAITING_APPROVAL and look.stage is Stage.SOAKING and acts == 1:
            self.approvals[after.awaiting] = note
        if (look.phase, look.step) < (after.phase, after.step):
            self.approvals = {key: one for key, one in self.approvals.items() if not key.startswith("insufficient:")}

    def told(self, state: RolloutState) -> RolloutState:
        """Give a rollout with these answers, where it does not know later ones."""
        return replace(state, overrides={**self.overrides, **state.overrides}, approvals={**self.approvals, **state.approvals})
