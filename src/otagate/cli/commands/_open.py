"""From arguments to a workspace: what nearly every verb begins with."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from otagate.ci.detect import read_context
from otagate.cli.output import CommandEnv
from otagate.flow.workspace import Listener, Workspace
from otagate.model import ChannelName, Context
from otagate.policy.find import find_policy
from otagate.policy.load import load_policy
from otagate.policy.model.policy import Policy


def open_policy(args: argparse.Namespace, env: CommandEnv, *, warn: bool = False) -> Policy:
    """Load the policy that ``--policy`` names, or the nearest ``otagate.yml``; with ``warn`` say what is unwise in it.

    Raises:
        PolicyError: It is missing or says something invalid.
        UsageError: None was named and none is near.
    """
    path = env.cwd / args.policy if args.policy else find_policy(env.cwd)
    policy = load_policy(path)
    for warning in policy.warnings if warn else ():
        env.warn(warning)
    return policy


def open_workspace(args: argparse.Namespace, env: CommandEnv, *, warn: bool = False) -> Workspace:
    """Open everything that the policy names; parts are made when they are first used."""
    policy = open_policy(args, env, warn=warn)
    context: Context = read_context(env.environ, policy.root)
    listener = Listener(env.note, _once(env.warn), env.stream, env.fold, env.progress)
    return Workspace(policy, context, env.environ, env.clock, listener)


def _once(warn: Callable[[str], None]) -> Callable[[str], None]:
    """Say each warning once: a command that works through many steps meets the same trouble at each."""
    said: set[str] = set()

    def tell(text: str) -> None:
        if text not in said:
            said.add(text)
            warn(text)

    return tell


def channel_of(args: argparse.Namespace) -> ChannelName | None:
    """Give the channel that ``--channel`` names."""
    return ChannelName(args.channel) if args.channel else None
