"""Files that are either wholly there or not there, and OS errors as errors that a person can mend."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from otagate._text import harmless
from otagate.errors import AccessError, NotFoundError, OtagateError, UnavailableError, UsageError

TEMP_PREFIX = ".tmp-"
"""How the names of unfinished files begin; whoever lists a folder skips them."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_WRONG_PLACE = {errno.ENOTSUP, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTEMPTY}
# Some network file systems cannot sync a folder. The rename is as durable there as they make it.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP}


@contextmanager
def atomic_file(path: Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Write a file that appears under ``path`` whole and durable, or not at all.

    The bytes go to a temporary file in the same folder, which is synced and renamed over ``path`` when the ``with`` body ends
    well, and removed when it does not.

    Args:
        path: Where it shall stand; a file that is there is replaced. The folder must exist.
        mode: Permissions, less what the umask takes away.

    Raises:
        OSError: As the system says; see :func:`translate`. ENOTSUP: what is there is no file.
    """
    if is_special(path):
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(path))
    temp = path.parent / f"{TEMP_PREFIX}{os.urandom(8).hex()}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(temp, flags, mode), "w+b") as stream:
        try:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            temp.replace(path)
        except BaseException:
            temp.unlink(missing_ok=True)
            raise
    fsync_dir(path.parent)


def is_special(path: Path) -> bool:
    """Tell whether a device, pipe or socket stands there: root's rename would put a file in the place of ``/dev/null``."""
    if path.is_symlink() and path.parent.resolve() == Path("/dev"):
        return True  # /dev/stdout, also when it leads to a file
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # whoever writes hears what is wrong
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def atomic_write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` under ``path``, whole and durable, or not at all; see :func:`atomic_file`.

    Raises:
        OSError: As the system says; see :func:`translate`.
    """
    with atomic_file(path, mode=mode) as stream:
        stream.write(data)


def fsync_dir(path: Path) -> None:
    """Make the names in a folder durable: a rename survives a power cut only after this.

    Raises:
        OSError: As the system says, except where the file system has no such thing.
    """
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a folder for unfinished work that nobody else can look into; it is gone afterwards.

    Raises:
        AccessError: No folder for temporary files can be written.
        UnavailableError: The disk under them is full.
    """
    import tempfile  # noqa: PLC0415 - not every command needs it

    try:
        folder = tempfile.TemporaryDirectory(prefix="otagate-")
    except OSError as error:
        raise _no_scratch(error, Path(os.environ.get("TMPDIR") or "/tmp")) from error  # noqa: S108 - only named
    with folder as name:
        yield Path(name)


def _no_scratch(error: OSError, place: Path) -> OtagateError:
    what, remedy = "there is no folder for temporary files", "set TMPDIR to a folder that can be written and has room"
    is_full = error.errno in _FULL or (place.is_dir() and not os.statvfs(place).f_bavail)
    if is_full:
        return UnavailableError(what, harmless(str(place), 400), found="the disk or the quota is full", remedy=remedy)
    return AccessError(what, harmless(str(place), 400), found="none that can be written", remedy=remedy)


def translate(error: OSError, what: str, path: Path | str, *, missing: type[OtagateError] = NotFoundError) -> OtagateError:
    """Turn an OS error into the error of ours that names the object and the remedy.

    Use: ``raise translate(error, "cannot read the policy", path) from error``.

    Args:
        error: What the system said.
        what: What failed, as a sentence without a final stop.
        path: The file or folder.
        missing: The class for a file that is not there.
    """
    subject, found = harmless(str(path), 400), os.strerror(error.errno) if error.errno else harmless(str(error))
    if error.errno in _FULL:
        return UnavailableError(what, subject, found="the disk or the quota is full", remedy="free some space and try again")
    if error.errno in _REFUSED:
        return AccessError(what, subject, found=found, remedy="check the owner and the permissions of it and of its folder")
    if error.errno == errno.ENOENT:
        return missing(what, subject, found=found, remedy="check the path")
    if error.errno in _WRONG_PLACE:
        return UsageError(what, subject, found=found, remedy="check the path")
    return UnavailableError(what, subject, found=found, remedy="check the disk or the mount, and try again")
