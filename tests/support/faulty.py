"""A store that fails on purpose at its k-th operation. Wraps any Store; the code under test sees only the ports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from io import IOBase
from pathlib import Path
from typing import BinaryIO, TypeVar

from otagate.errors import OtagateError, UnavailableError
from otagate.model import Digest
from otagate.store.interface import BlobStore, Document, DocumentStore, OnProgress, Store, StoredBlob

_T = TypeVar("_T")


class Crash(BaseException):
    """The process dies here. No ``except Exception`` can swallow it."""


class Fault(Enum):
    """What happens at the chosen operation."""

    CRASH_BEFORE = "crash before"
    CRASH_AFTER = "crash after"
    """The effect is there, the caller never hears of it."""
    DUPLICATE = "duplicate"
    """Delivered twice; the caller hears the first answer."""
    LOST_ANSWER = "lost answer"
    """Carried out, the answer is lost, the adapter sends it again: the caller hears the second answer."""
    UNAVAILABLE = "unavailable"
    """Not carried out, and says so."""
    UNAVAILABLE_AFTER = "unavailable after"
    """Carried out, but the caller is told that there was no answer."""


@dataclass
class Plan:
    """Which operation fails how; counts and names all of them."""

    at: int | None = None
    fault: Fault = Fault.CRASH_BEFORE
    seen: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, name: str, operation: Callable[[], _T]) -> _T:
        with self.lock:
            index = len(self.seen)
            self.seen.append(name)
        if index != self.at:
            return operation()
        if self.fault is Fault.CRASH_BEFORE:
            raise Crash(name)
        if self.fault is Fault.UNAVAILABLE:
            raise UnavailableError("no answer", name)
        answer = operation()
        if self.fault is not Fault.DUPLICATE and isinstance(answer, IOBase):
            answer.close()  # nobody gets it
        if self.fault is Fault.LOST_ANSWER:
            return operation()
        if self.fault is Fault.CRASH_AFTER:
            raise Crash(name)
        if self.fault is Fault.UNAVAILABLE_AFTER:
            raise UnavailableError("no answer", name)
        with suppress(OtagateError):  # the second answer goes nowhere
            second = operation()
            if isinstance(second, IOBase):
                second.close()
        return answer


class FaultyBlobs:
    """See BlobStore."""

    def __init__(self, inner: BlobStore, plan: Plan) -> None:
        self._inner, self._plan = inner, plan

    def put(
        self,
        digest: Digest,
        source: Path,
        *,
        content_type: str = "application/octet-stream",
        on_progress: OnProgress | None = None,
    ) -> bool:
        return self._plan.run(
            "blobs.put", lambda: self._inner.put(digest, source, content_type=content_type, on_progress=on_progress)
        )

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        return self._plan.run("blobs.open", lambda: self._inner.open(digest, start, direct=direct))

    def size(self, digest: Digest) -> int | None:
        return self._plan.run("blobs.size", lambda: self._inner.size(digest))

    def delete(self, digest: Digest) -> None:
        self._plan.run("blobs.delete", lambda: self._inner.delete(digest))

    def url(self, digest: Digest) -> str:
        return self._inner.url(digest)

    def signed_url(self, digest: Digest, lifetime: timedelta) -> str:
        return self._inner.signed_url(digest, lifetime)

    def list(self) -> Iterator[StoredBlob]:
        return self._plan.run("blobs.list", lambda: iter(list(self._inner.list())))

    def abort_unfinished(self, before: datetime) -> int:
        return self._plan.run("blobs.abort", lambda: self._inner.abort_unfinished(before))


class FaultyDocuments:
    """See DocumentStore."""

    def __init__(self, inner: DocumentStore, plan: Plan) -> None:
        self._inner, self._plan = inner, plan

    def read(self, key: str) -> Document | None:
        return self._plan.run(f"read {key}", lambda: self._inner.read(key))

    def create(self, key: str, body: bytes) -> str:
        return self._plan.run(f"create {key}", lambda: self._inner.create(key, body))

    def replace(self, key: str, body: bytes, token: str) -> str:
        return self._plan.run(f"replace {key}", lambda: self._inner.replace(key, body, token))

    def delete(self, key: str) -> None:
        self._plan.run(f"delete {key}", lambda: self._inner.delete(key))

    def keys(self, prefix: str) -> Iterator[str]:
        return self._plan.run(f"keys {prefix}", lambda: iter(list(self._inner.keys(prefix))))


class FaultyStore(Store):
    """``FaultyStore(store, Plan(at=3, fault=Fault.CRASH_AFTER))``; without ``at`` it only counts."""

    plan: Plan

    def __init__(self, inner: Store, plan: Plan) -> None:
        super().__init__(inner.url, FaultyBlobs(inner.blobs, plan), FaultyDocuments(inner.documents, plan))
