"""Channels of single devices, in memory: what the database says, read again every few seconds.

An update check must not wait for a database. An entry costs some 150 bytes; overrides of operators are few, and devices that
chose a channel on the server are those with plugins older than 5.34, 6.34 and 7.34: newer ones keep their choice themselves.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from otagate.errors import OtagateError
from otagate.server.interface import Assign
from otagate.telemetry.interface import CHOSEN, OVERRIDE, Assignment, Telemetry

LOG = logging.getLogger("otagate.server")
_PAGE = 10_000
_NONE = (None, None)


class PolledChoices:
    """See server.interface.Choices and server.parts.Background.

    Args:
        telemetry: Where assignments are kept.
        poll: How long another server's change may go unseen.
    """

    def __init__(self, telemetry: Telemetry, poll: timedelta = timedelta(seconds=2)) -> None:
        self._telemetry = telemetry
        self._poll_s = poll.total_seconds()
        self._seq = 0
        self._of: dict[tuple[str, bytes], tuple[str | None, str | None]] = {}
        self._lock = threading.Lock()
        self._has_failed = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="choices", daemon=True)

    def of(self, app: str, device: bytes) -> tuple[str | None, str | None]:
        """See Choices.of."""
        return self._of.get((app, device), _NONE)

    def __len__(self) -> int:
        return len(self._of)

    def choose(self, assign: Assign, at: datetime) -> None:
        """Make a device's own choice durable, and known here at once.

        Raises:
            UnavailableError: The database does not answer.
        """
        assignment = self._telemetry.assign(assign.app, assign.device, CHOSEN, assign.channel, at)
        with self._lock:
            self._put(assignment)

    def start(self) -> None:
        """Read everything, then go on in a thread."""
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def refresh(self) -> None:
        """Read what changed since. Never raises: a database that is away leaves what was read."""
        try:
            while page := self._telemetry.assignments(self._seq, _PAGE):
                with self._lock:
                    for assignment in page:
                        self._put(assignment)
                self._seq = page[-1].seq
                if len(page) < _PAGE:
                    break
        except OtagateError as error:
            if not self._has_failed:
                LOG.error("channels of single devices cannot be read: %s", str(error).splitlines()[0])  # noqa: TRY400 - no bug
            self._has_failed = True
        else:
            self._has_failed = False

    def _put(self, assignment: Assignment) -> None:
        key = (assignment.app, assignment.device)
        override, chosen = self._of.get(key, _NONE)
        if assignment.kind == OVERRIDE:
            override = assignment.channel
        else:
            chosen = assignment.channel
        if override is None and chosen is None:
            self._of.pop(key, None)
        else:
            self._of[key] = (override, chosen)

    def _go_on(self) -> None:
        while not self._ending.wait(self._poll_s):
            self.refresh()
