"""The installed command on a folder: killed for real, raced for real.

``OTAGATE_TEST_KILLS=N`` kills N times at random, and each verb before N of its changes to the store; a large N: before every one.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import project as project_module
from support.project import Project, Said

pytestmark = pytest.mark.e2e

COMMAND = [sys.executable, "-m", "otagate"]
MANY = int(os.environ.get("OTAGATE_TEST_KILLS", "0"))
KILLS = MANY or 6
KILLING = Path(project_module.__file__).parent / "killing"


def spawn(project: Project, *argv: str, **more: str) -> subprocess.Popen[str]:
    # Its own group, so that a kill takes the children, too; and no coverage data of a process that never ends.
    path = [str(KILLING), *sys.path] if more else sys.path
    environ = {**project.environ, "PYTHONPATH": os.pathsep.join(path), **more}
    return subprocess.Popen(
        [*COMMAND, *argv],
        cwd=project.folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> Said:
    out, err = process.communicate(timeout=120)
    return Said(process.returncode, out, err)


def summary(project: Project) -> dict[str, Any]:
    """Give what must be the same however often it was killed."""
    status, history = project("status", "--format", "json").json, project("history", "--limit", "0", "--format", "json")
    assert history.code == 0, history.err
    channels = {
        one["channel"]: (one["stable"]["version"] if one["stable"] else None, one["candidate"], one["paused"], one["blocked"])
        for one in status["channels"]
    }
    kinds = [(entry["kind"], entry["data"].get("weight")) for entry in history.json["entries"]]
    return {"channels": channels, "ledger": kinds, "active": status["rollouts"]}


def test_run_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    calm = Project(tmp_path / "calm", soak="100ms")
    begin = time.monotonic()
    assert finish(spawn(calm, "run", "--wait")).code == 0
    took = time.monotonic() - begin
    killed = Project(tmp_path / "killed", soak="100ms")
    dice, kills = random.Random(20261121), 0
    for _ in range(KILLS):
        process = spawn(killed, "run", "--wait")
        try:
            process.wait(timeout=dice.uniform(0.15, 0.95) * took)
            took /= 2  # the machine was busier when it was measured
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    last = finish(spawn(killed, "run", "--wait"))
    assert last.code == 0, last.err
    assert kills >= KILLS // 3
    assert summary(killed) == summary(calm)
    assert summary(killed)["channels"]["stable"] == ("1.0.0", None, False, [])
    assert summary(killed)["active"] == []
    left = [path for path in killed.store.rglob("*") if path.name.startswith(".tmp-")]
    assert len(left) <= kills, left


def shipped(folder: Path, *versions: str) -> Project:
    """Give a project whose versions went all the way."""
    project = Project(folder, soak="1ms")
    for version in versions:
        if version != "1.0.0":
            project.next_release(version)
        said = project("run", "--wait")
        assert said.code == 0, said.err
    return project


def started(folder: Path, soak: str) -> Project:
    """Give a project with a rollout in its first soak."""
    project = Project(folder, soak=soak)
    assert project("run").code == 0
    return project


def soaked(folder: Path) -> Project:
    """Give a project with a rollout whose first soak is over."""
    project = started(folder, "500ms")
    time.sleep(0.5)
    return project


@dataclass(frozen=True)
class Verb:
    """A command, what it is run in, and what is run after it to bring what it began to an end."""

    begin: Callable[[Path], Project]
    argv: tuple[str, ...]
    after: tuple[str, ...] = ()


VERBS = {
    "run": Verb(lambda folder: Project(folder, soak="1ms"), ("run",), ("run", "--wait")),
    "reconcile": Verb(soaked, ("reconcile",), ("run", "--wait")),
    "promote": Verb(lambda folder: shipped(folder, "1.0.0"), ("promote", "--channel", "nightly", "--release", "1.0.0")),
    "rollback of a rollout": Verb(lambda folder: started(folder, "24h"), ("rollback", "--reason", "bad")),
    "rollback of a channel": Verb(
        lambda folder: shipped(folder, "1.0.0", "1.1.0"), ("rollback", "--channel", "stable", "--reason", "bad")
    ),
}


def twin(project: Project, folder: Path) -> Project:
    """Give a copy of a project as it is now."""
    shutil.copytree(project.folder, folder, symlinks=True)
    other = copy.copy(project)
    other.folder = folder
    return other


@pytest.mark.parametrize("name", VERBS)
def test_each_verb_killed_before_a_change_to_the_store_and_run_again_ends_the_same(name: str, tmp_path: Path) -> None:
    verb = VERBS[name]
    start = verb.begin(tmp_path / "start")
    calm = twin(start, tmp_path / "calm")
    said = finish(spawn(calm, *verb.argv, OTAGATE_TEST_KILL_COUNT=str(tmp_path / "count")))
    assert said.code in {0, 8}, said.err
    wanted, changes = settled(calm, verb), int((tmp_path / "count").read_text())
    assert changes >= 5
    points = sorted(random.Random(name).sample(range(1, changes + 1), min(MANY or 2, changes)))
    kills = 0
    for at in [*points, 1]:
        if at == 1 and kills:
            break
        killed = twin(start, tmp_path / f"killed{at}")
        code = finish(spawn(killed, *verb.argv, OTAGATE_TEST_KILL_AT=str(at))).code
        assert code in {-signal.SIGKILL, said.code}  # soaks end by the clock: not every run makes as many changes
        kills += code == -signal.SIGKILL
        again = killed(*verb.argv)
        assert again.code == said.code, (at, again.err)
        assert settled(killed, verb) == wanted, at
    print(f"{name}: killed before {kills} of {changes} changes to the store")
    assert kills >= 1


def settled(project: Project, verb: Verb) -> dict[str, Any]:
    if verb.after:
        said = project(*verb.after)
        assert said.code == 0, said.err
    return summary(project)


def test_two_promotions_at_once_serialise_or_one_says_who_won(tmp_path: Path) -> None:
    project = Project(tmp_path / "app")
    for version in ("1.0.0", "1.1.0"):
        if version != "1.0.0":
            project.next_release(version)
        assert project("upload").code == 0
    for attempt in range(4):
        channel = f"race{attempt}"
        both = [
            spawn(project, "promote", "--channel", channel, "--release", version, "--format", "json")
            for version in ("1.0.0", "1.1.0")
        ]
        ends = [finish(process) for process in both]
        codes = sorted(said.code for said in ends)
        assert codes in ([0, 0], [0, 5]), [said.err for said in ends]
        for said in ends:
            if said.code == 5:
                assert "serial 1" in said.err
                assert json.loads(said.out)["schema"] == "otagate/error/v1"
        found = project("status", "--channel", channel, "--format", "json").json["channels"][0]
        winners = [json.loads(said.out)["channel"]["stable"]["version"] for said in ends if said.code == 0]
        assert found["stable"]["version"] in winners
        assert found["serial"] == len(winners)
    assert project("history").code == 0, "the ledger is whole"


def test_two_runs_at_once_make_one_rollout(tmp_path: Path) -> None:
    project = Project(tmp_path / "app")
    ends = [finish(process) for process in [spawn(project, "run") for _ in range(3)]]
    assert {said.code for said in ends} <= {0, 5}, [said.err for said in ends]
    assert 0 in {said.code for said in ends}
    assert project("run").code == 0
    kinds = [kind for kind, _ in summary(project)["ledger"]]
    assert kinds == ["release.published", "rollout.started", "rollout.advanced"]


def test_an_interrupt_is_told_and_what_was_done_is_kept(tmp_path: Path) -> None:
    project = Project(tmp_path / "app", soak="1h")
    process = spawn(project, "run", "--wait")
    deadline = time.monotonic() + 60
    while not (project.store / "apps/com.example.app/channels/internal.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    said = finish(process)
    assert said.code == 130
    assert "interrupted; what was done is kept" in said.err
    assert "Traceback" not in said.err
    assert project("run").code == 0


@pytest.mark.parametrize("argv", [["--help"], ["policy", "schema"], ["plan"]])
def test_a_reader_that_goes_away_is_no_failure(argv: list[str], tmp_path: Path) -> None:
    project = Project(tmp_path / "app")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*COMMAND, *argv],
        cwd=project.folder,
        env={**project.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")
