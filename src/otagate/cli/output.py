"""What a command is given and what it gives back; the command modules know nothing of streams, formats or exits.

The contract of a command module (``otagate.cli.commands.<verb>``):

* ``HELP``: one line for ``otagate --help``.
* ``configure(parser)``: add the verb's own arguments. ``--policy``, ``--format`` and the like are there already
  (:mod:`otagate.cli.options`).
* ``run(args, env) -> Result``: do it. Failures are raised as :class:`~otagate.errors.OtagateError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otagate._clock import Clock, SystemClock
from otagate.cli.render import blocks
from otagate.errors import ExitCode

__all__ = ["CommandEnv", "Result", "blocks"]


def _unfolded(_title: str) -> AbstractContextManager[None]:
    return nullcontext()


def _silent(_: str) -> None:
    """Say nothing; the default when nobody listens."""


@dataclass(frozen=True, slots=True)
class CommandEnv:
    """The world as a command sees it: arguments instead of process-wide state.

    Attributes:
        environ: Environment variables.
        cwd: Where the command was started.
        clock: The time.
        note: Says one line of progress to people, on stderr.
        warn: Says one warning to people, on stderr.
        stream: Passes on one line of a child's output (a build), on stderr.
        fold: ``fold(title)``: a ``with`` body whose lines belong together; on a CI host that can, commands in them are inert.
        progress: ``progress(label, done, total)``: shows how far long work is; draws on a terminal only.
    """

    environ: Mapping[str, str]
    cwd: Path
    clock: Clock = field(default_factory=SystemClock)
    note: Callable[[str], None] = _silent
    warn: Callable[[str], None] = _silent
    stream: Callable[[str], None] = _silent
    fold: Callable[[str], AbstractContextManager[None]] = _unfolded
    progress: Callable[[str, int, int], None] = lambda _label, _done, _total: None


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found or did.

    Attributes:
        schema: Name and version of the JSON, such as ``otagate/status/v1``.
        data: JSON-ready; ``schema`` is added when it is printed.
        view: The same for people.
        exit_code: How the process ends.
        outputs: Flat values for the CI (``version``, ``channel``, ``release``, ``verdict``, ``state``, ``weight``, …).
        raw: Printed to stdout instead of ``view`` in text format, byte for byte (``policy schema`` prints a schema).
    """

    schema: str
    data: Mapping[str, Any]
    view: blocks.Blocks
    exit_code: ExitCode = ExitCode.DONE
    outputs: Mapping[str, str] = field(default_factory=dict)
    raw: str | None = None
