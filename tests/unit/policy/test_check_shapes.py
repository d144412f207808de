from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from otagate.policy.build import build_gates
from otagate.policy.model.gates import Action, Evaluate, GateSpec, Split, ValueLimit
from otagate.policy.model.sources import TelemetrySource, TelemetrySpec
from support.policies import TELEMETRY, load, the_problem

VALUE = "source: {file: x}"
WRONG = {
    "mine: {value: {max: 5}, max: 5%, source: {file: x}}": "found `max` and `value`",
    "mine: {split: equal, max_increase: 5%, source: {file: x}}": "found `max_increase` and `split`",
    f"mine: {{value: {{}}, {VALUE}}}": "expected a mapping with `max`, `min` or both, found an empty one",
    f"mine: {{value: 250, {VALUE}}}": "expected a mapping with `max`, `min` or both, found 250",
    f"mine: {{value: {{max: '250'}}, {VALUE}}}": "expected a number of at most 15 digits, found '250'",
    f"mine: {{value: {{max: true}}, {VALUE}}}": "expected a number of at most 15 digits, found true",
    f"mine: {{value: {{max: .inf}}, {VALUE}}}": "expected a number of at most 15 digits, found '.inf'",
    f"mine: {{value: {{max: 0.1234567890123456}}, {VALUE}}}": "this number cannot be kept exactly",
    f"mine: {{value: {{max: 1, min: 1.0}}, {VALUE}}}": "no number is within these bounds; expected more than `min`, found 1",
    f"mine: {{value: {{max: 1}}, action: rollback, {VALUE}}}": "it cannot roll back; expected alert or pause, found rollback",
    f"mine: {{value: {{max: 1}}, min_sample: 5, {VALUE}}}": "`min_sample` does not go with `value`",
    f"mine: {{value: {{max: 1}}, target: 1%, {VALUE}}}": "`target` goes with `max` and `min` only, found `value`",
    f"mine: {{value: {{max: 1}}, evidence: prove, {VALUE}}}": "`evidence` goes with `max` and `min` only, found `value`",
    f"mine: {{value: {{max: 1}}, consecutive: 0, {VALUE}}}": "expected a whole number of looks, 1 to 100, found 0",
    f"mine: {{max: 1%, consecutive: 3, {VALUE}}}": "`consecutive` goes with `value` only, found `max`",
    f"mine: {{max: 1%, evidence: proof, {VALUE}}}": "expected one of estimate, prove, found 'proof'",
    "crash_rate: {max_increase: 0%}": "a percentage of more than 0% and at most 1000%",
    "crash_rate: {max_increase: 1001%}": "a percentage of more than 0% and at most 1000%",
    "crash_rate: {max_increase: 50%, evidence: prove}": "`evidence` goes with `max` and `min` only",
    "crash_rate: {max_increase: 50%, escalate: {above: 5%, action: rollback}}": "`escalate` goes with `max` only",
    "verification_time: {max_increase: 50%}": "telemetry's verification_time has another kind of threshold; expected `limits`",
    "mine: {max_increase: 50%}": "telemetry does not know this metric; expected `metric` with one of crash_rate",
    "split_check: {split: equal}": "telemetry counts who runs a release, not who was chosen for it; expected at_most",
    "split_check: {split: exact}": "expected one of equal, at_most, found 'exact'",
    "split_check: {split: at_most, source: {telemetry: {metric: crash_rate}}}": "`metric` does not go with `split`",
    "split_check: {split: at_most, source: {telemetry: {failures: [boot]}}}": "`failures` does not go with `split`",
    "crash_rate: {source: {telemetry: {failures: [boot]}}}": "`failures` goes with device_success_rate only, found crash_rate",
    "device_success_rate: {source: {telemetry: {failures: []}}}": "found an empty one",
    "device_success_rate: {source: {telemetry: {failures: [crash]}}}": "expected one of boot, integrity, refusal, network",
    "crash_rate: {evaluate: at_age}": "expected soak_end, phase_end, or a mapping with `at_age`, found 'at_age'",
    "crash_rate: {evaluate: {at_age: 0s}}": "longer than 0s",
    "crash_rate: {evaluate: {}}": "the key 'at_age' is missing",
    "crash_rate: {phases: [stabel]}": "no track has such a phase; expected one of beta, stable, found 'stabel' (did you mean 'stable'?)",
    "crash_rate: {phases: []}": "found an empty one",
}


@pytest.mark.parametrize(("gate", "said"), WRONG.items())
def test_a_threshold_that_is_wrong_is_one_problem(gate: str, said: str, tmp_path: Path) -> None:
    line = the_problem(tmp_path, f"{TELEMETRY}gates: {{{gate}}}\n")
    assert line.startswith("otagate.yml:7:")
    assert said in line


def test_every_shape_is_read(tmp_path: Path) -> None:
    text = """\
gates:
  crash_rate: {max: 2%, evidence: prove, evaluate: {at_age: 36h}, phases: [stable]}
  beside: {max_increase: 150%, phases: [stable], source: {telemetry: {metric: crash_rate}}}
  split_check: {split: at_most, min_sample: 40}
  slow: {value: {max: 250.10, min: -1}, consecutive: 5, action: alert, source: {file: x}}
"""
    policy = load(tmp_path, TELEMETRY + text)
    telemetry = TelemetrySpec("https://u.example.com", "env:OTAGATE_SERVER_TOKEN")
    crash, beside, split, slow = policy.gates
    assert (crash.prove, crash.evaluate, crash.at_age, crash.phases) == (
        True,
        Evaluate.AT_AGE,
        timedelta(hours=36),
        ("stable",),
    )
    assert beside == GateSpec(
        "beside", max_increase=Decimal("1.5"), phases=("stable",), source=TelemetrySource(telemetry, "crash_rate")
    )
    assert split == GateSpec("split_check", split=Split.AT_MOST, min_sample=40, source=TelemetrySource(telemetry))
    assert (slow.value, slow.consecutive, slow.action) == (ValueLimit(Decimal("250.1"), Decimal(-1)), 5, Action.ALERT)
    assert policy.warnings == ()


@pytest.mark.parametrize("text", ["0.1", "250.10", "-3", "1e3", "0.123456789012345", "999999999999999", "5."])
def test_numbers_are_exact(text: str, tmp_path: Path) -> None:
    policy = load(tmp_path, f"gates: {{slow: {{value: {{max: {text}}}, source: {{file: x}}}}}}\n")
    assert policy.gates[0].value == ValueLimit(max=Decimal(text))


@pytest.mark.parametrize("shape", [{"value": {"max": 5}}, {"split": "at_most"}])
def test_numbers_and_splits_take_nothing_from_a_gate_of_devices(shape: dict[str, object]) -> None:
    (built,) = build_gates({"device_success_rate": shape}, None)
    assert (built.action, built.min_sample, built.maturity, built.target) == (Action.PAUSE, 100, timedelta(0), None)


def test_a_contrast_keeps_what_says_nothing_of_the_limit() -> None:
    (built,) = build_gates({"crash_rate": {"max_increase": "50%"}}, None)
    assert (built.max, built.escalate, built.min_sample) == (None, None, 300)


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ("device_success_rate: {max: 85%}", "did you mean `min: 85%`, good devices?"),
        ("mine: {max: 98%, source: {file: x}}", "at most 98% of the devices may be *bad*"),
        ("crash_rate: {min: 2%, escalate: null}", "did you mean `max: 2%`, bad devices?"),
        ("mine: {max: 50%, source: {file: x}}", ""),
        ("crash_rate: {min: 98%, escalate: null}", ""),
        ("adoption_24h: {min: 30%, maturity: 24h}", ""),
    ],
)
def test_good_and_bad_devices_that_were_mixed_up_are_pointed_out(gate: str, said: str, tmp_path: Path) -> None:
    warnings = load(tmp_path, f"{TELEMETRY}gates: {{{gate}}}\n").warnings
    assert [said in warning for warning in warnings if "nearly every release passes" in warning] == ([True] if said else [])
