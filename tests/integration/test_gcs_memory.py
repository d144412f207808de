"""Sending and reading a large blob needs the same memory as a small one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.servers import fake_gcs

pytestmark = pytest.mark.integration

SCRIPT = """
import hashlib, re, sys
from pathlib import Path
from otagate.model import Digest
from otagate.store.registry import open_store

store, source = open_store(sys.argv[1]), Path(sys.argv[2])
with source.open("rb") as stream:
    digest = Digest(hashlib.file_digest(stream, "sha256").hexdigest())
assert store.blobs.put(digest, source)
hasher = hashlib.sha256()
with store.blobs.open(digest) as stream:
    while piece := stream.read(1024 * 1024):
        hasher.update(piece)
assert hasher.hexdigest() == digest.hex
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def _peak_kib(url: str, source: Path, size: int) -> int:
    with source.open("wb") as stream:
        stream.truncate(size)
    done = subprocess.run([sys.executable, "-c", SCRIPT, url, str(source)], capture_output=True, check=True, timeout=120)
    return int(done.stdout)


def test_memory_is_flat(tmp_path: Path) -> None:
    with fake_gcs.running(tmp_path / "objects") as base:
        url = f"gs://{fake_gcs.new_bucket(base)}?endpoint={base}"
        small = _peak_kib(url, tmp_path / "source", 48 * 1024**2)
        large = _peak_kib(url, tmp_path / "source", 100 * 1024**2)
    assert large < 150 * 1024
    assert large - small < 12 * 1024
