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
from otagate.policy.model import CommandSource, FileSource, HttpSource
from support.metric_server import send, serving

START = datetime(2026, 11, 21, tzinfo=UTC)
QUERY = MetricQuery("crash_rate", "com.example.app", "stable", "1.4.2", START, START + timedelta(hours=1), 500)
HOSTILE = "1.0.0-a\"b'c{end}$(touch pwned)`x`&d=e?f#g%2F h;i|j\n--k"

PRINT_FILE = "import pathlib, sys; sys.stdout.buffer.write(pathlib.Path('answer').read_bytes())"
ECHO = 'import hashlib, sys; print(\'{"bad": 0, "total": %d}\' % int(hashlib.sha256(sys.argv[1].encode()).hexdigest()[:8], 16))'


def fingerprint(text: str) -> int:
    """What a source that was told ``text`` gives as total: proof that nothing of it was lost or read as syntax."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


class World(Protocol):
    """One kind of source and whatever stands behind it."""

    def answering(self, payload: bytes) -> MetricSource:
        """Give a source whose other side answers with these bytes."""
        ...

    def absent(self) -> MetricSource:
        """Give a source whose other side has never heard of the release."""
        ...

    def broken(self) -> MetricSource:
        """Give a source that cannot work."""
        ...

    def echoing(self) -> MetricSource:
        """Give a source that answers with the fingerprint of the release that it was told."""
        ...


class FileWorld:
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


@pytest.fixture(params=["file", "command", pytest.param("http", marks=pytest.mark.integration)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        match request.param:
            case "file":
                yield FileWorld(tmp_path)
            case "command":
                yield CommandWorld(tmp_path)
            case _:
                yield HttpWorld(stack)


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


def test_unknown_release_is_no_data(world: World) -> None:
    found = world.absent().read(QUERY)
    assert (found.bad, found.total) == (None, None)


def test_what_cannot_be_read_is_an_error(world: World) -> None:
    with pytest.raises(SourceError):
        world.broken().read(QUERY)


def test_hostile_values_stay_values(world: World, tmp_path: Path) -> None:
    query = MetricQuery("crash_rate", "a&b", "stable", HOSTILE, QUERY.start, QUERY.end, 500)
    found = world.echoing().read(query)
    assert found.total == fingerprint(HOSTILE)
    assert not list(tmp_path.rglob("pwned"))
    # What is kept as evidence cannot forge a line of output.
    assert "\n" not in found.query


def test_reading_twice_is_reading_once(world: World) -> None:
    source = world.answering(b'{"bad": 1, "total": 9}')
    assert source.read(QUERY) == source.read(QUERY)


def test_one_count_for_several_limits_is_refused(world: World) -> None:
    query = MetricQuery("verification_time", "a", "stable", "1.4.2", QUERY.start, QUERY.end, 500, timedelta(seconds=45))
    with pytest.raises(SourceError, match=r"one count for several limits"):
        world.answering(b'{"bad": 1, "total": 9}').read(query)
