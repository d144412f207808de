"""What every document store promises. A new adapter joins in support/stores.py."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from otagate.errors import ConflictError, UsageError, VerificationError
from otagate.store.interface import MAX_DOCUMENT_BYTES, DocumentStore, Store, TellsTime
from otagate.store.jsondoc import JsonDoc, read_json, write_json
from support import buckets
from support.stores import ADAPTERS, CONTENT_TOKENS, PARAMS, SLOW_RACES

Open = Callable[[], Store]
SCHEMA = "otagate/test/v1"


@pytest.fixture(params=PARAMS)
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opener(adapter: str, tmp_path: Path) -> Open:
    return ADAPTERS[adapter](tmp_path)


@pytest.fixture
def documents(opener: Open) -> DocumentStore:
    return opener().documents


def test_what_was_never_written_is_not_there(documents: DocumentStore) -> None:
    assert documents.read("apps/a/x.json") is None
    assert list(documents.keys("apps/")) == []


@pytest.mark.parametrize("body", [b"", b"{}", b"\x00\xff", b"x" * 100_000])
def test_a_read_sees_what_was_created_also_from_elsewhere(opener: Open, body: bytes) -> None:
    token = opener().documents.create("apps/a/x.json", body)
    found = opener().documents.read("apps/a/x.json")
    assert found is not None
    assert (found.key, found.body, found.token) == ("apps/a/x.json", body, token)


def test_create_is_for_what_is_not_there_even_with_the_same_bytes(documents: DocumentStore) -> None:
    documents.create("k", b"one")
    for body in (b"one", b"two"):
        with pytest.raises(ConflictError, match="there already"):
            documents.create("k", body)
    found = documents.read("k")
    assert found is not None
    assert found.body == b"one"


def test_replace_moves_from_the_state_that_was_read(documents: DocumentStore) -> None:
    first = documents.create("k", b"one")
    second = documents.replace("k", b"two", first)
    assert second != first
    third = documents.replace("k", b"three", second)
    found = documents.read("k")
    assert found is not None
    assert (found.body, found.token) == (b"three", third)


@pytest.mark.parametrize("token", ["stale", "", "no such token", hashlib.sha256(b"else").hexdigest()])
def test_a_stale_or_foreign_token_is_refused(documents: DocumentStore, token: str) -> None:
    stale = documents.create("k", b"one")
    documents.replace("k", b"two", stale)
    with pytest.raises(ConflictError, match="changed since"):
        documents.replace("k", b"three", stale if token == "stale" else token)
    found = documents.read("k")
    assert found is not None
    assert found.body == b"two"


def test_replace_does_not_create(documents: DocumentStore) -> None:
    with pytest.raises(ConflictError) as caught:
        documents.replace("k", b"one", hashlib.sha256(b"").hexdigest())
    assert caught.value.found == "no document"
    assert documents.read("k") is None


def test_keys_are_exact(documents: DocumentStore) -> None:
    first = documents.create("apps/a1/x.json", b"a1")
    documents.create("apps/a10/x.json", b"a10")
    documents.create("apps/a1/x.json.old", b"old")
    documents.replace("apps/a1/x.json", b"new", first)
    assert [doc.body for key in ("apps/a10/x.json", "apps/a1/x.json.old") if (doc := documents.read(key))] == [b"a10", b"old"]
    assert list(documents.keys("apps/a1/")) == ["apps/a1/x.json", "apps/a1/x.json.old"]
    assert documents.read("apps/a1/x") is None


def test_listing_is_sorted_by_the_whole_key_and_leaves_blobs_out(opener: Open, tmp_path: Path) -> None:
    store = opener()
    keys = ["r/b/2", "r/b/10", "r/b-2", "r/b.1", "r/a", "other/x"]
    for key in keys:
        store.documents.create(key, b"")
    assert list(store.documents.keys("r/")) == sorted(key for key in keys if key.startswith("r/"))
    assert list(store.documents.keys("r/b/")) == ["r/b/10", "r/b/2"]
    assert list(store.documents.keys("nothing/")) == []


BAD_KEYS = [
    "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/..", "a/./b", ".a", "a/.b", ".tmp-1-x", ".locks/x",
    "a\\b", "a b", "a\nb", "a\x00b", "a%2e", "ä", "a:b", "~", "$x", "a\n", "blobs/x", "blobs", "x" * 256, "/".join("x" * 600),
]  # fmt: skip


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_that_could_lead_elsewhere_are_refused(documents: DocumentStore, key: str) -> None:
    for attempt in (
        lambda: documents.read(key),
        lambda: documents.create(key, b""),
        lambda: documents.replace(key, b"", "token"),
        lambda: list(documents.keys(key + "/")),
    ):
        with pytest.raises(UsageError):
            attempt()


@pytest.mark.parametrize("key", ["a", "-", "+", "_", "apps/com.example.app/releases/1.0.0-beta.1+5.json", "x" * 255])
def test_keys_that_names_and_versions_need_are_taken(documents: DocumentStore, key: str) -> None:
    documents.create(key, b"1")
    assert documents.read(key) is not None


@pytest.mark.parametrize("prefix", ["", "apps", "apps//", "../"])
def test_a_prefix_ends_in_a_slash(documents: DocumentStore, prefix: str) -> None:
    with pytest.raises(UsageError):
        list(documents.keys(prefix))


def test_a_document_that_is_too_large_is_not_written(documents: DocumentStore) -> None:
    body = bytes(MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(VerificationError, match="larger"):
        documents.create("k", body)
    token = documents.create("k", b"")
    with pytest.raises(VerificationError, match="larger"):
        documents.replace("k", body, token)


def test_of_eight_creators_one_wins(opener: Open, adapter: str) -> None:
    documents, rounds = opener().documents, 3 if adapter in SLOW_RACES else 20
    barrier = Barrier(8)

    def race(me: int) -> list[bool]:
        won = []
        for round_no in range(rounds):
            barrier.wait()
            try:
                documents.create(f"race/{round_no}", b"%d" % me)
                won.append(True)
            except ConflictError:
                won.append(False)
        return won

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(race, range(8)))
    for round_no in range(rounds):
        winners = [me for me in range(8) if results[me][round_no]]
        found = documents.read(f"race/{round_no}")
        assert found is not None
        assert [found.body] == [b"%d" % me for me in winners]


def increment(documents: DocumentStore, key: str) -> int:
    """Add one by compare-and-swap; gives how many swaps were refused."""
    refused = 0
    while True:
        current = read_json(documents, key, SCHEMA)
        count = current.body["n"] if current else 0
        try:
            write_json(documents, key, SCHEMA, {"n": count + 1}, current)
        except ConflictError:
            refused += 1
        else:
            return refused


def test_threads_that_count_together_lose_nothing(opener: Open) -> None:
    documents = opener().documents
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: [increment(documents, "n") for _ in range(20)], range(8)))
    found = read_json(documents, "n", SCHEMA)
    assert found is not None
    assert (found.body["n"], found.revision) == (160, 160)


def test_bytes_that_return_may_bring_a_token_back_and_documents_with_a_revision_do_not(
    documents: DocumentStore, adapter: str
) -> None:
    # The port allows tokens that derive from the content (S3's do): whoever swaps must not rely on bare bytes.
    old = documents.create("bare", b"A")
    documents.replace("bare", b"A", documents.replace("bare", b"B", old))
    refusal = nullcontext() if adapter in CONTENT_TOKENS else pytest.raises(ConflictError)
    with refusal:
        documents.replace("bare", b"C", old)
    first = write_json(documents, "json", SCHEMA, {"v": "A"}, None)
    again = write_json(documents, "json", SCHEMA, {"v": "A"}, write_json(documents, "json", SCHEMA, {"v": "B"}, first))
    assert again.body == first.body
    with pytest.raises(ConflictError):
        write_json(documents, "json", SCHEMA, {"v": "C"}, first)


def test_revisions_grow_by_one_and_unknown_fields_are_kept(documents: DocumentStore) -> None:
    doc: JsonDoc | None = None
    for revision in range(1, 5):
        doc = write_json(documents, "k", SCHEMA, {**(doc.body if doc else {"from the future": [1]}), "n": revision}, doc)
        assert doc.revision == revision
        assert read_json(documents, "k", SCHEMA) == doc
    assert doc is not None
    assert doc.body["from the future"] == [1]


def test_a_service_tells_the_time_by_its_own_clock(adapter: str, documents: DocumentStore) -> None:
    if adapter not in buckets.ADAPTERS:
        assert not isinstance(documents, TellsTime) or documents.time_told() is None
        return
    assert isinstance(documents, TellsTime)
    told = documents.time_told()
    assert told is not None
    assert abs(told - datetime.now(tz=UTC)) < timedelta(seconds=30)  # on this machine, which may be busy
