"""A small app with a policy in a git checkout, and the command as a process would run it, in this process."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otagate.cli.main import run_command
from otagate.seal.trust import trust_line
from support.keys import key, signer

POLICY = """\
version: 1
app: {{id: com.example.app}}
build: {{output: dist}}
versioning: package
seal: {{format: none, signing_key: env:SIGNING}}
trust: {{keys: ["{trust}"]}}
storage: {storage}
branches:
  main: {{track: production}}
  develop: {{channel: development}}
tracks:
  production:
    - {{phase: internal, channel: internal, soak: {soak}, allow_short_soak: true}}
    - {{phase: stable, channel: stable, weights: [5%, 100%], soak: {soak}, allow_short_soak: true}}
metrics: {{file: "metrics/{{metric}}.json"}}
gates:
  crash_rate: {{max: 2%, action: pause, min_sample: 100, escalate: {{above: 10%, action: rollback}}}}
evaluation: {{evaluate_every: 1s}}
"""
PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Project:
    """An app in a folder."""

    folder: Path
    soak: str = "24h"
    storage: str = "file:.otagate/store"
    environ: dict[str, str] = field(default_factory=lambda: {"SIGNING": key("ed25519"), "USER": "ana", "PATH": PATH})

    def __post_init__(self) -> None:
        dist = self.folder / "dist"
        dist.mkdir(parents=True)
        (dist / "index.html").write_text("<!doctype html><script src=app.js></script>")
        (dist / "app.js").write_text("CapacitorUpdater.notifyAppReady()")
        self.version("1.0.0")
        self.measure(5, 2000)
        self.policy(POLICY)
        (self.folder / ".gitignore").write_text(".otagate\nmetrics\n")
        self.git("init", "-q", "-b", "main")
        self.commit("first")

    @property
    def store(self) -> Path:
        return self.folder / ".otagate" / "store"

    def policy(self, text: str) -> None:
        trust = trust_line(signer().public_key())
        (self.folder / "otagate.yml").write_text(text.format(trust=trust, storage=self.storage, soak=self.soak))

    def version(self, version: str) -> None:
        (self.folder / "package.json").write_text(json.dumps({"name": "app", "version": version}))

    def measure(self, bad: int, total: int) -> None:
        (self.folder / "metrics").mkdir(exist_ok=True)
        (self.folder / "metrics" / "crash_rate.json").write_text(json.dumps({"bad": bad, "total": total}))

    def next_release(self, version: str) -> None:
        self.version(version)
        (self.folder / "dist" / "app.js").write_text(f"CapacitorUpdater.notifyAppReady() // {version}")
        self.commit(version)

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=ana", "-c", "user.email=ana@example.com", "-c", "commit.gpgsign=false"]
        environ = {"PATH": PATH, "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", *identity, *arguments], cwd=self.folder, env=environ, check=True, capture_output=True)

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def __call__(self, *argv: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Said:
        out, err = io.StringIO(), io.StringIO()
        code = run_command(argv, {**self.environ, **(environ or {})}, cwd or self.folder, out, err)
        return Said(int(code), out.getvalue(), err.getvalue())
