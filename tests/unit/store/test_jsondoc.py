from __future__ import annotations

import re

import pytest

from otagate.errors import ConflictError, UnavailableError, VerificationError
from otagate.store.interface import DocumentStore
from otagate.store.jsondoc import new_txn, read_json, write_json
from otagate.store.memory import MemoryDocuments, MemoryStore
from support.faulty import Crash, Fault, FaultyStore, Plan

SCHEMA = "otagate/test/v1"


def test_a_transaction_id_is_128_random_bits() -> None:
    found = {new_txn() for _ in range(100)}
    assert len(found) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", txn) for txn in found)


def test_a_document_is_canonical_and_gives_back_its_body() -> None:
    documents = MemoryDocuments()
    written = write_json(documents, "k", SCHEMA, {"b": 1, "a": ["ä"], "txn": "mine", "revision": 9}, None)
    stored = documents.read("k")
    assert stored is not None
    expected = f'{{"a":["ä"],"b":1,"revision":1,"schema":"{SCHEMA}","txn":"{written.txn}"}}'
    assert stored.body.decode() == expected
    assert written.body == {"b": 1, "a": ["ä"]}
    assert read_json(documents, "k", SCHEMA) == written
    assert read_json(documents, "other", SCHEMA) is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "strict JSON"),
        (b"[]", "a JSON object"),
        (b"{}", f"schema {SCHEMA}"),
        (b'{"schema": "otagate/other/v1"}', "'otagate/other/v1'"),
        (b'{"schema": "otagate/test/v1"}', "revision"),
        (b'{"schema": "otagate/test/v1", "revision": 0}', "revision"),
        (b'{"schema": "otagate/test/v1", "revision": true}', "revision"),
        (b'{"schema": "otagate/test/v1", "revision": 1}', "txn"),
        (b'{"schema": "otagate/test/v1", "revision": 1, "txn": 5}', "txn"),
        (b'{"schema": "otagate/test/v1", "revision": 1, "txn": "xyz"}', "txn"),
        (b'{"schema": "otagate/test/v1", "schema": "otagate/test/v1"}', "stands twice"),
    ],
)
def test_what_is_not_such_a_document_is_refused(body: bytes, words: str) -> None:
    documents = MemoryDocuments()
    documents.create("k", body)
    with pytest.raises(VerificationError) as caught:
        read_json(documents, "k", SCHEMA)
    assert words in str(caught.value)
    assert caught.value.subject == "k"


def faulty(documents_of: MemoryStore, fault: Fault, at: int = 0) -> DocumentStore:
    return FaultyStore(documents_of, Plan(at, fault)).documents


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.DUPLICATE])
def test_a_write_whose_answer_was_lost_is_a_success(fault: Fault) -> None:
    store = MemoryStore()
    first = write_json(faulty(store, fault), "k", SCHEMA, {"n": 1}, None)
    assert read_json(store.documents, "k", SCHEMA) == first
    second = write_json(faulty(store, fault), "k", SCHEMA, {"n": 2}, first)
    assert read_json(store.documents, "k", SCHEMA) == second
    assert (second.revision, second.body) == (2, {"n": 2})


@pytest.mark.parametrize(("fault", "error"), [(Fault.UNAVAILABLE_AFTER, UnavailableError), (Fault.CRASH_AFTER, Crash)])
def test_a_write_that_failed_after_its_effect_is_seen_by_the_next_read(fault: Fault, error: type[BaseException]) -> None:
    store = MemoryStore()
    with pytest.raises(error):
        write_json(faulty(store, fault), "k", SCHEMA, {"n": 1}, None)
    found = read_json(store.documents, "k", SCHEMA)
    assert found is not None
    assert found.body == {"n": 1}


def test_somebody_elses_write_is_a_conflict_even_with_the_same_body() -> None:
    documents = MemoryDocuments()
    first = write_json(documents, "k", SCHEMA, {"n": 1}, None)
    with pytest.raises(ConflictError):
        write_json(documents, "k", SCHEMA, {"n": 1}, None)
    write_json(documents, "k", SCHEMA, {"n": 2}, first)
    with pytest.raises(ConflictError):
        write_json(documents, "k", SCHEMA, {"n": 2}, first)


class Reluctant(MemoryDocuments):
    """Says "exists" for a key that is not there, so many times: what one object store does in a race that nobody won."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def create(self, key: str, body: bytes) -> str:
        if self.times:
            self.times -= 1
            raise ConflictError("the document is there already", key)
        return super().create(key, body)


def test_a_refusal_to_create_what_is_not_there_is_tried_again_but_not_for_ever() -> None:
    assert write_json(Reluctant(4), "k", SCHEMA, {}, None).revision == 1
    with pytest.raises(ConflictError):
        write_json(Reluctant(5), "k", SCHEMA, {}, None)


def test_a_document_that_is_gone_is_a_conflict() -> None:
    first = write_json(MemoryDocuments(), "k", SCHEMA, {}, None)
    with pytest.raises(ConflictError):
        write_json(MemoryDocuments(), "k", SCHEMA, {}, first)


@pytest.mark.parametrize("revision", [2**53, 10**4299], ids=["large", "not-to-be-written"])
def test_a_revision_that_leaves_no_room_is_refused(revision: int) -> None:
    documents = MemoryDocuments()
    documents.create("k", f'{{"schema":"{SCHEMA}","revision":{revision},"txn":"{"0" * 32}"}}'.encode())
    with pytest.raises(VerificationError, match="a revision from 1 on") as caught:
        read_json(documents, "k", SCHEMA)
    assert len(str(caught.value)) < 1000
