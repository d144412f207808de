"""What every adapter of the raw port of a bucket promises. A new adapter joins in support/buckets.py."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

import httpx
import pytest

from otagate.store.objects import Absent, Headers, MissingObjectError, Objects, RefusedError, Unchanged, UnsupportedError
from support.buckets import ADAPTERS, Bucket

pytestmark = pytest.mark.integration

PLAIN = Headers("application/json", "no-cache")
BLOB = Headers("application/zip", "public, max-age=31536000, immutable")
MIB = 1024 * 1024


@pytest.fixture(params=sorted(ADAPTERS))
def bucket(request: pytest.FixtureRequest) -> Bucket:
    return ADAPTERS[request.param]()


@pytest.fixture
def objects(bucket: Bucket) -> Objects:
    return bucket.open()


def silent(done: int, total: int) -> None:
    """Hear of progress, and do nothing."""


def pieces(size: int, seed: int = 1) -> Iterator[bytes]:
    block = hashlib.sha256(str(seed).encode()).digest() * (MIB // 32)
    for start in range(0, size, MIB):
        yield block[: min(MIB, size - start)]


def test_what_was_put_is_read_with_the_token_of_just_these_bytes(bucket: Bucket) -> None:
    key = bucket.prefix + "apps/a/channel.json"
    token = bucket.open().put(key, b"one", PLAIN, Absent())
    found = bucket.open().read(key, 100)
    assert found is not None
    body, head = found
    assert (body, head.key, head.size, head.token) == (b"one", key, 3, token)
    assert (head.content_type, head.cache_control) == ("application/json", "no-cache")
    assert abs(head.modified - datetime.now(UTC)) < timedelta(minutes=2)


def test_head_says_the_same_as_read(bucket: Bucket, objects: Objects) -> None:
    key = bucket.prefix + "k"
    token = objects.put(key, b"four", PLAIN, Absent())
    head = objects.head(key)
    assert head is not None
    assert (head.key, head.size, head.token, head.content_type, head.cache_control) == (
        key,
        4,
        token,
        "application/json",
        "no-cache",
    )


def test_what_is_not_there(bucket: Bucket, objects: Objects) -> None:
    key = bucket.prefix + "nothing"
    assert objects.head(key) is None
    assert objects.read(key, 10) is None
    with pytest.raises(MissingObjectError):
        list(objects.stream(key, 0))
    with pytest.raises(MissingObjectError):
        list(objects.stream(key, 5))
    objects.delete(key)
    assert list(objects.list(bucket.prefix)) == []


def test_a_second_create_is_refused_even_with_the_same_bytes(bucket: Bucket, objects: Objects) -> None:
    key = bucket.prefix + "k"
    objects.put(key, b"one", PLAIN, Absent())
    for body in (b"one", b"two"):
        with pytest.raises(RefusedError):
            objects.put(key, body, PLAIN, Absent())
    found = objects.read(key, 10)
    assert found is not None
    assert found[0] == b"one"


def test_a_swap_needs_the_token_of_the_present_state(bucket: Bucket, objects: Objects) -> None:
    key = bucket.prefix + "k"
    first = objects.put(key, b"one", PLAIN, Absent())
    second = objects.put(key, b"two", PLAIN, Unchanged(first))
    assert second != first
    with pytest.raises(RefusedError):
        objects.put(key, b"stale", PLAIN, Unchanged(first))
    found = objects.read(key, 10)
    assert found is not None
    assert (found[0], found[1].token) == (b"two", second)


def test_a_swap_of_what_is_gone_is_refused(bucket: Bucket, objects: Objects) -> None:
    key = bucket.prefix + "k"
    token = objects.put(key, b"one", PLAIN, Absent())
    objects.delete(key)
    with pytest.raises((RefusedError, MissingObjectError)):
        objects.put(key, b"two", PLAIN, Unchanged(token))
    assert objects.head(key) is None


def test_a_deleted_object_can_be_created_again(bucket: Bucket, objects: Objects) -> None:
    key = bucket.prefix + "k"
    objects.put(key, b"one", PLAIN, Absent())
    objects.delete(key)
    objects.put(key, b"two", PLAIN, Absent())
    found = objects.read(key, 10)
    assert found is not None
    assert found[0] == b"two"


def test_of_a_larger_object_one_byte_more_than_the_limit_is_read(bucket: Bucket, objects: Objects) -> None:
    key = bucket.prefix + "k"
    objects.put(key, bytes(3 * MIB), PLAIN, Absent())
    for limit, expected in ((10, 11), (2 * MIB, 2 * MIB + 1), (3 * MIB, 3 * MIB)):
        found = objects.read(key, limit)
        assert found is not None
        assert len(found[0]) == expected
        assert found[1].size == 3 * MIB


def test_keys_are_exact(bucket: Bucket, objects: Objects) -> None:
    for name in ("a1", "a10", "a1.json", "a/1"):
        objects.put(bucket.prefix + name, name.encode(), PLAIN, Absent())
    objects.delete(bucket.prefix + "a1")
    assert objects.head(bucket.prefix + "a1") is None
    assert objects.head(bucket.prefix + "a") is None
    assert {head.key for head in objects.list(bucket.prefix)} == {bucket.prefix + name for name in ("a10", "a1.json", "a/1")}


@pytest.mark.parametrize("name", ["1.0.0+build.7", "a_b-c.d", "x@y=z"])
def test_the_characters_that_keys_may_have(bucket: Bucket, objects: Objects, name: str) -> None:
    key = bucket.prefix + name + "/document"
    objects.put(key, b"here", PLAIN, Absent())
    assert [head.key for head in objects.list(bucket.prefix)] == [key]
    found = objects.read(key, 10)
    assert found is not None
    assert (found[0], found[1].key) == (b"here", key)
    assert quote(name) in objects.address(key)


def test_a_prefix_may_end_within_a_name(bucket: Bucket, objects: Objects) -> None:
    for name in ("ab/1", "abc/2", "b/3"):
        objects.put(bucket.prefix + name, b"", PLAIN, Absent())
    assert {head.key for head in objects.list(bucket.prefix + "ab")} == {bucket.prefix + "ab/1", bucket.prefix + "abc/2"}
    assert {head.key for head in objects.list(bucket.prefix + "ab/")} == {bucket.prefix + "ab/1"}


def test_more_than_a_page_is_listed_whole(bucket: Bucket, objects: Objects) -> None:
    names = {f"{bucket.prefix}many/{number:04}" for number in range(1050)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: objects.put(key, b"x", PLAIN, Absent()), sorted(names)))
    listed = list(objects.list(bucket.prefix + "many/"))
    assert len(listed) == len(names)
    assert {head.key for head in listed} == names
    assert {head.size for head in listed} == {1}
    assert all(abs(head.modified - datetime.now(UTC)) < timedelta(minutes=5) for head in listed)


@pytest.mark.parametrize("size", [0, 1, 8 * MIB, 8 * MIB + 1, 21 * MIB + 17], ids=["empty", "one", "8MiB", "8MiB+1", "21MiB"])
def test_an_upload_comes_back_whole_with_its_headers(bucket: Bucket, objects: Objects, size: int) -> None:
    key = bucket.prefix + "blob"
    told: list[tuple[int, int]] = []
    objects.upload(key, pieces(size), size, BLOB, lambda done, total: told.append((done, total)))
    head = objects.head(key)
    assert head is not None
    assert (head.size, head.content_type, head.cache_control) == (size, BLOB.content_type, BLOB.cache_control)
    sent, back = hashlib.sha256(), hashlib.sha256()
    for piece in pieces(size):
        sent.update(piece)
    for piece in objects.stream(key, 0):
        assert len(piece) <= 4 * MIB
        back.update(piece)
    assert back.digest() == sent.digest()
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_stream_begins_where_it_is_told(bucket: Bucket, objects: Objects) -> None:
    key, body = bucket.prefix + "blob", os.urandom(100_000)
    objects.upload(key, [body], len(body), BLOB, silent)
    for start in (0, 1, 65_536, 99_999, 100_000, 100_001, 1_000_000):
        assert b"".join(objects.stream(key, start)) == body[start:], start


def test_a_stream_of_nothing_is_empty(bucket: Bucket, objects: Objects) -> None:
    objects.upload(bucket.prefix + "blob", [], 0, BLOB, silent)
    assert b"".join(objects.stream(bucket.prefix + "blob", 0)) == b""
    assert b"".join(objects.stream(bucket.prefix + "blob", 3)) == b""


@pytest.mark.parametrize("size", [5, 30 * MIB], ids=["small", "in parts"])
@pytest.mark.parametrize("error", [ValueError("mine"), FileNotFoundError("mine"), KeyboardInterrupt()], ids=repr)
def test_an_error_of_the_source_passes_through_and_nothing_appears(
    bucket: Bucket, objects: Objects, size: int, error: BaseException
) -> None:
    key = bucket.prefix + "blob"

    def broken() -> Iterator[bytes]:
        yield from pieces(size)
        raise error

    with pytest.raises(type(error)) as caught:
        objects.upload(key, broken(), size, BLOB, silent)
    assert caught.value is error
    assert objects.head(key) is None
    assert objects.abort_unfinished(bucket.prefix, datetime.now(UTC) + timedelta(hours=1)) == 0


@pytest.mark.parametrize("size", [5, 20 * MIB], ids=["small", "in parts"])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_source_of_another_size_is_refused_and_nothing_appears(
    bucket: Bucket, objects: Objects, size: int, change: int
) -> None:
    key = bucket.prefix + "blob"
    with pytest.raises(Exception, match=r"bytes"):
        objects.upload(key, pieces(size + change), size, BLOB, silent)
    assert objects.head(key) is None


def test_uploads_at_once_do_not_mix(bucket: Bucket, objects: Objects) -> None:
    size = 9 * MIB

    def send(number: int) -> str:
        objects.upload(f"{bucket.prefix}blob/{number}", pieces(size, number), size, BLOB, silent)
        return hashlib.sha256(b"".join(objects.stream(f"{bucket.prefix}blob/{number}", 0))).hexdigest()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(send, range(4)))
    assert found == [hashlib.sha256(b"".join(pieces(size, number))).hexdigest() for number in range(4)]


def test_of_many_creators_one_wins(bucket: Bucket, objects: Objects) -> None:
    def create(writer: int) -> bool:
        try:
            objects.put(bucket.prefix + "raced", str(writer).encode(), PLAIN, Absent())
        except RefusedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(24)))
    assert sum(won) == 1
    found = objects.read(bucket.prefix + "raced", 10)
    assert found is not None
    assert found[0] == str(won.index(True)).encode()


def test_a_signed_address_reads_and_holds_no_longer_than_it_says(bucket: Bucket, objects: Objects) -> None:
    key = bucket.prefix + "blob/1.0.0+7"
    objects.upload(key, [b"signed"], 6, BLOB, silent)
    if not bucket.environ:
        # A bucket that asks for no identity has nobody to sign as.
        with pytest.raises(UnsupportedError, match="cannot sign"):
            objects.sign(key, timedelta(minutes=5))
        return
    address = objects.sign(key, timedelta(minutes=5))
    answer = httpx.get(address)
    assert (answer.status_code, answer.content) == (200, b"signed")
    assert unquote(address.partition("?")[0]) == unquote(objects.address(key))


def test_the_bucket_is_named_without_a_secret(bucket: Bucket, objects: Objects) -> None:
    shown = objects.where + repr(objects)
    assert bucket.url.partition("/test/")[0] in shown
    for name, value in bucket.environ.items():
        if "KEY" in name or "SECRET" in name:
            assert value not in shown
