from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from otagate.fleet.generations import generation
from otagate.fleet.network import Exchange, Network
from otagate.fleet.outbox import MAX_WAIT_S, MAX_WAITING, Gate, Outbox
from support.hand_made_server import BASE, HandMadeServer


@dataclass
class Noted:
    seen: list[tuple[str, bool, int | None]] = field(default_factory=list)

    def told(self, event: dict[str, Any], exchange: Exchange, index: int | None, at: float) -> None:
        self.seen.append((event["action"], exchange.answer is not None, index))


def outbox(server: HandMadeServer, version: str, url: str = f"{BASE}/stats") -> tuple[Outbox, list[float], Noted]:
    plugin, wakes, noted = generation(version), list[float](), Noted()
    network = Network(server)
    return Outbox(url, plugin, network, Gate(plugin), random.Random(1), noted, wakes.append), wakes, noted


def event(name: str) -> dict[str, Any]:
    return {"action": name, "version_name": "1.0.0", "plugin_version": "8.51.23"}


def bodies(server: HandMadeServer) -> list[Any]:
    return [[one["action"] for one in body] if isinstance(body, list) else body["action"] for _m, _w, body in server.requests]


def test_newer_plugins_wait_a_second_and_send_an_array() -> None:
    server = HandMadeServer()
    box, wakes, noted = outbox(server, "8.42.0")
    box.put(event("a"), 10.0)
    box.put(event("b"), 10.4)
    assert (bodies(server), wakes) == ([], [11.0])
    box.flush(11.0)
    box.flush(12.0)
    assert bodies(server) == [["a", "b"]]
    assert noted.seen == [("a", True, 0), ("b", True, 1)]


def test_older_plugins_send_each_at_once() -> None:
    server = HandMadeServer()
    box, wakes, _noted = outbox(server, "8.41.3")
    box.put(event("a"), 1.0)
    box.put(event("b"), 1.0)
    assert (bodies(server), wakes) == (["a", "b"], [])


def test_the_worker_sends_by_itself() -> None:
    server = HandMadeServer()
    box, wakes, noted = outbox(server, "8.51.23")
    box.put_alone(event("a"), 1.0)
    assert (bodies(server), wakes, noted.seen) == (["a"], [], [("a", True, None)])


def test_nothing_is_sent_without_an_address() -> None:
    server = HandMadeServer()
    box, wakes, _noted = outbox(server, "8.51.23", url="")
    box.put(event("a"), 1.0)
    box.put_alone(event("a"), 1.0)
    assert (bodies(server), wakes, box.dropped) == ([], [], 1)


@pytest.mark.parametrize(
    ("version", "status", "kept"),
    [
        ("8.51.23", 0, True),
        ("8.51.23", 408, True),
        ("8.51.23", 500, True),
        ("8.51.23", 503, True),
        ("8.51.23", 400, False),
        ("8.51.23", 413, False),
        ("8.51.23", 200, False),
        ("8.45.11", 503, False),
        ("8.45.11", 0, False),
    ],
)
def test_what_is_sent_again(version: str, status: int, kept: bool) -> None:
    server = HandMadeServer(stats_status=status, is_dead=status == 0)
    box, wakes, _noted = outbox(server, version)
    box.put(event("a"), 1.0)
    box.flush(2.0)
    assert [one["action"] for one in box.waiting] == (["a"] if kept else [])
    assert box.dropped == (0 if kept or status == 200 else 1)
    assert wakes == ([2.0, 3.0] if kept else [2.0])


def test_new_events_go_behind_those_that_came_back() -> None:
    server = HandMadeServer(stats_status=503)
    box, _wakes, _noted = outbox(server, "8.51.23")
    box.put(event("a"), 1.0)
    box.flush(2.0)
    box.put(event("b"), 2.5)
    server.stats_status = 200
    box.flush(3.0)
    assert bodies(server) == [["a"], ["a", "b"]]


def test_only_two_hundred_wait() -> None:
    server = HandMadeServer(stats_status=503)
    box, _wakes, _noted = outbox(server, "8.51.23")
    for at in range(MAX_WAITING + 5):
        box.put(event(str(at)), 1.0)
    assert (len(box.waiting), box.waiting[0]["action"], box.dropped) == (MAX_WAITING, "5", 5)
    box.flush(2.0)
    assert len(box.waiting) == MAX_WAITING
    box.put(event("new"), 2.0)
    assert (box.waiting[0]["action"], box.waiting[-1]["action"], box.dropped) == ("6", "new", 6)


def test_retry_after_is_heeded() -> None:
    server = HandMadeServer(stats_status=429, headers={"Retry-After": "120"})
    box, wakes, _noted = outbox(server, "8.51.23")
    box.put(event("a"), 1.0)
    box.flush(2.0)
    assert box.gate.until == 122.0
    assert wakes == [2.0, 122.0]
    box.flush(3.0)
    assert len(server.requests) == 1
    server.stats_status = 200
    box.flush(122.0)
    assert (len(server.requests), box.waiting) == (2, [])


@pytest.mark.parametrize(
    ("header", "until"), [({}, 60.0), ({"retry-after": "soon"}, 60.0), ({"retry-after": "9999999"}, MAX_WAIT_S)]
)
def test_retry_after_has_bounds(header: dict[str, str], until: float) -> None:
    box, _wakes, _noted = outbox(HandMadeServer(stats_status=429, headers=header), "8.51.23")
    box.put(event("a"), 0.0)
    box.flush(0.0)
    assert box.gate.until == until


def test_between_a_latch_stopped_everything_until_the_next_start() -> None:
    server = HandMadeServer(stats_status=429)
    box, _wakes, _noted = outbox(server, "8.45.11")
    box.put(event("a"), 1.0)
    box.flush(2.0)
    assert box.gate.is_shut(10_000.0)
    box.put(event("b"), 3.0)
    assert (len(server.requests), box.dropped) == (1, 2)
    box.gate.restart()
    assert not box.gate.is_shut(10_000.0)


def test_long_before_nothing_was_heeded() -> None:
    box, _wakes, _noted = outbox(HandMadeServer(stats_status=429), "7.0.50")
    box.put(event("a"), 1.0)
    assert not box.gate.is_shut(1.0)
