"""The least that an update server could do: read JSON, answer JSON. What is left is the price of HTTP in Python."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

ANSWER = {
    "version": "1.1.0",
    "url": "http://127.0.0.1:8000/bundles/sha256/" + "a" * 64,
    "session_key": "x" * 400,
    "checksum": "y" * 512,
}
ENCODE = json.JSONEncoder(separators=(",", ":")).encode


async def application(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Answer any request."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    json.loads(body)
    answer = ENCODE(ANSWER).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
