"""The note of which release brought a bundle: a hint, of which nothing is believed and for which nothing fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from otagate.model import Digest
from otagate.release.bundles import SCHEMA, note_release, release_of
from otagate.release.repository import PublishedRelease, Releases
from otagate.store.interface import DocumentStore
from otagate.store.jsondoc import read_json, write_json
from otagate.store.memory import MemoryDocuments, MemoryStore
from support.published import APP, NOW, make_release, signer, trusted, write_sealed

ARCHIVE = Digest.of(b"zip 1")
KEY = f"apps/{APP}/bundles/{ARCHIVE.hex}.json"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def releases(store: MemoryStore) -> Releases:
    return Releases(store, APP, trusted(), signer())


def publish(
    store: MemoryStore, folder: Path, version: str, seal: bytes = b"seal 1|", content: bytes = b"zip 1"
) -> PublishedRelease:
    path = write_sealed(folder, content, seal)
    return releases(store).publish(make_release(path, version=version, content=content), path, NOW)


def noted(store: MemoryStore) -> object:
    found = read_json(store.documents, KEY, SCHEMA)
    return found and found.body.get("version")


def test_a_note_leads_to_the_verified_release(store: MemoryStore, tmp_path: Path) -> None:
    assert release_of(store.documents, releases(store), APP, ARCHIVE) is None
    published = publish(store, tmp_path, "1.0.0")
    note_release(store.documents, published)
    assert release_of(store.documents, releases(store), APP, ARCHIVE) == published


@pytest.mark.parametrize(("seal", "version"), [(b"seal 1|", "1.0.0"), (b"seal 2|", "2.0.0")])
def test_a_note_changes_only_with_the_seal(store: MemoryStore, tmp_path: Path, seal: bytes, version: str) -> None:
    note_release(store.documents, publish(store, tmp_path, "1.0.0"))
    note_release(store.documents, publish(store, tmp_path, "2.0.0", seal))
    assert noted(store) == version


@pytest.mark.parametrize(
    "lie",
    [{}, {"version": "not a version"}, {"version": 7}, {"version": "9.9.9"}, {"version": "3.0.0"}],
    ids=["nothing", "no version", "a number", "never published", "of other files"],
)
def test_a_note_that_lies_is_none(store: MemoryStore, tmp_path: Path, lie: dict[str, object]) -> None:
    publish(store, tmp_path, "1.0.0")
    publish(store, tmp_path, "3.0.0", content=b"zip 3")
    write_json(store.documents, KEY, SCHEMA, lie, None)
    assert release_of(store.documents, releases(store), APP, ARCHIVE) is None


def test_a_note_that_cannot_be_read_costs_nothing_and_stays(store: MemoryStore, tmp_path: Path) -> None:
    published = publish(store, tmp_path, "1.0.0")
    store.documents.create(KEY, b"not json")
    assert release_of(store.documents, releases(store), APP, ARCHIVE) is None
    note_release(store.documents, published)
    there = store.documents.read(KEY)
    assert there is not None
    assert there.body == b"not json"


def test_who_notes_at_the_same_time_loses_nothing(store: MemoryStore, tmp_path: Path) -> None:
    first, second = publish(store, tmp_path, "1.0.0"), publish(store, tmp_path, "2.0.0", b"seal 2|")

    class Slow(MemoryDocuments):
        """Another process notes between our look and our write."""

        def __init__(self, inner: DocumentStore, meanwhile: Callable[[], None]) -> None:
            super().__init__()
            self.inner, self.meanwhile = inner, meanwhile

        def create(self, key: str, body: bytes) -> str:
            self.meanwhile()
            return self.inner.create(key, body)

    note_release(Slow(store.documents, lambda: note_release(store.documents, first)), second)
    assert noted(store) == "1.0.0"
