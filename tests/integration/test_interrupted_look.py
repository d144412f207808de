"""Ctrl-C and a cancelled job during a look: stores that say nothing are not waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from otagate.gate.beside import AT_ONCE
from support.metric_server import serving

pytestmark = pytest.mark.integration

POLICY = """
version: 1
app: {id: com.example.app}
build: {output: dist}
storage: file:store
branches: {main: {channel: stable}}
gates:
"""
LONG_S = 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_look_at_stores_that_say_nothing_ends_when_it_is_told_to(number: signal.Signals, tmp_path: Path) -> None:
    asked, over = threading.Semaphore(0), threading.Event()
    paths: list[str] = []

    def say_nothing(request: BaseHTTPRequestHandler, _: bytes) -> None:
        paths.append(request.path)
        asked.release()
        over.wait(2 * LONG_S)

    with serving(say_nothing) as base:
        source = f"{{http: {{url: '{base}/{{metric}}', bad: bad, total: total, timeout: 60s}}}}"
        gates = "".join(f"  m{at}: {{max: 2%, source: {source}}}\n" for at in range(9))
        (tmp_path / "otagate.yml").write_text(POLICY + gates)
        command = [sys.executable, "-m", "otagate", "gate", "eval", "--release", "1.0.0", "--channel", "stable"]
        process = subprocess.Popen(command, cwd=tmp_path, env=os.environ.copy(), stderr=subprocess.PIPE)
        try:
            for _ in range(AT_ONCE):
                assert asked.acquire(timeout=LONG_S)
            process.send_signal(number)
            # Less than any of them would be waited for.
            _, err = process.communicate(timeout=50)
            assert process.returncode == 130, err
            assert err == b"warning: interrupted\n"
            assert len(paths) == len(set(paths)) == AT_ONCE
        finally:
            over.set()
            process.kill()
            process.wait()
