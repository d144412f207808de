from __future__ import annotations

import random
from typing import Any

import pytest

from otagate.fleet.channels import leave_channel
from otagate.fleet.config import FleetConfig
from otagate.fleet.run import Fleet
from support.hand_made_server import BASE, HandMadeServer

LISTED = [
    {"id": 7, "name": "beta", "public": False, "allow_self_set": True},
    {"id": 8, "name": "inner", "allow_self_set": False},
]
START = 1_800_000_000.0


def run(server: HandMadeServer, version: str = "8.51.23", chooses: dict[str, float] | None = None, **more: Any) -> Fleet:
    config = FleetConfig(
        "com.example.app",
        BASE,
        size=1,
        generations={version: 1},
        chooses=chooses or {"beta": 1.0},
        **{"channel": "main", **more},
    )
    fleet = Fleet(config, server, seed=2, start=START)
    fleet.run_until(START + 86_400)
    return fleet


def calls(server: HandMadeServer) -> list[str]:
    return [method for method, what, _body in server.requests if what == "channel_self"]


def asked_with(server: HandMadeServer) -> set[str]:
    return {body["defaultChannel"] for _method, what, body in server.requests if what == "updates"}


@pytest.mark.parametrize(("version", "kept"), [("8.51.23", True), ("7.34.0", True), ("7.28.0", False), ("6.14.19", False)])
def test_a_device_chooses_once(version: str, kept: bool) -> None:
    server = HandMadeServer(channels=LISTED)
    fleet = run(server, version)
    assert calls(server) == ["GET", "POST", "PUT"]
    chosen = next(body for method, what, body in server.requests if what == "channel_self" and method == "POST")
    assert (chosen["channel"], chosen["defaultChannel"]) == ("beta", "main")
    assert asked_with(server) == ({"beta"} if kept else {"main"})
    assert fleet.devices[0].followed == "beta"


@pytest.mark.parametrize(
    ("channels", "answer"),
    [
        (LISTED, {"error": "cannot_override", "message": "no"}),
        ([{"id": "7", "name": "beta", "allow_self_set": True}], {"status": "ok"}),
        ([LISTED[1]], {"status": "ok"}),
        ([*LISTED, "x"], {"status": "ok"}),
        ({"error": "x"}, {"status": "ok"}),
    ],
)
def test_what_is_not_offered_or_refused_changes_nothing(channels: Any, answer: dict[str, Any]) -> None:
    server = HandMadeServer(channels=channels, own_answer=answer)
    fleet = run(server)
    assert asked_with(server) == {"main"}
    assert fleet.devices[0].followed == "main"
    assert (calls(server) == ["GET"]) == ("error" not in answer)


def test_a_share_of_the_devices_chooses() -> None:
    server = HandMadeServer(channels=LISTED)
    run(server, chooses={"inner": 0.0, "beta": 0.0})
    assert calls(server) == []


def test_the_default_channel_is_no_choice() -> None:
    server = HandMadeServer(channels=LISTED, own_answer={"status": "ok", "unset": True})
    run(server)
    assert asked_with(server) == {"main"}


@pytest.mark.parametrize(("version", "deletes"), [("8.51.23", 0), ("7.28.0", 1)])
def test_who_chose_may_take_it_back(version: str, deletes: int) -> None:
    server = HandMadeServer(channels=LISTED)
    fleet = run(server, version, leaves=1.0)
    assert calls(server).count("POST") == 1
    # What is not chosen any more cannot be left again.
    assert calls(server).count("DELETE") == deletes
    assert (fleet.devices[0].channel, fleet.devices[0].followed) == ("main", "main")


def test_nobody_leaves_unless_it_is_said() -> None:
    server = HandMadeServer(channels=LISTED)
    assert run(server, "7.28.0").devices[0].followed == "beta"
    assert "DELETE" not in calls(server)


class Always(random.Random):
    """Every chance comes true."""

    def random(self) -> float:
        return 0.0


def test_nobody_is_asked_while_the_server_wants_quiet() -> None:
    server = HandMadeServer(channels=LISTED)
    device = run(server, "7.28.0", leaves=1e-9).devices[0]
    device.chance, device.gate.is_latched = Always(), True
    del server.requests[:]
    leave_channel(device)
    assert (server.requests, device.followed) == ([], "beta")


def test_nothing_is_chosen_without_an_answer() -> None:
    server = HandMadeServer(is_dead=True)
    fleet = run(server)
    assert fleet.devices[0].followed == "main"
