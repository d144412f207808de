"""``otagate amend``: have a rollout go on by the policy as it is now, or from an earlier weight."""

from __future__ import annotations

import argparse

from otagate.cli.commands._acting import act, add_channel, weight_of
from otagate.cli.commands._open import channel_of
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.flow.amending import amend, lower
from otagate.flow.store_clock import refuse_skew

HELP = "have a rollout go on by the policy as it is now, or from an earlier weight"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    add_channel(parser)
    parser.add_argument(
        "--weight", metavar="W", help="go back to this earlier weight of the phase, such as 5%%; the policy is not read anew"
    )
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why; kept in the ledger")
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Amend: the gates, evaluation, windows and phases that are left, or, with ``--weight``, only the weight."""
    if args.weight is not None:
        weight = weight_of(args.weight)
        return act(args, env, lambda workspace: lower(workspace, channel_of(args), weight, args.reason))
    return act(args, env, lambda workspace: amend(workspace, channel_of(args), args.reason), check=refuse_skew)
