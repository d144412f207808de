"""The application: bytes in, bytes out, and nothing of what goes wrong inside shows outside.

Raw ASGI, because a framework costs throughput (docs/adr/0013-server.md). The transport has bounded headers,
bodies, connections and times before anything comes here; bodies and types are checked here again, so that another transport
is no hole.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from otagate.errors import OtagateError, UnavailableError
from otagate.server.http.answer import (
    INTERNAL,
    NOT_FOUND,
    TOO_MANY,
    UNAVAILABLE,
    WRONG_METHOD,
    Answer,
    Gone,
    Refused,
    spread,
    too_many,
)
from otagate.server.http.body import Receive
from otagate.server.http.handlers import Handlers
from otagate.server.http.options import HttpOptions
from otagate.server.http.prometheus import Metrics
from otagate.server.http.request import Request
from otagate.server.http.routes import UNKNOWN, Kind, Route, find
from otagate.server.interface import IntakeFullError
from otagate.server.parts import ServerParts

LOG = logging.getLogger("otagate.server")
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_FULL_RETRY_S = (2, 10)
_AWAY_RETRY_S = (5, 30)
_SAMPLE_S = 1.0
_BAD = 400


class UpdateApp:
    """See server.transport.options.App.

    Args:
        parts: What it works with.
        options: What the operator set.
    """

    def __init__(self, parts: ServerParts, options: HttpOptions | None = None) -> None:
        self._parts = parts
        self.metrics = Metrics()
        self._handlers = Handlers(parts, options or HttpOptions(), self.metrics)
        self._limiter = self._handlers.limiter
        self._started: list[Any] = []
        self._sampler: asyncio.Task[None] | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        began = time.perf_counter()
        request = Request(scope, receive)
        route = find(request.path)
        try:
            answer = await self._answer(route, request)
        except Gone:
            self.metrics.refuse("client_gone")
            return
        await self._send(answer, request, send)
        seconds = time.perf_counter() - began
        self.metrics.answered(route.kind, answer.status, answer.note, seconds)
        if answer.status >= _BAD and answer.status != TOO_MANY.status:
            # Those are counted: a flood must not cost more than it has to.
            _log_refused(route.kind, answer, seconds)

    async def start(self) -> None:
        """Start what runs beside; when one of it cannot, the others are stopped.

        Raises:
            OtagateError: One of it cannot.
        """
        try:
            for background in self._parts.background:
                await asyncio.to_thread(background.start)
                self._started.append(background)
        except BaseException:
            await self.stop()
            raise
        self._sampler = asyncio.create_task(self._sample())

    async def stop(self) -> None:
        """Stop what runs beside, in reverse, and let the database go."""
        if self._sampler is not None:
            self._sampler.cancel()
            with suppress(asyncio.CancelledError):
                await self._sampler
            self._sampler = None
        while self._started:
            await asyncio.to_thread(self._started.pop().stop)
        self._handlers.stop()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        try:
            self._parts.admin.close(self._parts.clock.now())
        except UnavailableError as error:
            LOG.error("audit_incomplete", extra={"reason": error.what})  # noqa: TRY400 - no bug
        finally:
            self._parts.telemetry.close()

    async def _answer(self, route: Route, request: Request) -> Answer:
        try:
            if route.limited is not None:
                wait = self._limiter.address(route.limited, request.peer, time.monotonic())
                if wait:
                    return too_many(request.peer, wait)
            if request.method not in route.methods:
                # Nothing of the request is looked at, whatever the method is: CVE-2026-56299.
                return NOT_FOUND.answer() if route is UNKNOWN else WRONG_METHOD.answer(extra=((b"allow", route.allow),))
            return await self._handlers.of[route.kind](request)
        except Refused as refused:
            return refused.answer
        except IntakeFullError:
            self.metrics.refuse("intake_full")
            return UNAVAILABLE.answer(retry_after_s=spread(request.peer, *_FULL_RETRY_S))
        except UnavailableError as error:
            LOG.error("unavailable", extra={"route": route.kind.value, "reason": error.what})  # noqa: TRY400 - no bug
            return UNAVAILABLE.answer(retry_after_s=spread(request.peer, *_AWAY_RETRY_S))
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the client is told, and others go on being served
            _log_bug(route.kind, error)
            return INTERNAL.answer()

    async def _send(self, answer: Answer, request: Request, send: Send) -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.head()})
        body = answer.body
        if isinstance(body, bytes):
            await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})
        else:
            await self._stream(body, request, send)

    async def _stream(self, body: AsyncIterator[bytes], request: Request, send: Send) -> None:
        gone = asyncio.ensure_future(_until_gone(request.receive))
        try:
            async for piece in body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                if gone.done():
                    self.metrics.refuse("client_gone")
                    return
        except (OtagateError, Refused) as error:
            # The answer is under way. Ending it short closes the connection, and the client sees that something is missing.
            LOG.error("download_broken", extra={"reason": type(error).__name__})  # noqa: TRY400 - no bug
            self.metrics.refuse("download_broken")
            return
        finally:
            gone.cancel()
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()
        await send({"type": "http.response.body", "body": b""})

    async def _sample(self) -> None:
        while True:
            self._handlers.sample()
            await asyncio.sleep(_SAMPLE_S)

    async def _other(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Begin and end with a server that knows of no ``start`` and ``stop``; there are no web sockets."""
        if scope["type"] != "lifespan":
            await send({"type": "websocket.close", "code": 1000})
            return
        await receive()
        try:
            await self.start()
        except OtagateError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _log_bug(kind: Kind, error: Exception) -> None:
    """Log where it happened, and not what: a message may hold what a device sent."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
    LOG.error("internal_error", extra={"route": kind.value, "reason": type(error).__name__, "detail": where})


def _log_refused(kind: Kind, answer: Answer, seconds: float) -> None:
    level = logging.WARNING if answer.status >= INTERNAL.status else logging.INFO
    fields = {"route": kind.value, "status": answer.status, "note": answer.note, "duration_ms": round(seconds * 1000, 1)}
    LOG.log(level, "refused", extra=fields)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
