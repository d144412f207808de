"""Driving a server with wrk, and watching its memory meanwhile."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SCRIPT = Path(__file__).parent / "wrk" / "devices.lua"
CONNECTIONS = 32
_SAMPLE_S = 0.1


class LoadError(Exception):
    """A load cannot be made, or did not say what came of it."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of wrk found.

    Attributes:
        requests: Answers.
        seconds: How long it took.
        p50_ms: Half of them were faster.
        p99_ms: Likewise 99 of 100.
        max_ms: The slowest.
        refused: Answers with another status than 2xx or 3xx.
        broken: Connections that could not be made, or broke.
        peak_bytes: Resident memory of all the server's processes at the most; what they share counts once a process.
        cpu_us: Processor time of the server's processes for one answer, in microseconds: what other work on the machine
            changes least.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refused: int
    broken: int
    peak_bytes: int
    cpu_us: float

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return (self.requests - self.refused) / self.seconds


@dataclass
class Memory:
    """Resident memory of a process and its children while it is watched."""

    pid: int
    peak: int = 0
    samples: list[int] = field(default_factory=list)

    def now(self) -> int:
        """Give the sum of all now, in bytes."""
        total = 0
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.pid)
            for process in (first, *first.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
        return total


def cpu_seconds(pid: int) -> float:
    """Give the processor time of a process and its children so far."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                total += used.user + used.system
    return total


@contextmanager
def watched(pid: int) -> Iterator[Memory]:
    """Watch a process's memory until the ``with`` body ends."""
    memory, ending = Memory(pid), threading.Event()

    def watch() -> None:
        while not ending.wait(_SAMPLE_S):
            memory.samples.append(memory.now())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        ending.set()
        thread.join()
        memory.peak = max([*memory.samples, memory.now()])


def find_wrk() -> Path:
    """Find wrk.

    Raises:
        LoadError: It is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise LoadError("wrk is missing: apt-get install wrk, or brew install wrk")
    return Path(found)


def load(kind: str, base: str, pid: int, seconds: float, connections: int = CONNECTIONS) -> Run:
    """Load a server with one kind of requests; see wrk/devices.lua."""
    command = [find_wrk(), "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", SCRIPT, base, "--", kind]
    used = cpu_seconds(pid)
    with watched(pid) as memory:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        raise LoadError(f"wrk failed: {done.stdout}{done.stderr}")
    found = json.loads(lines[-1])
    return Run(
        found["requests"],
        found["microseconds"] / 1e6,
        found["p50_us"] / 1e3,
        found["p99_us"] / 1e3,
        found["max_us"] / 1e3,
        found["refused"],
        found["connect"] + found["read"] + found["write"] + found["timeout"],
        memory.peak,
        (cpu_seconds(pid) - used) * 1e6 / max(1, found["requests"]),
    )


def median(runs: Sequence[Run]) -> dict[str, object]:
    """Give the medians of some runs, and all of them."""
    middle = {
        name: statistics.median(getattr(run, name) for run in runs)
        for name in ("per_second", "p50_ms", "p99_ms", "max_ms", "peak_bytes", "cpu_us")
    }
    refused, broken = sum(run.refused for run in runs), sum(run.broken for run in runs)
    each = [
        {"per_second": run.per_second, "p50_ms": run.p50_ms, "p99_ms": run.p99_ms, "peak_bytes": run.peak_bytes} for run in runs
    ]
    return {**middle, "refused": refused, "broken": broken, "runs": each}


def note(text: str) -> None:
    """Say how far it is, on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
