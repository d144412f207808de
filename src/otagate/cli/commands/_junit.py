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
    *,
    failed: Mapping[str, str] | None = None,
) -> None:
    """Write the report when one was asked for.

    Args:
        args: The command line, with ``--junit``.
        env: Where the command runs.
        suites: Results by what was judged.
        waived: Metrics whose failures somebody lifted, by the same names.
        waiting: Names of those for which the time of grace runs.
        failed: What could not be judged at all, with the reason.

    Raises:
        OtagateError: The file cannot be written.
    """
    if args.junit is None:
        return
    from otagate.cli.render.junit import draw  # noqa: PLC0415 - only who asks for it pays for it

    path = output_path(args.junit, env)
    try:
        atomic_write(path, draw(suites, waived, waiting, failed).encode())
    except OSError as error:
        raise translate(error, "cannot write the JUnit report", path) from error


def with_junit(
    result: Result,
    args: argparse.Namespace,
    env: CommandEnv,
    outcomes: Sequence[Outcome],
    failed: Mapping[str, OtagateError] | None = None,
) -> Result:
    """Write the report of what was done already: that it cannot be written is told beside that, and not instead of it."""
    error = _told(args, env, outcomes, failed or {})
    return result if error is None or result.exit_code not in _QUIET else replace(result, exit_code=error.exit_code)


def junit_of_failure(args: argparse.Namespace, env: CommandEnv, failed: Mapping[str, OtagateError]) -> None:
    """Write the report of what failed before anything was judged, over that of an earlier job."""
    _told(args, env, (), failed)


def _told(
    args: argparse.Namespace, env: CommandEnv, outcomes: Sequence[Outcome], failed: Mapping[str, OtagateError]
) -> OtagateError | None:
    suites = {outcome.state.id: outcome.results for outcome in outcomes}
    waived = {outcome.state.id: outcome.waived for outcome in outcomes}
    waiting = {outcome.state.id for outcome in outcomes if outcome.state.stage is not Stage.PAUSED}
    try:
        write_junit(args, env, suites, waived, waiting, failed={name: _words(error) for name, error in failed.items()})
    except OtagateError as error:
        env.warn(_words(error))
        return error
    return None


def _words(error: OtagateError) -> str:
    """Give an error on one line."""
    about = ", ".join(part for part in (error.subject, error.found) if part)
    return error.what + (f": {about}" if about else "")
