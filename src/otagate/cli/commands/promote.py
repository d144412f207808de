"""``otagate promote``: move a channel by hand."""

from __future__ import annotations

import argparse

from otagate.cli.commands._acting import act, weight_of
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.flow.actions import promote
from otagate.flow.store_clock import refuse_skew
from otagate.model import ChannelName, Version

HELP = "move a channel to a release, or to a higher weight"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--channel", required=True, metavar="NAME", help="the channel to move")
    parser.add_argument("--release", required=True, metavar="V", help="the published version that it is to serve")
    parser.add_argument("--weight", default="100%", metavar="PERCENT", help="share of devices (default: 100%%)")
    parser.add_argument("--lower", action="store_true", help="let the weight fall: the devices above it go back")
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Promote."""
    name, version, weight = ChannelName(args.channel), Version(args.release), weight_of(args.weight)
    return act(
        args,
        env,
        lambda workspace: promote(workspace, name, version, weight, lower=args.lower),
        check=refuse_skew,
        may_be_new=True,
    )
