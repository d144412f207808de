"""Rules for what must not be shipped to every phone: secrets, and what build machines leave lying about."""

from __future__ import annotations

import os
import re

from otagate.bundle.source import SourceFile, opened

_TABLE: tuple[tuple[str, str], ...] = (
    (r"\.env|\.env\..*|\.envrc", "it is an environment file: those hold secrets"),
    (r"\.git|\.hg|\.svn|\.bzr", "it is a version control folder: it holds the whole history"),
    (r"\.npmrc|\.yarnrc|\.yarnrc\.yml|\.netrc|\.pypirc|\.htpasswd|\.ssh|\.aws|\.gnupg", "it holds credentials"),
    (r".*\.(?:pem|key|p8|ppk)|id_(?:rsa|dsa|ecdsa|ed25519).*|\.capgo.*", "by its name it is a private key"),
    (r".*\.(?:p12|pfx|jks|keystore|kdbx)", "by its name it is a key store"),
    (r"node_modules", "it holds packages, not built files"),
)
_REFUSED = re.compile("|".join(f"({names})" for names, _ in _TABLE), re.IGNORECASE | re.DOTALL)
_MAP = re.compile(r".*\.map", re.IGNORECASE | re.DOTALL)
_CLUTTER = re.compile(
    r"\.ds_store|thumbs\.db|ehthumbs\.db|desktop\.ini|\._.*|__macosx|\.gitkeep|\.gitignore|\.gitattributes|.*\.swp|.*~",
    re.IGNORECASE | re.DOTALL,
)
# Source: RFC 7468, section 10 and 11, RFC 9580, 6.2, and the older names that OpenSSL and OpenSSH write.
_PRIVATE_KEY = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File-)")
_HEAD = 256
_SMALL_JSON = 64 * 1024  # bytes; a Google service account is about 2.3 kB
_SCRIPTS = (".js", ".mjs", ".cjs", ".html", ".htm")
_MARK = b"notifyAppReady"
_CHUNK = 256 * 1024


def is_clutter(name: str) -> bool:
    """Tell whether this is the name of what desktops, editors and git leave behind: left out, not refused."""
    return _CLUTTER.fullmatch(name) is not None


def refusal(path: str, *, source_maps: bool) -> str | None:
    """Say why a file or folder is refused because of a name in its path, or None.

    Args:
        path: POSIX path below the web root.
        source_maps: Whether ``*.map`` files are welcome.
    """
    for name in path.split("/"):
        match = _REFUSED.fullmatch(name)
        if match is not None and match.lastindex is not None:
            return _TABLE[match.lastindex - 1][1]
    if not source_maps and _MAP.fullmatch(path):
        return "it is a source map: it shows the source code to everybody (bundle.source_maps: true ships them)"
    return None


def content_refusal(file: SourceFile) -> str | None:
    """Say why a file is refused because of what is in it, or None.

    Raises:
        OtagateError: As :func:`otagate.bundle.source.opened`.
    """
    is_json = file.size <= _SMALL_JSON and file.path.lower().endswith(".json")
    with opened(file) as handle:
        data = os.read(handle, _SMALL_JSON if is_json else _HEAD)
    if _PRIVATE_KEY.match(data):
        return "it is a private key"
    if is_json and b'"private_key"' in data:
        return "it is a service account with its private key"
    return None


def calls_notify_app_ready(file: SourceFile) -> bool:
    """Tell whether a script or page names ``notifyAppReady``; without that call phones roll the bundle back.

    **Source:** @capgo/capacitor-updater 8, README, ``notifyAppReady()``: within ``appReadyTimeout`` (10 s by default).

    Raises:
        OtagateError: As :func:`otagate.bundle.source.opened`.
    """
    if not file.path.lower().endswith(_SCRIPTS):
        return False
    tail = b""
    with opened(file) as handle:
        while chunk := os.read(handle, _CHUNK):
            if _MARK in tail + chunk:
                return True
            tail = chunk[1 - len(_MARK) :]
    return False
