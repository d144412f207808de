"""``otagate mirror``: bring the mirrors up to the first store."""

from __future__ import annotations

import argparse

from otagate.cli.commands._open import open_workspace
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Heading, Line, Tone
from otagate.cli.render.mirrors import mended_data
from otagate.cli.render.plans import plan_data, plan_view
from otagate.errors import ExitCode
from otagate.flow.mirror_lag import MirrorLag
from otagate.flow.publish import refuse_forks
from otagate.model import Version
from otagate.plan.steps import Plan, Status, Step, StepKind

HELP = "bring the mirrors up to the first store"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--version", metavar="V", help="this release, too, whether a channel names it or not")
    parser.add_argument(
        "--all", action="store_true", help="every release of the app (default: those that a channel or a rollout names)"
    )
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Copy what lags; whatever the mirrors have is read back and hashed, too."""
    workspace = open_workspace(args, env)
    if not args.dry_run:
        refuse_forks(workspace)
    also = Version(args.version) if args.version else None
    lags = workspace.mirrors.survey(also=also, everything=args.all, thorough=True, mend=not args.dry_run)
    code = max((lag.exit_code for lag in lags), default=ExitCode.DONE)
    if args.dry_run:
        plan = _plan(lags)
        return Result("otagate/plan/v1", plan_data(plan), plan_view(plan, dry_run=True), code)
    data = {"storage": workspace.store.url, "mirrors": [mended_data(lag) for lag in lags]}
    return Result("otagate/mirror/v1", data, _view(lags), code)


def _plan(lags: tuple[MirrorLag, ...]) -> Plan:
    steps: list[Step] = []
    for lag in lags:
        for one in lag.releases:
            title, status = f"copy release {one.version} to {lag.url}", Status.REFUSED if one.problem else Status.TODO
            steps.append(Step(StepKind.PUBLISH, title, status, one.problem or one.lacks))
        for gap in lag.channels:
            title, status = f"copy the pointer of {gap.channel} to {lag.url}", Status.REFUSED if gap.problem else Status.TODO
            steps.append(Step(StepKind.MOVE, title, status, gap.problem or f"serial {gap.there} becomes {gap.here}"))
    notes = tuple(f"{lag.url}: {lag.error.what}" for lag in lags if lag.error is not None)
    return Plan("bring the mirrors up" if lags else "nothing: the policy names no mirrors", tuple(steps), (), notes)


def _view(lags: tuple[MirrorLag, ...]) -> list[Block]:
    if not lags:
        return [Line("the policy names no mirrors: nothing to do")]
    view: list[Block] = []
    for lag in lags:
        view.append(Heading(lag.url))
        view += [Line(f"copied release {one.version} ({one.lacks})") for one in lag.releases if not one.problem]
        view += [Line(f"copied the pointer of {gap.channel}, serial {gap.here}") for gap in lag.channels if not gap.problem]
        view += [Line(problem, Tone.BAD) for problem in lag.problems]
        if lag.error is not None and lag.error.remedy:
            view.append(Line(f"try: {lag.error.remedy}; then otagate mirror", Tone.DIM))
        if not lag.problems:
            view.append(Line("in step", Tone.GOOD))
    return view
