"""One question to a token service: tries, limits, and what is never shown."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from otagate.errors import UnavailableError, UsageError
from otagate.identity._wire import Ask, NobodyThereError, send
from support.identities import World, nobody


def in_turn(*answers: httpx.Response) -> World:
    left = iter(answers)
    return World(lambda _: next(left))


def test_a_slow_service_is_asked_again_when_it_says() -> None:
    world = in_turn(
        httpx.Response(503, headers={"Retry-After": "4"}), httpx.Response(429), httpx.Response(200, content=b"done")
    )

    answer = send(Ask("ask", "POST", "https://x.example/", form={"a": "b"}), world.outside())

    assert (answer.body, answer.is_fine) == (b"done", True)
    assert [request.content for request in world.asked] == [b"a=b"] * 3
    assert 4 <= world.waits[0] < 4.3
    assert len(world.waits) == 2


def test_it_ends_in_time() -> None:
    world = World(lambda _: httpx.Response(503))
    with pytest.raises(UnavailableError, match="HTTP 503") as caught:
        send(Ask("ask", "GET", "https://x.example/path?secret=1"), world.outside())
    assert world.passed <= timedelta(seconds=30)
    assert "secret" not in str(caught.value)
    assert not isinstance(caught.value, NobodyThereError)


def test_a_metadata_service_is_given_up_sooner() -> None:
    world = World(nobody)
    with pytest.raises(NobodyThereError, match="ConnectError"):
        send(Ask("ask", "GET", "http://169.254.169.254/", is_local=True), world.outside())
    assert world.passed <= timedelta(seconds=6)


def test_what_only_looks_like_a_failure_is_the_callers() -> None:
    world = World(lambda _: httpx.Response(302, headers={"Location": "https://evil.example"}))
    assert send(Ask("ask", "GET", "https://x.example/"), world.outside()).status == 302
    assert len(world.asked) == 1


def test_an_answer_without_end() -> None:
    world = World(lambda _: httpx.Response(200, content=b"x" * 2_000_000))
    with pytest.raises(UnavailableError, match="too large"):
        send(Ask("ask", "GET", "https://x.example/"), world.outside())


def illegal_header(request: httpx.Request) -> httpx.Response:
    message = f"Illegal header value {request.headers['Authorization']!r}"
    raise httpx.LocalProtocolError(message)


@pytest.mark.parametrize("token", ["my-secret\r\nX: y", "my-secret-ü\ud800"])
def test_a_header_that_cannot_be_sent_is_not_shown(token: str) -> None:
    world = World(illegal_header)
    with pytest.raises(UsageError, match="cannot be sent") as caught:
        send(Ask("ask", "GET", "https://x.example/", {"Authorization": token}), world.outside())
    assert "my-secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert world.waits == []


def test_nothing_of_it_is_in_a_repr() -> None:
    ask = Ask("ask", "POST", "https://x.example/", {"Authorization": "my-secret"}, {"token": "my-secret"}, b"my-secret")
    assert "my-secret" not in repr(ask)
