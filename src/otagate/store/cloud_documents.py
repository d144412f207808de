"""Documents in a bucket. See :mod:`otagate.store.cloud`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from otagate.store.cloud_bucket import Bucket
from otagate.store.conflicts import changed, taken
from otagate.store.interface import MAX_DOCUMENT_BYTES, Document
from otagate.store.keys import check_key, check_prefix, check_size
from otagate.store.objects import Absent, Headers, MissingObjectError, RefusedError, TransientError, Unchanged
from otagate.store.time_told import time_at

NO_CACHE = "no-cache"
"""May be kept, and must be asked for again before each use."""
_HEADERS = Headers("application/json", NO_CACHE)
_CHANGED = (RefusedError, MissingObjectError)


class CloudDocuments:
    """Documents as objects under their keys; a token is the service's own. See DocumentStore."""

    def __init__(self, bucket: Bucket) -> None:
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
            raise taken(key) from error

    def _create(self, key: str, body: bytes) -> str:
        try:
            return self._bucket.objects.put(key, body, _HEADERS, Absent())
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
            raise changed(key, is_there=there is not None) from error

    def _replace(self, key: str, body: bytes, token: str) -> str:
        if not token:
            # No service would take that for a condition: the write would be unconditional.
            raise RefusedError("no token")
        return self._bucket.objects.put(key, body, _HEADERS, Unchanged(token))

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
