"""One store out of three fails at every single operation, in every way: nothing dangles meanwhile, and a rerun ends the same.

After each write to any store a guard looks whether a pointer anywhere serves what is not whole in that same store. The
operations are counted, so that a new call is covered without anybody thinking of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import OtagateError
from otagate.flow.actions import rollback
from otagate.model import ChannelName, Version, Weight
from otagate.store.interface import Store
from otagate.store.registry import open_store
from support.faulty import Crash, Fault, Plan
from support.mirrored import Down, Guard, GuardedBlobs, GuardedDocuments, MirroredStore, MirroredWorld, contents, faulty
from support.world import DAY, phase, track

SPEC = track(phase("internal"), phase("stable", 5, 100))
STRIDE = 5
"""Of the operations of the first store, which the suites of the rollout go through one by one, every fifth."""
RARE = {Fault.DUPLICATE: 4, Fault.LOST_ANSWER: 4, Fault.UNAVAILABLE_AFTER: 3, Fault.CRASH_AFTER: 2}
"""Of a mirror's operations only so many-th in these ways; set it to {} to go through all (half a minute)."""
Scene = Callable[[MirroredWorld], None]


def fresh(folder: Path, mirrors: int = 2) -> MirroredWorld:
    world = MirroredWorld(folder, mirrors, spec=SPEC, gates=())
    (folder / "dist" / "app.js").write_text("CapacitorUpdater.notifyAppReady() // 1.0.0")
    return world


def ship(world: MirroredWorld, store: Store | None = None) -> None:
    """Publish a release and bring it along its track, a process a day. A step that a mirror holds is taken the day after."""
    for _ in range(8):
        if world.run("1.0.0", workspace=world.process(store)).state.is_terminal:
            return
        world.clock.pass_(DAY)


def shipped(folder: Path) -> MirroredWorld:
    world = fresh(folder)
    ship(world)
    return world


def gone_back(world: MirroredWorld, store: Store | None = None) -> None:
    """Roll two channels back, one after the other."""
    for name in ("stable", "internal"):
        rollback(world.process(store), ChannelName(name), None, "bad").carry_out()


def caught_up(world: MirroredWorld, store: Store | None = None) -> None:
    world.process(store).mirrors.survey(everything=True, thorough=True, mend=True)


def emptied(folder: Path) -> MirroredWorld:
    """Give a world whose mirrors are new and empty."""
    world = shipped(folder)
    for mirror in world.inner:
        for key in list(mirror.documents.keys("apps/")):
            mirror.documents.delete(key)
        for blob in list(mirror.blobs.list()):
            mirror.blobs.delete(blob.digest)
    world.guard.faults.clear()
    return world


SCENES: dict[str, tuple[Callable[[Path], MirroredWorld], Callable[..., None]]] = {
    "ship": (fresh, ship),
    "roll back": (shipped, gone_back),
    "catch up": (emptied, caught_up),
}


def check(world: MirroredWorld) -> None:
    first = contents(world.store)
    assert [contents(mirror) for mirror in world.inner] == [first] * len(world.inner)
    assert world.guard.faults == []


def settle(world: MirroredWorld) -> None:
    """Bring mirrors up as a scheduled reconcile does; after a paused step, as a person does."""
    world.process().mirrors.follow_all()


def served(world: MirroredWorld) -> list[Any]:
    states = [world.channel(name) for name in ("internal", "stable")]
    return [state and (str(state.stable), state.candidate, state.paused) for state in states]


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("fault", Fault)
def test_a_mirror_fails_at_any_operation_and_a_rerun_ends_the_same(tmp_path: Path, scene: str, fault: Fault) -> None:
    numbers = itertools.count()
    prepare, act = SCENES[scene]
    expected, operations = dry_run(tmp_path / "dry", scene)
    assert len(operations) >= 5
    died = 0
    points = range(0, len(operations), RARE.get(fault, 1))
    for at in points:
        world = prepare(tmp_path / str(next(numbers)))
        plan = world.plans[1]
        plan.at, plan.fault = len(plan.seen) + at, fault
        try:
            act(world)
        except (Crash, OtagateError):
            died += 1
            act(world)
        settle(world)
        assert served(world) == expected, (operations[at], world.warnings)
        check(world)
    print(
        f"{scene}, {fault.value}: {len(points)} of {len(operations)} operations of one mirror, {died} died and were done again"
    )


def dry_run(folder: Path, scene: str) -> tuple[list[Any], list[str]]:
    prepare, act = SCENES[scene]
    world = prepare(folder)
    seen = world.plans[1].seen
    before = len(seen)
    act(world)
    check(world)
    return served(world), seen[before:]


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("scene", SCENES)
def test_the_first_store_s_process_dies_at_any_operation_and_a_rerun_ends_the_same(
    tmp_path: Path, scene: str, fault: Fault
) -> None:
    numbers = itertools.count()
    prepare, act = SCENES[scene]
    expected, _ = dry_run(tmp_path / "dry", scene)
    plan = Plan()
    counted = prepare(tmp_path / "counted")
    act(counted, counted.with_first(plan))
    died, points = 0, range(0, len(plan.seen), STRIDE)
    for at in points:
        world = prepare(tmp_path / str(next(numbers)))
        with pytest.raises(Crash):
            act(world, world.with_first(Plan(at, fault)))
        died += 1
        act(world)
        settle(world)
        assert served(world) == expected, plan.seen[at]
        check(world)
    assert died == len(points) >= 5
    print(f"{scene}, {fault.value}: {died} of {len(plan.seen)} operations of the first store")


def test_a_mirror_is_away_the_whole_time_and_the_first_store_still_goes_back(tmp_path: Path) -> None:
    world = shipped(tmp_path)
    world.plans[0].is_down = True
    gone_back(world)
    assert served(world) == [("None", None, False)] * 2
    assert world.guard.faults == []
    world.plans[0].is_down = False
    settle(world)
    check(world)


@pytest.mark.parametrize("kinds", [("folder",), ("folder", "memory"), ("memory", "folder", "folder")])
def test_stores_of_any_kind_mirror_each_other(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    world = fresh(tmp_path, 0)
    guard = Guard()
    urls = {"folder": f"file:{tmp_path}/mirror-", "memory": f"memory:{tmp_path.name}-"}
    world.inner = [open_store(f"{urls[kind]}{at}") for at, kind in enumerate(kinds)]
    guarded = [Store(one.url, GuardedBlobs(one.blobs, guard), GuardedDocuments(one.documents, guard)) for one in world.inner]
    world.store = MirroredStore(*(faulty(one, Down()) for one in guarded))
    guard.stores = [world.store, *world.inner]
    ship(world)
    promoted = world.process().releases.get(Version("1.0.0"))
    assert promoted is not None
    gone_back(world)
    check(world)
    assert guard.faults == []
    assert guard.looks >= 8 * len(kinds)


def test_two_processes_that_copy_at_once_leave_the_newest(tmp_path: Path) -> None:
    """While one copies a pointer, the channel moves on and the other copies that: at every operation of the mirror."""
    from otagate.flow.actions import pause

    world = shipped(tmp_path / "dry")
    old = len(world.plans[0].seen)
    pause(world.process(), ChannelName("stable"), "").carry_out()
    operations = len(world.plans[0].seen) - old
    for at in range(operations):
        world = shipped(tmp_path / str(at))
        plan, inner_run = world.plans[0], world.plans[0].run
        begun = len(plan.seen)

        def meddle(name: str, operation: Any, plan: Any = plan, run: Any = inner_run, end: int = begun + at) -> Any:
            if len(plan.seen) == end:
                plan.run = run
                rollback(world.process(), ChannelName("stable"), None, "bad").carry_out()  # noqa: B023 - this round's world
            return run(name, operation)

        plan.run = meddle  # type: ignore[method-assign]
        pause(world.process(), ChannelName("stable"), "").carry_out()
        state = world.channel("stable")
        assert state is not None
        assert (state.stable, state.paused) == (None, False)
        assert world.warnings == []
        check(world)
    assert operations >= 3
    assert Weight(10_000).is_full
