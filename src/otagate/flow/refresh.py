"""Signing channel pointers anew before they expire: the same words, a later date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from otagate.channel.interface import ChannelReading
from otagate.errors import OtagateError, VerificationError
from otagate.flow.select import channel_names
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, ChannelState
from otagate.plan.steps import Step, StepKind


@dataclass(frozen=True, slots=True)
class Due:
    """Pointers that are to be signed anew, and, by ``pointer of NAME``, those that are damaged: they keep no other from it."""

    readings: tuple[ChannelReading, ...]
    damaged: dict[str, OtagateError]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """Channels whose pointers were signed anew, and, by ``pointer of NAME``, what kept others from it."""

    channels: tuple[ChannelName, ...]
    failed: dict[str, OtagateError]


def due(workspace: Workspace) -> Due:
    """Give the channels whose pointers are past the half of their life (``trust.pointer_ttl``), also expired ones."""
    now = workspace.clock.now()
    readings: list[ChannelReading] = []
    damaged: dict[str, OtagateError] = {}
    for name in channel_names(workspace):
        try:
            reading = workspace.channels_read_only.read(name)
        except VerificationError as error:
            damaged[f"pointer of {name}"] = error
            continue
        if reading is not None and now - reading.issued >= (reading.expires - reading.issued) / 2:
            readings.append(reading)
    return Due(tuple(readings), damaged)


def refresh_steps(readings: Sequence[ChannelReading]) -> tuple[Step, ...]:
    """Show the refreshes as steps of a plan."""
    return tuple(
        Step(StepKind.MOVE, f"sign the pointer of {one.state.name} anew", detail=f"it expires {one.expires:%Y-%m-%d %H:%M} UTC")
        for one in readings
    )


def refresh(workspace: Workspace, found: Due) -> Refreshed:
    """Sign each pointer anew, as it is now; one that somebody moved since is fresh already and is left alone."""
    done: list[ChannelName] = []
    failed = dict(found.damaged)
    for reading in found.readings:
        before = reading.state.serial

        def anew(state: ChannelState, before: int = before) -> ChannelState:
            return replace(state, serial=state.serial + 1) if state.serial == before else state

        try:
            workspace.reconciler.effects.move(reading.state.name, anew)
        except OtagateError as error:
            failed[f"pointer of {reading.state.name}"] = error
        else:
            done.append(reading.state.name)
    return Refreshed(tuple(done), failed)
