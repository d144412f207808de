"""A bucket on fake-gcs-server, operation by operation: what crosses the wire, and what stands there after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from otagate.store.gcs import DEFAULT_ENDPOINT, open_objects
from otagate.store.objects import (
    Absent,
    BrokenRequestError,
    Headers,
    MissingObjectError,
    NoBucketError,
    Objects,
    RefusedError,
    Unchanged,
    UnsupportedError,
)
from otagate.store.url import parse_bucket_url
from support.servers import fake_gcs
from support.servers.meddling_proxy import Answer, Proxy, meddling

pytestmark = pytest.mark.integration

JSON = Headers("application/json", "no-cache")
ZIP = Headers("application/zip", "public, max-age=31536000, immutable")
MIB = 1024 * 1024


def no_progress(_done: int, _total: int) -> None:
    pass


@pytest.fixture
def bucket() -> str:
    return fake_gcs.new_bucket(fake_gcs.shared())


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with meddling(fake_gcs.shared()) as proxy:
        yield proxy


@pytest.fixture
def objects(proxy: Proxy, bucket: str) -> Objects:
    return open_objects(parse_bucket_url(f"gs://{bucket}?endpoint={proxy.base}"), {})


def test_what_was_put_is_read_with_its_own_generation(objects: Objects) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    first = objects.put("a/one", b"1", JSON, Absent())
    second = objects.put("a/one", b"two", JSON, Unchanged(first))
    found = objects.read("a/one", 100)
    assert found is not None
    body, head = found
    assert (body, head.key, head.size, head.token) == (b"two", "a/one", 3, second)
    assert (head.content_type, head.cache_control) == ("application/json", "no-cache")
    assert before < head.modified < datetime.now(UTC) + timedelta(seconds=2)
    looked = objects.head("a/one")
    assert looked is not None
    assert (looked.size, looked.token, looked.content_type, looked.cache_control) == (3, second, *head_fields(JSON))


def head_fields(headers: Headers) -> tuple[str, str]:
    return headers.content_type, headers.cache_control


def test_of_a_large_object_little_is_read(objects: Objects) -> None:
    objects.put("large", bytes(3 * MIB), JSON, Absent())
    found = objects.read("large", 10)
    assert found is not None
    assert found[0] == bytes(11)
    assert found[1].size == 3 * MIB


@pytest.mark.parametrize("key", ["missing", "a1"])
def test_what_is_missing(objects: Objects, key: str) -> None:
    objects.put("a10", b"", JSON, Absent())
    assert objects.head(key) is None
    assert objects.read(key, 10) is None
    objects.delete(key)
    with pytest.raises(MissingObjectError):
        list(objects.stream(key, 0))
    assert objects.head("a10") is not None


@pytest.mark.parametrize("key", ["a+b/c=d@e", "x/y.json", "p%2Fq", "ü ~"])
def test_keys_are_exact(objects: Objects, key: str) -> None:
    objects.put(key, b"here", JSON, Absent())
    assert b"".join(objects.stream(key, 0)) == b"here"
    assert [head.key for head in objects.list(key)] == [key]
    objects.delete(key)
    assert objects.head(key) is None


def test_the_second_creator_and_the_stale_writer_are_refused(objects: Objects) -> None:
    first = objects.put("k", b"A", JSON, Absent())
    with pytest.raises(RefusedError, match="412"):
        objects.put("k", b"B", JSON, Absent())
    objects.put("k", b"B", JSON, Unchanged(first))
    with pytest.raises(RefusedError, match="412"):
        objects.put("k", b"C", JSON, Unchanged(first))
    assert b"".join(objects.stream("k", 0)) == b"B"


@pytest.mark.parametrize("token", ["0", "", "-1", "1e9", "9" * 20, "٣", "an etag"])
def test_a_token_that_is_no_generation_is_refused_without_a_request(objects: Objects, proxy: Proxy, token: str) -> None:
    with pytest.raises(RefusedError):
        objects.put("k", b"C", JSON, Unchanged(token))
    assert proxy.seen == []


def test_a_token_does_not_come_back_with_the_bytes(objects: Objects) -> None:
    first = objects.put("k", b"A", JSON, Absent())
    second = objects.put("k", b"B", JSON, Unchanged(first))
    objects.put("k", b"A", JSON, Unchanged(second))
    with pytest.raises(RefusedError):
        objects.put("k", b"C", JSON, Unchanged(first))


@pytest.mark.parametrize("size", [0, 5, 9 * MIB])
def test_a_put_is_one_multipart_request_with_its_condition(objects: Objects, proxy: Proxy, size: int) -> None:
    objects.put("k", bytes(size), JSON, Absent())
    (seen,) = proxy.seen
    assert seen.method == "POST"
    assert parse_qs(urlsplit(seen.path).query) == {"uploadType": ["multipart"], "ifGenerationMatch": ["0"]}
    assert seen.headers["content-type"].startswith("multipart/related; boundary=")


def test_the_servers_hole_in_media_uploads_is_nowhere_on_our_way(objects: Objects, proxy: Proxy, bucket: str) -> None:
    address = f"{fake_gcs.shared()}/upload/storage/v1/b/{bucket}/o"
    for _ in range(2):
        query = {"uploadType": "media", "name": "hole", "ifGenerationMatch": "0"}
        # The second one should be refused. This server lets it through; were we to write this way, no test here would tell.
        assert httpx.post(address, params=query, content=b"x").status_code == 200
    objects.put("k", b"x", JSON, Absent())
    objects.upload("small", [b"x"], 1, ZIP, no_progress)
    objects.upload("large", [bytes(9 * MIB)], 9 * MIB, ZIP, no_progress)
    kinds = [parse_qs(urlsplit(seen.path).query)["uploadType"][0] for seen in proxy.seen if seen.method == "POST"]
    assert kinds == ["multipart", "multipart", "resumable"]


@pytest.mark.parametrize("size", [0, 1, 8 * MIB, 8 * MIB + 1, 16 * MIB, 20 * MIB + 5])
def test_an_upload_arrives_whole_and_tells_how_far_it_is(objects: Objects, proxy: Proxy, size: int) -> None:
    data = os.urandom(size)
    told: list[tuple[int, int]] = []
    pieces = (data[at : at + 3_000_000] for at in range(0, size, 3_000_000))
    objects.upload("blob", pieces, size, ZIP, lambda done, total: told.append((done, total)))
    assert b"".join(objects.stream("blob", 0)) == data
    head = objects.head("blob")
    assert head is not None
    assert (head.size, head.content_type, head.cache_control) == (size, *head_fields(ZIP))
    assert told[-1] == (size, size)
    assert told == sorted(set(told))
    assert max(len(seen.body) for seen in proxy.seen) <= 8 * MIB + 1000


class SourceError(Exception):
    pass


@pytest.mark.parametrize("size", [10, 8 * MIB, 8 * MIB + 1, 17 * MIB])
@pytest.mark.parametrize("at_end", [True, False])
def test_when_the_source_fails_nothing_appears(objects: Objects, proxy: Proxy, size: int, at_end: bool) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(size if at_end else size // 2)
        raise SourceError

    with pytest.raises(SourceError):
        objects.upload("blob", pieces(), size, ZIP, no_progress)
    assert objects.head("blob") is None
    opened = sum(seen.method == "POST" and "uploadType=resumable" in seen.path for seen in proxy.seen)
    assert opened == sum(seen.method == "DELETE" for seen in proxy.seen) == (1 if size > 8 * MIB else 0)


@pytest.mark.parametrize("size", [10, 17 * MIB])
@pytest.mark.parametrize("more", [-1, 1, -10, -9 * MIB, 9 * MIB])
def test_another_number_of_bytes_than_announced_is_no_object(objects: Objects, size: int, more: int) -> None:
    with pytest.raises(BrokenRequestError, match="bytes came"):
        objects.upload("blob", [bytes(max(size + more, 0))], size, ZIP, no_progress)
    assert objects.head("blob") is None


@pytest.mark.parametrize(("start", "expected"), [(0, b"abc"), (1, b"bc"), (2, b"c"), (3, b""), (1000, b"")])
def test_a_stream_begins_where_it_is_told(objects: Objects, start: int, expected: bytes) -> None:
    objects.put("k", b"abc", JSON, Absent())
    objects.put("empty", b"", JSON, Absent())
    assert b"".join(objects.stream("k", start)) == expected
    assert b"".join(objects.stream("empty", start)) == b""


def test_pieces_of_a_stream_are_small(objects: Objects) -> None:
    objects.put("k", bytes(5 * MIB), JSON, Absent())
    assert max(len(piece) for piece in objects.stream("k", 1)) <= MIB


def test_all_of_1005_objects_are_listed(objects: Objects) -> None:
    keys = {f"many/{number}" for number in range(1005)}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: objects.put(key, b"x", JSON, Absent()), sorted(keys)))
    objects.put("mane", b"", JSON, Absent())
    heads = list(objects.list("many/"))
    assert {head.key for head in heads} == keys
    assert len(heads) == 1005
    assert all(head.size == 1 and head.token.isdigit() for head in heads)


def test_every_page_is_asked_for(objects: Objects, proxy: Proxy) -> None:
    item = '{"name":"%s","size":"1","generation":"7","updated":"2026-11-21T00:00:00.5Z"}'

    def paged(_method: str, path: str) -> Answer:
        given = parse_qs(urlsplit(path).query).get("pageToken", ["0"])[0]
        more = f',"nextPageToken":"{int(given) + 1}"' if int(given) < 2 else ""
        return Answer(200, b'{"items":[%s]%s}' % ((item % f"k{given}").encode(), more.encode()))

    proxy.meddle = paged
    assert [(head.key, head.modified) for head in objects.list("k")] == [
        (f"k{number}", datetime(2026, 11, 21, 0, 0, 0, 500_000, UTC)) for number in range(3)
    ]
    asked = [parse_qs(urlsplit(seen.path).query) for seen in proxy.seen]
    assert all(query["prefix"] == ["k"] and query["fields"][0].startswith("items(name,size,generation,") for query in asked)


def test_without_a_bucket(proxy: Proxy) -> None:
    objects = open_objects(parse_bucket_url(f"gs://no-such-bucket?endpoint={proxy.base}"), {})
    for doing in (
        lambda: objects.put("k", b"", JSON, Absent()),
        lambda: objects.upload("k", [b""], 0, ZIP, no_progress),
        lambda: objects.upload("k", [bytes(9 * MIB)], 9 * MIB, ZIP, no_progress),
        lambda: list(objects.list("")),
    ):
        with pytest.raises(NoBucketError):
            doing()


def test_google_says_which_of_both_is_missing(objects: Objects, proxy: Proxy) -> None:
    words = b'{"error":{"code":404,"message":"The specified bucket does not exist.","errors":[{"reason":"notFound"}]}}'
    proxy.meddle = lambda _method, _path: Answer(404, words)
    with pytest.raises(NoBucketError, match="404 The specified bucket does not exist"):
        objects.head("k")
    with pytest.raises(NoBucketError):
        objects.delete("k")


def test_a_variable_that_was_left_behind_moves_nothing(objects: Objects, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", "http://127.0.0.1:9")
    here = open_objects(parse_bucket_url(f"gs://{bucket}?endpoint={fake_gcs.shared()}"), dict(os.environ))
    here.put("k", b"", JSON, Absent())
    here.upload("large", [bytes(9 * MIB)], 9 * MIB, ZIP, no_progress)
    assert sorted(head.key for head in here.list("")) == ["k", "large"]
    assert DEFAULT_ENDPOINT == "https://storage.googleapis.com"


def test_the_address_is_where_everybody_reads(objects: Objects, bucket: str) -> None:
    objects.put("a/b c", b"public", JSON, Absent())
    address = objects.address("a/b c")
    assert address.endswith(f"/{bucket}/a/b%20c")
    assert httpx.get(address).content == b"public"


def test_an_emulator_signs_nothing_and_has_no_leftovers(objects: Objects) -> None:
    with pytest.raises(UnsupportedError, match="service_account="):
        objects.sign("k", timedelta(hours=1))
    assert objects.abort_unfinished("", datetime.now(UTC)) == 0
