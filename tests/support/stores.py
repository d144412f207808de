"""Every store adapter, for the contract suites: a new one joins by one line in ADAPTERS."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from otagate.store.cloud import cloud_store
from otagate.store.interface import Store
from otagate.store.registry import open_store, open_untried
from support import buckets
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


def _on(name: str) -> Factory:
    def factory(_folder: Path) -> Callable[[], Store]:
        bucket = buckets.ADAPTERS[name]()
        # The trial before the first write has tests of its own; here each test begins with a fresh prefix.
        return lambda: open_untried(bucket.url, bucket.environ)

    return factory


ADAPTERS: dict[str, Factory] = {
    "memory": _memory,
    "folder": _folder,
    "bucket in memory": _bucket,
    **{name: _on(name) for name in buckets.ADAPTERS},
}
PARAMS = [pytest.param(name, marks=pytest.mark.integration if name in buckets.ADAPTERS else ()) for name in sorted(ADAPTERS)]
"""The names as a test's parameters: those that need a server are integration tests."""
ACROSS_PROCESSES = ("folder", *buckets.ADAPTERS)
"""The adapters that several processes can share, by name."""
CONTENT_TOKENS = ("memory", "folder", *(name for name in buckets.ADAPTERS if name.startswith("s3 ")))
"""The adapters whose tokens derive from the bytes, so that bytes that return bring the token back."""


def place(name: str, folder: Path) -> tuple[str, Mapping[str, str]]:
    """Give the URL and environment of an empty store of one of ACROSS_PROCESSES."""
    if name == "folder":
        return f"file:{folder / 'store'}", {}
    bucket = buckets.ADAPTERS[name]()
    return bucket.url, bucket.environ


SLOW_RACES = ("s3 on SeaweedFS",)
"""The adapters whose server lets writers of one key wait for each other by the second."""
