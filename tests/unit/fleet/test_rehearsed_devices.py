"""What rehearsals ask of virtual devices beside the plugin's own ways."""

from __future__ import annotations

from typing import Any

import pytest

from otagate.errors import UsageError
from otagate.fleet.config import Crash, Faults, FleetConfig
from otagate.fleet.diary import Fact
from otagate.fleet.run import Fleet
from support.hand_made_server import BASE, HandMadeServer

START, DAY, HOUR = 1_800_000_000.0, 86_400.0, 3600.0


@pytest.fixture
def server() -> HandMadeServer:
    made = HandMadeServer()
    made.offers("2.0.0")
    return made


def run(server: HandMadeServer, *, days: float = 3, **more: Any) -> Fleet:
    settings = {"size": 20, "sessions_per_day": 8.0, "killed": 0.0, **more}
    fleet = Fleet(FleetConfig("com.example.app", BASE, **settings), server, seed=4, start=START)
    fleet.run_until(START + days * DAY)
    fleet.settle()
    return fleet


def test_builds_follow_channels_by_their_weights(server: HandMadeServer) -> None:
    fleet = run(server, size=200, days=0, follows={"beta": 1.0, "stable": 3.0})
    count = sum(device.channel == "beta" for device in fleet.devices)
    assert {device.channel for device in fleet.devices} == {"beta", "stable"}
    assert 30 <= count <= 70


def test_a_device_says_the_channel_of_its_build(server: HandMadeServer) -> None:
    run(server, follows={"beta": 1.0}, channel="other")
    asked = {body["defaultChannel"] for method, what, body in server.requests if (method, what) == ("POST", "updates")}
    assert asked == {"beta"}


def test_a_release_may_run_from_the_beginning(server: HandMadeServer) -> None:
    fleet = run(server, installed="1.0.0", faults={"2.0.0": Faults(boot=1.0)}, days=2)
    first = next(body for _method, what, body in server.requests if what == "updates")
    assert first["version_name"] == "1.0.0"
    assert {device.bundles.running for device in fleet.devices} == {"1.0.0"}
    assert fleet.diary.happened("2.0.0")["boot"] == 20


def test_it_is_known_who_met_a_fault_and_when(server: HandMadeServer) -> None:
    fleet = run(server, faults={"2.0.0": Faults(boot=0.5)})
    met, happened = fleet.diary.met["2.0.0"], fleet.diary.happened("2.0.0")
    assert 0 < len(met) == happened["boot"] < 20
    assert all(START < at < START + 3 * DAY for at in met.values())
    assert len(fleet.diary.moments["2.0.0", Fact.SET]) == happened["set"]


def test_other_bytes_are_a_fault(server: HandMadeServer) -> None:
    fleet = run(server, faults={"2.0.0": Faults(integrity=1.0)})
    assert len(fleet.diary.met["2.0.0"]) == 20


def test_late_crashes_begin_when_their_time_has_come(server: HandMadeServer) -> None:
    crash = Crash(1.0, after_s=24 * HOUR, within_s=HOUR, again=1.0)
    fleet = run(server, faults={"2.0.0": Faults(crashes=(crash,))}, days=4)
    installed = min(fleet.diary.moments["2.0.0", Fact.SET])
    met = fleet.diary.met["2.0.0"]
    assert len(met) == 20
    assert min(met.values()) >= installed + 24 * HOUR
    assert sum(action == "app_crash" for action, _version in server.told()) > 40


def test_what_crashes_in_any_release_is_no_fault_and_happens_once(server: HandMadeServer) -> None:
    usual = Crash(1.0, is_fault=False)
    fleet = run(server, other_faults=Faults(crashes=(usual,)))
    assert "2.0.0" not in fleet.diary.met
    assert fleet.diary.happened("2.0.0")["crashed"] == 20
    assert [action for action, _version in server.told()].count("app_crash") == 20


def test_downloads_fail_on_the_way_until_one_does_not(server: HandMadeServer) -> None:
    fleet = run(server, download_failures=0.5)
    happened = fleet.diary.happened("2.0.0")
    assert happened["network"] > 3
    assert happened["ready"] == 20
    assert "2.0.0" not in fleet.diary.met


def test_sessions_in_which_nothing_happens_are_one_request(server: HandMadeServer) -> None:
    other = HandMadeServer()
    other.offers("2.0.0")
    loud, quiet = run(server, killed=0.5), run(other, killed=0.5, tells_sessions=False)
    actions = {action for action, _version in other.told()}
    assert not actions & {"app_moved_to_foreground", "app_moved_to_background", "app_launch_start"}
    assert len(other.requests) < len(server.requests) / 2
    assert loud.diary.counts("2.0.0")["success"] == quiet.diary.counts("2.0.0")["success"] == 20


@pytest.mark.parametrize(
    "more", [{"download_failures": 2}, {"follows": {"beta": -1.0}}, {"other_faults": Faults(crashes=(Crash(1.5),))}]
)
def test_what_cannot_be_is_refused(server: HandMadeServer, more: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        run(server, **more)
