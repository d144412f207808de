"""``otagate resume``: go on after a pause."""

from __future__ import annotations

import argparse

from otagate.cli.commands._acting import act, add_channel, add_reason
from otagate.cli.commands._open import channel_of
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.errors import UsageError
from otagate.flow.actions import resume
from otagate.flow.store_clock import refuse_skew

HELP = "go on after a pause"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    add_channel(parser)
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="METRIC",
        help="waive this gate's failure; needs --reason; repeatable",
    )
    add_reason(parser)
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Resume."""
    if args.override and not args.reason.strip():
        raise UsageError(
            "a gate is waived only with a reason", "--override", expected="--reason TEXT", remedy="say why; it is kept"
        )
    overrides = dict.fromkeys(args.override, args.reason)
    return act(args, env, lambda workspace: resume(workspace, channel_of(args), overrides, args.reason), check=refuse_skew)
