"""``otagate rollback``: serve the previous release again, now."""

from __future__ import annotations

import argparse

from otagate.cli.commands._acting import act, add_channel, add_reason
from otagate.cli.commands._open import channel_of
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.flow.actions import rollback

HELP = "serve the previous release again, now"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    add_channel(parser)
    parser.add_argument("--to", metavar="V", help="a published version, or `builtin` (default: the release before)")
    add_reason(parser)
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Roll back. Needs no metrics, no build, and not the runner that started the rollout."""
    return act(args, env, lambda workspace: rollback(workspace, channel_of(args), args.to, args.reason))
