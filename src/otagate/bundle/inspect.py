"""A zip that comes from elsewhere, checked so strictly that every unzip program sees the same files in it.

Two zip readers may see two different archives in the same bytes: one follows the central directory at the end, another one
(Java's ``ZipInputStream``, which phones use) the local headers from the start. So both are walked here, must agree on every
field and must account for every byte of the file. What is rare and ambiguous (data descriptors, zip64, encryption, comments,
Unicode path fields, other methods) is refused, not interpreted.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from otagate._fs import translate
from otagate._text import harmless, size
from otagate.bundle import names
from otagate.bundle import zipformat as z
from otagate.bundle.directory import Entry, check_extra, read_directory, refuse
from otagate.model import Digest, FileEntry

RATIO_FREE = 10 * 1024 * 1024
"""Bytes. Smaller contents may be packed at any ratio: a file of zeros is no bomb."""

_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may cost us.

    Attributes:
        max_files: Most entries.
        max_size: Most bytes of all files together, unpacked.
        max_ratio: Most unpacked bytes for one packed byte, for an entry and for the whole, above ``RATIO_FREE``.
    """

    max_files: int = 20_000
    max_size: int = 2 * 1024**3
    max_ratio: int = 100


def read_archive(
    path: Path, *, max_files: int = 20_000, max_size: int = 2 * 1024**3, max_ratio: int = 100
) -> tuple[FileEntry, ...]:
    """Check a zip wholly and list its files, sorted by the bytes of the path. Memory stays flat.

    Args:
        path: The zip.
        max_files: Most entries.
        max_size: Most bytes of all files together, unpacked.
        max_ratio: Most unpacked bytes for one packed byte, above 10 MiB.

    Raises:
        VerificationError: It is not a zip, is ambiguous, damaged, too large, or names files that phones would mix up.
        NotFoundError: It is missing.
        AccessError: It cannot be read.
        UnavailableError: The disk fails.
    """
    with _open(path) as stream:
        return _walk(stream, path, Limits(max_files, max_size, max_ratio))


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise translate(error, "cannot read the archive", path) from error
    with stream:
        try:
            yield stream
        except OSError as error:
            raise translate(error, "cannot read the archive", path) from error


def _walk(stream: BinaryIO, path: Path, limits: Limits) -> tuple[FileEntry, ...]:
    subject = harmless(str(path), 400)
    entries, end = read_directory(stream, subject, limits.max_files)
    _check_names(entries, subject)
    _check_costs(entries, subject, limits, end)
    stream.seek(0)
    files, position = [], 0
    for entry in entries:
        position = _check_local(stream, entry, position, subject)
        if not entry.is_folder:
            files.append(_check_content(stream, entry, subject))
    if position != end:
        raise refuse(subject, "there are bytes that belong to no file", "before the central directory")
    return tuple(sorted(files, key=lambda file: file.path.encode("utf-8")))


def _check_names(entries: list[Entry], subject: str) -> None:
    for entry in entries:
        problem = names.fault(entry.path)
        if problem is None and not names.is_normal(entry.path):
            problem = "the name is not in Unicode form NFC"
        if problem:
            raise refuse(subject, problem, entry.path)
    listed = {entry.path for entry in entries if entry.is_folder}
    if len(listed) != sum(entry.is_folder for entry in entries):
        raise refuse(subject, "a folder stands twice in it", "central directory")
    folders = (f"{path}/." for path in listed)
    for other, path in names.twins([*folders, *(entry.path for entry in entries if not entry.is_folder)]):
        raise refuse(subject, f"phones may take it for {harmless(other)}", path.removesuffix("/."))


def _check_costs(entries: list[Entry], subject: str, limits: Limits, end: int) -> None:
    for entry in entries:
        if entry.size > RATIO_FREE and entry.size > entry.packed_size * limits.max_ratio:
            raise refuse(subject, f"it unpacks to more than {limits.max_ratio} times its size", entry.path)
    total = sum(entry.size for entry in entries)
    if total > limits.max_size:
        raise refuse(subject, f"it unpacks to {size(total)}, more than {size(limits.max_size)}", "all files")
    if total > RATIO_FREE and total > end * limits.max_ratio:
        raise refuse(subject, f"it unpacks to more than {limits.max_ratio} times its size", "all files")


def _check_local(stream: BinaryIO, entry: Entry, position: int, subject: str) -> int:
    """Compare the local header at ``position`` with the directory; the stream is there. Give where the next one begins."""
    if entry.offset != position:
        raise refuse(subject, "it does not begin where the entry before it ends", entry.path)
    data = stream.read(z.LOCAL.size).ljust(z.LOCAL.size, b"\0")  # one that is cut off is not the one in the directory
    signature, *common, name_size, extra_size = z.LOCAL.unpack(data)
    name, extra = stream.read(name_size), stream.read(extra_size)
    if signature != z.LOCAL_SIGNATURE or tuple(common) != entry.common or name != entry.name:
        raise refuse(subject, "its local header and the central directory disagree", entry.path)
    check_extra(extra, subject, entry.path)
    return position + z.LOCAL.size + len(name) + len(extra) + entry.packed_size


def _check_content(stream: BinaryIO, entry: Entry, subject: str) -> FileEntry:
    digest, crc, count = hashlib.sha256(), 0, 0
    for chunk in _content(stream, entry, subject):
        count += len(chunk)
        if count > entry.size:
            raise refuse(subject, "it is larger than its header says", entry.path)
        crc = zlib.crc32(chunk, crc)
        digest.update(chunk)
    if count != entry.size or crc != entry.crc:
        raise refuse(subject, "its size or CRC-32 is not what its header says", entry.path)
    return FileEntry(entry.path, count, Digest(digest.hexdigest()))


def _content(stream: BinaryIO, entry: Entry, subject: str) -> Iterator[bytes]:
    """Give the unpacked bytes in chunks of bounded size; exactly the packed bytes are read."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == z.DEFLATED else None
    left = entry.packed_size
    while left:
        packed = stream.read(min(left, _CHUNK))
        if not packed:
            raise refuse(subject, "it is cut off", entry.path)
        left -= len(packed)
        if inflater is None:
            yield packed
            continue
        yield from _inflate(inflater, packed, entry, subject)
        if inflater.eof and (inflater.unused_data or left):
            raise refuse(subject, "there are bytes after its end", entry.path)
    if inflater is not None and not inflater.eof:
        raise refuse(subject, "its packed bytes end too early", entry.path)


def _inflate(inflater: zlib._Decompress, packed: bytes, entry: Entry, subject: str) -> Iterator[bytes]:
    try:
        while True:
            chunk = inflater.decompress(packed, _CHUNK)
            packed = inflater.unconsumed_tail
            yield chunk
            # A full chunk may hide more that was unpacked already, even when all input is used up.
            if inflater.eof or (not packed and len(chunk) < _CHUNK):
                return
    except zlib.error:
        raise refuse(subject, "its packed bytes are damaged", entry.path) from None
