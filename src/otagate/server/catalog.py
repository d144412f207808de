"""What is served, in memory: channel pointers and the releases that they name, read again every few seconds and verified.

A server answers from here alone, so an update check costs no request to the store, and goes on while the store is away.

* A pointer or statement that does not verify is not served from, also when an older one did: it may say something that only a
  newer version of otagate understands, such as that a release is taken off.
* A store that does not answer, or does not let this server in any more, leaves what was read; after ``max_stale`` nothing is
  served any more, for a rollback may have happened that this server has not heard of. That does not depend on the thread that
  reads: it may hang.
* A pointer whose serial is below one that was read before is a replay, and is not served from.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from otagate._clock import Clock
from otagate.server.interface import AppView
from otagate.server.reading import AppReader
from otagate.server.reading import AppSource as AppSource  # noqa: PLC0414 - what a catalog is made from

LOG = logging.getLogger("otagate.server")
_READERS = 8
"""Channels that are read at once."""


class StoreCatalog:
    """All apps of a server, kept fresh by a thread. See server.interface.Catalog and server.parts.Background.

    Args:
        sources: The apps.
        clock: Time.
        poll: How long to wait between two readings of everything.
        max_stale: So long after the last reading that reached the store its pointers are still served from.
        on_change: Told each time that an app's view changed.
    """

    def __init__(
        self,
        sources: Iterable[AppSource],
        clock: Clock,
        poll: timedelta = timedelta(seconds=2),
        max_stale: timedelta = timedelta(hours=1),
        on_change: Callable[[AppView], None] = lambda _view: None,
    ) -> None:
        self._apps = {str(source.app): AppReader(source) for source in sources}
        self._views: Mapping[str, AppView] = MappingProxyType({})
        self._swap = threading.Lock()
        self._too_old: dict[str, tuple[AppView, AppView]] = {}
        self._clock = clock
        self._poll_s = poll.total_seconds()
        self._max_stale = max_stale
        self._on_change = on_change
        self._pool = ThreadPoolExecutor(_READERS, "catalog")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="catalog", daemon=True)

    def view(self, app: str) -> AppView | None:
        """See Catalog.view."""
        view = self._views.get(app)
        if view is None or self._clock.now() - view.read_at <= self._max_stale:
            return view
        return self._emptied(view)

    def add_known(self, app: str, version: str) -> None:
        """Count events of this version from now on; see learning."""
        self._apps[app].add_known(version)
        with self._swap:
            view = self._views.get(app)
            if view is not None:
                self._views = MappingProxyType({**self._views, app: replace(view, known=view.known | {version})})

    def serves(self, app: str) -> bool:
        """See Catalog.serves."""
        return app in self._apps

    def views(self) -> Sequence[AppView]:
        """Give all apps that could be read."""
        return tuple(view for app in self._views if (view := self.view(app)) is not None)

    def age_s(self, now: datetime) -> float:
        """Give the seconds since the app that was read longest ago was read; infinite while one never was."""
        views = self._views
        if any(app not in views for app in self._apps):
            return float("inf")
        return max(((now - view.read_at).total_seconds() for view in views.values()), default=0.0)

    def start(self) -> None:
        """Read everything once, then go on in a thread."""
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def refresh(self) -> None:
        """Read everything once. Never raises: what could not be read is logged and not served."""
        views = {}
        for name, app in self._apps.items():
            view = self._read(app, self._views.get(name))
            if view is not None:
                views[name] = view
        with self._swap:
            # What was learned while the store was read is not forgotten.
            self._views = MappingProxyType({app: _knowing(view, self._apps[app].known) for app, view in views.items()})

    def _read(self, app: AppReader, before: AppView | None) -> AppView | None:
        try:
            view = app.read(before, self._clock.now(), self._pool)
            if view is not None and (before is None or (view.channels, view.known) != (before.channels, before.known)):
                self._on_change(view)
        except Exception:
            # Whatever it was, the next round may succeed; and one app's trouble must not keep the others from being read.
            LOG.exception("reading the channels failed")
            return before
        return view

    def _emptied(self, view: AppView) -> AppView:
        """Give the view from which nothing is served that stands for one which is too old."""
        app = str(view.app)
        old, empty = self._too_old.get(app, (None, view))
        if old is not view:
            LOG.error("the store of %s was not reached for too long: nothing of it is served", app)
            empty = replace(view, channels=MappingProxyType({}), releases=MappingProxyType({}))
            self._too_old[app] = view, empty
        return empty

    def _go_on(self) -> None:
        while not self._ending.wait(self._poll_s):
            self.refresh()


def _knowing(view: AppView, known: frozenset[str]) -> AppView:
    return view if view.known == known else replace(view, known=known)
