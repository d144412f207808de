"""A store in which somebody else does something between two operations of ours, at a chosen place."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from otagate.store.interface import Document, DocumentStore, Store


class MeddledDocuments:
    """Calls ``meddle`` once, just before the operation number ``at``; without ``at`` it only counts. See DocumentStore."""

    def __init__(self, inner: DocumentStore, at: int | None, meddle: Callable[[], object]) -> None:
        self.count = 0
        self._inner, self._at, self._meddle = inner, at, meddle

    def _tick(self) -> DocumentStore:
        self.count += 1
        if self.count - 1 == self._at:
            self._meddle()
        return self._inner

    def read(self, key: str) -> Document | None:
        return self._tick().read(key)

    def create(self, key: str, body: bytes) -> str:
        return self._tick().create(key, body)

    def replace(self, key: str, body: bytes, token: str) -> str:
        return self._tick().replace(key, body, token)

    def delete(self, key: str) -> None:
        self._tick().delete(key)

    def keys(self, prefix: str) -> Iterator[str]:
        return self._tick().keys(prefix)


def meddled(inner: Store, at: int | None = None, meddle: Callable[[], object] = lambda: None) -> tuple[Store, MeddledDocuments]:
    """Give the store as one process sees it, and what counts its operations."""
    documents = MeddledDocuments(inner.documents, at, meddle)
    return Store(inner.url, inner.blobs, documents), documents
