"""``otagate reconcile``: bring every active rollout one step nearer its goal; sign pointers anew before they expire."""

from __future__ import annotations

import argparse

from otagate.cli.commands._junit import add_junit, write_junit
from otagate.cli.commands._open import channel_of, open_workspace
from otagate.cli.commands.run import say_step, waiting
from otagate.cli.options import add_detailed_exit, add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Line, Tone
from otagate.cli.render.plans import plan_data, plan_view
from otagate.cli.render.views import outcome_data, outcome_view, outputs
from otagate.errors import ExitCode, UsageError
from otagate.flow.drive import drive_all
from otagate.flow.foresee import foresee
from otagate.flow.outcome import exit_code
from otagate.flow.publish import refuse_forks
from otagate.flow.refresh import due, refresh, refresh_steps
from otagate.flow.select import active_rollouts
from otagate.flow.store_clock import refuse_skew
from otagate.flow.telling import telling

HELP = "bring every active rollout one step nearer its goal; sign pointers anew before they expire"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    parser.add_argument("--channel", metavar="NAME", help="only the rollout that holds this channel")
    parser.add_argument("--all", action="store_true", help="every active rollout (default)")
    parser.add_argument(
        "--wait", nargs="?", const="", metavar="TIME", help="work through soaks in the foreground, for at most TIME"
    )
    add_junit(parser)
    add_detailed_exit(parser)
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Reconcile; the worst outcome decides the exit code."""
    name = channel_of(args)
    if args.all and name is not None:
        raise UsageError("`--all` and `--channel` contradict each other", "otagate reconcile", remedy="leave one of them out")
    workspace = open_workspace(args, env)
    active = [workspace.rollouts.holder(name)] if name else active_rollouts(workspace)
    found = [stored for stored in active if stored is not None]
    if args.dry_run:
        plan = foresee(workspace, [stored.state for stored in found], refresh_steps(due(workspace)))
        return Result("otagate/plan/v1", plan_data(plan), plan_view(plan, dry_run=True))
    refuse_forks(workspace)
    refuse_skew(workspace)
    wait = waiting(args.wait)
    with telling(workspace):
        ids = [stored.state.id for stored in found]
        driven = drive_all(workspace, ids, wait=wait, on_step=lambda outcome: say_step(workspace, outcome, wait))
        refreshed = refresh(workspace, due(workspace))
        workspace.edge.follow(refreshed)
        workspace.mirrors.follow_all()
        workspace.edge.follow_all()
        workspace.edge.warn()
    if len(driven.failed) == len(found) == 1:
        raise driven.failed[found[0].state.id]
    outcomes = list(driven.outcomes.values())
    view: list[Block] = [block for outcome in outcomes for block in outcome_view(outcome)]
    view += [Line(f"{rollout} could not be reconciled: {error}", Tone.BAD) for rollout, error in driven.failed.items()]
    view += [Line(f"signed the pointer of {channel} anew") for channel in refreshed]
    codes = [exit_code(outcome.state, detailed=args.detailed_exitcode) for outcome in outcomes]
    codes += [error.exit_code for error in driven.failed.values()]
    write_junit(args, env, {outcome.state.id: outcome.results for outcome in outcomes})
    flat = outputs(outcomes[0].state, outcomes[0].results) if len(outcomes) == 1 else {}
    data = {
        "rollouts": [outcome_data(outcome) for outcome in outcomes],
        "failed": {rollout: error.what for rollout, error in driven.failed.items()},
        "refreshed": [str(channel) for channel in refreshed],
        "outputs": flat,
    }
    return Result(
        "otagate/reconcile/v1",
        data,
        view or [Line("no rollout is active: nothing to do")],
        max(codes, key=_severity, default=ExitCode.DONE),
        flat,
    )


_SEVERITY = [ExitCode.DONE, ExitCode.INCONCLUSIVE, ExitCode.WAITING_FOR_APPROVAL, ExitCode.GATE_FAILED, ExitCode.ROLLED_BACK]


def _severity(code: ExitCode) -> int:
    # What could not be reconciled at all is worse than any outcome.
    return _SEVERITY.index(code) if code in _SEVERITY else len(_SEVERITY)
