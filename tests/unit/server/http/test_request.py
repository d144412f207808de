from __future__ import annotations

from typing import Any

import pytest

from otagate.server.http import request as module
from otagate.server.http.answer import Refused
from otagate.server.http.request import Request


def make(headers: list[tuple[bytes, bytes]] | None = None, **scope: Any) -> Request:
    async def receive() -> dict[str, Any]:
        raise AssertionError

    made = {"method": "GET", "path": "/", "scheme": "https", "headers": headers or [], **scope}
    return Request(made, receive)


@pytest.mark.parametrize(
    ("host", "base"),
    [
        (b"updates.example.com", "https://updates.example.com"),
        (b"Updates.Example.com:8443", "https://Updates.Example.com:8443"),
        (b"localhost:8000", "https://localhost:8000"),
        (b"192.0.2.1", "https://192.0.2.1"),
        (b"[2001:db8::1]:8000", "https://[2001:db8::1]:8000"),
        (b"my_host.internal.", "https://my_host.internal."),
    ],
)
def test_the_base_is_what_the_client_asked(host: bytes, base: str) -> None:
    assert make([(b"host", host)]).base() == base
    assert make([(b"host", host)]).base() == base  # remembered


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"evil.example/path",
        b"user@evil.example",
        b"a b",
        b"a\r\nx: y",
        b'"><script>',
        b"a..b",
        b"-a.example",
        b"example.com:",
        b"example.com:123456",
        b"[::1",
        "ex\u00e4mple.com".encode(),
        b"\xff",
        b"a" * 64,
        b".".join([b"a"] * 200),
        b"example.com?x=",
        b"example.com#",
    ],
)
def test_a_host_that_is_none_is_refused(host: bytes) -> None:
    with pytest.raises(Refused) as caught:
        make([(b"host", host)]).base()
    assert caught.value.answer.status == 400


def test_without_a_host_the_server_s_own_address_is_the_base() -> None:
    assert make(server=("127.0.0.1", 8000), scheme="http").base() == "http://127.0.0.1:8000"
    assert make(server=("localhost", None)).base() == "https://localhost"
    assert make().base() == "https://localhost"


def test_a_proxy_s_host_counts_only_when_the_transport_vetted_it() -> None:
    headers = [(b"host", b"inner:8000"), (b"x-forwarded-host", b"evil.example, updates.example.com")]
    assert make(headers).base() == "https://inner:8000"
    assert make(headers, state={"traffic": object()}).base() == "https://updates.example.com"
    assert make(headers[:1], state={"traffic": object()}).base() == "https://inner:8000"


def test_hosts_that_are_remembered_are_bounded() -> None:
    for at in range(3000):
        make([(b"host", b"h%d.example" % at)]).base()
    assert len(module._hosts) <= 1024


def test_headers_are_found() -> None:
    request = make(
        [(b"content-type", b"a"), (b"content-length", b"1"), (b"content-encoding", b"br"), (b"x", b"1"), (b"x", b"2")],
        query_string=b"a=1",
        client=("192.0.2.1", 5),
    )
    assert (request.content_type, request.content_length, request.content_encoding) == (b"a", b"1", b"br")
    assert request.header(b"x") == b"2"
    assert request.header(b"y") is None
    assert request.query == b"a=1"
    assert request.peer == "192.0.2.1"
    assert make().peer == ""
