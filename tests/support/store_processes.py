"""Starts tests/support/store_worker.py: another process at the same store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from support.measured import unmeasured

WORKER = Path(__file__).parent / "store_worker.py"


def start(place: tuple[str, Mapping[str, str]], deed: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a worker."""
    url, environ = place
    process = subprocess.Popen(
        [sys.executable, str(WORKER), deed, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=unmeasured(),  # one that is killed would leave a broken file of measurements behind
    )
    assert process.stdin is not None
    # Not as an argument: keys would stand in the list of processes.
    process.stdin.write(json.dumps({"url": url, "environ": dict(environ)}))
    process.stdin.close()
    process.stdin = None
    return process


def finish(process: subprocess.Popen[str], timeout: float = 300) -> dict[str, str]:
    """Wait for a worker's end; give what it said, first word to the rest of the line."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    return dict(line.split(" ", 1) for line in out.splitlines() if " " in line)
