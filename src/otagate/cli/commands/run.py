"""``otagate run``: ship this commit along its track."""

from __future__ import annotations

import argparse
from datetime import timedelta

from otagate._fs import scratch_folder
from otagate._text import span
from otagate.cli.commands._junit import add_junit, check_junit, with_junit
from otagate.cli.commands._open import open_workspace
from otagate.cli.options import add_detailed_exit, add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.plans import plan_data, plan_view
from otagate.cli.render.views import outcome_data, outcome_view, outputs
from otagate.errors import UsageError
from otagate.flow.drive import drive, start
from otagate.flow.outcome import exit_code
from otagate.flow.prepare import Shipment, prepare
from otagate.flow.publish import publish, refuse_forks
from otagate.flow.store_clock import refuse_skew
from otagate.flow.telling import tell_and_warn, telling
from otagate.flow.workspace import Workspace
from otagate.model import Version
from otagate.policy.values import duration
from otagate.rollout.reconciler import Outcome
from otagate.rollout.state import Stage

HELP = "ship this commit along its track"
_FOR_EVER = timedelta(days=365)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--version", metavar="V", help="the release's version (default: as the policy's `versioning` says)")
    parser.add_argument("--no-build", action="store_true", help="use what is in build.output; do not run build.command")
    parser.add_argument(
        "--wait",
        nargs="?",
        const="",
        metavar="TIME",
        help="work through soaks in the foreground, for at most TIME such as 20m (default: as long as it takes)",
    )
    add_junit(parser)
    add_detailed_exit(parser)
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Plan, publish, start the rollout and go as far as it goes."""
    check_junit(args, env)
    workspace = open_workspace(args, env, warn=True)
    shipment = prepare(workspace, version=Version(args.version) if args.version else None)
    if args.dry_run or shipment.target is None:
        return Result("otagate/plan/v1", plan_data(shipment.plan), plan_view(shipment.plan, dry_run=args.dry_run))
    refuse_forks(workspace)
    refuse_skew(workspace)
    with telling(workspace):
        outcome = _ship(workspace, shipment, build=not args.no_build, wait=waiting(args.wait))
    release = workspace.releases.resolve(outcome.state.release).release
    flat = {
        **outputs(outcome.state, outcome.results, outcome.waived),
        "bundle-url": workspace.store.blobs.url(release.sealed.blob),
        "checksum": str(release.bundle.archive),
    }
    code = exit_code(outcome.state, detailed=args.detailed_exitcode)
    data = {**outcome_data(outcome), "outputs": flat}
    result = Result("otagate/run/v1", data, outcome_view(outcome), code, flat)
    return with_junit(result, args, env, [outcome])


def waiting(text: str | None) -> timedelta | None:
    """Read ``--wait``: None when it was not given, a year when it was given without a time."""
    if text is None:
        return None
    try:
        return duration(text) if text else _FOR_EVER
    except ValueError as error:
        raise UsageError(
            "this is not a length of time", "--wait", expected="such as 90s, 20m or 2h30m", found=repr(text)
        ) from error


def _ship(workspace: Workspace, shipment: Shipment, *, build: bool, wait: timedelta | None) -> Outcome:
    with scratch_folder() as folder:
        published = publish(workspace, shipment, folder, build=build)
    rollout = start(workspace, shipment, published.ref)
    if rollout.state.stage in {Stage.ABORTED, Stage.SUPERSEDED}:
        workspace.listener.warn(f"nothing is shipped: the rollout of {published.ref.version} is {rollout.state.stage.value}")
    outcome = drive(workspace, rollout.state.id, wait=wait, on_step=lambda outcome: say_step(workspace, outcome, wait))
    workspace.edge.warn()
    return outcome


def say_step(workspace: Workspace, outcome: Outcome, wait: timedelta | None) -> None:
    """Tell people of one step that a rollout took; while it is waited for, the places of `notify` hear of it at once, too."""
    state = outcome.state
    phase = state.current
    where = f"{phase.channel} at {state.weight}, watched for {span(phase.soak)}" if phase else ""
    text = f"{state.release.version}: {state.stage.value}" + (f": {where}" if where and not state.is_terminal else "")
    workspace.listener.note(text)
    if wait is not None:
        tell_and_warn(workspace)
