"""What another process does to a store in a folder. Run: python folder_worker.py <deed> <store> [arguments]."""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import filelock  # noqa: F401 - before the rights to read it are given up

from otagate.errors import ConflictError, OtagateError
from otagate.model import AppId, Digest
from otagate.rollout.ledger import Ledger
from otagate.store.folder import FolderStore
from otagate.store.interface import Store
from otagate.store.jsondoc import read_json, write_json

APP = AppId("com.example.app")
SCHEMA = "otagate/test/v1"
COUNTER = "apps/com.example.app/counter.json"
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def increment(store: Store) -> int:
    """Add one by compare-and-swap; gives how many swaps were refused."""
    for refused in count():
        current = read_json(store.documents, COUNTER, SCHEMA)
        number = current.body["n"] if current else 0
        try:
            write_json(store.documents, COUNTER, SCHEMA, {"n": number + 1, "fill": "x" * 5000}, current)
        except ConflictError:
            continue
        return refused
    raise AssertionError


def do_count(store: Store, times: str) -> None:
    print("conflicts", sum(increment(store) for _ in range(int(times))))


def do_append(store: Store, me: str, times: str) -> None:
    for number in range(int(times)):
        Ledger(store.documents, APP).append("tick", f"{me}-{number}", {"me": me}, NOW)


def do_create(store: Store, me: str, times: str) -> None:
    won = []
    for number in range(int(times)):
        try:
            store.documents.create(f"race/{number}", me.encode())
            won.append(number)
        except ConflictError:
            pass
    print(*won)


def do_churn(store: Store, first: str) -> None:
    """Write without end, and say after each step that it is durable; somebody will kill us."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        for number in count(int(first)):
            increment(store)
            store.documents.create(f"apps/{APP}/entries/{number}", b"entry %d " % number * 1000)
            data = b"blob %d " % number * 20_000
            source.write_bytes(data)
            store.blobs.put(Digest.of(data), source)
            print(number, flush=True)


def do_write(store: Store, kilobytes: str) -> None:
    """Try every way to write; tell what came of it."""
    data = os.urandom(1024 * int(kilobytes))
    before, unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.write_bytes(data)
        Path(folder).chmod(0o755)
        if "LIMIT" in os.environ:
            # As a full disk, but for one process: SIGXFSZ is ignored by Python, writes fail.
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["LIMIT"]), unlimited))
        if "BECOME" in os.environ:
            os.seteuid(int(os.environ["BECOME"]))
        there = store.documents.read("apps/there")
        token = there.token if there else ""
        attempt("create", lambda: store.documents.create("apps/new", data))
        attempt("replace", lambda: store.documents.replace("apps/there", data, token))
        attempt("put", lambda: store.blobs.put(Digest.of(data), source))
        attempt("read", lambda: store.documents.read("apps/there"))
        os.seteuid(os.getuid())
        # Whoever measures this process has a file to write at its end.
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, unlimited))


def do_peek(store: Store) -> None:
    """Try to read with the rights of somebody else."""
    if "BECOME" in os.environ:
        os.seteuid(int(os.environ["BECOME"]))
    attempt("read", lambda: store.documents.read("apps/there"))


def attempt(name: str, deed: Callable[[], object]) -> None:
    """Do it and tell what came of it, in one line."""
    try:
        deed()
        print(name, "done")
    except OtagateError as error:
        print(name, type(error).__name__, repr(str(error)))


if __name__ == "__main__":
    _, deed, place, *arguments = sys.argv
    try:
        globals()[f"do_{deed}"](FolderStore(Path(place)), *arguments)
    except Exception:  # noqa: BLE001 - the test reads it
        traceback.print_exc()
        sys.exit(70)
