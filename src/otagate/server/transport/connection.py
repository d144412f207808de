"""One connection: how long it may wait for what, how it is refused, and how it ends.

Every wait has an end. There is one sweep over all connections, twice a second, that calls :meth:`BoundedConnection.check`, and
no timer a connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from enum import IntEnum
from math import inf

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from otagate.server.transport import limits as say
from otagate.server.transport.cycle import WholeCycle
from otagate.server.transport.limits import Refusal, Traffic
from otagate.server.transport.proxies import TrustedProxies

_NOT_AT_ALL = struct.pack("ii", 1, 0)
"""``struct linger``: on, for no seconds."""


class Phase(IntEnum):
    """What is expected of the client next."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    DEAD = 3
    """Nothing: what it still sends is thrown away."""


class BoundedConnection(HttpToolsProtocol):
    """A connection without its requests; see GuardedProtocol.

    Args:
        config: uvicorn's, loaded.
        server_state: uvicorn's, of this worker.
        traffic: Of this worker.
        proxies: Of this server.
        address: Who is connected, in its one spelling.
        loop: Of this worker.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        traffic: Traffic,
        proxies: TrustedProxies,
        address: str,
        *,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(config, server_state, {"traffic": traffic}, loop)
        self.traffic = traffic
        self.limits = traffic.limits
        self.read_deadline = inf
        self.write_deadline = inf
        self._proxies = proxies
        self._address = address
        self._is_proxy = proxies.trusts(address)
        self._has_left = False
        self._is_fresh = True
        self._phase = Phase.IDLE
        self._wire = 0
        """Bytes since the request began; in phase DEAD: since then."""
        self._body: bytes | bytearray = b""
        self._active: WholeCycle | None = None
        self._waiting: deque[WholeCycle] = deque()
        """Requests that came before the one before them was answered."""
        self._is_head = False
        """The request being read has the method HEAD: no body is answered."""

    @property
    def bounded_by(self) -> str | None:
        """The address to admit this connection by, or None for a trusted proxy."""
        return None if self._is_proxy else self._address

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol. The first request must come as soon as any other."""
        super().connection_made(transport)
        self.client = (self._address, self.client[1] if self.client else 0)
        self.read_deadline = self.traffic.now + self.limits.head_s

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._active is not None:
            # The handler learns it from receive(). What waits behind it is never started.
            self._active.disconnected = True
            self._active.message_event.set()
            self._settle()
        self._waiting.clear()
        self._drop_body()
        self._phase = Phase.DEAD
        super().connection_lost(exc)
        self.leave()

    def leave(self) -> None:
        """Count this connection out; also when it never came to be. Twice is once."""
        if not self._has_left:
            self._has_left = True
            self.traffic.leave(self.bounded_by)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client has said all it wants to say: what it asked is still answered."""
        if self._active is None or self.scheme == "https" or self._phase == Phase.DEAD:
            return None
        self._end_after_answers()
        return True

    def pause_writing(self) -> None:
        """The client takes its answer slower than it is made; or not at all."""
        super().pause_writing()
        self.write_deadline = self.traffic.now + self.limits.write_s

    def resume_writing(self) -> None:
        """It took some."""
        super().resume_writing()
        self.write_deadline = inf

    def shutdown(self) -> None:
        """Let this connection end: after the answers that are due, or soon when it is idle."""
        self._keep_no_longer()
        if self._phase == Phase.IDLE and self._active is None:
            self.read_deadline = min(self.read_deadline, self.loop.time() + self.limits.drain_idle_s)

    def check(self, now: float) -> None:
        """Look at the deadlines; called by the sweep."""
        if self.transport.is_closing():
            # Closing waits until the client took the rest of its answer.
            if self.write_deadline == inf:
                self.write_deadline = now + self.limits.write_s
            elif now >= self.write_deadline:
                self._reset()
        elif now >= self.write_deadline:
            self._count("stalled")
            self._reset()
        elif now >= self.read_deadline:
            self._read_too_late(now)

    def _read_too_late(self, now: float) -> None:
        if self._phase == Phase.DEAD:
            self._reset()
        elif self._phase == Phase.IDLE:
            if self._is_fresh:
                self._count("silent")
            self.transport.close()
        elif self.flow.read_paused:
            # It is we who do not read.
            self.read_deadline = now + self.limits.head_s
        else:
            self._refuse(say.REQUEST_TIMEOUT)

    # Refusing

    def _refuse(self, refusal: Refusal) -> None:
        """Answer in place of a handler. Nothing after this is read as a request."""
        self._count(refusal.reason)
        self._drop_body()
        if self._active is not None:
            # An answer is under way; this one has no place. The connection ends after those that are due.
            self._end_after_answers()
            return
        self._die()
        self._write(refusal, is_head=self._is_head)
        # Closing while the client still sends resets the connection, and it might never read the answer.
        if self.scheme == "http" and self.transport.can_write_eof():
            self.read_deadline = self.loop.time() + self.limits.linger_s
            self.transport.write_eof()
        else:
            self.transport.close()

    def _write(self, refusal: Refusal, *, is_head: bool, closes: bool = False) -> None:
        parts = [STATUS_LINE[refusal.status]]
        for name, value in self.server_state.default_headers:
            parts += [name, b": ", value, b"\r\n"]
        if closes:
            parts.append(b"connection: close\r\n")
        parts.append(refusal.head if is_head else refusal.wire)
        self.transport.write(b"".join(parts))

    def _discard(self, size: int) -> None:
        self._wire += size
        if self._wire > self.limits.linger:
            self._reset()

    def _reset(self) -> None:
        """End at once. What the client did not take is forgotten by the system too, which would keep on offering it."""
        plain = self.transport.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOT_AT_ALL)
        self.transport.abort()

    def _end_after_answers(self) -> None:
        self._keep_no_longer()
        self._die()

    def _die(self) -> None:
        self._phase = Phase.DEAD
        self._wire = 0
        self.read_deadline = inf

    def _keep_no_longer(self) -> None:
        newest = self._waiting[-1] if self._waiting else self._active
        if newest is not None:
            newest.keep_alive = False

    def _settle(self) -> None:
        """No request of this connection is being answered any more."""
        if self._active is not None:
            self._active = None
            self.traffic.in_flight -= 1

    def _drop_body(self) -> None:
        self.traffic.buffered -= len(self._body)
        self._body = b""

    def _count(self, reason: str) -> None:
        self.traffic.refused[reason] += 1
