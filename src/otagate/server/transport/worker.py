"""One process that serves: an event loop, an app, a sweep over its connections, and a calm end."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from otagate.errors import ExitCode, OtagateError
from otagate.server.transport import logs
from otagate.server.transport.limits import Limits, Traffic
from otagate.server.transport.listener import Listener
from otagate.server.transport.options import App, RunOptions
from otagate.server.transport.protocol import GuardedProtocol
from otagate.server.transport.proxies import TrustedProxies
from otagate.server.transport.tls import Tls

PROXY_KEEP_ALIVE_S = 75.0
"""Idle time behind a proxy. Longer than the 60 s for which load balancers keep theirs, so that they close first."""
_HANDLES = 256
"""File handles besides those of connections: database, store, logs."""
_POLL_S = 0.02


def limits_of(options: RunOptions) -> Limits:
    """Give the bounds that the options ask for."""
    keep_alive = PROXY_KEEP_ALIVE_S if options.trusted_proxies else Limits().keep_alive_s
    return Limits(
        connections=options.max_connections,
        per_address=options.max_connections_per_address,
        in_flight=options.in_flight,
        drain_s=options.drain_s,
        keep_alive_s=keep_alive,
    )


class Worker:
    """See the module.

    Args:
        options: How to serve.
        app: What to serve. This calls its start and stop.
        listening: The socket, which this closes.
        limits: None: those of the options.
        parent: A file handle that becomes readable when the process above is gone, or None.
    """

    def __init__(
        self,
        options: RunOptions,
        app: App,
        listening: socket.socket,
        *,
        limits: Limits | None = None,
        parent: int | None = None,
    ) -> None:
        self._options = options
        self._app = app
        self._listening = listening
        self._limits = limits or limits_of(options)
        self._parent = parent
        self._proxies = TrustedProxies(options.trusted_proxies)
        self._tls = Tls(options.tls_cert, options.tls_key) if options.tls_cert is not None else None
        self._log = logs.set_up(options.log_format)
        self._state = ServerState()
        self._config = uvicorn_config(app)
        self.traffic = Traffic(self._limits)
        self._loop: asyncio.AbstractEventLoop
        self._stopping: asyncio.Event
        self._seconds = 0

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until SIGTERM or SIGINT, or until the process above is gone.

        Args:
            on_ready: Called once, when requests are taken.

        Raises:
            OtagateError: The app cannot start, or its end failed. When it does not end in time, the process exits with 7.
        """
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._loop.set_exception_handler(logs.loop_failed)
        _raise_handles(self._limits.connections + _HANDLES)
        tls = self._tls.context if self._tls is not None else None
        listener = Listener(
            self._listening,
            self._protocol,
            self.traffic,
            self._proxies,
            tls=tls,
            loop=self._loop,
            is_shared=self._parent is not None,
        )
        self._watch()
        await self._app.start()
        try:
            self._sweep()
            listener.start()
            on_ready()
            await self._stopping.wait()
            await self._drain(listener)
        finally:
            await self._end_app()

    def stop(self) -> None:
        """Ask for the end: as SIGTERM does."""
        self._stopping.set()

    def _protocol(self, address: str) -> GuardedProtocol:
        return GuardedProtocol(self._config, self._state, self.traffic, self._proxies, address, loop=self._loop)

    # Signals

    def _watch(self) -> None:
        self._loop.add_signal_handler(signal.SIGTERM, self._on_stop)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        if self._parent is None:
            self._loop.add_signal_handler(signal.SIGINT, self._on_stop)
        else:
            self._loop.add_reader(self._parent, self._on_orphaned, self._parent)

    def _on_stop(self) -> None:
        if self._stopping.is_set():
            # Whoever asks twice does not want to wait. A thread that hangs would hold up any other way of ending.
            self._log.warning("stopped_at_once")
            sys.stderr.flush()
            os._exit(ExitCode.INTERRUPTED)
        self._stopping.set()

    def _on_orphaned(self, handle: int) -> None:
        self._loop.remove_reader(handle)
        self._stopping.set()

    def _on_hangup(self) -> None:
        if self._tls is None:
            return
        try:
            self._tls.reload()
        except OtagateError as error:
            self._log.error("certificate_refused", extra={"detail": str(error)})
        else:
            self._log.info("certificate_renewed", extra={"pin": self._tls.pin()})

    # Deadlines

    def _sweep(self) -> None:
        now = self.traffic.now = self._loop.time()
        second = int(time.time())
        if second != self._seconds:
            self._seconds = second
            # A new list, because answers under way hold the old one.
            self._state.default_headers = [(b"date", formatdate(second, usegmt=True).encode())]
        for connection in tuple(self._state.connections):
            if isinstance(connection, GuardedProtocol):
                connection.check(now)
        self._loop.call_later(self._limits.sweep_s, self._sweep)

    # The end

    async def _drain(self, listener: Listener) -> None:
        self._log.info("draining", extra={"count": len(self._state.connections)})
        self.traffic.is_draining = True
        listener.stop()
        end = self._loop.time() + self._limits.drain_s
        asked: set[object] = set()
        while self._loop.time() < end and (self._state.connections or self._state.tasks or listener.opening):
            for connection in tuple(self._state.connections):
                if isinstance(connection, GuardedProtocol):
                    if connection not in asked:
                        asked.add(connection)
                        connection.shutdown()
                    connection.check(self._loop.time())
            await asyncio.sleep(_POLL_S)
        await self._cut()

    async def _cut(self) -> None:
        """End what did not end by itself."""
        if self._state.tasks:
            self._log.warning("drain_too_long", extra={"count": len(self._state.tasks)})
        for connection in tuple(self._state.connections):
            connection.transport.abort()
        for task in tuple(self._state.tasks):
            task.cancel()
        if self._state.tasks:
            await asyncio.wait(tuple(self._state.tasks), timeout=1)

    async def _end_app(self) -> None:
        try:
            await asyncio.wait_for(self._app.stop(), self._limits.stop_s)
        except TimeoutError:
            # A thread that hangs would hold up any other way of ending. What was acknowledged is durable already.
            self._log.critical("stop_too_long", extra={"after_s": self._limits.stop_s})
            sys.stderr.flush()
            os._exit(ExitCode.UNAVAILABLE)
        self._log.info("stopped")


def uvicorn_config(app: Any) -> Config:
    """Give what uvicorn's protocol class reads of its configuration, with all of its own features off."""
    config = Config(
        lambda: app,
        factory=True,
        interface="asgi3",
        ws="none",
        lifespan="off",
        workers=1,
        proxy_headers=False,
        forwarded_allow_ips="",
        server_header=False,
        access_log=False,
        log_config=None,
    )
    config.load()
    return config


def _raise_handles(wanted: int) -> None:
    """Ask the system for as many file handles as the connections may need; as many as it gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
