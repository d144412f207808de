"""Blobs in a bucket. See :mod:`otagate.store.cloud`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from otagate.errors import NotFoundError, UnavailableError
from otagate.model import Digest
from otagate.store.cloud_bucket import UPLOAD, Bucket
from otagate.store.damage import damaged_blob
from otagate.store.disk import CHUNK_BYTES
from otagate.store.interface import OnProgress, StoredBlob
from otagate.store.keys import BLOBS, blob_key, digest_of
from otagate.store.objects import Headers, MissingObjectError, ObjectError
from otagate.store.source import checked, open_source

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from otagate.store.public import PublicReader

IMMUTABLE = "public, max-age=31536000, immutable"
"""**Source:** DESIGN §6; RFC 8246 for ``immutable``."""


class CloudBlobs:
    """Blobs as objects ``blobs/sha256/<2>/<hex>``. See BlobStore."""

    def __init__(self, bucket: Bucket, reader: PublicReader | None) -> None:
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


class _Stream(io.RawIOBase):
    """A blob being read; when the connection breaks, it is opened again where it broke."""

    def __init__(self, bucket: Bucket, name: str, start: int) -> None:
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
