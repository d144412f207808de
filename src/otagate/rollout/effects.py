"""Carrying out an intent: each effect is idempotent, so a killed machine's work is simply done again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from otagate._clock import Clock
from otagate.channel import transitions
from otagate.channel.interface import ChannelReading, Channels
from otagate.errors import ConflictError
from otagate.model import AppId, ChannelName, ChannelState, ReleaseRef
from otagate.release.repository import Releases
from otagate.rollout.repository import Rollouts
from otagate.rollout.state import Op, OpKind, RolloutState

_TRIES = 5
"""How often a channel move is decided anew after somebody else moved the channel in between."""


@dataclass(frozen=True, slots=True)
class Effects:
    """The world that intents act on."""

    app: AppId
    rollouts: Rollouts
    channels: Channels
    releases: Releases
    clock: Clock

    def carry_out(self, state: RolloutState) -> None:
        """Do every effect of the state's intent, in order. Any error leaves the intent recorded: it is finished later."""
        for op in state.intent.ops if state.intent else ():
            self._do(state, op)

    def _do(self, state: RolloutState, op: Op) -> None:
        match op.kind:
            case OpKind.CLAIM:
                self.rollouts.claim(op.channel, state.id)
            case OpKind.RELEASE_CLAIM:
                self.rollouts.release_claim(op.channel, state.id)
            case OpKind.OFFER:
                # Invariant: a channel never names a release whose blobs were not read back the way devices take.
                self.releases.read_back(self.releases.resolve(state.release))
                weight = op.weight
                if weight is not None:
                    self.move(op.channel, lambda channel: transitions.offer(channel, state.release, weight, state.seed))
            case OpKind.SETTLE:
                self.move(op.channel, lambda channel: transitions.settle(channel, state.release))
            case OpKind.WITHDRAW:
                self.move(op.channel, lambda channel: _withdraw(channel, state.release))
            case OpKind.PAUSE:
                self.move(op.channel, transitions.pause)
            case OpKind.UNPAUSE:
                self.move(op.channel, transitions.unpause)

    def move(self, name: ChannelName, change: Callable[[ChannelState], ChannelState]) -> ChannelReading | None:
        """Change a channel by compare-and-swap, read back by the port; decides anew when somebody else was first.

        Returns:
            The channel as it is now; None when it does not exist and nothing had to change.

        Raises:
            ConflictError: It changed under us several times in a row, or the change is not allowed.
        """
        for attempt in range(1, _TRIES + 1):
            reading = self.channels.read(name)
            before = reading.state if reading else ChannelState(self.app, name, 0, None)
            after = change(before)
            if after is before:
                return reading
            try:
                return self.channels.move(after, reading.token if reading else None, self.clock.now())
            except ConflictError:
                if attempt == _TRIES:
                    raise
        raise AssertionError


def _withdraw(channel: ChannelState, release: ReleaseRef) -> ChannelState:
    """Take a release off a channel and lift a pause with it: rolling back means that devices go back, now."""
    after = transitions.withdraw(channel, release)
    return after if after is channel else replace(after, paused=False)
