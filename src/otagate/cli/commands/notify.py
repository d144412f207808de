"""``otagate notify test``: whether the places that the policy names can be told."""

from __future__ import annotations

import argparse

from otagate.cli.commands._open import open_workspace
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.blocks import Block, Line, Tone
from otagate.errors import ExitCode, OtagateError, UsageError
from otagate.flow.telling import try_place
from otagate.flow.workspace import Workspace
from otagate.policy.model.notify import NotifySpec

HELP = "send a test to the places that are told what happens"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the sub-verb."""
    verbs = parser.add_subparsers(dest="action", required=True, metavar="test")
    test = verbs.add_parser("test", help="send a test message", description="Send a test message to places of `notify`.")
    test.add_argument("--name", metavar="NAME", help="only this place (default: each of them)")


def run(args: argparse.Namespace, env: CommandEnv) -> Result:
    """Send a test message; ends with 7 when a place does not take it."""
    workspace = open_workspace(args, env)
    view: list[Block] = []
    places = []
    code = ExitCode.DONE
    for spec in _chosen(workspace, args.name):
        error = _try(workspace, spec)
        places.append(
            {"name": spec.name, "kind": spec.kind.value, "told": error is None, "error": str(error) if error else None}
        )
        if error is None:
            view.append(Line(f"{spec.name} ({spec.kind.value}) was told", Tone.GOOD))
            continue
        code = ExitCode.UNAVAILABLE
        view += [Line(line, Tone.BAD if at == 0 else Tone.PLAIN) for at, line in enumerate(str(error).splitlines())]
    return Result("otagate/notify-test/v1", {"places": places}, view, code)


def _try(workspace: Workspace, spec: NotifySpec) -> OtagateError | None:
    try:
        try_place(workspace, spec)
    except OtagateError as error:
        return error
    return None


def _chosen(workspace: Workspace, name: str | None) -> list[NotifySpec]:
    known = workspace.policy.notify
    chosen = [spec for spec in known if name in {None, spec.name}]
    if not chosen:
        names = ", ".join(spec.name for spec in known)
        raise UsageError(
            "the policy names no such place to tell" if known else "the policy names no place to tell",
            name or workspace.policy.file.name,
            expected=f"one of {names}" if known else "entries below `notify`",
            remedy="see docs/notifications.md",
        )
    return chosen
