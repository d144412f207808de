"""The contestants: the commands that a person would type, for otagate and for the Capgo CLI, on the same folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from measure import Command, Cost, run

HERE = Path(__file__).parent
ROOT = HERE.parent
BIN = Path(sys.executable).parent
OTAGATE = BIN / "otagate"
NODE = BIN / "node"
CAPGO = ROOT / "tests" / "js" / "node_modules" / "@capgo" / "cli" / "dist" / "index.js"
PLUGIN = ROOT / "tests" / "js" / "node_modules" / "@capgo" / "capacitor-updater"
APP_ID = "com.example.benchmark"
NOWHERE = "http://127.0.0.1:9"


def install() -> None:
    """Install the locked npm packages, unless they are there: the web code to measure on, and the Capgo CLI."""
    for folder in (HERE, ROOT / "tests" / "js"):
        lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
        if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
            continue
        subprocess.run(
            [BIN / "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            check=True,
            stdout=sys.stderr,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        )


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder in which both tools work, with keys that both take, and nothing of the user's own."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Workshop:
        """Set it up afresh: keys, and the Capacitor project that the Capgo CLI wants to stand in."""
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "home").mkdir(parents=True)
        shop = cls(folder)
        run(shop.command(OTAGATE, "keys", "create", "--out", "keys"), folder / "keys.log")
        installed = folder / "node_modules" / "@capgo" / "capacitor-updater"
        installed.parent.mkdir(parents=True)
        installed.symlink_to(PLUGIN)
        updater = {
            "publicKey": (folder / "keys" / "encryption.pub.pem").read_text(),
            **dict.fromkeys(("localApi", "localApiFiles", "localSupa"), NOWHERE),
            "localSupaAnon": "none",
        }
        config = {"appId": APP_ID, "appName": "Benchmark", "webDir": "www", "plugins": {"CapacitorUpdater": updater}}
        (folder / "capacitor.config.json").write_text(json.dumps(config))
        version = json.loads((PLUGIN / "package.json").read_text())["version"]
        package = {"name": "benchmark", "version": "1.0.0", "dependencies": {"@capgo/capacitor-updater": version}}
        (folder / "package.json").write_text(json.dumps(package))
        return shop

    def command(self, program: Path, *arguments: str | Path) -> Command:
        """Give a command that runs in this folder and environment."""
        environ = {
            "HOME": str(self.folder / "home"),
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "CI": "1",
            "NO_COLOR": "1",
            "CAPGO_DISABLE_TELEMETRY": "1",
        }
        return Command((str(program), *map(str, arguments)), self.folder, environ)

    def run(self, program: Path, *arguments: str | Path) -> tuple[Cost, str]:
        """Run it and give its cost and standard output."""
        return run(self.command(program, *arguments), self.folder / "last.log")


@dataclass(frozen=True, slots=True)
class Packing:
    """One web build, packed and sealed by both."""

    shop: Workshop
    tree: Path

    def otagate(self) -> Cost:
        """``otagate bundle --sealed``: vet, zip, hash and seal in one command."""
        self._fresh("ours.zip", "ours.sealed.zip")
        seal = ("--sealed", "ours.sealed.zip", "--key", "file:keys/encryption.pem")
        cost, _ = self.shop.run(OTAGATE, "bundle", self.tree, "--out", "ours.zip", *seal)
        return cost

    def capgo(self) -> Cost:
        """``capgo bundle zip``, then ``capgo bundle encrypt``."""
        self._fresh("theirs.zip", "theirs.zip_encrypted.zip")
        packed, said = self.shop.run(
            NODE,
            CAPGO,
            "bundle",
            "zip",
            APP_ID,
            "--path",
            self.tree,
            "--bundle",
            "1.0.0",
            "--name",
            "theirs.zip",
            "--json",
        )
        checksum = json.loads(said)["checksum"]
        sealed, _ = self.shop.run(
            NODE,
            CAPGO,
            "bundle",
            "encrypt",
            "theirs.zip",
            checksum,
            "--key",
            "keys/encryption.pem",
            "--json",
        )
        return packed + sealed

    def sizes(self) -> dict[str, int]:
        """Bytes that a phone downloads."""
        found = {"otagate": self.shop.folder / "ours.sealed.zip", "capgo": self.shop.folder / "theirs.zip_encrypted.zip"}
        return {name: path.stat().st_size for name, path in found.items() if path.exists()}

    def _fresh(self, *names: str) -> None:
        for name in names:
            (self.shop.folder / name).unlink(missing_ok=True)
