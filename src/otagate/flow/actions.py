"""What people do to channels and rollouts by hand: promote, pause, resume, approve, roll back.

Each function looks at the world and gives an :class:`Action`: the plan, and what carries exactly that plan out. ``--dry-run``
prints the first and never calls the second.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from otagate._bucket_url import place_of
from otagate._text import harmless, nearest
from otagate.channel import transitions
from otagate.channel.interface import ChannelReading
from otagate.errors import ConflictError, NotFoundError, UsageError
from otagate.flow.foresee import steps_of
from otagate.flow.publish import refuse_forks
from otagate.flow.select import active_rollout, channel_names
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, ChannelState, ReleaseRef, Version, Weight
from otagate.plan.steps import Plan, Status, Step, StepKind
from otagate.release.fitness import refuse_unfit
from otagate.release.pruning import CHECK_HOLDS_S
from otagate.release.repository import PublishedRelease
from otagate.rollout import machine
from otagate.rollout.reconciler import Command
from otagate.rollout.repository import Stored
from otagate.rollout.state import OpKind, RolloutState, Stage

BUILTIN = "builtin"
"""How people write the bundle that is built into the native app."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an action left behind: the rollout, or the channel, as it is now."""

    rollout: RolloutState | None = None
    channel: ChannelReading | None = None


@dataclass(frozen=True, slots=True)
class Action:
    """A plan, and what carries exactly it out."""

    plan: Plan
    carry_out: Callable[[], Receipt]


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
    step = Step(StepKind.ADVANCE, title, Status.TODO if after is not before else Status.DONE, _was(before))

    def carry_out() -> Receipt:
        workspace.releases.read_back_everywhere(published)
        data = {"version": str(version), "weight": str(weight)}
        return _move_to(workspace, published, name, change, ("channel.promoted", data), everywhere=True)

    return Action(Plan(title, (step,)), carry_out)


def pause(workspace: Workspace, name: ChannelName | None, reason: str) -> Action:
    """Expose no further devices: of the rollout that holds the channel, or of the channel itself."""
    refuse_forks(workspace)
    held = active_rollout(workspace, name)
    if held is not None:
        why = reason or f"paused by {workspace.actor}"
        return commanded(workspace, held, lambda state, now: machine.pause(state, why, workspace.actor, now))
    channel = _named(name)
    return _channel_action(workspace, channel, transitions.pause, StepKind.PAUSE, reason)


def resume(workspace: Workspace, name: ChannelName | None, overrides: Mapping[str, str], reason: str) -> Action:
    """Go on after a pause. Latched failures must be waived one by one, each with a reason.

    Raises:
        ConflictError: A failure is latched and not waived.
        UsageError: An override names a metric that the rollout has no gate for.
    """
    refuse_forks(workspace)
    held = active_rollout(workspace, name)
    if held is None or (name is not None and _is_only_channel_paused(workspace, held.state, name)):
        channel = _named(name)
        return _channel_action(workspace, channel, transitions.unpause, StepKind.RESUME, reason)
    _check_overrides(held.state, overrides)
    _refuse_raising_now(workspace, held.state)
    return commanded(workspace, held, lambda state, now: machine.resume(state, overrides, workspace.actor, now))


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
    if held is not None and (name is None or to is None):
        if to is not None:
            raise UsageError("--to needs --channel", expected="the channel that is to serve it", remedy="add --channel NAME")
        return commanded(workspace, held, lambda state, now: machine.roll_back(state, why, workspace.actor, now))
    repeated = _already_rolled_back(workspace, name, why) if to is None else None
    if repeated is not None:
        return repeated
    channel = _named(name)
    before = read_or_new(workspace, channel)
    bad = _newest(before)
    target = _target(workspace, to)
    if bad is None and to is None:
        raise ConflictError(
            "there is nothing to roll back",
            f"channel {channel} of {workspace.policy.app}",
            found="devices run the bundle that is built into the app",
            remedy="see `otagate status`",
        )
    change = _rollback_change(bad, target, named=to is not None)
    after = change(before)
    # Run again after it was killed, it finds the channel moved already: it came from what was withdrawn.
    was = before.withdrawn if after is before and before.withdrawn is not None else bad
    serves = workspace.releases.resolve(after.stable) if after.stable is not None else None
    if serves is not None:
        workspace.releases.read_back(serves)
    goes_to = str(after.stable) if after.stable else "the built-in bundle"
    title = f"roll {channel} back to {goes_to}"
    step = Step(StepKind.ROLL_BACK, title, Status.TODO if after is not before else Status.DONE, _was(before))

    def carry_out() -> Receipt:
        if held is not None:
            workspace.reconciler.command(held.state.id, lambda s, now: machine.roll_back(s, why, workspace.actor, now))
        data = {"to": goes_to, "from": str(was or BUILTIN), "reason": why}

        def told(state: ChannelState) -> ChannelState:
            moved = change(state)
            if moved is not state:
                data["from"] = str(_newest(state) or BUILTIN)
            return moved

        if serves is None or to is None:
            # Without --to it goes back to what the pointer itself remembers, which prune keeps.
            return _move(workspace, channel, told, "channel.rolled_back", data)
        return _move_to(workspace, serves, channel, told, ("channel.rolled_back", data), everywhere=False)

    return Action(Plan(title, (step,)), carry_out)


def _newest(state: ChannelState) -> ReleaseRef | None:
    return state.candidate.release if state.candidate else state.stable


def _already_rolled_back(workspace: Workspace, name: ChannelName | None, why: str) -> Action | None:
    """Know a repeated rollback again: the same command twice is the same as once, and must not go back two releases."""
    names = [name] if name is not None else channel_names(workspace)
    states = [state for state in (read_or_new(workspace, one) for one in names) if state.withdrawn and not state.candidate]
    if not states:
        return None
    steps = tuple(
        Step(StepKind.ROLL_BACK, f"roll {state.name} back from {state.withdrawn}", Status.DONE, _was(state)) for state in states
    )
    note = f"to go further back, name what is to be served: otagate rollback --channel {states[0].name} --to VERSION"

    def carry_out() -> Receipt:
        for state in states:
            _tell_rolled_back(workspace, state, why)
        return Receipt(channel=workspace.channels_read_only.read(states[0].name))

    return Action(Plan("rolled back already", steps, notes=(note,)), carry_out)


def _tell_rolled_back(workspace: Workspace, state: ChannelState, why: str) -> None:
    """Write the ledger entry that a killed rollback may have left out."""
    version = str(state.withdrawn)
    for entry in workspace.ledger.entries():
        if entry.kind.endswith(".rolled_back") and version in {entry.data.get("from"), entry.data.get("version")}:
            return
    data = {"to": str(state.stable) if state.stable else "the built-in bundle", "from": version, "reason": why}
    _move(workspace, state.name, lambda channel: channel, "channel.rolled_back", data)


def find_release(workspace: Workspace, version: Version) -> PublishedRelease:
    """Give a published release, verified.

    Raises:
        NotFoundError: There is none of that version.
    """
    published = workspace.releases.get(version)
    if published is None:
        raise NotFoundError(
            "this release is not published",
            f"{version} of {workspace.policy.app}",
            expected=f"a release statement in {place_of(workspace.policy.storage)}",
            remedy="publish it first: otagate upload",
        )
    return published


def read_or_new(workspace: Workspace, name: ChannelName) -> ChannelState:
    """Give a channel as it is, or a new one that serves the built-in bundle."""
    reading = workspace.channels_read_only.read(name)
    return reading.state if reading else transitions.unborn(workspace.policy.app, name)


# --- how actions are made -----------------------------------------------------------------------------------------------


def commanded(workspace: Workspace, held: Stored, command: Command) -> Action:
    """Plan and carry out something that is asked of a rollout; the plan is the very intent that the machine makes.

    Args:
        workspace: Where.
        held: The rollout.
        command: What is asked.
    """
    after = command(held.state, workspace.store_clock.now())
    steps = steps_of(after)  # also what an earlier command decided and was killed before doing
    goal = _goal(held.state, after)

    def carry_out() -> Receipt:
        return Receipt(rollout=workspace.reconciler.command(held.state.id, command).state)

    return Action(Plan(goal, steps), carry_out)


def _goal(before: RolloutState, after: RolloutState) -> str:
    name = f"rollout {before.id}"
    if after == before:
        return f"{name} is {before.stage.value} already"
    if after.spec != before.spec:
        return f"{name} goes on by the policy as it is now"
    differs = after.weight != before.weight and after.stage is before.stage
    was, becomes = (f"{one.stage.value}{f' at {one.weight}' if differs else ''}" for one in (before, after))
    return f"{name} stays {was}" if was == becomes else f"{name}: {was} → {becomes}"


def _channel_action(
    workspace: Workspace,
    name: ChannelName,
    change: Callable[[ChannelState], ChannelState],
    kind: StepKind,
    reason: str,
) -> Action:
    before = read_or_new(workspace, name)
    if before.serial == 0:
        raise NotFoundError("there is no such channel", f"{name} of {workspace.policy.app}", remedy="see `otagate status`")
    title = f"{kind.value} {name}"
    status = Status.TODO if change(before) is not before else Status.DONE
    data = {"reason": reason} if reason else {}
    done = {StepKind.PAUSE: "channel.paused", StepKind.RESUME: "channel.resumed"}[kind]
    return Action(Plan(title, (Step(kind, title, status),)), lambda: _move(workspace, name, change, done, data))


def _move(
    workspace: Workspace,
    name: ChannelName,
    change: Callable[[ChannelState], ChannelState],
    kind: str,
    data: dict[str, str],
) -> Receipt:
    """Move a channel and say so in the ledger. The entry's id is the pointer's serial: a second try adds what was lost."""
    reading = workspace.reconciler.effects.move(name, change)
    if reading is None:
        return Receipt()
    who = {"channel": str(name), "serial": str(reading.state.serial), "actor": workspace.actor}
    entry_id = f"channel:{name}:{reading.state.serial}"
    workspace.ledger.append(kind, entry_id, {**data, **who}, workspace.clock.now(), since=reading.issued)
    return Receipt(channel=reading)


def _move_to(
    workspace: Workspace,
    published: PublishedRelease,
    name: ChannelName,
    change: Callable[[ChannelState], ChannelState],
    told: tuple[str, dict[str, str]],
    *,
    everywhere: bool,
) -> Receipt:
    """Move a channel to a release that a prune may be removing: refused then (docs/adr/0010-prune.md).

    What goes back must not wait for mirrors, so it looks at the first store only.
    """
    looked: list[float] = []

    def fenced(state: ChannelState) -> ChannelState:
        after = change(state)
        if after is not state:
            looked[:] = [time.monotonic()]
            workspace.releases.refuse_condemned(published, workspace.clock.now(), everywhere=everywhere)
        return after

    receipt = _move(workspace, name, fenced, *told)
    if looked and time.monotonic() - looked[0] > CHECK_HOLDS_S:
        workspace.releases.refuse_condemned(published, workspace.clock.now(), everywhere=False)
    return receipt


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


def _rollback_change(
    bad: ReleaseRef | None, target: ReleaseRef | None, *, named: bool
) -> Callable[[ChannelState], ChannelState]:
    """Give the change of one write: off the bad release, and off a pause with it, because devices are to go back now."""

    def change(state: ChannelState) -> ChannelState:
        if named:
            after = transitions.roll_back_to(state, target)
        else:
            after = transitions.withdraw(state, bad) if bad is not None else state
        return after if after is state else replace(after, paused=False)

    return change


def _target(workspace: Workspace, to: str | None) -> ReleaseRef | None:
    if to is None or to == BUILTIN:
        return None
    return find_release(workspace, Version(to)).ref


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


def _was(state: ChannelState) -> str:
    stable = str(state.stable) if state.stable else "the built-in bundle"
    return f"now {stable}" + (f", {state.candidate.release} at {state.candidate.weight}" if state.candidate else "")
