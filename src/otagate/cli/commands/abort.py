"""``otagate abort``: end a rollout where it stands."""

from __future__ import annotations

import argparse

from otagate.cli.commands._acting import act, add_channel, add_reason
from otagate.cli.commands._open import channel_of
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.flow.amending import abort

HELP = "end a rollout where it stands; channels that it settled keep the release"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    add_channel(parser)
    add_reason(parser)
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Abort. Nothing is said against the release: its version is not blocked."""
    return act(args, env, lambda workspace: abort(workspace, channel_of(args), args.reason))
