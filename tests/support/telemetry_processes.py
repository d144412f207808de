"""Starts, kills and hears of the processes of tests/support/telemetry_worker.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).parent.parent


class Processes:
    """Children of one process that loaded everything."""

    def __init__(self, parent: subprocess.Popen[str]) -> None:
        self._parent = parent

    def start(self, **command: Any) -> int:
        """Start one; give its id."""
        return self._ask(command)

    def kill(self, pid: int) -> int:
        """End one at once; give how it ended: -9, or 0 when it was done already."""
        os.kill(pid, signal.SIGKILL)
        return self.wait(pid)

    def wait(self, pid: int) -> int:
        """Wait for the end of one; give how it ended."""
        return self._ask({"deed": "wait", "pid": pid})

    def _ask(self, command: dict[str, Any]) -> int:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(command) + "\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())


@contextmanager
def processes() -> Iterator[Processes]:
    """Give processes until the ``with`` body ends."""
    # Those that are killed would leave broken files of measurements behind.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    parent = subprocess.Popen(
        [sys.executable, "-m", "support.telemetry_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_TESTS,
        env={**inherited, "PYTHONPATH": str(_TESTS)},
    )
    with parent:
        try:
            yield Processes(parent)
        finally:
            assert parent.stdin is not None
            parent.stdin.close()
            parent.wait(60)
