from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from uvicorn.server import ServerState

from otagate.server.transport.limits import Limits, Traffic
from support.raw_http import Echo, Handler, Line, body_of, post, request, status

SMALL = replace(Limits(), pipeline=2, in_flight=2, buffered=1000)
CHUNKED = "Transfer-Encoding: chunked"


def on_a_line(*pieces: bytes, **options: Any) -> tuple[str, Line]:
    async def talk() -> tuple[str, Line]:
        line = Line(**options)
        return await line.say(*pieces), line

    return asyncio.run(talk())


@pytest.mark.parametrize(
    ("raw", "expected", "error"),
    [
        (request("POST", "/", "Content-Length: 3", CHUNKED, body=b"0\r\n\r\n"), 400, "bad_request"),
        (request("POST", "/", CHUNKED, "Content-Length: 3", body=b"0\r\n\r\n"), 400, "bad_request"),
        (request("POST", "/", "Content-Length: 3", "Content-Length: 3", body=b"abc"), 400, "bad_request"),
        (request("POST", "/", "Content-Length: 3", "Content-Length: 4", body=b"abc"), 400, "bad_request"),
        (request("POST", "/", "Content-Length: -1"), 400, "bad_request"),
        (request("POST", "/", "Content-Length: +1", body=b"a"), 400, "bad_request"),
        (request("POST", "/", "Content-Length: 99999999999999999999999"), 400, "bad_request"),
        (request("POST", "/", "Content-Length: 65537"), 413, "payload_too_large"),
        (request("POST", "/", f"Content-Length: {100 * 2**20}"), 413, "payload_too_large"),
        (request("POST", "/", CHUNKED, body=b"-1\r\na\r\n"), 400, "bad_request"),
        (request("POST", "/", CHUNKED, body=b"fffffffffffffffff\r\n"), 400, "bad_request"),
        (request("POST", "/", CHUNKED, body=b"10001\r\n" + b"a" * 65537), 413, "payload_too_large"),
        (request("POST", "/", CHUNKED, body=b"1\na\n0\n\n"), 400, "bad_request"),
        (request("POST", "/", CHUNKED, body=b"2\r\nabc\r\n0\r\n\r\n"), 400, "bad_request"),
        (request("POST", "/", "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501, "not_implemented"),
        (request("POST", "/", "Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 501, "not_implemented"),
        (request("POST", "/", "Content-Encoding: gzip", "Content-Length: 2", body=b"\x1f\x8b"), 415, "unsupported_media_type"),
        (request("GET", "/", "Expect: tea"), 417, "expectation_failed"),
        (request("GET", "/", "X: a\r\n folded"), 400, "bad_request"),
        (request("GET", "/", "X: a\0b"), 400, "bad_request"),
        (request("GET", "/", "X\0: a"), 400, "bad_request"),
        (request("GET", "/", "X : a"), 400, "bad_request"),
        (request("GET", "/", "X: a\rY: b"), 400, "bad_request"),
        (request("GET", "/\0"), 400, "bad_request"),
        (request("GET", "/\xff"), 400, "bad_request"),
        (request("GET", "no-slash"), 400, "bad_request"),
        (request("GET", "http://[/"), 400, "bad_request"),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bad_request"),
        (b"GET /\r\n\r\n", 505, "version_refused"),
        (request(version="2.0"), 505, "version_refused"),
        (request(version="1.3"), 400, "bad_request"),
        (request(host=""), 400, "bad_request"),
        (request("GET", "/", "Host: b"), 400, "bad_request"),
        (request("FOO"), 400, "bad_request"),
        (request("get"), 400, "bad_request"),
        (request("CONNECT", "a:443"), 405, "method_not_allowed"),
        (request("GET", "/", "Connection: Upgrade", "Upgrade: websocket"), 400, "upgrade_refused"),
        (request("GET", "/", "Upgrade: h2c"), 400, "upgrade_refused"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
        (request("GET", "/" + "a" * 8200), 431, "headers_too_large"),
        (request("GET", "/", "X: " + "a" * 8200), 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 2**20, 431, "headers_too_large"),
        (request("GET", "/", *["A: b"] * 101), 431, "headers_too_large"),
        (request("GET", "/", *["X-Forwarded-For: 192.0.2.7"] * 101), 431, "headers_too_large"),
        (request("POST", "/", CHUNKED, body=b"0\r\n" + b"A: b\r\n" * 101 + b"\r\n"), 431, "headers_too_large"),
        (bytes(range(256)), 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400, "bad_request"),
    ],
)
def test_what_is_refused(raw: bytes, expected: int, error: str) -> None:
    answer, line = on_a_line(raw)
    assert (status(answer), json.loads(body_of(answer))["error"]) == (expected, error)
    assert "connection: close" in answer
    assert line.wire.ended
    assert line.app.scopes == []
    assert line.traffic.refused[error] == 1
    assert line.traffic.buffered == 0


def test_tens_of_thousands_of_header_lines_in_one_piece_are_not_looked_at_one_by_one() -> None:
    answer, line = on_a_line(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 40_000)
    assert status(answer) == 431
    assert len(line.protocol.headers) == line.traffic.limits.headers


@pytest.mark.parametrize("by", [1, 7, 8192])
def test_pieces_of_any_size_make_the_same_request(by: int) -> None:
    raw = request("POST", "/stats?a=%20b", CHUNKED, body=b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n")
    answer, line = on_a_line(*[raw[at : at + by] for at in range(0, len(raw), by)])
    assert status(answer) == 200
    assert line.app.bodies == [b"hello world"]
    assert (line.app.scopes[0]["path"], line.app.scopes[0]["query_string"]) == ("/stats", b"a=%20b")
    assert all(name != b"trailer" for name, _ in line.app.scopes[0]["headers"])


@pytest.mark.parametrize("size", [0, 1, 65_536])
def test_a_body_up_to_the_bound_is_taken(size: int) -> None:
    answer, line = on_a_line(post(b"a" * size))
    assert json.loads(body_of(answer)) == {"path": "/", "size": size}
    assert line.traffic.buffered == 0


def test_a_long_head_with_a_body_in_one_piece_is_measured_without_the_body() -> None:
    answer, _ = on_a_line(post(b"a" * 9000, "X: " + "b" * 8000))
    assert status(answer) == 200
    answer, _ = on_a_line(post(b"a" * 9000, "X: " + "b" * 8190))
    assert status(answer) == 431


def test_framing_of_chunks_is_bounded_too() -> None:
    answer, line = on_a_line(request("POST", "/", CHUNKED), *[b"1;" + b"x" * 1000 + b"\r\na\r\n"] * 300)
    assert status(answer) == 413
    assert line.traffic.buffered == 0


def test_bodies_of_all_connections_together_are_bounded() -> None:
    answer, line = on_a_line(request("POST", "/", "Content-Length: 2000"), b"a" * 1001, limits=SMALL)
    assert (status(answer), json.loads(body_of(answer))["error"]) == (503, "buffers_full")
    assert "retry-after: 2" in answer
    assert line.traffic.buffered == 0


def test_a_head_request_is_refused_without_a_body() -> None:
    answer, _ = on_a_line(request("HEAD", "/", "Expect: tea"))
    assert status(answer) == 417
    assert body_of(answer) == ""


def test_continue_is_said_when_the_body_is_waited_for_and_only_then() -> None:
    async def talk() -> None:
        line = Line()
        assert (
            await line.say(request("POST", "/", "Content-Length: 2", "Expect: 100-continue")) == "HTTP/1.1 100 Continue\r\n\r\n"
        )
        assert status(await line.say(b"{}")) == 200
        answer = await line.say(request("POST", "/", "Content-Length: 100000", "Expect: 100-continue"))
        assert status(answer) == 413

    asyncio.run(talk())


def test_continue_is_not_said_into_another_answer() -> None:
    async def talk() -> None:
        line = Line(Echo(gate=asyncio.Event()))
        assert await line.say(request(), request("POST", "/", "Content-Length: 2", "Expect: 100-continue")) == ""

    asyncio.run(talk())


def test_pipelined_requests_are_answered_in_order_and_then_the_line_rests() -> None:
    answer, line = on_a_line(b"".join(request("GET", f"/{number}") for number in range(9)))
    assert [scope["path"] for scope in line.app.scopes] == [f"/{number}" for number in range(9)]
    assert answer.count("HTTP/1.1 200") == 9
    assert not line.wire.closed
    assert not line.wire.paused


def test_more_than_may_wait_ends_the_connection_after_those_that_may() -> None:
    answer, line = on_a_line(request() * 1000)
    assert answer.count("HTTP/1.1 200") == 9
    assert answer.count("connection: close") == 1
    assert "429" not in answer
    assert line.wire.closed
    assert line.traffic.refused["pipeline_full"] == 1


def test_reading_stops_while_requests_wait() -> None:
    async def talk() -> None:
        gate = asyncio.Event()
        line = Line(Echo(gate=gate))
        await line.say(request() * 2 + b"GET / HT")
        assert vars(line.wire)["paused"]
        assert await line.after(6) == ""  # it is not the client that is slow
        gate.set()
        await line.settle()
        assert line.heard().count("HTTP/1.1 200") == 2
        assert not line.wire.paused
        assert status(await line.after(6)) == 408

    asyncio.run(talk())


def test_garbage_behind_a_request_does_not_take_its_answer_away() -> None:
    async def talk() -> None:
        gate = asyncio.Event()
        line = Line(Echo(gate=gate))
        assert await line.say(request() + b"\0\0\0") == ""
        assert await line.say(b"more") == ""
        gate.set()
        await line.settle()
        answer = line.heard()
        assert answer.count("HTTP/1.1") == 1
        assert status(answer) == 200
        assert "connection: close" in answer
        assert line.wire.closed

    asyncio.run(talk())


@pytest.mark.parametrize(
    "raw", [request("GET", "/", "Connection: close"), request(version="1.0"), request(version="1.0", host="")]
)
def test_the_last_request_is_the_last(raw: bytes) -> None:
    answer, line = on_a_line(raw + request())
    assert answer.count("HTTP/1.1 200") == 1
    assert "connection: close" in answer
    assert line.wire.closed


def test_too_many_requests_in_flight_are_told_at_once_and_may_come_again() -> None:
    async def talk() -> None:
        gate, state = asyncio.Event(), ServerState()
        echo, traffic = Echo(gate=gate), Traffic(SMALL, now=100.0)
        lines = [Line(echo, traffic=traffic, state=state) for _ in range(3)]
        answers = [await line.say(request()) for line in lines]
        assert [status(answer) for answer in answers] == [0, 0, 503]
        assert "retry-after: 2" in answers[2]
        assert "connection: close" not in answers[2]
        assert body_of(await lines[2].say(request("HEAD"))) == ""
        gate.set()
        await lines[0].settle()
        assert [status(line.heard()) for line in lines[:2]] == [200, 200]
        assert status(await lines[2].say(request())) == 200
        assert traffic.refused["busy"] == 2
        assert traffic.in_flight == 0

    asyncio.run(talk())


def test_handlers_whose_clients_are_gone_are_bounded_too() -> None:
    async def talk() -> list[int]:
        state, traffic = ServerState(), Traffic(SMALL, now=100.0)
        echo, answers = Echo(gate=asyncio.Event()), []
        for _ in range(9):
            line = Line(echo, traffic=traffic, state=state)
            answers.append(status(await line.say(request())))
            line.protocol.connection_lost(None)
        assert traffic.in_flight == 0
        return answers

    assert asyncio.run(talk()) == [0] * 8 + [503]


def test_a_busy_server_closes_a_connection_that_was_to_be_closed() -> None:
    answer, line = on_a_line(request("GET", "/", "Connection: close"), limits=replace(Limits(), in_flight=0))
    assert status(answer) == 503
    assert "connection: close" in answer
    assert line.wire.closed


@pytest.mark.parametrize(
    ("said", "seconds", "expected"),
    [
        (b"", 4.9, (0, False)),
        (b"", 5.1, (0, True)),
        (b"GET / HT", 4.9, (0, False)),
        (b"GET / HT", 5.1, (408, False)),
        (b"\r\n", 5.1, (408, False)),
        (request("POST", "/", "Content-Length: 9"), 9.9, (0, False)),
        (request("POST", "/", "Content-Length: 9"), 10.1, (408, False)),
        (request("POST", "/", "Content-Length: 9999", body=b"a" * 2048), 11.9, (0, False)),
        (request("POST", "/", "Content-Length: 9999", body=b"a" * 2048), 12.1, (408, False)),
        (request(), 14.9, (200, False)),
        (request(), 15.1, (200, True)),
    ],
)
def test_every_wait_ends(said: bytes, seconds: float, expected: tuple[int, bool]) -> None:
    async def talk() -> tuple[int, bool]:
        line = Line()
        answer = await line.say(*([said] if said else []))
        answer += await line.after(seconds)
        return status(answer), line.wire.closed

    assert asyncio.run(talk()) == expected


def test_a_dripping_head_is_not_waited_for_longer() -> None:
    async def talk() -> None:
        line = Line()
        answer = ""
        for drop in b"GET / HTTP/1.1\r\n":
            line.protocol.data_received(bytes([drop]))
            answer += await line.after(0.4)
        assert status(answer) == 408

    asyncio.run(talk())


def test_a_refused_client_may_read_why_for_a_while_and_then_is_cut() -> None:
    async def talk() -> None:
        line = Line()
        await line.say(b"nonsense\r\n\r\n")
        await line.say(b"a" * 1000)
        assert not line.wire.aborted
        line.protocol.check(asyncio.get_running_loop().time() + 3)
        assert line.wire.aborted

    asyncio.run(talk())


def test_a_refused_client_that_floods_is_cut() -> None:
    _, line = on_a_line(b"nonsense\r\n\r\n", *[bytes(2**16)] * 17)
    assert line.wire.aborted


def test_over_tls_a_refused_connection_is_closed() -> None:
    answer, line = on_a_line(b"nonsense\r\n\r\n", tls=True)
    assert status(answer) == 400
    assert (line.wire.closed, line.wire.ended) == (True, False)


async def stream(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    for piece in (b"ab", b"cd", b"ef"):
        await send({"type": "http.response.body", "body": piece, "more_body": piece != b"ef"})


def test_a_client_that_takes_nothing_is_dropped() -> None:
    async def talk() -> None:
        line = Line(stream)
        line.protocol.pause_writing()
        await line.say(request())
        await line.after(29)
        assert not vars(line.wire)["aborted"]
        line.protocol.resume_writing()
        assert body_of(await line.after(2)) == "abcdef"
        line.protocol.pause_writing()
        await line.after(31)
        assert line.wire.aborted
        assert line.traffic.refused["stalled"] == 1

    asyncio.run(talk())


def test_a_closing_connection_is_cut_when_the_client_does_not_take_the_rest() -> None:
    async def talk() -> None:
        line = Line()
        await line.say(request("GET", "/", "Connection: close"))
        assert line.wire.closed
        await line.after(1)
        await line.after(29)
        assert not line.wire.aborted
        await line.after(2)
        assert line.wire.aborted

    asyncio.run(talk())


def test_the_end_of_what_a_client_says_is_no_end_of_what_it_hears() -> None:
    async def talk() -> None:
        gate = asyncio.Event()
        line = Line(Echo(gate=gate))
        await line.say(request())
        assert line.protocol.eof_received() is True
        assert line.protocol.eof_received() is None
        gate.set()
        await line.settle()
        assert "connection: close" in line.heard()
        assert line.wire.closed
        assert Line().protocol.eof_received() is None

    asyncio.run(talk())


def test_a_handler_learns_that_the_client_is_gone_and_the_connection_is_counted_out_once() -> None:
    async def talk() -> None:
        seen: list[str] = []

        async def waits(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            seen.append((await receive())["type"])
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"late"})

        line = Line(waits)
        await line.say(request() * 2)
        assert line.traffic.connections == 1
        line.protocol.connection_lost(None)
        await line.settle()
        assert (seen, line.heard(), line.traffic.connections) == (["http.disconnect"], "", 0)
        assert line.traffic.in_flight == 0
        line.protocol.leave()
        assert line.traffic.connections == 0
        assert not line.state.tasks

    asyncio.run(talk())


def test_an_unfinished_body_is_forgotten_with_its_connection() -> None:
    async def talk() -> None:
        line = Line()
        await line.say(request("POST", "/", "Content-Length: 9"), b"abc")
        assert line.traffic.buffered == 3
        line.protocol.connection_lost(ConnectionResetError())
        assert line.traffic.buffered == 0

    asyncio.run(talk())


def test_draining_ends_an_idle_connection_soon_and_a_busy_one_after_its_answer() -> None:
    async def talk() -> None:
        gate = asyncio.Event()
        idle, busy, late = Line(), Line(Echo(gate=gate)), Line()
        await busy.say(request())
        for line in (idle, busy, late):
            line.traffic.is_draining = True
            line.protocol.shutdown()
        assert "connection: close" in await late.say(request())
        now = asyncio.get_running_loop().time()
        idle.protocol.check(now)
        assert idle.wire.closed == (now >= 100 + 5)
        idle.protocol.check(max(now, 100.0) + 6)
        assert idle.wire.closed
        gate.set()
        await busy.settle()
        assert "connection: close" in busy.heard()
        assert busy.wire.closed
        assert late.wire.closed

    asyncio.run(talk())


def test_only_a_trusted_proxy_is_believed() -> None:
    said = request(
        "GET", "/", "X-Forwarded-For: 198.51.100.7, 203.0.113.5", "X-Forwarded-Proto: HTTPS", "Forwarded: for=1.2.3.4"
    )
    _, line = on_a_line(said)
    scope = line.app.scopes[0]
    assert (scope["client"], scope["scheme"]) == (("192.0.2.1", 5555), "http")
    assert [name for name, _ in scope["headers"]] == [b"host"]
    _, line = on_a_line(said, proxies=("192.0.2.0/24",))
    scope = line.app.scopes[0]
    assert (scope["client"], scope["scheme"]) == (("203.0.113.5", 0), "https")
    assert (b"x-forwarded-for", b"198.51.100.7, 203.0.113.5") in scope["headers"]
    _, line = on_a_line(request("GET", "/", "X-Forwarded-Proto: ftp"), proxies=("192.0.2.1",))
    assert (line.app.scopes[0]["client"], line.app.scopes[0]["scheme"]) == (("192.0.2.1", 5555), "http")


def test_an_absolute_target_and_escapes_are_understood() -> None:
    _, line = on_a_line(request("OPTIONS", "http://x/%C3%A9?q"), request("TRACE", "*"))
    first, second = line.app.scopes
    assert (first["path"], first["raw_path"], first["query_string"], first["method"]) == ("/é", b"/%C3%A9", b"q", "OPTIONS")
    assert (second["path"], second["method"]) == ("*", "TRACE")
    assert first["state"]["traffic"] is line.traffic


async def fails_first(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("x")


async def fails_between(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    raise ValueError("x")


async def says_nothing(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def begins_only(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def forges(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"2"), (b"x", b"a\r\nset-cookie: b")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


@pytest.mark.parametrize("app", [fails_first, fails_between, says_nothing, begins_only])
def test_a_handler_that_fails_before_its_answer_is_out_is_a_500(app: Handler) -> None:
    answer, line = on_a_line(request(), app=app)
    assert status(answer) == 500
    assert answer.count("HTTP/1.1") == 1
    assert line.wire.closed


def test_a_forged_header_of_an_answer_never_leaves() -> None:
    answer, line = on_a_line(request(), app=forges)
    assert "set-cookie" not in answer
    assert line.wire.closed


async def fails_late(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"ab", "more_body": True})
    raise ValueError("x")


def test_an_answer_that_breaks_off_ends_the_connection() -> None:
    answer, line = on_a_line(request(), app=fails_late)
    assert body_of(answer) == "ab"
    assert line.wire.closed


async def closes(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"2"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


async def of_no_length(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def without_content(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize(
    ("app", "raw", "ending"),
    [
        (stream, request(), "date: Sun\r\ncontent-length: 6\r\n\r\nabcdef"),
        (stream, request("HEAD"), "date: Sun\r\ncontent-length: 6\r\n\r\n"),
        (closes, request(), "content-length: 2\r\nconnection: close\r\n\r\n{}"),
        (closes, request("HEAD"), "content-length: 2\r\nconnection: close\r\n\r\n"),
        (of_no_length, request(), "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
        (without_content, request(), "HTTP/1.1 204 No Content\r\ndate: Sun\r\n\r\n"),
    ],
)
def test_answers_of_every_form(app: Handler, raw: bytes, ending: str) -> None:
    answer, _ = on_a_line(raw, app=app)
    assert answer.endswith(ending)


def test_the_answer_of_one_piece_is_what_it_should_be() -> None:
    answer, line = on_a_line(request("HEAD", "/x"))
    assert answer == "HTTP/1.1 200 OK\r\ndate: Sun\r\ncontent-type: application/json\r\ncontent-length: 25\r\n\r\n"
    assert line.state.total_requests == 1


@pytest.mark.parametrize(
    ("target", "length", "expected"),
    [
        ("/stats", 512 * 1024, 200),
        ("/stats?a=b", 512 * 1024, 200),
        ("/stats", 512 * 1024 + 1, 413),
        ("/statsx", 64 * 1024 + 1, 413),
        ("/updates?/stats", 64 * 1024 + 1, 413),
        ("/updates", 64 * 1024, 200),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_only_events_may_be_long(target: str, length: int, expected: int, is_chunked: bool) -> None:
    body = b"x" * length
    if is_chunked:
        raw = request("POST", target, CHUNKED, body=b"%x\r\n%b\r\n0\r\n\r\n" % (length, body))
    else:
        raw = request("POST", target, f"Content-Length: {length}", body=body)
    said, _ = on_a_line(raw)
    assert status(said) == expected
