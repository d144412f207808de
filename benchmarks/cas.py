"""Eight processes, two hundred compare-and-swap increments each, on every store that processes can share.

Run: python benchmarks/cas.py [part of an adapter's name]. Starts the servers that the tests use.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from otagate.store.jsondoc import read_json
from otagate.store.registry import open_untried
from support.store_processes import finish, start
from support.store_worker import COUNTER, SCHEMA
from support.stores import ACROSS_PROCESSES, place

PROCESSES, TIMES = 8, 200


def measure(adapter: str) -> str:
    """Count to 1,600 together; give one line of what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        where = place(adapter, Path(folder))
        began = time.monotonic()
        workers = [start(where, "count", str(TIMES)) for _ in range(PROCESSES)]
        conflicts = sum(int(finish(worker, 3600)["conflicts"]) for worker in workers)
        took = time.monotonic() - began
        found = read_json(open_untried(*where).documents, COUNTER, SCHEMA)
        counted = found.body["n"] if found else 0
    total = PROCESSES * TIMES
    return f"{adapter}: {total} increments, lost {total - counted}, {conflicts} conflicts, {took:.1f} s"


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for name in sorted(ACROSS_PROCESSES):
        if wanted in name:
            print(measure(name), flush=True)
