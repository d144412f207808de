"""A service that sends a byte now and then, for ever, holds nobody up: neither with its headers nor with its body."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest

from otagate.errors import UnavailableError
from otagate.identity import _wire
from otagate.identity._outside import Outside
from otagate.store.invalidate._post import Request, Target, Wire, post
from support.metric_server import serving

pytestmark = pytest.mark.integration
SPAN_S = 0.2
Behaviour = Callable[[BaseHTTPRequestHandler], None]


def _drip(request: BaseHTTPRequestHandler, start: bytes) -> None:
    request.wfile.write(start)
    while True:
        request.wfile.write(b"x")
        time.sleep(0.02)


def headers(request: BaseHTTPRequestHandler) -> None:
    _drip(request, b"HTTP/1.1 200 OK\r\nX: ")


def body(request: BaseHTTPRequestHandler) -> None:
    _drip(request, b"HTTP/1.1 200 OK\r\n\r\n")


class Time:
    """Two tries: after the first wait the patience is over."""

    def __init__(self) -> None:
        self.at = 0.0

    def sleep(self, _: float) -> None:
        self.at += 40

    def monotonic(self) -> float:
        return self.at


@pytest.mark.parametrize("drips", [headers, body])
def test_a_token_service(drips: Behaviour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_wire, "_TRY_S", SPAN_S)
    clock = Time()
    with serving(lambda request, _: drips(request)) as base, pytest.raises(UnavailableError) as caught:
        _wire.send(_wire.Ask("get a token", "GET", base), Outside(sleep=clock.sleep, monotonic=clock.monotonic))
    assert caught.value.found is not None
    assert "Timeout: " in caught.value.found or caught.value.found == "an answer that is too large, or does not end"


@pytest.mark.parametrize("is_quiet", [False, True])
@pytest.mark.parametrize("drips", [headers, body])
def test_a_cdn(drips: Behaviour, is_quiet: bool) -> None:
    clock = Time()
    wire = Wire(clock.sleep, clock.monotonic, lambda: 1.0, timeout_s=SPAN_S)
    with serving(lambda request, _: drips(request)) as base:
        target = Target("a CDN", "x:Invalidate", is_quiet)
        if is_quiet and drips is body:
            # The status is known by then, and nothing more is wanted.
            assert post(lambda: Request(base, {}, b"{}"), target, wire).text == ""
            return
        with pytest.raises(UnavailableError) as caught:
            post(lambda: Request(base, {}, b"{}"), target, wire)
    assert caught.value.found == "no answer within 0.2s"
    assert clock.at >= 40
