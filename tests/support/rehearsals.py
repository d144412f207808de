"""Small rehearsals: one track, few devices, gates that need few."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from otagate.flow.rehearse.faults import read_faults
from otagate.flow.rehearse.model import Ending, Rehearsed, Scenario
from otagate.policy.load import load_policy
from otagate.policy.model.policy import Policy

MONDAY = datetime(2027, 1, 4, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = """\
version: 1
app: {id: com.example.app}
build: {output: dist}
trust: {keys: ["env:OTAGATE_TRUSTED_KEY"]}
branches: {main: {track: production}}
telemetry: {server: "https://updates.example.com"}
tracks:
  production:
    - {phase: beta, channel: beta, soak: 12h, allow_short_soak: true}
    - {phase: stable, channel: stable, weights: [50%, 100%], soak: 12h, allow_short_soak: true, approve: true}
gates:
  crash_rate: {max: 10%, action: pause, min_sample: 5, escalate: {above: 40%, action: rollback}}
  device_success_rate: {min: 80%, action: rollback, min_sample: 5, maturity: 30m}
"""


def small_policy(folder: Path, text: str = POLICY) -> Policy:
    """Write and load a policy."""
    path = folder / "otagate.yml"
    path.write_text(text)
    return load_policy(path)


def small_scenario(*faults: str, **more: Any) -> Scenario:
    """Give a scenario of forty devices that are opened often, looked at every two hours."""
    settings = {"devices": 40, "follows": {"beta": 0.5, "stable": 0.5}, "sessions": 8.0, "every": 2 * HOUR, **more}
    return Scenario("production", MONDAY, read_faults(faults), **settings)


def made_up(seed: int = 1, ending: Ending = Ending.COMPLETED, **more: Any) -> Rehearsed:
    """Give a rehearsal that never was."""
    values: dict[str, Any] = {
        "seed": seed,
        "ending": ending,
        "stage": "completed",
        "ended_at": 48 * HOUR,
        "outcome": "every phase was passed",
        "stop": None,
        "is_false_stop": False,
        "is_held_once": False,
        "offered": 40,
        "exposed": 39,
        "met": 0,
        "back_after": None,
        "left": 39,
        "looks": 24,
        "killed": 0,
        "errors": {},
        "moments": (),
        "samples": (),
    }
    return Rehearsed(**{**values, **more})
