"""The store's clock: what all machines that reconcile have in common.

A soak ends at an instant that another machine wrote down. A machine whose clock is fast would end it early, so rollouts go by
the clock of the store where it tells the time, and nothing is exposed where the two are far apart: then one of them is wrong,
and it cannot be told which.

A store in a folder tells no time: it is on one machine, whose files get their times from the very clock that would be compared.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from otagate._clock import Clock
from otagate._text import harmless, span
from otagate.errors import UsageError
from otagate.store.interface import DocumentStore, TellsTime

if TYPE_CHECKING:
    from otagate.flow.workspace import Workspace

MAX_SKEW = timedelta(minutes=5)
"""How far this machine's clock and the store's may be apart. **Source:** as Kerberos has it, RFC 4120 section 1.6."""
_HALF_A_SECOND = timedelta(milliseconds=500)
_AGAIN = timedelta(hours=1)
"""A process that waits through soaks asks again so often."""


class StoreClock:
    """This machine's clock, put right by the store's. See Clock.

    The store is asked when the time is first needed, and every hour from then on. A difference that the question cannot tell
    from none (whole seconds, and how long the answer took) is none.
    """

    def __init__(self, machine: Clock, documents: DocumentStore) -> None:
        """Go by ``machine``, and by what ``documents`` tells of the time, if it does."""
        self._machine = machine
        self._teller = documents if isinstance(documents, TellsTime) else None
        self._offset: timedelta | None = None
        self._asked: datetime | None = None

    def now(self) -> datetime:
        """See Clock.now."""
        offset = self.offset()
        return self._machine.now() + (offset or timedelta(0))

    def sleep(self, seconds: float) -> None:
        """See Clock.sleep."""
        self._machine.sleep(seconds)

    def offset(self) -> timedelta | None:
        """Give how far the store's clock is ahead of this machine's; None when it does not tell."""
        if self._teller is None:
            return None
        now = self._machine.now()
        if self._asked is None or not timedelta(0) <= now - self._asked < _AGAIN:
            self._asked = now
            self._offset = self._ask(self._teller, now)
        return self._offset

    def _ask(self, teller: TellsTime, before: datetime) -> timedelta | None:
        told = teller.time_told()
        if told is None:
            return None
        half_way = (self._machine.now() - before) / 2
        # A told second lies anywhere in it.
        offset = told + _HALF_A_SECOND - (before + half_way)
        return offset if abs(offset) > _HALF_A_SECOND + abs(half_way) else timedelta(0)


def refuse_skew(workspace: Workspace) -> None:
    """Refuse to do what may expose devices while this machine's clock and the store's are more than five minutes apart.

    Raises:
        UsageError: They are.
    """
    skew = _skew(workspace)
    if skew is not None:
        raise skew


def warn_of_skew(workspace: Workspace) -> None:
    """Say that the clocks are apart, where it must not keep anybody from stopping a rollout."""
    skew = _skew(workspace)
    if skew is not None:
        workspace.listener.warn(f"{skew.what}: {skew.subject}, {skew.found}; the store's is used")


def _skew(workspace: Workspace) -> UsageError | None:
    offset = workspace.store_clock.offset()
    if offset is None or abs(offset) <= MAX_SKEW:
        return None
    here = workspace.clock.now()
    place = "the store of documents" if workspace.policy.documents else harmless(workspace.store.where, 200)
    return UsageError(
        "this machine's clock and the store's disagree",
        f"{here:%Y-%m-%d %H:%M:%S} UTC here",
        expected=f"at most {span(MAX_SKEW)} between them",
        found=f"{here + offset:%Y-%m-%d %H:%M:%S} UTC at {place}",
        remedy="set the clock of this machine, and run it again; pause, abort and rollback work all the same",
    )
