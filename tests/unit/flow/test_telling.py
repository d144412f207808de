"""Places are told what stands in the ledger: in order, once, again with the same id after a crash; and nothing fails by it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from otagate.errors import ConflictError, UnavailableError
from otagate.flow.prune_documents import documents_of
from otagate.flow.telling import BUDGET, MOST, begin, tell, telling, try_place
from otagate.flow.told import find_cursor
from otagate.flow.workspace import Listener, Workspace
from otagate.notify.interface import NotifyError
from otagate.notify.registry import Wire
from otagate.policy.model.notify import NotifyKind, NotifySpec
from otagate.rollout import machine
from support.world import APP, DAY, HOUR, World

HOOK = NotifySpec("hook", NotifyKind.WEBHOOK, "file:hook.url", events=("rollout.*", "gate.failed", "notify.*"))
OTHER = NotifySpec("other", NotifyKind.WEBHOOK, "file:other.url", events=("rollout.paused", "notify.*"))


@dataclass
class Ears:
    """Both places, on a network that is made up: what each heard, and what it answers."""

    status: dict[str, int] = field(default_factory=dict)
    heard: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {"hook": [], "other": []})
    bodies: list[dict[str, Any]] = field(default_factory=list)
    during: Callable[[], None] = lambda: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host.partition(".")[0]
        self.during()
        status = self.status.get(name, 200)
        if status == 200:
            body = json.loads(request.content)
            self.bodies.append(body)
            self.heard[name].append((request.headers["webhook-id"], body["type"]))
        return httpx.Response(status)

    @property
    def wire(self) -> Wire:
        return Wire(sleep=lambda _seconds: None, transport=httpx.MockTransport(self))

    def kinds(self, name: str = "hook") -> list[str]:
        return [kind for _, kind in self.heard[name]]


@pytest.fixture
def world(tmp_path: Path) -> World:
    for name in ("hook", "other"):
        (tmp_path / f"{name}.url").write_text(f"https://{name}.example.com/T0KEN\n")
    return World(tmp_path, notify=(HOOK,))


@pytest.fixture
def ears() -> Ears:
    return Ears()


def told(world: World, ears: Ears) -> list[str]:
    """Do what a reconcile does at its end."""
    return tell(world.process(), ears.wire)


def cursor(world: World, name: str = "hook") -> dict[str, Any]:
    return find_cursor(world.process(), name).body


def test_old_news_are_not_told_and_what_this_very_run_does_is(world: World, ears: Ears) -> None:
    world.run("0.9.0")
    old = len(world.ledger())
    begin(world.process())
    assert cursor(world)["seq"] == old
    assert told(world, ears) == []
    assert ears.kinds() == []
    world.process().reconciler.command("0.9.0-production", lambda state, now: machine.pause(state, "enough", "ana", now))
    assert told(world, ears) == []
    assert ears.kinds() == ["rollout.paused"]


def test_a_place_without_a_cursor_begins_with_what_comes(world: World, ears: Ears) -> None:
    world.run()
    assert told(world, ears) == []
    assert (ears.kinds(), cursor(world)["seq"]) == ([], len(world.ledger()))


def test_in_order_and_not_again(world: World, ears: Ears) -> None:
    begin(world.process())
    world.to_completion()
    for _ in range(3):
        assert told(world, ears) == []
    wanted = [entry for entry in world.ledger() if entry.kind.startswith(("rollout.", "gate."))]
    assert ears.kinds() == [entry.kind for entry in wanted]
    assert ears.kinds()[0] == "rollout.started"
    assert ears.kinds()[-1] == "rollout.completed"
    assert len({identity for identity, _ in ears.heard["hook"]}) == len(wanted)
    assert cursor(world) == {"seq": len(world.ledger()), "since": None, "missed": 0, "taken": None}


def test_only_what_its_globs_name(world: World, ears: Ears) -> None:
    world.policy = replace(world.policy, notify=(HOOK, OTHER))
    begin(world.process())
    world.run()
    assert told(world, ears) == []
    world.process().reconciler.command("1.0.0-production", lambda state, now: machine.pause(state, "enough", "ana", now))
    assert told(world, ears) == []
    assert ears.kinds() == ["rollout.started", "rollout.advanced", "rollout.paused"]
    assert ears.kinds("other") == ["rollout.paused"]
    assert cursor(world, "other")["seq"] == len(world.ledger())


def test_every_message_of_a_rollout_leads_to_the_run_that_started_it(world: World, ears: Ears) -> None:
    begin(world.process())
    world.run(run_url="https://ci.example.com/runs/7")
    told(world, ears)
    assert [body["data"]["run"] for body in ears.bodies] == ["https://ci.example.com/runs/7"] * 2


def test_a_link_that_cannot_be_found_is_left_out(world: World, ears: Ears) -> None:
    begin(world.process())
    world.run()
    key = f"apps/{APP}/rollouts/1.0.0-production.json"
    found = world.store.documents.read(key)
    assert found is not None
    world.store.documents.replace(key, b"{}", found.token)
    assert told(world, ears) == []
    assert ears.kinds() == ["rollout.started", "rollout.advanced"]


def test_killed_before_the_cursor_was_moved_it_is_sent_again_with_the_same_id(world: World, ears: Ears) -> None:
    begin(world.process())
    world.run()

    def kill() -> None:
        if len(ears.heard["hook"]) == 1:
            raise KeyboardInterrupt

    ears.during = kill
    with pytest.raises(KeyboardInterrupt):
        told(world, ears)
    ears.during = lambda: None
    # Whoever was killed may still be at it, for all that others know.
    assert told(world, ears) == []
    assert ears.kinds() == ["rollout.started"]
    world.clock.pass_(timedelta(minutes=3))
    assert told(world, ears) == []
    assert ears.kinds() == ["rollout.started", "rollout.started", "rollout.advanced"]
    first, again, _ = ears.heard["hook"]
    assert first == again


def test_two_at_once_tell_it_once_and_nothing_is_left_untold(world: World, ears: Ears) -> None:
    begin(world.process())
    world.run()
    pauses = [lambda: None]

    def second() -> None:
        # In the middle of the first one's sending something more happens, and somebody else comes to tell it.
        if pauses:
            pauses.pop()
            world.process().reconciler.command(
                "1.0.0-production", lambda state, now: machine.pause(state, "enough", "ana", now)
            )
            assert told(world, ears) == []

    ears.during = second
    assert told(world, ears) == []
    assert ears.kinds() == ["rollout.started", "rollout.advanced", "rollout.paused"]


class Rival:
    """Documents in which somebody else is always a moment faster with cursors. See DocumentStore."""

    def __init__(self, world: World, key: str) -> None:
        self._inner, self._key, self.is_on = world.store.documents, key, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def replace(self, key: str, body: bytes, token: str) -> str:
        if key.endswith(self._key) and self.is_on:
            raise ConflictError("somebody else was first")
        return self._inner.replace(key, body, token)

    def create(self, key: str, body: bytes) -> str:
        if key.endswith(self._key) and self.is_on:
            self._inner.create(key, json.dumps({**json.loads(body), "seq": 3, "txn": "0" * 32}).encode())
            raise ConflictError("somebody else was first")
        return self._inner.create(key, body)


def with_documents(world: World, documents: Any) -> Workspace:
    """Give a process whose store has other documents."""
    store = copy.copy(world.store)
    object.__setattr__(store, "documents", documents)
    here = world.process()
    here.store = store
    for part in ("ledger", "rollouts"):
        here.__dict__.pop(part, None)
    return here


def test_who_loses_the_swap_says_nothing(world: World, ears: Ears) -> None:
    begin(world.process())
    world.run()
    assert tell(with_documents(world, Rival(world, "/hook.json")), ears.wire) == []
    assert ears.kinds() == []
    assert told(world, ears) == []
    assert ears.kinds() == ["rollout.started", "rollout.advanced"]


def test_who_loses_the_making_of_a_cursor_takes_the_other_s(world: World, ears: Ears) -> None:
    begin(with_documents(world, Rival(world, "/hook.json")))
    assert cursor(world)["seq"] == 3


def test_a_cursor_that_can_be_neither_made_nor_read_is_a_warning(world: World) -> None:
    class Gone(Rival):
        def create(self, key: str, body: bytes) -> str:
            raise ConflictError("somebody else was first")

    said: list[str] = []
    here = with_documents(world, Gone(world, "/hook.json"))
    here.listener = Listener(warn=said.append)
    begin(here)
    assert said


def test_a_failing_place_is_warned_of_and_told_later(world: World, ears: Ears) -> None:
    world.policy = replace(world.policy, notify=(HOOK, replace(OTHER, events=("rollout.started",))))
    begin(world.process())
    world.run()
    ears.status["hook"] = 404
    (warning,) = told(world, ears)
    assert "notify hook: a place refuses what it is told: HTTP 404" in warning
    assert "T0KEN" not in warning
    assert (ears.kinds(), ears.kinds("other")) == ([], ["rollout.started"])
    first = cursor(world)
    assert (first["seq"], first["since"], first["taken"]) == (1, "2026-11-21T09:30:00.000000Z", None)
    world.clock.pass_(HOUR)
    assert len(told(world, ears)) == 1
    assert cursor(world) == first
    ears.status.clear()
    assert told(world, ears) == []
    assert ears.kinds() == ["rollout.started", "rollout.advanced"]
    assert cursor(world)["since"] is None
    assert ears.kinds("other") == ["rollout.started"]


def test_after_a_day_one_message_is_given_up_at_a_time_and_it_is_recorded_once(world: World, ears: Ears) -> None:
    world.policy = replace(world.policy, notify=(HOOK, OTHER))
    begin(world.process())
    world.run()
    ears.status["hook"] = 500
    assert len(told(world, ears)) == 1
    world.clock.pass_(DAY)
    _, given_up = told(world, ears)
    assert given_up == ("notify hook: it has failed for more than 1d: entry 2 of the ledger (rollout.started) was given up")
    assert (cursor(world)["seq"], cursor(world)["missed"]) == (2, 1)
    world.clock.pass_(HOUR)
    assert len(told(world, ears)) == 2
    assert cursor(world)["missed"] == 2
    # The one that is recorded is not for the place that fails, and the others hear of it.
    assert [entry.data["name"] for entry in world.ledger() if entry.kind == "notify.failed"] == ["hook"]
    assert told(world, ears) == []
    assert ears.kinds("other") == ["notify.failed"]
    ears.status.clear()
    world.process().reconciler.command("1.0.0-production", lambda state, now: machine.pause(state, "enough", "ana", now))
    assert told(world, ears) == []
    assert ears.kinds() == ["rollout.paused"]
    assert cursor(world) == {"seq": len(world.ledger()), "since": None, "missed": 0, "taken": None}


def test_what_happened_within_the_last_day_is_not_given_up(world: World, ears: Ears) -> None:
    """A chat that was away for the weekend hears on Monday that a release was rolled back an hour ago."""
    begin(world.process())
    world.run()
    ears.status["hook"] = 500
    for _ in range(4):
        world.clock.pass_(DAY / 2)
        assert told(world, ears)
    assert cursor(world)["missed"] > 0
    for _ in range(len(world.ledger())):  # all that is old is given up
        told(world, ears)
    world.process().reconciler.command("1.0.0-production", lambda state, now: machine.pause(state, "enough", "ana", now))
    for _ in range(3):
        world.clock.pass_(HOUR)
        (warning,) = told(world, ears)
        assert "given up" not in warning
    ears.status.clear()
    assert told(world, ears) == []
    assert ears.kinds() == ["rollout.paused"]


def test_what_a_clock_that_is_a_month_ahead_wrote_is_given_up_all_the_same(world: World, ears: Ears) -> None:
    begin(world.process())
    world.process().ledger.append("rollout.paused", "channel:stable:9", {"channel": "stable"}, world.clock.now() + 30 * DAY)
    ears.status["hook"] = 500
    assert len(told(world, ears)) == 1
    world.clock.pass_(DAY)
    assert "given up" in told(world, ears)[-1]
    assert cursor(world)["missed"] == 1


def test_a_failure_that_cannot_be_recorded_is_a_warning(world: World, ears: Ears) -> None:
    begin(world.process())
    world.run()
    ears.status["hook"] = 500
    told(world, ears)
    world.clock.pass_(DAY)

    class Full(Rival):
        def create(self, key: str, body: bytes) -> str:
            if "/ledger/" in key:
                raise UnavailableError("the store is full", key)
            return self._inner.create(key, body)

    warnings = tell(with_documents(world, Full(world, "nothing")), ears.wire)
    assert [warning for warning in warnings if "the store is full" in warning]
    assert cursor(world)["missed"] == 1


def test_no_more_than_so_many_at_a_time(world: World, ears: Ears) -> None:
    begin(world.process())
    here = world.process()
    for number in range(MOST + 5):
        here.ledger.append("rollout.note", f"note:{number}", {"version": f"1.0.{number}"}, world.clock.now())
    assert told(world, ears) == []
    assert len(ears.kinds()) == MOST
    assert told(world, ears) == []
    assert [body["data"]["seq"] for body in ears.bodies] == list(range(1, MOST + 6))


def test_a_slow_place_does_not_hold_everything_up(world: World, ears: Ears) -> None:
    begin(world.process())
    here = world.process()
    for number in range(5):
        here.ledger.append("rollout.note", f"note:{number}", {}, world.clock.now())
    ears.during = lambda: world.clock.pass_(BUDGET / 2)
    assert told(world, ears) == []
    assert len(ears.kinds()) == 2
    for _ in range(2):
        told(world, ears)
    assert len(ears.kinds()) == 5


def test_many_unwanted_entries_are_passed(world: World, ears: Ears) -> None:
    begin(world.process())
    here = world.process()
    for number in range(230):
        here.ledger.append("release.published", f"published:{number}", {}, world.clock.now())
    here.ledger.append("rollout.note", "note", {}, world.clock.now())
    assert told(world, ears) == []
    assert ears.kinds() == ["rollout.note"]
    assert cursor(world)["seq"] == 231


def test_a_damaged_entry_is_passed_with_a_warning(world: World, ears: Ears) -> None:
    begin(world.process())
    world.run()
    key = f"apps/{APP}/ledger/0000000002.json"
    found = world.store.documents.read(key)
    assert found is not None
    world.store.documents.replace(key, b"{", found.token)
    assert told(world, ears) == ["notify hook: entry 2 of the ledger is damaged and was not told"]
    assert ears.kinds() == ["rollout.advanced"]
    assert told(world, ears) == []


@pytest.mark.parametrize("body", [b"{", b'{"schema":"otagate/notified/v1","revision":1,"txn":"' + b"0" * 32 + b'","seq":"x"}'])
def test_a_damaged_cursor_is_a_warning(body: bytes, world: World, ears: Ears) -> None:
    world.store.documents.create(f"apps/{APP}/notified/hook.json", body)
    world.run()
    said: list[str] = []
    here = world.process()
    here.listener = Listener(warn=said.append)
    begin(here)
    (warning,) = told(world, ears)
    assert said == [warning]
    assert warning.startswith("notify hook: ")


def test_a_cursor_that_is_taken_for_ever_is_free(world: World, ears: Ears) -> None:
    begin(world.process())
    world.run()
    key = f"apps/{APP}/notified/hook.json"
    found = world.store.documents.read(key)
    assert found is not None
    value = {**json.loads(found.body), "taken": "2027-01-01T00:00:00Z", "mine": "kept"}
    world.store.documents.replace(key, json.dumps(value).encode(), found.token)
    assert told(world, ears) == []
    assert len(ears.kinds()) == 2
    assert cursor(world)["mine"] == "kept"


def test_a_missing_address_is_a_warning(world: World, ears: Ears) -> None:
    begin(world.process())
    world.run()
    (world.folder / "hook.url").unlink()
    (warning,) = told(world, ears)
    assert "notify hook: its address " in warning
    assert "hook.url cannot be read" in warning


def test_nothing_is_read_or_written_without_places(world: World, ears: Ears) -> None:
    world.policy = replace(world.policy, notify=())
    before = len(world.store.writes)

    class Closed:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    here = with_documents(world, Closed())
    with telling(here, ears.wire):
        pass
    assert tell(here, ears.wire) == []
    assert len(world.store.writes) == before


@pytest.mark.parametrize("failure", [None, UnavailableError("gone"), KeyboardInterrupt()])
def test_what_a_command_did_is_told_at_its_end_also_when_it_failed(
    failure: BaseException | None, world: World, ears: Ears
) -> None:
    here = world.process()

    def work() -> None:
        with telling(here, ears.wire):
            world.run(workspace=here)
            if failure is not None:
                raise failure

    if failure is None:
        work()
    else:
        with pytest.raises(type(failure)):
            work()
    assert ears.kinds() == ([] if isinstance(failure, KeyboardInterrupt) else ["rollout.started", "rollout.advanced"])


def test_what_cannot_be_told_is_warned_of(world: World, ears: Ears) -> None:
    said: list[str] = []
    here = world.process()
    here.listener = Listener(warn=said.append)
    ears.status["hook"] = 403
    with telling(here, ears.wire):
        world.run(workspace=here)
    assert [warning.partition(";")[0] for warning in said] == ["notify hook: a place refuses what it is told: HTTP 403"]


def test_prune_knows_cursors_for_what_they_are(world: World) -> None:
    begin(world.process())
    assert [(found.kind, found.name) for found in documents_of(world.store)] == [("notified", "hook")]


def test_a_test_message_leaves_nothing_behind(world: World, ears: Ears) -> None:
    before = len(world.store.writes)
    try_place(world.process(run_url="https://ci.example.com/runs/7"), HOOK, ears.wire)
    assert (ears.kinds(), ears.bodies[0]["data"]["seq"]) == (["notify.test"], 0)
    assert ears.bodies[0]["data"]["run"] == "https://ci.example.com/runs/7"
    assert len(world.store.writes) == before
    ears.status["hook"] = 410
    with pytest.raises(NotifyError, match="HTTP 410"):
        try_place(world.process(), HOOK, ears.wire)
