from __future__ import annotations

import importlib.util
import io
import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from otagate.cli.commands import _rehearsed_fleet as words
from otagate.cli.commands import rehearse as verb
from otagate.cli.main import build_parser, run_command
from otagate.cli.output import CommandEnv
from otagate.cli.render.rehearsal import verdict_line
from otagate.errors import UsageError
from otagate.flow.rehearse.model import Ending, Stop
from otagate.flow.rehearse.world import VirtualClock
from support.counted import WHOLE, record, seen
from support.rehearsals import HOUR, MONDAY, POLICY, made_up, small_policy, small_scenario

FEW = [
    "--devices",
    "40",
    "--sessions",
    "8",
    "--every",
    "2h",
    "--start",
    "2027-01-04T09:00:00Z",
    "--jobs",
    "1",
    "--follow",
    "beta=50%",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "otagate.yml").write_text(POLICY)
    return tmp_path


def call(folder: Path, *argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    return run_command(["rehearse", *argv], {}, folder, out, err), out.getvalue(), err.getvalue()


def test_one_rehearsal_is_told_with_a_chart(folder: Path) -> None:
    code, out, _err = call(folder, *FEW, "--fault", "boot_crash=60%", "--chart", "c.svg", "--expect", "stopped")
    assert code == 0
    assert "by crash_rate, in beta at 100%" in out  # a start that fails is a crash
    assert "met the fault" in out
    assert "weight    |" in out
    assert "gate.failed" in out
    drawn = ET.parse(folder / "c.svg").getroot()
    texts = [node.text or "" for node in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith("boot_crash 60%: ") for text in texts)
    assert {"weight", "devices", "verdict"} <= set(texts)


def test_json_has_every_run_and_the_samples_of_one(folder: Path) -> None:
    code, out, _err = call(folder, *FEW, "--format", "json", "--until", "4h")
    data = json.loads(out)
    assert (code, data["schema"], data["expected"]) == (0, "otagate/rehearsal/v1", None)
    assert data["summary"]["endings"] == {"completed": 0, "stopped": 0, "held": 0, "unfinished": 1}
    run = data["runs"][0]
    assert (run["seed"], run["ending"], run["ended_at"]) == (1, "unfinished", 4 * 3600)
    assert [sample["at"] for sample in run["samples"]] == [2 * 3600, 4 * 3600]
    assert data["scenario"]["start"] == "2027-01-04T09:00:00.000000Z"
    assert data["scenario"]["every"] == 7200
    assert data["scenario"]["taken"] == {
        **dict.fromkeys(["devices", "follows", "sessions"], "option"),
        **dict.fromkeys(["platforms", "plugins", "arrivals"], "default"),
    }
    assert (data["scenario"]["hours"], data["scenario"]["is_daily"]) == ([], False)


def test_many_seeds_are_summed_up(folder: Path) -> None:
    code, out, _err = call(folder, *FEW, "--seeds", "2", "--seed", "5", "--until", "4h", "--format", "markdown")
    assert code == 0
    assert "2: 2 unfinished" in out
    assert "| 5 |" in out
    assert "| 6 |" in out
    _code, out, _err = call(folder, *FEW, "--seeds", "2", "--until", "2h", "--format", "json")
    assert all("samples" not in run for run in json.loads(out)["runs"])


def test_an_ending_that_was_not_expected_fails_the_job(folder: Path) -> None:
    assert call(folder, *FEW, "--until", "2h", "--expect", "completed")[0] == 4


def test_gates_that_telemetry_cannot_answer_are_named(folder: Path) -> None:
    (folder / "otagate.yml").write_text(POLICY + "  checkout_errors: {max: 1%, source: {file: x.json}}\n")
    _code, out, _err = call(folder, *FEW, "--until", "2h")
    assert "not rehearsed: checkout_errors" in out
    _code, out, _err = call(folder, *FEW, "--until", "2h", "--assume", "checkout_errors=2.5%")
    assert "not rehearsed" not in out
    assert "checkout_errors at 2.5%" in out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--fault", "boot_crahs=3%"], "did you mean boot_crash"),
        (["--assume", "crash_rate=3%"], "see --fault"),
        (["--track", "producton"], "did you mean production"),
        (["--devices", "-1"], "--devices"),
        (["--devices", "0"], "--devices"),
        (["--sessions", "1001"], "1000 at most"),
        (["--seeds", "0"], "--seeds"),
        (["--jobs", "999"], "--jobs"),
        (["--sessions", "0"], "--sessions"),
        (["--crash-rate", "3"], "--crash-rate"),
        (["--every", "soon"], "--every"),
        (["--every", "1s"], "a minute at least"),
        (["--start", "monday"], "--start"),
        (["--follow", "nightly=5%"], "one of beta, stable"),
        (["--follow", "beta=5%", "--follow", "stable=5%"], "add up"),
        (["--follow", "beta=80%", "--follow", "stable=30%"], "add up"),
        (["--chart", "no/such/c.svg"], "no such folder"),
        (["--chart", "c.PNG"], "expected: a file name that ends in .svg"),
        (["--fault", "boot_crash=3"], "did you mean 3%?"),
        (["--every", "30 min"], "did you mean 30m?"),
        (["--expect", "fun"], "invalid choice"),
    ],
)
def test_what_cannot_be_is_said(folder: Path, argv: list[str], said: str) -> None:
    code, _out, err = call(folder, *argv)
    assert code == 2
    assert said in err


def test_without_the_servers_packages_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    code, _out, err = call(folder, *FEW)
    assert code == 2
    assert "pip install 'otagate[server]'" in err


def fleet_of(folder: Path, *argv: str) -> tuple[dict[str, Any], list[str]]:
    text = POLICY.replace('{server: "https://updates.example.com"}', '{database: "sqlite:///t.db"}')
    args = build_parser("rehearse").parse_args(["--fleet-from", "telemetry", *argv])
    found: tuple[dict[str, Any], list[str]] = words.fleet_of(
        args, CommandEnv({}, folder, clock=VirtualClock(MONDAY)), small_policy(folder, text), "production"
    )
    return found


def test_a_fleet_may_be_like_the_one_that_telemetry_knows(folder: Path) -> None:
    channels = ["beta"] * 4 + ["stable"] * 12 + ["nightly"] * 4
    record(
        folder / "t.db",
        *(
            seen(at, "1.0.0", MONDAY - HOUR, WHOLE, channel=channel, app="com.example.app", running="1.0.0")
            for at, channel in enumerate(channels)
        ),
    )
    found, notes = fleet_of(folder)
    assert (found["devices"], found["follows"], found["platforms"]) == (16, {"beta": 4, "stable": 12}, {"ios": 16})
    assert (found["plugins"], found["sessions"]) == ({"8.1.0": 16}, 4.0)
    assert not {"hours", "is_daily", "arrivals"} & set(found)
    assert found["taken"] == {
        **dict.fromkeys(["devices", "follows", "platforms", "plugins"], "telemetry"),
        **dict.fromkeys(["arrivals", "sessions"], "default"),
    }
    assert "16 devices" in notes[0]
    assert notes[1:] == ["telemetry has not counted for a whole day yet when devices are heard"]


def tell_for_days(folder: Path) -> None:
    """Have 24 devices on stable, some with a plugin that cannot be played, be heard at nine, and six of them at noon too."""
    for hours in (3 * 24 + 1, 2 * 24, 2 * 24 - 3, 24, 24 - 3):
        told = (
            seen(
                at,
                "1.0.0",
                MONDAY - hours * HOUR,
                WHOLE,
                channel="stable",
                plugin="4.9.1" if at % 8 == 0 else "8.1.0" if at % 2 else "7.0.50",
                app="com.example.app",
                running="1.0.0",
            )
            for at in range(6 if hours % 24 else 24)
        )
        record(folder / "t.db", *told)


def test_apps_are_opened_when_telemetry_heard_them(folder: Path) -> None:
    tell_for_days(folder)
    found, notes = fleet_of(folder)
    assert (found["devices"], found["plugins"]) == (24, {"7.0.50": 9, "8.1.0": 12})
    assert found["sessions"] == pytest.approx((2 * 24 + 2 * 6) / 3 / 24, abs=1e-4)
    assert [hour for hour, weight in enumerate(found["hours"][:24]) if weight] == [9, 12]
    assert set(found["taken"].values()) == {"telemetry"}
    assert notes[1:] == ["12.5% have plugin versions that virtual devices cannot play, and are left out: 4.9.1"]


@pytest.mark.parametrize(
    ("argv", "part", "value"),
    [
        (["--devices", "50"], "devices", 50),
        (["--follow", "stable=90%"], "follows", {"beta": pytest.approx(0.1), "stable": 0.9}),
        (["--sessions", "2"], "sessions", 2.0),
    ],
)
def test_options_win_over_telemetry(folder: Path, argv: list[str], part: str, value: Any) -> None:
    tell_for_days(folder)
    found, _notes = fleet_of(folder, *argv)
    assert found[part] == value
    assert {name for name, where in found["taken"].items() if where == "option"} == {part}
    assert len(found["hours"]) == 168


@pytest.mark.parametrize(("arrivals", "is_daily"), [("even", False), ("daily", True)])
def test_arrivals_that_are_said_win_over_those_of_telemetry(folder: Path, arrivals: str, is_daily: bool) -> None:
    tell_for_days(folder)
    found, _notes = fleet_of(folder, "--arrivals", arrivals)
    assert (found["is_daily"], "hours" in found, found["taken"]["arrivals"]) == (is_daily, False, "option")
    assert found["taken"]["sessions"] == "telemetry"


def test_what_is_said_of_all_arrivals_needs_no_count_of_hours(folder: Path) -> None:
    record(folder / "t.db", seen(1, "1.0.0", MONDAY - HOUR, WHOLE, channel="beta", app="com.example.app", plugin="4.1.0"))
    found, notes = fleet_of(folder, "--arrivals", "even", "--sessions", "3")
    assert "plugins" not in found
    assert [note.split(" ")[0] for note in notes] == ["a", "100%"]


def test_a_fleet_that_is_too_large_is_played_small(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "DEVICES", 10)
    tell_for_days(folder)
    found, notes = fleet_of(folder)
    assert (found["devices"], found["taken"]["devices"], found["follows"]) == (10, "default", {"stable": 24})
    assert "24 devices" in notes[0]


def test_a_track_on_whose_channels_nobody_is_cannot_be_like_it(folder: Path) -> None:
    record(folder / "t.db", seen(1, "1.0.0", MONDAY - HOUR, WHOLE, channel="nightly", app="com.example.app", running="1.0.0"))
    with pytest.raises(UsageError, match="devices follow nightly"):
        fleet_of(folder)


def test_too_few_devices_are_counted(tmp_path: Path) -> None:
    policy, scenario = small_policy(tmp_path), small_scenario(devices=400)
    stop = Stop(72 * HOUR, "", "pause", "too few devices for crash_rate", "stable", "50%", 90, 0, None)
    held = made_up(ending=Ending.HELD, outcome="too few devices for crash_rate after waiting for 3d", stop=stop)
    assert words.too_few(policy, scenario, held) == ["50% of stable are about 100 of these devices; crash_rate wants 5"]
    assert words.too_few(policy, scenario, made_up()) == []
    assert verdict_line(held) == "held after 2d, in stable at 50%: too few devices for crash_rate after waiting for 3d"


def test_what_an_old_plugin_does_not_tell_is_said(folder: Path) -> None:
    (folder / "package-lock.json").write_text('{"packages": {"node_modules/@capgo/capacitor-updater": {"version": "8.45.0"}}}')
    code, out, err = call(folder, *FEW, "--until", "2h", "--format", "json")
    assert code == 0, err
    assert [note.partition(":")[0] for note in json.loads(out)["notes"]] == ["crash_rate"]


def test_devices_have_the_apps_own_plugin_when_they_know_it() -> None:
    assert words.plugins_of("8.51.23") == {"8.51.23": 1.0}
    assert words.plugins_of("0.1.0") == words.plugins_of(None) == {}


def test_a_chart_that_cannot_be_written_is_said_before_anything_is_rehearsed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    monkeypatch.setattr(verb, "_scenario", lambda *_: pytest.fail("it was begun"))
    code, _out, err = call(folder, *FEW, "--chart", "c.svg")
    assert code == 2
    assert "the chart cannot be written" in err


def test_a_chart_that_cannot_be_written_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(verb, "atomic_write", full)
    code, _out, err = call(folder, *FEW, "--until", "2h", "--chart", "c.svg")
    assert code == 7
    assert "the chart cannot be written" in err


def test_channels_that_are_not_named_share_what_is_left() -> None:
    found = words.follows_of(["beta=50%"], ["internal", "beta", "stable"])
    assert found == pytest.approx({"internal": 0.1, "beta": 0.5, "stable": 0.4})
    assert words.follows_of(["a=100%"], ["a"]) == {"a": 1.0}
