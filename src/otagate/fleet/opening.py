"""From the bytes that were downloaded to a bundle that can be set, or to what the plugin says when it cannot."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from otagate.fleet.archive import UnpackError, has_start, unpack
from otagate.fleet.cipher import CipherError, decrypt, expected_checksum
from otagate.fleet.generations import Generation


class OpeningError(Exception):
    """The bundle is refused. ``action`` is what the plugin tells beside its general words, or None."""

    def __init__(self, action: str | None) -> None:
        super().__init__(action)
        self.action = action


@dataclass(frozen=True, slots=True)
class Offer:
    """What a reply offers.

    Attributes:
        version: Its name.
        url: Of the zip.
        session_key: ``""``: clear.
        checksum: Wrapped or clear; ``""``: none was told.
        manifest: The entries as told, or None.
    """

    version: str
    url: str
    session_key: str = ""
    checksum: str = ""
    manifest: object | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle on a device: SHA-256 of the clear zip (``""`` of a manifest) and of each file by path."""

    digest: str
    files: Mapping[str, str]


def open_zip(data: bytes, offer: Offer, plugin: Generation, pem: str | None) -> Opened:
    """Decrypt, check and unpack a zip as the plugin does after the download.

    Raises:
        OpeningError: It is refused.
    """
    if pem is not None and not offer.checksum and plugin.has("needs_checksum"):
        raise OpeningError("checksum_required")
    expected, clear = offer.checksum, data
    if offer.session_key:
        clear, expected = _decrypted(data, offer, plugin, pem)
    digest = hashlib.sha256(clear).hexdigest()
    # The comparison is of texts: the same digest in capital letters does not hold.
    if (expected or pem is not None) and expected != digest:
        raise OpeningError("checksum_fail")
    try:
        files = unpack(clear)
    except UnpackError as error:
        raise OpeningError(error.action) from error
    return Opened(digest, {name: hashlib.sha256(content).hexdigest() for name, content in files.items()})


def may_be_set(bundle: Opened) -> bool:
    """Tell whether the plugin can set it."""
    return has_start(bundle.files)


def _decrypted(data: bytes, offer: Offer, plugin: Generation, pem: str | None) -> tuple[bytes, str]:
    if pem is None:  # nothing is decrypted, and the checksum is taken as it is
        return data, offer.checksum
    try:
        return decrypt(data, offer.session_key, pem), expected_checksum(offer.checksum, pem, plugin)
    except CipherError as error:
        raise OpeningError(None) from error


@dataclass(slots=True)
class Opener:
    """Opens zips, and when asked remembers what came of it: ten thousand devices that get the same bytes open them once.

    Attributes:
        remember: Whether to. Bytes count as the same when Python's hash of them and their length are.
    """

    remember: bool = False
    _known: dict[tuple[object, ...], Opened | OpeningError] = field(default_factory=dict)

    def open(self, data: bytes, offer: Offer, plugin: Generation, pem: str | None) -> Opened:
        """See :func:`open_zip`.

        Raises:
            OpeningError: It is refused.
        """
        if not self.remember:
            return open_zip(data, offer, plugin, pem)
        key = (hash(data), len(data), offer.session_key, offer.checksum, plugin.version, pem)
        found = self._known.get(key)
        if found is None:
            try:
                found = open_zip(data, offer, plugin, pem)
            except OpeningError as error:
                found = error
            self._known[key] = found
        if isinstance(found, OpeningError):
            raise OpeningError(found.action)
        return found
