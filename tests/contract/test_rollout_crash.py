"""A process killed at any write, and again while it recovers, ends where an undisturbed one does.

Each life is a list of commands. A killed command is simply run again, by a process that knows nothing. At every kill the store
must be in a state that may be seen; at the end it must look as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from otagate.errors import UnavailableError
from otagate.flow import actions
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, Version, Weight
from otagate.policy.model import TrackSpec
from otagate.rollout.state import Stage
from support.faulty import Crash, Fault, FaultyStore, Plan
from support.world import BAD, DAY, GOOD, HOUR, PRODUCTION, World, check_invariants, phase, picture, track

Command = Callable[[World, Workspace], object]


@dataclass(frozen=True)
class Life:
    """Commands in order, each after some time and with what devices then say."""

    commands: tuple[tuple[timedelta, dict[str, tuple[int, int]], Command], ...]
    end: Stage
    spec: TrackSpec = PRODUCTION
    before: tuple[str, ...] = ()
    """Releases that went all the way before."""
    rollout: str = "1.0.0-production"


def ship(version: str = "1.0.0") -> Command:
    return lambda world, here: world.run(version, workspace=here)


def by_hand(make: Callable[[Workspace], actions.Action]) -> Command:
    return lambda _world, here: make(here).carry_out()


def again(count: int, version: str = "1.0.0") -> tuple[tuple[timedelta, dict[str, tuple[int, int]], Command], ...]:
    return ((DAY, GOOD, ship(version)),) * count


def roll_back(world: World, here: Workspace) -> None:
    # Killed when nothing was left to do, there is no active rollout any more, and the command says so.
    if world.state().stage is not Stage.ROLLED_BACK or not world.state().is_over:
        actions.rollback(here, None, None, "a customer called").carry_out()


NOW = timedelta(0)
MEDIOCRE = {"crash_rate": (100, 2000), "success": (10, 2000)}
PAUSE = by_hand(lambda here: actions.pause(here, None, "a look first"))
RESUME = by_hand(lambda here: actions.resume(here, None, {}, "looks well"))
WAIVE = by_hand(lambda here: actions.resume(here, None, {"crash_rate": "known"}, "known"))
APPROVE = by_hand(lambda here: actions.approve(here, None, "beta", "fine"))
SHORT = track(phase("internal"), phase("beta", 20, 100))

LIVES = {
    "all the way": Life(((NOW, GOOD, ship()), *again(5)), Stage.COMPLETED),
    "all the way, the second release": Life(((NOW, GOOD, ship()), *again(3)), Stage.COMPLETED, SHORT, ("0.9.0",)),
    "a bad release is rolled back": Life(
        ((NOW, GOOD, ship()), *again(2), (HOUR, BAD, ship())), Stage.ROLLED_BACK, before=("0.9.0",)
    ),
    "paused and resumed by hand": Life(
        ((NOW, GOOD, ship()), (HOUR, GOOD, PAUSE), (HOUR, GOOD, ship()), (HOUR, GOOD, RESUME), *again(3)),
        Stage.COMPLETED,
        SHORT,
    ),
    "paused by a gate, waived": Life(
        ((NOW, GOOD, ship()), (DAY, MEDIOCRE, ship()), (HOUR, GOOD, ship()), (HOUR, GOOD, WAIVE), *again(3)),
        Stage.COMPLETED,
        SHORT,
    ),
    "rolled back by hand": Life(
        ((NOW, GOOD, ship()), *again(2), (HOUR, GOOD, roll_back)),
        Stage.ROLLED_BACK,
        SHORT,
        before=("0.9.0",),
    ),
    "paused, then superseded by the fix": Life(
        ((NOW, GOOD, ship()), (HOUR, GOOD, PAUSE), (HOUR, GOOD, ship("1.0.1")), *again(3, "1.0.1")),
        Stage.COMPLETED,
        SHORT,
        rollout="1.0.1-production",
    ),
    "approved": Life(
        ((NOW, GOOD, ship()), (DAY, GOOD, ship()), (HOUR, GOOD, APPROVE), (NOW, GOOD, ship()), *again(2)),
        Stage.COMPLETED,
        track(phase("internal"), phase("beta", 20, 100, approve=True)),
    ),
}
WRITES = ("create ", "replace ", "blobs.put", "blobs.delete")


def born(folder: Path, life: Life) -> World:
    world = World(folder, spec=life.spec)
    for version in life.before:
        world.to_completion(version)
    return world


def live(world: World, life: Life, plans: Iterator[Plan]) -> int:
    """Carry out a life; at each kill a new process runs the killed command again, under the next plan. Give the kills."""
    kills, plan = 0, next(plans)
    for wait, says, command in life.commands:
        world.clock.pass_(wait)
        world.devices.says = dict(says)
        for _ in range(10):
            try:
                command(world, world.process(FaultyStore(world.store, plan)))
            except (Crash, UnavailableError):
                kills += 1
                check_invariants(world)
                plan = next(plans)
            else:
                break
        else:
            message = "the command never succeeds"
            raise TimeoutError(message)
    check_invariants(world)
    return kills


def undisturbed(first: World, life: Life) -> tuple[list[int], dict[str, object]]:
    """Give the numbers of all writes of a life, and how it ends."""
    world, plan = first.twin(), Plan()
    assert live(world, life, iter([plan])) == 0
    assert world.state(life.rollout).stage is life.end
    return [at for at, name in enumerate(plan.seen) if name.startswith(WRITES)], picture(world)


def plans_of(*faults: tuple[int, Fault]) -> Iterator[Plan]:
    yield from (Plan(at, fault) for at, fault in faults)
    yield Plan()


@pytest.mark.parametrize("name", LIVES)
def test_a_kill_at_every_write(name: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    life = LIVES[name]
    first = born(tmp_path, life)
    writes, expected = undisturbed(first, life)
    schedules = 0
    for at in writes:
        for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            world = first.twin()
            assert live(world, life, plans_of((at, fault))) == 1, (at, fault)
            assert picture(world) == expected, (at, fault)
            schedules += 1
    record_property("schedules", schedules)
    print(f"{name}: {schedules} schedules")
    assert schedules == 2 * len(writes) >= 50


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.DUPLICATE, Fault.UNAVAILABLE, Fault.UNAVAILABLE_AFTER])
def test_answers_lost_doubled_and_refused_at_every_write(fault: Fault, tmp_path: Path) -> None:
    life = LIVES["paused and resumed by hand"]
    first = born(tmp_path, life)
    writes, expected = undisturbed(first, life)
    stops = fault in {Fault.UNAVAILABLE, Fault.UNAVAILABLE_AFTER}
    for at in writes:
        world = first.twin()
        assert live(world, life, plans_of((at, fault))) == int(stops), at
        assert picture(world) == expected, at
    print(f"{fault.value}: {len(writes)} schedules")
    assert len(writes) >= 25


def test_a_second_kill_while_it_recovers(tmp_path: Path) -> None:
    life = Life(
        ((NOW, GOOD, ship()), (DAY, GOOD, ship()), (HOUR, BAD, ship())),
        Stage.ROLLED_BACK,
        track(phase("internal"), phase("beta", 20, 100)),
    )
    first = born(tmp_path, life)
    writes, expected = undisturbed(first, life)
    schedules = 0
    for at in writes:
        world, probe = first.twin(), Plan()
        live(world, life, iter([Plan(at, Fault.CRASH_AFTER), probe]))
        following = [index for index, name in enumerate(probe.seen) if name.startswith(WRITES)]
        for second in following[:4]:  # what follows at once is recovery; what comes later was the first test's
            world = first.twin()
            kills = live(world, life, plans_of((at, Fault.CRASH_AFTER), (second, Fault.CRASH_BEFORE)))
            assert kills == 2, (at, second)
            assert picture(world) == expected, (at, second)
            schedules += 1
    print(f"two kills: {schedules} schedules")
    assert schedules >= 80


@pytest.mark.parametrize("weight", [2500, 10_000])
def test_a_promotion_by_hand_survives_a_kill_at_every_write(weight: int, tmp_path: Path) -> None:
    def promote(_world: World, here: Workspace) -> None:
        actions.promote(here, ChannelName("nightly"), Version("0.9.0"), Weight(weight)).carry_out()

    life = Life(((NOW, GOOD, promote),), Stage.COMPLETED, SHORT, ("0.9.0",), "0.9.0-production")
    first = born(tmp_path, life)
    writes, expected = undisturbed(first, life)
    for at in writes:
        for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER):
            world = first.twin()
            assert live(world, life, plans_of((at, fault))) == 1
            assert picture(world) == expected
            assert world.ledger()[-1].data["weight"] == f"{weight // 100}%"
    assert len(writes) >= 2
