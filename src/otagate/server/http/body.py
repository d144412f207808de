"""Reading what a client sends: hostile bytes to a JSON value, or to query parameters, within bounds."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from otagate.server.http.answer import BAD_JSON, BAD_QUERY, TOO_LARGE, TOO_MANY_VALUES, WRONG_TYPE, Gone

MAX_BODY_BYTES = 64 * 1024
MAX_STATS_BYTES = 512 * 1024
"""Of ``/stats``; see server.transport.limits.Limits."""
MAX_COMMAS = 32_000
MAX_BRACKETS = 16_000
"""Values in a JSON body, roughly: what costs time is not how long it is but how many there are, some 0.5 µs each. The 256
events that a request may have stay far below with 20 fields each, and with commas and brackets in their texts."""
MAX_PARAMETERS = 64

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_TYPES_KEPT = 256
_types: dict[bytes, bool] = {}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text[:20])
    return value


_decode = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite).decode


async def read_body(receive: Receive, length: bytes | None, limit: int = MAX_BODY_BYTES) -> bytes:
    """Read a whole body.

    Args:
        receive: Of ASGI.
        length: The Content-Length header, or None.
        limit: Bytes at most.

    Raises:
        Refused: 413: it is, or says that it is, larger.
        Gone: The client went away.
    """
    if length is not None and length.isdigit() and int(length[:20]) > limit:
        raise TOO_LARGE.refusal()
    message = await receive()
    if message["type"] != "http.request":
        raise Gone
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        body = await _rest(receive, bytearray(body), limit)
    if len(body) > limit:
        raise TOO_LARGE.refusal()
    return body


async def _rest(receive: Receive, body: bytearray, limit: int) -> bytes:
    more = True
    while more:
        if len(body) > limit:
            raise TOO_LARGE.refusal()
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


def check_type(content_type: bytes | None, encoding: bytes | None) -> None:
    """Take JSON, and what does not say what it is; never a compressed body, which may be a bomb.

    Raises:
        Refused: 415.
    """
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        raise WRONG_TYPE.refusal()
    if content_type is None:
        return
    known = _types.get(content_type)
    if known is None:
        if len(_types) >= _TYPES_KEPT:
            _types.clear()
        known = _types[content_type] = _is_json(content_type)
    if not known:
        raise WRONG_TYPE.refusal()


def _is_json(content_type: bytes) -> bool:
    kind, _, parameters = content_type.lower().partition(b";")
    if kind.strip() not in (b"application/json", b"text/json", b""):
        return False
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"charset" and value.strip().strip(b'"') not in (b"utf-8", b"utf8", b"us-ascii"):
            return False
    return True


def parse_json(body: bytes) -> Any:
    """Read a JSON value. Of a key that stands twice the last counts: devices do not send such.

    Raises:
        Refused: 400: not UTF-8, not JSON, nested too deeply, or a number that is none (``NaN``, ``Infinity``, ``1e999``);
            or too many values.
    """
    if len(body) > MAX_BRACKETS and (body.count(b",") > MAX_COMMAS or body.count(b"[") + body.count(b"{") > MAX_BRACKETS):
        raise TOO_MANY_VALUES.refusal()
    try:
        return _decode(body.decode())
    except (ValueError, RecursionError):
        raise BAD_JSON.refusal() from None


def parse_query(query: bytes) -> dict[str, str]:
    """Read query parameters; of one that stands twice the last counts.

    Raises:
        Refused: 400: not UTF-8 below the percent signs, or more than 64 parameters.
    """
    if not query:
        return {}
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise BAD_QUERY.refusal() from None
    return dict(pairs)
