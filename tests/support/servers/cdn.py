"""A caching reverse proxy in front of a plain origin, both on loopback, with the faults that CDNs have.

The proxy keeps what the origin's ``Cache-Control`` lets it keep, whatever is asked for; what it does wrong is switched on by
fields of :class:`Edge`, while it runs.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from threading import Lock
from urllib.parse import unquote, urlsplit

from support.metric_server import serving


@dataclass
class Origin:
    """Objects by path, each with the headers it was stored with."""

    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    requests: int = 0

    def put(self, key: str, body: bytes, cache_control: str = "public, max-age=31536000, immutable") -> None:
        """Store an object."""
        self.objects[f"/{key}"] = (body, {"Cache-Control": cache_control, "Content-Type": "application/octet-stream"})

    def respond(self, request: BaseHTTPRequestHandler, _: bytes) -> None:
        """Answer as a bucket does; it leaves ranges to the CDN."""
        self.requests += 1
        body, headers = self.objects.get(unquote(request.path), (b"no such key", {}))
        request.send_response(200 if headers else 404)
        tag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        for name, value in {**headers, "ETag": tag, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)


@dataclass
class Kept:
    """What the proxy remembers of one path."""

    status: int
    headers: dict[str, str]
    body: bytes
    at: float
    until: float


@dataclass
class Edge:
    """The proxy. Each field is a fault, off at first.

    Attributes:
        origin: The origin's base URL.
        sign: Gives what the origin is asked for instead of a path: a CDN in front of a private bucket has a key of its own.
        keeps_missing: Seconds for which it remembers a 404.
        obeys_no_cache: Whether ``Cache-Control: no-cache`` of a request makes it ask the origin.
        keeps_pointers: It keeps what the origin says not to keep.
        flips: Where a bit is wrong in what it serves, or None.
        cuts: After how many bytes the next answers break off, one number each.
        ranges: Whether it knows ``Range``.
        zips: It compresses, whatever is asked for.
        busy: Status of the next answers, one each, with ``Retry-After: 0``.
        drips: Seconds between the single bytes of a body; 0: none.
        drips_headers: Likewise of the headers, for ever.
        stalls: It says nothing more after so many bytes of a body.
        leads: Where it redirects to, or None.
    """

    origin: str
    sign: Callable[[str], str] = lambda path: path
    keeps_missing: float = 0.0
    obeys_no_cache: bool = True
    keeps_pointers: bool = False
    flips: int | None = None
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    zips: bool = False
    busy: list[int] = field(default_factory=list)
    drips: float = 0.0
    drips_headers: float = 0.0
    stalls: int | None = None
    leads: str | None = None
    asked: list[dict[str, str]] = field(default_factory=list)
    _kept: dict[str, Kept] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def forget(self, paths: list[str]) -> None:
        """Carry out an invalidation."""
        with self._lock:
            for path in paths:
                self._kept.pop(path, None)

    def keep(self, path: str, body: bytes | None) -> None:
        """Have it remember these bytes for an hour, whatever the origin has; None: that there is nothing."""
        headers = {"Cache-Control": "max-age=3600"} if body is not None else {}
        now = time.monotonic()
        with self._lock:
            self._kept[path] = Kept(404 if body is None else 200, headers, body or b"", now, now + 3600)

    def respond(self, request: BaseHTTPRequestHandler, _: bytes) -> None:
        """Answer a device."""
        self.asked.append({name.lower(): value for name, value in request.headers.items()})
        if self.busy:
            self._send(request, self.busy.pop(0), {"Retry-After": "0"}, b"busy")
        elif self.leads is not None:
            self._send(request, 302, {"Location": self.leads}, b"")
        elif self.drips_headers:
            self._drip_headers(request)
        else:
            kept, is_hit = self._find(request)
            headers = dict(kept.headers) | {"X-Cache": "Hit from edge" if is_hit else "Miss from edge"}
            if is_hit:
                headers["Age"] = str(int(time.monotonic() - kept.at) + 1)
            self._serve(request, kept, headers)

    def _find(self, request: BaseHTTPRequestHandler) -> tuple[Kept, bool]:
        path, now = request.path, time.monotonic()
        no_cache = self.obeys_no_cache and "no-cache" in request.headers.get("Cache-Control", "")
        with self._lock:
            kept = self._kept.get(path)
        if kept is not None and kept.until > now and not no_cache:
            return kept, True
        fresh = self._fetch(path)
        if fresh.until > now:
            with self._lock:
                self._kept[path] = fresh
        return fresh, False

    def _fetch(self, path: str) -> Kept:
        host = urlsplit(self.origin).netloc
        connection = http.client.HTTPConnection(host, timeout=10)
        try:
            connection.request("GET", self.sign(path))
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        now = time.monotonic()
        headers = {name: value for name in ("ETag", "Content-Type", "Cache-Control") if (value := response.headers.get(name))}
        control = headers.get("Cache-Control", "")
        found = re.search(r"max-age=(\d+)", control)
        seconds = float(found[1]) if found and "no-cache" not in control else 0.0
        if response.status == 404:
            seconds = self.keeps_missing
        elif self.keeps_pointers:
            seconds = 3600.0
        return Kept(response.status, headers, body, now, now + seconds)

    def _serve(self, request: BaseHTTPRequestHandler, kept: Kept, headers: dict[str, str]) -> None:
        body, status = kept.body, kept.status
        if self.flips is not None and status == 200:
            body = body[: self.flips] + bytes([body[self.flips] ^ 1]) + body[self.flips + 1 :]
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "")) if self.ranges else None
        condition = request.headers.get("If-Range")
        if status == 200 and wanted and condition in {None, headers.get("ETag")}:
            start = int(wanted[1])
            if start >= len(body):
                return self._send(request, 416, {"Content-Range": f"bytes */{len(body)}"}, b"")
            status, headers = 206, headers | {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            body = body[start:]
        elif self.zips:
            body, headers = gzip.compress(body), headers | {"Content-Encoding": "gzip"}
        return self._send(request, status, headers, body)

    def _send(self, request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
        request.protocol_version = "HTTP/1.1"
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if self.cuts and status in {200, 206}:
            request.wfile.write(body[: self.cuts.pop(0)])
            request.close_connection = True
        elif self.stalls is not None:
            request.wfile.write(body[: self.stalls])
            request.rfile.read(1)  # until the other side goes
            request.close_connection = True
        elif self.drips:
            for at in range(len(body)):
                request.wfile.write(body[at : at + 1])
                time.sleep(self.drips)
        else:
            request.wfile.write(body)

    def _drip_headers(self, request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            request.wfile.write(b"x")
            time.sleep(self.drips_headers)


@contextmanager
def cdn(tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, Edge, Origin]]:
    """Run both until the ``with`` body ends; give the CDN's base URL, and the two to change what they do."""
    origin = Origin()
    with serving(origin.respond) as behind:
        edge = Edge(behind)
        with serving(edge.respond, tls) as base:
            yield base, edge, origin


@contextmanager
def cdn_of_bucket(base: str, sign: Callable[[str], str]) -> Iterator[tuple[str, Edge]]:
    """Run a CDN in front of a real bucket; ``sign`` makes of a device's path the path and query that the bucket answers."""
    edge = Edge(base, sign)
    with serving(edge.respond) as public:
        yield public, edge
