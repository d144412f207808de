"""Rollouts and channel claims in the document store: read, and written only by compare-and-swap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from otagate._text import harmless
from otagate.errors import ConflictError, UsageError, VerificationError
from otagate.model import AppId, ChannelName
from otagate.rollout._sound import unsound
from otagate.rollout.codec import decode, encode
from otagate.rollout.state import RolloutState
from otagate.store.interface import DocumentStore
from otagate.store.jsondoc import JsonDoc, read_json, write_json

ROLLOUT_SCHEMA = "otagate/rollout/v1"
CLAIM_SCHEMA = "otagate/active/v1"
_TRIES = 5
"""How often a claim is confirmed anew after somebody else wrote it in between."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A rollout as read, with what is needed to write over exactly this state of it."""

    state: RolloutState
    doc: JsonDoc


class Rollouts:
    """The rollouts of one app, and which of them holds which channel.

    A channel is held by at most one rollout. The claim is taken before the pointer is touched, and given up when the
    rollout leaves the channel or ends. A claim whose rollout is over, or was never written, is free; one that has ended but
    whose last effects or ledger entries are still to be done is not over, so that whoever comes next finds and finishes it.
    A claim also names the rollout that had the channel last, so that people can be told what became of it.
    """

    def __init__(self, documents: DocumentStore, app: AppId) -> None:
        self._documents, self._app = documents, app

    def load(self, rollout_id: str) -> Stored | None:
        """Read a rollout, or give None.

        Raises:
            VerificationError: What stands there is not a rollout of this app.
        """
        key = self._key(rollout_id)
        doc = read_json(self._documents, key, ROLLOUT_SCHEMA)
        if doc is None:
            return None
        try:
            state = decode(RolloutState, doc.body["rollout"])
        except (ValueError, KeyError, TypeError) as error:
            raise VerificationError("this rollout cannot be read", key, found=str(error)) from error
        wrong = unsound(state.spec)
        if wrong:
            raise VerificationError(
                "this rollout cannot be read", key, expected="a spec to decide by", found=harmless(wrong, 80)
            )
        phases = state.spec.track.phases
        steps = len(phases[state.phase].ramp) if 0 <= state.phase < len(phases) else int(state.phase == -1)
        if not 0 <= state.step < steps:
            raise VerificationError(
                "this rollout stands nowhere on its track", key, found=f"phase {state.phase}, step {state.step}"
            )
        if state.id != rollout_id or state.app != self._app:
            raise VerificationError("this rollout is another one", key, expected=rollout_id, found=state.id)
        return Stored(state, doc)

    def create(self, state: RolloutState) -> Stored:
        """Write a new rollout.

        Raises:
            ConflictError: There is one of that id.
        """
        doc = write_json(self._documents, self._key(state.id), ROLLOUT_SCHEMA, {"rollout": encode(state)}, None)
        return Stored(state, doc)

    def save(self, stored: Stored, state: RolloutState) -> Stored:
        """Write the next state over the one that was read.

        Raises:
            ConflictError: Somebody else wrote it since: load again and decide anew.
        """
        if state == stored.state:
            return stored
        doc = write_json(self._documents, self._key(state.id), ROLLOUT_SCHEMA, {"rollout": encode(state)}, stored.doc)
        return Stored(state, doc)

    def holder(self, channel: ChannelName) -> Stored | None:
        """Give the active rollout that holds a channel, or None when it is free."""
        holder = _claimant(self._claim(channel))
        stored = self.load(holder) if holder else None
        return None if stored is None or stored.state.is_over else stored

    def recent(self, channel: ChannelName) -> tuple[Stored, ...]:
        """Give the rollouts that a channel's claim names, whatever became of them: who has it, and who had it before."""
        claim = self._claim(channel)
        found = (self.load(name) for name in (_claimant(claim), _last(claim)) if name)
        return tuple(stored for stored in found if stored is not None)

    def has_claimed(self, channel: ChannelName, rollout_id: str) -> bool:
        """Tell whether a rollout holds a channel. A claim that cannot be read keeps nobody from stopping: then it does."""
        try:
            return _claimant(self._claim(channel)) == rollout_id
        except VerificationError:
            return True

    def is_anothers(self, channel: ChannelName, rollout_id: str) -> bool:
        """Tell whether another active rollout holds a channel; not when what says so cannot be read."""
        try:
            holder = self.holder(channel)
        except VerificationError:
            return False
        return holder is not None and holder.state.id != rollout_id

    def channels(self) -> list[ChannelName]:
        """Give every channel that was ever claimed, sorted. What is no claim's document is passed over."""
        prefix, found = f"apps/{self._app}/active/", []
        for key in self._documents.keys(prefix):
            try:
                found.append(ChannelName(key.removeprefix(prefix).removesuffix(".json")))
            except UsageError:
                continue  # somebody's stray file
        return sorted(found, key=str)

    def last(self, channel: ChannelName) -> Stored | None:
        """Give the rollout that has a channel or had it last, whatever became of it; None when there was none."""
        return next(iter(self.recent(channel)), None)

    def claim(self, channel: ChannelName, rollout_id: str, still: Callable[[], None] = lambda: None) -> None:
        """Take a channel for a rollout; fine when it has it already.

        Args:
            channel: The channel.
            rollout_id: The rollout.
            still: Called between reading the claim and writing it; raises when the claim is no longer wanted.

        Raises:
            ConflictError: Another active rollout holds it, or took it at this moment.
        """
        doc = self._claim(channel)
        if _claimant(doc) == rollout_id:
            return
        self.refuse_held(channel, rollout_id)
        still()
        try:
            write_json(self._documents, self._claim_key(channel), CLAIM_SCHEMA, _claimed(rollout_id, doc), doc)
        except ConflictError:
            # Another machine that carries on the same rollout may have taken it.
            if _claimant(self._claim(channel)) != rollout_id:
                raise

    def refuse_held(self, channel: ChannelName, rollout_id: str) -> None:
        """Refuse a channel that another active rollout holds.

        Raises:
            ConflictError: One does.
        """
        holder = self.holder(channel)
        if holder is not None and holder.state.id != rollout_id:
            raise self._held(channel, rollout_id, holder)

    def confirm(self, channel: ChannelName, rollout_id: str) -> None:
        """Write the claim once more, now that its rollout exists.

        A claim without a rollout is free. Who found ours free just before must not be able to take it after.

        Raises:
            ConflictError: Another active rollout took it.
        """
        for attempt in range(1, _TRIES + 1):
            doc = self._claim(channel)
            self.refuse_held(channel, rollout_id)
            try:
                write_json(self._documents, self._claim_key(channel), CLAIM_SCHEMA, _claimed(rollout_id, doc), doc)
            except ConflictError:
                if attempt == _TRIES:
                    raise
            else:
                return

    def release_claim(self, channel: ChannelName, rollout_id: str) -> None:
        """Give a channel up; fine when somebody else has it by now, or another machine gave it up for the same rollout."""
        doc = self._claim(channel)
        if _claimant(doc) != rollout_id:
            return
        try:
            write_json(self._documents, self._claim_key(channel), CLAIM_SCHEMA, _claimed("", doc), doc)
        except ConflictError:
            if _claimant(self._claim(channel)) == rollout_id:
                raise

    def _claim(self, channel: ChannelName) -> JsonDoc | None:
        return read_json(self._documents, self._claim_key(channel), CLAIM_SCHEMA)

    def _held(self, channel: ChannelName, rollout_id: str, holder: Stored) -> ConflictError:
        return ConflictError(
            f"channel {channel} is held by another rollout",
            str(self._app),
            expected=f"free for {rollout_id}",
            found=f"{holder.state.id} ({holder.state.stage.value})",
            remedy=f"wait until it has left the channel, or stop it: otagate pause --channel {channel}",
        )

    def _key(self, rollout_id: str) -> str:
        return f"apps/{self._app}/rollouts/{rollout_id}.json"

    def _claim_key(self, channel: ChannelName) -> str:
        return f"apps/{self._app}/active/{channel}.json"


def _claimant(claim: JsonDoc | None) -> str:
    return str(claim.body.get("rollout", "")) if claim else ""


def _last(claim: JsonDoc | None) -> str:
    return str(claim.body.get("last", "")) if claim else ""


def _claimed(rollout_id: str, before: JsonDoc | None) -> dict[str, str]:
    was = _claimant(before)
    return {"rollout": rollout_id, "last": was if was not in {"", rollout_id} else _last(before)}
