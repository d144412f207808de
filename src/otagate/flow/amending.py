"""What people change of a rollout that is under way: end it, go back to an earlier weight, go on by the policy as it is now."""

from __future__ import annotations

from otagate.errors import ConflictError, NotFoundError, UsageError
from otagate.flow.acting import Action, Receipt, commanded
from otagate.flow.publish import refuse_forks
from otagate.flow.select import active_rollout, last_rollout
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, Weight
from otagate.policy.model.tracks import TrackSpec
from otagate.policy.resolve import starting_at
from otagate.rollout import machine
from otagate.rollout.repository import Stored
from otagate.rollout.state import RolloutSpec, RolloutState, Stage


def abort(workspace: Workspace, name: ChannelName | None, reason: str) -> Action:
    """End a rollout where it stands: channels that it settled keep the release, the others stop offering it.

    When none is active and the last one was aborted, this is the same command again: nothing is left to do, and that is said.

    Raises:
        NotFoundError: No rollout is active, and the last one has ended otherwise.
        UsageError: Several are, and none was named.
    """
    refuse_forks(workspace)
    held = active_rollout(workspace, name) or _aborted(workspace, name)
    why = reason or f"aborted by {workspace.actor}"
    return commanded(workspace, held, lambda state, now: machine.abort(state, why, workspace.actor, now))


def lower(workspace: Workspace, name: ChannelName | None, weight: Weight, reason: str) -> Action:
    """Go back to an earlier weight of the present phase, and watch it for a whole soak again.

    Raises:
        NotFoundError: No rollout is active.
        UsageError: Several are and none was named, or it has no such weight below the present one.
    """
    refuse_forks(workspace)
    held = _held(workspace, name)
    steps = machine.lower_steps(held.state)
    if weight not in steps and weight != held.state.weight:
        raise UsageError(
            "a rollout goes back to an earlier weight of its phase",
            held.state.id,
            expected=" or ".join(map(str, steps)) or "a phase that has raised its weight",
            found=f"{weight}, now at {held.state.weight}",
            remedy="to take the release off all devices: otagate rollback, or otagate abort",
        )
    done = f"is at {weight}"
    return commanded(workspace, held, lambda state, now: machine.lower(state, weight, reason, workspace.actor, now), done=done)


def amend(workspace: Workspace, name: ChannelName | None, reason: str) -> Action:
    """Have a rollout go on by the policy as it is now: its gates, evaluation, windows, and the phases that are left.

    Raises:
        NotFoundError: No rollout is active, or the policy has its track no more.
        UsageError: Several are, and none was named.
        ConflictError: What the rollout has done already does not fit what the policy says now; or it is to begin on a channel
            that another holds.
    """
    refuse_forks(workspace)
    held = _held(workspace, name)
    spec = _spec_now(workspace, held.state)
    unfit = machine.refuse_amendment(held.state, spec)
    if unfit:
        raise ConflictError(
            "this rollout cannot go on by the policy as it is now",
            held.state.id,
            expected="a track that leads through what it has done",
            found=unfit,
            remedy="mend the policy; or end the rollout (otagate abort) and ship a new version",
        )
    done = "goes by this policy"
    action = commanded(workspace, held, lambda state, now: machine.amend(state, spec, reason, workspace.actor, now), done=done)
    if held.state.phase >= 0:
        return action
    first = spec.track.phases[0].channel
    workspace.rollouts.refuse_held(first, held.state.id)
    return Action(action.plan, lambda: _begin_at(workspace, first, held.state.id, action))


def _begin_at(workspace: Workspace, first: ChannelName, rollout_id: str, action: Action) -> Receipt:
    """Amend a rollout that has come to no channel yet; it holds the one that it is to begin on.

    The new claim comes first: a rollout without one would not be found.
    """
    workspace.rollouts.claim(first, rollout_id)
    receipt = action.carry_out()
    after = receipt.rollout
    if after is not None:
        # It may have begun at this moment, where it was to begin before.
        kept = {*after.exposed, after.spec.track.phases[0].channel}
        for name in workspace.rollouts.channels():
            if name not in kept:
                workspace.rollouts.release_claim(name, rollout_id)
    return receipt


def _spec_now(workspace: Workspace, state: RolloutState) -> RolloutSpec:
    policy, was = workspace.policy, state.spec.track
    track = policy.tracks.get(was.name)
    if track is None:
        raise NotFoundError(
            "the policy has the track of this rollout no more",
            f"{state.id}: track {was.name}",
            expected=f"one of {', '.join(policy.tracks)}" if policy.tracks else "tracks in the policy",
            remedy="bring the track back, or end the rollout: otagate abort",
        )
    return RolloutSpec(_same_start(track, was), policy.gates, policy.judgement, policy.windows)


def _same_start(track: TrackSpec, was: TrackSpec) -> TrackSpec:
    """Leave out the phases that the rollout began after (``start_at``)."""
    first = was.phases[0].name
    return starting_at(track, first) if first in {phase.name for phase in track.phases} else track


def _held(workspace: Workspace, name: ChannelName | None) -> Stored:
    held = active_rollout(workspace, name)
    if held is None:
        raise _none_active(workspace, name)
    return held


def _aborted(workspace: Workspace, name: ChannelName | None) -> Stored:
    last = last_rollout(workspace, name)
    if last is None or last.state.stage is not Stage.ABORTED:
        raise _none_active(workspace, name, last)
    return last


def _none_active(workspace: Workspace, name: ChannelName | None, last: Stored | None = None) -> NotFoundError:
    where = f"channel {name} of {workspace.policy.app}" if name else str(workspace.policy.app)
    found = f"{last.state.id}, which is {last.state.stage.value}" if last is not None else None
    return NotFoundError("no rollout is active", where, found=found, remedy="see `otagate status`")
