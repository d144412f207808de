"""Webhooks are signed as the reference implementation of Standard Webhooks checks it."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from standardwebhooks.webhooks import Webhook as Oracle
from standardwebhooks.webhooks import WebhookVerificationError

from otagate.notify.interface import NotifyError
from otagate.notify.message import Happening, compose
from otagate.notify.registry import Wire, open_notifier
from otagate.notify.webhook import read_secrets, sign
from otagate.policy.model.notify import NotifyKind, NotifySpec

KEY, OTHER = "whsec_" + base64.b64encode(b"k" * 32).decode(), "whsec_" + base64.b64encode(b"o" * 24).decode().rstrip("=")
MESSAGE = compose(
    Happening(
        "com.example.app",
        7,
        datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
        "rollout.paused",
        {"version": "1.4.2", "rollout": "1.4.2-production", "reason": "zurück: 5 €", "actor": "ana", "run": None},
        "sha256:ab",
    )
)


def sent(secret: str | None, answers: tuple[int, ...] = (200,)) -> list[httpx.Request]:
    """Give the requests of one message."""
    heard: list[httpx.Request] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(left.pop(0))

    clock = [datetime.now(tz=UTC)]

    def sleep(seconds: float) -> None:
        clock[0] += timedelta(seconds=seconds)

    wire = Wire(sleep=sleep, now=lambda: clock[0], transport=httpx.MockTransport(answer))
    environ = {"URL": "https://hooks.example.com/in", **({"SECRET": secret} if secret else {})}
    spec = NotifySpec("pager", NotifyKind.WEBHOOK, "env:URL", "env:SECRET" if secret else None)
    open_notifier(spec, environ, Path("/nowhere"), wire=wire).send(MESSAGE)
    return heard


@pytest.mark.parametrize("secret", [KEY, OTHER, f"  {OTHER}\n{KEY} "])
def test_the_reference_implementation_verifies_it(secret: str) -> None:
    (request,) = sent(secret)
    for word in secret.split():
        body = Oracle(word).verify(request.content, dict(request.headers))
        assert body["type"] == "rollout.paused"
    wrong = Oracle("whsec_" + base64.b64encode(b"w" * 32).decode())
    with pytest.raises(WebhookVerificationError):
        wrong.verify(request.content, dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        Oracle(secret.split(maxsplit=1)[0]).verify(request.content + b" ", dict(request.headers))


def test_the_vector_of_the_specification() -> None:
    # The specification's own libraries have this one in their tests.
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_second_attempt_has_the_same_id_and_a_time_of_its_own() -> None:
    first, second = sent(KEY, (503, 200))
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == MESSAGE.id
    assert int(second.headers["webhook-timestamp"]) == int(first.headers["webhook-timestamp"]) + 1
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert Oracle(KEY).verify(second.content, dict(second.headers))["data"]["seq"] == 7


def test_without_a_secret_nothing_is_signed() -> None:
    (request,) = sent(None)
    assert "webhook-signature" not in request.headers
    assert request.headers["webhook-id"] == MESSAGE.id


def test_the_body() -> None:
    assert json.loads(sent(KEY)[0].content) == {
        "type": "rollout.paused",
        "timestamp": "2026-11-21T09:30:00.000000Z",
        "data": {
            "app": "com.example.app",
            "seq": 7,
            "level": "warning",
            "title": "1.4.2 is paused · com.example.app",
            "text": "1.4.2 is paused by ana: zurück: 5 €. Devices that have it keep it; no others get it.",
            "run": None,
            "details": {"actor": "ana", "reason": "zurück: 5 €", "rollout": "1.4.2-production", "version": "1.4.2"},
        },
    }


@pytest.mark.parametrize(
    "text",
    [
        "whsec_",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_!!!!",
        "whsec_é",
        base64.b64encode(b"x" * 32).decode(),
        " ".join([KEY] * 5),
        f"{KEY} plain",
        "",
    ],
)
def test_a_secret_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(NotifyError) as caught:
        read_secrets("pager", text)
    assert not text or text.rsplit(maxsplit=1)[-1] not in str(caught.value).replace("whsec_ and", "").replace('"whsec_$', "")
    assert caught.value.subject == "pager"


def test_a_secret_that_is_missing_is_named_by_its_reference() -> None:
    spec = NotifySpec("pager", NotifyKind.WEBHOOK, "env:URL", "env:SECRET")
    with pytest.raises(NotifyError, match=r"its secret env:SECRET cannot be read: pager"):
        open_notifier(spec, {"URL": "https://hooks.example.com/in"}, Path("/nowhere"))


@pytest.mark.parametrize(
    ("address", "is_fine"),
    [
        ("https://hooks.example.com/in", True),
        ("https://hooks.example.com:8443/in?x=%20", True),
        ("https://hooks.example.com/in#f", False),
        ("https://hooks.example.com:65536/in", False),
        ("https://hooks..example.com/in", False),
        ("https://xn--a/in", False),
        ("https://999.1.1.1/in", False),
        ("https://[::::]/in", False),
        ("https://[2001:db8::1]:8443/in", True),
        ("https://hooks.example.com", True),
        ("http://localhost:8080/in", True),
        ("http://127.0.0.1/in", True),
        ("http://[::1]:1/in", True),
        ("http://localhost.example.com/in", False),
        ("http://127.0.0.1.example.com/in", False),
        ("http://127.0.0.1@example.com/in", False),
        ("https://user@example.com/in", False),
        ("https://user:1@example.com/in", False),
        ("https://example.com/in in", False),
        ("https://exämple.com/in", False),
        ("https:///in", False),
        ("hooks.example.com/in", False),
        ("https://example.com/" + "x" * 5000, False),
    ],
)
def test_messages_go_over_https_only(address: str, is_fine: bool) -> None:
    spec = NotifySpec("pager", NotifyKind.WEBHOOK, "env:URL")
    if is_fine:
        assert open_notifier(spec, {"URL": address}, Path("/nowhere")) is not None
        return
    with pytest.raises(NotifyError, match="cannot be used"):
        open_notifier(spec, {"URL": address}, Path("/nowhere"))


@pytest.mark.parametrize(
    ("cause", "found"),
    [
        (socket.gaierror(-2, "Name or service not known: hooks.example.com"), "no connection: the host's name is not known"),
        (ConnectionRefusedError(111, "hooks.example.com refused"), "no connection: it was refused"),
        (ssl.SSLCertVerificationError(1, "hooks.example.com"), "no connection: the host's certificate does not hold"),
        (ssl.SSLError(1, "hooks.example.com"), "no connection: no TLS with the host"),
        (OSError(113, "No route to hooks.example.com"), "no connection (ConnectError)"),
    ],
)
def test_why_there_is_no_connection_is_said_without_the_address(cause: Exception, found: str) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        message = "https://hooks.example.com/in"
        raise httpx.ConnectError(message) from cause

    wire = Wire(sleep=lambda _: None, transport=httpx.MockTransport(fail))
    spec = NotifySpec("pager", NotifyKind.WEBHOOK, "env:URL", None)
    with pytest.raises(NotifyError) as caught:
        open_notifier(spec, {"URL": "https://hooks.example.com/in"}, Path("/nowhere"), wire=wire).send(MESSAGE)
    assert caught.value.found == found
    assert "hooks.example.com" not in str(caught.value)
