"""``--junit FILE``: the judgement once more, as a report that CI hosts show beside tests."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from otagate._fs import atomic_write
from otagate.cli.commands._out import output_path
from otagate.cli.output import CommandEnv

if TYPE_CHECKING:
    from otagate.gate.judge import GateResult


def add_junit(parser: argparse.ArgumentParser) -> None:
    """Add ``--junit``."""
    parser.add_argument("--junit", metavar="FILE", help="also write the judgement of every gate as a JUnit report")


def write_junit(args: argparse.Namespace, env: CommandEnv, suites: Mapping[str, Sequence[GateResult]]) -> None:
    """Write the report when one was asked for.

    Raises:
        OtagateError: The file cannot be written.
    """
    if args.junit is None:
        return
    from otagate.cli.render.junit import draw  # noqa: PLC0415 - only who asks for it pays for it

    atomic_write(output_path(args.junit, env), draw(suites).encode())
