"""docs/gates.md says what the code does: its examples are read, its tables computed."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from otagate.cli.render.metrics import metrics_data
from otagate.flow.counting import Figures, Report, Role, Wanted
from otagate.gate.interface import Ask, MetricQuery
from otagate.gate.sources import _fill, _shape
from otagate.gate.sources.http import HttpMetrics
from otagate.gate.stats import log_e_up
from otagate.gate.verdict import Verdict
from otagate.model import ChannelName
from otagate.policy import values
from otagate.policy.load import load_policy
from otagate.policy.model.sources import HttpSource
from otagate.telemetry.metrics import METRICS, OVERS_S
from otagate.telemetry.model import Counts

DOC = (Path(__file__).parents[2] / "docs" / "gates.md").read_text("utf-8")
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def blocks(mark: str) -> list[str]:
    return re.findall(rf"<!-- {mark} -->\n```\w+\n(.*?)```", DOC, re.DOTALL)


def table(mark: str) -> list[list[float]]:
    text = re.search(rf"<!-- {mark} -->\n\|.*\n\| ---.*\n((?:\|.*\n)+)", DOC)
    assert text is not None
    return [[float(cell) for cell in re.findall(r"[0-9.]+", line)] for line in text[1].splitlines()]


def query(metric: str, over: float | None = None) -> MetricQuery:
    limit = None if over is None else timedelta(seconds=over)
    return MetricQuery(metric, "com.example.app", "stable", "1.4.2", NOW - timedelta(hours=1), NOW, 500, limit)


def test_every_verdict_is_explained_in_the_order_of_the_questions() -> None:
    section = DOC[DOC.index("## From a reading") : DOC.index("## Looking at any time")]
    told = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(told) == sorted(Verdict)
    assert told.index("no_data") < told.index("fail") < told.index("stale") < told.index("inconclusive") < told.index("pass")


def test_every_placeholder_is_explained() -> None:
    section = DOC[DOC.index("| placeholder") : DOC.index("### A file")]
    for name in _fill.NAMES:
        example = _fill.plain(f"{{{name}}}", query("crash_rate", 45))
        assert re.search(rf"^\|.*`\{{{name}\}}`.*\| `{re.escape(example)}` \|$", section, re.MULTILINE), name


@pytest.mark.parametrize("text", blocks("counts"))
def test_counts_are_read(text: str) -> None:
    found = _shape.measurement(text.encode(), query("crash_rate"), subject="docs", told_over=False)
    assert (found.bad, found.total) == (3, 500)


def test_counts_of_limits_are_read() -> None:
    (text,) = blocks("counts over")
    counts = [
        _shape.measurement(text.encode(), query("verification_time", over), subject="docs", told_over=False).bad
        for over in (45, 120)
    ]
    assert counts == [9, 1]


def test_a_plain_number_is_read() -> None:
    (text,) = blocks("number")
    asked = replace(query("latency"), ask=Ask.VALUE)
    assert _shape.measurement(text.encode(), asked, subject="docs", told_over=False).value == 412.5


def test_influxdb_3_is_asked_in_sql(tmp_path: Path) -> None:
    (text,) = (text for text in blocks("policy") if "query_sql" in text)
    (tmp_path / "otagate.yml").write_text(
        f"version: 1\napp: {{id: com.example.app}}\nbranches: {{main: {{channel: stable}}}}\n{text}"
    )
    (gate,) = (gate for gate in load_policy(tmp_path / "otagate.yml").gates if gate.metric == "crash_rate")
    assert isinstance(gate.source, HttpSource)
    seen: list[Any] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        # As it writes rows: what is null is left out.
        return httpx.Response(200, json=[{"bad": 3, "total": 500}] if len(seen) == 1 else [{}])

    source = HttpMetrics(gate.source, tmp_path, {"INFLUX_AUTHORIZATION": "Bearer x"}, transport=httpx.MockTransport(respond))
    hostile = replace(query("crash_rate"), release="1.0.0-a\"'); DROP TABLE starts; --\n$release")
    found, nothing = source.read(hostile), source.read(hostile)
    assert (found.bad, found.total, nothing.bad, nothing.total) == (3, 500, None, None)
    assert seen[0]["params"] == {"release": hostile.release}
    assert "DROP" not in seen[0]["q"]
    assert seen[0]["q"].endswith("time >= '2026-11-21T08:30:00.000000Z' AND time < '2026-11-21T09:30:00.000000Z'")


@pytest.mark.parametrize("text", blocks("policy"))
def test_sources_are_valid_policy(text: str, tmp_path: Path) -> None:
    policy = tmp_path / "otagate.yml"
    policy.write_text(f"version: 1\napp: {{id: com.example.app}}\nbranches: {{main: {{channel: stable}}}}\n{text}")
    assert all(gate.source for gate in load_policy(policy).gates)


def test_every_metric_of_telemetry_is_explained() -> None:
    section = DOC[DOC.index("## What telemetry counts") : DOC.index("### Looking at the counts")]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [
        "device_success_rate",
        "crash_rate",
        "error_rate",
        "rollout_completion",
        "verification_time",
        "adoption_24h",
    ]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(METRICS)
    told = section[section.index("`over` is one of ") :].partition(":")[0]
    lengths = [values.duration(text).total_seconds() for text in re.findall(r"\b[0-9]+[ms]\b", told)]
    assert lengths == list(OVERS_S)


def test_the_json_of_metrics_is_explained() -> None:
    section = DOC[DOC.index("The JSON is `otagate/metrics/v1`") :].partition("## Trying it")[0]
    figures = Figures("1.0.0", (Role(ChannelName("stable"), "stable"),), Counts(), None, 0)
    data = metrics_data("com.example.app", Wanted(timedelta(days=1)), Report(NOW, NOW, (figures,), 0, 0))
    (release,) = data.pop("releases")
    names = {*data, *release, *release["counts"], *release["verification"], *release["roles"][0]}
    assert [name for name in names if not re.search(rf"[`.]{name}[`\[]", section)] == []


def test_there_are_examples() -> None:
    found = [len(blocks(mark)) for mark in ("policy", "counts", "counts over")]
    assert found[0] >= 8
    assert found[1:] == [2, 1]


def more_than(bad: int, total: int, share: float) -> float:
    """Chance of more than ``bad`` bad devices among ``total``."""
    return 1 - math.fsum(math.comb(total, x) * share**x * (1 - share) ** (total - x) for x in range(bad + 1))


@pytest.mark.parametrize("row", table("planned look"))
def test_chances_of_the_planned_look(row: list[float]) -> None:
    total = int(row[0])
    allowed = total * 2 // 100
    stops = [more_than(allowed, total, share) for share in (0.005, 0.01)]
    passes = [1 - more_than(allowed, total, share) for share in (0.04, 0.06, 0.10)]
    assert row[1:] == [round(100 * chance, 1) for chance in (*stops, *passes)]


@pytest.mark.parametrize("row", table("beyond doubt"))
def test_counts_beyond_doubt(row: list[float]) -> None:
    total = int(row[0])
    smallest = [next(bad for bad in range(total) if log_e_up(bad, total, limit) >= math.log(100)) for limit in (0.02, 0.15)]
    assert row[1:] == smallest


def test_three_crashes_of_ten() -> None:
    assert "117 to 1" in DOC
    assert round(math.exp(log_e_up(3, 10, 0.02))) == 117
