"""`otagate gate power`, as a person types it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from otagate import _canonical
from otagate.cli.commands import gate
from otagate.cli.main import build_parser
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.human import draw
from otagate.cli.render.markdown import draw as markdown
from otagate.errors import UsageError

POLICY = """\
version: 1
app: {id: com.example.app}
branches: {main: {channel: development}}
telemetry: {server: "https://updates.example.com"}
gates:
  crash_rate: {max: 1%, action: pause, min_sample: 100, escalate: null}
  error_rate: {max: 5%, action: alert, min_sample: 10}
  crash_vs_previous: {max_increase: 50%, action: pause, source: {telemetry: {metric: crash_rate}}}
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "otagate.yml").write_text(POLICY)
    return tmp_path


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    return tmp_path


def power(folder: Path, line: str) -> Result:
    args = build_parser("gate").parse_args(["power", *line.split()])
    return gate.run(args, CommandEnv({}, folder))


def drawn(result: Result) -> str:
    text = io.StringIO()
    draw(result.view, text, colour=False)
    return text.getvalue()


def test_default_thresholds_without_a_policy(nowhere: Path) -> None:
    data = power(nowhere, "").data
    assert [(one["metric"], one["limit"]) for one in data["limits"]] == [
        ("crash_rate", "limit"),
        ("crash_rate", "escalate"),
        ("error_rate", "limit"),
        ("device_success_rate", "limit"),
        ("rollout_completion", "limit"),
        ("verification_time", "over 45s"),
        ("verification_time", "over 2m"),
        ("adoption_24h", "limit"),
    ]
    assert (data["hours"], data["gating_metrics"]) == (24, 3)
    crash = data["limits"][0]
    assert (crash["devices"], crash["min_sample"], crash["min_sample_for_twice"]) == (300, 300, 261)
    assert crash["devices_to_prove"] == {"none_bad": 238, "half_the_limit": 1837}


def test_only_the_policys_gates_that_limit_a_share(app: Path) -> None:
    data = power(app, "--per-hour 50 --hours 10").data
    assert [(one["metric"], one["devices"], one["max"]) for one in data["limits"]] == [
        ("crash_rate", 500, "0.01"),
        ("error_rate", 500, "0.05"),
    ]
    assert data["gating_metrics"] == 2


def test_named_rates(app: Path) -> None:
    (limit,) = power(app, "--metric crash_rate --devices 200 --rate 0.5% --rate 100%").data["limits"]
    low, high = limit["releases"]
    assert (low["rate"], high["rate"]) == ("0.005000", "1.000000")
    assert 0 < float(low["stopped"]) < 0.5 < float(high["stopped"]) == 1.0
    assert (high["median_hours"], high["mean_devices"], low["median_hours"]) == (1, "8.0", None)


def test_trying_another_limit(app: Path) -> None:
    (limit,) = power(app, "--metric crash_rate --limit 2% --min-sample 300").data["limits"]
    assert (limit["max"], limit["min_sample"], limit["devices"]) == ("0.02", 300, 300)
    (alone,) = power(app, "--limit 15% --devices 40").data["limits"]
    assert (alone["metric"], alone["action"], alone["max"], alone["min_sample"]) == ("limit", "pause", "0.15", 100)
    assert [one["stopped_at_planned_look"] for one in alone["releases"]] == [None] * 6


def test_a_limit_may_be_tried_for_a_gate_of_another_shape(app: Path) -> None:
    (limit,) = power(app, "--metric crash_vs_previous --limit 2%").data["limits"]
    assert (limit["metric"], limit["max"]) == ("crash_vs_previous", "0.02")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--metric nothing_rate", "no such gate"),
        ("--metric crahs_rate", "did you mean crash_rate?"),
        ("--metric crash_vs_previous", "limit on a share"),
        ("--limit 2", "no share of devices"),
        ("--rate 0.02", "did you mean 2% or 0.02%?"),
        ("--limit 0%", "no share of devices"),
        ("--limit 100%", "no share of devices"),
        ("--rate 101%", "no share of devices"),
        ("--hours 0", "no soak"),
        ("--hours 100000", "no soak"),
        ("--devices 0", "not computed"),
        ("--devices 1000001", "not computed"),
        ("--per-hour 500000", "1 to 41666"),
        ("--per-hour -1", "not computed"),
        ("--min-sample 0", "not computed"),
        ("--devices 1 --per-hour 1", "not allowed with"),
    ],
)
def test_arguments_that_do_not_fit(app: Path, line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        power(app, line)


def test_a_policy_without_gates_has_nothing_to_foresee(app: Path) -> None:
    (app / "otagate.yml").write_text(POLICY.partition("gates:")[0] + "gates: {}\n")
    with pytest.raises(UsageError, match="limit on a share"):
        power(app, "")


def test_what_people_see(nowhere: Path) -> None:
    text = drawn(power(nowhere, "--metric crash_rate --devices 240"))
    assert "crash_rate: pause above 2% bad devices" in text
    assert "crash_rate (escalate): roll back above 10% bad devices" in text
    assert "240, in 24 hours; the planned look needs 300" in text
    assert "60 devices too few for the planned look" in text
    assert "from 261 devices on" in text


def test_what_cannot_be_said_is_left_out(nowhere: Path) -> None:
    result = power(nowhere, "--metric adoption_24h --devices 1 --rate 50%")
    text = drawn(result)
    assert "releases that are bad on nothing" in text
    assert "twice the limit" not in text
    assert "| 50% |" in markdown(result.view)


def test_the_result_is_json(nowhere: Path) -> None:
    result = power(nowhere, "--limit 0.001%")
    assert result.schema == "otagate/power/v1"
    (limit,) = json.loads(_canonical.dumps(dict(result.data)))["limits"]
    assert (limit["max"], limit["min_sample_for_twice"]) == ("0.00001", 525649)


def test_many_limits_are_shown_with_a_line_each(nowhere: Path) -> None:
    lines = drawn(power(nowhere, "--per-hour 5")).split("\n")
    (crash,) = [line for line in lines if line.strip().startswith("crash_rate  ")]
    for part in ("≤ 2% bad", "pause", "300 devices", "and more", "from 261 devices on"):
        assert part in crash
    assert "too few devices for the planned look" in lines[-3]
    assert "device_success_rate" not in lines[-3]
    assert lines[-2].endswith("otagate gate power --metric NAME")
