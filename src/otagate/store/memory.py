"""A store in memory, for tests and rehearsals: gone with the process, safe between its threads."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from otagate._fs import translate
from otagate.errors import NotFoundError
from otagate.model import Digest
from otagate.store.conflicts import changed, taken
from otagate.store.damage import damaged_blob, unsigned, wrong_source
from otagate.store.interface import Document, OnProgress, Store, StoredBlob
from otagate.store.keys import check_key, check_prefix, check_size


class MemoryBlobs:
    """Blobs in a dictionary. See BlobStore."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._bytes: dict[Digest, bytes] = {}
        self._written: dict[Digest, datetime] = {}

    def put(
        self,
        digest: Digest,
        source: Path,
        *,
        content_type: str = "application/octet-stream",
        on_progress: OnProgress | None = None,
    ) -> bool:
        """See BlobStore.put."""
        try:
            data = source.read_bytes()
        except OSError as error:
            raise translate(error, "cannot read the file to store", source) from error
        with self._lock:
            there = self._bytes.get(digest)
            if there is not None and len(there) == len(data):
                return False
            if Digest.of(data) != digest:
                raise wrong_source(source, digest, Digest.of(data))
            if there is not None:
                raise damaged_blob(digest, self.url(digest), expected=len(data), found=len(there))
            self._bytes[digest] = data
            self._written[digest] = datetime.now(UTC)
        if on_progress is not None:
            on_progress(len(data), len(data))
        return True

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        """See BlobStore.open."""
        with self._lock:
            data = self._bytes.get(digest)
        if data is None:
            raise NotFoundError("there is no such blob", self.url(digest), remedy="publish the release again")
        return io.BytesIO(data[start:])

    def size(self, digest: Digest) -> int | None:
        """See BlobStore.size."""
        with self._lock:
            data = self._bytes.get(digest)
        return None if data is None else len(data)

    def delete(self, digest: Digest) -> None:
        """See BlobStore.delete."""
        with self._lock:
            self._bytes.pop(digest, None)

    def url(self, digest: Digest) -> str:
        """See BlobStore.url: ``memory:NAME#sha256:<hex>``, of use inside this process only."""
        return f"memory:{self._name}#{digest}"

    def signed_url(self, digest: Digest, lifetime: timedelta) -> str:
        """See BlobStore.signed_url: memory has none."""
        raise unsigned(self.url(digest))

    def list(self) -> Iterator[StoredBlob]:
        """See BlobStore.list."""
        with self._lock:
            found = [StoredBlob(digest, len(data), self._written[digest]) for digest, data in self._bytes.items()]
        yield from found

    def abort_unfinished(self, before: datetime) -> int:
        """See BlobStore.abort_unfinished: here every upload ends."""
        return 0


class MemoryDocuments:
    """Documents in a dictionary; a token is the SHA-256 of the bytes, as in a folder. See DocumentStore."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bodies: dict[str, bytes] = {}

    def read(self, key: str) -> Document | None:
        """See DocumentStore.read."""
        check_key(key)
        with self._lock:
            body = self._bodies.get(key)
        if body is None:
            return None
        check_size(key, len(body))
        return Document(key, body, _token(body))

    def create(self, key: str, body: bytes) -> str:
        """See DocumentStore.create."""
        check_size(check_key(key), len(body))
        with self._lock:
            if key in self._bodies:
                raise taken(key)
            self._bodies[key] = body
        return _token(body)

    def replace(self, key: str, body: bytes, token: str) -> str:
        """See DocumentStore.replace."""
        check_size(check_key(key), len(body))
        with self._lock:
            there = self._bodies.get(key)
            if there is None or _token(there) != token:
                raise changed(key, is_there=there is not None)
            self._bodies[key] = body
        return _token(body)

    def delete(self, key: str) -> None:
        """See DocumentStore.delete."""
        check_key(key)
        with self._lock:
            self._bodies.pop(key, None)

    def keys(self, prefix: str) -> Iterator[str]:
        """See DocumentStore.keys."""
        check_prefix(prefix)
        with self._lock:
            found = sorted(key for key in self._bodies if key.startswith(prefix))
        yield from found


class MemoryStore(Store):
    """A store that lives as long as this object does."""

    def __init__(self, name: str = "memory") -> None:
        super().__init__(url=f"memory:{name}", blobs=MemoryBlobs(name), documents=MemoryDocuments())


def _token(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
