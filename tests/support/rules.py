"""The rules that a store must keep at every instant, whoever was killed when.

Besides those of :func:`support.world.check_invariants` (pointers name whole releases, the ledger's chain is whole, no event stands
in it twice, serials and revisions grow by one):

* at most one active rollout stands on a channel;
* what is offered to a part of the devices is watched: a rollout that ``otagate reconcile`` finds is not done with it;
* what a channel shows is never more than what a rollout recorded before, or a person asked for;
* where nothing is left to be done, a channel shows just that;
* what is terminal stays so, and a latched failure stays until it is waived;
* what a rollout did stands in the ledger, or will.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from support.world import APP, World, check_invariants

FULL = 10_000
_HINTS = {f"apps/{APP}/serial.json", f"apps/{APP}/ledger-head.json"}
_CLAIMS = f"apps/{APP}/active/"
_LOOKS = f"apps/{APP}/looks/"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TERMINAL = {"completed", "rolled_back", "aborted", "superseded"}
ByHand = Mapping[tuple[str, str], int]
"""What a person promoted: channel and version to basis points."""


@lru_cache(maxsize=4096)
def plain(body: bytes) -> dict[str, Any]:
    """Give what a document says: the JSON itself, or the payload of a signed envelope."""
    value: dict[str, Any] = json.loads(body)
    if "payload" in value:
        value = json.loads(b64decode(value["payload"]))
    return value


def documents(world: World, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give name and content of every document of a kind: ``rollouts``, ``channels``, ``active``."""
    prefix = f"apps/{APP}/{kind}/"
    for key in world.store.documents.keys(prefix):
        found = world.store.documents.read(key)
        assert found is not None
        yield key.removeprefix(prefix).removesuffix(".json"), plain(found.body)


def rollouts(world: World) -> dict[str, dict[str, Any]]:
    return {name: value["rollout"] for name, value in documents(world, "rollouts")}


def check_rules(world: World, by_hand: ByHand | None = None) -> None:
    """Raise AssertionError when the store is, or ever was, in a state that nobody may see."""
    check_invariants(world)
    there = rollouts(world)
    _check_one_per_channel(world, there)
    for name, channel in documents(world, "channels"):
        _check_exposure(name, channel, there, by_hand or {})
    _check_watched(world, there, by_hand or {})
    _check_shown(world, there)
    _check_told(world, there)
    _check_lives(world)


def decided(rollout: dict[str, Any], channel: str) -> int:
    """Give the highest weight that a rollout may show on a channel, by what it has recorded, in basis points."""
    phases, now = rollout["spec"]["track"]["phases"], rollout["phase"]
    if any(phase["channel"] == channel for phase in phases[: max(now, 0)]):
        return FULL  # passed, so settled
    if now < 0 or phases[now]["channel"] != channel:
        return 0
    if rollout["stage"] == "completed":
        return FULL
    # Until what lowers it was done, the weight is as it was.
    return max(weight_of(rollout), rollout["peak"] if rollout["intent"] or rollout["stage"] in TERMINAL else 0)


def ramp(phase: dict[str, Any]) -> list[int]:
    """Give the weights of a phase, with the hold-out taken off."""
    return list(dict.fromkeys(min(weight, FULL - phase["holdout"]) for weight in phase["weights"]))


def weight_of(rollout: dict[str, Any]) -> int:
    """Give the weight that a rollout has in its present phase, in basis points."""
    return ramp(rollout["spec"]["track"]["phases"][rollout["phase"]])[rollout["step"]] if rollout["phase"] >= 0 else 0


def _check_exposure(name: str, channel: dict[str, Any], there: dict[str, dict[str, Any]], by_hand: ByHand) -> None:
    def most(version: str) -> int:
        of_it = [decided(one, name) for one in there.values() if one["release"]["version"] == version]
        return max([by_hand.get((name, version), 0), *of_it])

    candidate, stable = channel.get("candidate"), channel.get("stable")
    if candidate:
        assert candidate["weight"] <= most(candidate["version"]), (
            f"{name} shows more of {candidate['version']} than was decided"
        )
    if stable:
        assert most(stable["version"]) == FULL, f"{name} is all {stable['version']}, and nobody decided so"


def _check_one_per_channel(world: World, there: dict[str, dict[str, Any]]) -> None:
    """Of the rollouts that stand on a channel one is active; and the channel's claim names it, once its intent is done."""
    claims = {name: value["rollout"] for name, value in documents(world, "active")}
    standing: dict[str, str] = {}
    for name, rollout in there.items():
        if rollout["stage"] in TERMINAL or rollout["phase"] < 0:
            continue
        channel = rollout["spec"]["track"]["phases"][rollout["phase"]]["channel"]
        if not rollout["intent"] and not rollout["unfinished"]:
            assert claims.get(channel) == name, (
                f"{name} stands on {channel}, which {claims.get(channel) or 'nobody'} has claimed"
            )
            assert channel not in standing, f"{name} and {standing[channel]} both stand on {channel}"
            standing[channel] = name


def _check_watched(world: World, there: dict[str, dict[str, Any]], by_hand: ByHand) -> None:
    """Whoever reconciles finds rollouts by the claims of channels. What a person promoted is that person's to watch."""
    found = {value["rollout"] for _, value in documents(world, "active")}
    alive = [one for name, one in there.items() if name in found and (one["stage"] not in TERMINAL or one["intent"])]
    watched = {one["release"]["version"] for one in alive}
    for name, channel in documents(world, "channels"):
        version = (channel["candidate"] or {"version": ""})["version"]
        assert not version or version in watched or (name, version) in by_hand, f"{version} on {name} is watched by nobody"


def _check_shown(world: World, there: dict[str, dict[str, Any]]) -> None:
    """Where nothing is left to be done, a channel shows what its rollout says."""
    channels = dict(documents(world, "channels"))
    for name, rollout in there.items():
        if rollout["stage"] in TERMINAL or rollout["phase"] < 0 or rollout["intent"] or rollout["unfinished"]:
            continue
        channel = channels[rollout["spec"]["track"]["phases"][rollout["phase"]]["channel"]]
        version, candidate = rollout["release"]["version"], channel["candidate"] or {"version": "", "weight": 0}
        is_all = (channel["stable"] or {"version": ""})["version"] == version
        shown = FULL if is_all else candidate["weight"] if candidate["version"] == version else 0
        assert is_all or shown == weight_of(rollout), f"{name} is at {weight_of(rollout)}, its channel shows {shown}"


def _check_told(world: World, there: dict[str, dict[str, Any]]) -> None:
    """What a rollout has told stands in the ledger, or is still to be written there."""
    known = {value["id"] for _, value in documents(world, "ledger")}
    for name, rollout in there.items():
        queued = {event["id"] for event in rollout["events"]}
        lost = {f"{name}#{number + 1}" for number in range(rollout["told"])} - known - queued
        assert not lost, f"the ledger will never hear of {lost}"


def _check_lives(world: World) -> None:
    """Go through everything that was ever written about each rollout."""
    before: dict[str, dict[str, Any]] = {}
    for key, body in world.store.writes:
        if "/rollouts/" in key:
            after = plain(body)["rollout"]
            if key in before:
                check_step(key, before[key], after)
            before[key] = after


def check_step(name: str, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Check one rewriting of a rollout."""
    if before["stage"] in TERMINAL:
        assert after["stage"] == before["stage"], f"{name} was {before['stage']} and is {after['stage']}"
        assert (after["phase"], after["step"]) == (before["phase"], before["step"]), f"{name} goes on after its end"
    for metric, note in before["latched"].items():
        if metric not in after["latched"]:
            assert metric in after["overrides"], f"{name}: the failure of {metric} is forgotten"
        elif note["action"] == "rollback":
            assert after["latched"][metric]["action"] == "rollback", f"{name}: the failure of {metric} was softened"
    new = {event["kind"] for event in after["events"]} if after["told"] > before["told"] else set()
    assert after["told"] >= before["told"], name
    where, there = ((one["phase"], weight_of(one)) for one in (before, after))
    assert there <= where or "rollout.advanced" in new, f"{name}: exposure rises, and nobody says so"
    assert there >= where or "rollout.lowered" in new, f"{name}: exposure falls, and nobody says so"
    assert after["phase"] - before["phase"] in {0, 1}, f"{name}: a phase was skipped"
    assert after["spec"] == before["spec"] or "rollout.amended" in new, f"{name}: the policy of a running rollout was changed"
    assert (after["seed"], after["release"]) == (before["seed"], before["release"]), name


@dataclass
class _Names:
    """Random numbers by the order in which they turn up: two stores that differ only in dice are equal."""

    known: dict[str, str]

    def __call__(self, kind: str, value: str) -> str:
        return self.known.setdefault(value, f"{kind} {len(self.known)}")


def essence(world: World) -> str:
    """Digest what a store holds, but for what may differ from one try to the next; see :func:`content`."""
    return hashlib.sha256(json.dumps(content(world), sort_keys=True).encode()).hexdigest()


def content(world: World) -> dict[str, Any]:
    """Give all that a store holds and that must not depend on where processes were killed.

    Left out is what dice gave (transaction ids, and which seed it was, not: whose); the serial of a release, of which a killed
    upload may have used one up, so that digests are told apart and no more; where the ledger's end was last seen, which only
    saves reads; the looks that were taken, of which a reconcile that is run again takes one more; and in a claim the name of a
    rollout that is over: such a claim is free.
    """
    names = _Names({})
    there = {
        key: plain(found.body)
        for key in world.store.documents.keys("apps/")
        if (found := world.store.documents.read(key)) is not None
    }
    over = {key.removesuffix(".json").rpartition("/")[2] for key, value in there.items() if _is_over(value)}
    left = {
        key: {"rollout": value["rollout"] if value["rollout"] not in over else ""}
        if key.startswith(_CLAIMS)
        else _without_dice(value, names, "serial" if "/releases/" in key else "")
        for key, value in there.items()
        if key not in _HINTS and not key.startswith(_LOOKS)
    }
    return {**left, "blobs": sorted(str(blob.digest) for blob in world.store.blobs.list())}


def _is_over(value: dict[str, Any]) -> bool:
    """Whether a document is a rollout that has ended and of which nothing is left to do."""
    rollout = value.get("rollout")
    return isinstance(rollout, dict) and rollout["stage"] in TERMINAL and not rollout["intent"] and not rollout["events"]


def _without_dice(value: Any, names: _Names, uncertain: str) -> Any:
    match value:
        case dict():
            return {
                key: "*"
                if key in {"txn", uncertain}
                else names(key, item)
                if key == "seed" and item
                else _without_dice(item, names, uncertain)
                for key, item in sorted(value.items())
            }
        case list():
            return [_without_dice(item, names, uncertain) for item in value]
        case str():
            return _DIGEST.sub(lambda found: names("digest", found[0]), value)
        case _:
            return value
