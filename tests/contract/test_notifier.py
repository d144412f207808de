"""What every place does that can be told, whatever stands there: told once, or an error without a secret in it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import ExitCode
from otagate.notify.interface import Notifier, NotifyError
from otagate.notify.message import Happening, Message, compose
from otagate.notify.registry import Wire, open_notifier
from otagate.policy.model.notify import NotifyKind, NotifySpec
from support.metric_server import send, serving
from support.tls import self_signed

# A plugin of Apprise that is not used here imports it.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")]

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
SECRET = "T00/B00/x0x0-sEcReT"
DATA = {
    "rollout": "1.4.2-production",
    "version": "1.4.2",
    "reason": "crash_rate: 31 of 400 devices",
    "actor": "ana",
    "run": "https://ci.example.com/runs/7?attempt=1",
}


def message(**changes: Any) -> Message:
    return compose(Happening("com.example.app", 7, AT, "rollout.paused", {**DATA, **changes}, "sha256:ab"))


@dataclass
class Place:
    """Something on loopback that is told, and what it heard."""

    kind: NotifyKind
    answers: list[Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    base: str = ""

    def respond(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.heard.append(({name.lower(): value for name, value in request.headers.items()}, body))
        answer = self.answers.pop(0) if self.answers else plain(200)
        answer(request)

    def notifier(self, timeout_s: float = 5.0, base: str = "") -> Notifier:
        base = base or self.base
        url = f"{base}/{SECRET}"
        if self.kind is NotifyKind.APPRISE:
            url = url.replace("http", "json", 1) + f"?rto={timeout_s}&cto={timeout_s}&method=post"
        spec = NotifySpec("team", self.kind, "env:PLACE")
        wire = Wire(sleep=self.waits.append, now=lambda: AT, timeout_s=timeout_s)
        return open_notifier(spec, {"PLACE": url}, Path("/nowhere"), wire=wire)

    @property
    def text(self) -> str:
        """All that was shown in the last message."""
        return " ".join(strings(json.loads(self.heard[-1][1])))

    def fails(self, match: str = "", timeout_s: float = 5.0) -> NotifyError:
        with pytest.raises(NotifyError) as caught:
            self.notifier(timeout_s).send(message())
        error = caught.value
        for part in (SECRET, *SECRET.split("/"), self.base.partition("//")[2]):
            assert part not in f"{error}{error!r}"
        assert error.subject == "team"
        assert error.exit_code is ExitCode.UNAVAILABLE
        assert match in str(error)
        return error


def plain(status: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda request: send(request, body, status=status, **headers)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


@pytest.fixture(params=list(NotifyKind))
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    made = Place(request.param)
    with serving(made.respond) as made.base:
        yield made


@pytest.fixture(params=[kind for kind in NotifyKind if kind is not NotifyKind.APPRISE])
def ours(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Give each place that otagate itself talks to."""
    made = Place(request.param)
    with serving(made.respond) as made.base:
        yield made


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_message_arrives_once_with_all_that_it_says(place: Place, status: int) -> None:
    place.answers = [plain(status)]
    place.notifier().send(message())
    assert len(place.heard) == 1
    assert place.heard[0][0]["content-type"].startswith("application/json")
    for part in ("1.4.2 is paused", "crash_rate: 31 of 400 devices", "com.example.app", "ana", "https://ci.example.com/runs/7"):
        assert part in place.text


def test_the_same_message_has_the_same_bytes(ours: Place) -> None:
    ours.notifier().send(message())
    ours.notifier().send(message())
    assert ours.heard[0][1] == ours.heard[1][1]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_said_and_not_repeated(place: Place, status: int) -> None:
    place.answers = [plain(status, SECRET.encode())]
    place.fails(match=f"HTTP {status}" if place.kind is not NotifyKind.APPRISE else "could not be told")
    assert len(place.heard) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_tried_once_more(ours: Place, status: int) -> None:
    ours.answers = [plain(status, Retry_After="2"), plain(200)]
    ours.notifier().send(message())
    assert (len(ours.heard), ours.waits) == (2, [2.0])
    ours.heard.clear()
    ours.answers = [plain(status), plain(status), plain(200)]
    error = ours.fails(match=f"HTTP {status}")
    assert error.retryable
    assert (len(ours.heard), ours.waits) == (2, [2.0, 1.0])


def test_a_place_that_asks_for_more_time_than_there_is_gets_it(ours: Place) -> None:
    ours.answers = [plain(429, Retry_After="6")]
    assert ours.fails(match="HTTP 429").retryable
    assert (len(ours.heard), ours.waits) == (1, [])


def test_no_redirect_is_followed(ours: Place) -> None:
    ours.answers = [plain(307, Location=f"{ours.base}/elsewhere")]
    assert not ours.fails(match="a redirect; none is followed").retryable
    assert len(ours.heard) == 1


def test_a_place_that_is_silent_is_given_up_in_time(place: Place) -> None:
    given_up = threading.Event()

    def silence(_request: BaseHTTPRequestHandler) -> None:
        given_up.wait(60)

    place.answers = [silence]
    try:
        assert place.fails(timeout_s=0.2).retryable
    finally:
        given_up.set()


def drip(request: BaseHTTPRequestHandler) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 2000:
        request.wfile.write(bytes([byte]))
        time.sleep(0.02)


def test_a_place_that_drips_is_given_up_in_time(ours: Place) -> None:
    ours.answers = [drip]
    begun = time.monotonic()
    assert ours.fails(match="no answer within 0.3s", timeout_s=0.3).retryable
    assert time.monotonic() - begun < 30  # the whole answer takes 40 s


def test_a_place_that_is_not_there(place: Place) -> None:
    place.base = "http://127.0.0.1:9"
    assert place.fails().retryable


def test_a_certificate_that_nobody_signed_is_refused(ours: Place, tmp_path: Path) -> None:
    context, _ = self_signed(tmp_path)
    with serving(ours.respond, context) as base, pytest.raises(NotifyError) as caught:
        ours.notifier(base=base).send(message())
    assert (caught.value.found, ours.heard) == ("no connection: the host's certificate does not hold", [])


def test_any_text_arrives_harmless(place: Place) -> None:
    hostile = '😀 zurück \u202eevil\n<!channel> [link](https://evil.example) & "quoted" {{x}} `code` </script>'
    place.notifier().send(message(reason=hostile))
    said = place.text
    assert "😀 zurück" in said
    assert "\u202e" not in said
    assert place.kind is not NotifyKind.SLACK or "<!channel>" not in said


def test_a_huge_text_is_cut(place: Place) -> None:
    big = {f"field{number}": "€" * 5000 for number in range(60)}
    place.notifier().send(message(reason="😀" * 100_000, **big, link="https://ci.example.com/" + "x" * 5000))
    limit = 28 * 1024 if place.kind is not NotifyKind.WEBHOOK else 256 * 1024
    assert len(place.heard[0][1]) < limit


UNUSABLE: list[tuple[dict[str, str], str | None]] = [
    ({}, "the variable is not set"),
    ({"PLACE": "  "}, "the variable is empty"),
    ({"PLACE": f"ftp://{SECRET}"}, None),
    ({"PLACE": f"https://example.com/{SECRET}\nhttps://example.com/two"}, None),
]
OURS_ONLY: list[tuple[dict[str, str], str | None]] = [
    # Apprise reads web addresses in ways of its own.
    ({"PLACE": f"http://example.com/{SECRET}"}, None),
    ({"PLACE": f"https://user:{SECRET}@example.com/"}, None),
    ({"PLACE": f"https://{SECRET.rpartition('/')[2]}@example.com/"}, None),
]


@pytest.mark.parametrize(
    ("kind", "environ", "found"),
    [(kind, *case) for kind in NotifyKind for case in UNUSABLE]
    + [(kind, *case) for kind in NotifyKind if kind is not NotifyKind.APPRISE for case in OURS_ONLY],
)
def test_an_address_that_cannot_be_used_is_not_repeated(kind: NotifyKind, environ: dict[str, str], found: str | None) -> None:
    with pytest.raises(NotifyError) as caught:
        open_notifier(NotifySpec("team", kind, "env:PLACE"), environ, Path("/nowhere"))
    assert SECRET not in f"{caught.value}{caught.value!r}"
    assert str(caught.value.subject).startswith("team")
    assert found is None or caught.value.found == found
    assert replace(caught.value, what="x").remedy


def test_an_address_may_stand_in_a_file(tmp_path: Path) -> None:
    made = Place(NotifyKind.SLACK)
    with serving(made.respond) as base:
        (tmp_path / "address").write_text(f"{base}/{SECRET}\n")
        open_notifier(NotifySpec("team", NotifyKind.SLACK, "file:address"), {}, tmp_path).send(message())
    assert len(made.heard) == 1
