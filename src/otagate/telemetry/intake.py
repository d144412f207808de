"""Group commit: observations of many requests in one transaction, in a thread beside the event loop, with bounded memory."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from otagate.errors import OtagateError, UnavailableError
from otagate.telemetry.intake_stats import IntakeStats as IntakeStats  # noqa: PLC0414 - who counts looks here
from otagate.telemetry.interface import IntakeFullError, Telemetry
from otagate.telemetry.model import Observation
from otagate.telemetry.recent import Recent
from otagate.telemetry.salvage import record_all

LIMIT = 20_000
"""Observations that may wait."""
LATER_LIMIT = 10_000
"""Observations that may wait for one that nobody waits for to be taken."""
GROUP = 1_000
"""Observations in one transaction; one more request's when the last one goes over it."""
GATHER_S = 0.005
"""How long a transaction waits for others after its first observation, in seconds."""
STOP_S = 10.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Waiting:
    """One request's observations in the queue; ``done`` is None when nobody waits."""

    observations: Sequence[Observation]
    done: asyncio.Future[None] | None


class ThreadIntake:
    """See otagate.server.interface.Intake. Used from one event loop; :meth:`start` before, :meth:`stop` after it serves.

    Args:
        telemetry: Where it goes.
        limit: Observations that may wait; beyond it clients are told to come again.
        later_limit: Observations that may wait while those for later are still taken.
        group: Observations in one transaction.
        gather_s: How long a transaction waits for more.
        recent: What was told lately.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        *,
        limit: int = LIMIT,
        later_limit: int = LATER_LIMIT,
        group: int = GROUP,
        gather_s: float = GATHER_S,
        recent: Recent | None = None,
    ) -> None:
        self._telemetry, self._limit, self._later_limit = telemetry, limit, later_limit
        self._group, self._gather_s = group, gather_s
        self._recent = Recent() if recent is None else recent
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_open = False
        # Each number is written by one thread only: these by the event loop's, the others by the worker.
        self._taken = self._refused = self._dropped = self._known = 0
        self._flushed = self._failed = self._flushes = 0
        self._flush_s = self._last_flush_s = 0.0

    @property
    def stats(self) -> IntakeStats:
        """Give what it did so far."""
        return IntakeStats(
            depth=self._depth,
            taken=self._taken,
            flushed=self._flushed,
            failed=self._failed,
            refused=self._refused,
            dropped=self._dropped,
            known=self._known,
            flushes=self._flushes,
            flush_s=self._flush_s,
            last_flush_s=self._last_flush_s,
        )

    def start(self) -> None:
        """Begin to take things in."""
        self._thread = threading.Thread(target=self._work, name="otagate-intake", daemon=True)
        self._is_open = True
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more, record what waits, and end; gives up after ``STOP_S``."""
        self._is_open = False
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(STOP_S)
            if self._thread.is_alive():
                _log.error("the database did not take %d observations in time before the end", self._depth)
            self._thread = None

    async def durable(self, observations: Sequence[Observation]) -> None:
        """See Intake.durable.

        Raises:
            IntakeFullError: There is no room.
            UnavailableError: The database does not take them, or the server is ending.
        """
        if not observations:
            return
        self._require_open()
        if self._depth + len(observations) > self._limit:
            self._refused += len(observations)
            raise IntakeFullError
        self._recent.changed(observations)
        done = self._running_loop().create_future()
        self._put(Waiting(observations, done))
        await done

    def later(self, observations: Sequence[Observation]) -> bool:
        """See Intake.later; True also when the same was told last of the device."""
        if not observations:
            return True
        if not self._is_open or self._depth + len(observations) > self._later_limit:
            self._dropped += len(observations)
            return False
        self._running_loop()
        if self._recent.is_told(observations):
            self._known += len(observations)
            return True
        self._put(Waiting(observations, None))
        return True

    @property
    def _depth(self) -> int:
        return self._taken - self._flushed - self._failed

    def _require_open(self) -> None:
        if not self._is_open:
            raise UnavailableError("nothing is taken in", "telemetry", found="the server is ending", remedy="ask again")

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def _put(self, waiting: Waiting) -> None:
        self._taken += len(waiting.observations)
        self._queue.put(waiting)

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            group, is_last = self._gathered(first)
            is_last |= self._flush(group)
            if is_last:
                return

    def _gathered(self, first: Waiting) -> tuple[list[Waiting], bool]:
        """Give what is recorded together, and whether the end was announced behind it."""
        group, count, end = [first], len(first.observations), time.monotonic() + self._gather_s
        while count < self._group:
            try:
                waiting = self._queue.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return group, False
            if waiting is None:
                return group, True
            group.append(waiting)
            count += len(waiting.observations)
        return group, False

    def _flush(self, group: list[Waiting]) -> bool:
        """Record a group, and tell. When the database is away, those behind it are told so, too: it was waited for already.

        Those are who came before anybody was told: whoever comes after may find the database back. Gives whether the end was
        announced behind them.
        """
        start = time.monotonic()
        salvaged = record_all(self._record, [waiting.observations for waiting in group])
        self._last_flush_s = time.monotonic() - start
        self._flush_s += self._last_flush_s
        self._flushes += 1
        away = salvaged.failures[0] if salvaged.is_away else None
        behind, is_last = self._behind() if away is not None else ([], False)
        self._settle([*group, *behind], [*salvaged.failures, *[away] * len(behind)])
        return is_last

    def _behind(self) -> tuple[list[Waiting], bool]:
        """Take all that wait, and whether the end was announced behind them."""
        group: list[Waiting] = []
        while True:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return group, False
            if waiting is None:
                return group, True
            group.append(waiting)

    def _settle(self, group: list[Waiting], failures: Sequence[OtagateError | None]) -> None:
        for waiting, failure in zip(group, failures, strict=True):
            if failure is None:
                self._flushed += len(waiting.observations)
            else:
                self._failed += len(waiting.observations)
        self._tell(group, failures)

    def _record(self, observations: Sequence[Observation]) -> None:
        try:
            self._telemetry.record(observations)
        except OtagateError:
            raise
        except Exception as error:  # a fault of ours must not end the thread that everybody waits for
            _log.exception("a batch of %d observations could not be recorded", len(observations))
            raise UnavailableError("what devices told cannot be recorded", found=type(error).__name__) from error

    def _tell(self, group: list[Waiting], failures: Sequence[OtagateError | None]) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        try:
            loop.call_soon_threadsafe(self._told, group, failures)
        except RuntimeError:  # it was closed just now: nobody waits any more
            _log.debug("the event loop ended before it was told of a flush")

    def _told(self, group: list[Waiting], failures: Sequence[OtagateError | None]) -> None:
        """Wake those who wait; in the event loop."""
        for waiting, failure in zip(group, failures, strict=True):
            if failure is not None:
                self._recent.clear()
            if waiting.done is None or waiting.done.done():  # done: the client went away
                continue
            if failure is None:
                waiting.done.set_result(None)
            else:
                waiting.done.set_exception(failure)
