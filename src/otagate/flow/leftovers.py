"""Taking off a channel what a rollout that was ended, or lowered, left offered there.

A machine that was slow may offer a release after somebody ended its rollout, or raise a weight after somebody lowered it. It
looks afterwards and takes that back (:mod:`otagate.rollout.effects`); killed just before it looks, it leaves an offer that no
rollout watches. Phones must not wait until a person notices, so the next reconcile takes it off: exposure only falls here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from otagate.channel import transitions
from otagate.channel.interface import ChannelReading
from otagate.errors import OtagateError
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, ChannelState, Weight
from otagate.plan.steps import Step, StepKind
from otagate.rollout.state import TAKEN_OFF, RolloutState


@dataclass(frozen=True, slots=True)
class Leftover:
    """What one channel offers against the will of the rollout that offered it.

    Attributes:
        reading: The channel.
        rollout: The rollout, as it is now.
        to: The weight that it has there; None: it is over, and offers nothing.
    """

    reading: ChannelReading
    rollout: RolloutState
    to: Weight | None

    def __str__(self) -> str:
        return self._said("take", "lower")

    @property
    def done(self) -> str:
        """What was done about it, in words."""
        return self._said("took", "lowered")

    def _said(self, take: str, lower: str) -> str:
        name, version = self.reading.state.name, self.rollout.release.version
        if self.to is None:
            return f"{take} {version} off {name}: {self.rollout.id}, which offered it, is {self.rollout.stage.value}"
        return f"{lower} {version} to {self.to} of {name}, where {self.rollout.id} stands"


def read(workspace: Workspace, names: Sequence[ChannelName]) -> list[ChannelReading]:
    """Read channels, to look for leftovers there.

    What cannot be read is passed over: whoever reads it for its own sake says so, and no rollout is judged later for it.
    """
    found: list[ChannelReading] = []
    for name in names:
        with suppress(OtagateError):
            reading = workspace.channels_read_only.read(name)
            found += [reading] if reading is not None else []
    return found


def find(workspace: Workspace, readings: Sequence[ChannelReading]) -> list[Leftover]:
    """Find them; claims and rollouts that cannot be read are passed over, likewise.

    Args:
        workspace: Where.
        readings: Channels as they were read before now. What they show was decided by then, so that a rollout that says
            otherwise has changed its mind since.
    """
    found: list[Leftover] = []
    for reading in readings:
        if reading.state.candidate is None:
            continue
        with suppress(OtagateError):
            rollouts = [stored.state for stored in workspace.rollouts.recent(reading.state.name)]
            found += [left for one in _offering(reading, rollouts) if (left := _left(reading, one)) is not None]
    return found


def _offering(reading: ChannelReading, rollouts: Sequence[RolloutState]) -> list[RolloutState]:
    """Give the rollouts that may have offered what a channel offers, without those that are over where one goes on with it."""
    candidate, name = reading.state.candidate, reading.state.name
    # Another seed: a person offered this release by hand.
    offering = [one for one in rollouts if candidate and (one.release, one.seed) == (candidate.release, candidate.seed)]
    # A rollout of the same release along another track, which superseded the first, begins with the same devices.
    return [one for one in offering if one.stage not in TAKEN_OFF and name in one.exposed] or offering


def _left(reading: ChannelReading, rollout: RolloutState) -> Leftover | None:
    candidate = reading.state.candidate
    if candidate is None:
        return None
    if rollout.stage in TAKEN_OFF:
        return Leftover(reading, rollout, None)
    is_here = rollout.current is not None and rollout.current.channel == reading.state.name
    is_at_rest = rollout.intent is None and not rollout.unfinished and not rollout.is_terminal
    # More than it ever had in this phase was not its doing.
    is_too_much = rollout.weight < candidate.weight <= rollout.peak
    return Leftover(reading, rollout, rollout.weight) if is_here and is_at_rest and is_too_much else None


def steps(found: Sequence[Leftover]) -> tuple[Step, ...]:
    """Show them as steps of a plan."""
    return tuple(Step(StepKind.MOVE, str(left)) for left in found)


def take_back(workspace: Workspace, found: Sequence[Leftover]) -> tuple[list[Leftover], dict[str, OtagateError]]:
    """Take each off, unless its channel was moved since, and say so in the ledger.

    Returns:
        What was taken off, and, by ``channel NAME``, what kept others from it.
    """
    done: list[Leftover] = []
    failed: dict[str, OtagateError] = {}
    for left in found:
        try:
            if _take_back(workspace, left):
                done.append(left)
        except OtagateError as error:
            failed[f"channel {left.reading.state.name}"] = error
    return done, failed


def _take_back(workspace: Workspace, left: Leftover) -> bool:
    before, release, to = left.reading.state, left.rollout.release, left.to
    there = workspace.channels_read_only.read(before.name)
    if there is None or there.state.serial != before.serial:
        return False
    # First of all: who is killed here leaves the leftover to be found again, and afterwards nothing would tell of it.
    _record(workspace, left)
    changed: list[ChannelState] = []

    def without(channel: ChannelState) -> ChannelState:
        changed.clear()
        if channel.serial == before.serial:
            changed.append(transitions.drop(channel, release) if to is None else transitions.lower(channel, release, to))
        return changed[0] if changed else channel

    workspace.reconciler.effects.move(before.name, without)
    return bool(changed)


def _record(workspace: Workspace, left: Leftover) -> None:
    channel = left.reading.state
    data = {
        "rollout": left.rollout.id,
        "version": str(left.rollout.release.version),
        "channel": str(channel.name),
        "reason": f"it was still offered after the rollout was {left.rollout.stage.value}"
        if left.to is None
        else "it was raised after it was lowered",
        "actor": workspace.actor,
    }
    data |= {} if left.to is None else {"weight": str(left.to)}
    # Not that of the next change: somebody else may be first, and must be told of, too.
    entry_id = f"channel:{channel.name}:{channel.serial}:taken_back"
    workspace.ledger.append("rollout.taken_back", entry_id, data, workspace.clock.now(), since=left.reading.issued)
