"""Releases that a device tells of before this server's next reading of the channels: another server gave them to it.

Without this the events of such a device would not be counted. A version is looked up in the store once, and only a release with
a verified statement becomes known. Whoever makes versions up costs a few small requests to the store a second, and no more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from otagate._clock import Clock
from otagate.errors import OtagateError, UsageError
from otagate.model import Version
from otagate.release.repository import PublishedRelease

LOG = logging.getLogger("otagate.server")
PER_SECOND = 5
"""Lookups of one worker."""
DOUBTED = timedelta(minutes=1)
"""So long a version that is none is not looked up again."""
_KEPT = 1024


class Published(Protocol):
    """The releases of one app; see Releases."""

    def get(self, version: Version) -> PublishedRelease | None:
        """Read and verify one, or give None."""
        ...


class Known(Protocol):
    """What takes in what was learned; see StoreCatalog."""

    def add_known(self, app: str, version: str) -> None:
        """Count events of this version from now on."""
        ...


class Learner:
    """Looks versions up. Safe to use from several threads.

    Args:
        releases: By app.
        known: Told of releases that were found.
        clock: Time.
    """

    def __init__(self, releases: Mapping[str, Published], known: Known, clock: Clock) -> None:
        self._releases = releases
        self._known = known
        self._clock = clock
        self._doubted: dict[tuple[str, str], datetime] = {}
        self._second, self._used = 0, 0
        self._lock = threading.Lock()

    def may_look_up(self, app: str, version: str) -> bool:
        """Tell whether a version is worth a lookup now, and take one of this second's. Does not wait."""
        now = self._clock.now()
        second = int(now.timestamp())
        with self._lock:
            since = self._doubted.get((app, version))
            if since is not None and timedelta(0) <= now - since < DOUBTED:
                return False
            if second != self._second:
                self._second, self._used = second, 0
            if app not in self._releases or self._used >= PER_SECOND or not _is_version(version):
                return False
            self._used += 1
            return True

    def learn(self, app: str, version: str) -> bool:
        """Look a version up; tell whether it is a release, which is known from now on. Waits for the store."""
        try:
            published = self._releases[app].get(Version(version))
        except OtagateError as error:
            LOG.warning("release %s of %s cannot be looked up: %s", version, app, str(error).splitlines()[0])
            published = None
        if published is None:
            with self._lock:
                if len(self._doubted) >= _KEPT:
                    self._doubted.pop(next(iter(self._doubted)))
                self._doubted[app, version] = self._clock.now()
            return False
        self._known.add_known(app, version)
        return True


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except UsageError:
        return False
    return True
