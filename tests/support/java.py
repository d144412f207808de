"""The plugin's own cipher on a JVM: its Java source is taken from npm at test time and compiled against small stubs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "java"
CIPHERS = Path("android/src/main/java/ee/forgr/capacitor_updater")


def tool(name: str) -> str:
    """Find ``java`` or ``javac``; without them the test fails, because a skip would go unnoticed."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: run scripts/system-packages, which installs a JDK of version 17 or newer")
    return found


def run(command: Sequence[str | Path], text: str = "") -> str:
    """Run a command that must succeed; give what it printed."""
    done = subprocess.run([str(part) for part in command], input=text.encode(), capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        pytest.fail(f"{command[0]} ended with exit code {done.returncode}:\n{done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


def compile_sources(target: Path, extra: Iterable[Path] = ()) -> Path:
    """Compile stubs and harness, with more sources if given, into ``target``."""
    target.mkdir(parents=True)
    run([tool("javac"), "-encoding", "UTF-8", "-d", target, *sorted(SOURCES.rglob("*.java")), *extra])
    return target


@dataclass(frozen=True, slots=True)
class Download:
    """What an update server tells a phone, and the file that it downloads."""

    public_key: Path
    session_key: str
    checksum: str
    file: Path


@dataclass(frozen=True, slots=True)
class Device:
    """One generation of the plugin's cipher, compiled."""

    classes: Path
    cipher: str

    @classmethod
    def of(cls, package: Path, target: Path) -> Device:
        """Compile the cipher that an npm package of the plugin holds."""
        (source,) = (package / CIPHERS).glob("CryptoCipher*.java")
        return cls(compile_sources(target, [source]), f"ee.forgr.capacitor_updater.{source.stem}")

    def judge(self, downloads: Sequence[Download]) -> list[str]:
        """Say for each ``accepted``, ``mismatch`` or ``refused: ...``. The files are decrypted in place."""
        lines = "".join(f"{each.public_key}\t{each.session_key}\t{each.checksum}\t{each.file}\n" for each in downloads)
        said = run([tool("java"), "-cp", self.classes, "otagate.interop.Device", self.cipher], lines).splitlines()
        # Some generations print stack traces between; they go to stderr, and what is left is one line for each download.
        if len(said) != len(downloads):
            pytest.fail(f"asked about {len(downloads)} downloads, heard {said}")
        return said


def listing(classes: Path, archive: Path) -> dict[str, list[tuple[str, int, str]]]:
    """List a zip as Java reads it: ``stream`` (front to back) and ``directory``, each (path, size, SHA-256) in its order."""
    walks: dict[str, list[tuple[str, int, str]]] = {"stream": [], "directory": []}
    for line in run([tool("java"), "-cp", classes, "otagate.interop.Listing", archive]).splitlines():
        walk, path, size, digest = line.split("\t")
        walks[walk].append((path, int(size), digest))
    return walks
