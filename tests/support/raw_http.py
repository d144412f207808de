"""One connection of the update server without a network: bytes in, bytes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from uvicorn.server import ServerState

from otagate.server.transport.limits import Limits, Traffic
from otagate.server.transport.protocol import GuardedProtocol
from otagate.server.transport.proxies import TrustedProxies
from otagate.server.transport.worker import uvicorn_config

Handler = Callable[[Any, Any, Any], Awaitable[None]]


def request(
    method: str = "GET", path: str = "/", *headers: str, body: bytes = b"", host: str = "Host: a", version: str = "1.1"
) -> bytes:
    lines = [f"{method} {path} HTTP/{version}", *([host] if host else []), *headers]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body


def post(body: bytes, *headers: str) -> bytes:
    return request("POST", "/", f"Content-Length: {len(body)}", *headers, body=body)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self, *, tls: bool = False) -> None:
        self.out = bytearray()
        self.closed = self.aborted = self.ended = self.paused = False
        self._tls = tls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        known = {"peername": ("192.0.2.1", 5555), "sockname": ("192.0.2.9", 80), "sslcontext": object() if self._tls else None}
        return known.get(name, default)

    def write(self, data: bytes) -> None:
        if not self.closed:
            self.out += data

    def can_write_eof(self) -> bool:
        return not self._tls

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


@dataclass
class Echo:
    """Answers with what it was asked; waits at ``gate`` when there is one."""

    gate: asyncio.Event | None = None
    scopes: list[Any] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        message = await receive()
        self.bodies.append(message.get("body", b"?"))
        if self.gate is not None:
            await self.gate.wait()
        body = json.dumps({"path": scope["path"], "size": len(self.bodies[-1])}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Line:
    """A connection to an app. Must be made within a running loop."""

    def __init__(
        self,
        app: Handler | None = None,
        *,
        limits: Limits | None = None,
        proxies: tuple[str, ...] = (),
        tls: bool = False,
        traffic: Traffic | None = None,
        state: ServerState | None = None,
    ) -> None:
        self.app: Any = app or Echo()
        self.traffic = traffic or Traffic(limits or Limits(), now=100.0)
        self.state = state or ServerState()
        self.state.default_headers = [(b"date", b"Sun")]
        self.wire = Wire(tls=tls)
        self.protocol = GuardedProtocol(
            uvicorn_config(self.app),
            self.state,
            self.traffic,
            TrustedProxies(proxies),
            "192.0.2.1",
            loop=asyncio.get_running_loop(),
        )
        self.traffic.admit(self.protocol.bounded_by)
        self.protocol.connection_made(self.wire)  # type: ignore[arg-type]

    async def say(self, *pieces: bytes) -> str:
        """Send pieces, let handlers run, and give what was answered since the last time."""
        for piece in pieces:
            self.protocol.data_received(piece)
        await self.settle()
        return self.heard()

    async def settle(self) -> None:
        for _ in range(12):
            await asyncio.sleep(0)

    def heard(self) -> str:
        text = self.wire.out.decode("latin-1")
        self.wire.out.clear()
        return text

    async def after(self, seconds: float) -> str:
        """Let time pass, and sweep."""
        self.traffic.now += seconds
        self.protocol.check(self.traffic.now)
        await self.settle()
        return self.heard()


def status(answer: str) -> int:
    return int(answer.split(" ", 2)[1]) if answer else 0


def body_of(answer: str) -> str:
    return answer.partition("\r\n\r\n")[2]
