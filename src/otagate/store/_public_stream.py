"""An object's bytes as a stream that survives a connection that breaks."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from otagate.errors import UnavailableError
from otagate.store._public_answer import Answer, Asked, too_large
from otagate.store._public_http import Bounds, Lane, PassingError, Watch, saying

if TYPE_CHECKING:
    import httpx
    from _typeshed import WriteableBuffer

_FORGIVEN_BYTES = 1024 * 1024
"""Whoever delivers so much between two breaks is making progress."""
_MAX_BREAKS = 8


@dataclass
class Live:
    """An answer whose body is coming."""

    lane: Lane
    watch: Watch
    response: httpx.Response
    answer: Answer
    pieces: Iterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the body as it comes over the wire."""
        self.pieces = self.response.iter_raw()

    def close(self) -> None:
        """End the answer; the lane can be used again."""
        self.response.close()
        self.watch.close()


class Connect(Protocol):
    """Asks for the rest of an object, as often as it takes, and gives the answer."""

    def __call__(self, asked: Asked) -> Live:
        """Ask."""
        ...


class PublicStream(io.RawIOBase):
    """The bytes of an object from ``asked.start`` on.

    Reading raises UnavailableError (broken for good, too slow, or another object by now), VerificationError (too large), and
    what asking again for the rest ends with.
    """

    def __init__(
        self,
        asked: Asked,
        connect: Connect,
        release: Callable[[Live], None],
        bounds: Bounds,
        largest: int,
        *,
        pause: Callable[[int], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask for the object.

        Args:
            asked: What is wanted.
            connect: Asks.
            release: Takes back a live answer that is not needed any more.
            bounds: What it may cost.
            largest: The most bytes the whole object may have.
            pause: Waits before the n-th try after a break.
            monotonic: A clock in seconds.
        """
        super().__init__()
        self._url, self._position = asked.url, asked.start
        self._connect, self._release, self._bounds, self._largest = connect, release, bounds, largest
        self._pause, self._monotonic = pause, monotonic
        self._left = memoryview(b"")
        self._spent = self._window_spent = 0.0
        self._window_bytes = self._since_break = self._breaks = 0
        self._live: Live | None = connect(asked)
        self._first = self._live.answer
        self.headers: Mapping[str, str] = self._live.response.headers
        self._skip, self._is_done = self._first.skip, self._first.is_empty

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read some bytes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if not self._left:
            self._left = memoryview(self._next())
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        """Give back the connection."""
        if not self.closed:
            self._drop()
        super().close()

    def _next(self) -> bytes:
        while not self._is_done:
            try:
                piece = self._pull()
            except PassingError as problem:
                self._resume(problem)
                continue
            if piece is None:
                self._is_done = True
                self._drop()
            elif piece:
                return piece
        return b""

    def _pull(self) -> bytes | None:
        """Give what comes next, without what was not asked for; None at the end."""
        if self._live is None:
            return None
        began = self._monotonic()
        try:
            with saying(self._url), self._live.watch.within(self._bounds.answer):
                piece = next(self._live.pieces, None)
        finally:
            self._account(self._monotonic() - began)
        if piece is None:
            total = self._first.total
            if total is not None and self._position < total:
                raise PassingError(f"the answer ended after {self._position} of {total} bytes")
            return None
        self._window_bytes += len(piece)
        cut = min(self._skip, len(piece))
        self._skip -= cut
        piece = piece[cut:]
        self._position += len(piece)
        self._since_break += len(piece)
        if self._position > self._largest:
            raise too_large(self._url, self._largest, "more")
        self._check_speed()
        return piece

    def _account(self, seconds: float) -> None:
        self._spent += seconds
        self._window_spent += seconds

    def _check_speed(self) -> None:
        if self._spent > self._bounds.total:
            raise self._failed(f"{self._position} bytes in {self._spent:.0f}s")
        if self._window_spent >= self._bounds.window:
            speed = self._window_bytes / self._window_spent
            self._window_spent, self._window_bytes = 0.0, 0
            if speed < self._bounds.slowest:
                raise self._failed(f"{speed:.0f} bytes/s, and {self._bounds.slowest} are the least that is waited for")

    def _resume(self, problem: PassingError) -> None:
        self._drop()
        if self._position == self._first.total:
            self._is_done = True
            return
        self._breaks = 1 if self._since_break >= _FORGIVEN_BYTES else self._breaks + 1
        self._since_break = 0
        if self._breaks > _MAX_BREAKS or self._spent > self._bounds.total:
            raise self._failed(f"{problem.found}, after {self._position} bytes ({self._breaks} breaks)") from problem
        self._pause(self._breaks)
        self._live = self._connect(Asked(self._url, self._position, self._first.etag, self._first.total))
        self._skip, self._is_done = self._live.answer.skip, self._live.answer.is_empty

    def _drop(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            self._release(live)

    def _failed(self, found: str) -> UnavailableError:
        remedy = "look at the state of the CDN, and try again"
        return UnavailableError("the object does not come whole from the public address", self._url, found=found, remedy=remedy)
