"""Which device it is: drawn once, and what it says about itself."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from otagate.fleet.cipher import key_id
from otagate.fleet.config import FleetConfig
from otagate.fleet.generations import Generation, generation

_Name = TypeVar("_Name")
_OS = {"android": ("11", "12", "13", "14", "15"), "ios": ("16.7", "17.5", "18.2"), "electron": ("10.0.26100", "14.6")}
_INSTALL_SOURCE = {"android": "google_play", "ios": "app_store", "electron": ""}


@dataclass(frozen=True, slots=True)
class Profile:
    """A device.

    Attributes:
        index: Its number in the fleet.
        device_id: UUID; lower-case on Android, upper-case on iOS.
        platform: ``android``, ``ios`` or ``electron``.
        plugin: What its plugin does.
        is_emulator: Whether it is none.
        is_prod: Whether the app is a release build.
        zone: Hours from UTC.
        skew_s: How far its clock is ahead.
        info: What every request says, without ``version_name`` and ``defaultChannel``.
    """

    index: int
    device_id: str
    platform: str
    plugin: Generation
    is_emulator: bool
    is_prod: bool
    zone: float
    skew_s: float
    info: Mapping[str, Any]

    @property
    def is_test(self) -> bool:
        """Whether it counts apart from real devices."""
        return self.is_emulator or not self.is_prod

    @property
    def builtin_name(self) -> str:
        """What it calls the built-in bundle."""
        return str(self.info["version_build"]) if self.plugin.has("builtin_is_native") else "builtin"


def draw(config: FleetConfig, index: int, chance: random.Random) -> Profile:
    """Draw a device of the fleet."""
    platform = pick(config.platforms, chance)
    plugin = generation(pick(config.generations, chance))
    drawn = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    device_id = drawn.upper() if platform == "ios" else drawn
    is_emulator, is_prod = chance.random() < config.emulators, chance.random() >= config.development
    zone, skew = pick(config.zones, chance), chance.gauss(0, config.skew_s) if config.skew_s else 0.0
    info: dict[str, Any] = {
        "platform": platform,
        "device_id": device_id,
        "app_id": config.app,
        "custom_id": "",
        "version_build": config.native,
        "version_code": "1",
        "version_os": chance.choice(_OS[platform]),
        "plugin_version": plugin.version,
        "is_emulator": is_emulator,
        "is_prod": is_prod,
    }
    if plugin.has("tells_install_source"):
        info["install_source"] = _INSTALL_SOURCE[platform]
    if config.public_key is not None and plugin.has("tells_key_id"):
        info["key_id"] = key_id(config.public_key)
    return Profile(index, device_id, platform, plugin, is_emulator, is_prod, zone, skew, info)


def pick(mix: Mapping[_Name, float], chance: random.Random) -> _Name:
    """Draw a name by its weight."""
    return chance.choices(list(mix), weights=list(mix.values()))[0]
