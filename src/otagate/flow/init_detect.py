"""What ``otagate init`` finds in a folder: the app, its build command, branches and CI."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from otagate import _canonical
from otagate.policy.app import AppFacts, package_version, read_app

GIT_TIMEOUT_S = 60
_GIT_SEES = ("PATH", "HOME", "XDG_CONFIG_HOME", "SYSTEMROOT", "TMPDIR")
_PLAIN_BRANCH = re.compile(r"[A-Za-z][A-Za-z0-9_./-]{0,100}", re.ASCII)
_MAIN_NAMES = ("main", "master", "trunk")
_CI_FILES = {
    "GitHub Actions": ".github",
    "GitLab CI": ".gitlab-ci.yml",
    "Jenkins": "Jenkinsfile",
    "Azure Pipelines": "azure-pipelines.yml",
    "Bitbucket Pipelines": "bitbucket-pipelines.yml",
    "CircleCI": ".circleci",
    "AWS CodeBuild": "buildspec.yml",
    "Google Cloud Build": "cloudbuild.yaml",
}
_LOCK_RUNNERS = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found.

    Attributes:
        app: What the app says about itself.
        build_command: Such as ``npm run build``, or None when package.json has no ``build`` script.
        package_version: ``version`` of package.json, or None.
        branches: Local and remote branch names that a policy can name without quotes, sorted.
        has_commit: Whether the folder is in a git checkout with a commit.
        ci: Names of the CI systems whose files are there.
    """

    app: AppFacts
    build_command: str | None
    package_version: str | None
    branches: tuple[str, ...]
    has_commit: bool
    ci: tuple[str, ...]

    @property
    def main_branch(self) -> str:
        """The branch that ships to everybody, as far as names tell."""
        return next((name for name in _MAIN_NAMES if name in self.branches), "main")


def look_around(folder: Path, environ: Mapping[str, str]) -> Surroundings:
    """Look at a folder; nothing is changed and nothing fails for what is missing."""
    heads = _git(folder, environ, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes")
    names = {re.sub(r"^refs/(?:heads|remotes/[^/]+)/", "", line) for line in heads}
    return Surroundings(
        app=read_app(folder),
        build_command=_build_command(folder),
        package_version=package_version(folder),
        branches=tuple(sorted(name for name in names if _PLAIN_BRANCH.fullmatch(name) and name != "HEAD")),
        has_commit=bool(_git(folder, environ, "rev-parse", "--verify", "--quiet", "HEAD")),
        ci=tuple(name for name, file in _CI_FILES.items() if any((above / file).exists() for above in _upwards(folder))),
    )


def _git(folder: Path, environ: Mapping[str, str], *arguments: str) -> list[str]:
    """Ask git; no git, no checkout and a git that hangs all mean that nothing is known."""
    command = ["git", "-c", f"safe.directory={folder}", *arguments]
    # Not GIT_DIR and the like, which hooks set and which would point git at another repository; and no keys.
    env = {name: environ[name] for name in _GIT_SEES if name in environ}
    env = {**env, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=GIT_TIMEOUT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []


def _build_command(folder: Path) -> str | None:
    try:
        package = _canonical.loads((folder / "package.json").read_bytes())
    except (OSError, ValueError):
        return None
    scripts = package.get("scripts") if isinstance(package, dict) else None
    if not isinstance(scripts, dict) or "build" not in scripts:
        return None
    runner = next((name for file, name in _LOCK_RUNNERS.items() if (folder / file).exists()), "npm")
    return f"{runner} run build"


def _upwards(folder: Path) -> Iterator[Path]:
    for above in (folder, *folder.parents):
        yield above
        if (above / ".git").exists():
            return
