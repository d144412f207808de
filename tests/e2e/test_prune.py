"""``otagate prune`` on a folder, as people use it: fifteen releases, what goes, what stays, and a dry run that touches nothing."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.project import POLICY, Project, Said

pytestmark = pytest.mark.e2e
KEEP = "keep: {releases: 3, age: 1ms, rollbacks: 2, grace: 1h}\n"
NOW_GOES = ("--grace", "0s", "--wait", "0s")


def tree(folder: Path) -> str:
    """Hash every name, mode, change time and content below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{path}|{status.st_mode}|{status.st_mtime_ns}|".encode() + content)
    return digest.hexdigest()


def blobs(project: Project) -> set[str]:
    return {path.name for path in (project.store / "blobs").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("prune") / "app")
    project.policy(POLICY + KEEP.replace("{", "{{").replace("}", "}}"))
    for number in range(1, 16):
        project.next_release(f"1.0.{number}")
        assert project("upload").code == 0
    for version in ("1.0.2", "1.0.4", "1.0.6"):
        assert project("promote", "--channel", "live", "--release", version).code == 0
    return project


def installed(project: Project, *argv: str) -> Said:
    done = subprocess.run(
        [Path(sys.executable).parent / "otagate", *argv],
        cwd=project.folder,
        env=project.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def test_a_dry_run_lists_what_the_run_removes_and_what_went_can_come_again(published: Project) -> None:
    check_removal(published)
    check_coming_again(published)
    check_words(published)


def check_removal(published: Project) -> None:
    (published.folder / "in-use.txt").write_text("1.0.8\n\n1.0.9\n")
    before, names = tree(published.folder), blobs(published)
    dry = installed(published, "prune", "--dry-run", "--in-use", "in-use.txt", "--format", "json", *NOW_GOES)
    assert dry.code == 0, dry.err
    assert tree(published.folder) == before
    planned = {step["title"].rpartition(":")[2] for step in dry.json["steps"]}
    # Of 15: the newest 3, three that the channel serves or can go back to, two that devices run.
    assert len(planned) == 15 - 3 - 3 - 2

    done = installed(published, "prune", "--in-use", "in-use.txt", "--format", "json", *NOW_GOES)
    assert done.code == 0, done.err
    assert {item["blob"].removeprefix("sha256:") for item in done.json["removed"]} == planned == names - blobs(published)
    assert done.json["bytes"] == sum(item["bytes"] for item in done.json["removed"]) > 0

    for version in (2, 4, 6, 8, 9, 13, 14, 15):
        assert published("verify", f"1.0.{version}").code == 0, version
    for _ in range(2):
        assert published("rollback", "--channel", "live").code == 0
    again = installed(published, "prune", "--in-use", "in-use.txt", *NOW_GOES)
    assert again.out.startswith("done: 0 bundles removed")
    assert "release.pruned" in published("history").out


def check_coming_again(published: Project) -> None:
    published.next_release("1.0.1")
    gone = blobs(published)
    assert published("promote", "--channel", "live", "--release", "1.0.1").code == 3
    assert published("upload").code == 0
    assert len(blobs(published) - gone) == 1
    assert published("promote", "--channel", "live", "--release", "1.0.1").code == 0


def check_words(published: Project) -> None:
    said = published("prune", *NOW_GOES)
    assert said.code == 0, said.err
    # Two that devices ran a moment ago, and one that was rolled back and is never served again.
    assert "3 bundles removed" in said.out
    assert all(version in said.out for version in ("1.0.6", "1.0.8", "1.0.9"))
    assert "no rule keeps the release" in said.out


def test_while_a_prune_is_announced_its_bundles_are_not_served(published: Project) -> None:
    until = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body = {
        "schema": "otagate/prune/v1",
        "revision": 99,
        "txn": "0" * 32,
        "id": "f" * 32,
        "until": until,
        "condemned": sorted(blobs(published)),
        "actor": "eve",
    }
    (published.store / "prune.json").write_text(json.dumps(body))
    said = published("promote", "--channel", "beta", "--release", "1.0.14")
    assert (said.code, "prune is removing this very bundle" in said.err) == (5, True)
    for number in range(16, 20):
        published.next_release(f"1.0.{number}")
        assert published("upload").code == 0
    busy = published("prune", *NOW_GOES)
    assert (busy.code, "another prune is going on" in busy.err) == (5, True)
    assert published("rollback", "--channel", "live").code == 0


@pytest.mark.parametrize(
    ("content", "code"),
    [("1.0.1\nnot a version\n", 2), ('["1.0.1", 7]', 2), ("[", 2), ('["1.0.1"]', 0), ("", 0), ("\ufeff1.0.1\n", 0)],
)
def test_the_list_of_versions_in_use_is_read_strictly(content: str, code: int, published: Project) -> None:
    path = published.folder / "versions"
    path.write_text(content)
    said = published("prune", "--dry-run", "--in-use", "versions")
    assert said.code == code, said.err
    assert (code == 0) or "this is not a list of versions" in said.err


@pytest.mark.parametrize(
    "argv", [("--in-use", "missing"), ("--grace", "soon"), ("--wait", "1h"), ("--wait", "2"), ("--in-use", ".")]
)
def test_what_cannot_be_done_is_refused_with_a_remedy(argv: tuple[str, ...], published: Project) -> None:
    before = tree(published.store)
    said = published("prune", *argv)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert tree(published.store) == before


def test_each_format_says_the_same(published: Project) -> None:
    text, markdown = published("prune", "--dry-run").out, published("prune", "--dry-run", "--format", "markdown").out
    assert text.startswith("plan: remove nothing")
    assert markdown.startswith("### plan: remove nothing")
    assert os.linesep in text
