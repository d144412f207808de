"""What every metric source does, whatever it reads from: the same answers, the same verdict."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import pytest

from otagate.gate.interface import MetricQuery, MetricSource, SourceError
from otagate.gate.sources.registry import open_source
from otagate.gate.sources.telemetry_reader import counts_data
from otagate.policy.model import CommandSource, FileSource, HttpSource, TelemetrySource, TelemetrySpec
from otagate.telemetry.model import VERIFY_BOUNDS_S, Counts, DeviceFacts, Mark, Observation
from otagate.telemetry.sql import open_telemetry
from support.metric_server import Respond, send, serving

START = datetime(2026, 11, 21, tzinfo=UTC)
QUERY = MetricQuery("crash_rate", "com.example.app", "stable", "1.4.2", START, START + timedelta(hours=1), 500)
HOSTILE = "1.0.0-a\"b'c{end}$(touch pwned)`x`&d=e?f#g%2F h;i|j\n--k"

PRINT_FILE = "import pathlib, sys; sys.stdout.buffer.write(pathlib.Path('answer').read_bytes())"
ECHO = 'import hashlib, sys; print(\'{"bad": 0, "total": %d}\' % int(hashlib.sha256(sys.argv[1].encode()).hexdigest()[:8], 16))'


def fingerprint(text: str) -> int:
    """What a source that was told ``text`` gives as total: proof that nothing of it was lost or read as syntax."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


class AnyWorld(Protocol):
    """One kind of source and whatever stands behind it."""

    hostile: str
    """A release whose version is read as syntax where one is careless."""
    echoed: int
    """What an echoing source gives as total for it."""

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


NEWEST = START + timedelta(minutes=30)


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
        spec = HttpSource(url=url, bad="bad", total="total", newest_at="newest_at")
        if url.endswith("plain"):
            spec = HttpSource(url=url, bad="bad", total="total")
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
        return self._counts(Counts(devices=total, ran=total, crashed=bad, newest_at=NEWEST))

    def absent(self) -> MetricSource:
        return self._counts(Counts())

    def broken(self) -> MetricSource:
        return self._source(lambda request, _: send(request, b'{"error": "unauthorized"}', status=401))

    def echoing(self) -> MetricSource:
        def respond(request: BaseHTTPRequestHandler, _: bytes) -> None:
            told = parse_qs(urlsplit(request.path).query)["release"]
            total = fingerprint("".join(told))
            send(request, self._document(Counts(devices=total, ran=total, newest_at=NEWEST)))

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
COUNTING = (*ANSWERING, pytest.param("server", marks=pytest.mark.integration), "database")


@pytest.fixture(name="any_world", params=COUNTING)
def make_any_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyWorld]:
    with ExitStack() as stack:
        match request.param:
            case "server":
                yield ServerWorld(stack)
            case "database":
                yield DatabaseWorld(tmp_path)
            case kind:
                yield answering_world(kind, tmp_path, stack)


@pytest.fixture(name="world", params=ANSWERING)
def make_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield answering_world(request.param, tmp_path, stack)


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
    assert (found.bad, found.total, found.newest_at) == (bad, total, NEWEST)
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
