"""An app as an update server sees it, and a phone that asks for it: small, and made without keys or files."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from otagate.errors import UnavailableError
from otagate.model import AppId, Candidate, ChannelName, ChannelState, Digest, Release, ReleaseRef, Version, Weight
from otagate.policy.model.server import ChannelRules, ServerSpec
from otagate.server.interface import AppView, ChannelView
from otagate.server.service import PluginService
from support.releases import full_release

APP = AppId("com.example.app")
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
DEVICE = "5a1f6c3e-8f0b-4a6e-9d57-0c2f7e1b9a44"
KEY_ID = "MIIBCgKCAQEAabcdefgh"
SEED = "000102030405060708090a0b0c0d0e0f"
BASE = "https://updates.example.com"

INFO: dict[str, Any] = {
    "platform": "android",
    "device_id": DEVICE,
    "app_id": "com.example.app",
    "custom_id": "",
    "version_build": "1.0.0",
    "version_code": "12",
    "version_os": "14",
    "version_name": "builtin",
    "plugin_version": "8.51.23",
    "is_emulator": False,
    "is_prod": True,
    "install_source": "google_play",
    "defaultChannel": "",
    "key_id": KEY_ID,
}
"""What a phone sends; ``info(name=…)`` changes it."""


def info(**changes: Any) -> dict[str, Any]:
    """Give a phone's description of itself; a field set to ``...`` is left out."""
    return {name: value for name, value in {**INFO, **changes}.items() if value is not ...}


def ref(version: str) -> ReleaseRef:
    """Name a release."""
    return ReleaseRef(Version(version), Digest.of(version.encode()))


def release(version: str, **changes: Any) -> Release:
    """Make a sealed release that may go anywhere."""
    made = full_release(version=Version(version), channels=(), native_min=None, native_max=None)
    made = replace(made, sealed=replace(made.sealed, blob=Digest.of(version.encode())))
    return replace(made, **changes)


def channel(
    name: str, stable: str | None = "1.2.0", candidate: str | None = None, weight: int = 5000, **more: Any
) -> ChannelView:
    """Make a channel."""
    ramp = Candidate(ref(candidate), Weight(weight), SEED) if candidate else None
    expires = more.pop("expires", LATER)
    state = ChannelState(APP, ChannelName(name), 3, ref(stable) if stable else None, ramp, **more)
    return ChannelView(state, expires)


def view(
    *channels: ChannelView,
    rules: dict[str, ChannelRules] | None = None,
    default: str | None = "stable",
    releases: tuple[Release, ...] | None = None,
    known: frozenset[str] = frozenset(),
    is_signed: bool = True,
) -> AppView:
    """Make an app's view: without channels ``stable`` names 1.2.0; every release that a channel names is there."""
    channels = channels or (channel("stable"),)
    named = {one.version.value for item in channels for one in named_by(item.state)}
    found = releases if releases is not None else tuple(release(version) for version in sorted(named))
    return AppView(
        app=APP,
        rules=ServerSpec(default, rules or {}),
        is_signed=is_signed,
        channels={item.state.name.value: item for item in channels},
        releases={item.version.value: item for item in found},
        known=known | named,
        read_at=NOW,
    )


def named_by(state: ChannelState) -> list[ReleaseRef]:
    """Give the releases that a pointer names."""
    named = [state.stable] if state.stable else []
    return [*named, state.candidate.release] if state.candidate else named


def hash_device(app: str, device_id: str) -> bytes:
    """Hash a device id as a server would, without a secret."""
    return hashlib.sha256(f"{app}/{device_id}".encode()).digest()[:16]


class World:
    """Catalog, choices and links in one, in memory, and the service over them."""

    def __init__(self, app: AppView | None = None) -> None:
        self.app = app
        self.overrides: dict[bytes, str] = {}
        self.chosen: dict[bytes, str] = {}
        self.has_links = True
        self.unread: str | None = None
        self.service = PluginService(self, self, self, hash_device)

    def view(self, app: str) -> AppView | None:
        return self.app if self.app is not None and app == self.app.app.value else None

    def serves(self, app: str) -> bool:
        return self.view(app) is not None or app == self.unread

    def views(self) -> list[AppView]:
        return [self.app] if self.app is not None else []

    def age_s(self, now: datetime) -> float:
        return 0.0

    def of(self, app: str, device: bytes) -> tuple[str | None, str | None]:
        return self.overrides.get(device), self.chosen.get(device)

    def address(self, digest: Digest, base: str) -> str:
        if not self.has_links:
            raise UnavailableError("the store gives no address")
        return f"{base}/bundles/sha256/{digest.hex}"
