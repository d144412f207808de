"""Downloading what was offered, opening it, and what the plugin tells about each step.

Which version an event names is part of the protocol: Android names the *running* bundle when a checksum or the unpacking
fails, and the failed one only with ``finish_download_fail``; iOS names the failed one with ``checksum_fail``, and the running
one when a download fails.

**Source:** the plugin's download worker and ``finishDownload`` (Android), its update check (iOS), at their tags.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otagate.fleet.cipher import is_session_key
from otagate.fleet.diary import Fact
from otagate.fleet.manifest import ManifestError, Part, open_part, parts
from otagate.fleet.opening import Offer, Opened, OpeningError

if TYPE_CHECKING:
    from otagate.fleet.device import Device

_PARTIAL, _OK = 206, 200
_TRANSIENT = frozenset({408, 429})
_SERVER_ERROR = 500
_RETRY_S = 30.0
_TRIES = 5
_LEAST_S = 0.2


@dataclass(slots=True)
class Install:
    """See the module. One at a time, as on a device.

    Attributes:
        device: Whose.
        cache: Files of manifests that were opened before, by digest.
    """

    device: Device
    cache: set[str] = field(default_factory=set)
    _offer: Offer | None = None
    _had: bytes = b""

    def begin(self, offer: Offer) -> None:
        """Begin, unless a download is under way."""
        if self._offer is not None:
            return
        self._offer, self._had = offer, b""
        missing = self._missing(offer)
        if missing is not None:
            self._refuse(offer, missing)
        elif self._is_cut_off():
            self._worker("download_zip_start", offer.version)
            self._given_up(offer)
        elif offer.manifest is not None:
            self._fetch_manifest(offer)
        else:
            self._worker("download_zip_start", offer.version)
            self._fetch(offer, 1)

    def _missing(self, offer: Offer) -> str | None:
        """Give what newer plugins say instead of downloading, or None."""
        device = self.device
        if not device.profile.plugin.has("gates_download"):
            return None
        if device.world.config.public_key is not None and not is_session_key(offer.session_key):
            return "session_key_required"
        return "checksum_required" if not offer.checksum and offer.manifest is None else None

    def _refuse(self, offer: Offer, action: str) -> None:
        self._worker(action, offer.version)
        self.device.fact(offer.version, Fact.REFUSED)
        self._failed(offer)

    # -- zip

    def _fetch(self, offer: Offer, tries: int) -> None:
        device = self.device
        status, data = device.world.network.download(offer.url, len(self._had), at=device.now, chance=device.chance)
        if status == _OK and self._had:  # the server knows no ranges: from the beginning
            self._had = b""
        if status in {0, _OK, _PARTIAL}:
            self._had += data
        took = max(_LEAST_S, len(data) / device.world.config.bytes_per_s * device.chance.uniform(0.5, 2.0))
        if status in {_OK, _PARTIAL}:
            self._progress(offer, device.now, took)
            device.plan(device.now + took, lambda: self._arrived(offer))
            return
        is_transient = status == 0 or status in _TRANSIENT or status >= _SERVER_ERROR
        if is_transient and device.profile.plugin.has("resumes") and tries < _TRIES:
            device.plan(device.now + _RETRY_S * 2.0 ** (tries - 1), lambda: self._fetch(offer, tries + 1))
            return
        self._given_up(offer)

    def _is_cut_off(self) -> bool:
        share = self.device.world.config.download_failures
        return bool(share) and self.device.chance.random() < share

    def _given_up(self, offer: Offer) -> None:
        self.device.fact(offer.version, Fact.NETWORK)
        self._failed(offer)

    def _progress(self, offer: Offer, began: float, took: float) -> None:
        for step, percent in enumerate((10, 40, 70)):
            at = began + took * step / 3
            self.device.plan(at, lambda percent=percent: self.device.tell(f"download_{percent}", offer.version))  # type: ignore[misc]

    def _failed(self, offer: Offer) -> None:
        device = self.device
        self._offer, self._had = None, b""
        is_ios = device.profile.platform == "ios"
        device.tell("download_fail", device.bundles.running_name if is_ios else offer.version)

    def _arrived(self, offer: Offer) -> None:
        device, config = self.device, self.device.world.config
        self._worker("download_zip_complete", offer.version)
        data, self._had = self._had, b""
        is_fault = device.chance.random() < config.faults_of(offer.version).integrity
        if is_fault:
            data = _spoiled(data)
        try:
            opened = device.world.opener.open(data, offer, device.profile.plugin, config.public_key)
        except OpeningError as error:
            self._unfit(offer, error.action, is_fault=is_fault)
            return
        self._done(offer, opened)

    def _unfit(self, offer: Offer, action: str | None, *, is_fault: bool) -> None:
        device = self.device
        self._offer = None
        device.bundles.failed.add(offer.version)
        device.fact(offer.version, Fact.INTEGRITY, is_fault=is_fault)
        running = device.bundles.running_name
        if device.profile.platform == "ios":
            if action is not None:
                device.tell(action, offer.version if action == "checksum_fail" else running)
            device.tell("download_fail", running)
            return
        if action is not None:
            device.tell(action, running)
        device.tell("download_fail", running)
        device.tell("finish_download_fail", offer.version)

    def _done(self, offer: Offer, opened: Opened) -> None:
        device = self.device
        self._offer = None
        device.tell("download_90", offer.version)
        device.tell("download_complete", offer.version)
        device.bundles.held[offer.version] = opened
        device.fact(offer.version, Fact.DOWNLOADED)
        device.have(offer.version)

    # -- manifest

    def _fetch_manifest(self, offer: Offer) -> None:
        device = self.device
        self._worker("download_manifest_start", offer.version)
        files: dict[str, str] = {}
        size = 0
        try:
            for part in parts(offer.manifest, device.profile.plugin, device.world.config.public_key):
                size += self._fetch_part(offer, part)
                files[part.target] = part.digest
        except ManifestError as error:
            self._manifest_failed(offer, error)
            return
        took = max(_LEAST_S, size / device.world.config.bytes_per_s)
        self._progress(offer, device.now, took)

        def arrived() -> None:
            self._worker("download_manifest_complete", offer.version)
            self._done(offer, Opened("", files))

        device.plan(device.now + took, arrived)

    def _fetch_part(self, offer: Offer, part: Part) -> int:
        """Get a file from the cache or the server; give how many bytes came over the network.

        Raises:
            ManifestError: It did not come, or does not hold.
        """
        device = self.device
        if part.digest in self.cache:
            return 0
        status, stored = device.world.network.download(part.url, 0, at=device.now, chance=device.chance)
        if status != _OK:
            raise ManifestError("download_manifest_file_fail", part.name)
        try:
            open_part(part, stored, offer.session_key, device.world.config.public_key)
        except ManifestError as error:
            if error.action is not None:
                self._worker(error.action, f"{offer.version}:{part.target}")
            raise ManifestError("download_manifest_file_fail", part.name) from error
        self.cache.add(part.digest)
        return len(stored)

    def _manifest_failed(self, offer: Offer, error: ManifestError) -> None:
        device = self.device
        if error.action is not None:
            self._worker(error.action, f"{offer.version}:{error.file}")
        is_network = error.action == "download_manifest_file_fail" and not isinstance(error.__cause__, ManifestError)
        device.fact(offer.version, Fact.NETWORK if is_network else Fact.INTEGRITY)
        if not is_network:
            device.bundles.failed.add(offer.version)
        self._failed(offer)

    # -- telling

    def _worker(self, action: str, version: str) -> None:
        """Tell what the download worker of Android tells by itself, and iOS with all else."""
        device = self.device
        if not device.profile.plugin.has("worker_events"):
            return
        if device.profile.platform == "ios":
            device.tell(action, version)
            return
        event = device.info()
        event.update(version_name=version, old_version_name="", action=action)
        event.pop("key_id", None)  # the worker does not know it
        device.outbox.put_alone(event, device.now)


def _spoiled(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else b"\0"
