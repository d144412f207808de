from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from otagate import _canonical
from otagate.gate.judge import Demand
from otagate.model import ChannelName
from otagate.policy.model.gates import Action, GateSpec, Limit
from otagate.policy.model.sources import CommandSource, FileSource, HttpSource, TelemetrySource, TelemetrySpec
from otagate.policy.model.tracks import PhaseSpec
from otagate.rollout.codec import decode, encode
from otagate.rollout.state import Intent, Note, Op, OpKind, RolloutState, Stage
from support.rollouts import fresh
from support.world import NOW

SOURCES = [
    None,
    FileSource("metrics/{metric}.json"),
    TelemetrySource(TelemetrySpec("https://u.example", "env:TOKEN"), "crash_rate", "ios", "8.1.0"),
    CommandSource(("python3", "phones.py"), timedelta(seconds=3)),
    HttpSource("https://m.example/{metric}", "bad", "total", headers=(("authorization", "env:TOKEN"),), body='{"a": 1}'),
]


@pytest.mark.parametrize("source", SOURCES)
def test_a_gate_comes_back_as_it_was(source: Any) -> None:
    gate = GateSpec("time", limits=(Limit(timedelta(seconds=45), Decimal("0.05"), Action.ALERT),), source=source)
    assert decode(GateSpec, encode(gate)) == gate


def test_a_full_state_comes_back_as_it_was() -> None:
    state = replace(
        fresh(),
        stage=Stage.ROLLING,
        phase=1,
        intent=Intent((Op(OpKind.CLAIM, ChannelName("beta")), Op(OpKind.OFFER, ChannelName("beta"), None)), Stage.SOAKING),
        latched={"crash_rate": Note(NOW, "über dem Limit", "", Demand.PAUSE.value)},
        troubles={"crash_rate:error": NOW},
        exposed=(ChannelName("internal"),),
        origin={"commit": "c0ffee"},
    )
    assert decode(RolloutState, _canonical.loads(_canonical.dumps(encode(state)))) == state


def test_fields_of_a_newer_version_are_passed_over_and_missing_ones_have_their_defaults() -> None:
    data = encode(fresh())
    data["invented_later"] = {"x": 1}
    del data["troubles"]
    assert decode(RolloutState, data) == fresh()


def changed(path: tuple[Any, ...], value: Any) -> Any:
    data = copy.deepcopy(encode(fresh()))
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("seed",), 1, "RolloutState.seed: expected str"),
        (("step",), True, "expected int, found bool"),
        (("spec",), None, "expected dict"),
        (("exposed",), {}, "expected list"),
        (("stage",), "flying", "not a valid Stage"),
        (("stage",), [1], "not a valid Stage"),
        (("created_at",), "yesterday", "Invalid isoformat"),
        (("release", "version"), "v1", "not a version"),
        (("release", "statement"), "sha256:00", "not a SHA-256"),
        (("spec", "gates", 0, "max"), "much", "RolloutState"),
        (("spec", "gates", 0, "max"), ["0.1"], "nothing that may stand here|expected str"),
        (("spec", "gates", 0, "source"), {"is": "Telepathy"}, "nothing that may stand here"),
        (("spec", "track", "phases", 0, "soak"), 10**30, "RolloutState"),
        (("spec", "track", "phases", 0, "weights"), [20_000], "not a weight"),
        (("spec", "track"), {}, "missing"),
        (("latched",), {"x": {"is": "Note"}}, "missing"),
    ],
)
def test_damage_is_told_as_a_value_error(path: tuple[Any, ...], value: Any, place: str) -> None:
    with pytest.raises(ValueError, match=place):
        decode(RolloutState, changed(path, value))


@dataclass(frozen=True)
class Odd:
    command: tuple[str, ...] | str | None


@pytest.mark.parametrize("command", [None, "npm run build", ("npm", "run", "build")])
def test_text_and_lists_of_text_are_told_apart(command: Any) -> None:
    assert decode(Odd, encode(Odd(command))) == Odd(command)


@pytest.mark.parametrize("value", [1.5, object(), {1, 2}])
def test_what_json_cannot_say_is_a_mistake_of_ours(value: object) -> None:
    with pytest.raises(TypeError, match="cannot store"):
        encode(value)


def test_weights_are_numbers_and_durations_whole_milliseconds() -> None:
    data = encode(PhaseSpec("a", ChannelName("a"), soak=timedelta(seconds=1.5)))
    assert (data["weights"], data["soak"], data["channel"]) == ([10_000], 1500, "a")
