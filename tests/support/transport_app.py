"""A small app behind the real transport, and a handle on the process that runs it.

``python -m support.transport_app FOLDER '{"workers": 2}'``: options of RunOptions, and of Limits under ``limits``.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from otagate.errors import UnavailableError
from otagate.server.transport.limits import Limits
from otagate.server.transport.options import RunOptions
from otagate.server.transport.runner import serve

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class SmallApp:
    """``/slow?0.5`` waits, ``/big?1000`` answers so many bytes, ``/pid`` says who answers, ``/die`` is the end of the process.

    ``/held`` leaves a line in ``folder``/held, and waits until there is ``folder``/go.
    """

    folder: Path

    async def start(self) -> None:
        if (self.folder / "refuse").exists():
            raise UnavailableError("the database does not answer", found="refuse", remedy="wait")
        if (self.folder / "crash").exists():
            os._exit(9)

    async def stop(self) -> None:
        if (self.folder / "hang").exists():
            await asyncio.sleep(3600)
        with (self.folder / "stopped").open("a") as file:
            file.write(f"{os.getpid()}\n")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        query = scope["query_string"].decode()
        if scope["path"] == "/slow":
            await asyncio.sleep(float(query))
        if scope["path"] == "/held":
            await self._hold()
        if scope["path"] == "/die":
            os.kill(os.getpid(), signal.SIGKILL)
        body = json.dumps({"pid": os.getpid(), "size": len(message["body"]), "client": scope["client"][0]}).encode()
        if scope["path"] == "/big":
            await self._big(int(query), send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _hold(self) -> None:
        with (self.folder / "held").open("a") as file:
            file.write(f"{os.getpid()}\n")
        while not (self.folder / "go").exists():  # noqa: ASYNC110 - it is another process that says go
            await asyncio.sleep(0.01)

    async def _big(self, size: int, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(size).encode())]})
        while size:
            piece = min(size, 65_536)
            size -= piece
            await send({"type": "http.response.body", "body": bytes(piece), "more_body": size > 0})


def make(folder: Path) -> SmallApp:
    return SmallApp(folder)


@dataclass
class Running:
    """A server process."""

    process: subprocess.Popen[bytes]
    port: int
    workers: list[int]
    log: Path

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def held(self) -> int:
        """Give how many requests are, or were, held."""
        told = self.log.parent / "held"
        return len(told.read_text().split()) if told.exists() else 0

    def ask(self, raw: bytes) -> bytes:
        """Send bytes, and give all that comes until the server closes; a reset is an end too."""
        with self.connect() as line:
            with suppress(OSError):
                line.sendall(raw)
            return hear(line)

    def get(self, path: str) -> dict[str, Any]:
        answer = self.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        value: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        return value

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def hear(line: socket.socket) -> bytes:
    heard = bytearray()
    try:
        while piece := line.recv(1 << 16):
            heard += piece
    except ConnectionResetError:
        return bytes(heard)  # what came before is what it said
    return bytes(heard)


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Running]:
    """Run a server until the end of the block."""
    process = launch(folder, **options)
    try:
        ready = wait_for(lambda: json.loads((folder / "ready.json").read_text()) if (folder / "ready.json").exists() else None)
        yield Running(process, ready["port"], ready["workers"], folder / "log")
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def launch(folder: Path, **options: Any) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "support.transport_app", str(folder), json.dumps(options)]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=TESTS, stderr=log)


def wait_for(found: Callable[[], Any], seconds: float = 60) -> Any:
    """Ask until there is an answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.02)
    raise TimeoutError


def main() -> None:
    folder, given = Path(sys.argv[1]), json.loads(sys.argv[2])
    limits = given.pop("limits", None)
    given = {name: Path(value) if name in {"tls_cert", "tls_key"} else value for name, value in given.items()}
    given["trusted_proxies"] = tuple(given.get("trusted_proxies", ()))
    options = RunOptions(port=0, ready_file=folder / "ready.json", **given)
    bounds = replace(Limits(), **limits) if limits is not None else None
    serve(options, functools.partial(make, folder), limits=bounds)


if __name__ == "__main__":
    main()
