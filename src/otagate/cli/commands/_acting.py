"""What the verbs that act on channels and rollouts by hand share: show the plan, or carry it out and show the result."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from otagate.cli.commands._open import channel_of, open_workspace
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Heading, Line, Tone
from otagate.cli.render.plans import plan_data, plan_view
from otagate.cli.render.views import (
    channel_data,
    channel_view,
    last_look_data,
    last_look_view,
    next_hint,
    outputs,
    rollout_data,
    rollout_view,
)
from otagate.errors import ConflictError, NotFoundError, UsageError
from otagate.flow.acting import Action
from otagate.flow.last_look import glance
from otagate.flow.select import check_channel
from otagate.flow.store_clock import warn_of_skew
from otagate.flow.telling import telling
from otagate.flow.workspace import Workspace
from otagate.model import Weight


def add_channel(parser: argparse.ArgumentParser) -> None:
    """Add ``--channel``."""
    parser.add_argument("--channel", metavar="NAME", help="the channel (default: that of the only active rollout)")


def add_reason(parser: argparse.ArgumentParser) -> None:
    """Add ``--reason``."""
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; kept in the ledger")


def weight_of(text: str) -> Weight:
    """Read ``--weight``.

    Raises:
        UsageError: It is no percentage.
    """
    from otagate.policy.meant import meant  # noqa: PLC0415 - only with --weight

    try:
        return Weight.parse(text)
    except UsageError as error:
        remedy = meant("weight", text)
        raise UsageError(error.what, "--weight", expected=error.expected, found=error.found, remedy=remedy) from error


def act(
    args: argparse.Namespace,
    env: CommandEnv,
    decide: Callable[[Workspace], Action],
    *,
    check: Callable[[Workspace], None] = warn_of_skew,
    may_be_new: bool = False,
) -> Result:
    """Decide on what is there; show the plan on ``--dry-run``, otherwise carry it out.

    Args:
        args: As parsed.
        env: The command's surroundings.
        decide: Gives the plan and what carries it out.
        check: Comes first. Verbs after which devices may be exposed refuse clocks that are apart; those that stop only warn.
        may_be_new: The channel need not be there yet.

    Raises:
        OtagateError: Also when all is done and the CDN in front of the store does not show it.
    """
    workspace = open_workspace(args, env)
    check(workspace)
    action = _decided(args, workspace, decide, may_be_new=may_be_new)
    if args.dry_run:
        return Result("otagate/plan/v1", plan_data(action.plan), plan_view(action.plan, dry_run=True))
    with telling(workspace):
        receipt = action.carry_out()
        workspace.edge.settle()
    view: list[Block] = [Heading(f"done: {action.plan.goal}"), *(Line(note) for note in action.plan.notes)]
    data: dict[str, object] = {"goal": action.plan.goal}
    flat: dict[str, str] = {}
    if receipt.rollout is not None:
        look = glance(workspace, receipt.rollout)
        view += [*rollout_view(receipt.rollout), *last_look_view(look, receipt.rollout.waived)]
        hint = next_hint(receipt.rollout)
        view += [Line(f"next: {hint}", Tone.DIM)] if hint else []
        data["rollout"], data["last_look"] = rollout_data(receipt.rollout), last_look_data(look)
        flat = outputs(receipt.rollout)
    if receipt.channel is not None:
        now = env.clock.now()
        view += channel_view(receipt.channel, now)
        data["channel"] = channel_data(receipt.channel, now)
        state = receipt.channel.state
        serves = state.candidate.release if state.candidate else state.stable
        flat = {"channel": str(state.name), "version": str(serves or ""), "release": str(serves.statement) if serves else ""}
    return Result("otagate/action/v1", {**data, "outputs": flat}, view, outputs=flat)


def _decided(
    args: argparse.Namespace, workspace: Workspace, decide: Callable[[Workspace], Action], *, may_be_new: bool
) -> Action:
    try:
        return decide(workspace)
    except (ConflictError, NotFoundError):
        # Only now that it failed: a look for misspelt names must not stand in the way of a rollback.
        name = None if may_be_new else channel_of(args)
        if name is not None:
            check_channel(workspace, name)
        raise
