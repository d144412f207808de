"""Unpacking a zip by the plugin's rules of paths, in memory.

**Source:** the plugin's unpacking (8.51.23): entries stay below the folder, no backslash; a single folder at the top is the
root; dot-files and ``__MACOSX`` at the top do not count; a bundle without ``index.html`` cannot be set.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Iterable

MAX_BYTES = 1024 * 1024 * 1024
"""An upper bound for what a zip may grow to: a virtual device must not be the place where a bomb goes off."""


class UnpackError(Exception):
    """The zip cannot be unpacked; ``action`` is what the plugin tells of it."""

    def __init__(self, action: str) -> None:
        super().__init__(action)
        self.action = action


def unpack(data: bytes) -> dict[str, bytes]:
    """Give the files by path below the bundle's root.

    Raises:
        UnpackError: It is no zip, or breaks a rule.
    """
    files: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
                raise UnpackError("unzip_fail")
            for info in archive.infolist():
                name = inside(info.orig_filename)
                if not info.is_dir():
                    files[name] = archive.read(info)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UnpackError("unzip_fail") from error
    return _flattened(files)


def inside(name: str) -> str:
    """Give the path that an entry is written to.

    Raises:
        UnpackError: It has a backslash, is absolute or empty, or leads out of the folder.
    """
    if "\\" in name:
        raise UnpackError("windows_path_fail")
    path = posixpath.normpath(name)
    if not name or "\0" in name or name.startswith("/") or ".." in name.split("/"):
        raise UnpackError("canonical_path_fail")
    return path


def has_start(names: Iterable[str]) -> bool:
    """Tell whether a bundle of these files can be set."""
    return "index.html" in names


def _flattened(files: dict[str, bytes]) -> dict[str, bytes]:
    top = {name.split("/", 1)[0] for name in files}
    counted = {name for name in top if not name.startswith(".") and name != "__MACOSX"}
    if not counted:
        raise UnpackError("unzip_fail")
    root = next(iter(counted))
    if len(counted) > 1 or root == "index.html" or root in files:
        return files
    return {name[len(root) + 1 :]: content for name, content in files.items() if name.startswith(root + "/")}
