"""A store in a folder under real processes: together, killed, out of room, out of rights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otagate.model import AppId, Digest
from otagate.rollout.ledger import Ledger
from otagate.store.folder import FolderStore
from otagate.store.jsondoc import read_json

pytestmark = pytest.mark.integration

WORKER = Path(__file__).parent.parent / "support" / "folder_worker.py"
APP = AppId("com.example.app")
COUNTER = "apps/com.example.app/counter.json"
SCHEMA = "otagate/test/v1"
NOBODY = 65534


def start(deed: str, place: Path, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    # A worker that is killed would leave a broken file of measurements behind.
    inherited = {name: value for name, value in os.environ.items() if deed != "churn" or not name.startswith("COVERAGE_")}
    return subprocess.Popen(
        [sys.executable, str(WORKER), deed, str(place), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a killed worker leaves in its folder for temporary files goes with the test's own.
        env={**inherited, "TMPDIR": str(place.parent), **environ},
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def together(deed: str, place: Path, times: int, *, named: bool = False) -> list[str]:
    started = [start(deed, place, *([str(me)] if named else []), str(times)) for me in range(4)]
    return [finish(process) for process in started]


def unfinished(place: Path) -> list[Path]:
    return [path for path in place.rglob(".tmp-*") if path.is_file()]


def test_four_processes_of_100_increments_lose_none(tmp_path: Path) -> None:
    place = tmp_path / "store"
    out = together("count", place, 100)
    found = read_json(FolderStore(place).documents, COUNTER, SCHEMA)
    assert found is not None
    assert (found.body["n"], found.revision) == (400, 400)
    conflicts = sum(int(line.split()[1]) for line in out)
    assert conflicts > 0, "they never met: this run shows nothing"
    assert not unfinished(place)
    print(f"400 increments, lost 0, {conflicts} conflicts")


def test_of_four_creators_each_document_has_one(tmp_path: Path) -> None:
    place = tmp_path / "store"
    won = [{int(number) for number in out.split()} for out in together("create", place, 200, named=True)]
    assert sum(map(len, won)) == 200
    for me, numbers in enumerate(won):
        for number in numbers:
            found = FolderStore(place).documents.read(f"race/{number}")
            assert found is not None
            assert found.body == str(me).encode()


def test_four_processes_that_append_keep_the_ledger_whole(tmp_path: Path) -> None:
    place = tmp_path / "store"
    together("append", place, 25, named=True)
    ledger = Ledger(FolderStore(place).documents, APP)
    report = ledger.verify_chain()
    assert (report.entries, report.problems) == (100, ())
    assert sorted(entry.id for entry in ledger.entries()) == sorted(f"{me}-{n}" for me in range(4) for n in range(25))


def check_everything(store: FolderStore, place: Path, durable: list[int]) -> None:
    counter = read_json(store.documents, COUNTER, SCHEMA)
    assert counter is not None
    assert counter.body["n"] == counter.revision >= len(durable)
    entries = {int(key.rpartition("/")[2]): key for key in store.documents.keys(f"apps/{APP}/entries/")}
    assert set(durable) <= set(entries)
    for number, key in entries.items():
        found = store.documents.read(key)
        assert found is not None
        assert found.body == b"entry %d " % number * 1000
    for number in durable:
        assert store.blobs.size(Digest.of(b"blob %d " % number * 20_000)) is not None
    for path in (place / "blobs").rglob("*"):
        if path.is_file() and not path.name.startswith(".tmp-"):
            assert Digest.of(path.read_bytes()).hex == path.name


def test_kill_9_leaves_nothing_half_written_and_no_lock_behind(tmp_path: Path) -> None:
    place = tmp_path / "store"
    store = FolderStore(place)
    durable: list[int] = []
    waits: list[float] = []
    for kill in range(25):
        process = start("churn", place, str(1000 * kill))
        assert process.stdout is not None
        began = time.monotonic()
        for line in process.stdout:
            if not waits or len(waits) <= kill:
                waits.append(time.monotonic() - began)
            durable.append(int(line))
            if len(durable) % 5 == kill % 5:
                break
        # Not at a step's end, but somewhere in the next steps.
        time.sleep(0.0004 * (kill * 7 % 25))
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=120)
        durable += [int(line) for line in rest.splitlines()]
        check_everything(store, place, durable)
    left = unfinished(place)
    print(f"25 kills, {len(durable)} durable steps, {len(left)} unfinished files left, slowest restart {max(waits):.2f} s")
    old = time.time() - 7200
    for path in left:
        os.utime(path, (old, old))
    finish(start("count", place, "1"))
    store.documents.create(f"apps/{APP}/entries/999999", b"entry %d " % 999_999 * 1000)
    source = tmp_path / "source"
    source.write_bytes(b"last")
    FolderStore(place).blobs.put(Digest.of(b"last"), source)
    FolderStore(place).documents.create(f"apps/{APP}/entries/999998", b"")
    assert not unfinished(place)


def results(process: subprocess.Popen[str]) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in finish(process).splitlines())


def snapshot(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def documents_only(place: Path) -> dict[str, bytes]:
    return {name: data for name, data in snapshot(place).items() if not name.startswith(".locks/")}


def test_a_limit_on_the_size_of_files_leaves_nothing_half_written(tmp_path: Path) -> None:
    place = tmp_path / "store"
    FolderStore(place).documents.create("apps/there", b"old")
    before = snapshot(place)
    found = results(start("write", place, "100", LIMIT="4096"))
    for deed in ("create", "replace", "put"):
        assert found[deed].startswith("UnavailableError"), found
        assert "File too large" in found[deed]
    assert found["read"] == "done"
    assert documents_only(place) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root; the limit on file sizes was tested instead")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_nothing_half_written_and_works_again_with_room(small_disk: Path) -> None:
    place = small_disk / "store"
    FolderStore(place).documents.create("apps/there", b"old")
    before = documents_only(place)
    elsewhere = str(small_disk.parent)
    found = results(start("write", place, "1500", TMPDIR=elsewhere))
    for deed in ("create", "replace", "put"):
        assert found[deed].startswith("UnavailableError"), found
        assert "is full" in found[deed]
        assert str(place) in found[deed]
    assert documents_only(place) == before
    assert set(results(start("write", place, "200", TMPDIR=elsewhere)).values()) == {"done"}


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_folder_that_may_only_be_read_is_read_and_not_written(shared_folder: Path) -> None:
    place = shared_folder / "store"
    FolderStore(place).documents.create("apps/there", b"old")
    before = snapshot(place)
    become = {"BECOME": str(NOBODY)} if os.geteuid() == 0 else {}
    for path in [place, *place.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    found = results(start("write", place, "1", **become))
    for path in [place, *place.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    for deed in ("create", "replace", "put"):
        assert found[deed].startswith("AccessError"), found
        assert "Permission denied" in found[deed]
        assert str(place) in found[deed]
    assert found["read"] == "done"
    assert snapshot(place) == before


def test_a_folder_that_may_not_be_read_is_said_so(shared_folder: Path) -> None:
    place = shared_folder / "store"
    FolderStore(place).documents.create("apps/there", b"old")
    (place / "apps").chmod(0o000)
    found = results(start("peek", place, **({"BECOME": str(NOBODY)} if os.geteuid() == 0 else {})))
    (place / "apps").chmod(0o755)
    assert found["read"].startswith("AccessError")
