"""Telling the places of the policy's ``notify`` what stands in the ledger. It never fails what it tells of.

Each place has a cursor, ``apps/<app>/notified/<name>.json``: how far it was told, since when it fails, and until when somebody
is telling it right now. Who tells takes the cursor by compare-and-swap first, so that several reconciles at once do not say
everything several times. Who finds it taken leaves its news to the other: that one looks at the ledger again after it gave
the cursor back. A killed teller's cursor is free again after two minutes, and what it had sent is sent again, with the same
id: at least once, and in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from itertools import islice

from otagate import _clock
from otagate._text import harmless, span
from otagate.errors import ConflictError, OtagateError, VerificationError
from otagate.flow.told import Cursor, find_cursor, save_cursor
from otagate.flow.workspace import Workspace
from otagate.notify.interface import Notifier
from otagate.notify.message import Happening, compose
from otagate.notify.registry import Wire, open_notifier
from otagate.policy.model.notify import NotifySpec
from otagate.rollout.ledger_entry import LedgerEntry

FAILED, TEST = "notify.failed", "notify.test"
MOST = 40
"""Messages to one place in one run; the others follow at the next reconcile. All gates of a large policy may fail at once, and
what comes of it is told after them."""
BUDGET = timedelta(seconds=30)
"""After so long no further message to a place is begun: telling must not hold a pipeline up."""
PATIENCE = timedelta(hours=24)
"""A place that fails for longer loses, one at each run, messages that are as old: what it hears when it is back is not."""
_PAGE = 100
"""Entries of the ledger that are looked at before the cursor is moved."""
_TAKEN = timedelta(minutes=2)
_MOST_SKEW = timedelta(minutes=10)
"""A cursor that is taken for longer than this was written by a clock that is wrong, and is free."""


@dataclass(frozen=True, slots=True)
class _News:
    """An entry of the ledger; None is one that is damaged."""

    seq: int
    entry: LedgerEntry | None


@contextmanager
def telling(workspace: Workspace, wire: Wire | None = None) -> Iterator[None]:
    """Tell at the end what was done in the ``with``, also when it failed half-way; what cannot be told is warned of."""
    begin(workspace)
    try:
        yield
    except OtagateError:
        tell_and_warn(workspace, wire)
        raise
    tell_and_warn(workspace, wire)


def begin(workspace: Workspace) -> None:
    """Give new places a cursor at the ledger's present end: they hear what happens from now on. Never raises."""
    for spec in workspace.policy.notify:
        try:
            find_cursor(workspace, spec.name)
        except OtagateError as error:
            workspace.listener.warn(_warning(spec, error))


def tell(workspace: Workspace, wire: Wire | None = None) -> list[str]:
    """Send to each place of the policy what it was not told yet, in order. Never raises.

    Args:
        workspace: Where.
        wire: Time and network; for tests.

    Returns:
        A warning for each place that could not be told, and for each message that was given up.
    """
    warnings: list[str] = []
    for spec in workspace.policy.notify:
        teller = _Teller(workspace, spec, wire)
        try:
            teller.run()
        except ConflictError:
            # Somebody else tells it right now, and sees what we would have seen.
            warnings += teller.warnings
            continue
        except OtagateError as error:
            teller.warnings.append(_warning(spec, error))
        warnings += teller.warnings
    return warnings


def tell_and_warn(workspace: Workspace, wire: Wire | None = None) -> None:
    """Tell, and warn of what could not be told. Never raises."""
    for warning in tell(workspace, wire):
        workspace.listener.warn(warning)


def try_place(workspace: Workspace, spec: NotifySpec, wire: Wire | None = None) -> None:
    """Send a test message to one place; the ledger and the place's cursor are not looked at.

    Raises:
        NotifyError: It did not get through.
    """
    now = workspace.clock.now()
    data = {"actor": harmless(workspace.actor), "run": workspace.context.run_url}
    happening = Happening(str(workspace.policy.app), 0, now, TEST, data, _clock.to_text(now))
    open_notifier(spec, workspace.environ, workspace.base, wire=wire).send(compose(happening))


def _warning(spec: NotifySpec, error: OtagateError) -> str:
    found = f": {error.found}" if error.found else ""
    return f"notify {harmless(spec.name)}: {error.what}{found}" + (f"; try: {error.remedy}" if error.remedy else "")


class _Teller:
    """Tells one place what it was not told yet."""

    def __init__(self, workspace: Workspace, spec: NotifySpec, wire: Wire | None) -> None:
        self._workspace, self._spec, self._wire = workspace, spec, wire
        self._end = workspace.clock.now() + BUDGET
        self._left = MOST
        self._notifier: Notifier | None = None
        self._runs: dict[str, str] = {}
        self.warnings: list[str] = []

    def run(self) -> None:
        """Tell, until there is nothing new after the cursor was given back.

        Raises:
            OtagateError: The store does not answer, or the cursor cannot be read.
            ConflictError: Somebody else took the cursor.
        """
        is_done = False
        while not is_done:
            cursor = find_cursor(self._workspace, self._spec.name)
            news = [] if self._is_taken(cursor) else list(islice(self._news(cursor.seq), _PAGE))
            if not news:
                return
            if any(map(self._is_wanted, news)):
                cursor = save_cursor(self._workspace, replace(cursor, taken=self._workspace.clock.now() + _TAKEN))
            cursor, is_done = self._deal(cursor, news)
            save_cursor(self._workspace, replace(cursor, taken=None))

    def _is_taken(self, cursor: Cursor) -> bool:
        now = self._workspace.clock.now()
        return cursor.taken is not None and now < cursor.taken <= now + _MOST_SKEW

    def _news(self, seq: int) -> Iterator[_News]:
        """Give what stands in the ledger after ``seq``; what is damaged is passed, because it never gets better."""
        while True:
            try:
                for entry in self._workspace.ledger.entries(seq):
                    seq = entry.seq
                    yield _News(seq, entry)
            except VerificationError:
                seq += 1
                yield _News(seq, None)
            else:
                return

    def _is_wanted(self, news: _News) -> bool:
        entry = news.entry
        if entry is None or (entry.kind == FAILED and entry.data.get("name") == self._spec.name):
            return False  # a place is not told that it cannot be told
        return any(fnmatchcase(entry.kind, glob) for glob in self._spec.events)

    def _deal(self, cursor: Cursor, news: Sequence[_News]) -> tuple[Cursor, bool]:
        """Send what is wanted; give the cursor after that, and whether nothing more is to be tried in this run."""
        for item in news:
            if item.entry is None:
                self.warnings.append(f"notify {self._spec.name}: entry {item.seq} of the ledger is damaged and was not told")
            elif self._is_wanted(item):
                if self._left == 0 or self._workspace.clock.now() >= self._end:
                    return cursor, True
                self._left -= 1
                try:
                    self._send(item.entry)
                except OtagateError as error:
                    return self._failed(cursor, item.entry, error), True
                cursor = replace(cursor, since=None, missed=0)
            cursor = replace(cursor, seq=item.seq)
        return cursor, False

    def _send(self, entry: LedgerEntry) -> None:
        workspace = self._workspace
        if self._notifier is None:
            self._notifier = open_notifier(self._spec, workspace.environ, workspace.base, wire=self._wire)
        data = {"run": self._run_of(entry), **entry.data}
        happening = Happening(str(workspace.policy.app), entry.seq, entry.at, entry.kind, data, str(entry.digest))
        self._notifier.send(compose(happening))

    def _run_of(self, entry: LedgerEntry) -> str | None:
        """Find the CI run that started the rollout; only its first entry names it."""
        name = entry.data.get("rollout")
        if not isinstance(name, str):
            return None
        if name not in self._runs:
            try:
                stored = self._workspace.rollouts.load(name)
            except OtagateError:
                return None  # a link is good to have, and no reason not to tell
            self._runs[name] = stored.state.origin.get("run", "") if stored else ""
        return self._runs[name] or None

    def _failed(self, cursor: Cursor, entry: LedgerEntry, error: OtagateError) -> Cursor:
        self.warnings.append(_warning(self._spec, error))
        now = self._workspace.clock.now()
        since = cursor.since or now
        # An entry of the time to come was written by a clock that is wrong.
        if now - (max(since, entry.at) if entry.at <= now else since) < PATIENCE:
            return replace(cursor, since=since)
        lost = f"entry {entry.seq} of the ledger ({harmless(entry.kind)}) was given up"
        self.warnings.append(f"notify {self._spec.name}: it has failed for more than {span(PATIENCE)}: {lost}")
        if cursor.missed == 0:
            self._record(entry, error, since, now)
        return replace(cursor, seq=entry.seq, since=since, missed=cursor.missed + 1)

    def _record(self, entry: LedgerEntry, error: OtagateError, since: datetime, now: datetime) -> None:
        """Write into the ledger that messages are lost; once for as long as the place goes on failing."""
        name = self._spec.name
        data = {"name": name, "reason": error.found or error.what, "since": _clock.to_text(since), "first": str(entry.seq)}
        try:
            self._workspace.ledger.append(FAILED, f"notify:{name}:{_clock.to_text(since)}", data, now, since=since)
        except OtagateError as problem:
            self.warnings.append(_warning(self._spec, problem))
