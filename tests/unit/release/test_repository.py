from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from otagate.errors import ConflictError, KeyMaterialError, NotFoundError, UsageError, VerificationError
from otagate.model import AppId, ChannelName, Digest, Release, ReleaseRef, Version
from otagate.release.repository import Releases
from otagate.release.sealed import compare
from otagate.seal.dsse import sign_envelope
from otagate.seal.statement import PAYLOAD_TYPE, to_statement
from otagate.store.folder import FolderStore
from otagate.store.interface import Store
from otagate.store.memory import MemoryBlobs, MemoryDocuments, MemoryStore
from support.published import APP, NOW, make_release, signer, trusted, write_sealed

KEY = f"apps/{APP}/releases/1.0.0.json"
V1 = Version("1.0.0")


def releases(store: Store, key: str | None = "first", trust: tuple[str, ...] = ("first",)) -> Releases:
    return Releases(store, APP, trusted(*trust), signer(key) if key else None)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    return write_sealed(tmp_path)


@pytest.fixture
def release(sealed: Path) -> Release:
    return make_release(sealed)


def blobs_of(store: Store) -> MemoryBlobs:
    assert isinstance(store.blobs, MemoryBlobs)
    return store.blobs


def documents_of(store: Store) -> MemoryDocuments:
    assert isinstance(store.documents, MemoryDocuments)
    return store.documents


def test_a_release_is_published_read_and_resolved(store: MemoryStore, sealed: Path, release: Release) -> None:
    assert releases(store).get(V1) is None
    published = releases(store).publish(release, sealed, NOW)
    assert published.release == release
    stored = store.documents.read(KEY)
    assert stored is not None
    assert published.envelope == stored.body
    assert published.ref == ReleaseRef(V1, Digest.of(stored.body))
    reader = releases(store, key=None)
    assert reader.get(V1) == reader.resolve(published.ref) == published
    reader.read_back(published)
    with store.blobs.open(release.sealed.blob) as stream:
        assert stream.read() == sealed.read_bytes()


def test_the_same_files_again_are_the_same_release_although_the_seal_is_another(
    store: MemoryStore, sealed: Path, release: Release, tmp_path: Path
) -> None:
    first = releases(store).publish(release, sealed, NOW)
    resealed = write_sealed(tmp_path, seal=b"seal 2|")
    again = replace(make_release(resealed, serial=2), created=NOW + timedelta(days=1), commit="0" * 40, provenance={"run": "2"})
    assert releases(store).publish(again, resealed, NOW) == first
    assert list(blobs_of(store)._bytes) == [release.sealed.blob]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bundle": "other"}, "other bytes"),
        ({"channels": (ChannelName("beta"),)}, "other channels"),
        ({"native_min": "2.0.0"}, "another native range"),
        ({"native_max": "3.0.0"}, "another native range"),
        ({"sealed": "capgo"}, "another seal"),
        ({"sealed": "key"}, "another seal"),
    ],
)
def test_the_same_version_with_something_else_is_a_conflict_and_overwrites_nothing(
    store: MemoryStore, sealed: Path, release: Release, changes: dict[str, object], words: str
) -> None:
    first = releases(store).publish(release, sealed, NOW)
    values = {
        "other": replace(release.bundle, archive=Digest.of(b"other")),
        "capgo": replace(release.sealed, format="capgo"),
        "key": replace(release.sealed, key_id="MIIBCgKCAQEAother"),
    }
    other = replace(release, **{name: values.get(str(value), value) for name, value in changes.items()})  # type: ignore[arg-type]
    with pytest.raises(ConflictError, match=words) as caught:
        releases(store).publish(other, sealed, NOW)
    assert caught.value.remedy == "publish under a new version"
    if words == "other bytes":
        assert str(release.bundle.archive) in str(caught.value)
        assert str(Digest.of(b"other")) in str(caught.value)
    assert releases(store).get(V1) == first


def test_nothing_is_stored_without_a_key_or_with_one_that_nobody_trusts(
    store: MemoryStore, sealed: Path, release: Release
) -> None:
    with pytest.raises(KeyMaterialError, match="no key to sign"):
        releases(store, key=None).publish(release, sealed, NOW)
    with pytest.raises(KeyMaterialError, match="not a trusted one") as caught:
        releases(store, key="second").publish(release, sealed, NOW)
    assert caught.value.found == signer("second").public_key().key_id
    assert not blobs_of(store)._bytes
    assert not documents_of(store)._bodies


@pytest.mark.parametrize(
    ("change", "words"),
    [({"app": AppId("com.other.app")}, "another app"), ({"expires": NOW}, "expired")],
)
def test_a_release_that_nobody_could_use_is_refused(
    store: MemoryStore, sealed: Path, release: Release, change: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        releases(store).publish(replace(release, **change), sealed, NOW)  # type: ignore[arg-type]
    assert not blobs_of(store)._bytes


def test_a_sealed_file_that_changed_or_is_missing_is_not_published(
    store: MemoryStore, sealed: Path, release: Release, tmp_path: Path
) -> None:
    sealed.write_bytes(b"seal 1|zip X")
    with pytest.raises(VerificationError, match="not the one that was announced"):
        releases(store).publish(release, sealed, NOW)
    with pytest.raises(NotFoundError):
        releases(store).publish(release, tmp_path / "missing", NOW)
    assert releases(store).get(V1) is None


def tamper(store: MemoryStore, body: bytes) -> None:
    documents_of(store)._bodies[KEY] = body


@pytest.mark.parametrize("attack", ["bit flip", "another key", "another version", "another app", "unsigned", "wrong type"])
def test_a_statement_that_does_not_hold_is_refused(store: MemoryStore, sealed: Path, release: Release, attack: str) -> None:
    published = releases(store).publish(release, sealed, NOW)
    payload = to_statement(release)
    bodies = {
        "bit flip": published.envelope.replace(b'"sig":"', b'"sig":"AA'),
        "another key": sign_envelope(PAYLOAD_TYPE, payload, signer("evil")),
        "another version": sign_envelope(PAYLOAD_TYPE, to_statement(replace(release, version=Version("1.0.1"))), signer()),
        "another app": sign_envelope(PAYLOAD_TYPE, to_statement(replace(release, app=AppId("com.other.app"))), signer()),
        "unsigned": payload,
        "wrong type": sign_envelope("application/vnd.otagate.channel+json", payload, signer()),
    }
    tamper(store, bodies[attack])
    with pytest.raises(VerificationError):
        releases(store).get(V1)
    with pytest.raises(VerificationError):
        releases(store).resolve(published.ref)
    with pytest.raises(VerificationError):
        releases(store).publish(release, sealed, NOW)


def test_another_statement_under_the_same_version_is_not_the_one_that_was_named(
    store: MemoryStore, sealed: Path, release: Release
) -> None:
    published = releases(store).publish(release, sealed, NOW)
    tamper(store, sign_envelope(PAYLOAD_TYPE, to_statement(replace(release, commit="f" * 40)), signer()))
    with pytest.raises(VerificationError, match="not the one that was named"):
        releases(store).resolve(published.ref)


def test_a_version_that_was_never_published_cannot_be_resolved(store: MemoryStore) -> None:
    with pytest.raises(NotFoundError, match="never published"):
        releases(store).resolve(ReleaseRef(V1, Digest.of(b"")))


@pytest.mark.parametrize("damage", [b"seal 1|zip X", b"seal 1|zip", b""])
def test_wrong_bytes_at_rest_are_found_and_not_deleted_by_a_reader(
    store: MemoryStore, sealed: Path, release: Release, damage: bytes
) -> None:
    published = releases(store).publish(release, sealed, NOW)
    blobs_of(store)._bytes[release.sealed.blob] = damage
    with pytest.raises(VerificationError, match="does not give back") as caught:
        releases(store).read_back(published)
    assert str(Digest.of(damage)) in str(caught.value.found)
    assert store.blobs.size(release.sealed.blob) == len(damage)


def test_a_blob_that_is_gone_is_found(store: MemoryStore, sealed: Path, release: Release) -> None:
    published = releases(store).publish(release, sealed, NOW)
    store.blobs.delete(release.sealed.blob)
    with pytest.raises(VerificationError) as caught:
        releases(store).read_back(published)
    assert caught.value.found == "no blob"


@pytest.mark.parametrize("damage", [b"seal 1|zip X", b"seal 1"], ids=["bit flip", "cut"])
@pytest.mark.parametrize("is_published", [False, True])
def test_publishing_again_mends_wrong_bytes_at_rest(
    store: MemoryStore, sealed: Path, release: Release, damage: bytes, is_published: bool
) -> None:
    if is_published:
        releases(store).publish(release, sealed, NOW)
    blobs_of(store)._bytes[release.sealed.blob] = damage
    with pytest.raises(VerificationError, match="does not give back") as caught:
        releases(store).publish(release, sealed, NOW)
    assert "run the command again" in str(caught.value.remedy)
    assert store.blobs.size(release.sealed.blob) is None
    assert (releases(store).get(V1) is not None) == is_published
    mended = releases(store).publish(release, sealed, NOW)
    releases(store).read_back(mended)


def test_a_new_seal_cannot_mend_the_blob_of_the_old_one(
    store: MemoryStore, sealed: Path, release: Release, tmp_path: Path
) -> None:
    releases(store).publish(release, sealed, NOW)
    store.blobs.delete(release.sealed.blob)
    resealed = write_sealed(tmp_path, seal=b"seal 2|")
    with pytest.raises(VerificationError) as caught:
        releases(store).publish(make_release(resealed), resealed, NOW)
    assert "new version" in str(caught.value.remedy)


class Flipping(MemoryBlobs):
    """A store that gives back other bytes than it took."""

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        with super().open(digest) as stream:
            data = stream.read()
        return BytesIO(data[:-1] + bytes([data[-1] ^ 1]))


def test_a_store_that_flips_a_bit_gets_no_statement(sealed: Path, release: Release) -> None:
    store = Store("memory:flipping", Flipping("flipping"), MemoryDocuments())
    with pytest.raises(VerificationError, match="does not give back"):
        releases(store).publish(release, sealed, NOW)
    assert releases(store).get(V1) is None
    assert store.blobs.size(release.sealed.blob) is None


class Racing(MemoryDocuments):
    """Somebody else creates the document just before us; or the store says so for nothing."""

    def __init__(self, body: bytes | None, refusals: int = 1) -> None:
        super().__init__()
        self.body, self.refusals = body, refusals

    def create(self, key: str, body: bytes) -> str:
        if self.refusals:
            self.refusals -= 1
            if self.body is not None:
                super().create(key, self.body)
            raise ConflictError("the document is there already", key)
        return super().create(key, body)


def racing(body: bytes | None, refusals: int = 1) -> Store:
    return Store("memory:racing", MemoryBlobs("racing"), Racing(body, refusals))


def test_of_two_that_publish_the_same_version_the_first_stands(release: Release, sealed: Path, tmp_path: Path) -> None:
    other_seal = write_sealed(tmp_path, seal=b"seal 2|")
    other = make_release(other_seal, serial=9)
    store = racing(sign_envelope(PAYLOAD_TYPE, to_statement(other), signer()))
    store.blobs.put(other.sealed.blob, other_seal)
    assert releases(store).publish(release, sealed, NOW).release == other
    different = make_release(write_sealed(tmp_path, b"zip 2"), content=b"zip 2")
    store = racing(sign_envelope(PAYLOAD_TYPE, to_statement(different), signer()))
    with pytest.raises(ConflictError, match="other bytes"):
        releases(store).publish(release, sealed, NOW)


def test_a_refusal_to_create_what_is_not_there_is_tried_again_but_not_for_ever(release: Release, sealed: Path) -> None:
    assert releases(racing(None, 4)).publish(release, sealed, NOW).release == release
    with pytest.raises(ConflictError):
        releases(racing(None, 5)).publish(release, sealed, NOW)


class Forgetful(MemoryDocuments):
    def create(self, key: str, body: bytes) -> str:
        return Digest.of(body).hex


def test_a_store_that_forgets_the_statement_is_found_out(release: Release, sealed: Path) -> None:
    with pytest.raises(VerificationError, match="was just written is not there"):
        releases(Store("memory:x", MemoryBlobs("x"), Forgetful())).publish(release, sealed, NOW)


class Zeros(MemoryBlobs):
    """One blob of many zeros that takes no memory."""

    def __init__(self, size: int) -> None:
        super().__init__("zeros")
        self._left = size

    @contextmanager
    def _stream(self) -> Iterator[BinaryIO]:
        yield self  # type: ignore[misc]

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        return self._stream()

    def read(self, size: int) -> bytes:
        taken = min(size, self._left)
        self._left -= taken
        return bytes(taken)


def test_reading_back_takes_flat_memory(release: Release) -> None:
    size = 64 * 1024 * 1024
    tracemalloc.start()
    found = compare(Zeros(size), replace(release.sealed, size=size))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found is not None
    assert "67108864 bytes" in found
    assert peak < 6 * 1024 * 1024


def test_what_is_larger_than_it_may_be_is_not_read_to_its_end(store: MemoryStore, sealed: Path, release: Release) -> None:
    published = releases(store).publish(release, sealed, NOW)
    endless = Zeros(1 << 62)
    with pytest.raises(VerificationError) as caught:
        releases(Store("memory:zeros", endless, store.documents)).read_back(published)
    assert caught.value.found == f"more than {release.sealed.size} bytes"


def test_serials_grow_and_no_two_are_the_same(tmp_path: Path) -> None:
    repository = releases(FolderStore(tmp_path / "store"))
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: repository.next_serial(), range(20)))
    assert sorted(taken) == list(range(1, 21))


@pytest.mark.parametrize("serial", ['"7"', "-1", "0", "true", "null", str(2**53), "9" * 4300])
def test_a_damaged_serial_is_refused(store: MemoryStore, serial: str) -> None:
    assert releases(store).next_serial() == 1
    key = f"apps/{APP}/serial.json"
    body = documents_of(store)._bodies[key]
    documents_of(store)._bodies[key] = body.replace(b'"serial":1', f'"serial":{serial}'.encode())
    with pytest.raises(VerificationError, match="serial is damaged"):
        releases(store).next_serial()


class Busy(MemoryDocuments):
    def create(self, key: str, body: bytes) -> str:
        raise ConflictError("the document is there already", key)


def test_serials_that_others_always_take_first_end_in_a_conflict() -> None:
    with pytest.raises(ConflictError):
        releases(Store("memory:x", MemoryBlobs("x"), Busy())).next_serial()
