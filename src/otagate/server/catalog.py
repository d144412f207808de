"""What is served, in memory: channel pointers and the releases that they name, read again every few seconds and verified.

A server answers from here alone, so an update check costs no request to the store, and goes on while the store is away.

* A pointer or statement that does not verify is not served from, also when an older one did: it may say something that only a
  newer version of otagate understands, such as that a release is taken off.
* A store that does not answer leaves what was read; after ``max_stale`` nothing is served any more, for a rollback may have
  happened that this server has not heard of.
* A pointer whose serial is below one that was read before is a replay, and is not served from.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from otagate._clock import Clock
from otagate.channel.interface import ChannelReading
from otagate.errors import OtagateError, UnavailableError
from otagate.model import AppId, ChannelName, ChannelState, Release, ReleaseRef
from otagate.policy.model import ServerSpec
from otagate.release.repository import PublishedRelease
from otagate.server.interface import AppView, ChannelView

LOG = logging.getLogger("otagate.server")
_READERS = 8
"""Channels that are read at once."""


class PointerReader(Protocol):
    """The reading half of the channels; see HostedChannels."""

    def names(self) -> list[ChannelName]:
        """List the channels."""
        ...

    def read(self, name: ChannelName) -> ChannelReading | None:
        """Read and verify one."""
        ...


class ReleaseReader(Protocol):
    """The reading half of the releases; see Releases."""

    def resolve(self, ref: ReleaseRef) -> PublishedRelease:
        """Read and verify the release that a pointer names."""
        ...


@dataclass(frozen=True, slots=True)
class AppSource:
    """Where one app is read from.

    Attributes:
        app: The app.
        rules: Of its policy.
        is_signed: See AppView.
        channels: Its pointers.
        releases: Its statements.
        remembered: Versions that telemetry has counted before, of channels that are gone, too.
    """

    app: AppId
    rules: ServerSpec
    is_signed: bool
    channels: PointerReader
    releases: ReleaseReader
    remembered: frozenset[str] = frozenset()


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
        self._apps = {str(source.app): _App(source) for source in sources}
        self._views: Mapping[str, AppView] = MappingProxyType({})
        self._clock = clock
        self._poll_s = poll.total_seconds()
        self._max_stale = max_stale
        self._on_change = on_change
        self._pool = ThreadPoolExecutor(_READERS, "catalog")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="catalog", daemon=True)

    def view(self, app: str) -> AppView | None:
        """See Catalog.view."""
        return self._views.get(app)

    def views(self) -> Sequence[AppView]:
        """Give all apps that could be read."""
        return tuple(self._views.values())

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
            before = self._views.get(name)
            now = self._clock.now()
            view = app.read(before, now, self._pool)
            if view is not None and view.channels and now - view.read_at > self._max_stale:
                LOG.error("the store of %s was not reached for too long: nothing of it is served", name)
                view = replace(view, channels=MappingProxyType({}), releases=MappingProxyType({}))
            if view is not None:
                views[name] = view
                if before is None or (view.channels, view.known) != (before.channels, before.known):
                    self._on_change(view)
        self._views = MappingProxyType(views)

    def _go_on(self) -> None:
        while not self._ending.wait(self._poll_s):
            try:
                self.refresh()
            except Exception:
                # Whatever it was, the next round may succeed; without one the server would serve what it has for ever.
                LOG.exception("reading the channels failed")


class _App:
    """One app's pointers and releases between two readings. Used by one thread at a time."""

    def __init__(self, source: AppSource) -> None:
        self._source = source
        self._serials: dict[ChannelName, int] = {}
        # By the whole reference, so that a statement which was verified for one pointer never stands for another's.
        self._releases: dict[ReleaseRef, Release] = {}
        self._known = source.remembered
        self._told: dict[str, str] = {}

    def read(self, before: AppView | None, now: datetime, pool: ThreadPoolExecutor) -> AppView | None:
        try:
            names = self._source.channels.names()
            readings = dict(zip(names, pool.map(self._pointer, names), strict=True))
            states = {name: reading for name, reading in readings.items() if reading is not None}
            releases = self._named(reading.state for reading in states.values())
        except UnavailableError as error:
            self._tell("store", error)
            return before
        self._told.pop("store", None)
        self._known = self._known.union(*(_versions(reading.state) for reading in states.values()))
        return AppView(
            app=self._source.app,
            rules=self._source.rules,
            is_signed=self._source.is_signed,
            channels=MappingProxyType({str(name): ChannelView(one.state, one.expires) for name, one in states.items()}),
            releases=MappingProxyType(releases),
            known=self._known,
            read_at=now,
        )

    def _pointer(self, name: ChannelName) -> ChannelReading | None:
        try:
            reading = self._source.channels.read(name)
        except UnavailableError:
            raise
        except OtagateError as error:
            self._tell(f"channel {name}", error)
            return None
        if reading is None:
            return None
        if reading.state.serial < self._serials.get(name, 0):
            self._say(
                f"channel {name}", f"serial {reading.state.serial} is below {self._serials[name]}, which was served before"
            )
            return None
        self._serials[name] = reading.state.serial
        self._told.pop(f"channel {name}", None)
        return reading

    def _named(self, states: Iterable[ChannelState]) -> dict[str, Release]:
        refs = {ref for state in states for ref in _served(state)}
        found = {}
        for ref in refs:
            release = self._releases.get(ref) or self._resolve(ref)
            if release is not None:
                found[ref] = release
        self._releases = found
        versions: dict[str, Release] = {}
        for ref, release in found.items():
            if versions.setdefault(str(ref.version), release) is not release:
                # Two pointers name one version with different statements: one of them is wrong, and we cannot tell which.
                self._say(f"release {ref.version}", "two channels name different statements for it")
                versions.pop(str(ref.version))
        return versions

    def _resolve(self, ref: ReleaseRef) -> Release | None:
        try:
            release = self._source.releases.resolve(ref).release
        except UnavailableError:
            raise
        except OtagateError as error:
            self._tell(f"release {ref.version}", error)
            return None
        self._told.pop(f"release {ref.version}", None)
        # Up to 20,000 files a bundle, which nobody here asks for.
        return replace(release, bundle=replace(release.bundle, files=()), provenance={})

    def _tell(self, subject: str, error: OtagateError) -> None:
        self._say(subject, str(error).splitlines()[0])

    def _say(self, subject: str, problem: str) -> None:
        """Log a problem once, not every two seconds."""
        if self._told.get(subject) != problem:
            self._told[subject] = problem
            LOG.error("%s of %s is not served: %s", subject, self._source.app, problem)


def _served(state: ChannelState) -> tuple[ReleaseRef, ...]:
    candidate = () if state.candidate is None else (state.candidate.release,)
    return candidate if state.stable is None else (state.stable, *candidate)


def _versions(state: ChannelState) -> frozenset[str]:
    refs = (*_served(state), *(ref for ref in state.previous if ref is not None))
    withdrawn = () if state.withdrawn is None else (str(state.withdrawn),)
    return frozenset((*(str(ref.version) for ref in refs), *(str(version) for version in state.blocked), *withdrawn))
