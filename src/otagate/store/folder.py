"""A store in a folder: blobs and documents as files, safe against crashes and against other processes.

Whatever is written goes to an unfinished file beside its place, is synced, and gets its name in one atomic step: by a hard
link where the name must be free, by a rename otherwise. A document's compare-and-swap holds a lock that the kernel lets
go when its process dies. Reading creates nothing, not even the folder.

Besides the errors of the ports: ``UsageError`` where a file stands in the place of a folder or the other way round.

Limits: one machine, or a network file system with working locks and renames; not NFS without a lock daemon. The folder's
file system should tell upper from lower case: where it does not, two names that differ only so are refused as tampered.
**Source:** docs/adr/0004-compare-and-swap.md.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from otagate._fs import TEMP_PREFIX, fsync_dir, translate
from otagate._text import harmless
from otagate.errors import ConflictError, NotFoundError, UnavailableError
from otagate.model import Digest
from otagate.store.damage import damaged_blob, unsigned
from otagate.store.disk import (
    CHUNK_BYTES,
    BlobFile,
    link_new,
    make_folder,
    open_regular,
    regular_size,
    stage,
    sweep,
)
from otagate.store.interface import MAX_DOCUMENT_BYTES, Document, OnProgress, Store, StoredBlob
from otagate.store.keys import BLOBS, blob_key, check_key, check_prefix, check_size, digest_of
from otagate.store.source import checked, open_source

LOCK_TIMEOUT_S = 30.0
"""How long a swap waits for another process's swap of the same document, in seconds; one takes milliseconds."""
_LOCK_POLL_S = 0.002
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
_LOCKS = ".locks"


class _Place:
    """The folder, and which parts of it were made ready for writing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._ready: set[Path] = set()

    def prepare(self, folder: Path) -> None:
        """Make a folder of the store to write in, and rid it of old unfinished files, once."""
        make_folder(folder)
        if folder not in self._ready:
            sweep(folder)
            self._ready.add(folder)


class FolderBlobs:
    """Blobs as files ``blobs/sha256/<2>/<hex>``. See BlobStore."""

    def __init__(self, place: _Place) -> None:
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


class FolderDocuments:
    """Documents as files under their keys; a token is the SHA-256 of the bytes. See DocumentStore."""

    def __init__(self, place: _Place) -> None:
        self._place = place

    def read(self, key: str) -> Document | None:
        """See DocumentStore.read."""
        path = self._path(key)
        try:
            body = _read(path)
        except OSError as error:
            raise translate(error, "cannot read the document", path) from error
        if body is None:
            return None
        check_size(key, len(body))
        return Document(key, body, _token(body))

    def create(self, key: str, body: bytes) -> str:
        """See DocumentStore.create."""
        path = self._path(key)
        check_size(key, len(body))
        with self._staged(path, body) as temp:
            try:
                if not link_new(temp, path):
                    self._create_locked(key, temp, path)
            except FileExistsError as error:
                raise ConflictError("the document is there already", key, remedy="read it and decide again") from error
        return _token(body)

    def _create_locked(self, key: str, temp: Path, path: Path) -> None:
        # No hard links here (exFAT, some shared folders): whoever creates takes the document's lock instead.
        with self._locked(key):
            if path.exists():
                raise FileExistsError
            temp.replace(path)

    def replace(self, key: str, body: bytes, token: str) -> str:
        """See DocumentStore.replace."""
        path = self._path(key)
        check_size(key, len(body))
        if self.read(key) is None:
            raise _changed(key, None)
        with self._staged(path, body) as temp, self._locked(key):
            there = _read(path)
            if there is None or _token(there) != token:
                raise _changed(key, there)
            temp.replace(path)
        return _token(body)

    def delete(self, key: str) -> None:
        """See DocumentStore.delete."""
        path = self._path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise translate(error, "cannot delete the document", path) from error

    def keys(self, prefix: str) -> Iterator[str]:
        """See DocumentStore.keys."""
        folder = self._path(check_prefix(prefix)[:-1])
        found: list[str] = []
        try:
            for parent, folders, names in os.walk(folder, onerror=_raise):
                folders[:] = [name for name in folders if not name.startswith(".")]
                below = Path(parent).relative_to(self._place.root).as_posix()
                found += [f"{below}/{name}" for name in names if not name.startswith(".")]
        except FileNotFoundError:
            found = []
        except OSError as error:
            raise translate(error, "cannot list the documents", folder) from error
        yield from sorted(found)

    def _path(self, key: str) -> Path:
        return self._place.root / check_key(key)

    @contextmanager
    def _staged(self, path: Path, body: bytes) -> Iterator[Path]:
        """Give the body as an unfinished file; afterwards make its new name durable. OS errors become ours."""
        try:
            self._place.prepare(path.parent)
            temp = stage(path.parent, [body])
            try:
                yield temp
            finally:
                temp.unlink(missing_ok=True)
            fsync_dir(path.parent)
        except FileExistsError:
            raise
        except OSError as error:
            raise translate(error, "cannot write the document", path) from error

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        from filelock import FileLock, Timeout  # noqa: PLC0415 - reading needs no lock

        # The file is never deleted: a waiter would hold a lock on a name that is gone.
        path = self._place.root / _LOCKS / f"{hashlib.sha256(key.encode()).hexdigest()}.lock"
        self._place.prepare(path.parent)
        lock = FileLock(path, timeout=LOCK_TIMEOUT_S, poll_interval=_LOCK_POLL_S, fallback_to_soft=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise UnavailableError(
                "another process is writing the same document and does not finish",
                key,
                found=f"its lock is held for more than {LOCK_TIMEOUT_S:g} s",
                remedy="end that process (its lock goes with it) and try again",
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            raise UnavailableError(
                "the file system of the store has no locks",
                harmless(str(path), 400),
                remedy="put the store on a local disk",
            ) from error
        try:
            yield
        finally:
            lock.release()


class FolderStore(Store):
    """The store in one folder, which need not exist yet.

    Args:
        root: An absolute path; a symbolic link is fine.
    """

    def __init__(self, root: Path) -> None:
        place = _Place(root)
        super().__init__(url=f"file:{root}", blobs=FolderBlobs(place), documents=FolderDocuments(place))


def _told(parts: Iterator[bytes], total: int, on_progress: OnProgress | None) -> Iterator[bytes]:
    done = 0
    for part in parts:
        yield part
        done += len(part)
        if on_progress is not None:
            on_progress(done, total)


def _read(path: Path) -> bytes | None:
    try:
        handle = open_regular(path)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as stream:
        return stream.read(MAX_DOCUMENT_BYTES + 1)


def _changed(key: str, there: bytes | None) -> ConflictError:
    return ConflictError(
        "the document changed since it was read",
        key,
        found="another state of it" if there is not None else "no document",
        remedy="read it again and decide again",
    )


def _token(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _raise(error: OSError) -> None:
    raise error


def _status(path: Path) -> os.stat_result | None:
    """Look at a file that was seen a moment ago; None when a writer or a prune beside us took it away."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
