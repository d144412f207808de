"""A process killed at any operation on the store, and again while it recovers, ends where an undisturbed one does.

A life is a list of commands. A killed command is simply run again, by a process that knows nothing. At every kill the store must
be in a state that may be seen; after the command it must look as if nothing had happened. Since time does not pass in between, a
command that ends in the same store makes the rest of the life the same, so each command is looked at by itself.

``OTAGATE_TEST_SCHEDULES=all`` goes through all lives with real exceptions, too, and through ten times as many pairs of them
(half an hour).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest

from otagate.errors import UnavailableError
from otagate.flow import actions, amending
from otagate.flow.acting import Action
from otagate.flow.drive import drive_all
from otagate.flow.refresh import due, refresh
from otagate.flow.select import active_rollouts
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, Version, Weight
from otagate.policy.model.tracks import TrackSpec
from otagate.rollout.state import Stage
from support.crashes import Command, Explored, Move, begun, explore
from support.faulty import Crash, Fault, FaultyStore, Plan
from support.rules import TERMINAL, ByHand, check_rules, documents, essence, rollouts
from support.world import BAD, DAY, HOUR, World, phase, track

ALL = os.environ.get("OTAGATE_TEST_SCHEDULES") == "all"
NOW = timedelta(0)
MEDIOCRE = {"crash_rate": (100, 2000), "success": (10, 2000)}
SILENT = {"crash_rate": None, "success": "the source is down"}
RAMP = track(phase("internal"), phase("beta"), phase("stable", 5, 100))
SHORT = track(phase("internal"), phase("beta", 20, 100))
LONGER = track(phase("internal"), phase("beta", 20, 100), phase("stable"))
HELD_OUT = track(phase("internal"), phase("beta", 20, 100, holdout=Weight(500)))


def ship(version: str = "1.0.0") -> Command:
    return lambda world, here: world.run(version, workspace=here)


def go_on(_world: World, here: Workspace) -> None:
    """Do what ``otagate reconcile`` does."""
    driven = drive_all(here, [stored.state.id for stored in active_rollouts(here)], wait=None)
    for error in (*driven.failed.values(), *refresh(here, due(here)).failed.values()):
        raise error


def by_hand(make: Callable[[Workspace], Action]) -> Command:
    return lambda _world, here: make(here).carry_out()


def run(wait: timedelta = DAY, version: str = "1.0.0", **more: object) -> Move:
    return Move("run", ship(version), wait, **more)  # type: ignore[arg-type]


def reconcile(wait: timedelta = DAY, **more: object) -> Move:
    return Move("reconcile", go_on, wait, **more)  # type: ignore[arg-type]


def named(name: str | None) -> ChannelName | None:
    return ChannelName(name) if name else None


def promote(name: str, version: str, percent: int, *, lower: bool = False) -> Move:
    def make(here: Workspace) -> Action:
        return actions.promote(here, ChannelName(name), Version(version), Weight(100 * percent), lower=lower)

    command = by_hand(make)
    return Move("promote", command, HOUR, by_hand=((name, version, 100 * percent),))


def pause(name: str | None = None) -> Move:
    return Move("pause", by_hand(lambda here: actions.pause(here, named(name), "a look first")), HOUR)


def resume(name: str | None = None, **overrides: str) -> Move:
    command = by_hand(lambda here: actions.resume(here, named(name), overrides, "looks well"))
    return Move("resume", command, HOUR)


def roll_back(name: str | None = None, to: str | None = None) -> Move:
    command = by_hand(lambda here: actions.rollback(here, named(name), to, "a customer called"))
    return Move("rollback", command, HOUR)


def lower(percent: int) -> Move:
    return Move("lower", by_hand(lambda here: amending.lower(here, None, Weight(100 * percent), "slower")), HOUR)


def amend_to(spec: TrackSpec) -> Command:
    def amend(_world: World, here: Workspace) -> None:
        here.policy = replace(here.policy, tracks={spec.name: spec})
        amending.amend(here, None, "a phase more").carry_out()

    return amend


ABORT = Move("abort", by_hand(lambda here: amending.abort(here, None, "not now")), HOUR)
APPROVE = Move("approve", by_hand(lambda here: actions.approve(here, None, "beta", "fine")), HOUR)


@dataclass(frozen=True)
class Life:
    """Commands in order, in a world in which the releases ``before`` went all the way already."""

    moves: tuple[Move, ...]
    end: Stage
    spec: TrackSpec = SHORT
    before: tuple[str, ...] = ()
    rollout: str = "1.0.0-production"


LIVES = {
    "all the way": Life((run(NOW), *[run()] * 4), Stage.COMPLETED, RAMP),
    "carried on by reconcile": Life((run(NOW), *[reconcile()] * 4), Stage.COMPLETED, RAMP, ("0.9.0",)),
    "a bad release is rolled back": Life((run(NOW), run(), reconcile(HOUR, says=BAD)), Stage.ROLLED_BACK, SHORT, ("0.9.0",)),
    "rolled back by run, everywhere": Life(
        (run(NOW), *[run()] * 3, run(HOUR, says=BAD)), Stage.ROLLED_BACK, RAMP, ("0.8.0", "0.9.0")
    ),
    "paused and resumed by hand": Life((run(NOW), pause(), reconcile(HOUR), resume(), *[reconcile()] * 3), Stage.COMPLETED),
    "paused by a gate, waived": Life(
        (run(NOW), reconcile(says=MEDIOCRE), reconcile(HOUR), resume(crash_rate="known"), *[reconcile()] * 3), Stage.COMPLETED
    ),
    "silent until it is paused": Life(
        (run(NOW), reconcile(HOUR, says=SILENT), reconcile(4 * DAY, says=SILENT), resume(), reconcile(HOUR)), Stage.SOAKING
    ),
    "pointers that expire are signed anew": Life(
        (run(NOW), run(), pause(), reconcile(20 * DAY)), Stage.PAUSED, RAMP, ("0.9.0",)
    ),
    "rolled back by hand": Life((run(NOW), run(), roll_back(), reconcile(HOUR)), Stage.ROLLED_BACK, before=("0.9.0",)),
    "paused, then superseded by the fix": Life(
        (run(NOW), pause(), run(HOUR, "1.0.1"), *[run(DAY, "1.0.1")] * 3), Stage.COMPLETED, rollout="1.0.1-production"
    ),
    "approved": Life(
        (run(NOW), run(), APPROVE, run(NOW), reconcile(), reconcile()),
        Stage.COMPLETED,
        track(phase("internal"), phase("beta", 20, 100, approve=True)),
    ),
    "promoted by hand": Life(
        (
            promote("nightly", "0.8.0", 100),
            promote("nightly", "0.9.0", 25),
            pause("nightly"),
            resume("nightly"),
            promote("nightly", "0.9.0", 100),
            roll_back("nightly"),
        ),
        Stage.COMPLETED,
        before=("0.8.0", "0.9.0"),
        rollout="0.9.0-production",
    ),
    "a channel is rolled back to a named release": Life(
        (roll_back("beta", "0.8.0"),), Stage.COMPLETED, before=("0.8.0", "0.9.0"), rollout="0.9.0-production"
    ),
    "aborted": Life((run(NOW), *[reconcile()] * 3, ABORT, reconcile(HOUR)), Stage.ABORTED, RAMP, ("0.9.0",)),
    "aborted while paused": Life((run(NOW), pause(), ABORT, promote("internal", "1.0.0", 100)), Stage.ABORTED),
    "lowered": Life((run(NOW), *[run()] * 3, lower(5), reconcile(HOUR), *[run()] * 2), Stage.COMPLETED, RAMP),
    "lowered while paused": Life((run(NOW), *[run()] * 2, pause(), lower(20), resume(), *[run()] * 2), Stage.COMPLETED),
    "amended": Life(
        (run(NOW), run(), Move("amend", amend_to(LONGER), HOUR), *[run()] * 3),
        Stage.COMPLETED,
        track(phase("internal"), phase("beta")),
    ),
    "a channel is lowered by hand": Life(
        (promote("nightly", "0.9.0", 50), promote("nightly", "0.9.0", 20, lower=True)),
        Stage.COMPLETED,
        before=("0.9.0",),
        rollout="0.9.0-production",
    ),
    "a paused rollout is superseded by one that comes later to its channel": Life(
        (run(NOW), run(), pause("beta"), run(HOUR, "1.0.1"), *[run(DAY, "1.0.1")] * 3),
        Stage.COMPLETED,
        rollout="1.0.1-production",
    ),
    "some devices are held out until the end": Life((run(NOW), *[run()] * 3), Stage.COMPLETED, HELD_OUT),
    "an active rollout's channel is rolled back to a named release": Life(
        (run(NOW), run(), roll_back("beta", "0.8.0")), Stage.ROLLED_BACK, before=("0.8.0", "0.9.0")
    ),
}


@dataclass(frozen=True)
class Chapter:
    """A command of a life, the world just before it, what people have exposed by hand by then, and what exploring it found."""

    move: Move
    start: World
    by_hand: ByHand
    found: Explored


def first_world(folder: Path, life: Life) -> World:
    """Give the world in which a life begins."""
    world = World(folder, spec=life.spec)
    for version in life.before:
        world.to_completion(version)
    return world


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Chapter]]:
    """Live a life with every kill in it, once for all tests."""

    @cache
    def live(name: str) -> list[Chapter]:
        world, chapters = first_world(tmp_path_factory.mktemp("life"), LIVES[name]), []
        by_hand: dict[tuple[str, str], int] = {}
        for move in LIVES[name].moves:
            start = begun(world, move)
            for channel, version, bps in move.by_hand:
                by_hand = {**by_hand, (channel, version): max(bps, by_hand.get((channel, version), 0))}
            found = explore(start, move, by_hand)
            chapters.append(Chapter(move, start, by_hand, found))
            world = found.end
        return chapters

    return live


Lived = Callable[[str], list[Chapter]]


@pytest.mark.parametrize("name", LIVES)
def test_killed_anywhere_any_number_of_times_it_ends_the_same(
    name: str, lived: Lived, record_property: Callable[[str, object], None]
) -> None:
    chapters = lived(name)
    assert chapters[-1].found.end.state(LIVES[name].rollout).stage is LIVES[name].end
    once, twice = (sum(getattr(one.found, kills) for one in chapters) for kills in ("once", "twice"))
    stores = sum(len(one.found.stores) for one in chapters)
    for label, number in (("schedules of one kill", once), ("schedules of two kills", twice), ("stores", stores)):
        record_property(label, number)
    print(f"{name}: {once} schedules of one kill, {twice} of two, all more closed; {stores} distinct stores recovered from")
    assert twice > once >= 20


def test_more_than_a_thousand_schedules(lived: Lived) -> None:
    chapters = [one for name in LIVES for one in lived(name)]
    once, twice = sum(one.found.once for one in chapters), sum(one.found.twice for one in chapters)
    print(f"all lives: {once} schedules of one kill, {twice} of two")
    assert once >= 2000
    assert twice >= 50_000


CALLS = {
    "run": {
        "create": "active channels ledger ledger-head looks releases rollouts serial",
        "open": "blob",
        "put": "blob",
        "read": "active channels ledger ledger-head looks prune releases rollouts serial",
        "replace": "active channels ledger-head looks rollouts serial",
        "size": "blob",
    },
    "reconcile": {
        "create": "active channels ledger",
        "keys": "active channels",
        "open": "blob",
        "read": "active channels ledger ledger-head looks prune releases rollouts",
        "replace": "active channels ledger-head looks rollouts",
        "size": "blob",
    },
    "pause": {
        "create": "ledger",
        "keys": "active channels",
        "read": "active channels ledger ledger-head rollouts",
        "replace": "channels ledger-head rollouts",
    },
    "resume": {
        "create": "ledger",
        "keys": "active channels",
        "read": "active channels ledger ledger-head rollouts",
        "replace": "channels ledger-head rollouts",
    },
    "rollback": {
        "create": "ledger",
        "keys": "active channels",
        "open": "blob",
        "read": "active channels ledger ledger-head prune releases rollouts",
        "replace": "active channels ledger-head rollouts",
        "size": "blob",
    },
    "approve": {
        "create": "ledger",
        "keys": "active channels",
        "read": "active ledger ledger-head rollouts",
        "replace": "ledger-head rollouts",
    },
    "promote": {
        "create": "channels ledger",
        "open": "blob",
        "read": "active channels ledger ledger-head prune releases",
        "replace": "channels ledger-head",
        "size": "blob",
    },
    "abort": {
        "create": "ledger",
        "keys": "active channels",
        "read": "active channels ledger ledger-head rollouts",
        "replace": "active channels ledger-head rollouts",
    },
    "lower": {
        "create": "ledger",
        "keys": "active channels",
        "read": "active channels ledger ledger-head rollouts",
        "replace": "channels ledger-head rollouts",
    },
    "amend": {
        "create": "ledger",
        "keys": "active channels",
        "read": "active ledger ledger-head rollouts",
        "replace": "ledger-head rollouts",
    },
}
"""Every kind of call to the store that each verb makes: method to kinds of documents.

A new one is written down here by whoever adds it, with the life that makes it, so that it is killed at knowingly.
"""


def known(verb: str) -> set[str]:
    return {f"{method} {kind}" for method, kinds in CALLS[verb].items() for kind in kinds.split()}


def test_every_kind_of_call_is_known_and_was_killed_at(lived: Lived) -> None:
    made: dict[str, set[str]] = {}
    killed: dict[str, Counter[str]] = {}
    for name in LIVES:
        for one in lived(name):
            made.setdefault(one.move.verb, set()).update(point.kind for point in one.found.calls)
            killed.setdefault(one.move.verb, Counter()).update(one.found.killed_at)
    assert made == {verb: known(verb) for verb in CALLS}
    for verb, kinds in made.items():
        never = {kind for kind in kinds if not killed[verb][kind]}
        assert not never, f"{verb} is never killed at {never}"


def test_a_call_that_nobody_wrote_down_would_be_seen(tmp_path: Path) -> None:
    def write_more(world: World, here: Workspace) -> None:
        here.reconciler.reconcile("1.0.0-production")
        if world.store.documents.read("apps/com.example.app/notes.json") is None:
            here.store.documents.create("apps/com.example.app/notes.json", b"{}")

    world = World(tmp_path, spec=SHORT)
    world.run()
    found = explore(world, Move("reconcile", write_more), {})
    assert {point.kind for point in found.calls} - known("reconcile") == {"create notes"}
    assert found.killed_at["create notes"] >= 2


def test_a_command_that_cannot_be_run_again_would_be_seen(tmp_path: Path) -> None:
    def count_up(_world: World, here: Workspace) -> None:
        documents, key = here.store.documents, "apps/com.example.app/notes.json"
        there = documents.read(key)
        if there is None:
            documents.create(key, b'{"n": 1}')
        else:
            documents.replace(key, b'{"n": 2}', there.token)

    with pytest.raises(AssertionError, match=r"killed after create notes .* ends in another store"):
        explore(World(tmp_path, spec=SHORT), Move("count", count_up), {})


# --- what else may come after a kill ------------------------------------------------------------------------------------


def test_after_any_kill_a_rollback_by_hand_works_at_once(lived: Lived) -> None:
    """It needs neither metrics nor the killed process: one command, and no channel shows the release."""
    tried = 0
    for name in ("all the way", "paused and resumed by hand", "silent until it is paused"):
        for one in lived(name):
            for left in one.found.stores.values():
                world = left.twin()
                if any(state["stage"] not in TERMINAL for state in rollouts(world).values()):
                    world.devices.says = {}
                    roll_back().command(world, world.process())
                    check_rules(world, one.by_hand)
                    assert not shows(world, "1.0.0"), name
                    tried += 1
    print(f"rolled back by hand from {tried} stores that a kill had left")
    assert tried >= 50


def test_after_any_kill_a_pause_and_a_resume_lose_nothing(lived: Lived) -> None:
    """What had been decided and not done when it was paused is done after it."""
    tried = 0
    for name in ("all the way", "approved", "lowered"):
        for one in lived(name):
            for left in one.found.stores.values():
                world = left.twin()
                if rollouts(world).get("1.0.0-production", {"stage": "completed"})["stage"] in TERMINAL:
                    continue
                for move in (pause(), resume()):
                    move.command(world, world.process())
                    check_rules(world, one.by_hand)
                tried += 1
    print(f"paused and resumed from {tried} stores that a kill had left")
    assert tried >= 50


def test_after_any_kill_a_bad_release_is_taken_back_by_the_next_reconciles(lived: Lived) -> None:
    """The bad numbers come while nothing runs. What was decided may be finished, and nothing more is exposed."""
    tried = 0
    for name in ("carried on by reconcile", "approved", "paused by a gate, waived"):
        for one in lived(name):
            for left in one.found.stores.values():
                world = left.twin()
                before = rollouts(world).get("1.0.0-production")
                if before is None or before["stage"] in TERMINAL:
                    continue
                world.clock.pass_(DAY)
                world.devices.says = dict(BAD)
                for _ in range(2):
                    world.reconcile()
                check_rules(world, one.by_hand)
                after = rollouts(world)["1.0.0-production"]
                assert (after["phase"], after["step"]) <= max((before["phase"], before["step"]), (0, 0)), name
                assert after["stage"] == "rolled_back" or before["phase"] < 0, name
                tried += 1
    print(f"taken back from {tried} stores that a kill had left")
    assert tried >= 50


def test_after_any_kill_of_what_supersedes_an_abort_leaves_nothing_that_nobody_watches(lived: Lived) -> None:
    """Not of the newer one, and not of the older one that it ended."""
    tried = 0
    for name in ("paused, then superseded by the fix", "a paused rollout is superseded by one that comes later to its channel"):
        for one in lived(name):
            for left in one.found.stores.values():
                world = left.twin()
                for stored in active_rollouts(world.process()):
                    channel = next(channel for channel, holder in world.claims().items() if holder == stored.state.id)
                    amending.abort(world.process(), ChannelName(channel), "enough").carry_out()
                check_rules(world, one.by_hand)
                assert not any(channel.get("candidate") for _, channel in documents(world, "channels")), name
                tried += 1
    print(f"aborted from {tried} stores that a kill had left")
    assert tried >= 50


def shows(world: World, version: str) -> bool:
    channels = [channel for _, channel in documents(world, "channels")]
    named = [one for channel in channels for one in (channel.get("stable"), channel.get("candidate")) if one]
    return any(one["version"] == version for one in named)


# --- with real exceptions -----------------------------------------------------------------------------------------------


WRITES = ("create ", "replace ", "delete ", "blobs.put", "blobs.delete")


def attempt(world: World, move: Move, plan: Plan) -> bool:
    """Run a command under a plan; give whether it died."""
    try:
        move.command(world, world.process(FaultyStore(world.store, plan)))
    except (Crash, UnavailableError):
        return True
    return False


def operations(start: World, move: Move) -> list[str]:
    plan = Plan()
    assert not attempt(start.twin(), move, plan)
    return plan.seen


@pytest.mark.parametrize("name", LIVES if ALL else ["promoted by hand", "paused, then superseded by the fix"])
def test_a_process_that_unwinds_leaves_no_more_than_a_killed_one(name: str, lived: Lived) -> None:
    """At every operation an exception comes out of the store that nothing may swallow, as Ctrl-C does."""
    schedules = 0
    for one in lived(name):
        for at, call in enumerate(operations(one.start, one.move)):
            for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER) if call.startswith(WRITES) else (Fault.CRASH_BEFORE,):
                world = one.start.twin()
                assert attempt(world, one.move, Plan(at, fault))
                assert essence(world) in one.found.stores, (one.move.verb, at, fault)
                schedules += 1
    print(f"{name}: {schedules} schedules of one exception")
    assert schedules >= 15


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", LIVES if ALL else ["a bad release is rolled back"])
def test_two_real_exceptions_in_a_row(name: str, lived: Lived) -> None:
    schedules = 0
    for one in lived(name):
        wanted = essence(one.found.end)
        for at, second in pairs(one.start, one.move):
            world = one.start.twin()
            attempt(world, one.move, Plan(at, Fault.CRASH_AFTER))
            if attempt(world, one.move, Plan(second, Fault.CRASH_BEFORE)):
                schedules += 1
            attempt(world, one.move, Plan())
            assert essence(world) == wanted, (one.move.verb, at, second)
    print(f"{name}: {schedules} schedules of two exceptions")
    assert schedules >= 15


def pairs(start: World, move: Move) -> Iterator[tuple[int, int]]:
    """Give pairs of operations to die at, spread over all."""
    many = len(operations(start, move))
    every = [(at, second) for at in range(many) for second in range(many)]
    yield from every[:: 7 if ALL else 71]


@pytest.mark.parametrize("fault", [Fault.LOST_ANSWER, Fault.DUPLICATE, Fault.UNAVAILABLE, Fault.UNAVAILABLE_AFTER])
def test_answers_lost_doubled_and_refused_at_every_write(fault: Fault, lived: Lived) -> None:
    stops, schedules = fault in {Fault.UNAVAILABLE, Fault.UNAVAILABLE_AFTER}, 0
    for name in LIVES if ALL else ("paused and resumed by hand", "promoted by hand"):
        for one in lived(name):
            wanted = essence(one.found.end)
            for at, call in enumerate(operations(one.start, one.move)):
                if not call.startswith(WRITES):
                    continue
                world = one.start.twin()
                # Failing to keep what was measured fails nothing.
                fails = stops and "/looks/" not in call
                assert attempt(world, one.move, Plan(at, fault)) == fails, (one.move.verb, call)
                if fails:
                    attempt(world, one.move, Plan())
                check_rules(world, one.by_hand)
                assert essence(world) == wanted, (one.move.verb, call)
                schedules += 1
    print(f"{fault.value}: {schedules} schedules")
    assert schedules >= 30
