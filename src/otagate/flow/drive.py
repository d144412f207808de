"""Start a rollout and drive it as far as it goes without waiting, or through its soaks in the foreground."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from otagate._text import harmless
from otagate.errors import ConflictError, NotFoundError, OtagateError, UnavailableError, VerificationError
from otagate.flow.prepare import Newer, Shipment, gives_room
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, ReleaseRef
from otagate.policy.model.tracks import TrackSpec
from otagate.rollout import machine
from otagate.rollout.reconciler import Outcome
from otagate.rollout.repository import Stored
from otagate.rollout.state import RolloutSpec, RolloutState, Stage

_SHORTEST_NAP = 0.05
"""Seconds between two looks of ``run --wait`` at the least, so that a soak of nothing does not spin."""
_ASK_AGAIN = 60.0
"""Seconds after which a store that did not answer is asked again; each operation was tried several times by then."""
_PATIENCE = timedelta(hours=2)
"""A store that is away for longer, or a disk that stays full, does not come back by being waited for."""


def start(workspace: Workspace, shipment: Shipment, ref: ReleaseRef) -> Stored:
    """Start the rollout, or find the one that was started before.

    Raises:
        ConflictError: Another rollout holds the first channel and is not paused; or a prune is removing the bundle.
    """
    track = shipment.track
    if track is None:
        raise NotFoundError("there is no track to ship along", remedy="add a rule to `branches` in the policy")
    existing = workspace.rollouts.load(shipment.rollout_id)
    if existing is not None:
        return existing
    first = track.phases[0].channel
    newer = Newer(ref.version, track, supersedes=shipment.target is not None and shipment.target.rule.supersede)
    seed = _cohort(workspace, first)  # asked before what has these devices is taken off
    _make_room(workspace, first, shipment.rollout_id, lambda held: gives_room(workspace, held, newer))
    # The claim comes first: a claim without a rollout is free again, a rollout without a claim could meet another.
    workspace.rollouts.claim(first, shipment.rollout_id)
    state = machine.started(_first_state(workspace, shipment, track, ref, seed), workspace.store_clock.now())
    workspace.releases.refuse_condemned(workspace.releases.resolve(ref), workspace.clock.now())
    try:
        created = workspace.rollouts.create(state)
    except ConflictError:
        found = workspace.rollouts.load(shipment.rollout_id)
        if found is None:
            raise
        return found
    workspace.rollouts.confirm(first, shipment.rollout_id)
    return created


def _first_state(workspace: Workspace, shipment: Shipment, track: TrackSpec, ref: ReleaseRef, seed: str | None) -> RolloutState:
    policy, context = workspace.policy, workspace.context
    origin = {"commit": context.commit, "ref": context.ref, "run": context.run_url, "actor": workspace.actor}
    # A rule that names a channel moves it at once: there is nothing to watch.
    gates = policy.gates if shipment.target is not None and shipment.target.track is not None else ()
    return RolloutState(
        id=shipment.rollout_id,
        app=policy.app,
        release=ref,
        spec=RolloutSpec(track, gates, policy.judgement, policy.windows),
        seed=seed or secrets.token_hex(16),
        created_at=workspace.store_clock.now(),
        origin={name: harmless(value) for name, value in origin.items() if value},
        superseding=shipment.target is not None and shipment.target.rule.supersede,
    )


def _cohort(workspace: Workspace, channel: ChannelName) -> str | None:
    """Give the seed of the devices that have what is about to be replaced: they are the first to get the fix.

    Who was killed right after superseding it finds the seed with the rollout that had the channel last.
    """
    reading = workspace.channels_read_only.read(channel)
    candidate = reading.state.candidate if reading else None
    if candidate is not None:
        return candidate.seed
    try:
        last = workspace.rollouts.last(channel)
    except VerificationError:
        return None  # nothing but this hangs on what is over; if it holds the channel still, whoever makes room says so
    return last.state.seed if last is not None and last.state.stage is Stage.SUPERSEDED else None


def _make_room(workspace: Workspace, channel: ChannelName, rollout_id: str, gives: Callable[[RolloutState], bool]) -> None:
    """End the rollout that holds the channel, if it may be ended."""
    holder = workspace.rollouts.holder(channel)
    if holder is None or holder.state.id == rollout_id:
        return
    if holder.state.is_terminal:
        workspace.reconciler.reconcile(holder.state.id)  # it was killed before it was done: finish it
        return
    if not gives(holder.state):
        raise ConflictError(
            f"channel {channel} is held by another rollout",
            str(workspace.policy.app),
            expected=f"free, or held by a paused rollout, for {rollout_id} to start",
            found=f"{holder.state.id} ({holder.state.stage.value})",
            remedy=f"wait until it has left the channel; or stop it first: otagate pause --channel {channel}; or let fixes"
            " end it: `supersede: true` in their rule of `branches`",
        )
    by = (rollout_id, workspace.actor)
    # It may have gone on since: then the claim is refused.
    workspace.reconciler.command(
        holder.state.id, lambda state, now: machine.supersede(state, *by, now) if gives(state) else state
    )


def drive(
    workspace: Workspace,
    rollout_id: str,
    *,
    wait: timedelta | None,
    on_step: Callable[[Outcome], None] = lambda _outcome: None,
) -> Outcome:
    """Reconcile one rollout until there is nothing to do but wait; see :func:`drive_all`.

    Raises:
        OtagateError: A reconcile failed.
    """
    driven = drive_all(workspace, [rollout_id], wait=wait, on_step=on_step)
    for error in driven.failed.values():
        raise error
    return driven.outcomes[rollout_id]


@dataclass(frozen=True, slots=True)
class Driven:
    """What came of several rollouts, by id: the last outcome, and the error of those whose last look failed."""

    outcomes: dict[str, Outcome]
    failed: dict[str, OtagateError]

    def goes_on(self, rollout_id: str) -> bool:
        """Whether another look can make a difference: something is waited for, or the store did not answer."""
        if rollout_id in self.failed:
            return isinstance(self.failed[rollout_id], UnavailableError)
        return self.outcomes[rollout_id].next_look is not None


def drive_all(
    workspace: Workspace,
    rollout_ids: Sequence[str],
    *,
    wait: timedelta | None,
    on_step: Callable[[Outcome], None] = lambda _outcome: None,
) -> Driven:
    """Reconcile rollouts, side by side, until there is nothing to do but wait. What fails for one does not stop the others.

    A store that does not answer is no reason to stop waiting: it is told, and asked again at the next look, for two hours.

    Args:
        workspace: Where.
        rollout_ids: Which rollouts.
        wait: Wait through soaks in the foreground for at most so long; None: end at the first.
        on_step: Told after each step that brought a rollout to another place.
    """
    end = workspace.clock.now() + wait if wait is not None else None
    driven, silent = Driven({}, {}), dict[str, _Silence]()
    going = list(rollout_ids)
    while going:
        for rollout_id in going:
            driven.failed.pop(rollout_id, None)
            try:
                driven.outcomes[rollout_id] = _as_far_as_it_goes(workspace, rollout_id, on_step)
            except OtagateError as error:
                driven.failed[rollout_id] = error
        going = [one for one in going if driven.goes_on(one)]
        if end is None or not going or workspace.clock.now() >= end:
            break
        silent = _warn_of_silence(workspace, driven, going, silent)
        going = [one for one in going if one not in silent or workspace.clock.now() - silent[one].since < _PATIENCE]
        if not going:
            break
        left = (end - workspace.clock.now()).total_seconds()
        workspace.clock.sleep(min(_nap(workspace, driven, one, left) for one in going))
    return driven


@dataclass(frozen=True, slots=True)
class _Silence:
    """Why a rollout cannot be looked at, and since when."""

    why: str
    since: datetime


def _warn_of_silence(
    workspace: Workspace, driven: Driven, going: Sequence[str], known: Mapping[str, _Silence]
) -> dict[str, _Silence]:
    """Tell what is to be looked at again because the store did not answer; each time that it is the same, once."""
    silent = {}
    for rollout_id in (one for one in going if one in driven.failed):
        why, before = str(driven.failed[rollout_id]), known.get(rollout_id)
        if before is None or before.why != why:
            workspace.listener.warn(f"{rollout_id} could not be looked at, and will be again: {why}")
        silent[rollout_id] = _Silence(why, before.since if before else workspace.clock.now())
    return silent


def _as_far_as_it_goes(workspace: Workspace, rollout_id: str, on_step: Callable[[Outcome], None]) -> Outcome:
    told = None
    while True:
        outcome = workspace.reconciler.reconcile(rollout_id)
        where = (outcome.state.stage, outcome.state.phase, outcome.state.step)
        if outcome.changed and where != told:
            on_step(outcome)
            told = where
        if not outcome.changed or outcome.next_look is None:
            return outcome


def _nap(workspace: Workspace, driven: Driven, rollout_id: str, left: float) -> float:
    """Give how long to sleep, in seconds: until the next interim look, the soak's end or the end of patience."""
    if rollout_id in driven.failed:
        return max(_SHORTEST_NAP, min(_ASK_AGAIN, left))
    state = driven.outcomes[rollout_id].state
    naps = [state.spec.judgement.evaluate_every.total_seconds(), left]
    if state.not_before is not None:
        until = (state.not_before - workspace.store_clock.now()).total_seconds()
        naps += [until] if until > 0 else []
    return max(_SHORTEST_NAP, min(naps))
