"""The update server's own service and telemetry in this process, as the other end of a virtual fleet's wire."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from otagate.fleet.interface import Response
from otagate.model import AppId, Candidate, ChannelName, ChannelState, Digest, Release, ReleaseRef, Version, Weight
from otagate.policy.model.server import ChannelRules, ServerSpec
from otagate.seal.capgo import seal_capgo
from otagate.seal.keys import load_rsa_private
from otagate.server.interface import AppView, ChannelView, Reply
from otagate.server.service import PluginService
from otagate.telemetry.interface import CHOSEN, Telemetry
from otagate.telemetry.model import Observation
from support.interop import Shipment
from support.releases import full_release

BASE = "http://updates.test"
_GROUP = 400


@dataclass
class ServedApp:
    """An app whose channels a test moves, its Catalog, its Choices and its Links.

    Attributes:
        app: App id.
        view_now: What is served.
        blobs: Bundles by address.
    """

    app: AppId
    is_signed: bool = True
    releases: dict[str, Release] = field(default_factory=dict)
    channels: dict[str, ChannelView] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    chosen: dict[bytes, str | None] = field(default_factory=dict)
    moves: list[tuple[float, str, ChannelState]] = field(default_factory=list)
    view_now: AppView | None = None

    def publish(self, version: str, shipment: Shipment, folder: Path) -> None:
        """Seal the shipment's zip anew as another release."""
        private = load_rsa_private(shipment.keys.encryption.read_text(), "key")
        target = folder / f"{version}.sealed"
        sealed = seal_capgo(shipment.archive, target, private, clear=shipment.bundle.archive)
        self.releases[version] = full_release(
            app=self.app,
            version=Version(version),
            bundle=shipment.bundle,
            sealed=sealed,
            expires=None,
            channels=(),
            native_min=None,
            native_max=None,
        )
        self.blobs[self.address(sealed.blob, BASE)] = target.read_bytes()

    def publish_clear(self, version: str, shipment: Shipment) -> None:
        """Publish the shipment's zip as it is, for an app without a key."""
        archive = shipment.bundle.archive
        sealed = replace(
            full_release().sealed,
            format="none",
            blob=archive,
            session_key=None,
            key_id=None,
            checksum_hex=None,
            checksum_base64=None,
        )
        release = full_release(app=self.app, version=Version(version), bundle=shipment.bundle, sealed=sealed, expires=None)
        self.releases[version] = replace(release, channels=(), native_min=None, native_max=None)
        self.blobs[self.address(archive, BASE)] = shipment.archive.read_bytes()

    def move(
        self,
        at: float,
        channel: str,
        stable: str | None,
        candidate: str | None = None,
        weight: int = 0,
        *,
        seed: str = "5a" * 16,
        **state: Any,
    ) -> None:
        """Let a channel's pointer say this from now on."""
        ramp = None if candidate is None else Candidate(self._ref(candidate), Weight(weight), seed)
        said = ChannelState(
            self.app, ChannelName(channel), len(self.moves) + 1, None if stable is None else self._ref(stable), ramp, **state
        )
        self.moves.append((at, channel, said))
        self.channels[channel] = ChannelView(said, datetime(2100, 1, 1, tzinfo=UTC))
        rules = ServerSpec("stable", {"beta": ChannelRules(self_set=True)})
        known = frozenset(self.releases)
        now = datetime.fromtimestamp(at, UTC)
        channels, releases = MappingProxyType(dict(self.channels)), MappingProxyType(dict(self.releases))
        self.view_now = AppView(self.app, rules, self.is_signed, channels, releases, known, now)

    def _ref(self, version: str) -> ReleaseRef:
        return ReleaseRef(Version(version), Digest.of(version.encode()))

    def pointer(self, at: float, channel: str) -> ChannelState:
        """Give what a channel's pointer said at an instant."""
        return [state for since, name, state in self.moves if name == channel and since <= at][-1]

    # Catalog, Choices and Links of the server

    def view(self, app: str) -> AppView | None:
        return self.view_now if app == self.app.value else None

    def serves(self, app: str) -> bool:
        return self.view(app) is not None

    def views(self) -> Sequence[AppView]:
        return () if self.view_now is None else (self.view_now,)

    def age_s(self, now: datetime) -> float:
        return 0.0

    def of(self, app: str, device: bytes) -> tuple[str | None, str | None]:
        return None, self.chosen.get(device)

    def address(self, digest: Digest, base: str) -> str:
        return f"{base}/files/{digest.hex}"


def hash_device(app: str, device_id: str) -> bytes:
    """Give the key under which telemetry knows a device."""
    return hmac.new(b"secret", f"{app}\0{device_id}".encode(), hashlib.sha256).digest()[:16]


class InProcessServer:
    """A Transport: the real service, with telemetry that takes observations in groups, in order."""

    def __init__(self, served: ServedApp, telemetry: Telemetry) -> None:
        self.served, self.telemetry = served, telemetry
        self.service = PluginService(served, served, served, hash_device)
        self._waiting: list[Observation] = []

    def request(self, method: str, url: str, body: Any = None, *, at: float) -> Response:
        now, what = datetime.fromtimestamp(at, UTC), url.removeprefix(BASE)
        if what == "/updates":
            reply = self.service.updates(body, now, BASE)
        elif what == "/stats":
            reply = self.service.stats(body, now)
        else:
            if method in {"GET", "DELETE"}:
                body = {key: str(value).lower() if isinstance(value, bool) else value for key, value in body.items()}
            reply = self.service.channel_self(method, body, now)
        self._keep(reply, now)
        headers = {} if reply.retry_after_s is None else {"retry-after": str(reply.retry_after_s)}
        return Response(reply.status, reply.body, headers)

    def _keep(self, reply: Reply, now: datetime) -> None:
        if reply.assign is not None:
            self.telemetry.assign(reply.assign.app, reply.assign.device, CHOSEN, reply.assign.channel, now)
            self.served.chosen[reply.assign.device] = reply.assign.channel
        self._waiting += reply.observations
        if len(self._waiting) >= _GROUP:
            self.flush()

    def flush(self) -> None:
        """Record what waits."""
        self.telemetry.record(self._waiting)
        self._waiting = []

    def download(self, url: str, start: int = 0, *, at: float) -> Response:
        data = self.served.blobs.get(url)
        if data is None:
            return Response(404, b"", {})
        return Response(206, data[start:], {}) if start else Response(200, data, {})
