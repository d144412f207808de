"""``--junit FILE``: the judgement once more, as a report that CI hosts show beside tests."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from otagate._fs import atomic_write, translate
from otagate.cli.commands._out import output_path
from otagate.cli.output import CommandEnv, Result
from otagate.errors import ExitCode, OtagateError
from otagate.rollout.state import Stage

if TYPE_CHECKING:
    from otagate.gate.judge import GateResult
    from otagate.rollout.reconciler import Outcome

_QUIET = frozenset({ExitCode.DONE, ExitCode.INCONCLUSIVE, ExitCode.WAITING_FOR_APPROVAL})
"""Endings that say less than a report which is missing does."""


def add_junit(parser: argparse.ArgumentParser) -> None:
    """Add ``--junit``."""
    parser.add_argument("--junit", metavar="FILE", help="also write the judgement of every gate as a JUnit report")


def check_junit(args: argparse.Namespace, env: CommandEnv) -> None:
    """Refuse a report that could not be written, before anything is done.

    Raises:
        UsageError: Its folder does not exist, or it is a folder.
    """
    if args.junit is not None:
        output_path(args.junit, env)


def write_junit(
    args: argparse.Namespace,
    env: CommandEnv,
    suites: Mapping[str, Sequence[GateResult]],
    waived: Mapping[str, Collection[str]] | None = None,
    waiting: Collection[str] = (),
) -> None:
    """Write the report when one was asked for.

    Args:
        args: The command line, with ``--junit``.
        env: Where the command runs.
        suites: Results by what was judged.
        waived: Metrics whose failures somebody lifted, by the same names.
        waiting: Names of those for which the time of grace runs.

    Raises:
        OtagateError: The file cannot be written.
    """
    if args.junit is None:
        return
    from otagate.cli.render.junit import draw  # noqa: PLC0415 - only who asks for it pays for it

    path = output_path(args.junit, env)
    try:
        atomic_write(path, draw(suites, waived, waiting).encode())
    except OSError as error:
        raise translate(error, "cannot write the JUnit report", path) from error


def with_junit(result: Result, args: argparse.Namespace, env: CommandEnv, outcomes: Sequence[Outcome]) -> Result:
    """Write the report of what was done already: that it cannot be written is told beside that, and not instead of it."""
    suites = {outcome.state.id: outcome.results for outcome in outcomes}
    waived = {outcome.state.id: outcome.waived for outcome in outcomes}
    waiting = {outcome.state.id for outcome in outcomes if outcome.state.stage is not Stage.PAUSED}
    try:
        write_junit(args, env, suites, waived, waiting)
    except OtagateError as error:
        env.warn(f"{error.what}: {error.subject}" + (f", {error.found}" if error.found else ""))
        return replace(result, exit_code=error.exit_code) if result.exit_code in _QUIET else result
    return result
