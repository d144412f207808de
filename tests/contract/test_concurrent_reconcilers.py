"""Two to eight reconcilers at once: every document is a register, and no step is taken twice.

``OTAGATE_TEST_INTERLEAVINGS=N`` goes through N interleavings of each kind instead of a few dozen.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otagate.errors import ConflictError, VerificationError
from otagate.flow import actions, amending
from otagate.flow.prepare import prepare
from otagate.flow.publish import publish
from otagate.model import Version, Weight
from otagate.rollout.state import Stage
from otagate.store.interface import Document, DocumentStore, Store
from otagate.store.jsondoc import read_json, write_json
from otagate.store.memory import MemoryDocuments
from support.linearizable import Call, is_linearizable, unexplained
from support.rules import check_rules, documents, plain, rollouts
from support.turns import TurnDocuments, Turns, as_seen_by, standing
from support.world import BAD, DAY, World, phase, picture, track

MANY = int(os.environ.get("OTAGATE_TEST_INTERLEAVINGS", "0"))
ID = "1.0.0-production"
RAMP = track(phase("stable", 5, 50, 100))
TWO = track(phase("internal"), phase("beta", 20, 100))
KEY = "apps/com.example.app/rollouts/counter.json"
Deed = Callable[[World, Store], object]


def soaked(folder: Path, spec: object = RAMP) -> World:
    """Give a world whose rollout is at the end of its first soak."""
    world = World(folder, spec=spec)
    world.run()
    world.clock.pass_(DAY)
    return world


def reconcile(world: World, store: Store) -> object:
    return world.process(store).reconciler.reconcile(ID)


def run(world: World, store: Store) -> object:
    return world.run(workspace=world.process(store))


def pause(world: World, store: Store) -> object:
    return actions.pause(world.process(store), None, "a look").carry_out()


def roll_back(world: World, store: Store) -> object:
    return actions.rollback(world.process(store), None, None, "bad").carry_out()


def abort(world: World, store: Store) -> object:
    return amending.abort(world.process(store), None, "not now").carry_out()


def days_pass(world: World, store: Store) -> None:
    """Let two soaks end, at some time in between."""
    for _ in range(2):
        for _ in range(20):
            store.documents.read(KEY)
        world.clock.pass_(DAY)


def at_once(world: World, deeds: Sequence[Deed], seed: int, kill: tuple[int, int] | None = None) -> tuple[World, Turns]:
    """Do all of it at once in a twin of the world, and check what everybody saw."""
    twin, turns = world.twin(), Turns(seed, kill)
    begin = standing(twin.store)

    def deed(one: Deed, number: int) -> object:
        return one(twin, as_seen_by(twin.store, turns, number))

    turns.run([partial(deed, one) for one in deeds])
    assert all(isinstance(error, ConflictError) for error in turns.errors), turns.errors
    assert unexplained(turns.calls, begin) == [], seed
    check_rules(twin)
    assert_no_step_twice(twin)
    return twin, turns


def assert_no_step_twice(world: World) -> None:
    """Each step stands in the ledger once, in order; each weight was put into the channel once."""
    for name, rollout in rollouts(world).items():
        ledger = [entry.data for entry in world.ledger() if entry.kind == "rollout.advanced" and entry.data["rollout"] == name]
        phases = rollout["spec"]["track"]["phases"]
        planned = [(one["name"], str(Weight(bps))) for one in phases for bps in one["weights"]]
        assert [(one["phase"], one["weight"]) for one in ledger] == planned[: len(ledger)]
    for name, _ in documents(world, "channels"):
        shown = [(one["version"], one["weight"]) for one in candidates(world, name)]
        raised = [now for before, now in zip([None, *shown], shown, strict=False) if now != before]
        assert len(raised) == len(set(raised)), (name, shown)


def candidates(world: World, name: str) -> list[dict[str, Any]]:
    """Give all that was ever shown to a share of a channel's devices."""
    pointers = [plain(body) for key, body in world.store.writes if key.endswith(f"/channels/{name}.json")]
    return [pointer["candidate"] for pointer in pointers if pointer.get("candidate")]


def seeds(few: int) -> range:
    return range(MANY or few)


def alone(world: World, deed: Deed = reconcile) -> dict[str, object]:
    """Give how the world looks when only one did it."""
    twin = world.twin()
    deed(twin, twin.store)
    return picture(twin)


# --- nothing is done twice ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", range(2, 9))
def test_however_many_reconcile_one_step_is_taken(many: int, tmp_path: Path) -> None:
    world = soaked(tmp_path)
    wanted, calls = alone(world), 0
    for seed in seeds(24):
        twin, turns = at_once(world, [reconcile] * many, seed)
        assert picture(twin) == wanted, seed
        assert not turns.errors, turns.errors
        calls += len(turns.calls)
    print(f"{many} reconcilers: {len(seeds(24))} interleavings, {calls} calls, every history linearizable")
    assert wanted["ledger"]
    assert calls > 10 * len(seeds(24)) * many / 2


@pytest.mark.parametrize("spec", [TWO, RAMP])
def test_runs_and_reconciles_at_once_take_one_step(spec: object, tmp_path: Path) -> None:
    world = soaked(tmp_path, spec)
    wanted = alone(world)
    for seed in seeds(24):
        twin, turns = at_once(world, [reconcile, run, reconcile, run], seed)
        assert picture(twin) == wanted, seed
        assert not turns.errors, turns.errors


def test_while_days_pass_no_step_is_skipped_or_repeated(tmp_path: Path) -> None:
    world, weights = soaked(tmp_path), Counter[int]()
    for seed in seeds(60):
        twin, _ = at_once(world, [reconcile, reconcile, reconcile, days_pass], seed)
        twin.reconcile(ID)
        assert_no_step_twice(twin)
        weights[twin.state().weight.bps] += 1
    print(f"while days pass: {len(seeds(60))} interleavings, weights reached {dict(weights)}")
    assert weights.keys() <= {5000, 10_000}


def test_one_of_them_is_killed_and_the_next_one_ends_what_it_began(tmp_path: Path) -> None:
    world = soaked(tmp_path, TWO)
    wanted, killed = alone(world), 0
    for seed in seeds(90):
        twin, turns = at_once(world, [reconcile] * 3, seed, kill=(seed % 3, seed // 3))
        killed += any(call.is_pending for call in turns.calls)
        twin.reconcile(ID)
        check_rules(twin)
        assert picture(twin) == wanted, seed
    print(f"one of three is killed: {len(seeds(90))} interleavings, {killed} of them with a call that was never answered")
    assert killed >= 10


def test_a_failure_is_acted_on_once(tmp_path: Path) -> None:
    world = soaked(tmp_path)
    world.devices.says = dict(BAD)
    wanted = alone(world)
    for seed in seeds(24):
        twin, _ = at_once(world, [reconcile] * 4, seed)
        assert picture(twin) == wanted, seed
    assert world.kinds().count("rollout.rolled_back") == 0
    assert [kind for kind, _ in wanted["ledger"]].count("rollout.rolled_back") == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(("stop", "stage"), [(pause, Stage.PAUSED), (roll_back, Stage.ROLLED_BACK), (abort, Stage.ABORTED)])
def test_what_a_person_stops_stays_stopped(stop: Deed, stage: Stage, tmp_path: Path) -> None:
    world = soaked(tmp_path)
    for seed in seeds(40):
        twin, turns = at_once(world, [reconcile, stop, reconcile, reconcile], seed)
        assert not turns.errors, turns.errors
        assert twin.state().stage is stage, seed
        channel = twin.channel("stable")
        assert channel is not None
        assert channel.paused if stage is Stage.PAUSED else channel.candidate is None


def test_a_fix_that_takes_the_place_of_a_rollout_has_its_channel_alone(tmp_path: Path) -> None:
    """The old one is reconciled while the fix ends it, enters its channel, and takes its first step."""
    world = World(tmp_path, spec=TWO)
    world.run()
    world.clock.pass_(DAY)
    world.reconcile(ID)
    pause(world, world.store)
    world.run("1.0.1")
    world.clock.pass_(DAY)
    for seed in seeds(40):
        twin, _ = at_once(world, [reconcile, reconcile_fix, reconcile, reconcile_fix], seed)
        twin.reconcile("1.0.1-production")
        assert twin.state().stage is Stage.SUPERSEDED, seed
        assert twin.claims()["beta"] == "1.0.1-production"
        channel = twin.channel("beta")
        assert channel is not None
        assert channel.candidate is not None
        assert (str(channel.candidate.release.version), channel.candidate.weight.bps) == ("1.0.1", 2000)


def reconcile_fix(world: World, store: Store) -> object:
    return world.process(store).reconciler.reconcile("1.0.1-production")


def test_of_two_releases_that_start_at_once_one_has_the_channel(tmp_path: Path) -> None:
    world = World(tmp_path, spec=TWO)
    versions = ("1.0.0", "1.0.1")
    for version in versions:
        publish(world.process(), prepare(world.process(), version=Version(version)), world.work)
    winners = Counter[str]()
    for seed in seeds(40):
        twin, turns = at_once(world, [partial(run_version, version) for version in versions], seed)
        assert len(turns.errors) == 1, "the other is told; it does not wait where nobody finds it"
        holder = twin.claims()["internal"]
        winners[holder] += 1
        channel = twin.channel("internal")
        assert channel is not None
        assert channel.candidate is not None
        assert holder == f"{channel.candidate.release.version}-production"
    print(f"two releases at once: {dict(winners)}")
    assert len(winners) == 2


def run_version(version: str, world: World, store: Store) -> object:
    return world.run(version, workspace=world.process(store))


# --- the checker is worth something -------------------------------------------------------------------------------------


class LosesSwaps(MemoryDocuments):
    """Writes whatever the token says."""

    def replace(self, key: str, body: bytes, token: str) -> str:
        there = self.read(key)
        return super().replace(key, body, there.token if there else token)


class ReadsOld(MemoryDocuments):
    """Now and then gives what stood there before."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[str, Document] = {}
        self._reads = 0

    def read(self, key: str) -> Document | None:
        self._reads += 1
        return self._before.get(key) if self._reads % 5 == 0 and key in self._before else super().read(key)

    def replace(self, key: str, body: bytes, token: str) -> str:
        there = super().read(key)
        answer = super().replace(key, body, token)
        if there is not None:
            self._before[key] = there
        return answer


class CreatesTwice(MemoryDocuments):
    """Lets a document be created that is there already."""

    def create(self, key: str, body: bytes) -> str:
        there = self.read(key)
        return super().create(key, body) if there is None else super().replace(key, body, there.token)


def count(documents: DocumentStore) -> None:
    for _ in range(3):
        there = read_json(documents, KEY, "otagate/test/v1")
        number = there.body["n"] if there else 0
        with suppress(ConflictError):
            write_json(documents, KEY, "otagate/test/v1", {"n": number + 1}, there)


def count_as(inner: DocumentStore, turns: Turns, number: int) -> None:
    count(TurnDocuments(inner, turns, number))


def rejected(make: Callable[[], MemoryDocuments], many: int) -> int:
    """Give of how many interleavings the checker says that no register can have answered so."""
    found = 0
    for seed in range(many):
        inner, turns = make(), Turns(seed)
        turns.run([partial(count_as, inner, turns)] * 3)
        found += unexplained(turns.calls, {}) == [KEY]
    return found


@pytest.mark.parametrize("broken", [LosesSwaps, ReadsOld, CreatesTwice])
def test_a_broken_store_is_found_out(broken: type[MemoryDocuments]) -> None:
    found = rejected(broken, 40)
    print(f"{broken.__name__}: {found} of 40 histories rejected")
    assert found >= 10


def test_a_sound_store_is_not_suspected() -> None:
    assert rejected(MemoryDocuments, 60) == 0


def test_reconcilers_on_a_store_that_loses_swaps_are_found_out(tmp_path: Path) -> None:
    world, found = soaked(tmp_path), 0
    for seed in range(30):
        twin = world.twin()
        broken = LosesSwaps()
        for key in twin.store.documents.keys("apps/"):
            there = twin.store.documents.read(key)
            broken.create(key, there.body if there else b"")
        store = Store(twin.store.url, twin.store.blobs, broken)
        turns, begin = Turns(seed), standing(store)
        with suppress(VerificationError):
            turns.run([partial(one_of, twin, store, turns)] * 3)
        found += bool(unexplained(turns.calls, begin))
    assert found >= 5


def one_of(world: World, store: Store, turns: Turns, number: int) -> object:
    return reconcile(world, as_seen_by(store, turns, number))


def call(method: str, began: int, ended: float, token: str | None, expects: str | None = None, *, no: bool = False) -> Call:
    return Call("", KEY, method, began, ended, expects, token, no)


SOUND = {
    "one after the other": [call("create", 1, 2, "a"), call("read", 3, 4, "a"), call("replace", 5, 6, "b", "a")],
    "a read during a write sees the old": [call("replace", 1, 4, "b", "begin"), call("read", 2, 3, "begin")],
    "a read during a write sees the new": [call("replace", 1, 4, "b", "begin"), call("read", 2, 3, "b")],
    "one of two swaps is refused": [call("replace", 1, 4, "b", "begin"), call("replace", 2, 3, "c", "begin", no=True)],
    "what was never answered happened": [call("replace", 1, float("inf"), "b", "begin"), call("read", 9, 10, "b")],
    "what was never answered did not happen": [call("replace", 1, float("inf"), "b", "begin"), call("read", 9, 10, "begin")],
}
UNSOUND = {
    "a read after a write sees the old": [call("replace", 1, 2, "b", "begin"), call("read", 3, 4, "begin")],
    "both swaps of one state are taken": [call("replace", 1, 4, "b", "begin"), call("replace", 2, 3, "c", "begin")],
    "a swap is refused for no reason": [call("replace", 1, 2, "b", "begin", no=True)],
    "a read goes back": [call("replace", 1, 9, "b", "begin"), call("read", 2, 3, "b"), call("read", 4, 5, "begin")],
    "what nobody wrote is read": [call("read", 1, 2, "z")],
    "a create over something": [call("create", 1, 2, "b"), call("read", 3, 4, "b")],
}


@pytest.mark.parametrize("name", [*SOUND, *UNSOUND])
def test_small_histories(name: str) -> None:
    begin = None if name == "one after the other" else "begin"
    assert is_linearizable({**SOUND, **UNSOUND}[name], begin) == (name in SOUND)


@st.composite
def calls(draw: st.DrawFn) -> list[Call]:
    some = []
    for _ in range(draw(st.integers(0, 5))):
        method, began = draw(st.sampled_from(["read", "create", "replace", "delete"])), draw(st.integers(0, 8))
        length = draw(st.sampled_from([1, 3, 5, float("inf")]))
        token, expects = draw(st.sampled_from("ab")), draw(st.sampled_from("ab"))
        no = draw(st.booleans()) and method in {"create", "replace"}
        some.append(call(method, began, began + length, token, expects, no=no))
    return some


@settings(max_examples=300, deadline=None)
@given(history=calls())
def test_the_search_agrees_with_trying_everything(history: list[Call]) -> None:
    assert is_linearizable(history) == by_trying(history)


def by_trying(history: list[Call]) -> bool:
    answered = {at for at, one in enumerate(history) if not one.is_pending}
    orders = (order for many in range(len(history) + 1) for order in permutations(range(len(history)), many))
    return any(answered <= set(order) and keeps_time(history, order) and explains(history, order) for order in orders)


def keeps_time(history: list[Call], order: Sequence[int]) -> bool:
    return all(history[later].ended >= history[earlier].began for at, earlier in enumerate(order) for later in order[at + 1 :])


def explains(history: list[Call], order: Sequence[int]) -> bool:
    there: str | None = None
    for at in order:
        there = history[at].effect(there)
        if there == "cannot":
            return False
    return True
