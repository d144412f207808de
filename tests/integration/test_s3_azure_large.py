"""Large blobs through S3 and Azure Blob: bounded memory, and what a killed upload leaves."""

from __future__ import annotations

import hashlib
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otagate.model import Digest
from otagate.store.interface import BlobStore
from otagate.store.registry import open_untried
from support import buckets
from support.servers import seaweedfs
from support.store_processes import finish, start

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
LARGE = 500 * MIB
PEAK = 150 * MIB
LATER = timedelta(minutes=5)


def made(path: Path, size: int) -> Digest:
    """Write a file of random bytes without holding it; the one block repeats, which no store here notices."""
    hasher, block = hashlib.sha256(), os.urandom(MIB)
    with path.open("wb") as out:
        for number in range(size // MIB):
            piece = number.to_bytes(4, "big") + block[4:]
            hasher.update(piece)
            out.write(piece)
    return Digest(hasher.hexdigest())


@pytest.mark.parametrize(("adapter", "size"), [("s3 on SeaweedFS", LARGE), ("azure on Azurite", 200 * MIB)])
def test_half_a_gigabyte_goes_up_and_down_in_bounded_memory(adapter: str, size: int, tmp_path: Path) -> None:
    bucket, source = buckets.ADAPTERS[adapter](), tmp_path / "source"
    digest = made(source, size)
    place = (bucket.url, bucket.environ)
    sent = finish(start(place, "send", str(source), str(digest.hex)))
    source.unlink()
    fetched = finish(start(place, "fetch", digest.hex))
    open_untried(*place).blobs.delete(digest)
    assert fetched["hash"] == digest.hex
    print(f"{adapter}: peak {int(sent['peak']) // MIB} MiB up, {int(fetched['peak']) // MIB} MiB down")
    assert int(sent["peak"]) < PEAK
    assert int(fetched["peak"]) < PEAK


def unfinished(prefix: str) -> list[str]:
    found = seaweedfs.client(seaweedfs.shared()).list_multipart_uploads(Bucket=seaweedfs.BUCKET, Prefix=prefix)
    return [upload["Key"] for upload in found.get("Uploads", [])]


def killed(place: tuple[str, dict[str, str]], source: Path, digest: Digest) -> BlobStore:
    """Kill an upload in its middle."""
    worker = start(place, "send", str(source), digest.hex)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "sending\n"
    worker.send_signal(signal.SIGKILL)
    out, _ = worker.communicate(timeout=30)
    assert "peak" not in out, "it had ended already"
    return open_untried(*place).blobs


def test_an_upload_killed_in_the_middle_leaves_no_object_and_its_parts_are_removed(tmp_path: Path) -> None:
    bucket, source = buckets.ADAPTERS["s3 on SeaweedFS"](), tmp_path / "source"
    digest = made(source, 200 * MIB)
    blobs = killed((bucket.url, dict(bucket.environ)), source, digest)
    assert blobs.size(digest) is None
    assert len(unfinished(bucket.prefix)) == 1
    assert blobs.abort_unfinished(datetime.now(UTC) - LATER) == 0, "it may still be running, for all we know"
    assert len(unfinished(bucket.prefix)) == 1
    assert blobs.abort_unfinished(datetime.now(UTC) + LATER) == 1
    assert unfinished(bucket.prefix) == []
    assert blobs.abort_unfinished(datetime.now(UTC) + LATER) == 0


def test_an_upload_to_azure_killed_in_the_middle_leaves_no_object_and_can_be_done_again(tmp_path: Path) -> None:
    bucket, source = buckets.ADAPTERS["azure on Azurite"](), tmp_path / "source"
    digest = made(source, 200 * MIB)
    blobs = killed((bucket.url, dict(bucket.environ)), source, digest)
    assert blobs.size(digest) is None
    assert list(blobs.list()) == []
    assert blobs.abort_unfinished(datetime.now(UTC) + LATER) == 0
    assert blobs.put(digest, source) is True
    assert blobs.size(digest) == source.stat().st_size
    blobs.delete(digest)


def test_uploads_of_others_are_left_alone(tmp_path: Path) -> None:
    bucket, other = buckets.ADAPTERS["s3 on SeaweedFS"](), buckets.ADAPTERS["s3 on SeaweedFS"]()
    client = seaweedfs.client(seaweedfs.shared())
    for number in range(3):
        client.create_multipart_upload(Bucket=seaweedfs.BUCKET, Key=f"{bucket.prefix}blobs/{number}")
    client.create_multipart_upload(Bucket=seaweedfs.BUCKET, Key=f"{other.prefix}blobs/1")
    assert bucket.open().abort_unfinished(bucket.prefix, datetime.now(UTC) + LATER) == 3
    assert unfinished(bucket.prefix) == []
    assert unfinished(other.prefix) == [f"{other.prefix}blobs/1"]
