"""Prune beside others, and killed anywhere: nothing that a channel or a rollout names is ever missing.

Time is part of the argument (docs/adr/0010-prune.md): who makes a bundle reachable writes soon after he looked at the announcement, and
prune waits longer than that between announcing and looking. Schedules that break this are not gone through; all others are.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from otagate.errors import ConflictError, UnavailableError, VerificationError
from otagate.flow import actions
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName
from support.faulty import Crash, Fault, FaultyStore, Plan
from support.prune_world import PruneWorld, Stepped, Ticks, check_served
from support.world import HOUR

Other = Callable[[PruneWorld, Workspace], object]


def again_old_bytes(world: PruneWorld, here: Workspace) -> None:
    """Publish and serve a release whose bundle is garbage at this moment."""
    world.upload("5.0.0", "content 1", here)
    world.promote("live", "5.0.0", here)


def back_to(world: PruneWorld, here: Workspace) -> None:
    actions.rollback(here, ChannelName("live"), "1.0.0", "a customer called").carry_out()


OTHERS: dict[str, Other] = {
    "publish old bytes under a new version": lambda world, here: world.upload("5.0.0", "content 1", here),
    "publish and promote old bytes": again_old_bytes,
    "promote an old release": lambda world, here: world.promote("live", "2.0.0", here),
    "roll back to an old release": back_to,
    "run a rollout of an old release": lambda world, here: world.run("1.0.0", workspace=here),
    "roll back": lambda _world, here: actions.rollback(here, ChannelName("live"), None, "bad").carry_out(),
}
MOST = 40
"""Pairs of different places that are gone through for each life: all of them take minutes. Set it to 10000 to do so."""
_numbers = itertools.count()


def fresh(folder: Path) -> PruneWorld:
    return PruneWorld(folder / str(next(_numbers))).like(_filled(folder))


@functools.lru_cache(maxsize=1)
def _filled(folder: Path) -> PruneWorld:
    return PruneWorld(folder / "filled").fill()


def operations(world: PruneWorld, act: Other) -> list[str]:
    ticks = Ticks()
    act(world, world.process(FaultyStore(world.store, ticks)))
    return ticks.seen


def prune_it(world: PruneWorld, here: Workspace) -> None:
    world.prune(here)


def attempt(act: Callable[[], object]) -> bool:
    """Do something that may be refused because somebody else is at work; tell whether it was done."""
    try:
        act()
    except (ConflictError, VerificationError):
        return False
    return True


@pytest.mark.parametrize("name", OTHERS)
def test_somebody_else_acts_at_every_operation_of_a_prune(name: str, tmp_path: Path) -> None:
    count = len(operations(fresh(tmp_path), prune_it))
    outcomes = []
    for at in range(count):
        world = fresh(tmp_path)

        def before(number: int, _name: str, at: int = at, world: PruneWorld = world) -> None:
            if number == at:
                outcomes.append(attempt(partial(OTHERS[name], world, world.process())))
                check_served(world)

        assert attempt(partial(world.prune, world.process(FaultyStore(world.store, Ticks(before=before)))))
        check_served(world)
    print(f"{name}: {count} schedules, {outcomes.count(False)} refused")
    assert len(outcomes) == count >= 40
    assert any(outcomes)


KINDS = ("/releases/", "/channels/", "/rollouts/")


def forbidden(seen: list[str], first: int, second: int) -> bool:
    """Whether the other looked at the announcement before ``first`` and writes what it looked for only after ``second``."""
    for look in (at for at, name in enumerate(seen) if name == "read prune.json"):
        written = (at for at in range(look, len(seen)) if seen[at].startswith(("create", "replace")))
        write = next((at for at in written if any(kind in seen[at] for kind in KINDS)), None)
        if write is not None and look < first and second <= write:
            return True
    return False


def schedules_of(seen: list[str]) -> list[tuple[int, int]]:
    """Give where prune announces and where it deletes: all places where it does both at once, and MOST of the others."""
    pairs = itertools.combinations_with_replacement(range(len(seen) + 1), 2)
    allowed = [(first, second) for first, second in pairs if not forbidden(seen, first, second)]
    at_once = [pair for pair in allowed if pair[0] == pair[1]]
    apart = [pair for pair in allowed if pair[0] < pair[1]]
    return at_once + apart[:: -(-len(apart) // MOST)]


@pytest.mark.parametrize("name", OTHERS)
def test_a_prune_announces_and_deletes_between_any_two_operations_of_somebody_else(name: str, tmp_path: Path) -> None:
    seen = operations(fresh(tmp_path), OTHERS[name])
    schedules = refused = pruned = 0
    for first, second in schedules_of(seen):
        world = fresh(tmp_path)

        def act(stepped: Stepped, world: PruneWorld = world) -> None:
            OTHERS[name](world, world.process(FaultyStore(world.store, Ticks(before=stepped.before))))

        other = Stepped(act)
        other.run_to(first)
        world.clock.meanwhile = partial(other.run_to, second)
        done = world.plan().carry_out()
        check_served(world)
        other.run_to(None)
        assert other.ended
        assert other.error is None or isinstance(other.error, ConflictError | VerificationError), other.error
        check_served(world)
        schedules += 1
        refused += other.error is not None
        pruned += len(done.removed)
    print(f"{name}: {schedules} schedules, {refused} refused, {pruned} bundles removed")
    assert schedules > MOST
    assert pruned > 0
    assert (refused > 0) == (name != "roll back")


FATAL = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.UNAVAILABLE, Fault.UNAVAILABLE_AFTER)


@pytest.mark.parametrize("fault", Fault)
def test_killed_at_any_operation_and_run_again_all_garbage_goes(fault: Fault, tmp_path: Path) -> None:
    count = len(operations(fresh(tmp_path), prune_it))
    died = 0
    for at in range(count):
        world = fresh(tmp_path)
        needed = {world.blob_of("3.0.0"), world.blob_of("4.0.0")}
        try:
            world.prune(world.process(FaultyStore(world.store, Plan(at, fault))))
        except (Crash, UnavailableError):
            died += 1
        check_served(world)
        world.clock.pass_(2 * HOUR)
        world.prune()
        check_served(world)
        assert world.blobs() == needed, at
        pruned = [entry for entry in world.ledger() if entry.kind == "release.pruned"]
        assert sorted({version for entry in pruned for version in entry.data["versions"].split(", ")}) == ["1.0.0", "2.0.0"]
    print(f"{fault.value}: {count} schedules, {died} died")
    assert died == (count if fault in FATAL else 0)


def test_an_announcement_of_a_killed_prune_holds_others_up_only_so_long(tmp_path: Path) -> None:
    world = fresh(tmp_path)
    seen = operations(fresh(tmp_path), prune_it)
    at = next(
        number for number, name in enumerate(seen) if name == "blobs.delete" and number > seen.index("create prune.json") + 1
    )
    with pytest.raises(Crash):
        world.prune(world.process(FaultyStore(world.store, Plan(at, Fault.CRASH_AFTER))))
    with pytest.raises(ConflictError, match="another prune"):
        world.prune()
    with pytest.raises(ConflictError, match="this very bundle") as caught:
        world.upload("5.0.0", "content 2")
    assert caught.value.remedy == "run it again in 17m"
    world.upload("6.0.0", "content 6")
    world.promote("live", "6.0.0")
    actions.rollback(world.process(), ChannelName("live"), None, "bad").carry_out()
    world.clock.pass_(timedelta(minutes=17, seconds=1))
    world.upload("5.0.0", "content 2")
    check_served(world)
