"""Which names a file in a bundle may have: those that mean the same file on every device and in every unzip program."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

MAX_PART_BYTES = 255
"""Longest name of one file or folder. **Source:** NAME_MAX of ext4, f2fs and APFS."""
MAX_PATH_BYTES = 240
"""Longest path below the web root; leaves room for the app's own folder on the device (Windows' old limit is 260)."""
MAX_DEPTH = 32
"""Most names in one path."""

# What moves the cursor, reverses text or shows nothing: such a name is not the name that a person reads.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Source: learn.microsoft.com/windows/win32/fileio/naming-a-file, "Naming Conventions".
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE | re.DOTALL)
_DRIVE = re.compile(r"[A-Za-z]:")


def fault(path: str) -> str | None:
    """Say what is wrong with a POSIX path below the web root, or None when it is fine."""
    if not path or path.startswith("/"):
        return "the path is empty or absolute"
    if "\\" in path:
        return "the name holds a backslash"
    if has_hidden(path):
        return "the name holds a control or invisible character"
    if len(path.encode("utf-8")) > MAX_PATH_BYTES:
        return f"the path is longer than {MAX_PATH_BYTES} bytes"
    parts = path.split("/")
    if len(parts) > MAX_DEPTH:
        return f"the path is deeper than {MAX_DEPTH} folders"
    return next((problem for part in parts if (problem := _part_fault(part))), None)


def _part_fault(part: str) -> str | None:
    if part in {"", ".", ".."}:
        return "the path has an empty part, '.' or '..'"
    if part[-1] in ". ":
        return "a name ends in a dot or a space"
    if _DRIVE.match(part):
        return "a name begins with a drive letter"
    if _RESERVED.fullmatch(part):
        return "a name is reserved by Windows"
    return None


def has_hidden(text: str) -> bool:
    """Tell whether control, format, surrogate or line-separator characters are in a text."""
    return not text.isprintable() and any(unicodedata.category(ch) in _HIDDEN for ch in text)


def is_normal(path: str) -> bool:
    """Tell whether a path is in Unicode form NFC, the only one that bundles use."""
    return unicodedata.is_normalized("NFC", path)


def folded(path: str) -> str:
    """Give the form in which two names are the same to a file system that ignores case or Unicode form.

    **Source:** The Unicode Standard, 3.13, D145 (canonical caseless match).
    """
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def twins(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Find paths that would fall on each other: equal but for case or Unicode form, equal, or a file where a folder is.

    Yields:
        The earlier path or folder, and the file that collides with it.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    known: set[str] = set()
    for path in paths:
        key = folded(path)
        other = files.get(key) or folders.get(key) or _folder_twin(path, files, folders, known)
        if other is not None:
            yield other, path
        files.setdefault(key, path)


def _folder_twin(path: str, files: dict[str, str], folders: dict[str, str], known: set[str]) -> str | None:
    found = None
    folder = path.rpartition("/")[0]
    while folder and folder not in known:
        known.add(folder)
        key = folded(folder)
        twin = files.get(key) or folders.setdefault(key, folder)
        if twin != folder or key in files:
            found = twin
        folder = folder.rpartition("/")[0]
    return found
