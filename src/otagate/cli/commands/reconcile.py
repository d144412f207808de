"""``otagate reconcile``: bring every active rollout one step nearer its goal; sign pointers anew before they expire."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace

from otagate.cli.commands._junit import add_junit, check_junit, junit_of_failure, with_junit
from otagate.cli.commands._open import channel_of, open_workspace
from otagate.cli.commands.run import say_step, waiting
from otagate.cli.options import add_detailed_exit, add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Line, Tone
from otagate.cli.render.plans import plan_data, plan_view
from otagate.cli.render.views import outcome_data, outcome_view, outputs
from otagate.errors import ExitCode, OtagateError, UsageError
from otagate.flow import leftovers
from otagate.flow.drive import drive_all
from otagate.flow.foresee import foresee
from otagate.flow.outcome import exit_code
from otagate.flow.publish import refuse_forks
from otagate.flow.refresh import Refreshed, due, refresh, refresh_steps
from otagate.flow.select import channel_names, check_channel, readable_rollouts
from otagate.flow.store_clock import refuse_skew
from otagate.flow.telling import telling
from otagate.flow.workspace import Workspace
from otagate.rollout.reconciler import Outcome
from otagate.rollout.state import RolloutState

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
    check_junit(args, env)
    workspace = open_workspace(args, env)
    if name is not None:
        check_channel(workspace, name)
    holder = workspace.rollouts.holder(name) if name else None
    found, damaged = ([holder] if holder else [], {}) if name else readable_rollouts(workspace)
    left = leftovers.find(workspace, leftovers.read(workspace, [name] if name else channel_names(workspace)))
    if args.dry_run:
        return _foreseen(workspace, [stored.state for stored in found], damaged, left)
    refuse_forks(workspace)
    refuse_skew(workspace)
    wait = waiting(args.wait)
    with telling(workspace):
        taken, stuck = leftovers.take_back(workspace, left)
        ids = [stored.state.id for stored in found]
        driven = drive_all(workspace, ids, wait=wait, on_step=lambda outcome: say_step(workspace, outcome, wait))
        failed: dict[str, OtagateError] = {**stuck, **driven.failed, **damaged}
        try:
            refreshed = refresh(workspace, due(workspace))
        except OtagateError as error:
            # What was done to rollouts is told all the same.
            refreshed = Refreshed((), {"pointers that expire": error})
        workspace.edge.follow(refreshed.channels)
        workspace.mirrors.follow_all()
        workspace.edge.follow_all()
        workspace.edge.warn()
    if len(failed) + len(refreshed.failed) == 1 and not (driven.outcomes or refreshed.channels or taken):
        junit_of_failure(args, env, failed)
        raise next(iter([*failed.values(), *refreshed.failed.values()]))
    outcomes = list(driven.outcomes.values())
    return with_junit(_told(outcomes, taken, failed, refreshed, detailed=args.detailed_exitcode), args, env, outcomes, failed)


def _told(
    outcomes: Sequence[Outcome],
    taken: Sequence[leftovers.Leftover],
    failed: Mapping[str, OtagateError],
    refreshed: Refreshed,
    *,
    detailed: bool,
) -> Result:
    unsigned = refreshed.failed
    view: list[Block] = [Line(left.done, Tone.WARN) for left in taken]
    view += [block for outcome in outcomes for block in outcome_view(outcome)]
    view += [Line(f"{rollout} could not be reconciled: {error}", Tone.BAD) for rollout, error in failed.items()]
    view += [Line(f"signed the pointer of {channel} anew") for channel in refreshed.channels]
    view += [Line(f"{pointer} could not be signed anew: {error}", Tone.BAD) for pointer, error in unsigned.items()]
    codes = [exit_code(outcome.state, detailed=detailed) for outcome in outcomes]
    codes += [error.exit_code for error in (*failed.values(), *unsigned.values())]
    flat = outputs(outcomes[0].state, outcomes[0].results, outcomes[0].waived) if len(outcomes) == 1 else {}
    data = {
        "rollouts": [outcome_data(outcome) for outcome in outcomes],
        "failed": {place: error.what for place, error in [*failed.items(), *unsigned.items()]},
        "taken_back": [left.done for left in taken],
        "refreshed": [str(channel) for channel in refreshed.channels],
        "outputs": flat,
    }
    return Result(
        "otagate/reconcile/v1",
        data,
        view or [Line("no rollout is active: nothing to do")],
        max(codes, key=_severity, default=ExitCode.DONE),
        flat,
    )


def _foreseen(
    workspace: Workspace,
    states: Sequence[RolloutState],
    damaged: Mapping[str, OtagateError],
    left: Sequence[leftovers.Leftover],
) -> Result:
    found = due(workspace)
    failed = {**damaged, **found.damaged}
    plan = foresee(workspace, states, (*leftovers.steps(left), *refresh_steps(found.readings)))
    plan = replace(plan, notes=(*plan.notes, *(f"{place} cannot be read: {error}" for place, error in failed.items())))
    code = max((error.exit_code for error in failed.values()), key=_severity, default=ExitCode.DONE)
    return Result("otagate/plan/v1", plan_data(plan), plan_view(plan, dry_run=True), code)


_SEVERITY = [ExitCode.DONE, ExitCode.INCONCLUSIVE, ExitCode.WAITING_FOR_APPROVAL, ExitCode.GATE_FAILED, ExitCode.ROLLED_BACK]


def _severity(code: ExitCode) -> int:
    # What could not be reconciled at all is worse than any outcome.
    return _SEVERITY.index(code) if code in _SEVERITY else len(_SEVERITY)
