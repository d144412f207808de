"""``otagate plan``: what ``run`` would do here."""

from __future__ import annotations

import argparse

from otagate.cli.commands._open import open_workspace
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.plans import plan_data, plan_view
from otagate.flow.prepare import prepare
from otagate.model import Version

HELP = "show what `run` would do here, and do nothing"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--version", metavar="V", help="the release's version (default: as the policy's `versioning` says)")
    parser.add_argument(
        "--comment",
        action="store_true",
        help="in a CI job of a pull request (GitHub, GitLab): write what a merge would ship as one comment on it",
    )


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Plan; reads the store, writes nothing but, when asked to, the comment."""
    workspace = open_workspace(args, env, warn=True)
    version = Version(args.version) if args.version else None
    if not args.comment:
        shipment = prepare(workspace, version=version)
    else:
        from otagate.cli.commands import _comment  # noqa: PLC0415 - only this option pays for it

        # Before planning, so that a missing library is told first.
        comments = _comment.open_here(workspace, env)
        shipment = prepare(workspace, version=version)
        if comments:
            _comment.write(comments, workspace, shipment, version, env)
    return Result("otagate/plan/v1", plan_data(shipment.plan), plan_view(shipment.plan))
