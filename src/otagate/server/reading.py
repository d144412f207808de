"""One app as a server reads it: its pointers and the releases that they name, each verified. See catalog."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from otagate.channel.interface import ChannelReading
from otagate.errors import OtagateError, UnavailableError
from otagate.model import AppId, ChannelName, ChannelState, Release, ReleaseRef
from otagate.policy.model.server import ServerSpec
from otagate.release.repository import PublishedRelease
from otagate.server.interface import AppView, ChannelView

LOG = logging.getLogger("otagate.server")


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


class AppReader:
    """One app's pointers and releases between two readings. Used by one thread at a time."""

    def __init__(self, source: AppSource) -> None:
        self._source = source
        self._serials: dict[ChannelName, int] = {}
        # By the whole reference, so that a statement which was verified for one pointer never stands for another's.
        self._releases: dict[ReleaseRef, Release] = {}
        self._known = source.remembered
        self._lock = threading.Lock()
        self._told: dict[str, str] = {}

    @property
    def known(self) -> frozenset[str]:
        """Every version that telemetry is counted for."""
        return self._known

    def add_known(self, version: str) -> None:
        """Keep a version among those that telemetry is counted for; from any thread."""
        with self._lock:
            self._known |= {version}

    def read(self, before: AppView | None, now: datetime, pool: ThreadPoolExecutor) -> AppView | None:
        """Read everything of the app; give ``before`` when the store does not let us."""
        try:
            names = self._source.channels.names()
            _refuse_vanished(names, before)
            readings = dict(zip(names, pool.map(self._pointer, names), strict=True))
            states = {name: reading for name, reading in readings.items() if reading is not None}
            releases = self._named(reading.state for reading in states.values())
        except OtagateError as error:
            # Also a list that may not be read any more: what one pointer or statement is refused for never comes here.
            self._tell("store", error)
            return before
        self._told.pop("store", None)
        if names:
            self._told.pop("channels", None)
        else:
            self._say("channels", "the store names none: is it the right place, and is it mounted?")
        with self._lock:
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


def _refuse_vanished(names: Sequence[ChannelName], before: AppView | None) -> None:
    """Refuse a store that has lost all channels at once: no verb does that, but a disk that is not mounted looks like it."""
    if not names and before is not None and before.channels:
        raise UnavailableError("the store names no channel any more", str(before.app), remedy="look whether it is mounted")


def _served(state: ChannelState) -> tuple[ReleaseRef, ...]:
    candidate = () if state.candidate is None else (state.candidate.release,)
    return candidate if state.stable is None else (state.stable, *candidate)


def _versions(state: ChannelState) -> frozenset[str]:
    refs = (*_served(state), *(ref for ref in state.previous if ref is not None))
    withdrawn = () if state.withdrawn is None else (str(state.withdrawn),)
    return frozenset((*(str(ref.version) for ref in refs), *(str(version) for version in state.blocked), *withdrawn))
