"""The two ports of storage: immutable blobs by digest, and small documents under compare-and-swap.

They are apart because they need different things of a backend: blobs want throughput and caching, documents want a
refused second writer. One URL may serve both.

Errors, of every method: ``AccessError`` (a permission is missing), ``UnavailableError`` (no answer after retries, no space
left), and what the method names. Nothing else leaves an adapter: no ``OSError``, no SDK exception. All methods are safe to
call from several threads and processes at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from otagate.model import Digest

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""A document is read whole; a release statement with 20,000 files is about 3 MB."""


class BlobStore(Protocol):
    """Immutable bytes, named by their SHA-256."""

    def put(self, digest: Digest, source: Path, *, content_type: str = "application/octet-stream") -> bool:
        """Store the file's bytes under their digest, unless they are there already.

        The adapter hashes what it sends; afterwards either the whole right object is there or none.

        Returns:
            Whether anything was stored: False when a blob of that name and size was there.

        Raises:
            VerificationError: ``source`` does not hash to ``digest``.
            NotFoundError: ``source`` is missing.
        """
        ...

    def open(self, digest: Digest) -> AbstractContextManager[BinaryIO]:
        """Open a blob for streaming reads. An error in the caller's ``with`` body passes through untouched.

        Raises:
            NotFoundError: No blob of that name.
        """
        ...

    def size(self, digest: Digest) -> int | None:
        """Give the blob's size in bytes, or None when it is not there."""
        ...

    def delete(self, digest: Digest) -> None:
        """Remove a blob; fine when it is not there. For repair and pruning: nothing may point at it."""
        ...

    def url(self, digest: Digest) -> str:
        """Give the address that devices or a person can fetch the blob from."""
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

    def keys(self, prefix: str) -> Iterator[str]:
        """List the keys below ``prefix`` (which ends in ``/``), sorted. For people and pruning; no decision depends on it.

        Errors come while iterating, of the same kinds as elsewhere.
        """
        ...


@dataclass(frozen=True, slots=True)
class Store:
    """Both ports, as one URL gives them."""

    url: str
    blobs: BlobStore
    documents: DocumentStore
