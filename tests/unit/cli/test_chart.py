"""The picture of a rehearsal: what it says first, and that words fit."""

from __future__ import annotations

from datetime import timedelta
from xml.etree import ElementTree as ET

import pytest

from otagate.cli.render.chart import svg
from otagate.flow.rehearse.model import Moment, Sample
from support.rehearsals import HOUR, made_up

SPACE = "{http://www.w3.org/2000/svg}"
SAMPLES = tuple(Sample(at * HOUR, "beta", 10_000, at, 0, "inconclusive") for at in (1, 20, 48))


def drawn(*moments: tuple[float, str], title: str = "a title") -> ET.Element:
    told = tuple(Moment(timedelta(hours=at), kind, "") for at, kind in moments)
    return ET.fromstring(svg(made_up(samples=SAMPLES, moments=told), title))


def test_a_long_title_goes_on_in_a_second_line_and_ends_there() -> None:
    title = "metric_outage for 8h from 1d6h on: held after 1d8h30m: " + "crash_rate has had no usable answer " * 8
    lines = [str(node.text) for node in drawn(title=title).iter(f"{SPACE}text") if node.get("class") == "t"]
    assert [len(line) <= 92 for line in lines] == [True, True]
    assert lines[1].endswith("…")


def test_the_pause_has_its_word_also_right_after_an_alert() -> None:
    root = drawn((20, "gate.failed"), (22, "gate.failed"), (22, "rollout.paused"))
    words = [node.text for node in root.iter(f"{SPACE}text")]
    assert "gate failed, paused" in words
    assert "gate failed" not in words, "there is no room for it"
    dashes = [node.get("stroke-dasharray") for node in root.iter(f"{SPACE}line") if node.get("stroke-width") == "1.5"]
    assert sorted(map(str, dashes)) == ["4 3", "none"]


def test_an_alert_far_from_the_pause_has_its_word_too() -> None:
    words = [node.text for node in drawn((2, "gate.failed"), (40, "rollout.rolled_back")).iter(f"{SPACE}text")]
    assert {"gate failed", "rolled back"} <= {*words}


@pytest.mark.parametrize(
    ("whole", "ticks"),
    [
        (timedelta(minutes=10), ["0", "1m", "2m", "3m", "4m", "5m", "6m", "7m", "8m", "9m", "10m"]),
        (timedelta(minutes=45), ["0", "5m", "10m", "15m", "20m", "25m", "30m", "35m", "40m", "45m"]),
        (48 * HOUR, ["0", "6h", "12h", "18h", "1d", "1d6h", "1d12h", "1d18h", "2d"]),
        (timedelta(weeks=6), ["0", "7d", "14d", "21d", "28d", "35d", "42d"]),
    ],
)
def test_time_has_ticks_in_ten_minutes_and_in_six_weeks(whole: timedelta, ticks: list[str]) -> None:
    samples = tuple(Sample(whole * at / 4, "beta", 10_000, at, 0, "pass") for at in (1, 2, 3, 4))
    root = ET.fromstring(svg(made_up(samples=samples, moments=()), "a title"))
    below = [node for node in root.iter(f"{SPACE}text") if node.get("text-anchor") == "middle"]
    assert [node.text for node in below] == ticks
    assert min(float(str(node.get("x2"))) for node in root.iter(f"{SPACE}line") if node.get("stroke-dasharray")) == 74, "beta"
