"""A tiny app in a git repository with a policy, a key and a store, as a CI job finds it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from filelock import FileLock

from support.measured import unmeasured

ROOT = Path(__file__).parents[2]

POLICY = """\
version: 1
app: {id: com.example.ci}
build: {output: dist}
versioning: "1.0.0"
seal: {format: none}
storage: "file:STORE"
trust: {keys: ["file:signing.pub.pem"]}
branches:
  main: {track: production}
  "tags/*": {track: production}
  "pulls/*": {channel: preview}
tracks:
  production:
    - {phase: stable, channel: stable, soak: 1s, allow_short_soak: true}
gates: {}
"""


@dataclass(frozen=True, slots=True)
class CiApp:
    """Where things are.

    Attributes:
        folder: The repository.
        key: The signing key as PEM.
        temp: A folder for whatever the host needs.
    """

    folder: Path
    key: str
    temp: Path

    @property
    def store(self) -> Path:
        """The store that the policy names."""
        return self.folder.parent / "store"

    def stored(self) -> dict[str, bytes]:
        """Give every file of the store."""
        return {str(path.relative_to(self.store)): path.read_bytes() for path in self.store.rglob("*") if path.is_file()}


def git(folder: Path, *arguments: str) -> str:
    """Run git with a name and nobody's settings."""
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    command = ["git", "-c", "user.name=ci", "-c", "user.email=ci@example.com", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True, text=True).stdout.strip()


def make_app(folder: Path, *, branch: str = "main", files: Mapping[str, str] | None = None) -> CiApp:
    """Make the app below ``folder`` and commit it on ``branch``."""
    app = folder / "app"
    (app / "dist").mkdir(parents=True)
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    contents = {
        "otagate.yml": POLICY.replace("STORE", str(folder / "store")),
        "signing.pub.pem": public.decode(),
        "dist/index.html": "<script>CapacitorUpdater.notifyAppReady()</script>",
        **(files or {}),
    }
    for name, text in contents.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    git(app, "init", "-q", "-b", "main")
    git(app, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
    git(app, "add", ".")
    git(app, "commit", "-qm", "one")
    temp = folder / "temp"
    temp.mkdir()
    return CiApp(app, pem.decode(), temp)


def copy_source(target: Path) -> Path:
    """Copy what the faces need of this checkout, as a host fetches it: without caches and environments."""
    names = ["action.yml", "gitlab-ci-template.yml", "Jenkinsfile.groovy", "requirements", "src"]
    target.mkdir()
    subprocess.run(["tar", "-C", ROOT, "--exclude=__pycache__", "-cf", target / "x.tar", *names], check=True)
    subprocess.run(["tar", "-C", target, "-xf", target / "x.tar"], check=True)
    (target / "x.tar").unlink()
    return target


def kept_for_this_run(factory: pytest.TempPathFactory) -> Path:
    """Give a folder that all test processes of this run share."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "ci-hosts"
    folder.mkdir(exist_ok=True)
    return folder


def environments(factory: pytest.TempPathFactory) -> Path:
    """Give a folder for otagate's own environments: whichever host comes first installs, the others find it done."""
    folder = kept_for_this_run(factory) / "environments"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def pip_settings(factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give the variables by which pip finds what the jobs lock, for jobs that get a fresh environment.

    It is fetched once, and lies in a folder: an index is asked for every package, every time.
    """
    kept = kept_for_this_run(factory)
    with FileLock(kept / "lock"):
        if not (kept / "wheels").exists():
            locks = [word for name in ("comment", "s3") for word in ("-r", str(ROOT / "requirements" / f"{name}.txt"))]
            options = ["--quiet", "--no-input", "--require-hashes", "--only-binary=:all:", "--no-deps"]
            command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(kept / "new"), *locks]
            subprocess.run(command, env=unmeasured(), check=True)
            (kept / "new").rename(kept / "wheels")
    return {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": str(kept / "wheels")}


def python_path() -> str:
    """Give a PATH on which ``python3`` is the interpreter that the tests run on."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
