"""The installed command rehearses a policy, and plays its demo with a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.counted import record, seen
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
        timeout=280,
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


def test_a_fleet_as_telemetry_knows_it_is_rehearsed(tmp_path: Path) -> None:
    server = 'telemetry: {server: "https://updates.example.com"}'
    assert server in POLICY
    (tmp_path / "otagate.yml").write_text(POLICY.replace(server, 'telemetry: {database: "sqlite:///t.db"}'))
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    for days in (5, 4, 3, 2):
        told = (
            seen(
                device,
                "1.0.0",
                noon - timedelta(days=days),
                channel="beta" if device % 3 else "stable",
                plugin="8.51.23" if device % 2 else "4.9.1",
                app="com.example.app",
            )
            for device in range(30)
        )
        record(tmp_path / "t.db", *told)
    fleet = ("--fleet-from", "telemetry", "--until", "4h", "--every", "2h", "--start", "2027-01-04T10:00:00Z")
    code, data, err = otagate(tmp_path, "rehearse", "--devices", "40", *fleet)
    assert code == 0, err
    scenario = data["scenario"]
    assert (scenario["devices"], scenario["plugins"]) == (40, {"8.51.23": 15})
    assert scenario["follows"] == {"beta": 20, "stable": 10}
    assert [hour for hour, weight in enumerate(scenario["hours"][:24]) if weight] == [12], "everybody at noon"
    assert 0.5 < scenario["sessions"] < 1
    assert scenario["taken"].pop("devices") == "option"
    assert set(scenario["taken"].values()) == {"telemetry"}
    run = data["runs"][0]
    assert [sample["exposed"] > 0 for sample in run["samples"]] == [False, True]
    assert any("cannot play" in line and "4.9.1" in line for line in data["notes"])


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
