"""Going back: one channel to what it served before, to a named release, or to the built-in bundle, by one pointer write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from otagate.channel import transitions
from otagate.errors import ConflictError
from otagate.flow.acting import Action, Receipt, as_it_is, commanded, find_release, move, move_to, read_or_new
from otagate.flow.select import channel_names
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, ChannelState, ReleaseRef, Version
from otagate.plan.steps import Plan, Status, Step, StepKind
from otagate.release.repository import PublishedRelease
from otagate.rollout import machine
from otagate.rollout.repository import Stored
from otagate.rollout.state import RolloutState

BUILTIN = "builtin"
"""How people write the bundle that is built into the native app."""
_BUILT_IN = "the built-in bundle"
_FORWARD = {"channel.promoted", "rollout.advanced"}
_LOOK_BACK = 100
"""Entries of the ledger that a repeated rollback reads at the most: some seconds on a store far away."""


def go_back(workspace: Workspace, name: ChannelName, held: Stored | None, to: str | None, why: str) -> Action:
    """Take one channel back, and end the rollout that holds it.

    Args:
        workspace: Where.
        name: The channel.
        held: The active rollout, if any.
        to: A version, :data:`BUILTIN`, or None: what it served before.
        why: The reason.

    Raises:
        ConflictError: There is nothing to roll back.
        NotFoundError: The named release is not published.
        VerificationError: What the channel would go back to does not hold.
    """
    before = read_or_new(workspace, name)
    bad = _newest(before)
    target = _target(workspace, to)
    if bad is None and to is None:
        raise _nothing(workspace, name)
    change = _rollback_change(bad, target, named=to is not None)
    after = change(before)
    # Run again after it was killed, it finds the channel moved already: it came from what was withdrawn.
    was = before.withdrawn if after is before and before.withdrawn is not None else bad
    serves = workspace.releases.resolve(after.stable) if after.stable is not None else None
    if serves is not None:
        workspace.releases.read_back(serves)
    goes_to = str(after.stable) if after.stable else _BUILT_IN
    title = f"roll {name} back to {goes_to}"
    step = Step(StepKind.ROLL_BACK, title, Status.TODO if after is not before else Status.DONE, as_it_is(before))

    def carry_out() -> Receipt:
        if held is not None:
            workspace.reconciler.command(held.state.id, lambda s, now: _end(s, name, why, workspace.actor, now))
        data = {"to": goes_to, "from": str(was or BUILTIN), "reason": why}
        # Without --to it goes back to what the pointer itself remembers, which prune keeps.
        return _move_back(workspace, name, change, data, serves if to is not None else None)

    return Action(Plan(title, (step,)), carry_out)


def undo_completion(workspace: Workspace, name: ChannelName, held: Stored, to: str | None, why: str) -> Action:
    """Take a channel back from a rollout that has completed and was killed before all of that was done.

    When its release is not there any more, another rollout of it was rolled back: what else the channel serves stays.
    """
    before = read_or_new(workspace, name)
    there = [before.stable, before.candidate.release if before.candidate else None]
    if to is not None or held.state.release in there:
        return go_back(workspace, name, held, to, why)
    return commanded(workspace, held, lambda state, now: _end(state, name, why, workspace.actor, now))


def _end(state: RolloutState, name: ChannelName, reason: str, actor: str, now: datetime) -> RolloutState:
    """End a rollout. One that has completed and is only to settle here does not: nobody gets what is to be taken off."""
    if state.is_terminal and state.intent is not None and {op.channel for op in state.intent.ops} == {name}:
        return replace(state, intent=None)
    return machine.roll_back(state, reason, actor, now)


def _move_back(
    workspace: Workspace,
    name: ChannelName,
    change: Callable[[ChannelState], ChannelState],
    data: dict[str, str],
    named: PublishedRelease | None,
) -> Receipt:
    def told(state: ChannelState) -> ChannelState:
        moved = change(state)
        if moved is not state:
            data["from"] = str(_newest(state) or BUILTIN)
        return moved

    if named is None:
        return move(workspace, name, told, "channel.rolled_back", data)
    return move_to(workspace, named, name, told, ("channel.rolled_back", data), everywhere=False)


def _nothing(workspace: Workspace, name: ChannelName) -> ConflictError:
    return ConflictError(
        "there is nothing to roll back",
        f"channel {name} of {workspace.policy.app}",
        found="devices run the bundle that is built into the app",
        remedy="see `otagate status`",
    )


def already_back(workspace: Workspace, name: ChannelName | None, why: str) -> Action | None:
    """Know a repeated rollback again: the same command twice is the same as once, and must not go back two releases."""
    names = [name] if name is not None else channel_names(workspace)
    states = [state for state in (read_or_new(workspace, one) for one in names) if state.withdrawn and not state.candidate]
    if not states:
        return None
    steps = tuple(
        Step(StepKind.ROLL_BACK, f"roll {state.name} back from {state.withdrawn}", Status.DONE, as_it_is(state))
        for state in states
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
    if _is_told(workspace, state, version):
        return
    data = {"to": str(state.stable) if state.stable else _BUILT_IN, "from": version, "reason": why}
    move(workspace, state.name, lambda channel: channel, "channel.rolled_back", data)


def _is_told(workspace: Workspace, state: ChannelState, version: str) -> bool:
    """Look back from the ledger's end until a version was rolled back, or came to the channel; not through all its years."""
    seen = 0
    for entry in workspace.ledger.newest(_LOOK_BACK):
        seen += 1
        said, is_here = entry.data, entry.data.get("channel") == str(state.name)
        if entry.kind == "rollout.rolled_back" and said.get("version") == version:
            return True
        if entry.kind == "channel.rolled_back" and is_here and said.get("from") == version:
            return True
        if entry.kind in _FORWARD and is_here and said.get("version") == version:
            return False
    # So much has been told since: it was not a moment ago that somebody was killed.
    return seen == _LOOK_BACK


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


def _newest(state: ChannelState) -> ReleaseRef | None:
    return state.candidate.release if state.candidate else state.stable
