"""``otagate gate replay``: judge a past or running rollout again by the policy as it is now. Reads; changes nothing."""

from __future__ import annotations

import argparse

from otagate.cli.commands._open import channel_of, open_workspace
from otagate.cli.output import CommandEnv, Result
from otagate.errors import NotFoundError


def add_replay(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-verb."""
    verb = verbs.add_parser("replay", help="judge a rollout again, look by look, by the policy as it is now")
    verb.add_argument("rollout", nargs="?", metavar="ROLLOUT", help="its id or version (default: the active rollout)")
    verb.add_argument("--channel", metavar="NAME", help="the rollout that holds this channel")
    verb.add_argument(
        "--ask", action="store_true", help="ask the sources about the same windows again, instead of using what they said then"
    )


def run_replay(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Judge again.

    Raises:
        NotFoundError: There is no such rollout, no active one, or none of its looks was kept.
        UsageError: The policy has no gates; or several rollouts are active.
    """
    from otagate.cli.render.replay import replay_data, replay_view  # noqa: PLC0415 - only this verb pays for it
    from otagate.flow.replay import replay_rollout  # noqa: PLC0415 - likewise
    from otagate.flow.select import active_rollout, check_channel  # noqa: PLC0415 - likewise

    workspace = open_workspace(args, env)
    name = args.rollout
    if name is None:
        held = active_rollout(workspace, channel := channel_of(args))
        if held is None:
            if channel is not None:
                check_channel(workspace, channel)
            raise NotFoundError("no rollout is active", str(workspace.policy.app), remedy="name one: see `otagate history`")
        name = held.state.id
    found = replay_rollout(workspace, name, ask_again=args.ask)
    data = replay_data(found.state, found.replay)
    return Result("otagate/gate-replay/v1", data, replay_view(found.state, found.replay))
