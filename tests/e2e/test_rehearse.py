"""The installed command rehearses a policy, and plays its demo with a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.rehearsals import POLICY

pytestmark = pytest.mark.e2e


def otagate(folder: Path, *argv: str) -> tuple[int, Any, str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "otagate", *argv, "--format", "json"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def test_a_policy_is_rehearsed(tmp_path: Path) -> None:
    (tmp_path / "otagate.yml").write_text(POLICY)
    fleet = ("--devices", "60", "--sessions", "8", "--every", "2h")
    code, data, err = otagate(
        tmp_path, "rehearse", "--fault", "boot_crash=100%", "--expect", "stopped", "--chart", "c.svg", *fleet
    )
    assert code == 0, err
    assert data["runs"][0]["stop"]["metric"] in {"crash_rate", "device_success_rate"}  # a start that fails is both
    assert data["runs"][0]["left"] == 0
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.svg", "otagate.yml"]


def test_the_demo_ends_as_it_should_and_can_be_looked_at(tmp_path: Path) -> None:
    code, data, err = otagate(tmp_path, "demo", "--keep", "kept")
    assert code == 0, err
    good, bad = data["releases"]
    assert (good["stage"], bad["stage"], bad["running"]) == ("completed", "rolled_back", 0)
    assert good["running"] > 50
    assert bad["failed"] > 0
    assert "otagate serve answers at http://127.0.0.1:" in err
    kept = tmp_path / "kept"
    assert not (kept / ".otagate" / "server.json").exists(), "the server was not told to end"
    status = otagate(kept, "status")
    assert status[0] == 0
    served = {one["channel"]: one["stable"]["version"] for one in status[1]["channels"]}
    assert served == {"beta": "1.1.0", "stable": "1.1.0"}
    history = otagate(kept, "history")[1]
    assert "rollout.rolled_back" in {entry["kind"] for entry in history["entries"]}
