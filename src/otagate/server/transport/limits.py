"""What one client may cost, what all together may, and what those are told that ask for more. Pure."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus

RETRY_AFTER_S = 2
"""What a client that came at a bad moment is told to wait."""


_STATS = b"/stats"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one worker; times in seconds, sizes in bytes.

    **Source:** head, body and their deadlines: docs/self-hosting.md, "Limits and rates". The rest is our judgement.

    Attributes:
        head: Request line and headers of one request.
        headers: Header lines of one request.
        head_s: From the first byte (or the connection) until the headers are whole.
        body: Body of one request. Every route takes JSON only.
        stats_body: Body of ``/stats``: a plugin sends up to 200 events that waited in one array, some 90 KB without their
            metadata, and forgets them all when it is told that they are too large.
        framing: A body with the framing of its chunks may be so many times as large.
        body_s: For a body, and one second more for each ``body_rate`` bytes that came.
        body_rate: Slowest pace of a body, bytes a second.
        keep_alive_s: An idle connection is closed after that.
        write_s: A client that takes nothing of its answer for so long is dropped.
        linger_s: So long a refused client may go on sending, so that it can read why.
        linger: ... and so much.
        pipeline: Requests of one connection that wait for the one before.
        buffered: Bodies of all connections that are not whole yet.
        connections: See RunOptions.max_connections.
        per_address: See RunOptions.max_connections_per_address.
        in_flight: See RunOptions.in_flight.
        handshake_s: For a TLS handshake.
        sweep_s: How often deadlines are looked at.
        drain_s: See RunOptions.
        drain_idle_s: So long an idle connection may still bring a request after SIGTERM.
        stop_s: For App.stop(), after the last request.
    """

    head: int = 8 * 1024
    headers: int = 100
    head_s: float = 5.0
    body: int = 64 * 1024
    stats_body: int = 512 * 1024
    framing: int = 4
    body_s: float = 10.0
    body_rate: int = 1024
    keep_alive_s: float = 15.0
    write_s: float = 30.0
    linger_s: float = 2.0
    linger: int = 1024 * 1024
    pipeline: int = 8
    buffered: int = 32 * 1024 * 1024
    connections: int = 4096
    per_address: int = 512
    in_flight: int = 512
    handshake_s: float = 5.0
    sweep_s: float = 0.5
    drain_s: float = 10.0
    drain_idle_s: float = 0.5
    stop_s: float = 15.0

    def body_of(self, url: bytes) -> int:
        """Give the largest body of a request for ``url``, as it stands in the request line."""
        return self.stats_body if url == _STATS or url.startswith(_STATS + b"?") else self.body


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that no handler gives.

    Attributes:
        reason: One word, for counters and as ``error``.
        status: HTTP status.
        wire: Everything after the status line and the date: headers and body.
        head: The same without the body, for HEAD.
    """

    reason: str
    status: int
    wire: bytes
    head: bytes


def _refusal(reason: str, status: int, message: str, *more: str, closes: bool = True) -> Refusal:
    body = json.dumps({"error": reason, "message": message}, separators=(",", ":")).encode()
    headers = ["content-type: application/json", f"content-length: {len(body)}", *more]
    if closes:
        headers.append("connection: close")
    head = "".join(f"{line}\r\n" for line in headers).encode() + b"\r\n"
    return Refusal(reason, status, head + body, head)


_RETRY = f"retry-after: {RETRY_AFTER_S}"

BAD_REQUEST = _refusal("bad_request", HTTPStatus.BAD_REQUEST, "this is not a well-formed HTTP/1.1 request")
UPGRADE_REFUSED = _refusal("upgrade_refused", HTTPStatus.BAD_REQUEST, "this server speaks HTTP/1.1 only")
METHOD_REFUSED = _refusal(
    "method_not_allowed", HTTPStatus.METHOD_NOT_ALLOWED, "this is no proxy", "allow: DELETE, GET, HEAD, POST, PUT"
)
REQUEST_TIMEOUT = _refusal("request_timeout", HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive")
PAYLOAD_TOO_LARGE = _refusal(
    "payload_too_large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than 64 KiB, or 512 KiB for /stats"
)
ENCODING_REFUSED = _refusal(
    "unsupported_media_type",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "bodies must be sent without a content encoding",
    "accept-encoding: identity",
)
EXPECTATION_FAILED = _refusal("expectation_failed", HTTPStatus.EXPECTATION_FAILED, "only 100-continue can be expected")
HEADERS_TOO_LARGE = _refusal(
    "headers_too_large", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "request line and headers are larger than 8 KiB"
)
TRANSFER_REFUSED = _refusal("not_implemented", HTTPStatus.NOT_IMPLEMENTED, "the only transfer coding is chunked")
VERSION_REFUSED = _refusal("version_refused", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "this server speaks HTTP/1.1 only")
PIPELINE_FULL = _refusal("pipeline_full", HTTPStatus.TOO_MANY_REQUESTS, "too many requests at once on one connection", _RETRY)
BUFFERS_FULL = _refusal("buffers_full", HTTPStatus.SERVICE_UNAVAILABLE, "the server is busy", _RETRY)
CONNECTIONS_FULL = _refusal("connections_full", HTTPStatus.SERVICE_UNAVAILABLE, "the server is busy", _RETRY)
ADDRESS_FULL = _refusal("address_full", HTTPStatus.TOO_MANY_REQUESTS, "too many connections from one address", _RETRY)
BUSY = _refusal("busy", HTTPStatus.SERVICE_UNAVAILABLE, "the server is busy", _RETRY, closes=False)


class Traffic:
    """What goes on in one worker now. Only its event loop touches it.

    Attributes:
        limits: The bounds.
        now: Seconds of the loop's clock, as of the last sweep: coarse, and so cheap.
        refused: How often each reason was given, and ``silent``, ``stalled``, ``handshake`` and ``no_handles`` for
            connections that were dropped.
        connections: Open ones.
        in_flight: Requests that are being answered.
        buffered: Bytes of bodies that are not whole yet.
        is_draining: No new connection is taken, and every answer is the last of its connection.
    """

    __slots__ = ("_by_address", "buffered", "connections", "in_flight", "is_draining", "limits", "now", "refused")

    def __init__(self, limits: Limits, now: float = 0.0) -> None:
        self.limits = limits
        self.now = now
        self.refused: Counter[str] = Counter()
        self.connections = 0
        self.in_flight = 0
        self.buffered = 0
        self.is_draining = False
        self._by_address: dict[str, int] = {}

    def admit(self, address: str | None) -> Refusal | None:
        """Count a new connection in, or say why not. ``address`` None: it is not bounded by its address."""
        if self.connections >= self.limits.connections:
            return self._count(CONNECTIONS_FULL)
        if address is not None:
            held = self._by_address.get(address, 0)
            if held >= self.limits.per_address:
                return self._count(ADDRESS_FULL)
            self._by_address[address] = held + 1
        self.connections += 1
        return None

    def leave(self, address: str | None) -> None:
        """Count a connection out that was admitted."""
        self.connections -= 1
        if address is not None:
            held = self._by_address[address] - 1
            if held:
                self._by_address[address] = held
            else:
                del self._by_address[address]

    def _count(self, refusal: Refusal) -> Refusal:
        self.refused[refusal.reason] += 1
        return refusal
