"""Reading objects back through the public address, the way devices get them: usually through a CDN.

Nothing here knows a store: an object is an address below a base, asked for without any identity. What a CDN may do to it and
what becomes of that:

- it still remembers that the object was not there: asked again for some seconds, past its cache;
- it compresses or otherwise encodes: refused, because a digest over other bytes says nothing;
- it ignores ``Range``: what was asked for is cut out of the whole;
- it breaks off: continued where it stopped, unless the object is another one meanwhile;
- it is slow for ever: ended.
"""

from __future__ import annotations

import io
import random
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, urlsplit

from otagate._retry import Again, persist
from otagate._text import harmless
from otagate.errors import NotFoundError, OtagateError, UnavailableError, UsageError
from otagate.store._public_answer import Asked, MissingError, judge
from otagate.store._public_check import Served, served
from otagate.store._public_http import Bounds, Lane, PassingError, RefusedRedirectError, Watch
from otagate.store._public_stream import Live, PublicStream

if TYPE_CHECKING:
    import httpx

__all__ = ["Bounds", "Pace", "PublicReader", "Served"]

_BUFFER_BYTES = 256 * 1024
_PAST_CACHE = {"Cache-Control": "no-cache", "Pragma": "no-cache"}
_DEVICE = {"Accept-Encoding": "gzip, br"}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_MAX_IDLE = 16


@dataclass(frozen=True, slots=True)
class Pace:
    """Time and chance, so that tests need neither: ``sleep`` and ``monotonic`` in seconds, ``jitter`` in [0, 1)."""

    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random


class PublicReader:
    """Reads objects below a public base address. Safe to use from several threads."""

    def __init__(
        self,
        base: str,
        *,
        bounds: Bounds | None = None,
        pace: Pace | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Read below ``base``, ``https://HOST/PATH`` (or http on this machine); nothing is sent yet.

        Proxies and ``SSL_CERT_FILE`` of the environment are used, except on this machine. ``transport`` replaces the network.
        """
        self._base = base.rstrip("/")
        self._bounds, self._pace, self._transport = bounds or Bounds(), pace or Pace(), transport
        parts = urlsplit(self._base)
        self._is_local = parts.scheme == "http" and parts.hostname in _LOOPBACK
        self._idle: list[Lane] = []
        self._lock = threading.Lock()
        self._authorities: ssl.SSLContext | None = None
        # Whoever opens a store does not close it; its connections end with the reader, or with the process.
        self._finalizer = weakref.finalize(self, _close_all, self._idle)

    def url(self, key: str) -> str:
        """Give the address that devices fetch the object from."""
        return f"{self._base}/{quote(key, safe='/~')}"

    def open(self, key: str, start: int = 0, *, limit: int | None = None) -> AbstractContextManager[BinaryIO]:
        """Open an object for streaming reads from byte ``start`` on; at or after the end there is nothing to read.

        The first request is made here, later ones while reading, which may then raise what this does.

        Args:
            key: The object's key, without the base.
            start: The first byte that is wanted.
            limit: The most bytes the whole object may have; ``Bounds.size`` when None.

        Raises:
            NotFoundError: The public address does not give it, although it was asked for some seconds.
            AccessError: The public may not read it.
            VerificationError: It comes encoded, or is larger than the limit.
            UnavailableError: No whole answer after retries; the certificate is wrong; two different objects come in turn.
        """
        return io.BufferedReader(self._stream(key, start, limit), _BUFFER_BYTES)

    def get(self, key: str, limit: int, *, within: float | None = None) -> tuple[bytes, Mapping[str, str]]:
        """Read a small object whole, with the headers it came with (names in any case).

        Args:
            key: The object's key, without the base.
            limit: The most bytes it may have.
            within: Seconds for which it is asked again; as ``Bounds`` says when None. 0 asks once.

        Raises:
            OtagateError: As :meth:`open`.
        """
        with self._stream(key, 0, limit, within) as stream:
            return stream.readall(), stream.headers

    def check_headers(self, key: str, *, is_pointer: bool) -> Served:
        """Look at how an object is served to a device that takes compressed answers; its bytes are not read.

        Raises:
            OtagateError: As :meth:`open`.
        """
        asked = Asked(self.url(key))
        live = self._connect(asked, self._bounds.size, None, extra=_DEVICE)
        headers = live.response.headers
        self._release(live)
        return served(asked.url, headers, is_pointer=is_pointer)

    def close(self) -> None:
        """Close idle connections."""
        self._finalizer()

    def _stream(self, key: str, start: int, limit: int | None, within: float | None = None) -> PublicStream:
        largest = self._bounds.size if limit is None else limit
        return PublicStream(
            Asked(self.url(key), start),
            lambda asked: self._connect(asked, largest, within),
            self._release,
            self._bounds,
            largest,
            pause=self._pause,
            monotonic=self._pace.monotonic,
        )

    def _pause(self, number: int) -> None:
        patience = self._bounds.patience
        self._pace.sleep(min(patience.first * 2**number, patience.longest) * self._pace.jitter())

    def _connect(self, asked: Asked, largest: int, within: float | None, extra: Mapping[str, str] | None = None) -> Live:
        pace, patience, headers = self._pace, self._bounds.patience, {**asked.headers, **(extra or {})}
        until = pace.monotonic() + (self._bounds.missing if within is None else within)
        if within is not None:
            patience = replace(patience, total=within)

        def verdict(error: Exception) -> Again | None:
            if isinstance(error, PassingError):
                return Again(error.after)
            if isinstance(error, MissingError) and pace.monotonic() < until:
                headers.update(_PAST_CACHE)
                return Again()
            return None

        try:
            return persist(
                lambda: self._try(asked, headers, largest, is_for_device=extra is not None),
                verdict,
                patience,
                sleep=pace.sleep,
                monotonic=pace.monotonic,
                jitter=pace.jitter,
            )
        except (PassingError, MissingError, RefusedRedirectError) as error:
            raise _said(error, asked.url) from error

    def _try(self, asked: Asked, headers: Mapping[str, str], largest: int, *, is_for_device: bool) -> Live:
        lane = self._lane()
        watch = Watch(lane)
        try:
            with watch.within(self._bounds.answer):
                response = lane.ask(asked.url, headers)
            seen = response.headers.copy()
            if is_for_device:
                seen.pop("Content-Encoding", None)  # it asked for that
            return Live(lane, watch, response, judge(asked, response.status_code, seen, largest))
        except BaseException:
            watch.close()
            lane.close()
            raise

    def _lane(self) -> Lane:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            if not self._is_local and self._transport is None and self._authorities is None:
                self._authorities = _authorities()
        return Lane(is_local=self._is_local, verify=self._authorities, transport=self._transport)

    def _release(self, live: Live) -> None:
        live.close()
        with self._lock:
            if self._finalizer.alive and len(self._idle) < _MAX_IDLE and not live.watch.has_cut:
                self._idle.append(live.lane)
                return
        live.lane.close()


def _close_all(lanes: list[Lane]) -> None:
    while lanes:
        lanes.pop().close()


def _authorities() -> ssl.SSLContext:
    import httpx  # noqa: PLC0415 - only who reads over HTTP pays for it

    try:
        return httpx.create_ssl_context()
    except OSError as error:
        remedy = "mend or unset SSL_CERT_FILE and SSL_CERT_DIR"
        raise UsageError("the certificate authorities cannot be read", found=harmless(str(error)), remedy=remedy) from error


def _said(error: PassingError | MissingError | RefusedRedirectError, url: str) -> OtagateError:
    if isinstance(error, MissingError):
        return NotFoundError(
            "the public address does not give the object, wherever it is stored",
            url,
            found=error.found,
            remedy="check public= in the storage URL and the CDN's origin path; let the CDN not remember 404 (docs/cdn.md)",
        )
    if isinstance(error, RefusedRedirectError):
        remedy = "write the final address into public= of the storage URL"
        return UnavailableError("the public address leads elsewhere", url, "the object", str(error), remedy)
    remedy = "look at the state of the CDN, and try again"
    return UnavailableError("the public address does not answer", url, found=error.found, remedy=remedy)
