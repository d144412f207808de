"""Retention: one thread that has the database forget what is older than it may be, every hour."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from otagate._clock import Clock
from otagate.errors import OtagateError
from otagate.telemetry.interface import Telemetry

EVERY_S = 3600.0
PAUSE_S = 0.2
"""Rest between two chunks, for those who wait to write."""
STOP_S = 5.0

_log = logging.getLogger(__name__)


class Keeper:
    """Has ``telemetry`` forget everything older than ``keep``, at the start and then every hour.

    Several servers may run one each: what one removed is not there for the next.

    Args:
        telemetry: What forgets.
        keep: How long things are kept.
        clock: Time.
        every_s: Seconds between two rounds.
        pause_s: Seconds between two chunks of a round.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        keep: timedelta,
        clock: Clock,
        *,
        every_s: float = EVERY_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._telemetry, self._keep, self._clock = telemetry, keep, clock
        self._every_s, self._pause_s = every_s, pause_s
        self._is_ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first round goes on beside."""
        self._thread = threading.Thread(target=self._work, name="otagate-keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the chunk that is being removed."""
        self._is_ending.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def round(self) -> int:
        """Remove everything that is due; give how many rows went. A database that does not answer is tried an hour later."""
        before, gone = self._clock.now() - self._keep, 0
        try:
            while chunk := self._telemetry.forget(before):
                gone += chunk
                if self._is_ending.wait(self._pause_s):
                    break
        except OtagateError as error:
            _log.warning("old telemetry was not removed: %s", error)
        return gone

    def _work(self) -> None:
        while True:
            if gone := self.round():
                _log.info("%d rows of old telemetry were removed", gone)
            if self._is_ending.wait(self._every_s):
                return
