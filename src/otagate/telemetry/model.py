"""What is observed of a device, as values that can be merged in any order, any number of times. Pure.

A device's row only ever gains: marks are joined by OR, instants by minimum or maximum. So events may arrive late, twice or in
another order, at several servers, and the row ends the same. What a row counts for (:attr:`Progress.outcome` and the rest) is a
function of the row; counters move by the difference between what it counted for before and after.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from enum import IntFlag, StrEnum
from typing import Any

DEVICE_KEY_BYTES = 16
BUCKET_S = 300
"""Width of a counter's time bucket in seconds."""


class Mark(IntFlag):
    """What happened to a release on a device; bits of one stored number, never renumbered."""

    OFFERED = 1
    """The server named the release in an answer."""
    STARTED = 2
    """Its download began."""
    VERIFIED = 4
    """It is downloaded, opened and checked."""
    SET = 8
    """It was made the bundle to run; sent before the app says that it works."""
    READY = 16
    """The app said that it works (``app_launch_ready``)."""
    RAN = 32
    """The device told something while running it, other than the events of its own installation."""
    NETWORK = 64
    """A download failed: says nothing about the bundle."""
    INTEGRITY = 128
    """Checksum, decryption or unpacking failed."""
    BOOT = 256
    """It was started, did not report readiness in time, and was rolled back on the device."""
    REFUSAL = 512
    """The device would not take it: no room, no memory, policy of the plugin."""
    CRASHED = 1024
    ERRORED = 2048
    """JavaScript or web view errors."""


NOTHING = Mark(0)
_SUCCEEDED = int(Mark.READY | Mark.RAN)


class Outcome(StrEnum):
    """What came of a release on a device; exactly one at a time."""

    PENDING = "pending"
    SUCCESS = "success"
    NETWORK = "network"
    INTEGRITY = "integrity"
    BOOT = "boot"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """Which device, as telemetry knows it: nothing in it names a person.

    Attributes:
        app: App id.
        key: 16 bytes: HMAC-SHA256 of app id and lower-cased device id under the server's secret, cut.
        platform: ``ios``, ``android`` or ``electron``.
        plugin: ``major.minor.patch`` of the plugin.
        channel: The channel that the device follows, as the server resolved it; ``""``: none.
        is_test: An emulator or a development build: counted apart.
        native: The native version, as told (at most 36 characters).
    """

    app: str
    key: bytes
    platform: str
    plugin: str
    channel: str
    is_test: bool
    native: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing learned about one device and one release.

    Attributes:
        device: Who.
        release: The version that it is about; one that the server knows. ``""``: about no release (only ``running`` is told).
        marks: What happened.
        at: When the server received it; whole seconds are enough. A row's first one decides the bucket that it counts in.
        weight_bps: The share of the channel that was exposed to that release at that instant.
        started_ms: When the download began by the device's own clock, Unix milliseconds, or None.
        verified_ms: When it was verified by the device's own clock, or None.
        running: The version that the device runs (``builtin`` for the native one), or None when that was not told.
        target: The version that the channel names for the device, ``builtin``, or None when that is not known.
    """

    device: DeviceFacts
    release: str
    marks: Mark
    at: datetime
    weight_bps: int = 0
    started_ms: int | None = None
    verified_ms: int | None = None
    running: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one device got with one release; a join-semilattice under :meth:`join`."""

    marks: Mark = NOTHING
    started_ms: int | None = None
    verified_ms: int | None = None
    success_s: int | None = None
    """Unix seconds, by the server's clock, of the first observation with ``READY`` or ``RAN``; None: not yet."""

    def join(self, other: Progress) -> Progress:
        """Merge: commutative, associative, and the same twice as once."""
        return Progress(
            self.marks | other.marks,
            # The last try counts: between the first one and this lie hours in which the app was not open.
            _latest(self.started_ms, other.started_ms),
            _latest(self.verified_ms, other.verified_ms),
            _least(self.success_s, other.success_s),
        )

    @classmethod
    def of(cls, observation: Observation) -> Progress:
        """Give what one observation alone says."""
        success_s = int(observation.at.timestamp()) if int(observation.marks) & _SUCCEEDED else None
        return cls(observation.marks, observation.started_ms, observation.verified_ms, success_s)

    @property
    def outcome(self) -> Outcome:
        """Give what came of it.

        A failed boot outweighs everything: readiness of the page that is being replaced may be credited to the new bundle
        (capacitor-updater issue 907). Success outweighs failures of earlier tries. ``set`` alone is sent before readiness: it
        is a success only when the device was seen running the bundle afterwards.
        """
        if Mark.BOOT in self.marks:
            return Outcome.BOOT
        if self.marks & (Mark.READY | Mark.RAN):
            return Outcome.SUCCESS
        for mark, outcome in _FAILURES:
            if mark in self.marks:
                return outcome
        return Outcome.PENDING

    @property
    def has_run(self) -> bool:
        """Whether it was ever started: what crash and error rates are shares of."""
        return bool(self.marks & (Mark.SET | Mark.READY | Mark.RAN | Mark.BOOT | Mark.CRASHED))

    @property
    def verify_ms(self) -> int | None:
        """Milliseconds from the last start of a download to the verified bundle by the device's clock; None when not known."""
        if self.started_ms is None or self.verified_ms is None or self.verified_ms < self.started_ms:
            return None
        return self.verified_ms - self.started_ms


_FAILURES = (
    (Mark.INTEGRITY, Outcome.INTEGRITY),
    (Mark.REFUSAL, Outcome.REFUSAL),
    (Mark.NETWORK, Outcome.NETWORK),
)

VERIFY_BOUNDS_S = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)
"""Upper bounds of the verification-time histogram, in seconds, included; a last bin is beyond them all."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Devices, summed over closed buckets; each device counts once a release, in the bucket in which it was first seen with it.

    Attributes:
        devices: All: offered it, or told something about it.
        offered: The server named it to them.
        success: With that outcome; likewise the next five.
        ran: Devices that started it.
        crashed: Of ``ran``: crashed, hung, or did not come up (outcome ``boot``).
        errored: Of ``ran``.
        adopted_24h: Of ``offered``: had success within 24 hours of being first seen with it.
        verify: Devices by time to verify, one more than ``VERIFY_BOUNDS_S``.
        newest_at: End of the newest bucket that holds anything, or None.
    """

    devices: int = 0
    offered: int = 0
    pending: int = 0
    success: int = 0
    network: int = 0
    integrity: int = 0
    boot: int = 0
    refusal: int = 0
    ran: int = 0
    crashed: int = 0
    errored: int = 0
    adopted_24h: int = 0
    verify: tuple[int, ...] = (0,) * (len(VERIFY_BOUNDS_S) + 1)
    newest_at: datetime | None = None


def together(earlier: Counts, later: Counts) -> Counts:
    """Give the counts of two times that follow each other as those of one."""
    sums: dict[str, Any] = {name: getattr(earlier, name) + getattr(later, name) for name in _SUMMED}
    verify = tuple(one + other for one, other in zip(earlier.verify, later.verify, strict=True))
    return Counts(**sums, verify=verify, newest_at=later.newest_at or earlier.newest_at)


_SUMMED = tuple(field.name for field in dataclasses.fields(Counts) if field.name not in {"verify", "newest_at"})


def _latest(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)


def _least(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)
