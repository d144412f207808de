"""The central directory of a zip, read strictly; see :mod:`otagate.bundle.inspect`."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import BinaryIO

from otagate._text import harmless
from otagate.bundle import zipformat as z
from otagate.bundle.names import MAX_PATH_BYTES
from otagate.errors import VerificationError

# Bits 1 and 2 say how hard the packer tried (APPNOTE 4.4.4); they change nothing.
_FLAGS = z.UTF8_FLAG | 0x0006
# Times and owners: no program finds names, sizes or contents in them. Source: APPNOTE 4.5.2 and Info-ZIP's extrafld.txt.
_EXTRAS = frozenset({0x000A, 0x5455, 0x5855, 0x7855, 0x7875})
_MAX_EXTRA = 1024
_SPECIAL_BITS = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_DOS_FOLDER, _DOS_VOLUME = 0x10, 0x08


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the central directory.

    Attributes:
        path: POSIX path, without the slash at the end that marks a folder.
        is_folder: Whether it is a folder.
        name: The name's bytes as stored.
        common: The fields that the local header must repeat: version, flags, method, time, date, CRC-32, packed size, size.
        offset: Where the local header begins.
    """

    path: str
    is_folder: bool
    name: bytes
    common: tuple[int, ...]
    offset: int

    @property
    def method(self) -> int:
        """``STORED`` or ``DEFLATED``."""
        return self.common[2]

    @property
    def crc(self) -> int:
        """CRC-32 of the content."""
        return self.common[5]

    @property
    def packed_size(self) -> int:
        """Bytes in the archive."""
        return self.common[6]

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.common[7]


def refuse(subject: str, why: str, where: str) -> VerificationError:
    """Make the error for an archive that is not safe to unpack.

    Args:
        subject: The archive.
        why: What is wrong.
        where: The entry or the part of the archive.
    """
    return VerificationError(
        "the archive is not safe to unpack",
        subject,
        details=(f"{harmless(where)}: {why}",),
        remedy="do not use it: get it again from where it was made, or make it with `otagate bundle`",
    )


def check_extra(extra: bytes, subject: str, where: str) -> None:
    """Refuse extra fields that are malformed or could change what another program sees.

    Raises:
        VerificationError: Such a field.
    """
    if len(extra) > _MAX_EXTRA:
        raise refuse(subject, "its extra fields are too long", where)
    while extra:
        kind, length = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        if len(extra) < length + 4 or kind not in _EXTRAS:
            raise refuse(subject, f"it has an extra field that is not accepted (0x{kind:04x})", where)
        extra = extra[4 + length :]


def read_directory(stream: BinaryIO, subject: str, max_files: int) -> tuple[list[Entry], int]:
    """Read the central directory.

    Args:
        stream: The archive, open for reading at any offset.
        subject: Its name, for messages.
        max_files: Most entries.

    Returns:
        The entries by offset, and where the central directory begins.

    Raises:
        VerificationError: It is malformed or does not end the file.
    """
    total = os.fstat(stream.fileno()).st_size
    stream.seek(max(0, total - z.END.size))
    data = stream.read(z.END.size)
    if len(data) != z.END.size or not data.startswith(z.END_SIGNATURE.to_bytes(4, "little")):
        raise refuse(subject, "it is not a zip, is cut off, or something follows it", "end record")
    _, disk, first_disk, here, count, length, start, comment = z.END.unpack(data)
    if (disk, first_disk, here, comment) != (0, 0, count, 0) or count > z.MAX_ENTRIES or start > z.MAX_OFFSET:
        raise refuse(subject, "it has several parts, a comment or zip64 fields", "end record")
    if count > max_files:
        raise refuse(subject, f"it has {count} entries, more than {max_files}", "end record")
    if start + length + z.END.size != total:
        raise refuse(subject, "the central directory does not end where the end record begins", "end record")
    stream.seek(start)
    entries = [_read_entry(stream, subject) for _ in range(count)]
    if stream.tell() != start + length:
        raise refuse(subject, "the central directory is not as long as the end record says", "end record")
    return sorted(entries, key=lambda entry: entry.offset), start


def _read_entry(stream: BinaryIO, subject: str) -> Entry:
    data = stream.read(z.CENTRAL.size)
    if len(data) != z.CENTRAL.size or not data.startswith(z.CENTRAL_SIGNATURE.to_bytes(4, "little")):
        raise refuse(subject, "a record is missing or malformed", "central directory")
    _, _, *common, name_size, extra_size, comment, disk, _, attributes, offset = z.CENTRAL.unpack(data)
    if name_size > MAX_PATH_BYTES + 1:
        raise refuse(subject, f"a name is longer than {MAX_PATH_BYTES} bytes", "central directory")
    name = stream.read(name_size)
    path = _decoded(name, common[1], subject)
    check_extra(stream.read(extra_size), subject, path)
    entry = Entry(path.removesuffix("/"), path.endswith("/"), name, tuple(common), offset)
    problem = "it has a comment or lies on another disk" if comment or disk else _fault(entry, attributes)
    if problem:
        raise refuse(subject, problem, path)
    return entry


def _decoded(name: bytes, flags: int, subject: str) -> str:
    try:
        return name.decode("utf-8" if flags & z.UTF8_FLAG else "ascii")
    except UnicodeDecodeError:
        raise refuse(
            subject, "the name is not UTF-8, or not marked as such", name.decode("ascii", "backslashreplace")
        ) from None


def _fault(entry: Entry, attributes: int) -> str | None:
    if entry.common[1] & ~_FLAGS:
        return "it is encrypted, has a data descriptor or another flag that is not accepted"
    if entry.method not in {z.STORED, z.DEFLATED}:
        return f"its compression method ({entry.method}) is not accepted"
    if max(entry.packed_size, entry.size, entry.offset) > z.MAX_OFFSET:
        return "it uses zip64"
    if entry.method == z.STORED and entry.packed_size != entry.size:
        return "it is stored, but its two sizes differ"
    if entry.is_folder and (entry.size or entry.packed_size or entry.crc):
        return "it is a folder with content"
    return _mode_fault(attributes, is_folder=entry.is_folder)


def _mode_fault(attributes: int, *, is_folder: bool) -> str | None:
    """Check both halves of the attributes whatever system they claim to come from: programs differ in which they obey."""
    mode = attributes >> 16
    kind = stat.S_IFMT(mode)
    if kind not in {0, stat.S_IFDIR if is_folder else stat.S_IFREG}:
        return "it is a link or a device, or its type does not fit its name"
    if mode & _SPECIAL_BITS:
        return "it has set-user-id, set-group-id or sticky rights"
    if attributes & _DOS_VOLUME or (attributes & _DOS_FOLDER and not is_folder):
        return "its type does not fit its name"
    return None
