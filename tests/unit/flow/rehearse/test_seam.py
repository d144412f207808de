from __future__ import annotations

import random
from pathlib import Path

import pytest

from otagate.flow.rehearse.seam import Countdown, Killed, Turns, seam
from otagate.model import Digest
from otagate.store.memory import MemoryStore


def test_every_operation_is_a_point_and_does_what_the_store_does(tmp_path: Path) -> None:
    store, count = MemoryStore(), Countdown(None)
    seen = seam(store, count)
    token = seen.documents.create("a/b.json", b"1")
    seen.documents.replace("a/b.json", b"2", token)
    found = seen.documents.read("a/b.json")
    assert found is not None
    assert found.body == b"2"
    assert list(seen.documents.keys("a/")) == ["a/b.json"]
    seen.documents.delete("a/b.json")
    assert store.documents.read("a/b.json") is None
    assert count.count == 8
    (tmp_path / "x").write_bytes(b"zip")
    store.blobs.put(Digest.of(b"zip"), tmp_path / "x")
    assert seen.blobs.size(Digest.of(b"zip")) == 3
    with seen.blobs.open(Digest.of(b"zip"), 1) as stream:
        assert stream.read() == b"ip"
    assert count.count == 10


def test_a_machine_is_killed_before_an_operation_or_after_it() -> None:
    for left, is_done in ((1, False), (2, True)):
        store = MemoryStore()
        with pytest.raises(Killed):
            seam(store, Countdown(left)).documents.create("a/b.json", b"1")
        assert (store.documents.read("a/b.json") is not None) == is_done


def interleaved(seed: int) -> str:
    turns, said = Turns(random.Random(seed)), []

    def machine(name: str) -> None:
        for _ in range(5):
            said.append(name)
            turns.point()

    turns.run([lambda: machine("a"), lambda: machine("b"), lambda: machine("c")])
    return "".join(said)


def test_machines_take_turns_as_chance_wants_and_the_same_chance_gives_the_same() -> None:
    assert sorted(interleaved(1)) == sorted("abc" * 5)
    assert interleaved(1) == interleaved(1)
    assert len({interleaved(seed) for seed in range(8)}) > 4


def test_outside_of_a_run_nobody_waits_for_a_turn() -> None:
    Turns(random.Random(1)).point()
    said: list[int] = []
    Turns(random.Random(1)).run([lambda: said.append(1)])
    assert said == [1]
