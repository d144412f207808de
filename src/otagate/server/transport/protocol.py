"""HTTP/1.1 with limits in front of every handler.

uvicorn's protocol class parses, and its cycle class writes answers. What is different here:

* A handler is started when the whole request is there, so a client that drips costs a buffer and no handler.
* What is refused is answered here, in JSON, and never reaches a handler.
* Requests of one connection are answered in order; only a few may wait.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from math import inf
from typing import NoReturn

import httptools

from otagate.server.transport import limits as say
from otagate.server.transport.connection import BoundedConnection, Phase
from otagate.server.transport.cycle import WholeCycle
from otagate.server.transport.head import WATCHED, Head, size
from otagate.server.transport.limits import Refusal

_ABANDONED = 4
"""So many times ``in_flight`` handlers may run, when clients go away and leave theirs behind."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class _RefusedError(Exception):
    """Stops the parser. What is refused is kept aside, because the parser wraps what its callbacks raise."""


class GuardedProtocol(BoundedConnection):
    """One connection with its requests."""

    _head: Head
    _lines = 0
    _wire_most = 0
    _body_most = 0
    _body_due = 0.0
    _is_last = False
    _refusal: Refusal | None = None

    # What comes in

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._phase == Phase.DEAD:
            self._discard(len(data))
            return
        if self._phase == Phase.IDLE:
            self._expect_head()
        self._wire += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(self._refusal or say.UPGRADE_REFUSED)
        except httptools.HttpParserError:
            self._refuse(self._refusal or say.BAD_REQUEST)
        else:
            if self._wire > self._wire_most:
                self._refuse(say.HEADERS_TOO_LARGE if self._phase == Phase.HEAD else say.PAYLOAD_TOO_LARGE)

    def _expect_head(self) -> None:
        self._phase = Phase.HEAD
        self._wire = 0
        self._wire_most = self.limits.head
        self.read_deadline = self.traffic.now + self.limits.head_s

    def on_message_begin(self) -> None:
        """See httptools."""
        if self._is_last:
            self._stop(say.BAD_REQUEST)
        if self._phase == Phase.IDLE:  # in the same piece as the one before
            self._expect_head()
        super().on_message_begin()
        self._lines = 0
        self._head = Head(is_proxy=self._is_proxy)

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools. Fields after a body are dropped: they could pass for headers that were looked at."""
        self._lines += 1
        if self._lines > self.limits.headers:
            # At once: what was read in one piece may hold tens of thousands more, and others wait meanwhile.
            self._stop(say.HEADERS_TOO_LARGE)
        if self._phase != Phase.HEAD:
            return
        name = name.lower()
        if name not in WATCHED or self._head.watch(name, value):
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """See httptools. Refuse, or wait for the body."""
        head, limits, scope = self._head, self.limits, self.scope
        version, method = self.parser.get_http_version(), self.parser.get_method()
        scope["method"] = method.decode("ascii")
        self._is_head = method == b"HEAD"
        refusal = head.vet(version, method, self.url, len(self.headers), limits)
        if refusal is None and self._wire > limits.head and size(self.url, self.headers) > limits.head:
            refusal = say.HEADERS_TOO_LARGE
        if refusal is not None:
            self._stop(refusal)
        scope["http_version"] = version
        self._fill_scope()
        self._phase = Phase.BODY
        self._body_most = limits.body_of(self.url)
        self._wire_most = limits.framing * self._body_most + limits.head
        self.read_deadline = self._body_due = self.traffic.now + limits.body_s
        if head.expects and self._active is None:
            self.transport.write(_CONTINUE)

    def _fill_scope(self) -> None:
        try:
            parsed = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            self._stop(say.BAD_REQUEST)
        scope, raw_path = self.scope, parsed.path or b"/"
        path = raw_path.decode("ascii")  # the parser refuses others
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = parsed.query or b""
        if self._is_proxy:
            if self._head.forwarded:
                scope["client"] = (self._proxies.client(self._address, self._head.forwarded), 0)
            scope["scheme"] = self._head.scheme or scope["scheme"]

    def on_body(self, body: bytes) -> None:
        """See httptools. Bytes are kept until the body is whole."""
        self.traffic.buffered += len(body)
        if not self._body:
            self._body = body
        elif isinstance(self._body, bytearray):
            self._body += body
        else:
            self._body = bytearray(self._body + body)
        if len(self._body) > self._body_most:
            self._stop(say.PAYLOAD_TOO_LARGE)
        if self.traffic.buffered > self.limits.buffered:
            self._stop(say.BUFFERS_FULL)
        self.read_deadline = self._body_due + len(self._body) / self.limits.body_rate

    def on_message_complete(self) -> None:
        """See httptools. Start the handler, or queue behind the one before."""
        cycle = self.cycle = self._make_cycle()
        self._is_last = not cycle.keep_alive
        self._phase = Phase.IDLE
        self._is_fresh = False
        self.read_deadline = inf
        if self._active is None:
            self._launch(cycle)
        elif len(self._waiting) < self.limits.pipeline:
            self.flow.pause_reading()
            self._waiting.append(cycle)
        else:
            self._stop(say.PIPELINE_FULL)

    def _make_cycle(self) -> WholeCycle:
        is_kept = self.scope["http_version"] == "1.1" and self.parser.should_keep_alive()
        cycle = WholeCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=is_kept and not self.traffic.is_draining,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        if self._body:
            cycle.whole = bytes(self._body)
            self._drop_body()
        return cycle

    # What goes out

    def _launch(self, cycle: WholeCycle) -> None:
        if self.traffic.in_flight < self.limits.in_flight and len(self.tasks) < _ABANDONED * self.limits.in_flight:
            self.traffic.in_flight += 1
            self._active = cycle
            self._start_asgi_task(cycle, self.app)
            return
        self._count(say.BUSY.reason)
        cycle.response_complete = True
        self._write(say.BUSY, is_head=cycle.scope["method"] == "HEAD", closes=not cycle.keep_alive)
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """An answer is out: begin the next, or wait for the client."""
        self.server_state.total_requests += 1
        self._settle()
        if self.transport.is_closing():
            self._waiting.clear()
        elif self._waiting:
            self._launch(self._waiting.popleft())
        else:
            self.flow.resume_reading()
            if self._phase == Phase.IDLE:
                self.read_deadline = self.traffic.now + self.limits.keep_alive_s

    def _stop(self, refusal: Refusal) -> NoReturn:
        """Leave a callback of the parser."""
        self._refusal = refusal
        raise _RefusedError(refusal.reason)
