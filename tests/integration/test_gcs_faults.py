"""What becomes of each failure between us and Google: at the wire, with a real server behind it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import os
import socket
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from otagate.errors import AccessError, UnavailableError
from otagate.identity.interface import Bearer
from otagate.model import Digest
from otagate.store.cloud import cloud_store
from otagate.store.gcs import open_objects
from otagate.store.gcs_objects import GoogleObjects
from otagate.store.gcs_wire import Wire
from otagate.store.interface import Store
from otagate.store.jsondoc import read_json, write_json
from otagate.store.objects import (
    Absent,
    BrokenRequestError,
    DeniedError,
    Headers,
    ObjectError,
    Objects,
    RefusedError,
    TransientError,
    Unchanged,
)
from otagate.store.url import parse_bucket_url
from support.servers import fake_gcs
from support.servers.meddling_proxy import Answer, Lose, Proxy, Refuse, meddling
from support.servers.wire import answering

pytestmark = pytest.mark.integration

JSON = Headers("application/json", "no-cache")
MIB = 1024 * 1024
LARGE = 17 * MIB
TOKEN = "ya29.not-for-any-eye"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with meddling(fake_gcs.shared()) as proxy:
        yield proxy


@pytest.fixture
def objects(proxy: Proxy) -> Objects:
    bucket = fake_gcs.new_bucket(fake_gcs.shared())
    return open_objects(parse_bucket_url(f"gs://{bucket}?endpoint={proxy.base}"), {})


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def store(objects: Objects, waits: list[float]) -> Store:
    return cloud_store("gs://bucket", objects, "", sleep=waits.append)


def no_progress(_done: int, _total: int) -> None:
    pass


OPERATIONS: dict[str, tuple[Callable[[Objects], object], str]] = {
    "head": (lambda objects: objects.head("k"), "storage.objects.get"),
    "read": (lambda objects: objects.read("k", 9), "storage.objects.get"),
    "stream": (lambda objects: list(objects.stream("k", 0)), "storage.objects.get"),
    "stream on": (lambda objects: list(objects.stream("k", 1)), "storage.objects.get"),
    "create": (lambda objects: objects.put("k", b"", JSON, Absent()), "storage.objects.create"),
    "replace": (lambda objects: objects.put("k", b"", JSON, Unchanged("7")), "storage.objects.create"),
    "upload": (lambda objects: objects.upload("k", [b"abc"], 3, JSON, no_progress), "storage.objects.create"),
    "large upload": (lambda objects: objects.upload("k", [bytes(LARGE)], LARGE, JSON, no_progress), "storage.objects.create"),
    "delete": (lambda objects: objects.delete("k"), "storage.objects.delete"),
    "list": (lambda objects: list(objects.list("")), "storage.objects.list"),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_told_with_when_to_come_back(objects: Objects, proxy: Proxy, operation: str, status: int) -> None:
    proxy.meddle = lambda _method, _path: Answer(status, b"try later", {"Retry-After": "7"})
    with pytest.raises(TransientError, match=f"{status} try later") as caught:
        OPERATIONS[operation][0](objects)
    assert (caught.value.retry_after, caught.value.status) == (7.0, status)
    assert len(proxy.seen) == 1  # repeating is cloud.py's


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_answer_passes(objects: Objects, proxy: Proxy, operation: str) -> None:
    proxy.meddle = lambda _method, _path: Lose()
    with pytest.raises(TransientError, match="no answer") as caught:
        OPERATIONS[operation][0](objects)
    assert "upload_id" not in str(caught.value)
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nobody_there_passes(operation: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        objects = open_objects(parse_bucket_url(f"gs://acme-updates?endpoint={endpoint}"), {})
        with pytest.raises(TransientError, match=r"no answer: .*Connection refused"):
            OPERATIONS[operation][0](objects)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_permission_and_refused_credentials_name_none(
    objects: Objects, proxy: Proxy, operation: str, status: int
) -> None:
    proxy.meddle = lambda _method, _path: Answer(status, b"")
    with pytest.raises(DeniedError) as caught:
        OPERATIONS[operation][0](objects)
    is_unknown = status == 401
    assert caught.value.of_credentials == is_unknown
    assert caught.value.permission == ("" if is_unknown else OPERATIONS[operation][1])
    assert len(proxy.seen) == 1


def google_error(status: int, message: str, reason: str) -> Answer:
    body = {"error": {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}}
    return Answer(status, json.dumps(body).encode())


def test_googles_own_words_about_a_permission_win(objects: Objects, proxy: Proxy, store: Store, waits: list[float]) -> None:
    message = (
        "ota@acme.iam.gserviceaccount.com does not have storage.objects.delete access to the Google Cloud Storage object. "
        "Permission 'storage.objects.delete' denied on resource (or it may not exist)."
    )
    proxy.meddle = lambda _method, _path: google_error(403, message, "forbidden")
    with pytest.raises(DeniedError) as caught:
        objects.put("k", b"", JSON, Unchanged("7"))
    assert caught.value.permission == "storage.objects.delete"
    with pytest.raises(AccessError, match=r"grant storage\.objects\.delete"):
        store.documents.replace("k", b"", "7")
    assert waits == []


def test_a_limit_that_says_403_passes(objects: Objects, proxy: Proxy) -> None:
    proxy.meddle = lambda _method, _path: google_error(403, "slow\ndown\x1b[31m", "rateLimitExceeded")
    with pytest.raises(TransientError) as caught:
        objects.head("k")
    assert caught.value.status == 403
    assert caught.value.reason == "403 slow\\x0adown\\x1b[31m"


@pytest.mark.parametrize("status", [409, 412])
def test_a_condition_that_does_not_hold(objects: Objects, proxy: Proxy, status: int) -> None:
    proxy.meddle = lambda _method, _path: google_error(status, "At least one of the pre-conditions did not hold.", "x")
    with pytest.raises(RefusedError, match=f"{status} At least one"):
        objects.put("k", b"", JSON, Absent())


@pytest.mark.parametrize("answer", [Answer(400, b"bad"), Answer(302, b"", {"Location": "http://127.0.0.1:9/"})])
@pytest.mark.parametrize("operation", ["read", "stream", "create", "upload"])
def test_what_is_wrong_stays_wrong(objects: Objects, proxy: Proxy, operation: str, answer: Answer) -> None:
    proxy.meddle = lambda _method, _path: answer
    with pytest.raises(BrokenRequestError, match=str(answer.status)):
        OPERATIONS[operation][0](objects)
    assert len(proxy.seen) == 1


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("head", Answer(200, b"{")),
        ("head", Answer(204)),
        ("head", Answer(200, b'{"generation":"7"}')),
        ("list", Answer(200, b"<html>")),
        ("create", Answer(200, b"no json")),
        ("create", Answer(200, b"{}")),
        ("create", Answer(200, b"[]")),
        ("upload", Answer(200, b"")),
        ("read", Answer(200, b"x")),
        ("read", Answer(200, b"x", {"x-goog-generation": "7"})),
        ("stream on", Answer(200, b"from the beginning")),
        ("stream on", Answer(206, b"x", {"Content-Range": "bytes 5-5/9"})),
    ],
)
def test_an_answer_that_makes_no_sense(objects: Objects, proxy: Proxy, operation: str, answer: Answer) -> None:
    proxy.meddle = lambda _method, _path: answer
    with pytest.raises((TransientError, BrokenRequestError)):
        OPERATIONS[operation][0](objects)


@pytest.mark.parametrize("after", [0, 1, 3 * MIB + 7])
def test_a_download_that_breaks_goes_on_where_it_broke(
    objects: Objects, proxy: Proxy, store: Store, tmp_path: Path, after: int
) -> None:
    data = os.urandom(5 * MIB)
    source = tmp_path / "blob"
    source.write_bytes(data)
    digest = Digest.of(data)
    store.blobs.put(digest, source)
    proxy.once("GET", "alt=media", Lose(after=after))
    with pytest.raises(TransientError):
        list(objects.stream(f"blobs/sha256/{digest.hex[:2]}/{digest.hex}", 0))
    proxy.once("GET", "alt=media", Lose(after=after))
    with store.blobs.open(digest) as stream:
        assert hashlib.sha256(stream.read()).hexdigest() == digest.hex
    ranges = [seen.headers.get("range") for seen in proxy.seen if "alt=media" in seen.path]
    assert len(ranges) == 3
    assert (ranges[2] is None) == (after == 0)


@pytest.mark.parametrize("what", [Refuse(5 * MIB), Refuse(0), Lose(), Answer(503), Answer(404), Answer(410)])
def test_an_upload_that_breaks_leaves_nothing_and_is_done_again(  # noqa: PLR0917 - fixtures
    objects: Objects, proxy: Proxy, store: Store, waits: list[float], tmp_path: Path, what: Answer | Lose | Refuse
) -> None:
    proxy.once("PUT", "upload_id", what)
    with pytest.raises(TransientError) as caught:
        objects.upload("k", [bytes(LARGE)], LARGE, JSON, no_progress)
    assert "upload_id" not in repr(caught.value)
    assert objects.head("k") is None
    assert [seen.method for seen in proxy.seen].count("DELETE") == 1
    source = tmp_path / "blob"
    source.write_bytes(bytes(LARGE))
    digest = Digest.of(bytes(LARGE))
    proxy.once("PUT", "upload_id", what)
    assert store.blobs.put(digest, source) is True
    assert store.blobs.size(digest) == LARGE
    assert len(waits) == 1


def test_an_upload_that_cannot_even_be_cancelled_tells_of_its_own_failure(objects: Objects, proxy: Proxy) -> None:
    proxy.meddle = lambda method, _path: Answer(503) if method == "DELETE" else Answer(400) if method == "PUT" else None
    with pytest.raises(BrokenRequestError, match="400"):
        objects.upload("k", [bytes(LARGE)], LARGE, JSON, no_progress)


def test_of_a_chunk_that_was_kept_in_part_the_rest_is_sent(objects: Objects, proxy: Proxy) -> None:
    data = os.urandom(LARGE)
    kept = 3 * 256 * 1024
    answers = iter(
        [
            Answer(308, b"", {"Range": f"bytes=0-{kept - 1}"}),
            Answer(308, b"", {"Range": f"bytes=0-{8 * MIB - 1}"}),
            Answer(308, b"", {"Range": f"bytes=0-{16 * MIB - 1}"}),
            Answer(200, b'{"generation":"7"}'),
        ]
    )
    proxy.meddle = lambda method, _path: next(answers) if method == "PUT" else None
    told: list[int] = []
    objects.upload("k", [data], LARGE, JSON, lambda done, _total: told.append(done))
    sent = [seen for seen in proxy.seen if seen.method == "PUT"]
    assert [seen.headers["content-range"] for seen in sent] == [
        f"bytes 0-{8 * MIB - 1}/{LARGE}",
        f"bytes {kept}-{8 * MIB - 1}/{LARGE}",
        f"bytes {8 * MIB}-{16 * MIB - 1}/{LARGE}",
        f"bytes {16 * MIB}-{LARGE - 1}/{LARGE}",
    ]
    assert sent[1].body == data[kept : 8 * MIB]
    assert [seen.headers.get("x-goog-hash") for seen in sent[:3]] == [None] * 3
    assert sent[3].headers["x-goog-hash"] == "md5=" + base64.b64encode(hashlib.md5(data).digest()).decode()
    assert told == [8 * MIB, 16 * MIB, LARGE]


@pytest.mark.parametrize(
    "answers",
    [
        [Answer(308)],
        [Answer(308, b"", {"Range": "bytes=0-99999999"})],
        [Answer(308, b"", {"Range": f"bytes=0-{LARGE - 1}"})],
        [Answer(308, b"", {"Range": "garbage"})],
        [Answer(200, b'{"generation":"7"}')],
        [
            Answer(308, b"", {"Range": f"bytes=0-{8 * MIB - 1}"}),
            Answer(308, b"", {"Range": f"bytes=0-{16 * MIB - 1}"}),
            Answer(308, b"", {"Range": f"bytes=0-{LARGE - 1}"}),
        ],
    ],
)
def test_a_session_that_makes_no_sense_is_given_up(objects: Objects, proxy: Proxy, answers: list[Answer]) -> None:
    left = iter(answers)
    proxy.meddle = lambda method, _path: next(left) if method == "PUT" else None
    with pytest.raises(TransientError):
        objects.upload("k", [bytes(LARGE)], LARGE, JSON, no_progress)
    assert objects.head("k") is None
    assert next(left, None) is None


def test_other_bytes_than_the_sent_ones_are_taken_back(objects: Objects, proxy: Proxy) -> None:
    answers = iter(
        [
            Answer(308, b"", {"Range": f"bytes=0-{8 * MIB - 1}"}),
            Answer(200, b'{"generation":"7","md5Hash":"AAAAAA=="}'),
        ]
    )
    proxy.meddle = lambda method, _path: next(answers) if method == "PUT" else None
    with pytest.raises(TransientError, match="not the sent ones"):
        objects.upload("k", [bytes(8 * MIB), b"x"], 8 * MIB + 1, JSON, no_progress)
    assert any(seen.method == "DELETE" and "ifGenerationMatch=7" in seen.path for seen in proxy.seen)


def test_the_checksum_of_a_small_object_goes_with_it(objects: Objects, proxy: Proxy) -> None:
    objects.put("k", b"message digest", JSON, Absent())
    # The digest is of RFC 1321, A.5.
    assert base64.b64encode(bytes.fromhex("f96b697d7cb7938d525a2f31aaf161d0")) in proxy.seen[0].body


def test_a_swap_whose_answer_is_lost_is_known_as_ours(objects: Objects, proxy: Proxy, store: Store) -> None:
    first = write_json(store.documents, "d", "s/v1", {"n": 1}, None)
    proxy.once("POST", "uploadType=multipart", Lose())
    second = write_json(store.documents, "d", "s/v1", {"n": 2}, first)
    assert read_json(store.documents, "d", "s/v1") == second
    proxy.once("POST", "uploadType=multipart", Lose())
    created = write_json(store.documents, "e", "s/v1", {"n": 1}, None)
    assert read_json(store.documents, "e", "s/v1") == created
    assert objects.put("d", b"x", JSON, Unchanged(second.token)).isdigit()


def test_the_token_is_sent_each_time_and_shown_never(proxy: Proxy) -> None:
    bucket, tokens = fake_gcs.new_bucket(fake_gcs.shared()), iter(f"{TOKEN}{number}" for number in range(100))
    objects = GoogleObjects(Wire(lambda: Bearer(next(tokens))), proxy.base, bucket, "gs://b")
    objects.upload("k", [bytes(LARGE)], LARGE, JSON, no_progress)
    list(objects.stream("k", 0))
    list(objects.list(""))
    objects.head("k")
    assert [seen.headers["authorization"] for seen in proxy.seen] == [
        f"Bearer {TOKEN}{number}" for number in range(len(proxy.seen))
    ]
    proxy.meddle = lambda _method, _path: Answer(401, b"Invalid Credentials")
    for operation, _ in OPERATIONS.values():
        with pytest.raises(ObjectError) as caught:
            operation(objects)
        assert TOKEN not in f"{caught.value!r} {caught.value.__cause__!r} {objects!r} {vars(objects)!r}"


def test_an_identity_that_fails_says_so_itself(proxy: Proxy) -> None:
    def get() -> Bearer:
        raise UnavailableError("cannot exchange the CI's token", "sts.googleapis.com")

    objects = GoogleObjects(Wire(get), proxy.base, "acme-updates", "gs://b")
    for operation, _ in OPERATIONS.values():
        with pytest.raises(UnavailableError, match="cannot exchange"):
            operation(objects)
    assert proxy.seen == []


def said(answer: Answer, _method: str, _path: str) -> Answer:
    return answer


def test_an_answer_that_repeats_the_token_does_not_get_it_shown(proxy: Proxy) -> None:
    objects = GoogleObjects(Wire(lambda: Bearer(TOKEN)), proxy.base, "acme-updates", "gs://b")
    texts = (f"you sent Bearer {TOKEN}", json.dumps({"error": {"message": f"{TOKEN} is bad", "errors": [{"reason": TOKEN}]}}))
    for status, text in itertools.product((400, 401, 403, 404, 412, 429, 500), texts):
        proxy.meddle = partial(said, Answer(status, text.encode()))
        for operation, _ in OPERATIONS.values():
            with contextlib.suppress(ObjectError):
                assert TOKEN not in repr(operation(objects))
            with pytest.raises(ObjectError) as caught:
                objects.put("k", b"", JSON, Absent())
            assert TOKEN not in repr(caught.value)


def test_an_answer_that_repeats_the_address_of_an_upload_does_not_get_it_shown(objects: Objects, proxy: Proxy) -> None:
    def meddle(method: str, path: str) -> Answer | None:
        upload = parse_qs(urlsplit(path).query).get("upload_id", [""])[0]
        return Answer(400, f"{method} {path} {upload}".encode()) if upload else None

    proxy.meddle = meddle
    with pytest.raises(ObjectError) as caught:
        objects.upload("k", [bytes(LARGE)], LARGE, JSON, no_progress)
    assert proxy.seen[-1].path.partition("upload_id=")[2][:8]
    assert proxy.seen[-1].path.partition("upload_id=")[2].partition("&")[0] not in repr(caught.value)


@pytest.mark.parametrize("token", ["ya29.\nX-Evil: 1", "ya29.\r", "ya29 \x7f"])
def test_a_token_that_cannot_be_sent_is_not_shown(token: str, proxy: Proxy) -> None:
    objects = GoogleObjects(Wire(lambda: Bearer(token)), proxy.base, "acme-updates", "gs://b")
    with pytest.raises(ObjectError) as caught:
        objects.head("k")
    assert "ya29" not in repr(caught.value)


ODD = {
    "a token that repeats": (b'{"items":[],"nextPageToken":"again"}', BrokenRequestError),
    "items that are none": (b'{"items":{"a":1}}', BrokenRequestError),
    "an item that is none": (b'{"items":["a"]}', TransientError),
    "a date beyond the calendar": (
        b'{"items":[{"name":"a","size":"1","generation":"1","updated":"0001-01-01T00:00:00+14:00"}]}',
        TransientError,
    ),
    "nesting without end": (b"[" * 100_000, TransientError),
    "too much": (b" " * (17 * MIB), TransientError),
}


@pytest.mark.parametrize("name", ODD)
def test_a_listing_that_is_none_is_an_error_of_ours(name: str, objects: Objects, proxy: Proxy) -> None:
    body, kind = ODD[name]
    proxy.meddle = lambda _method, _path: Answer(200, body)
    with pytest.raises(kind):
        list(objects.list(""))
    assert len(proxy.seen) <= 3


def test_a_page_that_is_sent_compressed_is_not_unpacked(objects: Objects, proxy: Proxy) -> None:
    bomb = zlib.compress(b" " * (64 * MIB))
    proxy.meddle = lambda _method, _path: Answer(200, bomb, {"Content-Encoding": "deflate"})
    tracemalloc.start()
    with pytest.raises(TransientError):
        list(objects.list(""))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MIB


@pytest.mark.parametrize("operation", ["read", "head", "list", "create", "stream"])
def test_an_answer_that_drips_ends(operation: str) -> None:
    def drip(handler: BaseHTTPRequestHandler, _: bytes) -> None:
        handler.send_response(200)
        for name, value in (("Content-Length", "1000000"), ("X-Goog-Generation", "1")):
            handler.send_header(name, value)
        handler.send_header("Last-Modified", "Sat, 21 Nov 2026 09:30:00 GMT")
        handler.end_headers()
        for _number in range(1000):
            handler.wfile.write(b" ")

    ticks = itertools.count(0.0, 1_000_000.0)  # past every limit with the first piece, which may hold all there is
    with answering(drip) as server:
        objects = GoogleObjects(Wire(None, monotonic=lambda: next(ticks)), server.base, "b", "gs://b")
        with pytest.raises(TransientError, match="does not end"):
            OPERATIONS[operation][0](objects) if operation != "read" else objects.read("k", 1 << 30)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_no_proxy_stands_between_us_and_this_machine(variable: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = fake_gcs.new_bucket(fake_gcs.shared())
    with answering(lambda handler, _: handler.send_error(502)) as elsewhere:
        monkeypatch.setenv(variable, elsewhere.base)
        objects = open_objects(parse_bucket_url(f"gs://{bucket}?endpoint={proxy.base}"), {})
        assert objects.head("k") is None
        assert elsewhere.requests == []
    assert len(proxy.seen) == 1
