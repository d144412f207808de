"""The text of a fitted rollout: a policy without a warning, figures that `gate power` says, too, and rehearsals of it.

``OTAGATE_TEST_SIZES=30,100,300,1000,2000,6000,50000`` rehearses fleets of these sizes instead of two small ones.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import pytest

from otagate.cli.main import run_command
from otagate.flow.init_detect import look_around
from otagate.flow.init_fleet import fit
from otagate.flow.init_rollout import gates_text, rollout_text
from otagate.flow.init_text import policy_text
from otagate.flow.rehearse.faults import read_faults
from otagate.flow.rehearse.model import Ending, Rehearsed, Scenario
from otagate.flow.rehearse.run import rehearse
from otagate.flow.rehearse.usual import shares_of
from otagate.policy.build import default_gates
from otagate.policy.load import load_policy
from otagate.policy.model.policy import Policy
from otagate.policy.model.tracks import OnInsufficient
from support.rehearsals import HOUR, MONDAY

SIZES = [int(size) for size in os.environ.get("OTAGATE_TEST_SIZES", "100,400").split(",")]
ROW = re.compile(r"^#   (\w+) +(\d+)% +([\d,]+) +([\d.]+%|-) +([\d.]+%)( \*)?$", re.MULTILINE)
TRUST = "ed25519:iEAEZCJR0/vHT4952cZ3jY8XB3kxPisIRaGJ3S20EVY="


def write(folder: Path, devices: int | None) -> Policy:
    text = policy_text(
        look_around(folder, {}), "com.example.app", TRUST, "file:.otagate/store", None if devices is None else fit(devices)
    )
    (folder / "otagate.yml").write_text(text)
    return load_policy(folder / "otagate.yml")


@pytest.mark.parametrize("devices", [None, 1, 30, 100, 300, 1000, 6000, 70_000])
def test_the_policy_loads_without_a_word(devices: int | None, tmp_path: Path) -> None:
    policy = write(tmp_path, devices)
    assert policy.warnings == ()
    phases = {phase.name: phase for phase in policy.tracks["production"].phases}
    assert list(phases) == ["internal", "beta", "stable"]
    assert phases["stable"].approve
    assert max(map(len, (tmp_path / "otagate.yml").read_text().splitlines())) <= 132
    if devices is None:
        return
    fitted = fit(devices)
    assert [step.bps // 100 for step in phases["stable"].ramp] == list(fitted.weights)
    for name in ("beta", "stable"):
        wanted = OnInsufficient.PAUSE if fitted.is_judged(name) else OnInsufficient.PASS_IF_ZERO_BAD
        assert phases[name].on_insufficient is wanted
    assert {gate.metric: gate.min_sample for gate in policy.gates} == {
        gate.metric: fitted.samples.get(gate.metric, gate.min_sample) for gate in default_gates()
    }


def test_gates_that_nothing_was_changed_of_stay_a_comment(tmp_path: Path) -> None:
    assert gates_text(None) == gates_text(fit(20_000))
    assert all(line.startswith("#") for line in gates_text(None).splitlines())
    assert [(gate.metric, gate.max, gate.limits, gate.escalate) for gate in write(tmp_path, 500).gates] == [
        (gate.metric, gate.max, gate.limits, gate.escalate) for gate in default_gates()
    ]


def power(folder: Path, *argv: str) -> dict[str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = run_command(("gate", "power", "--metric", "crash_rate", "--rate", "0.3%", *argv), {}, folder, out, err)
    assert code == 0, err.getvalue()
    text = out.getvalue()
    caught = re.search(r"bad on ([\d.]+%) and more", text)
    stopped = re.search(r"^ *0\.3%(?: +[\d.%-]+){2} +([\d.]+%)", text, re.MULTILINE)
    assert caught is not None
    assert stopped is not None
    return {"caught": caught[1], "stopped": stopped[1]}


@pytest.mark.parametrize("devices", [30, 300, 6000])
def test_gate_power_says_the_same_as_the_comment(devices: int, tmp_path: Path) -> None:
    write(tmp_path, devices)
    fitted = fit(devices)
    rows = ROW.findall(rollout_text(fitted))
    assert len(rows) == len(fitted.steps)
    for channel, weight, phones, caught, stopped, few in rows:
        count = phones.replace(",", "")
        lower = ("--min-sample", count) if int(count) < fitted.samples.get("crash_rate", 300) else ()
        assert bool(few) is not next(
            step.is_judged for step in fitted.steps if (step.channel, str(step.weight)) == (channel, weight)
        )
        assert power(tmp_path, "--devices", count, *lower) == {"caught": caught, "stopped": stopped}


def play(folder: Path, devices: int, *faults: str, seed: int = 1, **more: Any) -> Rehearsed:
    """Rehearse as the command does, with fewer looks."""
    policy = write(folder, devices)
    follows = shares_of(["internal", "beta", "stable"])
    options = {"start": MONDAY, "every": 6 * HOUR, **more}
    scenario = Scenario("production", faults=read_faults(faults), devices=devices, follows=follows, **options)
    return rehearse(policy, scenario, seed)


@pytest.mark.parametrize("devices", SIZES)
def test_a_healthy_release_reaches_everybody(devices: int, tmp_path: Path) -> None:
    run = play(tmp_path, devices)
    assert (run.ending, run.is_held_once) == (Ending.COMPLETED, False), run.outcome


@pytest.mark.parametrize("seed", [8, 9])
def test_a_night_in_which_few_phones_are_opened_stops_no_healthy_release(seed: int, tmp_path: Path) -> None:
    # Each is opened once a day, mostly in the evening, and needs two openings to tell that an update did well.
    run = play(tmp_path, 400, seed=seed, sessions=1.0, is_daily=True, start=MONDAY.replace(hour=22), every=2 * HOUR)
    assert (run.ending, run.is_held_once) == (Ending.COMPLETED, False), run.outcome


@pytest.mark.parametrize("devices", SIZES)
def test_one_that_does_not_start_on_a_tenth_does_not(devices: int, tmp_path: Path) -> None:
    run = play(tmp_path, devices, "boot_crash=10%")
    assert run.stop is not None, run.outcome
    assert run.stop.met > 0
    if fit(devices).is_judged("internal"):
        assert (run.ending, run.stop.phase) == (Ending.STOPPED, "internal")
    else:
        assert run.ending in {Ending.STOPPED, Ending.HELD}
