"""What another process does to a store. Run: python store_worker.py <deed> [arguments], with the store as JSON on stdin."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from otagate.errors import ConflictError
from otagate.model import Digest
from otagate.store.interface import Store
from otagate.store.jsondoc import read_json, write_json
from otagate.store.registry import open_untried

SCHEMA = "otagate/test/v1"
COUNTER = "apps/com.example.app/counter.json"


def increment(store: Store) -> int:
    """Add one by compare-and-swap; gives how many swaps were refused."""
    for refused in count():
        current = read_json(store.documents, COUNTER, SCHEMA)
        number = current.body["n"] if current else 0
        try:
            write_json(store.documents, COUNTER, SCHEMA, {"n": number + 1}, current)
        except ConflictError:
            continue
        return refused
    raise AssertionError


def do_count(store: Store, times: str, gate: str = "") -> None:
    """Count; with ``gate``, a folder, say there that all is loaded, and begin when there is a file called ``go``."""
    if gate:
        (Path(gate) / f"ready-{os.getpid()}").touch()
        while not (Path(gate) / "go").exists():
            time.sleep(0.001)
    print("conflicts", sum(increment(store) for _ in range(int(times))))


def do_send(store: Store, source: str, digest: str) -> None:
    """Publish a file; say when the first bytes have left for certain."""
    said = False

    def hear(done: int, total: int) -> None:
        nonlocal said
        if done and not said:
            said = True
            print("sending", flush=True)

    store.blobs.put(Digest(digest), Path(source), on_progress=hear)
    print("peak", peak())


def do_fetch(store: Store, digest: str) -> None:
    """Read a blob to its end and hash it."""
    hasher = hashlib.sha256()
    with store.blobs.open(Digest(digest)) as stream:
        while piece := stream.read(1024 * 1024):
            hasher.update(piece)
    print("hash", hasher.hexdigest())
    print("peak", peak())


def peak() -> int:
    """Give the most memory that this process had at any time, in bytes.

    Not ru_maxrss: that begins with the size of whoever started us.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main(place: Mapping[str, Any], deed: str, arguments: list[str]) -> None:
    globals()[f"do_{deed}"](open_untried(place["url"], place["environ"]), *arguments)


if __name__ == "__main__":
    try:
        main(json.load(sys.stdin), sys.argv[1], sys.argv[2:])
    except Exception:  # noqa: BLE001 - the test reads it
        traceback.print_exc()
        sys.exit(70)
