"""Every store adapter, for the contract suites: a new one joins by one line in ADAPTERS."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from otagate.store.cloud import cloud_store
from otagate.store.interface import Store
from otagate.store.registry import open_store
from support.buckets_memory import MemoryObjects

Factory = Callable[[Path], Callable[[], Store]]
"""Given an empty folder, gives a function that opens the same, at first empty, store each time it is called."""

_names = itertools.count()


def _memory(_folder: Path) -> Callable[[], Store]:
    name = f"contract-{next(_names)}"
    return lambda: open_store(f"memory:{name}")


def _folder(folder: Path) -> Callable[[], Store]:
    return lambda: open_store(f"file:{folder / 'deep' / 'store'}")


def _bucket(_folder: Path) -> Callable[[], Store]:
    objects = MemoryObjects()
    return lambda: cloud_store("bucket", objects, "some/prefix/")


def _google(_folder: Path) -> Callable[[], Store]:
    from support.servers import fake_gcs

    base = fake_gcs.shared()
    url = f"gs://{fake_gcs.new_bucket(base)}/some/prefix?endpoint={base}"
    return lambda: open_store(url)


ADAPTERS: dict[str, Factory] = {
    "memory": _memory,
    "folder": _folder,
    "bucket in memory": _bucket,
    "gcs on fake-gcs-server": _google,
}
ACROSS_PROCESSES = ("folder", "gcs on fake-gcs-server")
"""The adapters that several processes can share, by name."""
CONTENT_TOKENS = ("memory", "folder")
"""The adapters whose tokens derive from the bytes, so that bytes that return bring the token back."""
