"""Delta mode: the list of files of a reply, and opening one of them.

**Source:** the plugin's manifest download (8.51.23); docs/fleet.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from otagate.errors import UsageError
from otagate.fleet.archive import UnpackError, inside
from otagate.fleet.cipher import CipherError, decrypt, expected_checksum
from otagate.fleet.generations import Generation

_BROTLI_OF_NOTHING = b"\x1b\x00\x06"


class ManifestError(Exception):
    """A file, or the list, is refused; ``action`` is what the plugin tells of it (None: nothing), ``file`` which file."""

    def __init__(self, action: str | None, file: str = "") -> None:
        super().__init__(action)
        self.action, self.file = action, file


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a manifest.

    Attributes:
        name: As told, with ``.br`` when its stored form is Brotli.
        target: Where it goes below the bundle's root.
        digest: SHA-256 of the clear file in hex: what a file in the cache is found by.
        url: Where it is fetched.
    """

    name: str
    target: str
    digest: str
    url: str

    @property
    def is_brotli(self) -> bool:
        """Whether its stored form is Brotli."""
        return self.name.endswith(".br")


def parts(entries: Any, plugin: Generation, pem: str | None) -> list[Part]:
    """Read a manifest as the plugin does before it fetches anything.

    Raises:
        ManifestError: A hash is missing or does not open, or a path leads out of the folder or is there twice.
    """
    found: dict[str, Part] = {}
    if not isinstance(entries, list):
        raise ManifestError(None)
    for entry in entries:
        name, wrapped, url = (_text(entry, key) for key in ("file_name", "file_hash", "download_url"))
        if not wrapped or not url:
            raise ManifestError(None, name)
        try:
            digest = wrapped if pem is None else expected_checksum(wrapped, pem, plugin)
            target = inside(name.removesuffix(".br"))
        except CipherError as error:
            raise ManifestError(None, name) from error
        except UnpackError as error:
            raise ManifestError("manifest_path_fail", name) from error
        if target in found:
            raise ManifestError("manifest_path_fail", name)
        found[target] = Part(name, target, digest, url)
    return list(found.values())


def open_part(part: Part, stored: bytes, session_key: str, pem: str | None) -> bytes:
    """Decrypt, unpack and check one file.

    Raises:
        ManifestError: It does not hold.
    """
    clear = stored
    if pem is not None and session_key:
        try:
            clear = decrypt(stored, session_key, pem)
        except CipherError as error:
            raise ManifestError(None, part.name) from error
    if part.is_brotli:
        clear = _unbrotli(clear, part.name)
    if hashlib.sha256(clear).hexdigest() != part.digest:
        raise ManifestError("download_manifest_checksum_fail", part.name)
    return clear


def _unbrotli(data: bytes, name: str) -> bytes:
    if data == _BROTLI_OF_NOTHING:
        return b""
    brotli = _brotli()
    try:
        return bytes(brotli.decompress(data))
    except brotli.error as error:
        raise ManifestError("download_manifest_brotli_fail", name) from error


def _brotli() -> Any:
    try:
        import brotli  # type: ignore[import-untyped] # noqa: PLC0415 - an extra
    except ImportError as error:
        remedy = "pip install 'otagate[fleet]'"
        raise UsageError("virtual devices cannot open this manifest", "brotli", remedy=remedy) from error
    return brotli


def _text(entry: Any, key: str) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else ""
