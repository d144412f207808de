from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from otagate.fleet import http_transport
from otagate.fleet.http_transport import HttpTransport
from otagate.fleet.interface import NoAnswerError


def over(answer: Callable[[httpx.Request], httpx.Response]) -> HttpTransport:
    return HttpTransport(transport=httpx.MockTransport(answer))


def test_json_goes_out_and_comes_back() -> None:
    seen: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, str(request.url), json.loads(request.content), request.headers["content-type"]))
        return httpx.Response(429, json={"error": "x"}, headers={"Retry-After": "7"})

    transport = over(answer)
    got = transport.request("POST", "http://x/updates", {"a": True}, at=0.0)
    assert (got.status, got.body, got.headers["retry-after"]) == (429, {"error": "x"}, "7")
    assert seen == [("POST", "http://x/updates", {"a": True}, "application/json")]
    transport.close()


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_or_as_a_query(method: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.method == method
        return httpx.Response(200, json=dict(request.url.params))

    got = over(answer).request(method, "http://x/channel_self", {"is_prod": True, "n": 1, "c": "a b"}, at=0.0)
    assert got.body == {"is_prod": "true", "n": "1", "c": "a b"}
    assert over(answer).request(method, "http://x/channel_self", None, at=0.0).body == {}


@pytest.mark.parametrize("body", [b"", b"no json", b"[" * 100_000])
def test_what_is_no_json_is_nothing(body: bytes) -> None:
    assert over(lambda _request: httpx.Response(500, content=body)).request("POST", "http://x/stats", [], at=0.0).body is None


def test_downloads_may_begin_later() -> None:
    ranges: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        ranges.append(request.headers.get("range"))
        return httpx.Response(206 if ranges[-1] else 200, content=b"bytes")

    transport = over(answer)
    assert transport.download("http://x/b", at=0.0).body == b"bytes"
    assert transport.download("http://x/b", 3, at=0.0).status == 206
    assert ranges == [None, "bytes=3-"]


def test_redirects_are_followed() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return (
            httpx.Response(302, headers={"location": "http://y/z"})
            if request.url.host == "x"
            else httpx.Response(200, content=b"z")
        )

    assert over(answer).download("http://x/b", at=0.0).body == b"z"


def test_a_network_that_fails_is_no_answer() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no")

    with pytest.raises(NoAnswerError):
        over(answer).request("POST", "http://x/stats", {}, at=0.0)
    with pytest.raises(NoAnswerError):
        HttpTransport().download("http://[", at=0.0)


def test_an_endless_answer_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_transport, "MAX_ANSWER_BYTES", 10)
    with pytest.raises(NoAnswerError):
        over(lambda _request: httpx.Response(200, content=b"x" * 11)).request("POST", "http://x/stats", {}, at=0.0)
