"""Carrying out an intent: each effect is idempotent, so a killed machine's work is simply done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from otagate._clock import Clock
from otagate.channel import transitions
from otagate.channel.interface import ChannelReading, Channels
from otagate.errors import ConflictError, OtagateError, VerificationError
from otagate.model import AppId, ChannelName, ChannelState, ReleaseRef, Weight
from otagate.release.repository import Releases
from otagate.rollout.repository import Rollouts
from otagate.rollout.state import TAKEN_OFF, Op, OpKind, RolloutState

_TRIES = 5
"""How often a channel move is decided anew after somebody else moved the channel in between."""


@dataclass(frozen=True, slots=True)
class Effects:
    """The world that intents act on.

    Attributes:
        follow: Told which channels were touched, after all of them were: copies of their pointers are made then, so that no
            mirror that is down keeps a further channel from being moved. Never raises.
    """

    app: AppId
    rollouts: Rollouts
    channels: Channels
    releases: Releases
    clock: Clock
    follow: Callable[[Sequence[ChannelName]], None] = lambda _names: None

    def carry_out(self, state: RolloutState) -> None:
        """Do every effect of the state's intent, in order. Any error leaves the intent recorded: it is finished later.

        Raises:
            ConflictError: Somebody else holds the channel or moved it; or decided anew meanwhile (:meth:`is_current` tells).
        """
        touched: dict[ChannelName, None] = {}
        try:
            for op in state.intent.ops if state.intent else ():
                self._do(state, op)
                touched[op.channel] = None
        except OtagateError:
            self.follow(tuple(touched))
            raise
        self.follow(tuple(touched))

    def is_current(self, state: RolloutState) -> bool:
        """Whether the state's intent is still the one that is recorded."""
        stored = self.rollouts.load(state.id)
        return stored is not None and stored.state.intent == state.intent

    def refuse_if_replaced(self, state: RolloutState) -> None:
        """Refuse to go on with an intent that was replaced: a slow machine must not undo what was decided after it.

        Called between reading what is to be changed and the swap. Whoever replaced the intent changes the same document, so
        that either this check or the swap sees it; or finds nothing there to change (:meth:`_take_back`).
        """
        if not self.is_current(state):
            raise ConflictError("somebody else decided anew meanwhile", state.id, remedy="run the command again")

    def _change(self, state: RolloutState, name: ChannelName, change: Callable[[ChannelState], ChannelState]) -> None:
        def fenced(channel: ChannelState) -> ChannelState:
            after = change(channel)
            if after is not channel:
                self.refuse_if_replaced(state)
            return after

        self._move(name, fenced)

    def _take_back(self, state: RolloutState, name: ChannelName) -> None:
        """Take back what was offered while somebody ended or lowered the rollout: they looked before it was there.

        A rollback and a pause change the channel in any case, so that the swap fails; dropping and lowering may find nothing
        to change.
        """
        stored = self.rollouts.load(state.id)
        now = stored.state if stored is not None else state
        if now.stage in TAKEN_OFF:
            if not self._is_offered_by_another(state, name):
                self._move(name, lambda channel: transitions.drop(channel, state.release))
        elif now.phase == state.phase and now.step < state.step:
            self._move(name, lambda channel: transitions.lower(channel, state.release, now.weight))

    def _is_offered_by_another(self, state: RolloutState, name: ChannelName) -> bool:
        """Tell whether a rollout of the same release along another track took the place, and offers it there."""
        try:
            holder = self.rollouts.holder(name)
        except VerificationError:
            return False
        if holder is None or holder.state.id == state.id:
            return False
        return holder.state.release == state.release and name in holder.state.exposed

    def _do(self, state: RolloutState, op: Op) -> None:
        match op.kind:
            case OpKind.CLAIM:
                self.rollouts.claim(op.channel, state.id, lambda: self.refuse_if_replaced(state))
            case OpKind.RELEASE_CLAIM:
                self.rollouts.release_claim(op.channel, state.id)
            case OpKind.OFFER:
                # Invariant: a channel never names a release whose blobs were not read back the way devices take.
                published = self.releases.resolve(state.release)
                self.releases.read_back_everywhere(published)
                self.releases.refuse_condemned(published, self.clock.now())
                weight = op.weight
                if weight is not None:
                    self._change(state, op.channel, lambda channel: _offer(channel, state, weight))
                    self._take_back(state, op.channel)
            case OpKind.SETTLE:
                self._change(state, op.channel, lambda channel: transitions.settle(channel, state.release))
            case OpKind.LOWER:
                lower_to = op.weight
                if lower_to is not None:
                    self._change(state, op.channel, lambda channel: transitions.lower(channel, state.release, lower_to))
            case OpKind.DROP:
                self._change(state, op.channel, lambda channel: transitions.drop(channel, state.release))
            case OpKind.WITHDRAW:
                self._change(state, op.channel, lambda channel: self._withdraw(channel, state))
            case OpKind.PAUSE | OpKind.UNPAUSE:
                # On a channel that it had not come to, another rollout may be, paused or not; or a person paused it.
                if self.rollouts.has_claimed(op.channel, state.id):
                    turn = transitions.pause if op.kind is OpKind.PAUSE else transitions.unpause
                    self._change(state, op.channel, turn)

    def _withdraw(self, channel: ChannelState, state: RolloutState) -> ChannelState:
        """Take a release off a channel and lift a pause with it: rolling back means that devices go back, now.

        The channel that it came to last remembers it, also when it was killed before it was offered there. A channel that it
        had not come to stays paused, and one where a newer rollout is by now: that was not because of this release.
        """
        is_last = channel.name == (state.exposed or (channel.name,))[-1]
        after = transitions.withdraw(channel, state.release, remember=is_last)
        if after is channel or not channel.paused or channel.name not in state.exposed:
            return after
        return after if self.rollouts.is_anothers(channel.name, state.id) else replace(after, paused=False)

    def move(self, name: ChannelName, change: Callable[[ChannelState], ChannelState]) -> ChannelReading | None:
        """Change a channel by compare-and-swap, read back by the port; decides anew when somebody else was first.

        Returns:
            The channel as it is now; None when it does not exist and nothing had to change.

        Raises:
            ConflictError: It changed under us several times in a row, or the change is not allowed.
        """
        reading = self._move(name, change)
        self.follow((name,))
        return reading

    def _move(self, name: ChannelName, change: Callable[[ChannelState], ChannelState]) -> ChannelReading | None:
        for attempt in range(1, _TRIES + 1):
            reading = self.channels.read(name)
            before = reading.state if reading else transitions.unborn(self.app, name)
            after = change(before)
            if after is before:
                return reading
            try:
                return self.channels.move(after, reading.token if reading else None, self.clock.now())
            except ConflictError:
                if attempt == _TRIES:
                    raise
        raise AssertionError


def is_left_paused(channel: ChannelState, release: ReleaseRef) -> bool:
    """Whether a pause is about another release that was ramping up: it ends when ``release`` takes that one's place."""
    return channel.paused and channel.candidate is not None and channel.candidate.release != release


def _offer(channel: ChannelState, state: RolloutState, weight: Weight) -> ChannelState:
    after = transitions.offer(channel, state.release, weight, state.seed)
    return replace(after, paused=False) if after is not channel and is_left_paused(channel, state.release) else after
