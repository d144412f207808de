"""One conditional write, whose success is recognised even when the store's answer was lost."""

from __future__ import annotations

from otagate.errors import ConflictError
from otagate.store.interface import DocumentStore

_CREATE_ATTEMPTS = 5


def swap(documents: DocumentStore, key: str, body: bytes, token: str | None) -> str:
    """Create a document (``token`` is None) or replace the state that ``token`` names.

    ``body`` must hold something that nobody else can write, such as a random transaction id: when the store refuses and these
    very bytes stand there, the write was ours and is a success. Why: docs/adr/0004-compare-and-swap.md.

    Returns:
        The token of what was written.

    Raises:
        ConflictError: Somebody else was first.
    """
    return _create(documents, key, body) if token is None else _replace(documents, key, body, token)


def _replace(documents: DocumentStore, key: str, body: bytes, token: str) -> str:
    try:
        return documents.replace(key, body, token)
    except ConflictError:
        there = documents.read(key)
        if there is None or there.body != body:
            raise
        return there.token


def _create(documents: DocumentStore, key: str, body: bytes) -> str:
    for _ in range(_CREATE_ATTEMPTS - 1):
        try:
            return documents.create(key, body)
        except ConflictError:
            there = documents.read(key)
            if there is None:
                # Some stores say "exists" in a race that nobody has won yet.
                continue
            if there.body != body:
                raise
            return there.token
    return documents.create(key, body)
