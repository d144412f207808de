"""The two ports of storage: immutable blobs by digest, and small documents under compare-and-swap.

They are apart because they need different things of a backend: blobs want throughput and caching, documents want a
refused second writer. One URL may serve both.

Errors, of every method: ``AccessError`` (a permission is missing), ``UnavailableError`` (no answer after retries, no space
left), and what the method names. Nothing else leaves an adapter: no ``OSError``, no SDK exception. All methods are safe to
call from several threads and processes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

from otagate.model import Digest

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""A document is read whole; a release statement with 20,000 files is about 3 MB."""


OnProgress = Callable[[int, int], None]
"""Told how many bytes are done, of how many. May be called from any thread; must be quick and must not raise."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob as listed: its size in bytes, and when it was last written, by the store's clock (UTC)."""

    digest: Digest
    size: int
    modified: datetime


class BlobStore(Protocol):
    """Immutable bytes, named by their SHA-256."""

    def put(
        self,
        digest: Digest,
        source: Path,
        *,
        content_type: str = "application/octet-stream",
        on_progress: OnProgress | None = None,
    ) -> bool:
        """Store the file's bytes under their digest, unless they are there already.

        The adapter hashes what it sends; afterwards either the whole right object is there or none. Memory stays bounded.
        ``on_progress`` hears of what is sent, and nothing when nothing is.

        Returns:
            Whether anything was stored: False when a blob of that name and size was there.

        Raises:
            VerificationError: ``source`` does not hash to ``digest``.
            NotFoundError: ``source`` is missing.
        """
        ...

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        """Open a blob for streaming reads from byte ``start`` on.

        It comes the way devices get it: through the public address when the store has one; with ``direct`` past it. An error
        in the caller's ``with`` body passes through untouched. At or after the end there is nothing to read.

        Raises:
            NotFoundError: No blob of that name.
            UnavailableError: Also when the store has it and the public address does not give it.
        """
        ...

    def size(self, digest: Digest) -> int | None:
        """Give the blob's size in bytes, or None when it is not there."""
        ...

    def delete(self, digest: Digest) -> None:
        """Remove a blob; fine when it is not there. For repair and pruning: nothing may point at it."""
        ...

    def url(self, digest: Digest) -> str:
        """Give the address that devices or a person can fetch the blob from, when the store lets the public read."""
        ...

    def signed_url(self, digest: Digest, lifetime: timedelta) -> str:
        """Give an address that holds for ``lifetime`` and needs no further permission; a secret until then.

        Raises:
            UsageError: This store, or the identity it is used with, cannot sign addresses.
        """
        ...

    def list(self) -> Iterator[StoredBlob]:
        """Give every blob, in no order. For pruning. What is no blob's key is passed over. Errors come while iterating."""
        ...

    def abort_unfinished(self, before: datetime) -> int:
        """Remove what uploads that began before that instant and never ended have left; give how many there were."""
        ...


@dataclass(frozen=True, slots=True)
class Document:
    """A document as read: its bytes, and the token that names this state of it."""

    key: str
    body: bytes
    token: str
    """Opaque. It may be derived from the content, so bytes that return bring the token back: documents that change must
    carry a revision and a random transaction id (docs/adr/0004-compare-and-swap.md)."""


class DocumentStore(Protocol):
    """Small mutable bytes under exact keys, with compare-and-swap.

    A key is one or more segments of ``[A-Za-z0-9._+-]`` joined by ``/``, none of them ``.`` or ``..`` and none beginning with a
    dot; anything else is a ``UsageError``. Keys are exact: ``a1`` never touches ``a10``. A read after a write sees it.
    """

    def read(self, key: str) -> Document | None:
        """Read a document, or give None when there is none.

        Raises:
            VerificationError: It is larger than ``MAX_DOCUMENT_BYTES``.
        """
        ...

    def create(self, key: str, body: bytes) -> str:
        """Write a document that must not exist yet, durably, and give its token.

        Raises:
            ConflictError: There is one already (even with the same bytes).
        """
        ...

    def replace(self, key: str, body: bytes, token: str) -> str:
        """Write over the state that ``token`` names, durably, and give the new token.

        Raises:
            ConflictError: The document changed since, or is gone.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove a document; fine when it is not there. For probes and for taking back what was only prepared."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """List the keys below ``prefix`` (which ends in ``/``), sorted. For people and pruning; no decision depends on it.

        Errors come while iterating, of the same kinds as elsewhere.
        """
        ...


@runtime_checkable
class TellsTime(Protocol):
    """What a document store may do besides: tell the time by its own clock."""

    def time_told(self) -> datetime | None:
        """Ask what time it is, to the second; None when there is no answer that tells. Takes at most seconds, never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Store:
    """Both ports, as one URL gives them, and the stores that are kept equal to it.

    Attributes:
        url: Names it to people; holds no secret.
        where: Names the bucket and the service that holds it; empty for stores that are our own code.
        mirrors: Further stores that get every blob and every release statement before a channel moves, and a copy of every
            channel pointer after. Decisions are made on this store's documents only.
    """

    url: str
    blobs: BlobStore
    documents: DocumentStore
    where: str = ""
    mirrors: tuple[Store, ...] = ()
