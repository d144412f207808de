"""Blobs and documents in a bucket, whichever cloud it is: everything that the adapters have in common.

Each operation on the bucket is tried again as :mod:`otagate._retry` says while the service is slow or gone, and every failure
leaves as an error of ours that names the object, the permission or the option. Blobs are written once and may be kept for ever
by whoever serves them; documents are never kept.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from otagate._retry import Again, Patience, persist
from otagate.errors import ConflictError, NotFoundError, UnavailableError
from otagate.model import Digest
from otagate.store.cloud_errors import explained
from otagate.store.damage import damaged_blob
from otagate.store.disk import CHUNK_BYTES
from otagate.store.interface import MAX_DOCUMENT_BYTES, Document, OnProgress, Store, StoredBlob
from otagate.store.keys import BLOBS, blob_key, check_key, check_prefix, check_size, digest_of
from otagate.store.objects import (
    Absent,
    Headers,
    MissingObjectError,
    ObjectError,
    Objects,
    RefusedError,
    TransientError,
    Unchanged,
)
from otagate.store.source import checked, open_source
from otagate.store.time_told import time_at

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from otagate.store.public import PublicReader

IMMUTABLE = "public, max-age=31536000, immutable"
"""**Source:** DESIGN §6; RFC 8246 for ``immutable``."""
NO_CACHE = "no-cache"
"""May be kept, and must be asked for again before each use."""
DOCUMENT = Headers("application/json", NO_CACHE)
OPERATION = Patience(total=60.0)
UPLOAD = Patience(total=600.0)
"""A large blob on a slow line takes its time; each part has a limit of its own."""

_CHANGED = (RefusedError, MissingObjectError)
_T = TypeVar("_T")


class _Bucket:
    """The objects below one prefix, with retries."""

    def __init__(self, objects: Objects, prefix: str, sleep: Callable[[float], None]) -> None:
        self.objects = objects
        self.prefix = prefix
        self._sleep = sleep

    def key(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def run(
        self,
        doing: str,
        name: str,
        action: Callable[[str], _T],
        patience: Patience = OPERATION,
        *,
        told: tuple[type[ObjectError], ...] = (),
    ) -> _T:
        """Carry out an operation on one key; ``doing`` completes "cannot …" in the error. What is ``told`` passes as it is."""
        key = self.key(name)
        try:
            return persist(lambda: action(key), _verdict, patience, sleep=self._sleep)
        except ObjectError as error:
            if isinstance(error, told):
                raise
            raise explained(error, doing, f"{self.objects.where}: {key}") from error


def _verdict(error: Exception) -> Again | None:
    return Again(error.retry_after) if isinstance(error, TransientError) else None


class CloudBlobs:
    """Blobs as objects ``blobs/sha256/<2>/<hex>``. See BlobStore."""

    def __init__(self, bucket: _Bucket, reader: PublicReader | None) -> None:
        self._bucket = bucket
        self._reader = reader

    def put(
        self,
        digest: Digest,
        source: Path,
        *,
        content_type: str = "application/octet-stream",
        on_progress: OnProgress | None = None,
    ) -> bool:
        """See BlobStore.put.

        Raises:
            VerificationError: Also when an object of another size stands under the digest: it is damaged, and never overwritten
                here, because a device may be reading it.
        """
        with open_source(source) as (stream, size):
            there = self.size(digest)
            if there == size:
                return False
            if there is not None:
                for _ in checked(stream, source, digest):
                    pass
                raise damaged_blob(digest, self.url(digest), expected=size, found=there)
            headers = Headers(content_type, IMMUTABLE)

            def upload(key: str) -> None:
                stream.seek(0)
                self._bucket.objects.upload(
                    key, checked(stream, source, digest), size, headers, on_progress or (lambda _done, _total: None)
                )

            self._bucket.run("store the blob", blob_key(digest), upload, UPLOAD)
        return True

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        """See BlobStore.open."""
        name = blob_key(digest)
        if self._reader is not None and not direct:
            return self._public(self._reader, digest, start)
        try:
            return io.BufferedReader(_Stream(self._bucket, name, start), CHUNK_BYTES)
        except MissingObjectError as error:
            raise NotFoundError("there is no such blob", self.url(digest), remedy="publish the release again") from error

    def _public(self, reader: PublicReader, digest: Digest, start: int) -> AbstractContextManager[BinaryIO]:
        # The store is asked first: the public address is asked again for a while when it says "not there" of a new blob.
        if self.size(digest) is None:
            raise NotFoundError("there is no such blob", self.url(digest), remedy="publish the release again")
        try:
            return reader.open(blob_key(digest), start)
        except NotFoundError as error:
            # It is there: whoever took it for lost would put it again, or give up a release that is whole.
            raise UnavailableError(error.what, error.subject, error.expected, error.found, error.remedy) from error

    def size(self, digest: Digest) -> int | None:
        """See BlobStore.size."""
        head = self._bucket.run("look at the blob", blob_key(digest), self._bucket.objects.head)
        return None if head is None else head.size

    def delete(self, digest: Digest) -> None:
        """See BlobStore.delete."""
        self._bucket.run("delete the blob", blob_key(digest), self._bucket.objects.delete)

    def url(self, digest: Digest) -> str:
        """See BlobStore.url: below the public address when the store's URL has one."""
        name = blob_key(digest)
        return self._reader.url(name) if self._reader is not None else self._bucket.objects.address(self._bucket.key(name))

    def signed_url(self, digest: Digest, lifetime: timedelta) -> str:
        """See BlobStore.signed_url."""
        return self._bucket.run("sign an address of", blob_key(digest), lambda key: self._bucket.objects.sign(key, lifetime))

    def list(self) -> Iterator[StoredBlob]:
        """See BlobStore.list."""
        heads = self._bucket.run("list the blobs", f"{BLOBS}/", lambda key: list(self._bucket.objects.list(key)))
        for head in heads:
            digest = digest_of(head.key.removeprefix(self._bucket.prefix))
            if digest is not None:
                yield StoredBlob(digest, head.size, head.modified)

    def abort_unfinished(self, before: datetime) -> int:
        """See BlobStore.abort_unfinished."""
        return self._bucket.run(
            "remove what an upload left", f"{BLOBS}/", lambda key: self._bucket.objects.abort_unfinished(key, before)
        )


class CloudDocuments:
    """Documents as objects under their keys; a token is the service's own. See DocumentStore."""

    def __init__(self, bucket: _Bucket) -> None:
        self._bucket = bucket

    def read(self, key: str) -> Document | None:
        """See DocumentStore.read."""
        check_key(key)
        found = self._bucket.run("read the document", key, lambda whole: self._bucket.objects.read(whole, MAX_DOCUMENT_BYTES))
        if found is None:
            return None
        body, head = found
        check_size(key, len(body))
        return Document(key, body, head.token)

    def create(self, key: str, body: bytes) -> str:
        """See DocumentStore.create."""
        check_size(check_key(key), len(body))
        try:
            return self._bucket.run("write the document", key, lambda whole: self._create(whole, body), told=(RefusedError,))
        except RefusedError as error:
            raise ConflictError("the document is there already", key, remedy="read it and decide again") from error

    def _create(self, key: str, body: bytes) -> str:
        try:
            return self._bucket.objects.put(key, body, DOCUMENT, Absent())
        except RefusedError as error:
            if self._bucket.objects.head(key) is None:
                # S3 says 409 while another writer is in the middle, and that one may fail. **Source:** docs/adr/0008-stores.md
                raise TransientError(error.reason) from error
            raise

    def replace(self, key: str, body: bytes, token: str) -> str:
        """See DocumentStore.replace."""
        check_size(check_key(key), len(body))
        try:
            return self._bucket.run("write the document", key, lambda whole: self._replace(whole, body, token), told=_CHANGED)
        except _CHANGED as error:
            there = self._bucket.run("look at the document", key, self._bucket.objects.head)
            raise ConflictError(
                "the document changed since it was read",
                key,
                found="another state of it" if there is not None else "no document",
                remedy="read it again and decide again",
            ) from error

    def _replace(self, key: str, body: bytes, token: str) -> str:
        if not token:
            # No service would take that for a condition: the write would be unconditional.
            raise RefusedError("no token")
        return self._bucket.objects.put(key, body, DOCUMENT, Unchanged(token))

    def delete(self, key: str) -> None:
        """See DocumentStore.delete."""
        check_key(key)
        self._bucket.run("delete the document", key, self._bucket.objects.delete)

    def keys(self, prefix: str) -> Iterator[str]:
        """See DocumentStore.keys."""
        check_prefix(prefix)
        heads = self._bucket.run("list the documents", prefix, lambda key: list(self._bucket.objects.list(key)))
        yield from sorted(head.key.removeprefix(self._bucket.prefix) for head in heads)

    def time_told(self) -> datetime | None:
        """See TellsTime.time_told."""
        return time_at(self._bucket.objects.address(""))


def cloud_store(
    url: str,
    objects: Objects,
    prefix: str,
    reader: PublicReader | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Store:
    """Make a store of a bucket.

    Args:
        url: Names it to people.
        objects: The bucket.
        prefix: What every key begins with: empty, or ending in ``/``.
        reader: Reads blobs through the public address; None: through the bucket itself.
        sleep: Waits between attempts; for tests.
    """
    bucket = _Bucket(objects, prefix, sleep)
    name, at, endpoint = objects.where.partition(" at ")
    where = f"{name}/{prefix}".rstrip("/") + at + endpoint
    return Store(url, CloudBlobs(bucket, reader), CloudDocuments(bucket), where=where)


class _Stream(io.RawIOBase):
    """A blob being read; when the connection breaks, it is opened again where it broke."""

    def __init__(self, bucket: _Bucket, name: str, start: int) -> None:
        super().__init__()
        self._bucket, self._name, self._position = bucket, name, start
        self._pieces: Iterator[bytes] | None = None
        # The first piece comes now, so that a missing blob is found by whoever opens it.
        self._left = memoryview(self._next())

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read into ``buffer``; see io.RawIOBase.readinto."""
        target = memoryview(buffer).cast("B")
        if not self._left:
            try:
                self._left = memoryview(self._next())
            except MissingObjectError as error:
                remedy = "publish the release again"
                raise NotFoundError("the blob went while it was read", self._name, remedy=remedy) from error
        count = min(len(target), len(self._left))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _next(self) -> bytes:
        piece = self._bucket.run("read the blob", self._name, self._attempt, told=(MissingObjectError,))
        self._position += len(piece)
        return piece

    def _attempt(self, key: str) -> bytes:
        if self._pieces is None:
            self._pieces = self._bucket.objects.stream(key, self._position)
        try:
            for piece in self._pieces:
                if piece:
                    return piece
        except ObjectError:
            self._pieces = None
            raise
        return b""
