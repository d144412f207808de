"""The port of telemetry: what devices tell goes in, counts for gates come out. Its one adapter is SQL, over two engines.

Errors of every method: ``UnavailableError`` (the database does not answer, or has no room), ``VerificationError`` (what
stands in it cannot be). Nothing else leaves it. Methods are safe to call from several threads and processes at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from otagate.errors import VerificationError
from otagate.telemetry.model import Counts, Observation

OVERRIDE = "override"
"""Set by an operator; wins over what the device chose."""
CHOSEN = "chosen"
"""Set by the device itself (``channel_self``)."""


class RowsRefusedError(VerificationError):
    """The database is well, but does not take these rows: without the bad one among them the rest may pass."""


class IntakeFullError(Exception):
    """The queue in front of telemetry is full: the client is told 503 with Retry-After."""


@dataclass(frozen=True, slots=True)
class CountQuery:
    """Which devices to count.

    Attributes:
        app: App id.
        release: Version.
        start: Devices that were first seen with the release from here on; rounded down to a bucket.
        end: ... and before here; rounded down to a bucket, so that only closed buckets count.
        channel: Only those that followed it then, or None for all.
        platform: ``ios``, ``android``, ``electron``, or None.
        plugin: ``major.minor.patch``, or None.
        test: Emulators and development builds instead of real devices.
    """

    app: str
    release: str
    start: datetime
    end: datetime
    channel: str | None = None
    platform: str | None = None
    plugin: str | None = None
    test: bool = False


@dataclass(frozen=True, slots=True)
class Active:
    """So many real devices were last seen following ``channel`` and running ``release``.

    ``builtin``: the native bundle; ``""``: they did not tell.
    """

    channel: str
    release: str
    platform: str
    devices: int


@dataclass(frozen=True, slots=True)
class Heard:
    """So many real devices that followed ``channel`` were heard in the hour that begins at ``at``; each counts once an hour."""

    at: datetime
    channel: str
    devices: int


@dataclass(frozen=True, slots=True)
class PluginUse:
    """So many real devices that follow ``channel`` have this version of the plugin, as far as was looked.

    ``plugin`` is ``major.minor.patch``; ``""``: they did not tell; ``other``: there are too many versions to be kept apart.
    """

    channel: str
    plugin: str
    devices: int


MAX_HEARD = 5_000
"""Two months of three channels; an answer of so many stays below 1 MiB."""
PLUGIN_SAMPLE = 100_000
"""Rows of devices that are looked at for their plugins. Keys are hashes: the first so many are a fair sample of all."""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Devices of two releases that were first seen with them at the same time, alike in platform and plugin version.

    Attributes:
        start: Start of that time: an hour, or so much longer that there are at most :data:`MAX_SIDE_BY_SIDE` of these.
        release: Those of the release in question, at least one; ``verify`` and ``newest_at`` are not told.
        control: Those of the other, at least one; likewise.
    """

    start: datetime
    platform: str
    plugin: str
    release: Counts
    control: Counts


MAX_SIDE_BY_SIDE = 4_000
"""Hours of a fortnight for a dozen kinds of devices; an answer of so many stays below 1 MiB."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One device's own channel.

    Attributes:
        seq: Grows with every change in the database: what a server that polls asks for next.
        kind: :data:`OVERRIDE` or :data:`CHOSEN`.
        channel: Its name, or None: taken back.
    """

    seq: int
    app: str
    device: bytes
    kind: str
    channel: str | None


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device as an operator sees it; see DeviceFacts. ``seen`` is exact to the hour."""

    app: str
    key: bytes
    platform: str
    plugin: str
    native: str
    channel: str
    running: str
    target: str
    is_test: bool
    seen: datetime
    override: str | None
    chosen: str | None


class Telemetry(Protocol):
    """See the module."""

    def record(self, observations: Sequence[Observation]) -> None:
        """Take them all in, in one transaction; durable when this returns. Any of them again changes nothing.

        Raises:
            RowsRefusedError: One of them holds what the database does not take; none is recorded.
        """
        ...

    def counts(self, query: CountQuery) -> Counts:
        """Count devices; reads buckets, never devices."""
        ...

    def side_by_side(self, query: CountQuery, control: str) -> list[SideBySide]:
        """Count the devices of ``query.release`` and of ``control``, by time and kind; reads buckets, never devices.

        Where either has no device there is no entry.
        """
        ...

    def releases(self, app: str, start: datetime, end: datetime) -> list[str]:
        """Give the versions that have devices first seen in these buckets, newest bucket first."""
        ...

    def active(self, app: str, since: datetime) -> list[Active]:
        """Give the real devices that were seen since then (rounded down to the hour), by what they run now."""
        ...

    def heard(self, app: str, since: datetime) -> list[Heard]:
        """Give how many real devices were heard in each hour since then (rounded down to the hour), by hour and channel.

        The newest :data:`MAX_HEARD` at most; the hour that is not over is among them. A word that arrives after one of a later
        hour is not counted.
        """
        ...

    def plugins(self, app: str, since: datetime) -> list[PluginUse]:
        """Give the plugins of real devices that were seen since then (rounded down to the hour).

        Exact while the database holds :data:`PLUGIN_SAMPLE` devices at most, otherwise of a sample of so many.
        """
        ...

    def in_use(self, app: str, since: datetime) -> set[str]:
        """Give every version that a device seen since then runs or is to run; test devices too."""
        ...

    def assign(self, app: str, device: bytes, kind: str, channel: str | None, at: datetime) -> Assignment:
        """Set or take back a device's channel; durable when this returns."""
        ...

    def assignments(self, after: int, limit: int = 10_000) -> list[Assignment]:
        """Give the assignments with ``seq`` above ``after``, by ``seq``, at most ``limit``; also those taken back."""
        ...

    def device(self, app: str, key: bytes) -> DeviceRow | None:
        """Give one device, or None."""
        ...

    def devices(self, app: str, after: bytes, limit: int) -> list[DeviceRow]:
        """Give devices by key, above ``after``, at most ``limit``."""
        ...

    def forget(self, before: datetime) -> int:
        """Remove devices not seen, and counters of buckets, before that instant; give how many rows went.

        Bounded work a call: ask again until it is 0.
        """
        ...

    def close(self) -> None:
        """Let connections go."""
        ...
