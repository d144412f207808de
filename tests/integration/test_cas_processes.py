"""Eight processes at one document of each store: no increment is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from otagate.store.jsondoc import read_json
from otagate.store.registry import open_untried
from support.store_processes import finish, start
from support.store_worker import COUNTER, SCHEMA
from support.stores import ACROSS_PROCESSES, place

pytestmark = pytest.mark.integration

PROCESSES = 8
TIMES = 25
"""In all 200 increments; benchmarks/cas.py does 1,600."""


@pytest.mark.parametrize("adapter", sorted(ACROSS_PROCESSES))
def test_eight_processes_that_count_together_lose_none(adapter: str, tmp_path: Path) -> None:
    where = place(adapter, tmp_path)
    gate = tmp_path / "gate"
    gate.mkdir()
    workers = [start(where, "count", str(TIMES), str(gate)) for _ in range(PROCESSES)]
    while len(list(gate.glob("ready-*"))) < PROCESSES:
        assert all(worker.poll() is None for worker in workers)
        time.sleep(0.01)
    (gate / "go").touch()
    began = time.monotonic()
    conflicts = sum(int(finish(worker)["conflicts"]) for worker in workers)
    took = time.monotonic() - began
    found = read_json(open_untried(*where).documents, COUNTER, SCHEMA)
    assert found is not None
    assert (found.body["n"], found.revision) == (PROCESSES * TIMES, PROCESSES * TIMES)
    assert conflicts > 0, "they never met: this run shows nothing"
    print(f"{adapter}: {PROCESSES * TIMES} increments, lost 0, {conflicts} conflicts, {took:.1f} s")
