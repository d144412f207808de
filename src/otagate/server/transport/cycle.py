"""A request and its answer, between the connection and a handler."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_END = b"\r\n"


class WholeCycle(RequestResponseCycle):
    """uvicorn's cycle for a request whose body is there, and for answers that mostly come in one piece.

    The head of an answer is held back until its body is known: both then leave in one write, and a handler that fails between
    them is answered for with a 500 as if it had not begun.

    Attributes:
        whole: The body.
    """

    whole: bytes = b""
    _is_given = False
    _held: Any = None

    async def receive(self) -> Any:
        """See ASGI: the whole body, then nothing until the client is gone."""
        if self._is_given:
            return await super().receive()
        self._is_given = True
        if self.disconnected:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self.whole, "more_body": False}

    async def send(self, message: Any) -> None:
        """See ASGI."""
        if self._held is None:
            if message["type"] == "http.response.start" and not self.response_started:
                self._held = message
                return
        elif message["type"] == "http.response.body":
            start, self._held = self._held, None
            if self._send_at_once(start, message):
                return
            await super().send(start)
        else:
            # The error answer of run_asgi, in place of the one that was begun.
            self._held = message
            return
        await super().send(message)

    def _send_at_once(self, start: Any, message: Any) -> bool:
        """Write a complete answer of a known length in one piece; False: it is not such a one."""
        body = message.get("body", b"")
        if message.get("more_body") or self.disconnected or self.flow.write_paused:
            return False
        length, parts = None, [STATUS_LINE[start["status"]]]
        headers = [*self.default_headers, *start["headers"]]
        for name, value in headers:
            if name == b"content-length":
                length = value
            elif name in {b"connection", b"transfer-encoding"}:
                return False
            parts += (name, b": ", value, _END)
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(_END)
        is_head = self.scope["method"] == "HEAD"
        if length is None or (not is_head and length != b"%d" % len(body)):
            return False
        head = b"".join(parts)
        # A line end or NUL within a name or value makes the count wrong: uvicorn's own way then says so.
        lines = len(headers) + (3 if not self.keep_alive else 2)
        if head.count(b"\n") != lines or head.count(_END) != lines or b"\0" in head:
            return False
        self.response_started = self.response_complete = True
        self.transport.write(head if is_head else head + body)
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True
