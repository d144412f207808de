"""A release in several stores: brought together, looked at, completed; errors name the mirror."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import pytest

from otagate.errors import AccessError, ConflictError, ExitCode, OtagateError, UnavailableError, VerificationError
from otagate.model import Digest, Sealed
from otagate.release.asking import MirrorUnavailableError, ask, raise_first
from otagate.release.mirroring import Gap, Parts, check_everywhere, complete, describe_lag, look, put_everywhere
from otagate.store.interface import BlobStore, Store
from otagate.store.memory import MemoryBlobs, MemoryStore
from support.faulty import FaultyBlobs, FaultyDocuments, Plan

KEY = "apps/com.example.app/releases/1.0.0.json"
CONTENT = b"the sealed zip"
SEALED = Sealed("none", Digest.of(CONTENT), len(CONTENT))
PARTS = Parts("release 1.0.0 of com.example.app", "1.0.0", KEY, b"the statement", SEALED)


@pytest.fixture
def mirrors() -> tuple[Store, ...]:
    return tuple(MemoryStore(name) for name in ("one", "two"))


@pytest.fixture
def store(mirrors: tuple[Store, ...]) -> Store:
    first = MemoryStore("first")
    return Store(first.url, first.blobs, first.documents, "", mirrors)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "sealed"
    path.write_bytes(CONTENT)
    return path


def plant(blobs: BlobStore, content: bytes) -> None:
    blobs._bytes[SEALED.blob] = content  # type: ignore[attr-defined]


def stored(store: Store) -> bytes | None:
    if store.blobs.size(SEALED.blob) is None:
        return None
    with store.blobs.open(SEALED.blob) as stream:
        return stream.read()


def test_the_blob_goes_everywhere_and_progress_is_of_all_stores_together(store: Store, source: Path) -> None:
    heard: list[tuple[int, int]] = []
    put_everywhere(store, SEALED, source, lambda done, total: heard.append((done, total)))
    assert [stored(one) for one in (store, *store.mirrors)] == [CONTENT] * 3
    assert heard[-1] == (3 * len(CONTENT), 3 * len(CONTENT))
    put_everywhere(store, SEALED, source)
    assert len(heard) == 3


def test_an_error_of_the_first_store_counts_first(store: Store, tmp_path: Path) -> None:
    with pytest.raises(OtagateError) as caught:
        put_everywhere(store, SEALED, tmp_path / "missing")
    assert "mirror" not in str(caught.value)


def test_bytes_that_only_the_first_store_has_are_copied(store: Store) -> None:
    plant(store.blobs, CONTENT)
    put_everywhere(store, SEALED, None)
    assert [stored(one) for one in store.mirrors] == [CONTENT] * 2


@pytest.mark.parametrize(
    ("content", "quick", "thorough"),
    [
        (None, "no blob", "no blob"),
        (b"short", "5 bytes", f"{Digest.of(b'short')}, 5 bytes"),
        (b"x" * len(CONTENT), "", f"{Digest.of(b'x' * len(CONTENT))}, {len(CONTENT)} bytes"),
        (CONTENT, "", ""),
    ],
)
def test_a_look_tells_what_stands_instead_of_the_blob(store: Store, content: bytes | None, quick: str, thorough: str) -> None:
    mirror = store.mirrors[0]
    if content is not None:
        plant(mirror.blobs, content)
    assert look(mirror, PARTS) == Gap(quick, "no statement")
    assert look(mirror, PARTS, thorough=True) == Gap(thorough, "no statement")
    plant(store.blobs, CONTENT)
    found = complete(store, store.mirrors, PARTS, thorough=True)
    assert found[0].value == Gap(thorough, "no statement")
    assert stored(mirror) == CONTENT
    assert not look(mirror, PARTS, thorough=True).is_open


def test_completing_what_is_whole_writes_nothing_and_reads_no_blob_from_the_first_store(store: Store) -> None:
    plant(store.blobs, CONTENT)
    complete(store, store.mirrors, PARTS)
    plan = Plan()
    mirror = store.mirrors[0]
    counted = Store(mirror.url, FaultyBlobs(mirror.blobs, plan), FaultyDocuments(mirror.documents, plan))
    store.blobs.delete(SEALED.blob)
    assert [str(answer.value) for answer in complete(store, (counted,), PARTS)] == ["nothing"]
    assert plan.seen == [f"read {KEY}", "blobs.size"]


@pytest.mark.parametrize("there", [None, b"short", b"x" * len(CONTENT)])
def test_a_first_store_that_does_not_give_the_bytes_back_mends_nobody(store: Store, there: bytes | None) -> None:
    if there is not None:
        plant(store.blobs, there)
    with pytest.raises(VerificationError, match="the first store does not give back"):
        complete(store, store.mirrors, PARTS)
    assert [stored(one) for one in store.mirrors] == [None, None]


def test_everything_is_read_back_everywhere(store: Store, source: Path) -> None:
    put_everywhere(store, SEALED, source)
    with pytest.raises(VerificationError, match="memory:one") as caught:
        check_everywhere(store, PARTS)
    assert caught.value.found == "no statement"
    complete(store, store.mirrors, PARTS)
    check_everywhere(store, PARTS)
    plant(store.mirrors[1].blobs, b"x" * len(CONTENT))
    with pytest.raises(VerificationError, match="memory:two"):
        check_everywhere(store, PARTS)
    plant(store.blobs, b"y" * len(CONTENT))
    with pytest.raises(VerificationError) as first:
        check_everywhere(store, PARTS)
    assert "mirror" not in first.value.what


def test_another_statement_is_never_written_over(store: Store, source: Path) -> None:
    mirror = store.mirrors[1]
    mirror.documents.create(KEY, b"another")
    put_everywhere(store, SEALED, source)
    answers = complete(store, store.mirrors, PARTS)
    assert answers[0].error is None
    assert isinstance(answers[1].error, VerificationError)
    assert answers[1].error.found == str(Digest.of(b"another"))
    with pytest.raises(VerificationError, match="memory:two"):
        raise_first(answers)
    assert "another statement" in describe_lag(store.mirrors, PARTS)


class BehindAGarblingCdn(MemoryBlobs):
    """Blobs whose public address gives other bytes. See BlobStore."""

    def open(self, digest: Digest, start: int = 0, *, direct: bool = False) -> AbstractContextManager[BinaryIO]:
        return super().open(digest, start, direct=direct) if direct else io.BytesIO(b"x" * len(CONTENT))


def test_right_bytes_that_only_a_cdn_garbles_are_not_deleted(store: Store) -> None:
    plant(store.blobs, CONTENT)
    mirror = Store("memory:behind", BehindAGarblingCdn("behind"), store.mirrors[0].documents)
    plant(mirror.blobs, CONTENT)
    (answer,) = complete(store, (mirror,), PARTS, thorough=True)
    assert isinstance(answer.error, VerificationError)
    assert "public address" in answer.error.what
    with mirror.blobs.open(SEALED.blob, direct=True) as stream:
        assert stream.read() == CONTENT


class Raced:
    """Documents in which somebody else creates the key just before us. See DocumentStore."""

    def __init__(self, inner: Store, body: bytes | None) -> None:
        self._inner, self._body = inner.documents, body
        self.read, self.delete, self.keys, self.replace = (
            self._inner.read,
            self._inner.delete,
            self._inner.keys,
            self._inner.replace,
        )

    def create(self, key: str, body: bytes) -> str:
        if self._body is not None:
            self._inner.create(key, self._body)
        raise ConflictError("there already", key)


@pytest.mark.parametrize(
    ("body", "error"),
    [(b"the statement", None), (b"another", VerificationError), (None, ConflictError)],
)
def test_a_statement_that_somebody_else_creates_at_the_same_moment(
    store: Store, body: bytes | None, error: type[OtagateError] | None
) -> None:
    plant(store.blobs, CONTENT)
    inner = store.mirrors[0]
    plant(inner.blobs, CONTENT)
    (answer,) = complete(store, (Store(inner.url, inner.blobs, Raced(inner, body)),), PARTS)
    assert (type(answer.error) if answer.error else None) is error


def raises(error: OtagateError) -> Callable[[Store], None]:
    def action(_mirror: Store) -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (UnavailableError("no answer", "a key", remedy="wait"), MirrorUnavailableError, ExitCode.UNAVAILABLE),
        (AccessError("no permission", "a key", remedy="grant it"), AccessError, ExitCode.USAGE),
        (VerificationError("bad bytes", "a key", "this", "that", details=("more",)), VerificationError, ExitCode.VERIFICATION),
    ],
)
def test_an_error_names_its_mirror_and_keeps_the_rest(
    mirrors: tuple[Store, ...], error: OtagateError, kind: type[OtagateError], code: ExitCode
) -> None:
    for answer in ask(mirrors, raises(error)):
        found = answer.error
        assert type(found) is kind
        assert found.exit_code is code
        assert found.what == f"{error.what}, in the mirror {answer.mirror.url}"
        assert (found.subject, found.found, found.remedy, found.details) == (
            error.subject,
            error.found,
            error.remedy,
            error.details,
        )
        assert found.__cause__ is error


def test_a_lag_is_one_sentence(store: Store) -> None:
    assert describe_lag((), PARTS) == ""
    text = describe_lag(store.mirrors, PARTS)
    assert text == "the mirror memory:one lacks release 1.0.0 of com.example.app (no blob and no statement): otagate mirror"
