"""Rollouts, looks, claims and hints that somebody else wrote: whatever stands there, a verb works or gives one message."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import OtagateError, VerificationError
from otagate.flow import actions, amending
from otagate.flow.replay import replay_rollout
from otagate.rollout.state import Stage
from support.world import APP, BAD, DAY, HOUR, World, phase, track

ID = "1.0.0-production"
ROLLOUT, LOOKS = f"apps/{APP}/rollouts/{ID}.json", f"apps/{APP}/looks/{ID}/0000.json"
HOSTILE: list[Any] = [
    *(None, True, -1, 10**30, 3 * 10**14, "", "x", [], {}, [[]], [[1]], [{}], 10**11),
    *("NaN", "Infinity", "-5", "0", "9" * 400, "1e999999", "\x1b[2J", "../x", "<script>"),
    *("2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", "2026-11-21T09:30:00"),
]
OURS = {"schema", "revision", "txn"}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A rollout that was looked at a few times."""
    world = World(tmp_path_factory.mktemp("forged"), spec=track(phase("beta"), phase("stable", 5, 100)))
    world.run()
    for _ in range(3):
        world.clock.pass_(HOUR)
        world.reconcile()
    return world


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if here:
        yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if here or key not in OURS:
            yield from places(item, (*here, key))


def forged(body: Any, place: tuple[Any, ...], value: Any) -> bytes:
    whole = copy.deepcopy(body)
    at = whole
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return json.dumps(whole).encode()


def put(world: World, key: str, body: bytes) -> World:
    other = world.twin()
    found = other.store.documents.read(key)
    if found is None:
        other.store.documents.create(key, body)
    else:
        other.store.documents.replace(key, body, found.token)
    return other


def _later(world: World) -> None:
    world.clock.pass_(DAY)
    world.reconcile()


def _failing(world: World) -> None:
    world.devices.says = dict(BAD)
    world.reconcile()


VERBS: list[Callable[[World], object]] = [
    World.reconcile,
    _later,
    _failing,
    lambda world: actions.rollback(world.process(), None, None, "x").carry_out(),
    lambda world: amending.amend(world.process(), None, "x").carry_out(),
    lambda world: amending.abort(world.process(), None, "x").carry_out(),
    lambda world: replay_rollout(world.process(), ID, ask_again=False),
]


@pytest.mark.parametrize(("key", "verbs"), [(ROLLOUT, VERBS), (LOOKS, VERBS[-1:])])
def test_no_forged_field_is_more_than_one_message(key: str, verbs: Any, lived: World) -> None:
    """Every field of it, each with a hostile value; which one, and what is run on it, goes round."""
    found = lived.store.documents.read(key)
    assert found is not None
    body = json.loads(found.body)
    refused = 0
    for number, place in enumerate(places(body)):
        world = put(lived, key, forged(body, place, HOSTILE[number % len(HOSTILE)]))
        try:
            verbs[number % len(verbs)](world)
        except OtagateError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("spec", "gates", 0, "max"), "-5"),
        (("spec", "gates", 0, "max"), "Infinity"),
        (("spec", "gates", 0, "escalate", "above"), "1.5"),
        (("spec", "judgement", "alpha_pause"), "NaN"),
        (("spec", "judgement", "alpha_rollback"), "0"),
        (("spec", "judgement", "min_coverage"), "2"),
        (("spec", "judgement", "settle"), -1),
        (("spec", "gates", 0, "max_increase"), "-1"),
        (("spec", "gates", 0, "limits"), [{"is": "Limit", "over": 1000, "max_share": "7", "action": "pause"}]),
        (("spec", "track", "phases"), []),
        (("spec", "track", "phases", 1, "weights"), []),
        (("entered_at",), "9999-12-31T23:59:59Z"),
        (("spec", "track", "phases", 0, "soak"), 10**13),
    ],
)
def test_a_spec_that_nothing_can_be_decided_by_is_refused_when_it_is_read(place: Any, value: Any, lived: World) -> None:
    found = lived.store.documents.read(ROLLOUT)
    assert found is not None
    world = put(lived, ROLLOUT, forged(json.loads(found.body), ("rollout", *place), value))
    with pytest.raises(VerificationError, match="this rollout"):
        world.reconcile()


@pytest.mark.parametrize("key", [LOOKS, f"apps/{APP}/ledger-head.json"])
def test_a_document_with_a_fraction_in_it_stops_nobody(key: str, lived: World) -> None:
    """Nothing of ours has one; carried over into the next state it could not be written."""
    found = lived.store.documents.read(key)
    assert found is not None
    world = put(lived, key, forged(json.loads(found.body), ("newer",), 1.5))
    world.devices.says = dict(BAD)
    assert world.process().reconciler.reconcile(ID).state.stage is Stage.ROLLED_BACK


@pytest.mark.parametrize(
    ("place", "value"),
    [(("readings", 0, "value"), "many"), (("readings", 0, "rows"), [[1]]), (("phase",), 99), (("step",), -1)],
)
def test_what_are_no_looks_at_this_rollout_is_refused(place: Any, value: Any, lived: World) -> None:
    found = lived.store.documents.read(LOOKS)
    assert found is not None
    world = put(lived, LOOKS, forged(json.loads(found.body), ("looks", 1, *place), value))
    with pytest.raises(VerificationError, match="looks"):
        replay_rollout(world.process(), ID, ask_again=False)


def test_a_rollout_whose_weights_were_amended_can_be_replayed(tmp_path: Path) -> None:
    """Its first looks were at a weight that it has no more."""
    world = World(tmp_path, spec=track(phase("stable", 5, 20, 50, 100, soak=timedelta(hours=1), allow_short_soak=True)))
    world.run()
    for _ in range(2):
        world.clock.pass_(HOUR)
        world.reconcile()
    spec = track(phase("stable", 50, 100, soak=timedelta(hours=1), allow_short_soak=True))
    world.policy = replace(world.policy, tracks={"production": spec})
    amending.amend(world.process(), None, "fewer steps").carry_out()
    assert world.state().step == 0
    assert len(replay_rollout(world.process(), ID, ask_again=False).replay.looks) == 3
