"""The first write to a place finds out whether it can be trusted; every later process reads one marker."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from otagate.errors import UsageError, VerificationError
from otagate.store.guarded import MARKER, GuardedDocuments
from otagate.store.interface import Document
from otagate.store.jsondoc import read_json
from otagate.store.memory import MemoryDocuments
from support.meddler import MeddledDocuments

WHERE = "s3://acme at https://objects.example.com"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class IgnoresConditions(MemoryDocuments):
    def create(self, key: str, body: bytes) -> str:
        self._bodies[key] = body
        found = self.read(key)
        return found.token if found else ""

    def replace(self, key: str, body: bytes, token: str) -> str:
        del token
        return self.create(key, body)


def guarded(inner: Any, where: str = WHERE) -> tuple[GuardedDocuments, MeddledDocuments]:
    counted = MeddledDocuments(inner, None, lambda: None)
    return GuardedDocuments(counted, where, lambda: NOON), counted


def marker_of(inner: MemoryDocuments) -> dict[str, Any]:
    found = inner.read(MARKER)
    assert found is not None
    value: dict[str, Any] = json.loads(found.body)
    return value


def test_the_first_write_tries_the_store_and_leaves_a_marker() -> None:
    inner = MemoryDocuments()
    documents, counted = guarded(inner)
    token = documents.create("apps/a.json", b"one")
    assert counted.count > 50
    assert documents.replace("apps/a.json", b"two", token)
    assert marker_of(inner) | {"txn": ""} == {
        "schema": "otagate/store/v1",
        "where": WHERE,
        "probed_at": "2026-11-21T12:00:00.000000Z",
        "probe": 1,
        "revision": 1,
        "txn": "",
    }
    found = inner.read("apps/a.json")
    assert found is not None
    assert found.body == b"two"


def test_later_processes_pay_one_read() -> None:
    inner = MemoryDocuments()
    guarded(inner)[0].create("apps/a.json", b"one")
    documents, counted = guarded(inner)
    documents.create("apps/b.json", b"one")
    assert counted.count == 2
    documents.create("apps/c.json", b"one")
    assert counted.count == 3


@pytest.mark.parametrize("operation", ["read", "keys", "delete"])
def test_what_decides_nothing_asks_for_nothing(operation: str) -> None:
    inner = MemoryDocuments()
    inner.create("apps/a.json", b"one")
    documents, counted = guarded(inner)
    found: object = None
    if operation == "read":
        found = documents.read("apps/a.json")
    elif operation == "keys":
        found = list(documents.keys("apps/"))
    else:
        documents.delete("apps/a.json")
    assert counted.count == 1
    assert (found is None) == (operation == "delete")
    assert inner.read(MARKER) is None


@pytest.mark.parametrize(
    "write",
    [
        lambda documents: documents.create("apps/a.json", b"one"),
        lambda documents: documents.replace("apps/a.json", b"one", "token"),
    ],
    ids=["create", "replace"],
)
def test_a_store_that_lets_a_second_writer_through_gets_nothing(write: Callable[[GuardedDocuments], str]) -> None:
    inner = IgnoresConditions()
    documents, _ = guarded(inner)
    for _ in range(2):
        with pytest.raises(UsageError, match="does not refuse a second writer"):
            write(documents)
    assert list(inner.keys("apps/")) == []
    assert list(inner.keys("probe/")) == []
    assert inner.read(MARKER) is None


def test_a_marker_of_another_place_counts_for_nothing() -> None:
    inner = IgnoresConditions()
    good = MemoryDocuments()
    guarded(good)[0].create("apps/a.json", b"one")
    copied = good.read(MARKER)
    assert copied is not None
    inner.create(MARKER, copied.body)
    documents, _ = guarded(inner, "s3://acme at http://127.0.0.1:9000")
    with pytest.raises(UsageError, match="127\\.0\\.0\\.1:9000"):
        documents.create("apps/a.json", b"one")


@pytest.mark.parametrize("change", [{"probe": 0}, {"probe": "1"}, {"probe": True, "where": "elsewhere"}, {"where": 7}])
def test_a_marker_that_does_not_fit_is_made_anew(change: dict[str, Any]) -> None:
    inner = MemoryDocuments()
    guarded(inner)[0].create("apps/a.json", b"one")
    first = marker_of(inner)
    inner.delete(MARKER)
    inner.create(MARKER, json.dumps(first | change, separators=(",", ":"), sort_keys=True).encode())
    documents, counted = guarded(inner)
    documents.create("apps/b.json", b"one")
    assert counted.count > 50
    assert marker_of(inner)["where"] == WHERE
    assert marker_of(inner)["probe"] == 1
    assert marker_of(inner)["revision"] == 2


@pytest.mark.parametrize("junk", [b"", b"not json", b"[]", b'{"schema":"otagate/other/v1"}'])
def test_a_marker_that_nobody_understands_does_not_stop_a_rollback(junk: bytes) -> None:
    inner = MemoryDocuments()
    inner.create(MARKER, junk)
    with pytest.raises(VerificationError):
        read_json(inner, MARKER, "otagate/store/v1")
    guarded(inner)[0].create("apps/a.json", b"one")
    assert marker_of(inner)["where"] == WHERE
    assert marker_of(inner)["revision"] == 1


def test_first_uses_at_the_same_time_all_go_through() -> None:
    inner = MemoryDocuments()
    done: list[str] = []
    shared = guarded(inner)[0]

    def work(number: int) -> None:
        documents = shared if number % 2 else guarded(inner)[0]
        done.append(documents.create(f"apps/{number}.json", b"one"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 8
    assert marker_of(inner)["where"] == WHERE


def test_a_marker_that_another_process_wrote_meanwhile_is_left_alone() -> None:
    inner = MemoryDocuments()

    def meddle() -> None:
        inner.create(MARKER, b'{"schema":"otagate/store/v1"}')

    documents = GuardedDocuments(MeddledDocuments(inner, 5, meddle), WHERE)
    documents.create("apps/a.json", b"one")
    assert marker_of(inner) == {"schema": "otagate/store/v1"}
    assert inner.read("apps/a.json") is not None


def test_a_marker_too_large_to_be_read_keeps_nobody_from_writing() -> None:
    class Huge(MemoryDocuments):
        def read(self, key: str) -> Document | None:
            if key == MARKER:
                raise VerificationError("a document is larger than any that otagate writes", key)
            return super().read(key)

    inner = Huge()
    documents, _ = guarded(inner)
    documents.create("apps/a.json", b"one")
    found = inner.read("apps/a.json")
    assert found is not None
    assert found.body == b"one"
    assert MARKER not in inner._bodies
