"""What a rollout must know of the world before it goes on: its release, the next channel, and who holds that."""

from __future__ import annotations

from datetime import datetime

from otagate.channel.interface import ChannelReading
from otagate.errors import NotFoundError, VerificationError
from otagate.model import ChannelName, ChannelState, Weight
from otagate.release.fitness import refuse_unfit
from otagate.rollout.effects import Effects, is_left_paused
from otagate.rollout.machine import Surroundings, next_channel
from otagate.rollout.state import OpKind, RolloutState, Stage


def surroundings(effects: Effects, state: RolloutState, now: datetime) -> Surroundings:
    """Look at the next channel, and at whether the release is still fit to go on.

    Raises:
        VerificationError: The next channel's documents are damaged.
    """
    name = next_channel(state)
    reading = effects.channels.read(ChannelName(name)) if name else None
    serves = reading.state.stable if reading else None
    held_by = _unfit(effects, state, now) or _held_by(effects, state, reading.state if reading else None)
    return Surroundings(held_by, str(serves.version) if serves else "", _gone(effects, state, reading, now))


def _gone(effects: Effects, state: RolloutState, ahead: ChannelReading | None, now: datetime) -> str:
    """Say where the release was rolled back, by hand or with another track's rollout of it, and it would go on; or ""."""
    phase = state.current
    if state.not_before is not None and now < state.not_before:
        return ""
    here = effects.channels.read(phase.channel) if phase else None
    for channel in (reading.state for reading in (here, ahead) if reading is not None):
        if state.release.version in channel.blocked:
            return f"{state.release.version} was rolled back on channel {channel.name} and is not served there again"
    return ""


def _unfit(effects: Effects, state: RolloutState, now: datetime) -> str:
    """Say why the release may not be exposed further, or "". Never raises for it: gates must still be able to stop it."""
    phase = state.current
    if state.not_before is not None and now < state.not_before:
        return ""
    rises = phase is not None and (not state.is_last_step or phase.holdout > Weight(0))
    name = next_channel(state) or (str(phase.channel) if phase and rises else "")
    if not name:
        return ""
    try:
        refuse_unfit(effects.releases.resolve(state.release).release, ChannelName(name), now)
    except (VerificationError, NotFoundError) as error:
        return f"{error.what}: {error.subject}"
    return ""


def _held_by(effects: Effects, state: RolloutState, channel: ChannelState | None) -> str:
    """Say why the next channel cannot be entered, or ""."""
    name = next_channel(state)
    if not name:
        return ""
    held = _held_by_another(effects, state, ChannelName(name))
    if held:
        return held
    if channel is not None and channel.paused and not is_left_paused(channel, state.release):
        return f"channel {name} is paused: otagate resume --channel {name}"
    return ""


def taken_by_another(effects: Effects, state: RolloutState) -> str:
    """Say which rollout took the channel that this one decided to enter, and was killed before it did; or ""."""
    ops = state.intent.ops if state.intent and not state.is_terminal else ()
    held = [_held_by_another(effects, state, op.channel) for op in ops if op.kind is OpKind.CLAIM]
    return next(filter(None, held), "")


def _held_by_another(effects: Effects, state: RolloutState, name: ChannelName) -> str:
    """Say which rollout holds a channel and does not give way, or ""."""
    holder = effects.rollouts.holder(name)
    if holder is None or holder.state.id == state.id or gives_way(holder.state, state):
        return ""
    return f"channel {name} is held by rollout {holder.state.id} ({holder.state.stage.value})"


def gives_way(holder: RolloutState, newer: RolloutState) -> bool:
    """Tell whether a rollout makes room for a newer one: when it is paused, or the newer one is a fix that may end it.

    Also when it has ended and only its ledger entries are to be written, or was superseded and its release is still to be
    taken off: who was killed right after superseding it goes on.
    """
    if holder.is_terminal:
        return holder.intent is None or holder.stage is Stage.SUPERSEDED
    return newer.created_at > holder.created_at and (holder.stage is Stage.PAUSED or newer.superseding)
