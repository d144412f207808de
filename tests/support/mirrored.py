"""A world whose store has mirrors, and a guard that looks at every store after every write: no pointer names what is not there."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from otagate.errors import UnavailableError
from otagate.flow.workspace import Listener, Workspace
from otagate.model import Digest
from otagate.store.interface import BlobStore, Document, DocumentStore, OnProgress, Store, StoredBlob
from otagate.store.memory import MemoryStore
from support.faulty import FaultyBlobs, FaultyDocuments, Plan
from support.world import APP, WitnessedStore, World

_T = TypeVar("_T")


@dataclass
class Down(Plan):
    """A store that does not answer while ``is_down``, and counts what it was asked."""

    is_down: bool = False

    def run(self, name: str, operation: Callable[[], _T]) -> _T:
        if self.is_down:
            self.seen.append(name)
            raise UnavailableError("no answer", name)
        return super().run(name, operation)


@dataclass
class Guard:
    """Looks at all stores after each write to any of them."""

    stores: list[Store] = field(default_factory=list)
    looks: int = 0
    faults: list[str] = field(default_factory=list)

    def look(self) -> None:
        self.looks += 1
        for store in self.stores:
            self.faults += dangling(store)


class GuardedBlobs:
    """See BlobStore."""

    def __init__(self, inner: BlobStore, guard: Guard) -> None:
        self._inner, self._guard = inner, guard

    def put(
        self,
        digest: Digest,
        source: Path,
        *,
        content_type: str = "application/octet-stream",
        on_progress: OnProgress | None = None,
    ) -> bool:
        stored = self._inner.put(digest, source, content_type=content_type, on_progress=on_progress)
        if stored:
            self._guard.look()
        return stored

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        return self._inner.open(digest, start, direct=direct)

    def size(self, digest: Digest) -> int | None:
        return self._inner.size(digest)

    def delete(self, digest: Digest) -> None:
        self._inner.delete(digest)
        self._guard.look()

    def url(self, digest: Digest) -> str:
        return self._inner.url(digest)

    def signed_url(self, digest: Digest, lifetime: timedelta) -> str:
        return self._inner.signed_url(digest, lifetime)

    def list(self) -> Iterator[StoredBlob]:
        return self._inner.list()

    def abort_unfinished(self, before: datetime) -> int:
        return self._inner.abort_unfinished(before)


class GuardedDocuments:
    """See DocumentStore."""

    def __init__(self, inner: DocumentStore, guard: Guard) -> None:
        self._inner, self._guard = inner, guard

    def read(self, key: str) -> Document | None:
        return self._inner.read(key)

    def create(self, key: str, body: bytes) -> str:
        token = self._inner.create(key, body)
        self._guard.look()
        return token

    def replace(self, key: str, body: bytes, token: str) -> str:
        answer = self._inner.replace(key, body, token)
        self._guard.look()
        return answer

    def delete(self, key: str) -> None:
        self._inner.delete(key)
        self._guard.look()

    def keys(self, prefix: str) -> Iterator[str]:
        return self._inner.keys(prefix)


class MirroredStore(WitnessedStore):
    """A witnessed first store with mirrors."""

    def __init__(self, *mirrors: Store) -> None:
        super().__init__()
        object.__setattr__(self, "mirrors", mirrors)


class MirroredWorld(World):
    """A world with mirrors: each a guarded store in memory behind a :class:`Down` plan. Warnings are kept."""

    def __init__(self, folder: Path, mirrors: int = 1, **policy: Any) -> None:
        super().__init__(folder, **policy)
        self.guard, self.warnings = Guard(), list[str]()
        self.plans = [Down() for _ in range(mirrors)]
        self.inner: list[Store] = [MemoryStore(f"mirror-{at}") for at in range(1, mirrors + 1)]
        guarded = [
            Store(one.url, GuardedBlobs(one.blobs, self.guard), GuardedDocuments(one.documents, self.guard))
            for one in self.inner
        ]
        self.store = MirroredStore(*(faulty(one, plan) for one, plan in zip(guarded, self.plans, strict=True)))
        self.guard.stores = [self.store, *self.inner]

    def process(self, store: Store | None = None, **context: Any) -> Workspace:
        workspace = super().process(store, **context)
        workspace.listener = Listener(warn=self.warnings.append)
        return workspace

    def with_first(self, plan: Plan) -> Store:
        """Give the same stores with operations of the first one that fail as planned."""
        inner = self.store
        return Store(inner.url, FaultyBlobs(inner.blobs, plan), FaultyDocuments(inner.documents, plan), "", inner.mirrors)


def faulty(inner: Store, plan: Plan) -> Store:
    return Store(inner.url, FaultyBlobs(inner.blobs, plan), FaultyDocuments(inner.documents, plan))


def payload(body: bytes) -> Any:
    return json.loads(base64.b64decode(json.loads(body)["payload"]))


def dangling(store: Store) -> list[str]:
    """Say which pointers of a store serve what the store does not have whole."""
    faults = []
    for key in store.documents.keys(f"apps/{APP}/channels/"):
        found = store.documents.read(key)
        pointer = payload(found.body) if found else {}
        faults += [
            f"{store.url}: {key} names {ref['version']}, which is not there whole"
            for ref in (pointer.get("stable"), pointer.get("candidate"))
            if ref and not _is_whole(store, ref["version"], ref["statement"])
        ]
    return faults


def _is_whole(store: Store, version: str, statement: str) -> bool:
    found = store.documents.read(f"apps/{APP}/releases/{version}.json")
    if found is None or Digest.of(found.body) != Digest.parse(statement):
        return False
    sealed = payload(found.body)["predicate"]["sealed"]
    digest = Digest.parse(sealed["blob"])
    if store.blobs.size(digest) is None:
        return False
    with store.blobs.open(digest) as stream:
        return Digest.of(stream.read()) == digest


def contents(store: Store) -> dict[str, Any]:
    """Give all that a mirror has to have in common with the first store."""
    prefixes = [f"apps/{APP}/{kind}/" for kind in ("releases", "channels")]
    keys = [key for prefix in prefixes for key in store.documents.keys(prefix)]
    documents = {key: found.body for key in keys if (found := store.documents.read(key)) is not None}
    return {**documents, "blobs": sorted((str(blob.digest), blob.size) for blob in store.blobs.list())}
