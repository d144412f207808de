"""``otagate pause``: expose no further devices."""

from __future__ import annotations

import argparse

from otagate.cli.commands._acting import act, add_channel, add_reason
from otagate.cli.commands._open import channel_of
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.flow.actions import pause

HELP = "expose no further devices"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    add_channel(parser)
    add_reason(parser)
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Pause."""
    return act(args, env, lambda workspace: pause(workspace, channel_of(args), args.reason))
