"""Signing channel pointers anew before they expire: the same words, a later date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from otagate.channel.interface import ChannelReading
from otagate.flow.select import channel_names
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, ChannelState
from otagate.plan.steps import Step, StepKind


def due(workspace: Workspace) -> list[ChannelReading]:
    """Give the channels whose pointers are past the half of their life (``trust.pointer_ttl``), also expired ones."""
    now = workspace.clock.now()
    readings = [workspace.channels_read_only.read(name) for name in channel_names(workspace)]
    return [one for one in readings if one is not None and now - one.issued >= (one.expires - one.issued) / 2]


def refresh_steps(readings: Sequence[ChannelReading]) -> tuple[Step, ...]:
    """Show the refreshes as steps of a plan."""
    return tuple(
        Step(StepKind.MOVE, f"sign the pointer of {one.state.name} anew", detail=f"it expires {one.expires:%Y-%m-%d %H:%M} UTC")
        for one in readings
    )


def refresh(workspace: Workspace, readings: Sequence[ChannelReading]) -> list[ChannelName]:
    """Sign each pointer anew, as it is now; one that somebody moved since is fresh already and is left alone."""
    refreshed = []
    for reading in readings:
        before = reading.state.serial

        def anew(state: ChannelState, before: int = before) -> ChannelState:
            return replace(state, serial=state.serial + 1) if state.serial == before else state

        workspace.reconciler.effects.move(reading.state.name, anew)
        refreshed.append(reading.state.name)
    return refreshed
