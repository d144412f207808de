"""Documents in a store that was not tried yet: the first write finds out whether the store refuses a second writer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from otagate._clock import to_text
from otagate.errors import ConflictError, VerificationError
from otagate.store.interface import Document, DocumentStore, TellsTime
from otagate.store.jsondoc import JsonDoc, read_json, write_json
from otagate.store.probe import PROBE_VERSION, probe_documents, refusal

MARKER = "store.json"
"""The document that says that the store passed: it spares the next process the probe."""
SCHEMA = "otagate/store/v1"


class GuardedDocuments:
    """A document store that writes nothing to a place which did not pass the probe. See DocumentStore.

    Reads pass through, so an identity that may only read never needs more. Before the first write of a process the marker is
    read: one request. Where it is missing, or was made for another place or by an older probe, the store is tried (some 75
    requests) and the marker is written. Several processes may do that at once.
    """

    def __init__(self, inner: DocumentStore, where: str, now: Callable[[], datetime] = lambda: datetime.now(tz=UTC)) -> None:
        """Guard ``inner``.

        Args:
            inner: The store, with its retries.
            where: Names the place to people and in the marker, such as ``s3://bucket at https://host``: a copy of the bucket
                behind another endpoint is another place. No secret.
            now: The clock, for the marker's date.
        """
        self._inner = inner
        self._where = where
        self._now = now
        self._lock = threading.Lock()
        self._is_tried = False

    def read(self, key: str) -> Document | None:
        """See DocumentStore.read."""
        return self._inner.read(key)

    def create(self, key: str, body: bytes) -> str:
        """See DocumentStore.create.

        Raises:
            UsageError: The store did not pass the probe.
        """
        self.ensure()
        return self._inner.create(key, body)

    def replace(self, key: str, body: bytes, token: str) -> str:
        """See DocumentStore.replace.

        Raises:
            UsageError: The store did not pass the probe.
        """
        self.ensure()
        return self._inner.replace(key, body, token)

    def delete(self, key: str) -> None:
        """See DocumentStore.delete."""
        self._inner.delete(key)

    def keys(self, prefix: str) -> Iterator[str]:
        """See DocumentStore.keys."""
        return self._inner.keys(prefix)

    def time_told(self) -> datetime | None:
        """See TellsTime.time_told."""
        return self._inner.time_told() if isinstance(self._inner, TellsTime) else None

    def ensure(self) -> None:
        """Try the store now, unless it was tried before; the first write does the same.

        Raises:
            UsageError: The store did not pass the probe.
        """
        with self._lock:
            if self._is_tried:
                return
            marker = self._marker()
            if not self._is_good(marker):
                self._probe(marker)
            self._is_tried = True

    def _marker(self) -> JsonDoc | None:
        try:
            return read_json(self._inner, MARKER, SCHEMA)
        except VerificationError:
            # The marker only spares requests. One that cannot be understood must not keep anybody from a rollback.
            return JsonDoc(MARKER, SCHEMA, 0, "", {}, self._token())

    def _token(self) -> str:
        try:
            there = self._inner.read(MARKER)
        except VerificationError:  # too large to be read: it is not written over either, and each process probes
            return ""
        return there.token if there else ""

    def _is_good(self, marker: JsonDoc | None) -> bool:
        if marker is None or marker.body.get("where") != self._where:
            return False
        version = marker.body.get("probe")
        return type(version) is int and version >= PROBE_VERSION

    def _probe(self, marker: JsonDoc | None) -> None:
        report = probe_documents(self._inner)
        if not report.ok:
            raise refusal(report, self._where)
        body = {"where": self._where, "probed_at": to_text(self._now()), "probe": PROBE_VERSION}
        try:
            write_json(self._inner, MARKER, SCHEMA, body, marker)
        except (ConflictError, VerificationError):
            # Another process was trying the store too, or what stands there cannot be read. This result stands for itself.
            return
