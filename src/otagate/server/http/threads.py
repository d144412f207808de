"""Blocking work beside the event loop, with a bound on how much of it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from otagate.server.http.answer import OVERLOADED

_P = ParamSpec("_P")
_T = TypeVar("_T")
RETRY_S = 5


class Threads:
    """A few threads, and a queue in front of them that is refused when it is long.

    Args:
        name: For people who look at the process.
        threads: How many.
        waiting: How much may be under way or wait, in all.
        patience_s: So long a client is kept waiting; None: until it is done.
    """

    def __init__(self, name: str, threads: int, waiting: int, patience_s: float | None = None) -> None:
        self._pool = ThreadPoolExecutor(threads, name)
        self._room = waiting
        self._patience_s = patience_s

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a function in a thread.

        Raises:
            Refused: 503: too much waits already, or it takes too long; then it goes on to its end all the same.
        """
        if self._room <= 0:
            raise OVERLOADED.refusal(retry_after_s=RETRY_S)
        self._room -= 1
        # Given back when the thread is done, not when the client went away: the work goes on without it.
        future = asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args, **kwargs))
        future.add_done_callback(self._done)
        patience = asyncio.timeout(self._patience_s)
        try:
            async with patience:
                return await asyncio.shield(future)
        except TimeoutError:
            if patience.expired():
                raise OVERLOADED.refusal(retry_after_s=RETRY_S) from None
            raise

    def _done(self, future: asyncio.Future[_T]) -> None:
        self._room += 1
        if not future.cancelled():
            future.exception()  # looked at: who waited for it may be gone

    def forget(self, function: Callable[[], object]) -> None:
        """Run a function in a thread, some time; what comes of it is nobody's business."""
        self._pool.submit(function)

    def stop(self) -> None:
        """Take nothing more; what runs goes on to its end."""
        self._pool.shutdown(wait=False, cancel_futures=False)
