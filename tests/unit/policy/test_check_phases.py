from __future__ import annotations

from pathlib import Path

import pytest

from otagate.errors import PolicyError
from otagate.model import Weight
from otagate.policy import load_policy
from otagate.policy.model.tracks import BranchRule
from support.policies import HEAD, TELEMETRY, TRACKS, load, the_problem

GATES = "gates: {crash_rate: {}, beside: {max_increase: 50%, action: alert, source: {telemetry: {metric: crash_rate}}}}\n"


def track(*phases: str) -> str:
    return f"tracks: {{t: [{', '.join(f'{{phase: p{index}, channel: c, {phase}}}' for index, phase in enumerate(phases))}]}}\n"


WRONG = {
    "holdout: 100%": "the hold-out leaves nothing that the last weight could add; expected less than 100%, found 100%",
    "holdout: 50%, weights: [10%, 50%, 100%]": "expected less than 50%, found 50%",
    "holdout: 101%": "expected 0% to 100%, found '101%'",
    "holdout: 0.005%": "expected a percentage such as 5% or 0.25%",
    "gates: [crash_rat]": "there is no gate of this metric; expected one of crash_rate, beside, found 'crash_rat' (did you mean",
    "gates: [crash_rate, crash_rate]": "expected a list of metrics, each once",
    "gates: crash_rate": "expected a list of metrics, each once, found 'crash_rate'",
    "ignore_windows: yes": "expected true or false, found 'yes'",
}


@pytest.mark.parametrize(("phase", "said"), WRONG.items())
def test_a_phase_that_is_wrong_is_one_problem(phase: str, said: str, tmp_path: Path) -> None:
    line = the_problem(tmp_path, TELEMETRY + GATES, tracks=track(phase))
    assert line.startswith("otagate.yml:5:")
    assert said in line


def test_a_phase_is_read_whole(tmp_path: Path) -> None:
    phase = "weights: [10%, 50%, 100%], holdout: 49.99%, ignore_windows: true, gates: [crash_rate]"
    policy = load(tmp_path, TELEMETRY + GATES, tracks=track(phase, "gates: []"))
    first, second = policy.tracks["t"].phases
    assert (first.holdout, first.ignore_windows, first.gates) == (Weight(4999), True, ("crash_rate",))
    assert first.ramp == (Weight(1000), Weight(5000), Weight(5001))
    assert (second.holdout, second.ignore_windows, second.gates) == (Weight(0), False, ())
    assert [gate.counts_in(first) for gate in policy.gates] == [True, False]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("x: {track: t, supersede: true}", BranchRule("x", "t", supersede=True)),
        ("x: {track: t}", BranchRule("x", "t")),
    ],
)
def test_a_rule_may_supersede(rules: str, expected: BranchRule, tmp_path: Path) -> None:
    text = HEAD.replace("main: {track: t}", rules) + TRACKS + "gates: {}\n"
    path = tmp_path / "otagate.yml"
    path.write_text(text)
    assert load_policy(path).branches == (expected,)


def test_a_channel_without_a_track_has_nothing_to_supersede(tmp_path: Path) -> None:
    path = tmp_path / "otagate.yml"
    path.write_text(HEAD.replace("main: {track: t}", "main: {channel: c, supersede: true}"))
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    (line,) = caught.value.details
    assert line == "otagate.yml:4:42: branches.main.supersede: `supersede` goes with `track` only (remove it)"


WARNED = {
    "crash_rate: {phases: [p0]}, error_rate: {}": ("gates: [error_rate]", "the gate 'crash_rate' counts in no phase"),
    "crash_rate: {max_increase: 50%}": (
        "approve: true",
        "every device gets the release at once, so crash_rate has none to compare",
    ),
    "device_success_rate: {maturity: 1d}": ("soak: 1d", "no device can mature in this soak for device_success_rate"),
    "adoption_24h: {evaluate: {at_age: 24h}}": ("soak: 1d", "no device can mature in the 1d before this look"),
}


@pytest.mark.parametrize(("gates", "phase", "said"), [(gates, *rest) for gates, rest in WARNED.items()])
def test_gates_that_can_see_nothing_are_warned_about(gates: str, phase: str, said: str, tmp_path: Path) -> None:
    (warning,) = load(tmp_path, f"{TELEMETRY}gates: {{{gates}}}\n", tracks=track(phase)).warnings
    assert said in warning


QUIET = {
    "crash_rate: {max_increase: 50%, phases: [p1]}": ("approve: true", "weights: [5%, 100%]"),
    "crash_rate: {max_increase: 50%, action: alert}": ("approve: true", "approve: true"),
    "crash_rate: {max_increase: 50%}": ("holdout: 5%", "weights: [5%, 100%]"),
    "device_success_rate: {maturity: 1d}, crash_rate: {}": ("gates: [crash_rate]", "soak: 25h"),
    "device_success_rate: {maturity: 1d, dry_run: true}": ("approve: true", "approve: true"),
    "device_success_rate: {maturity: 1d, evaluate: phase_end}": ("weights: [5%, 100%]", "soak: 25h"),
    "device_success_rate: {maturity: 1d, evaluate: {at_age: 25h}}": ("weights: [5%, 100%]", "soak: 25h"),
}


@pytest.mark.parametrize(("gates", "phases"), QUIET.items())
def test_gates_that_see_something_are_not(gates: str, phases: tuple[str, ...], tmp_path: Path) -> None:
    assert load(tmp_path, f"{TELEMETRY}gates: {{{gates}}}\n", tracks=track(*phases)).warnings == ()
