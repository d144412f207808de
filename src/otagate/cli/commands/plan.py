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


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Plan; reads the store, writes nothing."""
    workspace = open_workspace(args, env, warn=True)
    shipment = prepare(workspace, version=Version(args.version) if args.version else None)
    return Result("otagate/plan/v1", plan_data(shipment.plan), plan_view(shipment.plan))
