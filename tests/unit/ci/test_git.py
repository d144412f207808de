from __future__ import annotations

import os
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from otagate.ci import git as git_module
from otagate.ci.git import ProcessGit
from otagate.errors import AccessError, UnavailableError

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
WHEN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def run(folder: Path, *arguments: str) -> str:
    env = ENV | {
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com",
        "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-11-20T10:30:00+01:00",
    }  # fmt: skip
    done = subprocess.run(["git", *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    run(folder, "init", "-q", "-b", "main")
    (folder / "index.html").write_text("one")
    run(folder, "add", ".")
    run(folder, "commit", "-qm", "one")
    return folder


def test_a_branch_checkout(repo: Path) -> None:
    checkout = ProcessGit(repo, ENV).read()
    assert checkout is not None
    assert checkout.head == run(repo, "rev-parse", "HEAD")
    assert (checkout.branch, checkout.tag) == ("main", None)
    assert checkout.committed_at == WHEN
    assert not checkout.is_dirty
    assert not checkout.is_shallow
    assert checkout.commit is None


def test_a_folder_below_the_top_is_enough(repo: Path) -> None:
    (repo / "www").mkdir()
    checkout = ProcessGit(repo / "www", ENV).read()
    assert checkout is not None
    assert checkout.branch == "main"


@pytest.mark.parametrize(
    ("path", "is_dirty"),
    [
        ("index.html", True),
        ("new.txt", True),
        (".otagate/store/blob", False),
        ("apps/one/.otagate/store/blob", False),
        ("otagate.env", False),
        ("otagate.properties", False),
        ("ignored/x", False),
    ],
)
def test_dirt_is_what_differs_from_the_commit(repo: Path, path: str, is_dirty: bool) -> None:
    (repo / ".git/info/exclude").write_text("ignored/\n")
    (repo / path).parent.mkdir(parents=True, exist_ok=True)
    (repo / path).write_text("two")
    checkout = ProcessGit(repo, ENV).read()
    assert checkout is not None
    assert checkout.is_dirty is is_dirty


def test_dirt_above_the_folder_counts_too(repo: Path) -> None:
    (repo / "www").mkdir()
    (repo / "index.html").write_text("two")
    checkout = ProcessGit(repo / "www", ENV).read()
    assert checkout is not None
    assert checkout.is_dirty


@pytest.mark.parametrize(
    ("refs", "branch", "tag"),
    [
        (["refs/remotes/origin/main"], "main", None),
        (["refs/heads/main", "refs/remotes/origin/main"], "main", None),
        (["refs/remotes/origin/release/1.x", "refs/remotes/origin/HEAD"], "release/1.x", None),
        (["refs/remotes/origin/main", "refs/remotes/origin/develop"], None, None),
        (["refs/tags/v1.2.0"], None, "v1.2.0"),
        (["refs/tags/v1.2.0", "refs/tags/v1"], None, None),
        (["refs/remotes/origin/main", "refs/tags/v1.2.0"], "main", None),
        (["refs/remotes/origin/main", "refs/remotes/origin/develop", "refs/tags/v1.2.0"], None, None),
        (["refs/remotes/fork/main"], None, None),
        (["refs/heads/a,b"], "a,b", None),
        ([], None, None),
    ],
)
def test_a_detached_head_is_named_by_the_only_ref_that_points_at_it(
    repo: Path, refs: list[str], branch: str | None, tag: str | None
) -> None:
    run(repo, "checkout", "-q", "--detach")
    run(repo, "update-ref", "-d", "refs/heads/main")
    for ref in refs:
        run(repo, "update-ref", ref, "HEAD")
    checkout = ProcessGit(repo, ENV).read()
    assert checkout is not None
    assert (checkout.branch, checkout.tag) == (branch, tag)


def test_an_annotated_tag_counts_for_its_commit(repo: Path) -> None:
    run(repo, "checkout", "-q", "--detach")
    run(repo, "update-ref", "-d", "refs/heads/main")
    run(repo, "tag", "-a", "v2.0.0", "-m", "two")
    checkout = ProcessGit(repo, ENV).read()
    assert checkout is not None
    assert checkout.tag == "v2.0.0"


def test_log_settings_of_a_person_do_not_matter(repo: Path) -> None:
    for key, value in (
        ("log.showSignature", "true"), ("log.decorate", "short"), ("log.excludeDecoration", "refs/tags/*"), ("color.ui", "always"),
        ("status.short", "true"), ("status.showUntrackedFiles", "no"), ("format.pretty", "oneline"), ("log.date", "relative"),
    ):  # fmt: skip
        run(repo, "config", key, value)
    run(repo, "tag", "v1")
    run(repo, "checkout", "-q", "--detach")
    run(repo, "branch", "-D", "main")
    (repo / "new").touch()
    checkout = ProcessGit(repo, ENV).read()
    assert checkout is not None
    assert (checkout.tag, checkout.is_dirty, checkout.committed_at) == ("v1", True, WHEN)


def test_before_the_first_commit_there_is_a_branch_and_no_commit(tmp_path: Path) -> None:
    run(tmp_path, "init", "-q", "-b", "main")
    checkout = ProcessGit(tmp_path, ENV).read()
    assert checkout is not None
    assert (checkout.head, checkout.branch, checkout.committed_at) == (None, "main", None)


def test_a_wanted_commit_is_found_and_completed(repo: Path) -> None:
    first = run(repo, "rev-parse", "HEAD")
    run(repo, "commit", "-q", "--allow-empty", "-m", "two")
    checkout = ProcessGit(repo, ENV).read(first[:12])
    assert checkout is not None
    assert checkout.commit == first
    assert checkout.head == run(repo, "rev-parse", "HEAD")
    assert checkout.committed_at == WHEN


@pytest.mark.parametrize("wanted", ["0" * 40, "0" * 12, "deadbeef"])
def test_a_wanted_commit_that_is_not_there_costs_nothing_else(repo: Path, wanted: str) -> None:
    checkout = ProcessGit(repo, ENV).read(wanted)
    assert checkout is not None
    assert checkout.commit is None
    assert checkout.head == run(repo, "rev-parse", "HEAD")
    assert checkout.committed_at == WHEN


def test_wanting_the_head_finds_it(repo: Path) -> None:
    head = run(repo, "rev-parse", "HEAD")
    checkout = ProcessGit(repo, ENV).read(head)
    assert checkout is not None
    assert (checkout.commit, checkout.branch) == (head, "main")


def test_a_shallow_clone_says_so(repo: Path, tmp_path: Path) -> None:
    run(repo, "commit", "-q", "--allow-empty", "-m", "two")
    run(tmp_path, "clone", "-q", "--depth", "1", repo.as_uri(), "thin")
    checkout = ProcessGit(tmp_path / "thin", ENV).read()
    assert checkout is not None
    assert checkout.is_shallow


def test_outside_a_checkout_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert ProcessGit(tmp_path, ENV).read() is None
    assert ProcessGit(tmp_path / "missing", ENV).read() is None


def test_without_the_program_there_is_nothing_to_tell(repo: Path, tmp_path: Path) -> None:
    assert ProcessGit(repo, {"PATH": str(tmp_path)}).read() is None


def test_variables_of_a_hook_do_not_lead_elsewhere(repo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    run(other, "init", "-q", "-b", "elsewhere")
    checkout = ProcessGit(repo, ENV | {"GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other)}).read()
    assert checkout is not None
    assert checkout.branch == "main"


def test_a_checkout_cannot_start_programs_through_its_settings(repo: Path, tmp_path: Path) -> None:
    program = tmp_path / "spy"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    run(repo, "config", "core.fsmonitor", str(program))
    ProcessGit(repo, ENV).read()
    assert not (tmp_path / "ran").exists()


def fake_git(folder: Path, script: str) -> dict[str, str]:
    folder.mkdir()
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_at_most_three_processes_are_started(repo: Path, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    git = next(Path(part) / "git" for part in os.environ["PATH"].split(os.pathsep) if (Path(part) / "git").exists())
    env = fake_git(tmp_path / "bin", f'echo "$@" >> {log}\nexec {git} "$@"')
    checkout = ProcessGit(repo, env).read(run(repo, "rev-parse", "HEAD"))
    assert checkout is not None
    assert len(log.read_text().splitlines()) == 3


def test_a_foreign_checkout_is_refused_with_the_remedy(repo: Path, tmp_path: Path) -> None:
    env = fake_git(tmp_path / "bin", "echo \"fatal: detected dubious ownership in repository at '/app'\" >&2; exit 128")
    with pytest.raises(AccessError, match=r"(?s)another user owns it.*safe\.directory"):
        ProcessGit(repo, env).read()


def test_a_foreign_checkout_of_a_ci_host_is_trusted(repo: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    for path in (repo, *repo.rglob("*")):
        os.lchown(path, 12345, 12345)
    with pytest.raises(AccessError):
        ProcessGit(repo, ENV).read()
    checkout = ProcessGit(repo, ENV, trust_owner=True).read()
    assert checkout is not None
    assert checkout.branch == "main"


def test_a_git_that_hangs_is_given_up(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_module, "TIMEOUT_SECONDS", 0.2)
    env = fake_git(tmp_path / "bin", "exec sleep 5")
    with pytest.raises(UnavailableError, match="git did not answer"):
        ProcessGit(repo, env).read()
