"""Blobs of the folder store. See :mod:`otagate.store.folder`."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from otagate._fs import TEMP_PREFIX, fsync_dir, translate
from otagate.errors import NotFoundError
from otagate.model import Digest
from otagate.store.damage import damaged_blob, unsigned
from otagate.store.disk import CHUNK_BYTES, BlobFile, Place, regular_size, stage
from otagate.store.interface import OnProgress, StoredBlob
from otagate.store.keys import BLOBS, blob_key, digest_of
from otagate.store.source import checked, open_source


class FolderBlobs:
    """Blobs as files ``blobs/sha256/<2>/<hex>``. See BlobStore."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def put(
        self,
        digest: Digest,
        source: Path,
        *,
        content_type: str = "application/octet-stream",
        on_progress: OnProgress | None = None,
    ) -> bool:
        """See BlobStore.put. A folder keeps no content type.

        Raises:
            VerificationError: Also when a file of another size stands under the digest: it is damaged, and never overwritten
                here, because a device may be reading it. Delete it and publish again.
        """
        path = self._path(digest)
        with open_source(source) as (stream, size):
            there = self.size(digest)
            if there == size:
                return False
            try:
                self._store(digest, path, _told(checked(stream, source, digest), size, on_progress), size, there)
            except OSError as error:
                raise translate(error, "cannot store the blob", path) from error
        return True

    def _store(self, digest: Digest, path: Path, parts: Iterator[bytes], size: int, there: int | None) -> None:
        for folder in (self._place.root / BLOBS / "sha256").glob("??"):
            self._place.prepare(folder)
        self._place.prepare(path.parent)
        temp = stage(path.parent, parts)
        try:
            if there is not None:
                raise damaged_blob(digest, self.url(digest), expected=size, found=there)
            temp.replace(path)
        finally:
            temp.unlink(missing_ok=True)
        fsync_dir(path.parent)

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        """See BlobStore.open."""
        path = self._path(digest)
        try:
            raw = BlobFile(path)
            raw.seek(start)
        except FileNotFoundError as error:
            raise NotFoundError("there is no such blob", self.url(digest), remedy="publish the release again") from error
        except OSError as error:
            raise translate(error, "cannot open the blob", path) from error
        return io.BufferedReader(raw, CHUNK_BYTES)

    def size(self, digest: Digest) -> int | None:
        """See BlobStore.size."""
        path = self._path(digest)
        try:
            return regular_size(path)
        except OSError as error:
            raise translate(error, "cannot look at the blob", path) from error

    def delete(self, digest: Digest) -> None:
        """See BlobStore.delete."""
        path = self._path(digest)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise translate(error, "cannot delete the blob", path) from error

    def url(self, digest: Digest) -> str:
        """See BlobStore.url: a ``file:`` URL."""
        return self._path(digest).as_uri()

    def signed_url(self, digest: Digest, lifetime: timedelta) -> str:
        """See BlobStore.signed_url: a folder has none."""
        raise unsigned(self.url(digest))

    def list(self) -> Iterator[StoredBlob]:
        """See BlobStore.list."""
        folder = self._place.root / BLOBS / "sha256"
        try:
            for path in sorted(folder.glob("??/*")):
                digest = digest_of(path.relative_to(self._place.root).as_posix())
                found = _status(path)
                if digest is not None and found is not None and stat.S_ISREG(found.st_mode):
                    yield StoredBlob(digest, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))
        except OSError as error:
            raise translate(error, "cannot list the blobs", folder) from error

    def abort_unfinished(self, before: datetime) -> int:
        """See BlobStore.abort_unfinished: the unfinished files of killed writers."""
        count = 0
        try:
            for path in (self._place.root / BLOBS / "sha256").glob(f"??/{TEMP_PREFIX}*"):
                found = _status(path)
                if found is not None and found.st_mtime < before.timestamp():
                    path.unlink(missing_ok=True)
                    count += 1
        except OSError as error:
            raise translate(error, "cannot remove what an upload left", self._place.root) from error
        return count

    def _path(self, digest: Digest) -> Path:
        return self._place.root / blob_key(digest)


def _told(parts: Iterator[bytes], total: int, on_progress: OnProgress | None) -> Iterator[bytes]:
    done = 0
    for part in parts:
        yield part
        done += len(part)
        if on_progress is not None:
            on_progress(done, total)


def _status(path: Path) -> os.stat_result | None:
    """Look at a file that was seen a moment ago; None when a writer or a prune beside us took it away."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
