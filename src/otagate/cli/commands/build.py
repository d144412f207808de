"""``otagate build``: run the build command and vet what it made."""

from __future__ import annotations

import argparse

from otagate._text import harmless, size
from otagate.cli.commands._open import open_workspace
from otagate.cli.options import add_dry_run
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Heading, Items, Line, Tone
from otagate.cli.render.plans import plan_data, plan_view
from otagate.flow.publish import output_folder, run_build_command
from otagate.plan.steps import Plan, Step, StepKind

HELP = "run the app's build command and vet what it made"
_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    add_dry_run(parser)


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Build and vet."""
    from otagate.bundle.collect import survey  # noqa: PLC0415 - not needed for a plan

    workspace = open_workspace(args, env, warn=True)
    if args.dry_run:
        command = workspace.policy.build.command
        shown = command if isinstance(command, str) else " ".join(command or ())
        steps = (Step(StepKind.BUILD, f"run `{harmless(shown)}`"),) if shown else ()
        plan = Plan("build and vet", (*steps, Step(StepKind.VET, f"vet {output_folder(workspace)}")))
        return Result("otagate/plan/v1", plan_data(plan), plan_view(plan, dry_run=True))
    run_build_command(workspace)
    folder = output_folder(workspace)
    found = survey(folder, workspace.policy.bundle)
    total = sum(file.size for file in found.files)
    data = {"output": str(folder), "files": len(found.files), "size": total, "left_out": list(found.left_out)}
    view: list[Block] = [Heading(f"{len(found.files)} files, {size(total)}, fit to ship"), Line(f"in {folder}")]
    if found.left_out:
        shown_names = [harmless(name) for name in found.left_out[:_SHOWN]]
        more = len(found.left_out) - len(shown_names)
        view += [Line("left out:", Tone.WARN), Items((*shown_names, *((f"and {more} more",) if more else ())))]
    return Result("otagate/build/v1", data, view)
