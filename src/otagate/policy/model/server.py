"""Which devices the update server serves, and with what."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class AutoUpdate(StrEnum):
    """How far a release may be from the native version for a device to be moved to it; Capgo's ``disable_auto_update``."""

    ANY = "any"
    MAJOR = "major"
    """A release of another major version is refused."""
    MINOR = "minor"
    """Also one of another minor version."""
    PATCH = "patch"
    """Also one of another patch version."""


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """Which devices a channel serves.

    Attributes:
        self_set: Devices may choose it by themselves (``setChannel``), and see it in ``listChannels``.
        platforms: Of ``ios``, ``android``, ``electron``.
        devices: Physical devices are served.
        emulators: Emulators and simulators are served.
        production: Production builds of the app are served.
        development: Development builds are served.
        under_native: Devices whose native version is above the release are moved to it nevertheless.
        downgrade: Devices that run a newer release are moved to it. False also keeps rollbacks from reaching them.
        stop_at: See AutoUpdate.
        min_plugin: Oldest plugin version that is served, ``major.minor.patch``, or None.
    """

    self_set: bool = False
    platforms: tuple[str, ...] = ("android", "electron", "ios")
    devices: bool = True
    emulators: bool = True
    production: bool = True
    development: bool = True
    under_native: bool = False
    downgrade: bool = True
    stop_at: AutoUpdate = AutoUpdate.ANY
    min_plugin: str | None = None


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What ``otagate serve`` needs to know about the app.

    Attributes:
        default_channel: What a device follows that names none, or None: it is told ``no_channel``.
        channels: Rules by channel; a channel without an entry has the default rules.
    """

    default_channel: str | None = None
    channels: dict[str, ChannelRules] = field(default_factory=dict)

    def rules(self, channel: str) -> ChannelRules:
        """Give a channel's rules."""
        return self.channels.get(channel, ChannelRules())
