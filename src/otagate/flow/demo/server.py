"""``otagate serve`` as a child of the demo, on a free port of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from otagate._fs import translate
from otagate._text import harmless
from otagate.errors import UnavailableError

_READY_S = 120.0
_END_S = 60.0
_LOG = "server.log"


@contextmanager
def serving(folder: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """Serve the policy of a folder while the ``with`` body runs; give the server's address.

    Raises:
        UnavailableError: It does not start; the message has its last words.
    """
    ready, log = folder / ".otagate" / "server.json", folder / ".otagate" / _LOG
    options = ("--port", "0", "--poll", "1s", "--rate-address", "0", "--ready-file", str(ready))
    command = [sys.executable, "-m", "otagate", "serve", "--policy", str(folder / "otagate.yml"), *options]
    try:
        stream = log.open("wb")
    except OSError as error:
        raise translate(error, "the server's log cannot be written", log) from error
    with stream:
        # Our own interpreter and our own verb; no shell.
        child = subprocess.Popen(command, cwd=folder, env=dict(environ), stdout=stream, stderr=stream)  # noqa: S603
    try:
        yield _address(child, ready, log)
    finally:
        _end(child)


def _address(child: subprocess.Popen[bytes], ready: Path, log: Path) -> str:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until and child.poll() is None:
        if ready.exists():
            return str(json.loads(ready.read_bytes())["url"])
        time.sleep(0.05)
    said = log.read_text("utf-8", errors="replace").strip().splitlines()[-3:]
    raise UnavailableError(
        "the demo's server did not start",
        expected=f"an answer within {_READY_S:.0f} s",
        found=harmless(" / ".join(said), 600) or "nothing was said",
        remedy="try `otagate doctor`",
    )


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
