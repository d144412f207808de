"""The raw port over obstore: what S3 and Azure Blob have in common.

obstore makes one attempt and repeats nothing but the parts of an upload: :mod:`otagate.store.cloud` repeats, and knows a lost
answer from a refusal. It never looks for credentials by itself: they come from :mod:`otagate.identity` alone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError, UnauthenticatedError

from otagate.store._interruptible import interruptible
from otagate.store.interface import OnProgress
from otagate.store.objects import (
    Absent,
    BrokenRequestError,
    Condition,
    DeniedError,
    Head,
    Headers,
    MissingObjectError,
    ObjectError,
)
from otagate.store.obstore_client import Credentials, client_options
from otagate.store.obstore_errors import Operation, is_past_the_end, translated

if TYPE_CHECKING:
    from obstore import PutMode
    from obstore.store import AzureStore, ClientConfig, S3Store

PART_BYTES = 8 * 1024 * 1024
"""Size of a part of a large upload, and the largest that is sent in one go. 10,000 parts make 80 GB.

**Source:** Amazon S3 User Guide, "Amazon S3 multipart upload limits".
"""
PARTS_AT_ONCE = 6
"""Parts on their way at the same time; with the one being filled they bound the memory to 56 MiB."""
PIECE_BYTES = 1024 * 1024
"""Least size of a piece of a streamed read, but for the last."""
PAGE = 1000


class ObstoreObjects:
    """One bucket or container over obstore. See Objects.

    Subclasses make the obstore store, name the permissions, and add what obstore does not have.
    """

    permissions: Mapping[Operation, str] = {}

    def __init__(self, where: str, endpoint: str, credentials: Credentials[Any]) -> None:
        self.where = where
        self._options = client_options(endpoint)
        self._credentials = credentials
        self._stores: dict[str, S3Store | AzureStore] = {}
        self._lock = threading.Lock()

    def _make(self, use: str, options: ClientConfig) -> S3Store | AzureStore:
        raise NotImplementedError

    def _store(self, use: str) -> S3Store | AzureStore:
        with self._lock:
            if use not in self._stores:
                self._stores[use] = self._make(use, self._options[use])
            return self._stores[use]

    def _explained(self, error: Exception, operation: Operation) -> ObjectError:
        return translated(error, operation, self.permissions[operation], self._credentials.scrub)

    @contextmanager
    def _asking(self, operation: Operation) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError, ValueError) as error:
            failure = self._credentials.failure
            if isinstance(error, UnauthenticatedError) and failure is not None and "credential provider" in str(error):
                raise failure from None
            # Without its cause: obstore's text can hold a signed address.
            raise self._explained(error, operation) from None

    def head(self, key: str) -> Head | None:
        """See Objects.head."""
        try:
            with self._asking(Operation.READ):
                found = obstore.get(self._store("quick"), key, options={"head": True})
                return _head(found.meta, found.attributes)
        except MissingObjectError:
            return None
        except (DeniedError, BrokenRequestError):
            # An answer to HEAD says no more than its status; asking for the first byte tells what is the matter.
            with suppress(MissingObjectError), self._asking(Operation.READ):
                obstore.get_range(self._store("quick"), key, start=0, end=1)
            raise

    def read(self, key: str, limit: int) -> tuple[bytes, Head] | None:
        """See Objects.read."""
        try:
            with self._asking(Operation.READ):
                found = obstore.get(self._store("quick"), key)
                head = _head(found.meta, found.attributes)
                body = bytearray()
                for piece in found.stream(min_chunk_size=PIECE_BYTES):
                    body += piece
                    if len(body) > limit:
                        break
                return bytes(body[: limit + 1]), head
        except MissingObjectError:
            return None

    def stream(self, key: str, start: int) -> Iterator[bytes]:
        """See Objects.stream."""
        with self._asking(Operation.READ):
            try:
                # Without a range where none is needed: an empty object has none that a service would take.
                found = obstore.get(self._store("download"), key, options={"range": {"offset": start}} if start else {})
            except BaseError as error:
                if is_past_the_end(error):
                    return
                raise
            for piece in found.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(piece)

    def put(self, key: str, body: bytes, headers: Headers, condition: Condition) -> str:
        """See Objects.put."""
        mode: PutMode = "create" if isinstance(condition, Absent) else {"e_tag": condition.token}
        with self._asking(Operation.CONDITIONAL):
            made = obstore.put(self._store("quick"), key, body, attributes=_attributes(headers), mode=mode, use_multipart=False)
        token = made["e_tag"]
        if not token:
            raise BrokenRequestError("the service gave no ETag for what it stored")
        return token

    def upload(self, key: str, pieces: Iterable[bytes], size: int, headers: Headers, on_progress: OnProgress) -> None:
        """See Objects.upload. ``on_progress`` hears only of what has left for certain: up to six parts more may have."""
        source = _Source(pieces, size, on_progress)
        interruptible(lambda: self._send(key, source, size, _attributes(headers)), source.stop)
        on_progress(size, size)

    def _send(self, key: str, source: _Source, size: int, attributes: dict[str, str]) -> None:
        if size <= PART_BYTES:
            body = b"".join(source)
            with self._asking(Operation.WRITE):
                obstore.put(self._store("upload"), key, body, attributes=attributes, use_multipart=False)
            return
        try:
            with self._asking(Operation.WRITE):
                obstore.put(
                    self._store("upload"),
                    key,
                    iter(source),
                    attributes=attributes,
                    use_multipart=True,
                    chunk_size=PART_BYTES,
                    max_concurrency=PARTS_AT_ONCE,
                )
        except ObjectError:
            if source.failure is not None:
                raise source.failure from None
            raise

    def delete(self, key: str) -> None:
        """See Objects.delete."""
        try:
            with self._asking(Operation.DELETE):
                obstore.delete(self._store("quick"), key)
        except MissingObjectError:
            return

    def list(self, prefix: str) -> Iterator[Head]:
        """See Objects.list."""
        # obstore lists whole segments only.
        folder = prefix.rpartition("/")[0] or None
        with self._asking(Operation.LIST):
            for page in obstore.list(self._store("quick"), folder, chunk_size=PAGE):
                for meta in page:
                    if meta["path"].startswith(prefix):
                        yield _head(meta, {})

    def sign(self, key: str, lifetime: timedelta) -> str:
        """See Objects.sign."""
        with self._asking(Operation.SIGN):
            return obstore.sign(self._store("quick"), "GET", key, lifetime)

    def address(self, key: str) -> str:
        """See Objects.address."""
        raise NotImplementedError

    def abort_unfinished(self, prefix: str, before: datetime) -> int:
        """See Objects.abort_unfinished."""
        raise NotImplementedError


class _Source:
    """The pieces of an upload, counted; keeps the error that they end with, so that it can be told from the service's."""

    def __init__(self, pieces: Iterable[bytes], size: int, on_progress: OnProgress) -> None:
        self._pieces, self._size, self._on_progress = pieces, size, on_progress
        self.failure: BaseException | None = None
        self._is_stopped = False

    def stop(self) -> None:
        """End with an error at the next piece, so that the upload is taken back."""
        self._is_stopped = True

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._counted()
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise

    def _counted(self) -> Iterator[bytes]:
        count = 0
        for piece in self._pieces:
            count += len(piece)
            if self._is_stopped:
                raise BrokenRequestError("the upload was interrupted")
            if count > self._size:
                break
            self._on_progress(max(0, count - PARTS_AT_ONCE * PART_BYTES), self._size)
            yield piece
        if count != self._size:
            more = " or more" if count > self._size else ""
            raise BrokenRequestError(f"there are {count}{more} bytes to send, and {self._size} were announced")


def _attributes(headers: Headers) -> dict[str, str]:
    return {"Content-Type": headers.content_type, "Cache-Control": headers.cache_control}


def _head(meta: Any, attributes: Mapping[str, str]) -> Head:
    return Head(
        meta["path"],
        meta["size"],
        meta["e_tag"] or "",
        meta["last_modified"],
        attributes.get("Content-Type"),
        attributes.get("Cache-Control"),
    )
