"""What a CDN may answer, at the wire but without a socket; time and chance are the test's own."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from otagate._retry import Patience
from otagate.errors import AccessError, NotFoundError, UnavailableError, UsageError, VerificationError
from otagate.store.public import Bounds, Pace, PublicReader

BASE = "https://cdn.test/app"
KEY = "blobs/sha256/ab/abcd"
DATA = bytes(range(256)) * 8
TAG = '"one"'
Piece = bytes | Exception | float
MINUTES: list[Piece] = [b"x" * 100_000, 5.0]
DRIP: list[Piece] = [b"x", 1.0]


class Clock:
    """Time that passes only when somebody sleeps, or when a test lets it."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds

    def pace(self) -> Pace:
        return Pace(sleep=self.sleep, monotonic=lambda: self.at, jitter=lambda: 1.0)


class Body(httpx.SyncByteStream):
    """Pieces; an exception among them is raised, a number is time that passes."""

    def __init__(self, clock: Clock, *pieces: Piece) -> None:
        self.clock = clock
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            match piece:
                case Exception():
                    raise piece
                case float():
                    self.clock.at += piece
                case _:
                    yield piece


class Cdn:
    """Answers with one response after the other, the last one again and again, and keeps what it was asked."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.answers: list[Any] = []
        self.requests: list[httpx.Request] = []

    def will(self, *answers: Any) -> Cdn:
        self.answers = list(answers)
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, headers, content = answer
        if isinstance(content, bytes):
            headers, content = {"Content-Length": str(len(content)), **headers}, self.body(content)
        return httpx.Response(status, headers=headers, stream=content)

    def reader(self, **bounds: Any) -> PublicReader:
        transport = httpx.MockTransport(self)
        return PublicReader(BASE + "/", bounds=Bounds(**bounds), pace=self.clock.pace(), transport=transport)

    def body(self, *pieces: Piece) -> Body:
        return Body(self.clock, *pieces)


@pytest.fixture
def cdn() -> Cdn:
    return Cdn()


def whole(content: bytes = DATA, status: int = 200, **headers: str) -> tuple[int, dict[str, str], bytes]:
    return status, {"ETag": TAG, **{name.replace("_", "-"): value for name, value in headers.items()}}, content


def part(start: int, data: bytes = DATA, tag: str = TAG) -> tuple[int, dict[str, str], bytes]:
    return 206, {"ETag": tag, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:]


def read(reader: PublicReader, start: int = 0, limit: int | None = None) -> bytes:
    with reader.open(KEY, start, limit=limit) as stream:
        return stream.read()


def test_reads_what_a_device_gets(cdn: Cdn) -> None:
    reader = cdn.will(whole(Set_Cookie="a=b; Path=/")).reader()
    assert read(reader) == DATA
    assert read(reader) == DATA
    first, second = cdn.requests
    assert str(first.url) == f"{BASE}/{KEY}" == reader.url(KEY)
    assert first.headers["Accept-Encoding"] == "identity"
    assert not {"cookie", "authorization", "range", "cache-control"} & set(first.headers)
    assert "cookie" not in second.headers


def test_names_are_escaped() -> None:
    assert PublicReader(BASE).url("apps/a+b/ü?#.json") == f"{BASE}/apps/a%2Bb/%C3%BC%3F%23.json"


def test_reads_in_small_pieces_and_to_the_end(cdn: Cdn) -> None:
    reader = cdn.will((200, {"Content-Length": str(len(DATA))}, cdn.body(DATA[:100], b"", DATA[100:]))).reader()
    with reader.open(KEY) as stream:
        assert stream.readable()
        assert [stream.read(150), stream.read(), stream.read(1)] == [DATA[:150], DATA[150:], b""]


@pytest.mark.parametrize(
    ("start", "answer"),
    [
        (100, part(100)),
        (100, whole()),
        (len(DATA), (416, {"Content-Range": f"bytes */{len(DATA)}"}, b"no")),
        (len(DATA) + 5, (416, {}, b"no")),
        (len(DATA) + 5, whole()),
        (10, (206, {"Content-Range": f"bytes 10-{len(DATA) - 1}/*"}, DATA[10:])),
    ],
)
def test_reads_from_a_start_whether_ranges_are_known_or_not(cdn: Cdn, start: int, answer: Any) -> None:
    assert read(cdn.will(answer).reader(), start) == DATA[start:]
    assert cdn.requests[0].headers["Range"] == f"bytes={start}-"
    assert "if-range" not in cdn.requests[0].headers


@pytest.mark.parametrize("told", ["bytes 0-99/2048", "bytes 10-20/2048", "bytes */2048", "", "bananas"])
def test_another_part_is_refused(cdn: Cdn, told: str) -> None:
    with pytest.raises(UnavailableError, match="another part of the object"):
        read(cdn.will((206, {"Content-Range": told}, b"x" * 100)).reader(), 10)


def test_no_range_was_asked_for_but_part_comes(cdn: Cdn) -> None:
    with pytest.raises(UnavailableError, match="another part of the object"):
        read(cdn.will(part(5)).reader())


def test_not_satisfiable_although_it_is_there(cdn: Cdn) -> None:
    reader = cdn.will((416, {"Content-Range": f"bytes */{len(DATA)}"}, b""), part(9)).reader()
    assert read(reader, 9) == DATA[9:]
    with pytest.raises(UnavailableError, match="HTTP 416"):
        read(cdn.will((416, {}, b"")).reader())


@pytest.mark.parametrize("problem", [httpx.ReadError("reset"), httpx.RemoteProtocolError("cut"), httpx.ReadTimeout("slow")])
def test_what_breaks_is_continued(cdn: Cdn, problem: Exception) -> None:
    broken = (200, {"ETag": TAG, "Content-Length": str(len(DATA))}, cdn.body(DATA[:700], problem))
    assert read(cdn.will(broken, part(700)).reader()) == DATA
    assert cdn.requests[1].headers["Range"] == "bytes=700-"
    assert cdn.requests[1].headers["If-Range"] == TAG


@pytest.mark.parametrize("tag", ['W/"one"', None])
def test_a_weak_tag_is_no_condition_but_is_compared(cdn: Cdn, tag: str | None) -> None:
    headers = {"ETag": tag} if tag else {}
    broken = (200, headers, cdn.body(DATA[:700], httpx.ReadError("reset")))
    assert read(cdn.will(broken, (206, {**headers, "Content-Range": "bytes 700-2047/2048"}, DATA[700:])).reader()) == DATA
    assert "if-range" not in cdn.requests[1].headers


def test_what_breaks_is_continued_without_ranges(cdn: Cdn) -> None:
    broken = (200, {"ETag": TAG}, cdn.body(DATA[:700], httpx.ReadError("reset")))
    assert read(cdn.will(broken, whole()).reader()) == DATA


def test_an_early_end_is_a_break(cdn: Cdn) -> None:
    short = (200, {"ETag": TAG, "Content-Length": str(len(DATA))}, cdn.body(DATA[:700]))
    assert read(cdn.will(short, part(700)).reader()) == DATA


def test_a_break_at_the_very_end_is_none(cdn: Cdn) -> None:
    late = (200, {"Content-Length": str(len(DATA))}, cdn.body(DATA, httpx.ReadError("reset")))
    assert read(cdn.will(late).reader()) == DATA
    assert len(cdn.requests) == 1


@pytest.mark.parametrize(
    "then",
    [
        part(700, b"x" * len(DATA), '"two"'),
        whole(b"x" * len(DATA), ETag='"two"'),
        part(700, DATA + b"x"),
        (416, {"Content-Range": "bytes */300"}, b""),
    ],
)
def test_another_object_is_never_spliced(cdn: Cdn, then: Any) -> None:
    broken = (200, {"ETag": TAG, "Content-Length": str(len(DATA))}, cdn.body(DATA[:700], httpx.ReadError("reset")))
    with pytest.raises(UnavailableError, match="two different objects"):
        read(cdn.will(broken, then).reader())


def test_it_breaks_for_ever(cdn: Cdn) -> None:
    broken = (200, {"Content-Length": "9000"}, cdn.body(httpx.ReadError("reset by peer")))
    with pytest.raises(UnavailableError, match="does not come whole") as caught:
        read(cdn.will(broken).reader())
    assert caught.value.found == "reset by peer, after 0 bytes (9 breaks)"
    assert len(cdn.requests) == 9


def test_whoever_makes_progress_may_break_more_often(cdn: Cdn) -> None:
    piece, count = 1024 * 1024, 12
    data = b"z" * piece * count
    answers = [
        (
            206 if at else 200,
            {"Content-Range": f"bytes {at}-{len(data) - 1}/{len(data)}"},
            cdn.body(b"z" * piece, httpx.ReadError("x")),
        )
        for at in range(0, len(data), piece)
    ]
    answers[0] = (200, {"Content-Length": str(len(data))}, answers[0][2])
    assert read(cdn.will(*answers).reader()) == data


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_failures_that_pass_are_tried_again(cdn: Cdn, status: int) -> None:
    assert read(cdn.will((status, {"Retry-After": "7"}, b"busy"), whole()).reader()) == DATA
    assert cdn.clock.slept == [7.2]


def test_no_connection_is_tried_again_until_time_is_up(cdn: Cdn) -> None:
    with pytest.raises(UnavailableError, match="does not answer") as caught:
        read(cdn.will(httpx.ConnectError("refused")).reader())
    assert caught.value.found == "refused"
    assert 50 < cdn.clock.at < 60


def test_a_time_out_before_the_answer(cdn: Cdn) -> None:
    with pytest.raises(UnavailableError, match=r"no answer in time \(ConnectTimeout\)"):
        read(cdn.will(httpx.ConnectTimeout("")).reader(patience=Patience(total=1)))


@pytest.mark.parametrize("status", [404, 410])
def test_a_remembered_404_is_asked_past(cdn: Cdn, status: int) -> None:
    assert read(cdn.will((status, {}, b"no"), (status, {}, b"no"), whole()).reader()) == DATA
    controls = [request.headers.get("Cache-Control") for request in cdn.requests]
    assert controls == [None, "no-cache", "no-cache"]


def test_404_for_good(cdn: Cdn) -> None:
    reader = cdn.will((404, {"Age": "12", "X-Cache": "Hit from edge"}, b"no")).reader()
    with pytest.raises(NotFoundError, match="does not give the object") as caught:
        read(reader)
    assert caught.value.subject == f"{BASE}/{KEY}"
    assert caught.value.found == "HTTP 404 (Age 12s, X-Cache: Hit from edge)"
    assert "origin path" in (caught.value.remedy or "")
    assert 20 < cdn.clock.at < 31


@pytest.mark.parametrize("status", [401, 403])
def test_forbidden_stops_at_once(cdn: Cdn, status: int) -> None:
    with pytest.raises(AccessError, match="may not read") as caught:
        read(cdn.will((status, {"Age": "0", "X-Cache": "Miss"}, b"")).reader())
    assert "bucket's policy" in (caught.value.remedy or "")
    assert len(cdn.requests) == 1


@pytest.mark.parametrize("headers", [{"Age": "5"}, {"CF-Cache-Status": "HIT"}])
def test_a_remembered_403_is_asked_past(cdn: Cdn, headers: dict[str, str]) -> None:
    assert read(cdn.will((403, headers, b""), whole()).reader()) == DATA


@pytest.mark.parametrize("status", [204, 400, 304, 418])
def test_other_answers(cdn: Cdn, status: int) -> None:
    with pytest.raises(UnavailableError, match=f"HTTP {status}"):
        read(cdn.will((status, {}, b"")).reader())
    assert len(cdn.requests) == 1


@pytest.mark.parametrize("encoding", ["gzip", "br", "aws-chunked", "identity, gzip"])
def test_encoded_bytes_are_refused(cdn: Cdn, encoding: str) -> None:
    with pytest.raises(VerificationError, match="encoded bytes") as caught:
        read(cdn.will((200, {"Content-Encoding": encoding}, b"x")).reader())
    assert caught.value.found == encoding
    assert len(cdn.requests) == 1


def test_identity_is_no_encoding(cdn: Cdn) -> None:
    assert read(cdn.will((200, {"Content-Encoding": "identity"}, DATA)).reader()) == DATA


def test_too_large(cdn: Cdn) -> None:
    with pytest.raises(VerificationError, match="too large") as caught:
        read(cdn.will(whole()).reader(), limit=100)
    assert caught.value.found == "2048 bytes"
    endless: Any = (200, {}, cdn.body(*[b"x" * 60] * 100))
    with pytest.raises(VerificationError, match="too large"):
        read(cdn.will(endless).reader(size=100))
    assert read(cdn.will(whole()).reader(), limit=2048) == DATA


def test_too_slow(cdn: Cdn) -> None:
    drip: Any = (200, {}, cdn.body(*DRIP * 100))
    with pytest.raises(UnavailableError, match="1 bytes/s"):
        read(cdn.will(drip).reader())
    assert 29 < cdn.clock.at < 33


def test_too_long_in_all(cdn: Cdn) -> None:
    steady: Any = (200, {}, cdn.body(*MINUTES * 100))
    with pytest.raises(UnavailableError, match=r"bytes in \d+s"):
        read(cdn.will(steady).reader(total=100.0, size=10**9))
    broken: Any = (200, {}, cdn.body(200.0, httpx.ReadError("x")))
    with pytest.raises(UnavailableError, match="1 breaks"):
        read(cdn.will(broken).reader(total=100.0))


def test_a_slow_reader_is_not_a_slow_cdn(cdn: Cdn) -> None:
    with cdn.will((200, {}, cdn.body(*[b"x" * 300_000] * 5))).reader().open(KEY) as stream:
        total = 0
        while piece := stream.read(300_000):
            cdn.clock.at += 1000
            total += len(piece)
    assert total == 1_500_000


def test_redirects(cdn: Cdn) -> None:
    to = (302, {"Location": "https://other.test/x", "Set-Cookie": "a=b"}, b"")
    assert read(cdn.will(to, to, to, whole()).reader(), 0) == DATA
    with pytest.raises(UnavailableError, match="more than 3 redirects"):
        read(cdn.will(to).reader())


@pytest.mark.parametrize("target", ["http://other.test/x", "http://127.0.0.1/x", "file:///etc/passwd", "https://a:port/x"])
def test_refused_redirects(cdn: Cdn, target: str) -> None:
    with pytest.raises(UnavailableError, match="leads elsewhere") as caught:
        read(cdn.will((301, {"Location": target}, b"")).reader())
    assert "a redirect to" in (caught.value.found or "")
    assert len(cdn.requests) == 1


def test_redirects_keep_the_range(cdn: Cdn) -> None:
    assert read(cdn.will((307, {"Location": "/y"}, b""), part(5)).reader(), 5) == DATA[5:]
    assert cdn.requests[1].headers["Range"] == "bytes=5-"


def caused(cause: Exception) -> httpx.ConnectError:
    error = httpx.ConnectError("failed")
    error.__cause__ = cause
    return error


def test_a_wrong_certificate_is_said_plainly(cdn: Cdn) -> None:
    problem = ssl.SSLCertVerificationError(1, "certificate verify failed")
    problem.verify_message = "certificate has expired"
    with pytest.raises(UnavailableError, match="devices refuse it, too") as caught:
        read(cdn.will(caused(problem)).reader())
    assert caught.value.found == "certificate has expired"
    assert len(cdn.requests) == 1


def test_no_such_host(cdn: Cdn) -> None:
    with pytest.raises(UnavailableError, match="no such host"):
        read(cdn.will(caused(socket.gaierror(socket.EAI_NONAME, "unknown"))).reader())
    with pytest.raises(UnavailableError, match="does not answer"):
        read(cdn.will(caused(socket.gaierror(socket.EAI_AGAIN, "later"))).reader())


def test_an_error_of_the_caller_passes_through(cdn: Cdn) -> None:
    reader = cdn.will(whole()).reader()
    with pytest.raises(ZeroDivisionError), reader.open(KEY):
        _ = 1 / 0
    assert read(reader) == DATA


def test_get(cdn: Cdn) -> None:
    body, headers = cdn.will(whole(b"{}", Cache_Control="no-cache")).reader().get("apps/a/channels/b.json", 100)
    assert (body, headers["cache-control"]) == (b"{}", "no-cache")
    with pytest.raises(VerificationError, match="too large"):
        cdn.reader().get("x", 1)


def test_get_asks_once_when_told_so(cdn: Cdn) -> None:
    for answer, error in (((404, {}, b""), NotFoundError), ((503, {}, b""), UnavailableError)):
        with pytest.raises(error):
            cdn.will(answer).reader().get(KEY, 100, within=0)
    assert len(cdn.requests) == 2
    assert cdn.clock.slept == []


IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("is_pointer", "headers", "problem"),
    [
        (False, {"Cache-Control": IMMUTABLE}, ""),
        (False, {"Cache-Control": "no-cache"}, "may not keep it"),
        (False, {"Cache-Control": "private, max-age=31536000"}, "may not keep it"),
        (False, {"Cache-Control": "max-age=3600"}, "for a short time only"),
        (False, {}, "for a short time only"),
        (False, {"Cache-Control": IMMUTABLE, "Content-Encoding": "gzip"}, "compressed"),
        (False, {"Cache-Control": IMMUTABLE, "Content-Type": "text/html"}, "HTML"),
        (False, {"Cache-Control": IMMUTABLE, "Set-Cookie": "a=b"}, "cookie"),
        (True, {"Cache-Control": "no-cache"}, ""),
        (True, {"Cache-Control": "max-age=0, must-revalidate"}, ""),
        (True, {"Cache-Control": "no-cache", "Content-Encoding": "gzip"}, ""),
        (True, {"Cache-Control": "max-age=0, s-maxage=86400"}, "old pointer"),
        (True, {"Cache-Control": "public"}, "old pointer"),
    ],
)
def test_headers_are_checked(cdn: Cdn, is_pointer: bool, headers: dict[str, str], problem: str) -> None:
    served = (
        cdn.will((200, {**headers, "Age": "3", "X-Cache": "HIT"}, cdn.body(b"x")))
        .reader()
        .check_headers(KEY, is_pointer=is_pointer)
    )
    assert [problem in text for text in served.problems] == ([True] if problem else [])
    assert served.url == f"{BASE}/{KEY}"
    assert served.cache == "Age 3s, X-Cache: HIT"
    assert served.cache_control == headers.get("Cache-Control")
    assert served.content_type == headers.get("Content-Type")
    assert served.content_encoding == headers.get("Content-Encoding")
    assert cdn.requests[0].headers["Accept-Encoding"] == "gzip, br"


def test_unreadable_authorities(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(UsageError, match="authorities cannot be read"):
        read(PublicReader(BASE))


def test_closing_ends_idle_lanes_and_later_ones(cdn: Cdn) -> None:
    reader = cdn.will(whole()).reader()
    read(reader)
    assert len(reader._idle) == 1
    with reader.open(KEY) as stream:
        reader.close()
        assert stream.read() == DATA
    assert reader._idle == []


def test_many_at_once_keep_few_lanes(cdn: Cdn) -> None:
    reader = cdn.will(whole()).reader()
    streams = [reader.open(KEY) for _ in range(20)]
    for stream in streams:
        stream.__exit__(None, None, None)
    assert len(reader._idle) == 16
