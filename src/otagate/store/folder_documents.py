"""Documents of the folder store. See :mod:`otagate.store.folder`."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otagate._fs import fsync_dir, translate
from otagate._text import harmless
from otagate.errors import UnavailableError
from otagate.store.conflicts import changed, taken
from otagate.store.disk import Place, link_new, open_regular, stage
from otagate.store.interface import MAX_DOCUMENT_BYTES, Document
from otagate.store.keys import check_key, check_prefix, check_size

LOCK_TIMEOUT_S = 30.0
"""How long a swap waits for another process's swap of the same document, in seconds; one takes milliseconds."""
_LOCK_POLL_S = 0.002
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
_LOCKS = ".locks"


class FolderDocuments:
    """Documents as files under their keys; a token is the SHA-256 of the bytes. See DocumentStore."""

    def __init__(self, place: Place) -> None:
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
                raise taken(key) from error
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
            raise changed(key, is_there=False)
        with self._staged(path, body) as temp, self._locked(key):
            there = _read(path)
            if there is None or _token(there) != token:
                raise changed(key, is_there=there is not None)
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


def _read(path: Path) -> bytes | None:
    try:
        handle = open_regular(path)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as stream:
        return stream.read(MAX_DOCUMENT_BYTES + 1)


def _token(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _raise(error: OSError) -> None:
    raise error
