"""A file on disk that is to be packed, and reading it in a way that notices when it is no longer the file that was vetted."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from otagate._fs import translate
from otagate._text import harmless
from otagate.errors import BundleError


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that passed the checks of :mod:`otagate.bundle.collect`.

    Attributes:
        path: POSIX path below the web root, NFC.
        source: Absolute path on disk, free of symbolic links.
        size: Bytes.
        device: Number of the file system that it stands on.
        inode: Number of the file in that file system.
        mtime_ns: Time of its last change, nanoseconds since the epoch.
    """

    path: str
    source: Path
    size: int
    device: int
    inode: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str, source: Path, status: os.stat_result) -> SourceFile:
        """Make one from what ``lstat`` said of a regular file."""
        return cls(path, source, status.st_size, status.st_dev, status.st_ino, status.st_mtime_ns)


@contextmanager
def opened(file: SourceFile) -> Iterator[int]:
    """Open a file for reading, sure that it is the one that was vetted, before and after the ``with`` body.

    Yields:
        A file descriptor at offset 0.

    Raises:
        BundleError: It is gone, was replaced, or was written to meanwhile.
        AccessError: It may not be read.
        UnavailableError: The disk fails.
    """
    try:
        # Not blocking: a pipe that took the file's place must not hang us. It has no effect on regular files.
        handle = os.open(file.source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check(file, handle)
            yield handle
            _check(file, handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a symbolic link took its place
            raise changed(file) from error
        raise translate(error, "cannot read a built file", file.source, missing=BundleError) from error


def read(file: SourceFile) -> bytes:
    """Read a whole file, see :func:`opened`."""
    with opened(file) as handle:
        data = os.read(handle, file.size + 1)
        while 0 < len(data) < file.size and (more := os.read(handle, file.size + 1 - len(data))):
            data += more
        if len(data) != file.size:
            raise changed(file)
        return data


def changed(file: SourceFile) -> BundleError:
    """Make the error for a file that did not hold still."""
    return BundleError(
        "a built file changed while it was packed",
        harmless(str(file.source), 400),
        remedy="wait until nothing writes to the build folder (a watcher, a second build), then run it again",
    )


def _check(file: SourceFile, handle: int) -> None:
    now = os.fstat(handle)
    found = (stat.S_ISREG(now.st_mode), now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)
    if found != (True, file.device, file.inode, file.size, file.mtime_ns):
        raise changed(file)
