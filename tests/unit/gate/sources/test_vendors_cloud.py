"""What Sentry, Datadog, New Relic, CloudWatch, Azure Monitor and Capgo have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from urllib.parse import unquote

import httpx
import pytest

from otagate.gate.interface import Ask, SourceError
from otagate.gate.sources._shape import MAX_BYTES
from support.vendor_world import QUERY, START, VendorWorld
from support.vendor_worlds_cloud import WORLDS, AskedWorld


@pytest.fixture(name="world", params=WORLDS)
def make_world(request: pytest.FixtureRequest) -> VendorWorld:
    return WORLDS[request.param](ExitStack())


@pytest.fixture(name="asked", params=[name for name, world in WORLDS.items() if issubclass(world, AskedWorld)])  # type: ignore[arg-type]
def make_asked(request: pytest.FixtureRequest) -> AskedWorld:
    world = WORLDS[request.param](ExitStack())
    assert isinstance(world, AskedWorld)
    return world


@pytest.mark.parametrize(("bad", "total"), [(0, 1), (3, 50), (7, 7)])
def test_devices_are_counted(world: VendorWorld, bad: int, total: int) -> None:
    found = world.counting(bad, total).read(QUERY)
    assert (found.bad, found.total, found.newest_at) == (bad, total, world.newest)
    assert (found.value, found.rows) == (None, ())
    assert len(found.digest or "") == 64
    assert "1.4.2" in found.query


def test_silence_is_no_data_and_never_zero(world: VendorWorld) -> None:
    found = world.absent().read(QUERY)
    assert (found.bad, found.total, found.newest_at) == (None, None, None)


def test_hostile_releases_stay_values(world: VendorWorld) -> None:
    found = world.echoing().read(replace(QUERY, release=world.hostile))
    assert found.total == world.echoed
    assert "\n" not in found.query


def test_the_window_is_the_gate_s_own(world: VendorWorld) -> None:
    sent: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(unquote(str(request.url)) + request.content.decode())
        return world.says(1, 9)(request)

    world.source(respond).read(QUERY)
    assert sent
    assert all(text in one for one in sent for text in world.window)  # type: ignore[attr-defined]


def test_the_digest_is_of_the_raw_answers(world: VendorWorld) -> None:
    answers: list[bytes] = []

    def respond(request: httpx.Request) -> httpx.Response:
        answer = world.says(1, 9)(request)
        answers.append(answer.content)
        return answer

    assert world.source(respond).read(QUERY).digest == hashlib.sha256(b"".join(answers)).hexdigest()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_another_try_after_the_time_that_the_store_names(world: VendorWorld, status: int) -> None:
    refusals = [httpx.Response(status, headers={"Retry-After": "7"})]
    source = world.source(lambda request: refusals.pop() if refusals else world.says(1, 9)(request))
    assert source.read(QUERY).total == 9
    assert world.clock.waits == [7.0]


def test_three_failures_are_an_error(world: VendorWorld) -> None:
    asked: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(502)

    with pytest.raises(SourceError, match=r"HTTP 502 \(3 tries\)"):
        world.source(respond).read(QUERY)
    assert len(asked) == 3


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_shows_no_credential(world: VendorWorld, status: int) -> None:
    echo = {"detail": "bad token", "errors": ["bad"], "error": {"code": "x", "message": "y"}, "__type": "a#b", "message": ""}

    def respond(request: httpx.Request) -> httpx.Response:
        told = " ".join(request.headers.values())
        return httpx.Response(status, json={**echo, "detail": told, "errors": [told], "message": told})

    with pytest.raises(SourceError, match=rf"HTTP {status}") as caught:
        world.source(respond).read(QUERY)
    shown = f"{caught.value} {caught.value!r} {world.source(respond)!r}"
    assert not [secret for secret in world.secrets if secret in shown]


def test_a_refusal_is_told_in_the_store_s_own_words(world: VendorWorld) -> None:
    with pytest.raises(SourceError) as caught:
        world.broken().read(QUERY)
    assert caught.value.subject
    words = ("Forbidden", "Invalid API key", "Invalid token", "token is invalid", "not authorized", "No access")
    assert any(word in str(caught.value) for word in words)


def test_credentials_are_not_in_the_evidence(world: VendorWorld) -> None:
    found = world.counting(1, 9).read(QUERY)
    assert not [secret for secret in world.secrets if secret in repr(found)]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(200, html="<title>Log in</title>"), "log-in page"),
        (httpx.Response(200, content=b'{"data": {"type"'), "JSON"),
        (httpx.Response(200, content=b"x" * (MAX_BYTES + 1)), "bytes"),
        (httpx.Response(200, content=b""), "nothing"),
        (httpx.Response(200, content=b"null"), "is not"),
        (httpx.Response(200, content=b"[7]"), "is not"),
        (httpx.Response(200, content=b"{}"), "is not|0 tables"),
        (httpx.Response(404, json={"errors": ["Not found"]}), "HTTP 404"),
        (httpx.Response(302, headers={"Location": "https://elsewhere.example/"}), "redirect"),
    ],
    ids=["html", "cut off", "too large", "nothing", "null", "list", "object", "404", "redirect"],
)
def test_what_is_no_answer_is_an_error(world: VendorWorld, answer: httpx.Response, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        world.source(lambda _: answer).read(QUERY)
    assert len(str(caught.value)) < 2000


def test_contrasts_are_refused(world: VendorWorld) -> None:
    with pytest.raises(SourceError):
        world.counting(1, 9).read(replace(QUERY, ask=Ask.CONTRAST, control="1.4.1"))


def test_one_count_for_several_limits_is_refused(world: VendorWorld) -> None:
    with pytest.raises(SourceError):
        world.counting(1, 9).read(replace(QUERY, over=timedelta(seconds=45)))


def test_plain_numbers(asked: AskedWorld) -> None:
    found = asked.counting(1, 9).read(replace(QUERY, ask=Ask.VALUE))
    assert (found.bad, found.total, found.value, found.newest_at) == (None, None, 12.5, asked.newest)


def test_no_plain_number(asked: AskedWorld) -> None:
    found = asked.absent().read(replace(QUERY, ask=Ask.VALUE))
    assert (found.value, found.total) == (None, None)
    assert found.digest


@pytest.mark.parametrize("number", ["12", "NaN", True, 12.5, [1]])
def test_what_is_no_count_is_an_error(asked: AskedWorld, number: object) -> None:
    respond = asked.answering({"bad": 0, "total": number, "newest": 0})  # type: ignore[dict-item]
    with pytest.raises(SourceError, match="total"):
        asked.source(respond).read(QUERY)


def test_whole_numbers_with_a_point_are_counts(asked: AskedWorld) -> None:
    respond = asked.answering({"bad": 3.0, "total": 12.0, "newest": START.timestamp()})
    assert (asked.source(respond).read(QUERY).bad, asked.source(respond).read(QUERY).total) == (3, 12)


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"1e999"])
def test_no_number_at_all_is_an_error(asked: AskedWorld, literal: bytes) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        answer = asked.answering({"bad": 0, "total": 77777, "newest": 0})(request)
        return httpx.Response(200, content=answer.content.replace(b"77777", literal))

    with pytest.raises(SourceError):
        asked.source(respond).read(QUERY)


def test_several_series_are_an_error(asked: AskedWorld) -> None:
    with pytest.raises(SourceError, match="2 series"):
        asked.source(asked.several()).read(QUERY)


def test_no_bad_beside_a_total(asked: AskedWorld) -> None:
    source = asked.source(asked.answering({"bad": None, "total": 9, "newest": START.timestamp()}))
    if asked.kind in {"datadog", "cloudwatch"}:  # a counter that never fired has no series there
        assert source.read(QUERY).bad == 0
    else:
        with pytest.raises(SourceError, match="no bad count"):
            source.read(QUERY)


def spoiled(value: object) -> Iterator[object]:
    """Give the JSON again and again, each time with one part of it put out of shape."""
    yield from (None, True, "x", [], {}, [None], -1, 2.5, [[]], {"a": None})
    if isinstance(value, dict):
        for key, part in value.items():
            yield {other: kept for other, kept in value.items() if other != key}
            yield from ({**value, key: bad} for bad in spoiled(part))
    if isinstance(value, list):
        for at, part in enumerate(value):
            yield value[:at] + value[at + 1 :]
            yield from ([*value[:at], bad, *value[at + 1 :]] for bad in spoiled(part))


def test_an_answer_out_of_shape_is_an_error_or_whole(world: VendorWorld) -> None:
    whole = world.says(1, 2)
    unlike = 0
    for at in range(10_000):
        tried: list[object] = []

        def respond(request: httpx.Request, at: int = at, tried: list[object] = tried) -> httpx.Response:
            tried.append(next(islice(spoiled(whole(request).json()), at, None), None))
            return httpx.Response(200, json=tried[-1])

        try:
            found = world.source(respond).read(QUERY)
        except SourceError:
            unlike += 1
        else:
            assert not found.total or found.bad is not None
        if tried[0] is None and at:
            break
    assert unlike > 20
