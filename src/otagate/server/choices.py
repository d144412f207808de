"""Channels of single devices, in memory: what the database says, read again every few seconds.

An update check must not wait for a database. An entry costs some 150 bytes; overrides of operators are few, and devices that
chose a channel on the server are those with plugins older than 5.34, 6.34 and 7.34: newer ones keep their choice themselves.
Device ids can be made up, so there is a bound on how many devices may choose.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from otagate.errors import OtagateError, UnavailableError
from otagate.server.interface import Assign
from otagate.telemetry.interface import CHOSEN, OVERRIDE, Assignment, Telemetry

LOG = logging.getLogger("otagate.server")
MOST = 250_000
"""Devices with a channel of their own; beyond it none can choose one any more. Some 40 MB in each worker."""
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
        # What was chosen here since the last reading began: that may have seen the database as it was before.
        self._made_here: dict[tuple[str, bytes], int] = {}
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
            UnavailableError: The database does not answer, or there are too many such devices.
        """
        key = (assign.app, assign.device)
        if assign.channel is not None and len(self._of) >= MOST and key not in self._of:
            raise UnavailableError(
                "too many devices have a channel of their own",
                expected=f"at most {MOST}",
                remedy="old telemetry is forgotten in time (--keep); look for an app that makes device ids up",
            )
        assignment = self._telemetry.assign(assign.app, assign.device, CHOSEN, assign.channel, at)
        with self._lock:
            self._made_here[key] = assignment.seq
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
            self._forget_made_here()
            while page := self._telemetry.assignments(self._seq, _PAGE):
                with self._lock:
                    for assignment in page:
                        made_here = self._made_here.get((assignment.app, assignment.device), 0)
                        if assignment.kind == OVERRIDE or assignment.seq >= made_here:
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

    def _forget_made_here(self) -> None:
        with self._lock:
            self._made_here = {key: seq for key, seq in self._made_here.items() if seq > self._seq}

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
