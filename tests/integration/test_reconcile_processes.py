"""Processes that reconcile one rollout in a folder at the same time: every document is a register, and no step is taken twice.

``OTAGATE_TEST_INTERLEAVINGS=N`` does it N times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from time import sleep

import pytest

from otagate.store.folder import FolderStore
from support import reconcile_worker
from support.linearizable import Call, unexplained
from support.project import Project
from support.turns import standing

pytestmark = pytest.mark.integration
TIMES = int(os.environ.get("OTAGATE_TEST_INTERLEAVINGS", "1"))


def workers(project: Project, many: int) -> list[subprocess.Popen[str]]:
    environ = {**project.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(Path(reconcile_worker.__file__)), str(project.folder), "1.0.0-production"]
    return [
        subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(many)
    ]


@pytest.mark.parametrize("many", [2, 6])
@pytest.mark.parametrize("round_", range(TIMES))
def test_every_step_is_taken_once(many: int, round_: int, tmp_path: Path) -> None:
    project = Project(tmp_path / "app", soak="60ms")
    assert project("upload").code == 0
    running = workers(project, many)
    while len(list(project.folder.glob("ready-*"))) < many:
        assert all(worker.poll() is None for worker in running)
        sleep(0.01)
    assert project("run").code == 0
    begin = standing(FolderStore(project.store))
    (project.folder / "go").touch()
    calls = []
    for worker in running:
        out, err = worker.communicate(timeout=120)
        assert worker.returncode == 0, err
        calls += [Call(**json.loads(line)) for line in out.splitlines()]
    entries = project("history", "--limit", "0", "--format", "json").json["entries"]
    steps = [(entry["data"]["phase"], entry["data"]["weight"]) for entry in entries if entry["kind"] == "rollout.advanced"]
    assert steps == [("internal", "100%"), ("stable", "5%"), ("stable", "100%")]
    assert [entry["kind"] for entry in entries].count("rollout.completed") == 1
    assert unexplained(calls, begin) == []
    together = sum(one.who != other.who for one, other in pairwise(sorted(calls, key=lambda call: call.began)))
    print(f"{many} processes: {len(calls)} calls, {together} of them right after another process's; round {round_}")
    assert len({call.who for call in calls}) == many
    assert together >= many
