"""What the folder store needs of a disk: unfinished files that cannot be taken for finished ones, and safe opening.

Functions here raise ``OSError`` as the system says; the folder store translates.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from otagate._fs import TEMP_PREFIX, fsync_dir, translate
from otagate.errors import OtagateError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK_BYTES = 1024 * 1024
"""How much is copied at a time."""
STALE_AFTER_S = 3600.0
"""Unfinished files older than this, in seconds, were left by a process that was killed."""

# The group may write when the umask lets it: a store that several people share. Others never may, whatever the umask.
_FILE_MODE, _FOLDER_MODE = 0o664, 0o775
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class BlobFile(io.FileIO):
    """A regular file opened for reading whose later read errors are errors of ours, as the port promises."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb", opener=lambda _name, _flags: open_regular(path))

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """Read into ``buffer``; see io.RawIOBase.readinto.

        Raises:
            UnavailableError: The disk does not give the bytes.
        """
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise self._unreadable(error) from error

    def readall(self) -> bytes:
        """Read to the end; see io.RawIOBase.readall.

        Raises:
            UnavailableError: The disk does not give the bytes.
        """
        try:
            return super().readall()
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> OtagateError:
        return translate(error, "cannot read the blob", str(self.name))


def open_regular(path: Path, *, follow: bool = False) -> int:
    """Open a regular file for reading and give its descriptor: never a pipe that blocks, and no symbolic link unless asked.

    Raises:
        OSError: ``ENOTDIR`` too when it is something else than a regular file.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    handle = os.open(path, flags)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError(errno.EISDIR, "not a regular file", str(path))


def regular_size(path: Path) -> int | None:
    """Give the size in bytes of a regular file, or None when nothing stands there."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EISDIR, "not a regular file", str(path))
    return found.st_size


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it, durably; fine when it is there."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    try:
        folder.mkdir(mode=_FOLDER_MODE)
    except FileExistsError as error:
        if folder.is_dir():
            return
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
    fsync_dir(folder.parent)


def stage(folder: Path, chunks: Iterable[bytes]) -> Path:
    """Write bytes to an unfinished file in ``folder``, synced to the disk, and give its path.

    The caller gives it its name with a link or a rename and removes it. When anything goes wrong here, nothing stays.
    """
    temp = folder / f"{TEMP_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    handle = os.open(temp, flags, _FILE_MODE)
    try:
        with os.fdopen(handle, "wb", buffering=0) as stream:
            for chunk in chunks:
                _write_all(stream, chunk)
            os.fsync(stream.fileno())
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    return temp


def _write_all(stream: io.FileIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        # A disk that fills up takes a part first and refuses the rest.
        view = view[stream.write(view) :]


def link_new(temp: Path, path: Path) -> bool:
    """Give a finished file its name, unless the name is taken: one atomic step, never a half-written file.

    Returns:
        False when the file system has no hard links, and nothing was done.

    Raises:
        FileExistsError: The name is taken.
    """
    try:
        os.link(temp, path, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True


def sweep(folder: Path) -> None:
    """Remove unfinished files that a killed process left long ago. Best effort: what cannot be removed stays."""
    oldest = time.time() - STALE_AFTER_S
    # Somebody else may sweep at the same moment, or own the file; neither is a reason not to store what is to be stored.
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(TEMP_PREFIX) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                Path(entry).unlink(missing_ok=True)


class Place:
    """The folder of a store, and which parts of it were made ready for writing."""

    def __init__(self, root: Path) -> None:
        """Of the store in ``root``, which need not exist yet."""
        self.root = root
        self._ready: set[Path] = set()

    def prepare(self, folder: Path) -> None:
        """Make a folder of the store to write in, and rid it of old unfinished files, once."""
        make_folder(folder)
        if folder not in self._ready:
            sweep(folder)
            self._ready.add(folder)
