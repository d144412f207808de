"""What an identity touches of the world, in one value, so that tests need none of it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

_MACHINE_FACTS = Path("/sys/class/dmi/id")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended. ``output`` and ``errors`` may hold secrets."""

    status: int
    output: str
    errors: str


def machine_fact(name: str) -> str:
    """Read what the firmware says of this machine, such as ``sys_vendor``; empty where it says nothing or may not be read."""
    try:
        return (_MACHINE_FACTS / name).read_text("utf-8", errors="replace").strip()
    except OSError:  # no such file on other systems, and some are for root: then nothing is known
        return ""


def run_program(words: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> Finished | None:
    """Run a program of the PATH in ``environ``; give None when there is none of that name.

    Raises:
        subprocess.TimeoutExpired: It did not end in time and was killed.
    """
    program = find_program(words[0], environ)
    if program is None:
        return None
    done = subprocess.run(  # noqa: S603 - a fixed word, found on the PATH, without a shell
        [program, *words[1:]],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_s,
        check=False,
        encoding="utf-8",
        errors="replace",
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def find_program(name: str, environ: Mapping[str, str]) -> str | None:
    """Give the path of a program on the PATH in ``environ``, or None."""
    return shutil.which(name, path=environ.get("PATH", ""))


@dataclass(frozen=True, slots=True)
class Outside:
    """Clock, network, machine and programs.

    Attributes:
        now: The instant, aware.
        sleep: Waits that many seconds.
        monotonic: Seconds that only grow.
        transport: Replaces the network, when given.
        machine: See :func:`machine_fact`.
        find: See :func:`find_program`.
        run: See :func:`run_program`.
    """

    now: Callable[[], datetime] = lambda: datetime.now(tz=UTC)
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    transport: httpx.BaseTransport | None = None
    machine: Callable[[str], str] = machine_fact
    find: Callable[[str, Mapping[str, str]], str | None] = find_program
    run: Callable[[Sequence[str], Mapping[str, str], float], Finished | None] = run_program
