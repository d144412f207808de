"""Hostile clients, and polite ones to see whether those suffer; each group is a process of its own: ``hostile.py KIND ...``.

Only the standard library, so that a process starts at once. A group comes from a loopback address of its own, as a stranger does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
_STATUS = slice(9, 12)
_BLOCK = b"a" * 65_536
_JSON = b'{"app_id":"com.example.shop"}'


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, from where, and until when (event loop time)."""

    port: int
    source: str
    until: float

    def is_over(self) -> bool:
        """Whether time is up."""
        return time.monotonic() >= self.until


Outcomes = Counter[str]
"""How connections ended: a status, ``closed`` without one, ``refused``, or ``held`` until the time was up."""


async def _answer(reader: asyncio.StreamReader, target: Target, outcomes: Outcomes) -> None:
    """Wait for a status line, and count it."""
    left = max(0.05, target.until - time.monotonic())
    try:
        line = await asyncio.wait_for(reader.readline(), left)
    except TimeoutError:
        outcomes["held"] += 1
    except OSError:
        outcomes["closed"] += 1
    else:
        outcomes[line[_STATUS].decode("ascii", "replace") if line.startswith(b"HTTP/1.") else "closed"] += 1


Deed = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Target, Outcomes], Awaitable[None]]


def _sends(*parts: bytes) -> Deed:
    """Make a client that sends all of it as fast as it is taken, and reads one answer meanwhile."""

    async def deed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target, outcomes: Outcomes) -> None:
        answer = asyncio.ensure_future(_answer(reader, target, outcomes))
        with contextlib.suppress(OSError):
            for part in parts:
                if target.is_over() or answer.done():
                    break
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
        await answer

    return deed


def _drips(start: bytes, drop: bytes, every_s: float) -> Deed:
    """Make a client that sends ``start`` and then drop by drop."""

    async def deed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target, outcomes: Outcomes) -> None:
        writer.write(start)
        answer = asyncio.ensure_future(_answer(reader, target, outcomes))
        while not target.is_over() and not answer.done():
            await asyncio.wait([answer], timeout=every_s)
            if not writer.is_closing():
                writer.write(drop)
        await answer

    return deed


async def _reads_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Target, outcomes: Outcomes) -> None:
    """Ask again and again, and take next to nothing of the answers."""
    with contextlib.suppress(OSError):
        while not target.is_over():
            writer.write(_get("/openapi.json"))
            await asyncio.sleep(0.25)
            if writer.is_closing() or reader.at_eof():
                outcomes["closed"] += 1
                return
    outcomes["held"] += 1


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def _post(*headers: str, body: bytes = b"", path: str = "/updates") -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: a", "Content-Type: application/json", *headers)
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def _json(body: bytes, path: str = "/updates") -> bytes:
    return _post(f"Content-Length: {len(body)}", body=body, path=path)


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to be hostile.

    Attributes:
        deed: What one connection does.
        connections: How many at a time.
        pause_s: What each waits before the next one.
        answers: The outcomes that a server may show.
    """

    deed: Deed
    connections: int
    pause_s: float
    answers: frozenset[str]


def _kind(deed: Deed, connections: int, pause_s: float, answers: str) -> Kind:
    # What is cut off while it is still sending may see a reset instead of the answer; the rest may be told to come later.
    return Kind(deed, connections, pause_s, frozenset((*answers.split(), "closed", "429", "503", "held")))


def _bad(body: bytes) -> Kind:
    return _kind(_sends(_json(body)), 1, 0.1, "400 413")


_CHUNK = b"10000\r\n" + _BLOCK + b"\r\n"
KINDS: Mapping[str, Kind] = {
    "half-open heads": _kind(_drips(b"POST /updates HTTP/1.1\r\nHost: a\r\n", b"", 1.0), 200, 0.05, "408"),
    "dripping heads": _kind(_drips(b"POST /updates HTTP/1.1\r\n", b"X-A: b\r\n", 0.5), 50, 0.05, "408 431"),
    "dripping bodies": _kind(_drips(_post("Content-Length: 60000"), b"a", 0.2), 50, 0.05, "408 400"),
    "100 MB bodies": _kind(_sends(_post(f"Content-Length: {100 * MIB}"), *[_BLOCK] * 1600), 4, 0.2, "413"),
    "100 MB in chunks": _kind(_sends(_post("Transfer-Encoding: chunked"), *[_CHUNK] * 1600), 4, 0.2, "413"),
    "1 MB headers": _kind(_sends(b"GET / HTTP/1.1\r\nX-A: ", *[_BLOCK] * 16), 4, 0.2, "431"),
    "many small headers": _kind(_sends(b"GET / HTTP/1.1\r\n", *[b"A: b\r\n" * 1000] * 100), 2, 0.2, "431 400"),
    "1000 pipelined": _kind(_sends(*[_get("/livez") * 100] * 10), 2, 0.1, "200 404"),
    "both lengths": _kind(_sends(_post("Content-Length: 2", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")), 2, 0.1, "400"),
    "gzip": _kind(_sends(_post("Content-Encoding: gzip", "Content-Length: 4", body=b"\x1f\x8b\x08\0")), 2, 0.1, "415"),
    "no HTTP": _kind(_sends(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500)), 2, 0.1, "400"),
    "TRACE": _kind(_sends(b"TRACE /updates HTTP/1.1\r\nHost: a\r\n\r\n"), 2, 0.1, "405"),
    "bad UTF-8": _bad(b'{"app_id":"\xff\xfe"}'),
    "deep nesting": _bad(b"[" * 30_000),
    "huge number": _bad(b'{"app_id":' + b"9" * 20_000 + b"}"),
    "NaN": _bad(b'{"app_id":NaN}'),
    "lone surrogate": _bad(b'{"app_id":"\\ud800","device_id":"\\u0000"}'),
    "unknown apps": _kind(_sends(_json(_JSON)), 4, 0.1, "200 400"),
    "slow readers": _kind(_reads_slowly, 20, 0.1, "200"),
}
"""By name."""


async def _one_after_another(kind: Kind, target: Target, outcomes: Outcomes) -> None:
    while not target.is_over():
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", target.port, local_addr=(target.source, 0), limit=2 * MIB
            )
        except OSError:
            outcomes["refused"] += 1
        else:
            try:
                await kind.deed(reader, writer, target, outcomes)
            except OSError:
                outcomes["closed"] += 1
            finally:
                writer.transport.abort()
        await asyncio.sleep(kind.pause_s)


async def _attack(names: list[str], target: Target, outcomes: Mapping[str, Outcomes]) -> None:
    await asyncio.gather(
        *(_one_after_another(KINDS[name], target, outcomes[name]) for name in names for _ in range(KINDS[name].connections))
    )


def attack(names: list[str], target: Target) -> dict[str, Outcomes]:
    """Be hostile in all these ways at once until the time is up."""
    outcomes: dict[str, Outcomes] = {name: Counter() for name in names}
    asyncio.run(_attack(names, target, outcomes))
    return outcomes


def _whole_answer(connection: socket.socket) -> bytes:
    """Read one answer that says how long it is; ``b""`` when it ends before."""
    got = b""
    while more := connection.recv(MIB):
        got += more
        head, _, body = got.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        if length is not None and len(body) >= int(length[1]):
            return got
    return b""


def _polite(target: Target, number: int, pause_s: float, took: list[float], outcomes: Outcomes) -> None:
    body = {
        "platform": "android",
        "device_id": f"00000000-0000-4000-8000-{number:012x}",
        "app_id": "com.example.shop",
        "version_build": "1.0.0",
        "version_name": "builtin",
        "plugin_version": "8.51.23",
        "is_emulator": False,
        "is_prod": True,
    }
    request = _json(json.dumps(body).encode())
    connection: socket.socket | None = None
    while not target.is_over():
        started = time.perf_counter()
        try:
            connection = connection or socket.create_connection(("127.0.0.1", target.port), 10, (target.source, 0))
            connection.sendall(request)
            head = _whole_answer(connection)
        except OSError:
            head = b""
        took.append(time.perf_counter() - started)
        outcomes[head[_STATUS].decode("ascii", "replace") or "closed"] += 1
        if not head or b"onnection: close" in head:
            connection = None
        time.sleep(pause_s)


def polite(target: Target, clients: int = 4, pause_s: float = 0.005) -> dict[str, object]:
    """Check for updates as devices do; give seconds at the median and at 99 %, and how the requests ended."""
    took: list[float] = []
    outcomes: Outcomes = Counter()
    threads = [threading.Thread(target=_polite, args=(target, number, pause_s, took, outcomes)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took.sort()
    return {"requests": len(took), "p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100], "outcomes": outcomes}


def start(port: int, seconds: float, *names: str, source: str = "127.0.0.2") -> subprocess.Popen[str]:
    """Start a process: hostile in these ways, or ``polite``."""
    command = [sys.executable, "-I", str(Path(__file__)), str(port), str(seconds), source, *names]
    pipe = subprocess.PIPE
    # It is nothing of ours, and being measured would make it weaker.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environ, text=True)


def finish(process: subprocess.Popen[str], timeout: float = 120.0) -> dict[str, dict[str, float]]:
    """Wait for its end; give what it found."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    if process.returncode != 0:
        raise RuntimeError(err)
    found: dict[str, dict[str, float]] = json.loads(out)
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("source")
    parser.add_argument("kinds", nargs="+", choices=[*KINDS, "polite"])
    args = parser.parse_args()
    target = Target(args.port, args.source, time.monotonic() + args.seconds)
    if args.kinds == ["polite"]:
        found: Mapping[str, object] = {"polite": polite(target)}
    else:
        found = attack(args.kinds, target)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
