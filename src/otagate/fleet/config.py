"""What a fleet is made of and what befalls it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from otagate._text import harmless, nearest
from otagate.errors import UsageError
from otagate.fleet.cipher import public_key
from otagate.fleet.generations import generation
from otagate.fleet.week import Week

PLATFORMS = ("android", "ios", "electron")
LEAST_PERIOD_S = 600
"""The plugin asks no more often than that while the app stays open. **Source:** its contract tests, ``periodCheckDelay``."""
LEAST_READY_S = 1.0
"""The plugin waits at least so long for readiness. **Source:** capgo-protocol, ``appReadyTimeout``, at least 1000 ms."""


class Arrival(StrEnum):
    """When apps are opened."""

    UNIFORM = "uniform"
    DAILY = "daily"
    """Most in the evening of each device's own time zone, fewest early in the morning."""
    BURST = "burst"
    """Every device opens the app within the first minutes, as after a push notification; then uniform."""


class AutoUpdate(StrEnum):
    """When a downloaded bundle is set; the plugin's ``autoUpdate``."""

    AT_BACKGROUND = "atBackground"
    ALWAYS = "always"
    """At once, while the app is open (``directUpdate``)."""
    ONLY_DOWNLOAD = "onlyDownload"


@dataclass(frozen=True, slots=True)
class Crash:
    """A release crashes on a share of the devices.

    Attributes:
        share: Devices on which it does, between 0 and 1.
        after_s: Seconds that it runs on a device before the first time.
        within_s: The first time lies so many seconds after that at most, evenly spread.
        again: Share of the later sessions that end so too.
        is_fault: It is what is wrong with the release; False: what any release of the app has.
    """

    share: float
    after_s: float = 0.0
    within_s: float = 0.0
    again: float = 0.0
    is_fault: bool = True


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with a release; shares between 0 and 1.

    Attributes:
        boot: Devices on which it never says that it is ready.
        crash: Sessions that end in a crash.
        late_crash_after: Seconds that it runs on a device before it begins to crash.
        error: Sessions with a JavaScript error.
        integrity: Downloads that arrive with other bytes.
        crashes: Devices on which it crashes; beside ``crash``, which is about sessions.
    """

    boot: float = 0.0
    crash: float = 0.0
    late_crash_after: float = 0.0
    error: float = 0.0
    integrity: float = 0.0
    crashes: tuple[Crash, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """See the module. Shares are between 0 and 1; mixes are weights by name, which need not add up to 1.

    Attributes:
        app: App id.
        base: Address of the server, without a slash at its end.
        size: How many devices.
        public_key: PEM that is built into the app, or None.
        generations: Mix of plugin versions.
        platforms: Mix of :data:`PLATFORMS`.
        native: Native version of the app.
        channel: ``defaultChannel`` of the app's configuration.
        follows: Mix of ``defaultChannel`` over the devices, instead of ``channel``: builds of the app for testers.
        installed: A release that runs on every device from the beginning; ``""``: the built-in bundle does.
        default_channel: What the server gives devices that name no channel: only for the diary.
        chooses: Channel -> share of the devices that choose it by a button in the app, in their first session.
        leaves: Share of the later sessions in which a device that chose a channel takes its choice back.
        arrival: When apps are opened.
        burst_s: Length of the burst.
        week: How often apps are opened in each hour of a week, or None; it comes before ``arrival``, but for a burst's first
            session.
        sessions_per_day: A device's mean.
        session_s: Mean length of a session in seconds.
        period_s: Check interval while the app stays open; 0: only when it is opened. Below 600 means 600, as in the plugin.
        zones: Mix of time zones, in hours from UTC.
        skew_s: Standard deviation of the devices' clocks.
        loss: Share of requests that are lost on the way, or whose answer is.
        download_failures: Share of downloads that fail for good, until the device asks again; nobody's fault.
        killed: Share of sessions after which the system ends the app at once.
        emulators: Share of devices that are emulators.
        development: Share of devices with a development build.
        faults: By version.
        other_faults: Of every version that is not in ``faults``.
        auto_update: When bundles are set.
        ready_timeout_s: ``appReadyTimeout`` in seconds; below 1 means 1, as in the plugin.
        bytes_per_s: Mean speed of a download.
        delete_failed: ``autoDeleteFailed``.
        remember_opened: Open the same bytes once, not once a device.
        tells_sessions: Report when the app is started, opened and closed, as the plugin does. Without it a session in which
            nothing happens is one update check, which tells a server the same, at a third of the cost.
        keep_answers: Write every answer to an update check down.
        keep_events: Write every event that was sent down.
    """

    app: str
    base: str = "http://127.0.0.1:8080"
    size: int = 100
    public_key: str | None = field(default=None, repr=False)
    generations: Mapping[str, float] = field(default_factory=lambda: {"8.51.23": 1.0})
    platforms: Mapping[str, float] = field(default_factory=lambda: {"android": 0.6, "ios": 0.4})
    native: str = "1.0.0"
    channel: str = ""
    follows: Mapping[str, float] = field(default_factory=dict)
    installed: str = ""
    default_channel: str = ""
    chooses: Mapping[str, float] = field(default_factory=dict)
    leaves: float = 0.0
    arrival: Arrival = Arrival.UNIFORM
    burst_s: float = 300.0
    week: Week | None = None
    sessions_per_day: float = 4.0
    session_s: float = 180.0
    period_s: float = 0.0
    zones: Mapping[float, float] = field(default_factory=lambda: {0.0: 1.0})
    skew_s: float = 0.0
    loss: float = 0.0
    download_failures: float = 0.0
    killed: float = 0.3
    emulators: float = 0.0
    development: float = 0.0
    faults: Mapping[str, Faults] = field(default_factory=dict)
    other_faults: Faults = field(default_factory=Faults)
    auto_update: AutoUpdate = AutoUpdate.AT_BACKGROUND
    ready_timeout_s: float = 10.0
    bytes_per_s: float = 500_000.0
    delete_failed: bool = True
    remember_opened: bool = False
    tells_sessions: bool = True
    keep_answers: bool = True
    keep_events: bool = False

    def checked(self) -> FleetConfig:
        """Give itself when it can be acted on.

        Raises:
            UsageError: A number or name is none; the message says which.
            KeyMaterialError: The public key is none that phones take.
        """
        for name in ("loss", "download_failures", "leaves", "killed", "emulators", "development"):
            _share(name, getattr(self, name))
        for faults in (self.other_faults, *self.faults.values()):
            _check_faults(faults)
        _share("chooses", sum(self.chooses.values()))
        for name in ("size", "sessions_per_day", "session_s", "bytes_per_s"):
            if not getattr(self, name) > 0:
                raise UsageError("this cannot be", name, expected="above 0", found=repr(getattr(self, name)))
        for platform in self.platforms:
            if platform not in PLATFORMS:
                raise _unknown_platform(platform)
        mixes: dict[str, Mapping[Any, float]] = {
            "generations": self.generations,
            "platforms": self.platforms,
            "zones": self.zones,
        }
        if self.follows:
            mixes["follows"] = self.follows
        for name, mix in mixes.items():
            if not mix or min(mix.values()) < 0 or not sum(mix.values()) > 0:
                raise UsageError("this mix has nothing in it", name, expected="weights above 0")
        for version in self.generations:
            generation(version)
        if self.public_key is not None:
            public_key(self.public_key)
        return self

    def own_channel(self, chance: random.Random) -> str:
        """Draw the ``defaultChannel`` of a device's build."""
        if not self.follows:
            return self.channel
        return chance.choices(list(self.follows), weights=list(self.follows.values()))[0]

    def faults_of(self, version: str) -> Faults:
        """Give what goes wrong with a release."""
        return self.faults.get(version, self.other_faults)


def check_interval(period_s: float) -> float:
    """Give the interval that the plugin makes of ``periodCheckDelay``: 0 for none, never below 600."""
    return 0.0 if period_s <= 0 else max(period_s, float(LEAST_PERIOD_S))


def _check_faults(faults: Faults) -> None:
    for name in ("boot", "crash", "error", "integrity"):
        _share(name, getattr(faults, name))
    for crash in faults.crashes:
        _share("crash", crash.share)


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UsageError("this is no share", name, expected="between 0 and 1", found=repr(value))


def _unknown_platform(platform: str) -> UsageError:
    near = nearest(platform, PLATFORMS)
    remedy = f"did you mean {near}?" if near else None
    found = repr(harmless(platform, 40))
    return UsageError("there is no such platform", "platforms", expected=", ".join(PLATFORMS), found=found, remedy=remedy)
