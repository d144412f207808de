"""Whole processes, measured from outside: wall clock, processor time and peak memory as the kernel counts them."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

KIB = 1024
MIB = 1024 * KIB


class CommandFailedError(Exception):
    """A measured command did not end with 0: its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run cost: seconds of wall clock, seconds of user and system time, bytes of resident memory at the peak."""

    wall: float
    cpu: float
    peak: int

    def __add__(self, other: Cost) -> Cost:
        """Take two commands that run one after the other as one."""
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak))


@dataclass(frozen=True, slots=True)
class Command:
    """A process to run, with all of its surroundings."""

    argv: tuple[str, ...]
    cwd: Path
    environ: Mapping[str, str]


def run(command: Command, log: Path) -> tuple[Cost, str]:
    """Run one command with no input; give its cost and its standard output. Standard error goes to ``log``."""
    out = log.with_suffix(".out")
    before = Path.cwd()
    # This process stays small on purpose: a child's peak starts at what its parent had when it was made.
    with out.open("wb") as stdout, log.open("wb") as stderr, Path(os.devnull).open("rb") as stdin:
        os.chdir(command.cwd)
        started = time.perf_counter()
        try:
            pid = os.posix_spawn(
                command.argv[0],
                command.argv,
                dict(command.environ),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, each.fileno(), number) for number, each in enumerate((stdin, stdout, stderr))
                ],
            )
        finally:
            os.chdir(before)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    said = out.read_text(errors="replace")
    if code != 0:
        raise CommandFailedError(f"exit code {code}: {' '.join(command.argv)}\n{said}\n{log.read_text(errors='replace')}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * KIB), said


def in_turn(contestants: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Run all contestants in turn, A B A B, so that a noisy minute hits them alike. One round before is not counted."""
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, contestant in contestants.items():
            cost = contestant()
            if number > 0:
                costs[name].append(cost)
    return costs


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, smallest and largest of some runs."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Summarise at least one value."""
        return cls(statistics.median(values), min(values), max(values))


def machine(node_version: str) -> dict[str, str | int]:
    """Describe the machine, without its name."""
    cpuinfo = Path("/proc/cpuinfo")
    models = (
        [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if cpuinfo.exists()
        else []
    )
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": psutil.cpu_count() or 0,
        "memory_mib": psutil.virtual_memory().total // MIB,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "node": node_version,
        "load_before": round(os.getloadavg()[0]),
    }
