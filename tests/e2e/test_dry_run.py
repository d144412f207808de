"""``--dry-run`` of every verb that changes something touches nothing: the whole tree is the same, down to the times."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from support.project import Project

pytestmark = pytest.mark.e2e


def tree(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Give mode, time and digest of everything below a folder, git's own files apart."""
    found = {}
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for name in [*files, *folders, "."]:
            path = Path(root) / name
            stat = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path.relative_to(folder))] = (stat.st_mode, stat.st_mtime_ns, content)
    return found


CASES = {
    "run": ["run"],
    "run the next": ["run", "--version", "2.0.0"],
    "upload": ["upload", "--version", "2.0.0"],
    "promote": ["promote", "--channel", "nightly", "--release", "1.0.0"],
    "promote in part": ["promote", "--channel", "nightly", "--release", "1.0.0", "--weight", "5%"],
    "pause": ["pause"],
    "pause a channel": ["pause", "--channel", "old"],
    "rollback": ["rollback"],
    "rollback a channel": ["rollback", "--channel", "old"],
    "rollback to the built-in bundle": ["rollback", "--channel", "old", "--to", "builtin"],
    "reconcile": ["reconcile"],
    "prune": ["prune", "--grace", "0s"],
    "build": ["build"],
    "bundle": ["bundle", "-o", "out.zip"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("dry") / "app")
    assert project("run").code == 0
    assert project("upload", "--version", "0.9.0").code == 0
    for version in ("1.0.0", "0.9.0"):
        assert project("promote", "--channel", "old", "--release", version).code == 0
    return project


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("output", ["text", "json", "markdown"])
def test_a_dry_run_touches_nothing(name: str, output: str, project: Project) -> None:
    before = tree(project.folder)
    said = project(*CASES[name], "--dry-run", "--format", output)
    assert said.code == 0, said.err
    assert tree(project.folder) == before
    assert said.json["schema"] == "otagate/plan/v1" if output == "json" else "dry run: nothing was touched" in said.out


@pytest.mark.parametrize("argv", [["resume"], ["resume", "--override", "crash_rate", "--reason", "known"], ["approve"]])
def test_a_dry_run_of_what_needs_a_stopped_rollout(argv: list[str], tmp_path: Path) -> None:
    project = Project(tmp_path / "app")
    text = (project.folder / "otagate.yml").read_text().replace("weights: [5%, 100%], ", "approve: true, ").replace("24h", "1s")
    (project.folder / "otagate.yml").write_text(text)
    assert project("run", "--wait").code == 0
    if argv[0] == "resume":
        assert project("pause").code == 0
    before = tree(project.folder)
    said = project(*argv, "--dry-run")
    assert said.code == 0, said.err
    assert "dry run" in said.out
    assert tree(project.folder) == before
    assert project(*argv).code == 0
    assert tree(project.folder) != before, "and without it, something happens"


def test_reading_verbs_touch_nothing_either(project: Project) -> None:
    before = tree(project.folder)
    for argv in (["plan"], ["status"], ["history"], ["policy", "check"], ["policy", "explain"]):
        assert project(*argv).code == 0
    assert tree(project.folder) == before
