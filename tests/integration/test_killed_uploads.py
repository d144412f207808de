"""``otagate run`` killed at random points of a real upload: a rerun finishes, and prune leaves just what is served.

``OTAGATE_TEST_KILLS`` says how often on SeaweedFS, and a quarter as often on each of the others.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otagate.channel.hosted import HostedChannels
from otagate.model import AppId, Digest, Version
from otagate.release.repository import Releases
from otagate.store.interface import Store
from otagate.store.keys import blob_key
from otagate.store.registry import open_untried
from otagate.store.url import parse_bucket_url
from support import buckets
from support.keys import key, trusting
from support.project import Project

pytestmark = pytest.mark.integration

POLICY = """\
version: 1
app: {{id: com.example.app}}
build: {{output: dist}}
versioning: package
seal: {{format: capgo, encryption_key: env:ENCRYPTION, signing_key: env:SIGNING}}
trust: {{keys: ["{trust}"]}}
storage: "{storage}"
branches:
  main: {{channel: production}}
"""
APP = AppId("com.example.app")
OTAGATE = Path(sys.executable).parent / "otagate"
KILLS = int(os.environ.get("OTAGATE_TEST_KILLS", "4"))
_BYTES = 24 * 1024 * 1024
"""Three parts and more, so that kills fall into multipart uploads, too."""


class Bench:
    """A project whose releases go to a real server, and a process that can be killed."""

    def __init__(self, folder: Path, bucket: buckets.Bucket) -> None:
        self.bucket = bucket
        self.project = Project(folder / "app", storage=bucket.url)
        self.project.policy(POLICY)
        self.project.git("config", "core.compression", "0")  # what is released is random
        self.project.commit("policy")
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),  # outside of the checkout: what is kept for a rerun must not look like a change
            "ENCRYPTION": key("rsa2048"),
            "SIGNING": key("ed25519"),
            **bucket.environ,
        }

    def next(self, number: int) -> None:
        """Make a release that differs in every byte."""
        (self.project.folder / "dist" / "picture.png").write_bytes(random.Random(number).randbytes(_BYTES))
        self.project.version(f"1.0.{number}")
        self.project.commit(f"release {number}")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [OTAGATE, *arguments],
            cwd=self.project.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str) -> float:
        """Run to the end and give how long it took."""
        begun = time.monotonic()
        process = self.start(*arguments)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        return time.monotonic() - begun

    def open(self) -> Store:
        return open_untried(self.bucket.url, self.bucket.environ)

    def check_pointers(self) -> set[Digest]:
        """No channel names what is not whole in the store; gives the blobs that are served."""
        store = self.open()
        channels = HostedChannels(store.documents, APP, None, trusting("ed25519"), timedelta(days=30))
        releases, served = Releases(store, APP, trusting("ed25519")), set[Digest]()
        for name in channels.names():
            reading = channels.read(name)
            assert reading is not None
            state = reading.state
            for ref in (state.stable, state.candidate.release if state.candidate else None):
                if ref is not None:
                    published = releases.resolve(ref)
                    releases.read_back(published)
                    served.add(published.release.sealed.blob)
        return served


@pytest.mark.parametrize("adapter", sorted(buckets.ADAPTERS))
def test_killed_at_random_points(adapter: str, tmp_path: Path) -> None:
    bench, kills = Bench(tmp_path, buckets.ADAPTERS[adapter]()), KILLS if adapter == "s3 on SeaweedFS" else max(1, KILLS // 4)
    bench.next(0)
    bench.run("run")  # with the probe of a new store, which is not what is measured
    bench.next(1)
    whole = bench.run("run")
    chance, killed, number = random.Random(adapter), 0, 2
    bench.next(number)
    while killed < kills:
        process = bench.start("run")
        try:
            process.wait(chance.uniform(0.2, 0.95) * whole)
            number += 1  # it was too quick: the machine was busier when the whole was measured
            whole /= 2
            bench.next(number)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.communicate()
        bench.check_pointers()
    bench.run("run")
    served = bench.check_pointers()
    assert len(served) == 1
    bench.run("run")  # once more is the same as once
    prune(bench)
    assert leftovers(bench) == []
    assert bench.check_pointers() == served


def prune(bench: Bench) -> None:
    """Prune at once: nothing else works on this store."""
    time.sleep(1.1)  # stores count in whole seconds
    bench.run("prune", "--grace", "0s", "--wait", "0s")


def leftovers(bench: Bench) -> list[str]:
    """Give what the store holds besides the releases' blobs and the documents that belong there."""
    store = bench.open()
    prefix = parse_bucket_url(bench.bucket.url).prefix
    releases = Releases(store, APP, trusting("ed25519"))
    versions = [name.rpartition("/")[2].removesuffix(".json") for name in store.documents.keys(f"apps/{APP}/releases/")]
    published = {found.release.sealed.blob for version in versions if (found := releases.get(Version(version)))}
    belongs = (f"apps/{APP}/", "store.json", "prune.json", *(blob_key(digest) for digest in published))
    names = [head.key.removeprefix(prefix) for head in bench.bucket.open().list(prefix)]
    unfinished = store.blobs.abort_unfinished(datetime.now(UTC) + timedelta(hours=1))
    return [name for name in names if not name.startswith(belongs)] + [f"{unfinished} unfinished uploads"] * bool(unfinished)
