"""Start a rollout and drive it as far as it goes without waiting, or through its soaks in the foreground."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta

from otagate._text import harmless
from otagate.errors import ConflictError, NotFoundError
from otagate.flow.prepare import Shipment
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, ReleaseRef
from otagate.policy.model import TrackSpec
from otagate.rollout import machine
from otagate.rollout.reconciler import Outcome
from otagate.rollout.repository import Stored
from otagate.rollout.state import RolloutSpec, RolloutState, Stage

_SHORTEST_NAP = 0.05
"""Seconds between two looks of ``run --wait`` at the least, so that a soak of nothing does not spin."""


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
    _make_room(workspace, first, shipment.rollout_id)
    # The claim comes first: a claim without a rollout is free again, a rollout without a claim could meet another.
    workspace.rollouts.claim(first, shipment.rollout_id)
    state = machine.started(_first_state(workspace, shipment, track, ref), workspace.clock.now())
    workspace.releases.refuse_condemned(workspace.releases.resolve(ref), workspace.clock.now())
    try:
        return workspace.rollouts.create(state)
    except ConflictError:
        found = workspace.rollouts.load(shipment.rollout_id)
        if found is None:
            raise
        return found


def _first_state(workspace: Workspace, shipment: Shipment, track: TrackSpec, ref: ReleaseRef) -> RolloutState:
    policy, context = workspace.policy, workspace.context
    origin = {"commit": context.commit, "ref": context.ref, "run": context.run_url, "actor": workspace.actor}
    # A rule that names a channel moves it at once: there is nothing to watch.
    gates = policy.gates if shipment.target is not None and shipment.target.track is not None else ()
    return RolloutState(
        id=shipment.rollout_id,
        app=policy.app,
        release=ref,
        spec=RolloutSpec(track, gates, policy.judgement),
        seed=secrets.token_hex(16),
        created_at=workspace.clock.now(),
        origin={name: harmless(value) for name, value in origin.items() if value},
    )


def _make_room(workspace: Workspace, channel: ChannelName, rollout_id: str) -> None:
    holder = workspace.rollouts.holder(channel)
    if holder is None or holder.state.id == rollout_id:
        return
    if holder.state.is_terminal:
        workspace.reconciler.reconcile(holder.state.id)  # it was killed before it was done: finish it
        return
    if holder.state.stage is not Stage.PAUSED:
        raise ConflictError(
            f"channel {channel} is held by another rollout",
            str(workspace.policy.app),
            expected=f"free, or held by a paused rollout, for {rollout_id} to start",
            found=f"{holder.state.id} ({holder.state.stage.value})",
            remedy=f"wait until it has left the channel; or stop it first: otagate pause --channel {channel}",
        )
    workspace.reconciler.command(holder.state.id, lambda state, now: machine.supersede(state, rollout_id, workspace.actor, now))


def drive(
    workspace: Workspace,
    rollout_id: str,
    *,
    wait: timedelta | None,
    on_step: Callable[[Outcome], None] = lambda _outcome: None,
) -> Outcome:
    """Reconcile until there is nothing to do but wait.

    Args:
        workspace: Where.
        rollout_id: Which rollout.
        wait: Wait through soaks in the foreground for at most so long; None: end at the first.
        on_step: Told after each step that brought the rollout to another place.
    """
    end = workspace.clock.now() + wait if wait is not None else None
    told = None
    while True:
        outcome = workspace.reconciler.reconcile(rollout_id)
        where = (outcome.state.stage, outcome.state.phase, outcome.state.step)
        if outcome.changed and where != told:
            on_step(outcome)
            told = where
        if outcome.state.is_terminal or outcome.state.stage in {Stage.PAUSED, Stage.AWAITING_APPROVAL}:
            return outcome
        if outcome.changed:
            continue
        if end is None or workspace.clock.now() >= end:
            return outcome
        workspace.clock.sleep(_nap(workspace, outcome.state, (end - workspace.clock.now()).total_seconds()))


def _nap(workspace: Workspace, state: RolloutState, left: float) -> float:
    """Give how long to sleep, in seconds: until the next interim look, the soak's end or the end of patience."""
    naps = [state.spec.judgement.evaluate_every.total_seconds(), left]
    if state.not_before is not None:
        until = (state.not_before - workspace.clock.now()).total_seconds()
        naps += [until] if until > 0 else []
    return max(_SHORTEST_NAP, min(naps))
