"""``otagate approve``: let a rollout go on that waits for an approval."""

from __future__ import annotations

import argparse

from otagate.cli.commands._acting import act, add_channel, add_reason
from otagate.cli.commands._open import channel_of
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.flow.actions import approve
from otagate.flow.store_clock import refuse_skew

HELP = "let a rollout enter a phase that waits for approval"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("phase", nargs="?", help="the phase (default: the one that is waited for)")
    add_channel(parser)
    add_reason(parser)
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Approve."""
    return act(args, env, lambda workspace: approve(workspace, channel_of(args), args.phase, args.reason), check=refuse_skew)
