"""`otagate metrics get`: what is asked of telemetry, what stands beside it, and what is said when it does not answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.cli.main import VERBS
from otagate.cli.render.human import plain
from otagate.cli.render.metrics import metrics_data, metrics_view
from otagate.errors import AccessError, UnavailableError, UsageError
from otagate.flow.counting import MOST_RELEASES, Figures, Report, Role, Wanted, answering, gather
from otagate.gate.interface import SourceError
from otagate.model import ChannelName, Version
from otagate.policy.model.sources import TelemetrySpec
from otagate.telemetry.metrics import Tally
from otagate.telemetry.model import VERIFY_BOUNDS_S, Counts, Mark
from support.counted import WHOLE, record, seen
from support.shop import Shop, open_shop
from support.world import DAY, HOUR, NOW, World, phase, track

LIVE = ChannelName("stable")
FAILED = Mark.OFFERED | Mark.STARTED


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a world in which 0.9.0 is stable and 1.0.0 is its candidate, on channel ``stable``."""
    file = tmp_path / "t.db"
    made = World(tmp_path, spec=track(phase("stable", 5, 100)), telemetry=TelemetrySpec(database=f"sqlite:///{file}"))
    made.to_completion("0.9.0")
    made.run("1.0.0")
    return made


def tell(world: World, number: int, release: str, age: timedelta, marks: Mark = WHOLE, **more: Any) -> None:
    given = {"channel": "stable", "app": "com.example.app", **more}
    record(world.folder / "t.db", seen(number, release, world.clock.now() - age, marks, **given))


def get(world: World, **wanted: Any) -> Report:
    return gather(world.process(), Wanted(**{"last": DAY, **wanted}))


def by_release(report: Report) -> dict[str, Figures]:
    return {one.release: one for one in report.figures}


def test_candidate_and_control_are_apart(world: World) -> None:
    for number in range(3):
        tell(world, number, "1.0.0", HOUR)
    tell(world, 3, "1.0.0", HOUR, FAILED | Mark.INTEGRITY)
    tell(world, 4, "0.9.0", HOUR)
    found = get(world)
    new, old = by_release(found)["1.0.0"], by_release(found)["0.9.0"]
    assert (new.roles, old.roles) == ((Role(LIVE, "candidate"),), (Role(LIVE, "control"),))
    assert (new.counts.devices, new.counts.success, new.counts.integrity) == (4, 3, 1)
    assert (old.counts.devices, old.active, new.active) == (1, 1, 3)
    assert found.fleet == 5
    assert (found.end - found.start, found.left_out) == (DAY, 0)


def test_what_a_channel_serves_is_shown_also_without_new_devices(world: World) -> None:
    tell(world, 1, "1.0.0", HOUR)
    tell(world, 2, "0.9.0", 3 * DAY)
    found = by_release(get(world))
    assert found["0.9.0"].counts == Counts()
    assert found["0.9.0"].active == 0


def test_only_what_is_wanted_is_counted(world: World) -> None:
    tell(world, 1, "1.0.0", HOUR)
    tell(world, 2, "1.0.0", HOUR, platform="android", plugin="7.0.0")
    tell(world, 3, "1.0.0", HOUR, channel="beta")
    tell(world, 4, "1.0.0", HOUR, is_test=True)
    tell(world, 5, "0.8.0", HOUR, channel="beta")
    assert by_release(get(world))["1.0.0"].counts.devices == 3
    assert by_release(get(world, platform="android"))["1.0.0"].counts.devices == 1
    assert get(world, platform="android").fleet == 1
    assert by_release(get(world, channel=LIVE))["1.0.0"].counts.devices == 2
    assert "0.8.0" not in by_release(get(world, channel=LIVE))
    assert set(by_release(get(world, release=Version("1.0.0")))) == {"1.0.0"}
    assert by_release(get(world, release=Version("7.0.0")))["7.0.0"].counts == Counts()
    for narrowed in (get(world, plugin="7.0.0"), get(world, test=True)):
        assert by_release(narrowed)["1.0.0"].counts.devices == 1
        assert (narrowed.fleet, by_release(narrowed)["1.0.0"].active) == (None, None)


def test_adoption_is_told_of_devices_that_are_old_enough(world: World) -> None:
    tell(world, 1, "1.0.0", 30 * HOUR)
    tell(world, 2, "1.0.0", 30 * HOUR, FAILED)
    tell(world, 3, "1.0.0", HOUR, FAILED)
    assert by_release(get(world, last=2 * DAY))["1.0.0"].adoption == Tally(1, 2)
    assert by_release(get(world))["1.0.0"].adoption is None


def test_many_releases_are_cut(world: World) -> None:
    for number in range(MOST_RELEASES + 3):
        tell(world, number, f"3.0.{number}", HOUR)
    found = get(world)
    assert len(found.figures) == MOST_RELEASES
    assert found.left_out == 5  # with the two that the channel serves


def test_a_store_that_cannot_be_read_hides_no_counts(world: World) -> None:
    tell(world, 1, "1.0.0", HOUR)
    process = world.process()
    there = world.store.documents.read("apps/com.example.app/channels/stable.json")
    assert there is not None
    world.store.documents.replace("apps/com.example.app/channels/stable.json", b"{}", there.token)
    found = gather(process, Wanted(DAY))
    assert by_release(found)["1.0.0"].roles == ()


def test_without_telemetry_the_policy_is_to_be_mended(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="telemetry"):
        get(World(tmp_path))


@pytest.mark.parametrize(
    ("found", "kind"), [("HTTP 401", AccessError), ("HTTP 403", AccessError), ("HTTP 503 (3 tries)", UnavailableError)]
)
def test_what_fails_ends_the_command_in_a_class_of_its_own(found: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, answering():
        raise SourceError("a metric source failed", "GET https://u", found=found)
    assert "GET https://u" in str(caught.value)


# What people and programs see.

BINS = (0, 0, 96, *(0,) * (len(VERIFY_BOUNDS_S) - 3), 4)
COUNTS = Counts(
    devices=104, offered=100, pending=1, success=95, network=2, integrity=1, boot=3, refusal=2, ran=98, crashed=1,
    errored=2, adopted_24h=90, verify=(*BINS, 0)[: len(VERIFY_BOUNDS_S) + 1], newest_at=NOW,
)  # fmt: skip
REPORT = Report(
    NOW - DAY, NOW, (Figures("1.0.0", (Role(LIVE, "candidate"),), COUNTS, Tally(10, 100), 60), Figures("0.9.0", (), Counts(), None, None)),
    120, 2,
)  # fmt: skip


def test_the_json_is_flat_counts_and_no_shares() -> None:
    data = metrics_data("com.example.app", Wanted(DAY, LIVE, None, "ios"), REPORT)
    assert json.loads(json.dumps(data)) == data
    new, old = data["releases"]
    assert new["metrics"]["device_success_rate"] == {"bad": 6, "total": 101}
    assert new["metrics"]["adoption_24h"] == {"bad": 10, "total": 100}
    assert set(new["metrics"]) == {"crash_rate", "error_rate", "device_success_rate", "rollout_completion", "adoption_24h"}
    assert new["verification"] == {"devices": 100, "p50_at_most_s": 5, "p95_at_most_s": 5}
    assert new["roles"] == [{"channel": "stable", "role": "candidate"}]
    assert (old["metrics"]["adoption_24h"], old["active_devices"]) == (None, None)
    assert old["verification"] == {"devices": 0, "p50_at_most_s": None, "p95_at_most_s": None}
    assert (data["channel"], data["platform"], data["plugin"], data["test_devices"]) == ("stable", "ios", None, False)
    assert (data["start"], data["active_devices"], data["left_out"]) == ("2026-11-20T09:30:00.000000Z", 120, 2)


def test_people_see_shares_and_failures_by_class() -> None:
    text = "\n".join(line for block in metrics_view("com.example.app", Wanted(DAY), REPORT) for line in plain(block))
    row = next(line for line in text.splitlines() if "candidate of stable" in line)
    for part in ("94.06%", "95.00%", "1.02%", "2.04%", "5s", "90.00%", "60 (50.00%)"):
        assert part in row
    assert "2 older releases are not shown" in text
    failures = text.splitlines()[-5:]
    assert failures[1].split() == ["1.0.0", "1", "2", "1", "3", "2"]


def test_a_time_beyond_the_last_bound_is_said_so() -> None:
    slow = Figures("1.0.0", (), Counts(devices=1, verify=(*(0,) * len(VERIFY_BOUNDS_S), 1)), None, 0)
    report = Report(NOW - DAY, NOW, (slow,), 0, 0)
    text = "\n".join(line for block in metrics_view("a", Wanted(DAY, test=True), report) for line in plain(block))
    assert "over 1800s" in text
    assert "emulators and development builds" in text


@pytest.mark.parametrize(("devices", "is_said"), [(0, True), (1, False)])
def test_who_came_just_now_is_not_missing(devices: int, is_said: bool) -> None:
    fresh = Figures("1.0.0", (), Counts(devices=devices), None, 3)
    view = metrics_view("a", Wanted(DAY), Report(NOW - DAY, NOW, (fresh,), 3, 0))
    text = "\n".join(line for block in view for line in plain(block))
    assert ("devices that came since 09:30 are counted when their five minutes are over" in text) is is_said


def test_nothing_heard_is_said() -> None:
    (last,) = metrics_view("a", Wanted(DAY), Report(NOW - DAY, NOW, (), None, 0))[-1:]
    assert plain(last) == ["telemetry heard of no release in this time"]


# The command.


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    made = open_shop(tmp_path_factory.mktemp("metrics") / "app")
    with made.path("otagate.yml").open("a") as policy:
        policy.write("telemetry: {database: 'sqlite:///t.db'}\n")
    now = datetime.now(tz=UTC)
    record(made.path("t.db"), seen(1, "1.0.0", now - timedelta(minutes=20)), seen(2, "1.0.0", now - timedelta(minutes=30)))
    return made


def test_the_command_counts(shop: Shop) -> None:
    said = shop.run("metrics", "get", "--last", "6h", "--format", "json")
    assert said.code == 0, said.err
    data = json.loads(said.out)
    assert data["schema"] == "otagate/metrics/v1"
    (release,) = data["releases"]
    assert (release["release"], release["counts"]["success"], release["active_devices"]) == ("1.0.0", 2, 2)
    assert release["roles"] == [{"channel": "live", "role": "stable"}]
    text = shop.run("metrics", "get").out
    assert "stable of live" in text
    assert "metrics" in VERBS


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("--last", "soon"), 2, "--last is no length of time"),
        (("--last", "0s"), 2, "--last is no length of time"),
        (("--plugin", "8.1"), 2, "three numbers such as 8.1.0"),
        (("--release", "new"), 2, "version"),
        (("--platform", "web"), 2, "invalid choice"),
    ],
)
def test_what_is_asked_is_checked(argv: tuple[str, ...], code: int, said: str, shop: Shop) -> None:
    found = shop.run("metrics", "get", *argv)
    assert (found.code, said in found.err) == (code, True), found.err


def test_a_database_that_is_not_there_is_said(shop: Shop, tmp_path: Path) -> None:
    other = open_shop(tmp_path / "app")
    with other.path("otagate.yml").open("a") as policy:
        policy.write("telemetry: {database: 'sqlite:///nowhere.db'}\n")
    found = other.run("metrics", "get")
    assert found.code == 2
    assert "nowhere.db" in found.err
    assert not other.path("nowhere.db").exists()


@pytest.mark.parametrize("is_variable", [False, True])
def test_without_telemetry_in_the_policy_the_database_that_serve_makes_is_read(is_variable: bool, tmp_path: Path) -> None:
    made = open_shop(tmp_path / "app")
    file = made.path("elsewhere.sqlite" if is_variable else ".otagate/telemetry.sqlite")
    record(file, seen(1, "1.0.0", datetime.now(tz=UTC) - timedelta(minutes=20)))
    environ = {"OTAGATE_DATABASE": f"sqlite:///{file}"} if is_variable else {}
    said = made.run("metrics", "get", "--format", "json", **environ)
    assert said.code == 0, said.err
    assert json.loads(said.out)["releases"][0]["counts"]["success"] == 1
