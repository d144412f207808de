from __future__ import annotations

from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from otagate.cli.render.chart import drawn, svg
from otagate.cli.render.human import plain
from otagate.cli.render.rehearsal import fault_texts, rehearsal_view, verdict_line
from otagate.flow.rehearse.many import summarise
from otagate.flow.rehearse.model import Ending, Moment, Rehearsed, Sample, Stop
from support.rehearsals import HOUR, made_up, small_scenario

STOP = Stop(4 * HOUR, "crash_rate", "pause", "9 of 40 bad", "beta", "100%", 30, 7, HOUR)


def sample(
    hours: float, phase: str = "beta", bps: int = 10_000, *, exposed: int = 0, met: int = 0, verdict: str = ""
) -> Sample:
    return Sample(timedelta(hours=hours), phase, bps, exposed, met, verdict)


def shown(run: Rehearsed, *faults: str) -> str:
    blocks = rehearsal_view(small_scenario(*faults), [run], summarise([run]), (), ())
    return "\n".join(line for block in blocks for line in plain(block))


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (made_up(), "completed after 2d"),
        (made_up(ending=Ending.STOPPED, stop=STOP), "paused after 4h by crash_rate, in beta at 100%"),
        (
            made_up(ending=Ending.STOPPED, stop=STOP, stage="rolled_back", ended_at=9 * HOUR),
            "paused after 4h by crash_rate, in beta at 100%, rolled back after 9h",
        ),
        (made_up(ending=Ending.STOPPED, stop=STOP, is_false_stop=True), "a false stop"),
        (made_up(ending=Ending.HELD, outcome="no data"), "held after 2d: no data"),
        (made_up(ending=Ending.UNFINISHED, stage="soaking"), "still under way after 2d, soaking"),
    ],
)
def test_the_ending_is_one_sentence(run: Rehearsed, said: str) -> None:
    assert said in verdict_line(run)


def test_faults_are_said_in_words() -> None:
    scenario = small_scenario(
        *("boot_crash=3%", "late_crash=5%@24h", "network=32%", "metric_outage=8h@30h", "reconcilers=6", "restart=20%")
    )
    assert fault_texts(scenario) == [
        "boot_crash 3%",
        "late_crash 5% after 1d",
        "network 32%",
        "restart 20%",
        "metric_outage for 8h from 1d6h on",
        "6 reconcilers at once",
    ]
    assert fault_texts(small_scenario()) == []


def test_a_rolled_back_run_says_when_the_last_device_was_back() -> None:
    more: dict[str, Any] = {"ending": Ending.STOPPED, "stop": STOP, "stage": "rolled_back", "met": 9}
    assert "the last after 12h" in shown(made_up(**more, back_after=12 * HOUR, left=0))
    text = shown(made_up(**more, left=3, killed=2, errors={"the document changed": 4}), "boot_crash=3%")
    assert "3 have it still" in text
    assert "24, 2 killed" in text
    assert "4 times: the document changed" in text
    assert "30 exposed, 7 met the fault, the first after 1h" in text


def test_a_paused_run_says_who_has_it_still() -> None:
    assert "39 devices: a pause takes it from nobody" in shown(made_up(ending=Ending.STOPPED, stop=STOP, stage="paused"))


def test_of_many_runs_the_first_are_listed() -> None:
    runs = [made_up(seed) for seed in range(30)]
    blocks = rehearsal_view(small_scenario(resume_after=HOUR), runs, summarise(runs), ("x",), ("a note",))
    text = "\n".join(line for block in blocks for line in plain(block))
    assert "30: 30 completed" in text
    assert "and 10 more" in text
    assert "not rehearsed: x" in text
    assert "a note" in text
    assert "lifted after 1h" in text


def test_bars_show_growth_and_the_loudest_verdict_of_each_stretch() -> None:
    samples = [sample(at, exposed=at, met=at // 100, verdict="fail" if at == 77 else "inconclusive") for at in range(200)]
    lines = drawn(made_up(samples=tuple(samples))).split("\n")
    assert lines[0].startswith("weight    |████")
    assert lines[1].count("█") < 20
    assert "199 devices" in lines[1]
    assert lines[3].count("F") == 1
    assert lines[4].split() == ["0", "8d7h"]
    assert len({line.rindex("|") for line in lines[:4]}) == 1


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawn(made_up()) == "no look was made"
    assert "no look was made" in svg(made_up(), "t")


def test_the_picture_is_xml_with_everything_inside_it() -> None:
    samples = (
        sample(1, exposed=3, verdict="inconclusive"),
        sample(24, "stable", 500, exposed=20, met=1, verdict="pass"),
        sample(30, "stable", 500, exposed=25, met=9, verdict="fail"),
    )
    moments = (
        Moment(25 * HOUR, "rollout.advanced", ""),
        Moment(30 * HOUR, "gate.failed", "crash_rate"),
        Moment(30 * HOUR, "rollout.rolled_back", "why"),
    )
    root = ET.fromstring(svg(made_up(samples=samples, moments=moments), "a <title> & more"))
    space = "{http://www.w3.org/2000/svg}"
    texts = [node.text for node in root.iter(f"{space}text")]
    assert {"a <title> & more", "beta", "stable", "fail", "pass", "gate failed, rolled back"} <= {*texts}
    assert "ran the release: 25" in texts
    for node in root.iter(f"{space}rect"):
        assert 0 <= float(node.get("x", "0")) <= 920
        assert float(node.get("width", "0")) >= 0
    for node in root.iter(f"{space}polyline"):
        points = [tuple(map(float, pair.split(","))) for pair in node.get("points", "").split()]
        assert len(points) == 3
        assert all(0 <= x <= 920 and 0 <= y <= 560 for x, y in points)


WEEKLY = (0.5,) * 100 + (3.0,) + (0.5,) * 66 + (0.25,)
HOURLY = ((1.0,) * 23 + (2.5,)) * 7


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "8 times a day, evenly"),
        ({"is_daily": True}, "8 times a day, most in the evening"),
        ({"hours": WEEKLY}, "most Fri 04:00 UTC (3 times the mean), least Sun 23:00 UTC (0.25 times the mean)"),
        ({"hours": HOURLY, "sessions": 1.2345}, "1.23 times a day, most 23:00 UTC (2.5 times the mean), least 00:00 UTC"),
    ],
)
def test_when_apps_are_opened_is_said(more: dict[str, Any], said: str) -> None:
    assert said in text_of(**more)


def test_where_the_fleet_is_from_is_said_when_telemetry_was_asked() -> None:
    taken = {"devices": "option", "follows": "telemetry", "plugins": "policy", "arrivals": "default", "sessions": "telemetry"}
    said = "telemetry: follows, sessions; policy: plugins; defaults: arrivals"
    assert f"options: devices; {said}" in text_of(taken=taken)
    assert "taken from" not in text_of(taken=dict.fromkeys(taken, "default"))


def text_of(**more: Any) -> str:
    blocks = rehearsal_view(small_scenario(**more), [made_up()], summarise([made_up()]), (), ())
    return "\n".join(line for block in blocks for line in plain(block))
