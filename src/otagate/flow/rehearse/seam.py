"""A store at whose every operation a rehearsal may let another machine go on, or end this one."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO

from otagate.model import Digest
from otagate.store.interface import BlobStore, Document, DocumentStore, Store
from otagate.store.memory import MemoryBlobs


class Killed(BaseException):
    """The machine is gone, as after SIGKILL."""


class SeamDocuments:
    """See DocumentStore. ``point`` is called before and after each operation."""

    def __init__(self, inner: DocumentStore, point: Callable[[], None]) -> None:
        self._inner, self._point = inner, point

    def read(self, key: str) -> Document | None:
        """See DocumentStore.read."""
        self._point()
        return self._inner.read(key)

    def create(self, key: str, body: bytes) -> str:
        """See DocumentStore.create."""
        self._point()
        token = self._inner.create(key, body)
        self._point()
        return token

    def replace(self, key: str, body: bytes, token: str) -> str:
        """See DocumentStore.replace."""
        self._point()
        after = self._inner.replace(key, body, token)
        self._point()
        return after

    def delete(self, key: str) -> None:
        """See DocumentStore.delete."""
        self._point()
        self._inner.delete(key)
        self._point()

    def keys(self, prefix: str) -> Iterator[str]:
        """See DocumentStore.keys."""
        self._point()
        return self._inner.keys(prefix)


class SeamBlobs(MemoryBlobs):
    """The blobs of another store in memory, read one operation at a time. See BlobStore."""

    def __init__(self, inner: BlobStore, point: Callable[[], None]) -> None:
        super().__init__("rehearsal")
        self._inner, self._point = inner, point

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        """See BlobStore.open."""
        self._point()
        return self._inner.open(digest, start, direct=direct)

    def size(self, digest: Digest) -> int | None:
        """See BlobStore.size."""
        self._point()
        return self._inner.size(digest)


def seam(store: Store, point: Callable[[], None]) -> Store:
    """Give a store whose operations call ``point``; blobs can only be read through it."""
    return Store(store.url, SeamBlobs(store.blobs, point), SeamDocuments(store.documents, point))


class Countdown:
    """Ends a machine at one of its operations. Call it at each."""

    def __init__(self, left: int | None) -> None:
        self.left, self.count = left, 0

    def __call__(self) -> None:
        """Count one operation.

        Raises:
            Killed: It was the last one.
        """
        self.count += 1
        if self.left is not None and self.count >= self.left:
            raise Killed


class Turns:
    """Several machines at once, of which one works at a time; who is next is drawn at every operation of the store.

    With the same chance the same interleaving comes again, which real threads alone do not give.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._mine = threading.local()
        self._back = threading.Semaphore(0)
        self._go: list[threading.Semaphore] = []
        self._busy: set[int] = set()

    def point(self) -> None:
        """Let somebody else go on, perhaps. Does nothing outside of :meth:`run`."""
        index = getattr(self._mine, "index", None)
        if index is not None:
            self._back.release()
            self._go[index].acquire()

    def run(self, machines: Sequence[Callable[[], None]]) -> None:
        """Let all of them work to their end. None of them may raise."""
        self._go = [threading.Semaphore(0) for _ in machines]
        self._busy = set(range(len(machines)))
        threads = [
            threading.Thread(target=self._work, args=(index, machine), daemon=True) for index, machine in enumerate(machines)
        ]
        for thread in threads:
            thread.start()
        while self._busy:
            self._go[self._chance.choice(sorted(self._busy))].release()
            self._back.acquire()
        for thread in threads:
            thread.join()

    def _work(self, index: int, machine: Callable[[], None]) -> None:
        self._go[index].acquire()
        self._mine.index = index
        try:
            machine()
        finally:
            self._busy.discard(index)
            self._back.release()
