"""Two processes at once: at every operation of one, the other does all of its work. Every pair serialises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from otagate.errors import ConflictError, UsageError
from otagate.flow import actions, amending
from otagate.model import ChannelName, Weight
from otagate.rollout import machine
from otagate.rollout.state import RolloutState, Stage
from support.meddler import meddled
from support.world import BAD, DAY, HOUR, World, begun, check_invariants, phase, picture, shown, track

ID = "1.0.0-production"
RAMP = track(phase("stable", 5, 50, 100))
TWO = track(phase("internal"), phase("beta", 20, 100))


def reconcile(world: World) -> object:
    return world.reconcile(ID)


def pause(world: World) -> object:
    return actions.pause(world.process(), None, "a look").carry_out()


def roll_back(world: World) -> object:
    return actions.rollback(world.process(), ChannelName("stable"), None, "bad").carry_out()


def abort(world: World) -> object:
    return amending.abort(world.process(), None, "enough").carry_out()


def lower(world: World) -> object:
    try:
        return amending.lower(world.process(), None, Weight(500), "slower").carry_out()
    except UsageError:
        return "it was not raised yet"


def replace_by_fix(world: World) -> object:
    pause(world)
    return world.run("1.0.1")


def soaked(folder: Path, spec: object = RAMP) -> World:
    """Give a world whose rollout is at the end of its first soak."""
    world = World(folder, spec=spec)
    world.run()
    world.clock.pass_(DAY)
    return world


def interleave(world: World, mine: Callable[[World], object], other: Callable[[World], object]) -> list[tuple[int, World]]:
    """Do ``mine`` in a twin of the world for each of its operations, with ``other`` just before it."""
    probe = world.twin()
    store, counted = meddled(probe.store)
    _as_process(probe, store, mine)
    results = []
    for at in range(counted.count):
        twin = world.twin()
        store, _ = meddled(twin.store, at, partial(other, twin))
        _as_process(twin, store, mine)
        check_invariants(twin)
        results.append((at, twin))
    return results


def _as_process(world: World, store: object, mine: Callable[[World], object]) -> None:
    """Do ``mine`` through that store; a conflict is an honest answer, and the command is then run again."""
    view = _View(world, store)
    try:
        mine(view)
    except ConflictError:
        mine(view)


class _View(World):
    """A world as a process with a store of its own sees it."""

    def __init__(self, world: World, store: object) -> None:
        self.__dict__.update(world.__dict__)
        self._seen = store

    def process(self, store: object = None, **context: object) -> object:  # type: ignore[override]
        return super().process(store or self._seen, **context)  # type: ignore[arg-type]


def test_two_reconcilers_take_one_step_between_them(tmp_path: Path) -> None:
    world = soaked(tmp_path)
    alone = world.twin()
    reconcile(alone)
    pairs = interleave(world, reconcile, reconcile)
    for at, twin in pairs:
        assert picture(twin) == picture(alone), at
        assert twin.state().weight.bps == 5000
    assert len(pairs) >= 15


def test_two_reconcilers_enter_a_phase_once(tmp_path: Path) -> None:
    world = soaked(tmp_path, TWO)
    alone = world.twin()
    reconcile(alone)
    for at, twin in interleave(world, reconcile, reconcile):
        assert picture(twin) == picture(alone), at


def test_a_reconciler_that_was_overtaken_by_a_whole_day_decides_anew(tmp_path: Path) -> None:
    def a_day_later(world: World) -> None:
        reconcile(world)
        world.clock.pass_(DAY)
        reconcile(world)

    for at, twin in interleave(soaked(tmp_path), reconcile, a_day_later):
        state = twin.state()
        assert state.weight.bps == 10_000, at
        assert [entry.data.get("weight") for entry in twin.ledger() if entry.kind == "rollout.advanced"] == [
            "5%",
            "50%",
            "100%",
        ]


def test_a_failure_that_another_saw_is_not_passed(tmp_path: Path) -> None:
    def sees_it_fail(world: World) -> None:
        before = dict(world.devices.says)
        world.devices.says = dict(BAD)
        reconcile(world)
        world.devices.says = before

    for at, twin in interleave(soaked(tmp_path), reconcile, sees_it_fail):
        channel = twin.channel("stable")
        assert twin.state().stage is Stage.ROLLED_BACK, at
        assert shown(channel) == {"stable": None, "candidate": None, "paused": False, "previous": [], "blocked": ["1.0.0"]}, at
        assert twin.kinds()[-1] == "rollout.rolled_back"


@dataclass(frozen=True)
class Stop:
    other: Callable[[World], object]
    holds: Callable[[World, RolloutState], bool]


STOPS = {
    "pause": Stop(pause, lambda world, state: state.stage is Stage.PAUSED and shown(world.channel("stable"))["paused"]),  # type: ignore[index]
    "rollback": Stop(
        roll_back,
        lambda world, state: (
            state.stage is Stage.ROLLED_BACK
            and shown(world.channel("stable"))
            == {"stable": None, "candidate": None, "paused": False, "previous": [], "blocked": ["1.0.0"]}
        ),
    ),
    "abort": Stop(
        abort,
        lambda world, state: state.stage is Stage.ABORTED and shown(world.channel("stable"))["candidate"] is None,  # type: ignore[index]
    ),
    "lower": Stop(
        lower,
        lambda world, state: shown(world.channel("stable"))["candidate"] == ("1.0.0", state.weight.bps),  # type: ignore[index]
    ),
    "superseded by a fix": Stop(
        replace_by_fix,
        lambda world, state: (
            state.stage is Stage.SUPERSEDED
            and shown(world.channel("stable"))["candidate"] == ("1.0.1", 500)  # type: ignore[index]
            and world.claims() == {"stable": "1.0.1-production"}
        ),
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_a_person_stops_stays_stopped_whatever_a_slow_machine_was_doing(name: str, tmp_path: Path) -> None:
    stop = STOPS[name]
    for at, twin in interleave(soaked(tmp_path), reconcile, stop.other):
        assert stop.holds(twin, twin.state()), (at, shown(twin.channel("stable")), twin.state().stage)


def entering(folder: Path) -> World:
    """Give a world whose rollout is about to come to a channel that does not exist yet."""
    return soaked(folder, TWO)


def supersede(world: World) -> object:
    """Have it superseded by a fix that is killed before it offers anything."""
    return world.process().reconciler.command(ID, lambda state, now: machine.supersede(state, "1.0.1-production", "", now))


@pytest.mark.parametrize("end", [abort, supersede])
@pytest.mark.parametrize(("make", "channel"), [(partial(begun, spec=RAMP), "stable"), (entering, "beta")])
def test_what_was_ended_is_not_offered_by_a_slow_machine(
    make: Callable[[Path], World], channel: str, end: Callable[[World], object], tmp_path: Path
) -> None:
    pairs = interleave(make(tmp_path), reconcile, end)
    for at, twin in pairs:
        left = shown(twin.channel(channel))
        assert twin.state().is_over, at
        assert left is None or left["candidate"] is None, at
    assert len(pairs) >= 10


def test_a_slow_pause_does_not_undo_a_rollback(tmp_path: Path) -> None:
    world = World(tmp_path, spec=RAMP)
    world.run()
    world.clock.pass_(HOUR)

    def pause_rollout(world: World) -> object:
        return world.process().reconciler.command(ID, lambda state, now: machine.pause(state, "a look", "ana", now))

    for at, twin in interleave(world, pause_rollout, roll_back):
        assert twin.state().stage is Stage.ROLLED_BACK
        assert STOPS["rollback"].holds(twin, twin.state()), at
