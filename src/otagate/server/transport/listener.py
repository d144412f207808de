"""The listening socket, and taking connections from it."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable

from otagate._text import harmless
from otagate.errors import AccessError, OtagateError, UnavailableError, UsageError
from otagate.server.transport.limits import CONNECTIONS_FULL, Refusal, Traffic
from otagate.server.transport.protocol import GuardedProtocol
from otagate.server.transport.proxies import TrustedProxies, peer_of

BACKLOG = 1024
"""Connections that the system holds until they are taken; what comes on top is not answered, and tries again."""
_AT_ONCE = 16
"""Connections taken in one turn of the loop by a worker that is alone."""
_AT_ONCE_SHARED = 1
"""... by one of several. Small, so that each gets its share of a rush; each turn costs a little."""
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PAUSE_S = 0.5
_SEND_BUFFER = 256 * 1024
"""Bytes of an answer in the system's hands, a connection. Bounded, so that memory is, and so that a client that takes nothing
is seen within ``write_s``."""

MakeProtocol = Callable[[str], GuardedProtocol]
"""Makes a connection's protocol from its peer's address."""


def bind(host: str, port: int) -> socket.socket:
    """Open a listening socket that child processes may inherit.

    Raises:
        UsageError: There is no such address, or somebody listens there already.
        AccessError: The port is not for everybody.
        UnavailableError: Anything else.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            "no such address to listen on", harmless(host), found=harmless(str(error)), remedy="check --host"
        ) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        if family == socket.AF_INET6 and host == "::":
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(address)
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise _cannot_listen(error, f"{host}:{port}") from error
    return listening


def _cannot_listen(error: OSError, place: str) -> OtagateError:
    what, subject, found = "cannot listen", harmless(place), os.strerror(error.errno or 0)
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            what, subject, found=found, remedy="end what listens there, or choose another --port (0 takes a free one)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(what, subject, found=found, remedy="choose a --host that this machine has, such as 0.0.0.0")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return AccessError(what, subject, found=found, remedy="choose a --port above 1023")
    return UnavailableError(what, subject, found=found, remedy="check the network, and try again")


class Listener:
    """Takes connections. Whoever may not come in is turned away before TLS, or anything else, costs anything.

    Args:
        listening: From :func:`bind`. Several processes may share it.
        make: Makes the protocol of a connection.
        traffic: Counts connections.
        proxies: Are not bounded by their address.
        tls: Or None.
        loop: The running loop.
        is_shared: Other processes take from the socket too.
    """

    def __init__(
        self,
        listening: socket.socket,
        make: MakeProtocol,
        traffic: Traffic,
        proxies: TrustedProxies,
        *,
        tls: ssl.SSLContext | None,
        loop: asyncio.AbstractEventLoop,
        is_shared: bool = False,
    ) -> None:
        self._listening = listening
        self._make = make
        self._traffic = traffic
        self._proxies = proxies
        self._tls = tls
        self._loop = loop
        self._at_once = _AT_ONCE_SHARED if is_shared else _AT_ONCE
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def opening(self) -> int:
        """Connections between being taken and being ready."""
        return len(self._opening)

    def start(self) -> None:
        """Begin to take connections, a few in each turn of the loop: those that are open go on being served."""
        self._loop.add_reader(self._listening.fileno(), self._take_some)

    def stop(self) -> None:
        """Take what has come so far, and no more."""
        if self._listening.fileno() < 0:
            return
        self._loop.remove_reader(self._listening.fileno())
        while self._take():
            pass
        self._listening.close()

    def _take_some(self) -> None:
        for _ in range(self._at_once):
            if not self._take():
                return

    def _take(self) -> bool:
        try:
            connection, name = self._listening.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._pause()
                return False
            return True  # the client went away before it was taken
        address = peer_of(name)
        refusal = self._traffic.admit(None if self._proxies.trusts(address) else address)
        if refusal is not None:
            self._turn_away(connection, refusal)
            return True
        protocol = self._make(address)
        connection.setblocking(False)
        task = self._loop.create_task(self._open(connection, protocol))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return True

    def _pause(self) -> None:
        # Out of file handles: asking again at once would only burn the processor.
        self._traffic.refused["no_handles"] += 1
        self._loop.remove_reader(self._listening.fileno())
        self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._listening.fileno() >= 0 and not self._traffic.is_draining:
            self.start()

    def _turn_away(self, connection: socket.socket, refusal: Refusal) -> None:
        with connection:
            connection.setblocking(False)
            if self._tls is None:
                line = (
                    b"HTTP/1.1 503 Service Unavailable\r\n"
                    if refusal is CONNECTIONS_FULL
                    else b"HTTP/1.1 429 Too Many Requests\r\n"
                )
                try:
                    connection.send(line + refusal.wire)
                except OSError:
                    return  # it is gone; so much the better

    async def _open(self, connection: socket.socket, protocol: GuardedProtocol) -> None:
        timeout = self._traffic.limits.handshake_s if self._tls is not None else None
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls, ssl_handshake_timeout=timeout)
        except OSError:  # of TLS too, and its time-out
            self._traffic.refused["handshake"] += 1
            protocol.leave()
            connection.close()
