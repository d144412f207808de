"""What devices run stays, as far as telemetry knows it; while it does not answer nothing goes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import AccessError, NotFoundError, UnavailableError
from otagate.flow.prune_devices import Heard, ask_devices
from otagate.model import Version
from otagate.policy.model.sources import TelemetrySpec
from support.counted import WHOLE, record, seen
from support.metric_server import send, serving
from support.prune_world import PruneWorld
from support.shop import open_shop
from support.world import DAY, HOUR


@pytest.fixture
def world(tmp_path: Path) -> PruneWorld:
    return PruneWorld(tmp_path, telemetry=TelemetrySpec(database=f"sqlite:///{tmp_path}/t.db")).fill()


def tell(world: PruneWorld, number: int, release: str, age: timedelta, **more: Any) -> None:
    record(world.folder / "t.db", seen(number, release, world.clock.now() - age, WHOLE, app="com.example.app", **more))


def going(world: PruneWorld, heard: Heard | None) -> list[str]:
    found = world.plan(in_use=heard.versions if heard else frozenset(), heard=heard)
    return [str(version) for item in found.garbage for version in item.versions]


def test_what_a_device_runs_stays(world: PruneWorld) -> None:
    tell(world, 1, "1.0.0", 20 * DAY)
    heard = ask_devices(world.process())
    assert heard == Heard(frozenset({Version("1.0.0")}), timedelta(days=30))
    assert going(world, heard) == ["2.0.0"]
    assert going(world, None) == ["1.0.0", "2.0.0"]


def test_a_device_that_was_not_seen_for_long_holds_nothing(world: PruneWorld) -> None:
    tell(world, 1, "1.0.0", 31 * DAY)
    tell(world, 2, "2.0.0", HOUR)
    assert going(world, ask_devices(world.process())) == ["1.0.0"]


def test_nonsense_that_a_device_claims_to_run_is_passed_over(world: PruneWorld) -> None:
    tell(world, 1, "1.0.0", HOUR, running="builtin")
    tell(world, 2, "1.0.0", HOUR, running="no version at all")
    heard = ask_devices(world.process())
    assert heard is not None
    assert heard.versions == {Version("1.0.0")}


def test_the_plan_says_what_telemetry_knew(world: PruneWorld) -> None:
    tell(world, 1, "1.0.0", HOUR)
    heard = ask_devices(world.process())
    plan = world.plan(in_use=frozenset(), heard=heard).plan
    assert ("devices", "telemetry knows 1 versions on devices seen within 30d") in plan.facts
    empty = world.plan(heard=Heard(frozenset(), DAY)).plan
    assert any("telemetry knows of no device" in note for note in empty.notes)
    assert not [fact for fact in world.plan().plan.facts if fact[0] == "devices"]


def test_without_telemetry_nobody_is_asked(tmp_path: Path) -> None:
    assert ask_devices(PruneWorld(tmp_path).process()) is None


def test_a_database_that_is_not_there_stops_the_prune(world: PruneWorld) -> None:
    with pytest.raises(NotFoundError) as caught:
        ask_devices(world.process())
    assert "so nothing is removed" in caught.value.what
    assert "--ignore-telemetry" in (caught.value.remedy or "")


@pytest.mark.integration
@pytest.mark.parametrize(("status", "kind"), [(401, AccessError), (404, UnavailableError)])
def test_a_server_that_refuses_stops_the_prune(status: int, kind: type[Exception], tmp_path: Path) -> None:
    with serving(lambda request, _: send(request, b"{}", status=status)) as base:
        world = PruneWorld(tmp_path, telemetry=TelemetrySpec(base, "file:token"))
        (tmp_path / "token").write_text("otg_token")
        with pytest.raises(kind, match="so nothing is removed"):
            ask_devices(world.process())


def test_the_command_asks_unless_it_is_told_not_to(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "app")
    with shop.path("otagate.yml").open("a") as policy:
        policy.write("telemetry: {database: 'sqlite:///t.db'}\n")
    refused = shop.run("prune", "--dry-run")
    assert (refused.code, "so nothing is removed" in refused.err) == (2, True)
    said = shop.run("prune", "--dry-run", "--ignore-telemetry")
    assert (said.code, "telemetry" in said.out) == (0, False), said.err
    record(shop.path("t.db"))
    asked = shop.run("prune", "--dry-run")
    assert asked.code == 0, asked.err
    assert "telemetry knows 0 versions" in asked.out
