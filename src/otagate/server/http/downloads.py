"""``GET|HEAD /bundles/sha256/<64 hex digits>``: a bundle's bytes when this server has them, or where they are.

Only bundles that a channel names now are given, whatever the client has cached: of one that was rolled back, and of one that
never was, there is nothing. The bytes never change under their name, so they may be cached for ever.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import BinaryIO

from otagate.errors import NotFoundError, OtagateError
from otagate.model import Digest
from otagate.server.http.answer import BAD_RANGE, JSON_HEADERS, NOT_FOUND, OVERLOADED, Answer, Headers, spread
from otagate.server.http.offered import Offered
from otagate.server.http.ranges import Part, Unsatisfiable, is_known, is_same, wanted_part
from otagate.server.http.request import Request
from otagate.server.http.threads import Threads
from otagate.server.interface import Links
from otagate.server.parts import Bundles

LOG = logging.getLogger("otagate.server")
PREFIX = "/bundles/sha256/"
CHUNK_BYTES = 64 * 1024
"""Read and sent at a time; the next piece is read when the client has taken this one."""
_READERS = 8
_HEX = re.compile(r"[0-9a-f]{64}")
_CACHE: Headers = ((b"cache-control", b"public, max-age=31536000, immutable"), (b"accept-ranges", b"bytes"))
_NOT_ALL_AT_ONCE = (5, 30)


class Downloads:
    """Hands bundles out.

    Args:
        bundles: Their bytes, or None: clients are sent to ``links``.
        links: Where they are otherwise.
        offered: Which there are.
        at_once: Downloads under way at most; more are told 503.
    """

    def __init__(self, bundles: Bundles | None, links: Links, offered: Offered, at_once: int) -> None:
        self._bundles = bundles
        self._links = links
        self._offered = offered
        self._at_once = at_once
        self._threads = Threads("download", _READERS, 2 * at_once)
        self.active = 0

    async def answer(self, request: Request, now: datetime, base: str) -> Answer:
        """Answer a request. Raises OtagateError: the store does not answer."""
        name = request.path[len(PREFIX) :]
        if not _HEX.fullmatch(name) or not self._offered.has(name, now):
            return NOT_FOUND.answer()
        digest = Digest(name)
        if self._bundles is None:
            address = await self._threads.run(self._links.address, digest, base)
            return Answer(302, (*JSON_HEADERS[1:], (b"location", address.encode())), note="elsewhere")
        tag = b'"%s"' % name.encode()
        if is_known(request.header(b"if-none-match"), tag):
            return Answer(304, (*_CACHE, (b"etag", tag)), note="known", is_whole=False)
        size = await self._threads.run(self._bundles.size, digest)
        if size is None:
            LOG.error("bundle_missing", extra={"detail": f"a channel names {name}, and the store does not have it"})
            return NOT_FOUND.answer()
        return await self._given(request, self._bundles, digest, size, tag)

    def stop(self) -> None:
        """Let the threads go."""
        self._threads.stop()

    async def _given(self, request: Request, bundles: Bundles, digest: Digest, size: int, tag: bytes) -> Answer:
        part = None
        if request.method == "GET" and is_same(request.header(b"if-range"), tag):
            try:
                part = wanted_part(request.header(b"range"), size)
            except Unsatisfiable:
                return BAD_RANGE.answer(extra=((b"content-range", b"bytes */%d" % size), (b"accept-ranges", b"bytes")))
        whole = Part(0, size)
        headers = [*_CACHE, (b"etag", tag), (b"content-type", b"application/zip")]
        headers.append((b"content-length", b"%d" % (part or whole).length))
        if part is not None:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (part.start, part.start + part.length - 1, size)))
        status = 200 if part is None else 206
        if request.method == "HEAD":
            return Answer(status, headers, note="head", is_whole=False)
        if self.active >= self._at_once:
            return OVERLOADED.answer(retry_after_s=spread(request.peer, *_NOT_ALL_AT_ONCE))
        source = await self._opened(bundles, digest, part or whole)
        return NOT_FOUND.answer() if source is None else Answer(status, headers, source, "whole" if part is None else "part")

    async def _opened(self, bundles: Bundles, digest: Digest, part: Part) -> Pieces | None:
        self.active += 1
        try:
            return Pieces(self, self._threads, *await self._threads.run(_open, bundles, digest, part.start), part.length)
        except NotFoundError:
            self.active -= 1
            return None
        except BaseException:
            self.active -= 1
            raise


def _open(bundles: Bundles, digest: Digest, start: int) -> tuple[AbstractContextManager[BinaryIO], BinaryIO]:
    source = bundles.open(digest, start)
    return source, source.__enter__()  # closed by Pieces


class Pieces:
    """A bundle's bytes as they are taken; :meth:`aclose` must be called.

    Raises:
        OtagateError: While iterating: the store failed, or has less than it said. What was sent is not whole.
    """

    def __init__(
        self,
        owner: Downloads,
        threads: Threads,
        source: AbstractContextManager[BinaryIO],
        stream: BinaryIO,
        length: int,
    ) -> None:
        self._owner, self._threads, self._source, self._stream, self._left = owner, threads, source, stream, length
        self._is_open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._left <= 0:
            raise StopAsyncIteration
        piece = await self._threads.run(self._stream.read, min(CHUNK_BYTES, self._left))
        if not piece:
            raise OtagateError("a bundle ended before its end", "the store")
        self._left -= len(piece)
        return piece

    async def aclose(self) -> None:
        """Close the bundle; more than once is fine."""
        if self._is_open:
            self._is_open = False
            self._owner.active -= 1
            self._threads.forget(lambda: self._source.__exit__(None, None, None))
