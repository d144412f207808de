"""What every metric source does, whatever it reads from: the same answers, the same verdict."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote_plus, urlsplit

import httpx
import pytest

from otagate.gate.interface import Ask, MetricQuery, MetricSource, SourceError
from otagate.gate.sources.registry import open_source
from otagate.gate.sources.telemetry_database import counts_data
from otagate.policy.model.sources import CommandSource, FileSource, HttpSource, TelemetrySource, TelemetrySpec
from otagate.telemetry.model import VERIFY_BOUNDS_S, Counts, DeviceFacts, Mark, Observation
from otagate.telemetry.sql import open_telemetry
from support import vendor_worlds, vendor_worlds_cloud
from support.metric_server import Respond, send, serving
from support.vendor_world import NEWEST, QUERY, START, VALUE_QUERY, Patience, VendorWorld, fingerprint
from support.vendor_world import Respond as StoreResponds

HOSTILE = "1.0.0-a\"b'c{end}$(touch pwned)`x`&d=e?f#g%2F h;i|j\n--k"

PRINT_FILE = "import pathlib, sys; sys.stdout.buffer.write(pathlib.Path('answer').read_bytes())"
ECHO = 'import hashlib, sys; print(\'{"bad": 0, "total": %d}\' % int(hashlib.sha256(sys.argv[1].encode()).hexdigest()[:8], 16))'


class AnyWorld(Protocol):
    """One kind of source and whatever stands behind it."""

    hostile: str
    """A release whose version is read as syntax where one is careless."""

    @property
    def echoed(self) -> int:
        """What an echoing source gives as total for it."""
        ...

    def counting(self, bad: int, total: int) -> MetricSource:
        """Give a source that counts so many devices, the newest an hour before the end of the window."""
        ...

    def absent(self) -> MetricSource:
        """Give a source whose other side has never heard of the release."""
        ...

    def broken(self) -> MetricSource:
        """Give a source that cannot work."""
        ...

    def echoing(self) -> MetricSource:
        """Give a source that answers with ``echoed`` devices for the release that it was told, and for no other."""
        ...


class World(AnyWorld, Protocol):
    """One kind of source whose other side answers with any bytes."""

    def answering(self, payload: bytes) -> MetricSource:
        """Give a source whose other side answers with these bytes."""
        ...


def told(bad: int, total: int) -> bytes:
    return json.dumps({"bad": bad, "total": total, "newest_at": "2026-11-21T00:30:00Z"}).encode()


class FileWorld:
    hostile, echoed = HOSTILE, fingerprint(HOSTILE)

    def counting(self, bad: int, total: int) -> MetricSource:
        return self.answering(told(bad, total))

    def __init__(self, root: Path) -> None:
        self.root = root

    def _source(self, path: str) -> MetricSource:
        return open_source(FileSource(path), root=self.root, environ={})

    def answering(self, payload: bytes) -> MetricSource:
        (self.root / "answer.json").write_bytes(payload)
        return self._source("answer.json")

    def absent(self) -> MetricSource:
        return self._source("nowhere/{release}.json")

    def broken(self) -> MetricSource:
        (self.root / "folder").mkdir()
        return self._source("folder")

    def echoing(self) -> MetricSource:
        answer = {"bad": 0, "total": fingerprint(HOSTILE)}
        (self.root / f"{HOSTILE}.json").write_text(json.dumps(answer))
        return self._source("{release}.json")


class CommandWorld:
    hostile, echoed = HOSTILE, fingerprint(HOSTILE)

    def counting(self, bad: int, total: int) -> MetricSource:
        return self.answering(told(bad, total))

    def __init__(self, root: Path) -> None:
        self.root = root

    def _source(self, *argv: str) -> MetricSource:
        return open_source(CommandSource(argv), root=self.root, environ={})

    def answering(self, payload: bytes) -> MetricSource:
        (self.root / "answer").write_bytes(payload)
        return self._source(sys.executable, "-S", "-c", PRINT_FILE)

    def absent(self) -> MetricSource:
        return self.answering(b"{}")

    def broken(self) -> MetricSource:
        return self._source("no-such-command-anywhere")

    def echoing(self) -> MetricSource:
        return self._source(sys.executable, "-S", "-c", ECHO, "{release}")


class HttpWorld:
    hostile, echoed = HOSTILE, fingerprint(HOSTILE)

    def counting(self, bad: int, total: int) -> MetricSource:
        return self.answering(told(bad, total))

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack

    def _source(self, url: str) -> MetricSource:
        newest = None if url.endswith("plain") else "newest_at"
        spec = HttpSource(url=url, bad="bad", total="total", value="value", newest_at=newest)
        return open_source(spec, root=Path(), environ={})

    def answering(self, payload: bytes) -> MetricSource:
        base = self.stack.enter_context(serving(lambda request, _: send(request, payload)))
        return self._source(f"{base}/{'' if b'newest_at' in payload else 'plain'}")

    def absent(self) -> MetricSource:
        base = self.stack.enter_context(serving(lambda request, _: send(request, b"not found", status=404)))
        return self._source(f"{base}/")

    def broken(self) -> MetricSource:
        base = self.stack.enter_context(serving(lambda request, _: send(request, b'{"bad": 0, "total": 900}', status=403)))
        return self._source(f"{base}/")

    def echoing(self) -> MetricSource:
        def respond(request: BaseHTTPRequestHandler, _: bytes) -> None:
            told = parse_qs(urlsplit(request.path).query)["release"]
            send(request, json.dumps({"bad": 0, "total": fingerprint("".join(told))}).encode())

        base = self.stack.enter_context(serving(respond))
        return self._source(f"{base}/counts?release={{release}}&app={{app}}&as=plain")


def source_of(spec: TelemetrySpec, root: Path, **environ: str) -> MetricSource:
    return open_source(TelemetrySource(spec), root=root, environ=environ)


class ServerWorld:
    """Our own update server, as far as it answers for counts."""

    hostile, echoed = HOSTILE, fingerprint(HOSTILE)

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack

    def _source(self, respond: Respond) -> MetricSource:
        base = self.stack.enter_context(serving(respond))
        return source_of(TelemetrySpec(base, "env:T"), Path(), T="otg_token")

    def _counts(self, counts: Counts) -> MetricSource:
        return self._source(lambda request, _: send(request, self._document(counts)))

    def _document(self, counts: Counts) -> bytes:
        body = {"schema": "otagate/counts/v1", "verify_bounds_s": list(VERIFY_BOUNDS_S), "counts": counts_data(counts)}
        return json.dumps(body).encode()

    def counting(self, bad: int, total: int) -> MetricSource:
        return self._counts(Counts(devices=total, ran=total, crashed=bad, network=1, newest_at=NEWEST))

    def absent(self) -> MetricSource:
        return self._counts(Counts())

    def broken(self) -> MetricSource:
        return self._source(lambda request, _: send(request, b'{"error": "unauthorized"}', status=401))

    def echoing(self) -> MetricSource:
        def respond(request: BaseHTTPRequestHandler, _: bytes) -> None:
            told = parse_qs(urlsplit(request.path).query)["release"]
            total = fingerprint("".join(told))
            send(request, self._document(Counts(devices=total, ran=total, network=1, newest_at=NEWEST)))

        return self._source(respond)


class DatabaseWorld:
    """Our own telemetry, read where it is kept."""

    hostile, echoed = "1.0.0-a'b\"%; DROP TABLE releases; --", 2

    def __init__(self, root: Path) -> None:
        self.root = root

    def _told(self, release: str, bad: int, total: int) -> MetricSource:
        devices = [DeviceFacts("com.example.app", bytes([at]) * 16, "ios", "8.1.0", "stable", False) for at in range(total)]
        at = NEWEST - timedelta(minutes=1)
        seen = [
            Observation(device, release, Mark.OFFERED | Mark.READY | (Mark.CRASHED if number < bad else Mark(0)), at)
            for number, device in enumerate(devices)
        ]
        telemetry = open_telemetry("sqlite:///t.db", {}, base=self.root)
        telemetry.record(seen)
        telemetry.close()
        return self.absent()

    def counting(self, bad: int, total: int) -> MetricSource:
        return self._told(QUERY.release, bad, total)

    def absent(self) -> MetricSource:
        open_telemetry("sqlite:///t.db", {}, base=self.root).close()
        return source_of(TelemetrySpec(database="sqlite:///t.db"), self.root)

    def broken(self) -> MetricSource:
        return source_of(TelemetrySpec(database="sqlite:///nowhere.db"), self.root)

    def echoing(self) -> MetricSource:
        return self._told(self.hostile, 0, 2)


ANSWERING = ("file", "command", pytest.param("http", marks=pytest.mark.integration))
VENDORS: dict[str, Callable[[ExitStack], VendorWorld]] = {**vendor_worlds.WORLDS, **vendor_worlds_cloud.WORLDS}
COUNTING = (*ANSWERING, pytest.param("server", marks=pytest.mark.integration), "database", *VENDORS)


@pytest.fixture(name="any_world", params=COUNTING)
def make_any_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyWorld]:
    with ExitStack() as stack:
        match request.param:
            case "server":
                yield ServerWorld(stack)
            case "database":
                yield DatabaseWorld(tmp_path)
            case kind if kind in VENDORS:
                yield VENDORS[kind](stack)
            case kind:
                yield answering_world(kind, tmp_path, stack)


@pytest.fixture(name="world", params=ANSWERING)
def make_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield answering_world(request.param, tmp_path, stack)


@pytest.fixture(name="vendor", params=VENDORS)
def make_vendor(request: pytest.FixtureRequest) -> Iterator[VendorWorld]:
    with ExitStack() as stack:
        yield VENDORS[request.param](stack)


def vendors_with(feature: str) -> list[str]:
    """Name the kinds of stores whose worlds can do that; see VendorWorld."""
    return [kind for kind, world in VENDORS.items() if hasattr(world, feature)]


def parts(kind: str) -> list[StoreResponds]:
    """Give the answers by which a kind of store says that they are not the whole."""
    world: Any = VENDORS[kind](ExitStack())
    found: list[StoreResponds] = world.parts()
    return found


def patience(kind: str) -> Patience:
    """Give the answers by which a kind of store asks for patience."""
    world: Any = VENDORS[kind](ExitStack())
    found: Patience = world.busy()
    return found


def answering_world(kind: str, root: Path, stack: ExitStack) -> World:
    match kind:
        case "file":
            return FileWorld(root)
        case "command":
            return CommandWorld(root)
        case _:
            return HttpWorld(stack)


@pytest.mark.parametrize(("bad", "total"), [(0, 1), (3, 50), (7, 7)])
def test_devices_are_counted(any_world: AnyWorld, bad: int, total: int) -> None:
    found = any_world.counting(bad, total).read(QUERY)
    newest = getattr(any_world, "newest", NEWEST)
    assert (found.bad, found.total, found.newest_at) == (bad, total, newest)
    assert found.query
    assert found.digest is not None
    assert len(found.digest) == 64


@pytest.mark.parametrize(
    ("payload", "bad", "total", "newest"),
    [
        (b'{"bad": 3, "total": 500}', 3, 500, None),
        (b'{"bad": 0, "total": 1, "newest_at": "2026-11-21T09:30:00Z"}', 0, 1, START + timedelta(hours=9, minutes=30)),
        (
            b'{"bad": 0, "total": 1, "newest_at": "2026-11-21T10:30:00.5+01:00"}',
            0,
            1,
            START + timedelta(hours=9.5, seconds=0.5),
        ),
        (b' {"total":7,"bad":7} \n', 7, 7, None),
        (b'{"bad": 0, "total": 0}', 0, 0, None),
        (b'{"bad": 0, "total": null}', 0, None, None),
        (b'{"bad": null, "total": null}', None, None, None),
        (b'{"bad": 0}', 0, None, None),
        (b"{}", None, None, None),
        (b"null", None, None, None),
        # Not the source's to judge: judge() calls these errors.
        (b'{"bad": -1, "total": 5}', -1, 5, None),
        (b'{"bad": 9, "total": 5}', 9, 5, None),
    ],
)
def test_counts_are_read(world: World, payload: bytes, bad: int | None, total: int | None, newest: datetime | None) -> None:
    found = world.answering(payload).read(QUERY)
    assert (found.bad, found.total, found.newest_at) == (bad, total, newest)
    assert found.digest == hashlib.sha256(payload).hexdigest()
    assert found.query


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<!doctype html><title>Log in</title>", id="html"),
        pytest.param(b'{"bad": 3, "total": 500', id="cut off"),
        pytest.param(b'{"bad": 3, "total": 500} {}', id="two"),
        pytest.param(b'{"bad": NaN, "total": 500}', id="nan"),
        pytest.param(b'{"bad": 0, "total": Infinity}', id="infinity"),
        pytest.param(b'{"bad": 3, "total": 500, "total": 5000}', id="duplicate key"),
        pytest.param(b'{"bad": 0.5, "total": 500}', id="share"),
        pytest.param(b'{"bad": 0, "total": "many"}', id="text"),
        pytest.param(b'{"bad": 0, "total": true}', id="boolean"),
        pytest.param(b'{"bad": 0, "total": [1, 2]}', id="list"),
        pytest.param(b'{"bad": 0, "total": {}}', id="object"),
        pytest.param(b'{"total": 500}', id="no bad"),
        pytest.param(b'{"bad": null, "total": 500}', id="null bad"),
        pytest.param(b'{"bad": 0, "total": 5, "newest_at": "2026-11-21 09:30:00"}', id="no offset"),
        pytest.param(b'{"bad": 0, "total": 5, "newest_at": 1763717400}', id="epoch"),
        pytest.param(b'{"bad": 0, "total": 5, "newest_at": "yesterday"}', id="no instant"),
        pytest.param(b'{"bad": 0, "total": ' + b"9" * 5000 + b"}", id="endless number"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"bad": 0, "total": 5, "x": "' + b"x" * 1024 * 1024 + b'"}', id="too large"),
        pytest.param(b'{"bad": 0, "total": 5, "x": "\xff"}', id="no utf-8"),
    ],
)
def test_what_is_no_count_is_an_error(world: World, payload: bytes) -> None:
    source = world.answering(payload)
    with pytest.raises(SourceError) as caught:
        source.read(QUERY)
    assert caught.value.subject
    assert caught.value.found
    assert len(str(caught.value)) < 2000


def test_unknown_release_is_no_data(any_world: AnyWorld) -> None:
    found = any_world.absent().read(QUERY)
    assert (found.bad, found.total) == (None, None)


def test_what_cannot_be_read_is_an_error(any_world: AnyWorld) -> None:
    with pytest.raises(SourceError):
        any_world.broken().read(QUERY)


def test_hostile_values_stay_values(any_world: AnyWorld, tmp_path: Path) -> None:
    app = "com.example.app" if isinstance(any_world, DatabaseWorld) else "a&b"
    query = MetricQuery("crash_rate", app, "stable", any_world.hostile, QUERY.start, QUERY.end, 500)
    found = any_world.echoing().read(query)
    assert found.total == any_world.echoed
    assert not list(tmp_path.rglob("pwned"))
    # What is kept as evidence cannot forge a line of output.
    assert "\n" not in found.query


def test_reading_twice_is_reading_once(any_world: AnyWorld) -> None:
    source = any_world.counting(1, 9)
    assert source.read(QUERY) == source.read(QUERY)


def test_one_count_for_several_limits_is_refused(world: World) -> None:
    query = MetricQuery("verification_time", "a", "stable", "1.4.2", QUERY.start, QUERY.end, 500, timedelta(seconds=45))
    with pytest.raises(SourceError, match=r"one count for several limits"):
        world.answering(b'{"bad": 1, "total": 9}').read(query)


@pytest.mark.parametrize(
    ("payload", "value", "newest"),
    [
        (b'{"value": 12.5}', 12.5, None),
        (b'{"value": -3}', -3.0, None),
        (b'{"value": 1.5e-7, "newest_at": "2026-11-21T00:30:00Z"}', 1.5e-7, NEWEST),
        (b'{"value": null}', None, None),
        (b"{}", None, None),
    ],
)
def test_plain_numbers_are_read(world: World, payload: bytes, value: float | None, newest: datetime | None) -> None:
    found = world.answering(payload).read(VALUE_QUERY)
    assert (found.value, found.newest_at, found.bad, found.total) == (value, newest, None, None)
    assert found.digest == hashlib.sha256(payload).hexdigest()


@pytest.mark.parametrize(
    "payload", [b'{"value": NaN}', b'{"value": true}', b'{"value": "many"}', b'{"value": 1e999}', b'{"value": [1, 2]}']
)
def test_what_is_no_plain_number_is_an_error(world: World, payload: bytes) -> None:
    source = world.answering(payload)
    with pytest.raises(SourceError, match=r"value|NaN"):
        source.read(VALUE_QUERY)


def test_only_telemetry_compares_releases(world: World) -> None:
    query = replace(QUERY, ask=Ask.CONTRAST, control="1.4.1")
    source = world.answering(b'{"bad": 1, "total": 9}')
    with pytest.raises(SourceError, match=r"max_increase"):
        source.read(query)


def failure(vendor: VendorWorld, respond: StoreResponds, query: MetricQuery = QUERY) -> str:
    """Read what must fail; give the message, in which no credential may stand."""
    source = vendor.source(respond)
    with pytest.raises(SourceError) as caught:
        source.read(query)
    shown = f"{caught.value} {caught.value!r} {source!r}"
    assert not [secret for secret in vendor.secrets if secret in shown]
    assert caught.value.subject
    assert len(shown) < 4000
    return str(caught.value)


def kept(respond: StoreResponds, sent: list[httpx.Request]) -> StoreResponds:
    """Keep what is sent."""

    def and_keep(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return respond(request)

    return and_keep


@pytest.mark.parametrize("kind", vendors_with("window"))
def test_the_window_is_said_outright(kind: str) -> None:
    sent: list[httpx.Request] = []
    vendor = VENDORS[kind](ExitStack())
    vendor.source(kept(vendor.says(1, 9), sent)).read(QUERY)
    texts = [unquote_plus(f"{request.url} {request.content.decode()}") for request in sent]
    window: tuple[str, ...] = getattr(vendor, "window")  # noqa: B009 - only some have it
    assert [text for text in window if not any(text in told for told in texts)] == []
    assert [told for told in texts if re.search(r"now[(+-]", told)] == []


def test_no_credential_is_evidence(vendor: VendorWorld) -> None:
    sent: list[httpx.Request] = []
    found = vendor.source(kept(vendor.says(1, 9), sent)).read(QUERY)
    assert len(found.query) < 3000
    assert sent
    for secret in vendor.secrets:
        assert secret not in repr(found)
        assert not any(secret in unquote_plus(str(request.url)) for request in sent)


def test_no_bad_device_is_none(vendor: VendorWorld) -> None:
    found = vendor.counting(0, 12).read(QUERY)
    assert (found.bad, found.total) == (0, 12)


@pytest.mark.parametrize("kind", vendors_with("value"))
@pytest.mark.parametrize("number", [0.0, 12.5, -3.0, 1e-6])
def test_a_store_gives_a_plain_number(kind: str, number: float) -> None:
    vendor: Any = VENDORS[kind](ExitStack())
    found = vendor.source(vendor.value(number)).read(VALUE_QUERY)
    assert (found.value, found.bad, found.total) == (number, None, None)
    assert vendor.source(vendor.nothing()).read(VALUE_QUERY).value is None


@pytest.mark.parametrize(
    ("feature", "kind", "told"),
    [
        (feature, kind, told)
        for feature, told in (("several", r"\b2\b|more"), ("no_number", ""), ("fraction", r"round|whole"))
        for kind in vendors_with(feature)
    ],
)
def test_what_no_gate_can_judge_is_an_error(feature: str, kind: str, told: str) -> None:
    vendor = VENDORS[kind](ExitStack())
    assert re.search(told, failure(vendor, getattr(vendor, feature)()))


def test_a_store_cannot_compare_releases(vendor: VendorWorld) -> None:
    assert re.search(
        "max_increase|contrast", failure(vendor, vendor.says(1, 9), replace(QUERY, ask=Ask.CONTRAST, control="1.4.1"))
    )


def test_a_busy_store_is_asked_again_when_it_says(vendor: VendorWorld) -> None:
    good, busy = vendor.says(2, 40), [httpx.Response(429, text="slow down", headers={"Retry-After": "7"})]
    found = vendor.source(lambda request: busy.pop() if busy else good(request)).read(QUERY)
    assert (found.bad, found.total) == (2, 40)
    assert vendor.clock.waits == [7.0]


@pytest.mark.parametrize(
    ("kind", "place"), [(kind, place) for kind in vendors_with("busy") for place in range(len(patience(kind)))]
)
def test_a_store_asks_for_patience_in_a_way_of_its_own(kind: str, place: int) -> None:
    vendor: Any = VENDORS[kind](ExitStack())
    busy, wait = patience(kind)[place]
    good, answers = vendor.says(2, 40), [busy]
    found = vendor.source(lambda request: answers.pop() if answers else good(request)).read(QUERY)
    assert (found.bad, found.total) == (2, 40)
    assert vendor.clock.waits == [wait]
    # Who is never done asking for it has failed.
    sent: list[httpx.Request] = []
    told = failure(vendor, kept(lambda _: busy, sent))
    assert f"HTTP {busy.status_code}" in told
    assert "(3 tries)" in told
    assert len(sent) == 3


@pytest.mark.parametrize(
    ("kind", "place"), [(kind, place) for kind in vendors_with("parts") for place in range(len(parts(kind)))]
)
def test_a_part_of_an_answer_is_no_answer(kind: str, place: int) -> None:
    failure(VENDORS[kind](ExitStack()), parts(kind)[place])


def test_every_store_says_when_it_gives_a_part() -> None:
    """But Graphite, which leaves out what did not answer without a word, and Capgo, see docs/gates.md."""
    assert set(VENDORS) - set(vendors_with("parts")) == {"graphite", "capgo"}


@pytest.mark.parametrize("status", [202, 206])
def test_what_is_accepted_or_a_range_is_no_answer(vendor: VendorWorld, status: int) -> None:
    good = vendor.says(2, 40)

    def respond(request: httpx.Request) -> httpx.Response:
        whole = good(request)
        return httpx.Response(status, content=whole.content, headers={"Content-Type": whole.headers["Content-Type"]})

    assert f"HTTP {status}" in failure(vendor, respond)


@pytest.mark.parametrize("status", [500, 503])
def test_a_store_that_fails_is_asked_three_times(vendor: VendorWorld, status: int) -> None:
    sent: list[httpx.Request] = []
    assert f"HTTP {status}" in failure(vendor, kept(lambda _: httpx.Response(status, text="oops"), sent))
    assert len(sent) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_told_without_the_credential(vendor: VendorWorld, status: int) -> None:
    sent: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        said = " ".join(["who is", *vendor.secrets, *request.headers.values()])
        errors = {"error": {"message": said, "code": said}, "message": said, "detail": said, "errors": [said], "Message": said}
        return httpx.Response(status, json=errors)

    assert f"HTTP {status}" in failure(vendor, kept(respond, sent))
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<!doctype html><title>Log in</title>", "text/html; charset=utf-8"),
        (b"<!doctype html><title>Log in</title>", "application/json"),
        (b" ", "text/html"),
        (b"null", "application/json"),
        (b"[]x", "application/json"),
        (b'{"status": "odd"}', "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 100_000, "application/json"),
    ],
)
def test_another_document_is_an_error(vendor: VendorWorld, body: bytes, kind: str) -> None:
    failure(vendor, lambda _: httpx.Response(200, content=body, headers={"Content-Type": kind}))


@pytest.mark.parametrize("part", [0.5, 0.9, 1.0])
def test_a_broken_off_answer_is_an_error(vendor: VendorWorld, part: float) -> None:
    good = vendor.says(2, 40)

    def respond(request: httpx.Request) -> httpx.Response:
        whole = good(request)
        told = whole.content.rstrip()
        kind = {"Content-Type": whole.headers.get("Content-Type", "")}
        return httpx.Response(200, content=told[: int(len(told) * part) - 1], headers=kind)

    failure(vendor, respond)


def test_an_endless_answer_is_an_error(vendor: VendorWorld) -> None:
    huge = b'{"x": "' + b"x" * 1_100_000 + b'"}'
    assert "bytes" in failure(vendor, lambda _: httpx.Response(200, content=huge))
