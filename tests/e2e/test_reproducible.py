"""The same files give the same bytes, whoever packs them, wherever, whenever and however."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

OTAGATE = Path(sys.executable).parent / "otagate"


def files() -> dict[str, bytes]:
    """Make some 60 files of all kinds: text that shrinks, noise that does not, empty, large, with names that sort oddly."""
    dice = random.Random(20261121)
    words = [bytes(dice.choices(b"abcdefghij ", k=dice.randint(2, 9))) for _ in range(300)]
    made = {f"assets/chunk-{at:02}.js": b" ".join(dice.choices(words, k=200 * at)) for at in range(40)}
    made |= {f"img/{at}.png": dice.randbytes(5000 * at) for at in range(8)}
    made |= {
        "Z.txt": b"Z",
        "a.txt": b"a",
        "\u00e9t\u00e9.txt": b"\xc3\xa9",
        "\u4e2d/\u6587.txt": b"x",
        "empty": b"",
        "a/b/c/d.txt": b"deep",
    }
    made |= {"noise.bin": dice.randbytes(700_000), "large.txt": b"".join(dice.choices(words, k=400_000))}
    return made | {"index.html": b"<!doctype html>", "main.js": b"CapacitorUpdater.notifyAppReady()"}


FILES = files()


@dataclass(frozen=True)
class World:
    """Everything that must not matter."""

    name: str
    umask: int = 0o022
    environ: Mapping[str, str] = field(default_factory=dict)
    order: Callable[[list[str]], list[str]] = sorted
    age_s: float = 0
    mode: int | None = None
    options: tuple[str, ...] = ()
    place: str = "dist"


def shuffled(names: list[str]) -> list[str]:
    return random.Random(7).sample(names, len(names))


WORLDS = [
    World("plain"),
    World("another-folder", place="some where/else \u00fc/dist"),
    World("umask-000", umask=0),
    World("umask-077", umask=0o077),
    World("modes", mode=0o755),
    World("kathmandu", environ={"TZ": "Asia/Kathmandu"}),
    World("new-york", environ={"TZ": "America/New_York"}),
    World("locale-C", environ={"LC_ALL": "C"}),
    World("locale-C.UTF-8", environ={"LC_ALL": "C.UTF-8"}),
    World("locale-POSIX", environ={"LC_ALL": "POSIX", "LANG": "POSIX"}),
    World("locale-not-there", environ={"LC_ALL": "tr_TR.ISO-8859-9"}),
    World("touched", age_s=-400 * 86400),
    World("of-1970", age_s=-time.time() + 1),
    World("of-2038", age_s=13 * 365 * 86400),
    World("made-in-reverse", order=lambda names: sorted(names, reverse=True)),
    World("made-in-any-order", order=shuffled),
    World("hash-seed-0", environ={"PYTHONHASHSEED": "0"}),
    World("hash-seed-4242", environ={"PYTHONHASHSEED": "4242"}),
    World("one-worker", options=("--workers", "1")),
    World("four-workers", options=("--workers", "4")),
    World("epoch", environ={"SOURCE_DATE_EPOCH": "1"}),
    World("optimised", environ={"PYTHONOPTIMIZE": "2"}),
]


def write_files(folder: Path, world: World, made: Mapping[str, bytes]) -> None:
    before = os.umask(world.umask)
    try:
        for name in world.order(list(made)):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(made[name])
            if world.mode is not None:
                path.chmod(world.mode)
            if world.age_s:
                when = time.time() + world.age_s
                os.utime(path, (when, when))
    finally:
        os.umask(before)


def bundle(base: Path, world: World, made: Mapping[str, bytes]) -> dict[str, str]:
    """Pack with the installed command; give what it says, and the digest of the file that it made."""
    folder = base / world.place
    write_files(folder, world, made)
    argv: list[str | Path] = [
        OTAGATE,
        "bundle",
        str(folder),
        "-o",
        "out.zip",
        "--manifest",
        "files.json",
        "--format",
        "json",
        *world.options,
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(base), **world.environ}
    done = subprocess.run(argv, cwd=base, env=environ, capture_output=True, umask=world.umask, check=False)
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    digests = {name: hashlib.sha256((base / name).read_bytes()).hexdigest() for name in ("out.zip", "files.json")}
    assert said["archive"] == f"sha256:{digests['out.zip']}"
    return {"archive": said["archive"], "content": said["content"], "compressor": said["compressor"], **digests}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return bundle(tmp_path_factory.mktemp("plain"), WORLDS[0], FILES)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_the_same_files_give_the_same_bytes(world: World, plain: dict[str, str], tmp_path: Path) -> None:
    assert bundle(tmp_path, world, FILES) == plain


CHANGES: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "a-byte-more": lambda made: made | {"main.js": made["main.js"] + b";"},
    "a-bit-of-noise": lambda made: made | {"noise.bin": bytes([made["noise.bin"][0] ^ 1]) + made["noise.bin"][1:]},
    "a-name": lambda made: {"b.txt" if name == "a.txt" else name: content for name, content in made.items()},
    "an-empty-file-more": lambda made: made | {"empty2": b""},
    "a-file-less": lambda made: {name: content for name, content in made.items() if name != "Z.txt"},
    "two-files-swapped": lambda made: made | {"Z.txt": made["a.txt"], "a.txt": made["Z.txt"]},
}


def test_other_files_give_other_bytes(plain: dict[str, str], tmp_path: Path) -> None:
    made = {name: bundle(tmp_path / name, WORLDS[0], change(FILES)) for name, change in CHANGES.items()}
    for digest in ("archive", "content", "files.json"):
        assert len({plain[digest], *(one[digest] for one in made.values())}) == 1 + len(CHANGES)
    print(f"{len(WORLDS)} worlds: 1 digest, {plain['archive']}; {len(CHANGES)} changes: {len(CHANGES)} others")
