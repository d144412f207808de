"""What people do to channels and rollouts by hand: promote, pause, resume, approve, roll back.

Each function looks at the world and gives an :class:`Action`: the plan, and what carries exactly that plan out. ``--dry-run``
prints the first and never calls the second.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace

from otagate._text import harmless, nearest
from otagate.channel import transitions
from otagate.errors import ConflictError, NotFoundError, UsageError
from otagate.flow.acting import Action, Receipt, as_it_is, channel_action, commanded, find_release, move_to, read_or_new
from otagate.flow.going_back import already_back, go_back, undo_completion
from otagate.flow.publish import refuse_forks
from otagate.flow.select import active_rollout
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, ChannelState, ReleaseRef, Version, Weight
from otagate.plan.steps import Plan, Status, Step, StepKind
from otagate.release.fitness import refuse_unfit
from otagate.rollout import machine
from otagate.rollout.state import OpKind, RolloutState, Stage


def promote(workspace: Workspace, name: ChannelName, version: Version, weight: Weight, *, lower: bool = False) -> Action:
    """Move a channel to a release, or raise the release's weight there. For channels that no rollout holds.

    With ``lower`` the weight of a release that is ramping up there may also fall: the devices above it go back.

    Raises:
        ConflictError: A rollout holds the channel; the release was rolled back there; or it has a higher weight already.
        NotFoundError: The release is not published.
        VerificationError: The release may not go to this channel, has expired, or its bytes do not hold.
    """
    refuse_forks(workspace)
    holder = workspace.rollouts.holder(name)
    if holder is not None:
        raise ConflictError(
            "a rollout holds this channel",
            f"channel {name} of {workspace.policy.app}",
            expected="a channel that no rollout holds",
            found=f"{holder.state.id} ({holder.state.stage.value})",
            remedy=f"let it go on (otagate reconcile), or end it: otagate rollback --channel {name}",
        )
    published = find_release(workspace, version)
    refuse_unfit(published.release, name, workspace.clock.now())
    before = read_or_new(workspace, name)
    falls = lower and before.candidate is not None and before.candidate.release == published.ref
    change = _lowering(published.ref, weight) if falls else _promotion(published.ref, weight)
    after = change(before)
    if not falls:
        _refuse_lowering(before, published.ref, weight)
    title = f"promote {name} to {version} at {weight}"
    step = Step(StepKind.ADVANCE, title, Status.TODO if after is not before else Status.DONE, as_it_is(before))

    def carry_out() -> Receipt:
        workspace.releases.read_back_everywhere(published)
        data = {"version": str(version), "weight": str(weight)}
        return move_to(workspace, published, name, change, ("channel.promoted", data), everywhere=True)

    return Action(Plan(title, (step,)), carry_out)


def pause(workspace: Workspace, name: ChannelName | None, reason: str) -> Action:
    """Expose no further devices: of the rollout that holds the channel, or of the channel itself."""
    refuse_forks(workspace)
    held = active_rollout(workspace, name)
    if held is not None:
        why = reason or f"paused by {workspace.actor}"
        return commanded(workspace, held, lambda state, now: machine.pause(state, why, workspace.actor, now))
    channel = _named(name)
    return channel_action(workspace, channel, transitions.pause, StepKind.PAUSE, reason)


def resume(workspace: Workspace, name: ChannelName | None, overrides: Mapping[str, str], reason: str) -> Action:
    """Go on after a pause. Latched failures must be waived one by one, each with a reason.

    Raises:
        ConflictError: A failure is latched and not waived.
        UsageError: An override names a metric that the rollout has no gate for.
        NotFoundError: There is an override, and no rollout.
    """
    refuse_forks(workspace)
    held = active_rollout(workspace, name)
    if held is None or (name is not None and _is_only_channel_paused(workspace, held.state, name)):
        channel = _named(name)
        if overrides and held is None:
            where = f"channel {channel} of {workspace.policy.app}"
            raise NotFoundError("no rollout holds this channel, so no gate can be waived", where, remedy="see `otagate status`")
        return channel_action(workspace, channel, transitions.unpause, StepKind.RESUME, reason)
    _check_overrides(held.state, overrides)
    _refuse_raising_now(workspace, held.state)
    action = commanded(workspace, held, lambda state, now: machine.resume(state, overrides, workspace.actor, now))
    idle = [] if held.state.stage is Stage.PAUSED else sorted(set(overrides) - held.state.waived)
    note = f"nothing was waived of {', '.join(idle)}: a gate is waived when it has paused its rollout"
    return replace(action, plan=replace(action.plan, notes=(note,))) if idle else action


def approve(workspace: Workspace, name: ChannelName | None, phase: str | None, reason: str) -> Action:
    """Let a rollout go on that waits for an approval.

    Raises:
        ConflictError: It waits for none, or for another phase's.
    """
    refuse_forks(workspace)
    held = active_rollout(workspace, name)
    if held is None:
        raise NotFoundError("no rollout is active", str(workspace.policy.app), remedy="see `otagate status`")
    waits_for = held.state.awaiting
    is_done = _is_approved(held.state, phase)
    if not is_done and (not waits_for or (phase is not None and phase not in waits_for.split(":"))):
        raise ConflictError(
            "this rollout does not wait for that approval",
            held.state.id,
            expected=f"an approval of phase {phase}" if phase else "a rollout that waits for an approval",
            found=f"{held.state.stage.value}{', waiting for ' + waits_for if waits_for else ''}",
            remedy="see `otagate status`",
        )
    return commanded(workspace, held, lambda state, now: machine.approve(state, workspace.actor, reason, now))


def rollback(workspace: Workspace, name: ChannelName | None, to: str | None, reason: str) -> Action:
    """Serve the previous release again, a named one, or the built-in bundle. Needs no metrics, no build, no first runner.

    A rollout that is under way ends, and gives back every channel that it reached. Otherwise the one channel goes back by
    one pointer write.

    Raises:
        ConflictError: There is nothing to roll back.
        NotFoundError: The named release is not published.
        VerificationError: What the channel would go back to does not hold.
    """
    refuse_forks(workspace)
    held = active_rollout(workspace, name)
    why = reason or f"rolled back by {workspace.actor}"
    if held is not None and held.state.stage is Stage.COMPLETED:
        # It was killed before it was done, and devices are to have the release no more.
        return undo_completion(workspace, name or held.state.exposed[-1], held, to, why)
    if held is not None and (name is None or to is None):
        if to is not None:
            raise UsageError("--to needs --channel", expected="the channel that is to serve it", remedy="add --channel NAME")
        return commanded(workspace, held, lambda state, now: machine.roll_back(state, why, workspace.actor, now))
    repeated = already_back(workspace, name, why) if to is None else None
    if repeated is not None:
        return repeated
    return go_back(workspace, _named(name), held, to, why)


def _promotion(ref: ReleaseRef, weight: Weight) -> Callable[[ChannelState], ChannelState]:
    seed = secrets.token_hex(16)
    if weight.is_full:
        return lambda state: transitions.set_stable(state, ref)
    return lambda state: transitions.offer(state, ref, weight, seed)


def _lowering(ref: ReleaseRef, weight: Weight) -> Callable[[ChannelState], ChannelState]:
    return lambda state: transitions.lower(state, ref, weight)


def _refuse_lowering(before: ChannelState, ref: ReleaseRef, weight: Weight) -> None:
    at = before.candidate.weight if before.candidate and before.candidate.release == ref else None
    at = Weight(10_000) if before.stable == ref else at
    if at is not None and weight < at:
        raise ConflictError(
            "a weight only grows by itself",
            f"channel {before.name} of {before.app}",
            expected=f"{at} or more for {ref}",
            found=str(weight),
            remedy=f"to take it back from a part of the devices: --lower; from all: otagate rollback --channel {before.name}",
        )


def _check_overrides(state: RolloutState, overrides: Mapping[str, str]) -> None:
    known = {gate.metric for gate in state.spec.gates}
    for metric in overrides:
        if metric not in known:
            near = nearest(metric, known)
            expected = f"one of {', '.join(sorted(known))}" if known else "a rollout with gates"
            remedy = f"did you mean {near}?" if near else None
            raise UsageError("there is no such gate", f"'{harmless(metric, 80)}'", expected=expected, remedy=remedy)
    left = machine.unwaived(state, overrides)
    if left and state.stage is Stage.PAUSED:
        reasons = tuple(f"{metric}: {state.latched[metric].reason}" for metric in left)
        raise ConflictError(
            "a failed gate holds this rollout, and later good numbers do not lift it",
            state.id,
            details=reasons,
            remedy=f"publish a fix; or, to go on knowingly: otagate resume --override {left[0]} --reason '…'",
        )


def _refuse_raising_now(workspace: Workspace, state: RolloutState) -> None:
    """Refuse to resume what was paused in the middle of a raise while weights may not rise: resuming would finish it."""
    shut = machine.closed(state, workspace.store_clock.now())
    if state.stage is Stage.PAUSED and shut and any(op.kind is OpKind.OFFER for op in state.unfinished):
        raise ConflictError(
            "this rollout was paused while its weight rose, and weights do not rise now",
            state.id,
            found=shut,
            remedy="resume it when they may; or end it: otagate abort, otagate rollback",
        )


def _is_approved(state: RolloutState, phase: str | None) -> bool:
    """Whether that approval was given already and is not waited for again: the command was run before."""
    if state.awaiting:
        return False
    here = state.current
    too_few = f"insufficient:{here.name}:{state.step}" if here is not None and phase in {None, here.name} else ""
    return f"phase:{phase or machine.next_phase(state)}" in state.approvals or too_few in state.approvals


def _is_only_channel_paused(workspace: Workspace, state: RolloutState, name: ChannelName) -> bool:
    """Whether the channel was paused before its rollout came: the rollout waits for just that."""
    return not state.is_terminal and state.stage is not Stage.PAUSED and read_or_new(workspace, name).paused


def _named(name: ChannelName | None) -> ChannelName:
    if name is None:
        raise UsageError(
            "no rollout is active, so a channel must be named", expected="--channel NAME", remedy="see `otagate status`"
        )
    return name
