"""Servers of other people on loopback: free ports, readiness, and an end by handle."""

from __future__ import annotations

import atexit
import contextlib
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from support.measured import unmeasured

READY_SECONDS = 120.0
_PORTS = range(11_000, 22_000)
"""Below those that the system gives to whoever asks for any (from 32768 on), twins included: nobody gets one of these between
our look and the server's, but another test that draws the same at the same moment."""
_chance = random.SystemRandom()


def free_ports(count: int, twin: int = 0) -> list[int]:
    """Give different ports that nobody listens on now; with ``twin``, also nobody on each one's twin that much higher."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = _chance.choice(_PORTS)
            try:
                for wanted in {port, port + twin}:
                    held.enter_context(socket.socket()).bind(("127.0.0.1", wanted))
            except OSError:
                continue
            ports.append(port)
        return ports


def kept(name: str, serving: Callable[[Path], AbstractContextManager[str]], tries: int = 3) -> str:
    """Run a server in a folder of its own until this process ends, and leave nothing behind; give its address.

    Somebody else may take a port between our look and the server's: then it is tried again with others.
    """
    for left in reversed(range(tries)):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-", ignore_cleanup_errors=True))
            try:
                base = stack.enter_context(serving(Path(folder)))
            except RuntimeError:
                if not left:
                    raise
                continue
            atexit.register(stack.pop_all().close)
            return base
    raise AssertionError


@contextmanager
def running(command: Sequence[object], is_ready: Callable[[], bool], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the ``with`` body ends; the body begins when it is ready."""
    # Where there is setpriv, a server also ends with a test process that is killed; its own temporary files lie beside its log.
    guard = [found, "--pdeathsig", "KILL"] if (found := shutil.which("setpriv")) else []
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*guard, *(str(part) for part in command)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=log.parent,
            env={**unmeasured(), "TMPDIR": str(log.parent)},
        )
    try:
        wait(process, is_ready, log)
        yield process
    finally:
        process.kill()
        process.wait()


def wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    """Wait until a server is ready; fail with its log when it ends or takes too long."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        if is_ready():
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} is not ready: {log.read_text(errors='replace')[-2000:]}")
