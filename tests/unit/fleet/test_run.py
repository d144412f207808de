from __future__ import annotations

from typing import Any

import pytest

from otagate.errors import UsageError
from otagate.fleet.config import Faults, FleetConfig
from otagate.fleet.device import NEVER
from otagate.fleet.generations import REPRESENTATIVE
from otagate.fleet.live import run_live
from otagate.fleet.run import Fleet
from support.hand_made_server import BASE, HandMadeServer

START = 1_800_000_000.0


def config(**more: Any) -> FleetConfig:
    settings = {"size": 30, "loss": 0.05, "other_faults": Faults(boot=0.1, crash=0.05), "arrival": "uniform"}
    return FleetConfig("com.example.app", BASE, generations=dict.fromkeys(REPRESENTATIVE, 1.0), **{**settings, **more})


def run(seed: int, steps: int = 1) -> list[tuple[str, str, Any]]:
    server = HandMadeServer()
    server.offers("1.2.3")
    fleet = Fleet(config(), server, seed, start=START)
    for step in range(1, steps + 1):
        fleet.run_until(START + 86_400 * step / steps)
    assert fleet.now == START + 86_400
    return server.requests


def test_the_same_seed_does_the_same() -> None:
    assert run(1) == run(1, steps=7)
    assert run(1) != run(2)


def test_a_configuration_that_cannot_be_makes_no_fleet() -> None:
    with pytest.raises(UsageError):
        Fleet(config(size=-1), HandMadeServer(), 1, start=START)


def test_a_device_with_nothing_to_do_is_not_woken() -> None:
    server = HandMadeServer()
    fleet = Fleet(config(size=1), server, 1, start=START)
    device = fleet.devices[0]
    device._agenda.clear()
    assert device.wake(START + 1) == NEVER
    fleet.run_until(START + 10_000_000)
    assert fleet.agenda == []
    assert server.requests == []


def test_a_fleet_runs_with_the_machines_clock() -> None:
    server = HandMadeServer()
    server.offers("1.2.3")
    fleet = Fleet(config(loss=0.0, size=8, sessions_per_day=24.0), server, 1, start=START, stamp=lambda _at: 42.0)
    passed = iter(range(100_000))
    shares: list[float] = []
    slept: list[float] = []
    clock = lambda: next(passed) / 10  # noqa: E731 - two words
    run_live(fleet, duration_s=40, speed=2160, threads=4, on_progress=shares.append, clock=clock, sleep=slept.append)
    assert all(0 <= length <= 0.5 for length in slept)
    assert fleet.now == START + 86_400
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert fleet.traffic.requests == len(server.requests) + len(server.ranges) > 0
    assert {answer.at for answer in fleet.diary.answers} == {42.0}


def test_a_live_fleet_with_nothing_to_do_ends() -> None:
    slept: list[float] = []
    fleet = Fleet(config(size=1), HandMadeServer(), 1, start=START)
    fleet.agenda.clear()
    passed = iter([0.0, 0.0, 1.0, 2.5])
    run_live(fleet, duration_s=2, clock=lambda: next(passed), sleep=slept.append)
    assert slept == [0.5, 0.5]


def test_what_fails_in_a_device_is_not_swallowed() -> None:
    server = HandMadeServer(update={"version": "1.0.0", "url": "http://x/y", "checksum": "z"}, blobs={"http://x/y": b"x"})
    server.download = None  # type: ignore[method-assign, assignment]
    fleet = Fleet(config(loss=0.0, size=1), server, 1, start=START)
    passed = iter(range(1000))
    with pytest.raises(TypeError):
        run_live(fleet, duration_s=100, speed=86_400, clock=lambda: float(next(passed)), sleep=lambda _length: None)
