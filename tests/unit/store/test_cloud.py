"""What every bucket gets on top of its adapter: retries, resumed reads, our own errors. Faults are injected at the raw port."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otagate.errors import (
    AccessError,
    ConflictError,
    ExitCode,
    NotFoundError,
    OtagateError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from otagate.model import Digest, Sealed
from otagate.release.sealed import put_sealed
from otagate.store.cloud import cloud_store
from otagate.store.cloud_blobs import IMMUTABLE
from otagate.store.cloud_documents import NO_CACHE
from otagate.store.interface import Store
from otagate.store.keys import blob_key
from otagate.store.objects import (
    BrokenRequestError,
    DeniedError,
    Headers,
    NoBucketError,
    RefusedError,
    TransientError,
    UnsupportedError,
)
from otagate.store.swap import swap
from support.buckets_memory import MemoryObjects

PREFIX = "team/app/"


class Bench:
    """A store in a bucket in memory, whose waits are only counted."""

    def __init__(self) -> None:
        self.objects = MemoryObjects()
        self.naps: list[float] = []
        self.store: Store = cloud_store("s3://b", self.objects, PREFIX, sleep=self.naps.append)

    def fail(self, name: str, error: Exception, times: int = 1, *, after: bool = False) -> None:
        left = [times]

        def hook(called: str, _key: str) -> None:
            if called == name and left[0]:
                left[0] -= 1
                raise error

        if after:
            self.objects.after = hook
        else:
            self.objects.before = hook

    def count(self, name: str) -> int:
        return [called for called, _ in self.objects.calls].count(name)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def make(folder: Path, data: bytes) -> tuple[Digest, Path]:
    path = folder / "source"
    path.write_bytes(data)
    return Digest.of(data), path


def test_a_blob_is_kept_for_ever_and_a_document_is_asked_for_again(bench: Bench, tmp_path: Path) -> None:
    digest, source = make(tmp_path, b"data")
    bench.store.blobs.put(digest, source, content_type="application/zip")
    bench.store.documents.create("apps/a/channels/beta.json", b"{}")
    blob = bench.objects.held[PREFIX + blob_key(digest)][1]
    document = bench.objects.held[PREFIX + "apps/a/channels/beta.json"][1]
    assert (blob.content_type, blob.cache_control) == ("application/zip", IMMUTABLE)
    assert (document.content_type, document.cache_control) == ("application/json", NO_CACHE)


def test_an_upload_that_failed_is_sent_again_from_the_start(bench: Bench, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    digest, source = make(tmp_path, data)
    bench.fail("upload", TransientError("503 SlowDown", retry_after=2.0), 2)
    assert bench.store.blobs.put(digest, source) is True
    assert bench.objects.held[PREFIX + blob_key(digest)][0] == data
    assert len(bench.naps) == 2
    assert min(bench.naps) >= 2.0


def test_progress_grows_to_the_whole(bench: Bench, tmp_path: Path) -> None:
    digest, source = make(tmp_path, bytes(2_500_000))
    seen: list[tuple[int, int]] = []
    bench.store.blobs.put(digest, source, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (2_500_000, 2_500_000)
    bench.store.blobs.put(digest, source, on_progress=lambda *_: pytest.fail("nothing is sent"))


def test_what_is_there_costs_one_look(bench: Bench, tmp_path: Path) -> None:
    digest, source = make(tmp_path, b"data")
    bench.store.blobs.put(digest, source)
    bench.objects.calls.clear()
    assert bench.store.blobs.put(digest, source) is False
    assert [name for name, _ in bench.objects.calls] == ["head"]


def test_a_damaged_blob_is_named_and_not_overwritten(bench: Bench, tmp_path: Path) -> None:
    digest, source = make(tmp_path, b"data")
    bench.objects.upload(PREFIX + blob_key(digest), [b"dat"], 3, Headers("a/b", ""), lambda *_: None)
    with pytest.raises(VerificationError, match="damaged") as caught:
        bench.store.blobs.put(digest, source)
    assert (caught.value.expected, caught.value.found) == ("4 bytes", "3 bytes")
    assert bench.objects.held[PREFIX + blob_key(digest)][0] == b"dat"


def test_a_broken_read_goes_on_where_it_broke(bench: Bench, tmp_path: Path) -> None:
    data = os.urandom(500_000)
    digest, source = make(tmp_path, data)
    bench.store.blobs.put(digest, source)
    bench.fail("stream", TransientError("connection reset"), 3, after=True)
    with bench.store.blobs.open(digest) as stream:
        assert stream.read() == data
    assert bench.count("stream") == 4


@pytest.mark.parametrize("start", [0, 1, 65_535, 65_536, 99_999, 100_000, 100_001, 10**9])
def test_a_read_starts_where_it_is_told(bench: Bench, tmp_path: Path, start: int) -> None:
    data = os.urandom(100_000)
    digest, source = make(tmp_path, data)
    bench.store.blobs.put(digest, source)
    with bench.store.blobs.open(digest, start) as stream:
        assert stream.read() == data[start:]


def test_a_read_that_never_mends_ends_with_our_error(bench: Bench, tmp_path: Path) -> None:
    digest, source = make(tmp_path, bytes(200_000))
    bench.store.blobs.put(digest, source)
    with bench.store.blobs.open(digest) as stream:
        stream.read(1)
        bench.fail("stream", TransientError("gone", retry_after=10**6), 10**6, after=True)
        with pytest.raises(UnavailableError, match="cannot read the blob"):
            stream.read()


ERRORS: list[tuple[Exception, type[OtagateError], ExitCode, str]] = [
    (DeniedError("AccessDenied", "s3:PutObject"), AccessError, ExitCode.USAGE, "grant s3:PutObject"),
    (DeniedError("AccessDenied"), AccessError, ExitCode.USAGE, "grant the permission"),
    (DeniedError("the secret key is wrong", of_credentials=True), AccessError, ExitCode.USAGE, "correct the credentials"),
    (
        DeniedError("this machine's clock is wrong", of_credentials=True),
        AccessError,
        ExitCode.USAGE,
        "set this machine's clock",
    ),
    (
        TransientError("no connection", 1e6),
        UnavailableError,
        ExitCode.UNAVAILABLE,
        "check the network and the store's endpoint",
    ),
    (NoBucketError("NoSuchBucket"), NotFoundError, ExitCode.USAGE, "create it"),
    (TransientError("503", retry_after=10**6), UnavailableError, ExitCode.UNAVAILABLE, "run the command again"),
    (UnsupportedError("no"), UsageError, ExitCode.USAGE, "docs/stores.md"),
    (BrokenRequestError("AuthorizationHeaderMalformed"), UsageError, ExitCode.USAGE, "region"),
]


@pytest.mark.parametrize("failure", ERRORS, ids=lambda failure: type(failure[0]).__name__)
@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("head", lambda store, _path: store.blobs.size(Digest.of(b""))),
        ("upload", lambda store, path: store.blobs.put(Digest.of(b""), path)),
        ("stream", lambda store, _path: store.blobs.open(Digest.of(b"")).read()),
        ("delete", lambda store, _path: store.blobs.delete(Digest.of(b""))),
        ("list", lambda store, _path: list(store.blobs.list())),
        ("abort", lambda store, _path: store.blobs.abort_unfinished(datetime(2026, 1, 1, tzinfo=UTC))),
        ("read", lambda store, _path: store.documents.read("k")),
        ("put", lambda store, _path: store.documents.create("k", b"")),
        ("put", lambda store, _path: store.documents.replace("k", b"", "t")),
        ("delete", lambda store, _path: store.documents.delete("k")),
        ("list", lambda store, _path: list(store.documents.keys("k/"))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_failure_leaves_as_one_of_ours(
    bench: Bench,
    tmp_path: Path,
    name: str,
    operation: Callable[[Store, Path], object],
    failure: tuple[Exception, type[OtagateError], ExitCode, str],
) -> None:
    error, kind, code, remedy = failure
    _, source = make(tmp_path, b"")
    if name == "stream":
        bench.store.blobs.put(Digest.of(b""), source)
    bench.fail(name, error, 10**6)
    with pytest.raises(kind) as caught:
        operation(bench.store, source)
    assert caught.value.exit_code is code
    assert remedy in str(caught.value.remedy)
    assert "memory bucket: team/app/" in str(caught.value.subject)
    assert str(error) in str(caught.value.found)


def test_a_create_that_is_refused_while_nobody_wins_is_tried_again(bench: Bench) -> None:
    # S3 answers 409 while another writer is in the middle, and that one may fail.
    bench.fail("put", RefusedError("409 ConditionalRequestConflict"), 2)
    bench.store.documents.create("k", b"mine")
    assert bench.objects.held[PREFIX + "k"][0] == b"mine"


def test_a_write_whose_answer_was_lost_is_recognised_as_ours(bench: Bench) -> None:
    bench.fail("put", TransientError("no answer"), after=True)
    token = swap(bench.store.documents, "k", b"with my own id", None)
    found = bench.store.documents.read("k")
    assert found is not None
    assert (found.body, found.token) == (b"with my own id", token)
    bench.fail("put", TransientError("no answer"), after=True)
    swap(bench.store.documents, "k", b"second", token)
    second = bench.store.documents.read("k")
    assert second is not None
    assert second.body == b"second"


def test_an_empty_token_is_never_sent_as_a_condition(bench: Bench) -> None:
    bench.store.documents.create("k", b"one")
    with pytest.raises(ConflictError):
        bench.store.documents.replace("k", b"two", "")
    assert bench.count("put") == 1


def test_listing_passes_over_what_is_no_blob(bench: Bench, tmp_path: Path) -> None:
    digest, source = make(tmp_path, b"data")
    bench.store.blobs.put(digest, source)
    headers = Headers("a/b", "")
    for name in ("blobs/sha256/aa/README", f"blobs/sha256/00/{'f' * 64}", "blobs/sha256/"):
        bench.objects.upload(PREFIX + name, [b""], 0, headers, lambda *_: None)
    assert [blob.digest for blob in bench.store.blobs.list()] == [digest]


def test_a_signed_address_is_the_buckets(bench: Bench) -> None:
    with pytest.raises(UsageError, match="cannot sign an address"):
        bench.store.blobs.signed_url(Digest.of(b""), timedelta(hours=1))
    bench.objects.signed = "https://signed"
    signed = bench.store.blobs.signed_url(Digest.of(b""), timedelta(hours=1))
    assert signed == f"https://signed/{PREFIX}{blob_key(Digest.of(b''))}?signature=secret&for=3600"


def test_the_place_is_told_without_options(bench: Bench) -> None:
    assert bench.store.where == "memory bucket/team/app"


# --- through the public address -----------------------------------------------------------------------------------------------


class Edge:
    """A public address that gives what it is told to give."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.gives: bytes | None = None

    def url(self, key: str) -> str:
        return f"https://cdn.example.com/{key}"

    def open(self, key: str, start: int = 0) -> io.BytesIO:
        if self.gives is None:
            raise NotFoundError("the public address does not give it", self.url(key), remedy="look at the CDN")
        return io.BytesIO(self.gives[start:])


@pytest.fixture
def edge(bench: Bench) -> Edge:
    edge = Edge(bench)
    bench.store = cloud_store("s3://b", bench.objects, PREFIX, edge, sleep=bench.naps.append)  # type: ignore[arg-type]
    return edge


def seal_of(data: bytes) -> Sealed:
    return Sealed("none", Digest.of(data), len(data))


def test_devices_bytes_are_read_and_a_direct_read_passes_by(bench: Bench, edge: Edge, tmp_path: Path) -> None:
    digest, source = make(tmp_path, b"data")
    bench.store.blobs.put(digest, source)
    edge.gives = b"what a device gets"
    with bench.store.blobs.open(digest, 5) as stream:
        assert stream.read() == b"a device gets"
    with bench.store.blobs.open(digest, 1, direct=True) as stream:
        assert stream.read() == b"ata"
    assert bench.store.blobs.url(digest) == f"https://cdn.example.com/{blob_key(digest)}"


def test_a_blob_that_only_the_public_address_lacks_is_not_taken_for_lost(bench: Bench, edge: Edge, tmp_path: Path) -> None:
    digest, source = make(tmp_path, b"data")
    with pytest.raises(NotFoundError, match="no such blob"):
        bench.store.blobs.open(digest)
    with pytest.raises(UnavailableError, match="public address"):
        put_sealed(bench.store.blobs, seal_of(b"data"), source)
    assert bench.store.blobs.size(digest) == 4, "a cached 404 must not cost a good blob"


def test_wrong_bytes_at_the_edge_do_not_cost_the_good_ones_in_the_store(bench: Bench, edge: Edge, tmp_path: Path) -> None:
    digest, source = make(tmp_path, b"data")
    edge.gives = b"dat\x00"
    with pytest.raises(VerificationError, match="its public address gives others") as caught:
        put_sealed(bench.store.blobs, seal_of(b"data"), source)
    assert "cdn.example.com" in str(caught.value.subject)
    assert bench.store.blobs.size(digest) == 4


def test_wrong_bytes_in_the_store_are_deleted(bench: Bench, edge: Edge, tmp_path: Path) -> None:
    digest, source = make(tmp_path, b"data")
    edge.gives = b"dat\x00"
    bench.objects.upload(PREFIX + blob_key(digest), [b"dat\x00"], 4, Headers("a/b", ""), lambda *_: None)
    with pytest.raises(VerificationError, match="bad bytes were deleted"):
        put_sealed(bench.store.blobs, seal_of(b"data"), source)
    assert bench.store.blobs.size(digest) is None
