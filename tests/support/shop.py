"""A small app as a team has it: repository, built files, policy, keys; and one release in its store. For tests of whole commands."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from otagate.cli.main import run_command
from otagate.seal.keys import create_keys

POLICY = """\
version: 1
app: {id: com.example.shop}
build: {output: dist}
versioning: package
seal:
  format: capgo
  encryption_key: file:.otagate/keys/encryption.pem
  signing_key: file:.otagate/keys/signing.pem
trust:
  keys: [file:.otagate/keys/signing.pub.pem]
storage: file:.otagate/store
branches:
  main: {track: production}
  develop: {channel: development}
tracks:
  production:
    - {phase: internal, channel: internal, soak: 24h}
    - {phase: stable, channel: stable, weights: [5%, 100%], soak: 24h, approve: true}
metrics: {file: metrics.json}
gates:
  crash_rate: {max: 2%, action: pause, min_sample: 300, escalate: {above: 10%, action: rollback}}
"""


@dataclass(frozen=True)
class Said:
    """What a command ended with and printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Shop:
    """The app's folder, and running commands in it without a process of their own."""

    folder: Path
    environ: Mapping[str, str] = field(
        default_factory=lambda: {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "USER": "tester"}
    )

    def run(self, *argv: str, **environ: str) -> Said:
        out, err = io.StringIO(), io.StringIO()
        code = run_command(argv, {**self.environ, **environ}, self.folder, out, err)
        return Said(int(code), out.getvalue(), err.getvalue())

    def path(self, name: str) -> Path:
        return self.folder / name

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that must be there."""
        path = self.folder / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new))

    def commit(self, message: str = "more") -> None:
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-qm", message)

    def fingerprint(self, name: str = ".otagate/store") -> str:
        return fingerprint(self.folder / name)


def fingerprint(folder: Path) -> str:
    """Hash every name, kind, mode, change time and content below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        digest.update(f"{path.relative_to(folder)}|{status.st_mode}|{status.st_mtime_ns}|{status.st_size}\n".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def git(folder: Path, *argv: str) -> None:
    who = (
        "-c",
        "user.name=Test",
        "-c",
        "user.email=test@example.com",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "init.defaultBranch=main",
    )
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(("git", *who, *argv), cwd=folder, check=True, capture_output=True, env=environ)


@cache
def _pattern() -> Path:
    """Make the app once a process; tests get copies."""
    folder = Path(mkdtemp(prefix="otagate-shop-"))
    (folder / "dist").mkdir()
    (folder / "dist" / "index.html").write_text('<!doctype html><script type="module" src="app.js"></script>')
    (folder / "dist" / "app.js").write_text("CapacitorUpdater.notifyAppReady();\n" * 20)
    (folder / "package.json").write_text(json.dumps({"name": "shop", "version": "1.0.0"}))
    (folder / "otagate.yml").write_text(POLICY)
    (folder / ".gitignore").write_text(".otagate/\nmetrics.json\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    create_keys(folder / ".otagate" / "keys")
    return folder


@cache
def _pattern_with_release() -> Path:
    folder = Path(mkdtemp(prefix="otagate-shop-")) / "app"
    shutil.copytree(_pattern(), folder, symlinks=True)
    shop = Shop(folder)
    for argv in (("upload",), ("promote", "--channel", "live", "--release", "1.0.0")):
        said = shop.run(*argv)
        assert said.code == 0, said.err
    return folder


def open_shop(folder: Path, *, published: bool = True) -> Shop:
    """Copy the app to ``folder``; with ``published`` its release 1.0.0 is in the store and on channel ``live``."""
    shutil.copytree(_pattern_with_release() if published else _pattern(), folder, symlinks=True)
    return Shop(folder)
