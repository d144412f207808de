"""Vetted files to a zip whose bytes depend on nothing but their names and contents (docs/adr/0003-deterministic-zip.md)."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from otagate._fs import atomic_file, translate
from otagate._text import size
from otagate.bundle import zipformat as z
from otagate.bundle.listing import content_digest
from otagate.bundle.source import SourceFile, changed, opened, read
from otagate.errors import BundleError
from otagate.model import Bundle, Digest, FileEntry

LEVEL = 6
"""libdeflate's level: the fastest whose zips of real web builds are not larger than the Capgo CLI's
(docs/adr/0003-deterministic-zip.md)."""
STORE_ABOVE = 32 * 1024 * 1024
"""Bytes. Larger files are stored and streamed: libdeflate needs the whole file, and its result, in memory."""
STORED_TYPES = frozenset(
    {".7z", ".aac", ".avif", ".br", ".bz2", ".gz", ".heic", ".m4a", ".m4v", ".mov", ".mp3", ".mp4", ".ogg", ".opus"}
    | {".webm", ".webp", ".woff2", ".xz", ".zip", ".zst"}
)
"""Name endings of formats that are compressed so well already that trying again wastes time here and on every phone."""

_BUDGET = 48 * 1024 * 1024  # bytes of files and of their packed forms in memory at once
_BATCH_BYTES, _BATCH_FILES = 256 * 1024, 32  # small files go to a thread together: a hand-over costs as much as packing one
_CHUNK = 1024 * 1024

# Fixed values of each record. Source: APPNOTE.TXT 4.4.2 (made by: 3 = Unix, version 2.0), 4.4.6 (1980-01-01 00:00:00),
# 4.4.15 (a regular file that its owner may write and everybody may read).
_VERSION = 20
_MADE_BY = 3 << 8 | _VERSION
_TIME, _DATE = 0, 0x0021
_ATTRIBUTES = 0o100644 << 16


@dataclass(frozen=True, slots=True)
class _Packed:
    """A file, ready to be written; ``body`` is None when the writer is to stream ``source`` itself."""

    source: SourceFile
    crc: int
    method: int
    body: bytes | bytearray | None
    digest: str = ""


def write_archive(
    files: Sequence[SourceFile],
    target: Path,
    *,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """Pack files into a deterministic zip; see the module.

    Memory stays below about 100 MiB whatever is packed.

    Args:
        files: What to pack, in any order; see :func:`otagate.bundle.collect.collect`.
        target: Where the zip shall stand. It appears whole or not at all.
        workers: Threads; None: as many as this process has processors, 2 to 8. It does not change the bytes.
        on_progress: Called in this thread with the bytes that are packed and the bytes in all.

    Returns:
        The bundle, its digests computed over the bytes as they were written.

    Raises:
        BundleError: No file, too many or too large ones for a zip, or one that changed meanwhile.
        AccessError: A file cannot be read, or ``target`` not be written.
        NotFoundError: The folder of ``target`` is missing.
        UnavailableError: The disk is full or fails.
    """
    ordered = sorted(files, key=lambda file: file.path.encode("utf-8"))
    total = _check_limits(ordered)
    done = 0
    try:
        with atomic_file(target) as stream, closing(_pack_all(ordered, workers or _processors())) as packed:
            writer = _Writer(stream)
            for item in packed:
                writer.add(item)
                done += item.source.size
                if on_progress:
                    on_progress(done, total)
            writer.finish()
    except OSError as error:
        raise translate(error, "cannot write the bundle", target) from error
    entries = tuple(writer.entries)
    return Bundle(Digest(writer.hash.hexdigest()), writer.offset, entries, content_digest(entries), compressor())


def compressor() -> str:
    """Name what makes the bytes: library, wheel with version, level."""
    import deflate  # noqa: PLC0415 - compiled code that only packing needs

    return f"libdeflate (deflate {deflate.__version__}) level {LEVEL}"


def _processors() -> int:
    # Not os.cpu_count(): a CI container sees all processors of its host and may use two.
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    return max(2, min(8, usable))


def _check_limits(files: Sequence[SourceFile]) -> int:
    total = sum(file.size for file in files)
    if not files:
        raise BundleError("there are no files to pack", remedy="run the build first")
    if len({file.path for file in files}) != len(files):
        raise BundleError("two files have the same path", remedy="collect the files anew")
    # Deflate is never used when it does not shrink, so records and contents bound the archive.
    largest = total + sum(z.LOCAL.size + z.CENTRAL.size + 2 * len(file.path.encode("utf-8")) for file in files) + z.END.size
    if len(files) > z.MAX_ENTRIES or largest > z.MAX_OFFSET:
        raise BundleError(
            "the files do not fit into a zip that phones can open",
            expected=f"at most {z.MAX_ENTRIES} files and {size(z.MAX_OFFSET)} in all",
            found=f"{len(files)} files, {size(total)}",
            remedy="serve large media from a web server instead of shipping it in the bundle",
        )
    return total


def _batches(files: Sequence[SourceFile]) -> Iterator[list[SourceFile]]:
    batch: list[SourceFile] = []
    held = 0
    for file in files:
        if batch and (len(batch) >= _BATCH_FILES or held + file.size > _BATCH_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(file)
        held += file.size
    yield batch


def _pack_all(files: Sequence[SourceFile], workers: int) -> Generator[_Packed]:
    """Pack in threads (deflate and SHA-256 let go of the interpreter) and give the results in order, within the budget."""
    pool = ThreadPoolExecutor(workers, "pack")
    waiting: deque[tuple[int, Future[list[_Packed]]]] = deque()
    held = 0
    try:
        for batch in _batches(files):
            cost = sum(2 * file.size for file in batch if file.size <= STORE_ABOVE)
            while waiting and (held + cost > _BUDGET or len(waiting) > 4 * workers):
                freed, future = waiting.popleft()
                yield from future.result()
                del future  # it holds the packed bytes
                held -= freed
            waiting.append((cost, pool.submit(_pack_batch, batch)))
            held += cost
        while waiting:
            yield from waiting.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _pack_batch(batch: list[SourceFile]) -> list[_Packed]:
    return [_pack(file) for file in batch]


def _pack(file: SourceFile) -> _Packed:
    if file.size > STORE_ABOVE:
        with opened(file) as handle:
            crc = 0
            while chunk := os.read(handle, _CHUNK):
                crc = zlib.crc32(chunk, crc)
        return _Packed(file, crc, z.STORED, None)
    data = read(file)
    body = _deflated(data, file.path)
    method, kept = (z.STORED, data) if body is None else (z.DEFLATED, body)
    return _Packed(file, zlib.crc32(data), method, kept, hashlib.sha256(data).hexdigest())


def _deflated(data: bytes, path: str) -> bytearray | None:
    """Compress, or give None when that is of no use."""
    if not data or os.path.splitext(path)[1].lower() in STORED_TYPES:  # noqa: PTH122 - ten times faster than a Path
        return None
    import deflate  # noqa: PLC0415 - compiled code that only packing needs

    body: bytearray = deflate.deflate_compress(data, LEVEL)
    return body if len(body) < len(data) else None


class _Writer:
    """Writes the records in order, hashes what it writes, and remembers what the central directory needs."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.hash = hashlib.sha256()
        self.offset = 0
        self.entries: list[FileEntry] = []
        self.directory: list[bytes] = []

    def add(self, item: _Packed) -> None:
        """Write one file."""
        file = item.source
        name = file.path.encode("utf-8")
        flags = 0 if file.path.isascii() else z.UTF8_FLAG
        packed_size = file.size if item.body is None else len(item.body)
        common = (_VERSION, flags, item.method, _TIME, _DATE, item.crc, packed_size, file.size, len(name), 0)
        record = z.CENTRAL.pack(z.CENTRAL_SIGNATURE, _MADE_BY, *common, 0, 0, 0, _ATTRIBUTES, self.offset)
        self.directory.append(record + name)
        self._write(z.LOCAL.pack(z.LOCAL_SIGNATURE, *common) + name)
        if item.body is None:
            digest = self._stream(item)
        else:
            self._write(item.body)
            digest = item.digest
        self.entries.append(FileEntry(file.path, file.size, Digest(digest)))

    def finish(self) -> None:
        """Write the central directory and the end record."""
        start = self.offset
        self._write(b"".join(self.directory))
        count = len(self.directory)
        self._write(z.END.pack(z.END_SIGNATURE, 0, 0, count, count, self.offset - start, start, 0))

    def _stream(self, item: _Packed) -> str:
        """Copy a large file; its CRC stands in the header already, so it must not have changed since."""
        digest, crc, left = hashlib.sha256(), 0, item.source.size
        with opened(item.source) as handle:
            while left >= 0 and (chunk := os.read(handle, _CHUNK)):
                left -= len(chunk)
                crc = zlib.crc32(chunk, crc)
                digest.update(chunk)
                self._write(chunk)
        if left or crc != item.crc:
            raise changed(item.source)
        return digest.hexdigest()

    def _write(self, data: bytes | bytearray) -> None:
        self.stream.write(data)
        self.hash.update(data)
        self.offset += len(data)
