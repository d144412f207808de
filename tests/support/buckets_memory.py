"""A bucket in memory that can be told to fail: what cloud.py is tested on without a network."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

from otagate.store.interface import OnProgress
from otagate.store.objects import Absent, Condition, Head, Headers, MissingObjectError, RefusedError, UnsupportedError


class MemoryObjects:
    """See Objects. ``before`` and ``after`` are called with each operation's name and key, and may raise."""

    where = "memory bucket"

    def __init__(self) -> None:
        self.held: dict[str, tuple[bytes, Head]] = {}
        self.calls: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda _name, _key: None
        self.after: Callable[[str, str], None] = lambda _name, _key: None
        self.piece = 65_536
        self.signed = ""  # the base of signed addresses
        self._lock = threading.Lock()
        self._writes = 0

    def _told(self, name: str, key: str) -> None:
        with self._lock:
            self.calls.append((name, key))
        self.before(name, key)

    def head(self, key: str) -> Head | None:
        self._told("head", key)
        found = self.held.get(key)
        self.after("head", key)
        return found[1] if found else None

    def read(self, key: str, limit: int) -> tuple[bytes, Head] | None:
        self._told("read", key)
        found = self.held.get(key)
        self.after("read", key)
        return (found[0][: limit + 1], found[1]) if found else None

    def stream(self, key: str, start: int) -> Iterator[bytes]:
        self._told("stream", key)
        found = self.held.get(key)
        if found is None:
            raise MissingObjectError("no such key")
        for at in range(start, len(found[0]), self.piece):
            yield found[0][at : at + self.piece]
            self.after("stream", key)

    def put(self, key: str, body: bytes, headers: Headers, condition: Condition) -> str:
        self._told("put", key)
        with self._lock:
            found = self.held.get(key)
            if isinstance(condition, Absent):
                if found is not None:
                    raise RefusedError("412 already there")
            elif found is None:
                raise MissingObjectError("404")
            elif found[1].token != condition.token:
                raise RefusedError("412 changed")
            token = self._store(key, body, headers)
        self.after("put", key)
        return token

    def upload(self, key: str, pieces: Iterable[bytes], size: int, headers: Headers, on_progress: OnProgress) -> None:
        self._told("upload", key)
        body = b""
        for piece in pieces:
            body += piece
            on_progress(len(body), size)
        with self._lock:
            self._store(key, body, headers)
        self.after("upload", key)

    def _store(self, key: str, body: bytes, headers: Headers) -> str:
        self._writes += 1
        token = f"generation {self._writes}"
        head = Head(key, len(body), token, datetime.now(UTC), headers.content_type, headers.cache_control)
        self.held[key] = (body, head)
        return token

    def delete(self, key: str) -> None:
        self._told("delete", key)
        self.held.pop(key, None)
        self.after("delete", key)

    def list(self, prefix: str) -> Iterator[Head]:
        self._told("list", prefix)
        yield from [head for key, (_, head) in list(self.held.items()) if key.startswith(prefix)]

    def sign(self, key: str, lifetime: timedelta) -> str:
        if not self.signed:
            raise UnsupportedError("memory signs nothing")
        return f"{self.signed}/{key}?signature=secret&for={lifetime.total_seconds():g}"

    def address(self, key: str) -> str:
        return f"memory-bucket:/{key}"

    def abort_unfinished(self, prefix: str, before: datetime) -> int:
        self._told("abort", prefix)
        return 0
