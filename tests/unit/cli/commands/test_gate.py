"""`otagate gate eval`, as a person types it."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from otagate import _canonical
from otagate.cli.commands import gate
from otagate.cli.main import build_parser
from otagate.cli.output import CommandEnv, Result
from otagate.cli.render.human import draw
from otagate.errors import OtagateError, PolicyError, UsageError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

# The key is that of RFC 8032, section 7.1, test 1.
POLICY = """\
version: 1
app: {id: com.example.app}
storage: file:store
seal: {format: none}
trust: {keys: ["ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]}
branches: {main: {channel: development}}
metrics: {file: "metrics/{release}/{metric}.json"}
gates:
  crash_rate: {max: 1%, action: pause, min_sample: 100, escalate: null}
  error_rate: {max: 5%, action: alert, min_sample: 10}
"""


class Noon:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "otagate.yml").write_text(POLICY)
    return tmp_path


def evaluate(folder: Path, line: str, notes: list[str] | None = None) -> Result:
    args = build_parser("gate").parse_args(["eval", *line.split()])
    said = [] if notes is None else notes
    return gate.run(args, CommandEnv({}, folder, Noon(), note=said.append, warn=said.append))


def report(folder: Path, release: str, metric: str, **counts: Any) -> None:
    path = folder / "metrics" / release / f"{metric}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(counts))


@pytest.mark.parametrize(
    ("counts", "verdict", "code"),
    [
        ("--bad 3 --total 500", "pass", 0),
        ("--bad 11 --total 500", "fail", 4),
        ("--bad 2 --total 10", "inconclusive", 6),
        ("--bad 3 --total 10", "fail", 4),
        ("--bad 0 --total 0", "no_data", 6),
        ("--bad 0 --total 299", "insufficient", 6),
    ],
)
def test_without_a_policy_the_default_thresholds_judge(tmp_path: Path, counts: str, verdict: str, code: int) -> None:
    (tmp_path / ".git").mkdir()
    notes: list[str] = []
    look = " --look interim" if "--total 10" in counts else ""
    result = evaluate(tmp_path, f"--metric crash_rate {counts}{look}", notes)
    assert (result.data["verdict"], result.exit_code, result.outputs) == (verdict, code, {"verdict": verdict})
    assert notes == ["there is no policy file: judged by the default thresholds"]


def test_the_policys_thresholds_judge(app: Path) -> None:
    assert evaluate(app, "--metric crash_rate --bad 2 --total 100").exit_code == 4
    assert evaluate(app, "--metric crash_rate --bad 1 --total 100").exit_code == 0


def test_named_policy_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(OtagateError):
        evaluate(tmp_path, "--policy nowhere.yml --metric crash_rate --bad 2 --total 100")


def test_broken_policy_is_not_replaced_by_defaults(app: Path) -> None:
    (app / "otagate.yml").write_text(POLICY + "oops: 1\n")
    with pytest.raises(PolicyError):
        evaluate(app, "--metric crash_rate --bad 2 --total 100")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--bad 1 --total 2", "need a metric and both numbers"),
        ("--metric crash_rate --bad 1", "need a metric and both numbers"),
        ("--metric crash_rate --total 1", "need a metric and both numbers"),
        ("--metric crash_rate --bad 3 --total 2", "0 <= bad <= total"),
        ("--metric crash_rate --bad -1 --total 2", "0 <= bad <= total"),
        ("--metric crash_rate --bad 1 --total 2 --channel beta", "no channel or release"),
        ("--metric crash_rate --bad 1 --total 2 --over 45s", "no limits of time"),
        ("--metric crash_rate --bad 1 --total 2 --over soon", "a length of time such as"),
        ("--metric crash_rate --bad 1 --total 2 --since yesterday", "or an instant such as"),
        ("--metric crash_rate --bad 1 --total 2 --since 2026-11-21T12:00:00Z", "begin before now"),
        ("--metric crash_rate --bad x --total 2", "--bad takes a whole number, and 'x' is none"),
        ("--metric nothing_rate --bad 1 --total 2", "no such gate"),
        ("--channel beta --over 45s", "goes with --bad and --total"),
        ("--channel beta", "--channel NAME --release VERSION"),
        ("--release 1.0.0", "--channel NAME --release VERSION"),
        ("--channel beta --release 1.0.0 --metric nothing_rate", "no such gate"),
        ("--channel ../beta --release 1.0.0", "not a channel name"),
        ("--channel beta --release one", "not a version"),
    ],
)
def test_arguments_that_do_not_fit(app: Path, line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(app, line)


def test_sources_are_asked_for_a_release(app: Path) -> None:
    report(app, "1.4.2", "crash_rate", bad=1, total=100, newest_at="2026-11-21T11:00:00Z")
    result = evaluate(app, "--channel beta --release 1.4.2")
    assert (result.exit_code, result.data["verdict"]) == (0, "pass")
    assert result.outputs == {"verdict": "pass", "channel": "beta", "version": "1.4.2"}
    assert [(told["metric"], told["verdict"]) for told in result.data["gates"]] == [
        ("crash_rate", "pass"),
        ("error_rate", "no_data"),
    ]
    check = result.data["gates"][0]["checks"][0]
    assert check["window"] == {"start": "2026-11-20T12:00:00.000000Z", "end": "2026-11-21T12:00:00.000000Z"}
    assert check["query"] == "file metrics/1.4.2/crash_rate.json"


@pytest.mark.parametrize("channel", ["development", "betta"])
def test_metrics_can_be_tried_before_there_are_keys(app: Path, channel: str) -> None:
    policy = (app / "otagate.yml").read_text()
    (app / "otagate.yml").write_text("".join(line for line in policy.splitlines(keepends=True) if "trust:" not in line))
    report(app, "1.4.2", "crash_rate", bad=1, total=100, newest_at="2026-11-21T11:00:00Z")
    notes: list[str] = []
    assert evaluate(app, f"--channel {channel} --release 1.4.2", notes).data["verdict"] == "pass"
    assert not any("trust" in note for note in notes)


def test_a_channel_of_a_track_needs_no_store(app: Path) -> None:
    policy = (app / "otagate.yml").read_text().replace("channel: development", "track: main")
    (app / "otagate.yml").write_text(policy + "tracks: {main: [{phase: beta, channel: beta, soak: 24h}]}\n")
    report(app, "1.4.2", "crash_rate", bad=1, total=100, newest_at="2026-11-21T11:00:00Z")
    notes: list[str] = []
    evaluate(app, "--channel beta --release 1.4.2", notes)
    assert not any("no such channel" in note for note in notes)
    evaluate(app, "--channel betta --release 1.4.2", notes)
    assert [note for note in notes if "no such channel" in note] == [
        "there is no such channel: betta of com.example.app; did you mean beta?"
    ]


@pytest.mark.parametrize(
    ("counts", "arguments", "verdict", "code"),
    [
        ({"bad": 0, "total": 100}, "--look interim", "inconclusive", 6),
        ({"bad": 9, "total": 20}, "--look interim", "fail", 4),
        ({"bad": 0, "total": 99}, "", "insufficient", 6),
        ({"bad": 0, "total": 100, "newest_at": "2026-11-21T09:00:00Z"}, "", "stale", 6),
        ({"bad": 0, "total": 100, "newest_at": "2026-11-21T11:30:00Z"}, "--since 2h", "pass", 0),
        ({"bad": 0, "total": 100, "newest_at": "2026-11-21T11:30:00Z"}, "--since 2026-11-21T11:40:00+00:00", "stale", 6),
        ({"bad": 0.01, "total": 100}, "", "error", 6),
        ({}, "", "no_data", 6),
    ],
)
def test_every_verdict_has_its_exit_code(app: Path, counts: dict[str, Any], arguments: str, verdict: str, code: int) -> None:
    report(app, "1.4.2", "crash_rate", **counts)
    result = evaluate(app, f"--channel beta --release 1.4.2 {arguments}")
    assert (result.data["verdict"], result.exit_code) == (verdict, code)


def test_one_gate_may_be_asked_alone(app: Path) -> None:
    report(app, "1.4.2", "error_rate", bad=5, total=10)
    result = evaluate(app, "--channel beta --release 1.4.2 --metric error_rate")
    assert ([told["metric"] for told in result.data["gates"]], result.data["action"], result.exit_code) == (
        ["error_rate"],
        "alert",
        0,
    )


def test_policy_without_gates_has_nothing_to_judge(app: Path) -> None:
    (app / "otagate.yml").write_text(POLICY[: POLICY.index("metrics:")] + "gates: {}\n")
    with pytest.raises(UsageError, match=r"no gates to judge"):
        evaluate(app, "--channel beta --release 1.4.2")


def test_data_is_canonical_json(app: Path) -> None:
    result = evaluate(app, "--channel beta --release 1.4.2")
    assert result.schema == "otagate/gate/v1"
    assert _canonical.loads(_canonical.dumps(dict(result.data))) == result.data


def shown(result: Result) -> str:
    stream = io.StringIO()
    draw(result.view, stream, colour=False)
    return stream.getvalue()


def test_people_see_the_evidence(app: Path) -> None:
    report(app, "1.4.2", "crash_rate", bad=9, total=20)
    report(app, "1.4.2", "error_rate", bad=9, total=20)
    text = shown(evaluate(app, "--channel beta --release 1.4.2 --look interim"))
    assert text.startswith("fail: a rollout would pause\n")
    for part in ("crash_rate", "9/20", "45.00%", "25.82% to 65.79%", "over 1e9", "1d", "alerts", "80", "metrics/1.4.2"):
        assert part in text


@pytest.mark.parametrize(
    ("line", "begins"),
    [
        ("--metric crash_rate --bad 0 --total 100", "pass: a rollout would go on"),
        ("--metric crash_rate --bad 0 --total 10", "insufficient: a rollout would wait"),
        ("--metric device_success_rate --bad 30 --total 30", "fail: a rollout would roll back"),
    ],
)
def test_the_answer_stands_first(app: Path, line: str, begins: str) -> None:
    (app / "otagate.yml").write_text(POLICY + "  device_success_rate: {}\n")
    assert shown(evaluate(app, line)).startswith(begins)


def test_a_comparison_needs_another_release_on_the_channel(app: Path) -> None:
    text = POLICY.partition("gates:")[0] + 'telemetry: {server: "https://updates.example.com"}\n'
    (app / "otagate.yml").write_text(
        text + "gates:\n  beside: {max_increase: 50%, source: {telemetry: {metric: crash_rate}}}\n"
    )
    result = evaluate(app, "--channel beta --release 1.4.2")
    assert shown(result).startswith("warn: a rollout would go on\n")
    assert "the channel serves no other release" in shown(result)
