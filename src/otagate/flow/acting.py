"""What the verbs of people have in common: how a plan and what carries it out are made, and what a channel is moved by."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from otagate._bucket_url import place_of
from otagate.channel import transitions
from otagate.channel.interface import ChannelReading
from otagate.errors import NotFoundError
from otagate.flow.foresee import steps_of
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, ChannelState, Version
from otagate.plan.steps import Plan, Status, Step, StepKind
from otagate.release.pruning import CHECK_HOLDS_S
from otagate.release.repository import PublishedRelease
from otagate.rollout import machine
from otagate.rollout.reconciler import Command
from otagate.rollout.repository import Stored
from otagate.rollout.state import RolloutState


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


def as_it_is(state: ChannelState) -> str:
    """Say what a channel serves, for a plan."""
    stable = str(state.stable) if state.stable else "the built-in bundle"
    return f"now {stable}" + (f", {state.candidate.release} at {state.candidate.weight}" if state.candidate else "")


def commanded(workspace: Workspace, held: Stored, command: Command, *, done: str = "") -> Action:
    """Plan and carry out something that is asked of a rollout; the plan is the very intent that the machine makes.

    Args:
        workspace: Where.
        held: The rollout.
        command: What is asked.
        done: What the rollout does already when there is nothing to do; "": it is in its state.
    """
    now = workspace.store_clock.now()
    after = command(held.state, now)
    is_left = machine.undone(after, now) is not None
    steps = () if is_left else steps_of(after)  # also what an earlier command decided and was killed before doing
    notes = ("what was decided and not done before is for the next reconcile, which judges anew",) if is_left else ()
    goal = _goal(held.state, after, done)

    def carry_out() -> Receipt:
        return Receipt(rollout=workspace.reconciler.command(held.state.id, command).state)

    return Action(Plan(goal, steps, notes=notes), carry_out)


def _goal(before: RolloutState, after: RolloutState, done: str) -> str:
    name = f"rollout {before.id}"
    if after == before:
        return f"{name} {done or f'is {before.stage.value}'} already"
    if after.spec != before.spec:
        return f"{name} goes on by the policy as it is now"
    differs = after.weight != before.weight and after.stage is before.stage
    was, becomes = (f"{one.stage.value}{f' at {one.weight}' if differs else ''}" for one in (before, after))
    return f"{name} stays {was}" if was == becomes else f"{name}: {was} → {becomes}"


def channel_action(
    workspace: Workspace,
    name: ChannelName,
    change: Callable[[ChannelState], ChannelState],
    kind: StepKind,
    reason: str,
) -> Action:
    """Pause a channel that no rollout holds, or let it go on.

    Raises:
        NotFoundError: There is no such channel.
    """
    before = read_or_new(workspace, name)
    if before.serial == 0:
        raise NotFoundError("there is no such channel", f"{name} of {workspace.policy.app}", remedy="see `otagate status`")
    title = f"{kind.value} {name}"
    status = Status.TODO if change(before) is not before else Status.DONE
    data = {"reason": reason} if reason else {}
    done = {StepKind.PAUSE: "channel.paused", StepKind.RESUME: "channel.resumed"}[kind]
    return Action(Plan(title, (Step(kind, title, status),)), lambda: move(workspace, name, change, done, data))


def move(
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


def move_to(
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

    receipt = move(workspace, name, fenced, *told)
    if looked and time.monotonic() - looked[0] > CHECK_HOLDS_S:
        workspace.releases.refuse_condemned(published, workspace.clock.now(), everywhere=False)
    return receipt
