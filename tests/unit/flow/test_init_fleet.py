from __future__ import annotations

import math
from pathlib import Path

import pytest

from otagate.cli.commands.init import _UNFITTED
from otagate.flow.init_fleet import CHANNELS, FEWER, JUDGED_BY, LEAST_SAMPLE, Sight, fit, sight
from otagate.gate.judge import count_gating
from otagate.policy.build import default_gates


@pytest.mark.parametrize(
    ("devices", "sample", "weights", "few"),
    [
        (1, 50, (100,), CHANNELS),
        (30, 50, (100,), CHANNELS),
        (100, 50, (100,), CHANNELS),
        (150, 50, (100,), ("internal", "beta")),
        (300, 50, (50, 100), ("internal", "beta")),
        (400, 50, (50, 100), ()),
        (600, 60, (25, 50, 100), ()),
        (1000, 110, (25, 50, 100), ()),
        (2000, 240, (25, 50, 100), ()),
        (3000, 300, (25, 50, 100), ()),
        (6000, 300, (10, 25, 50, 100), ()),
        (12_000, 300, (5, 25, 50, 100), ()),
        (50_000, 300, (5, 25, 50, 100), ()),
        (60_000, 300, (1, 5, 25, 50, 100), ()),
        (1_000_000, 300, (1, 5, 25, 50, 100), ()),
    ],
)
def test_a_first_step_has_devices_enough(devices: int, sample: int, weights: tuple[int, ...], few: tuple[str, ...]) -> None:
    fitted = fit(devices)
    assert fitted.weights == weights
    assert fitted.samples.get(JUDGED_BY, 300) == sample
    assert tuple(channel for channel in CHANNELS if not fitted.is_judged(channel)) == few
    assert [step.channel for step in fitted.steps] == ["internal", "beta", *["stable"] * len(weights)]


@pytest.mark.parametrize("devices", [*range(1, 80, 7), *range(80, 3000, 190), 20_000])
def test_what_is_judged_wants_no_more_than_what_comes(devices: int) -> None:
    fitted = fit(devices)
    sample = fitted.samples.get(JUDGED_BY, 300)
    assert LEAST_SAMPLE <= sample <= 300
    assert fitted.samples.get(FEWER, 100) == min(100, sample)
    assert all(step.devices >= 1.2 * sample for step in fitted.steps if step.is_judged)
    assert all(before.weight < after.weight for before, after in zip(fitted.steps[2:], fitted.steps[3:], strict=False))
    assert fitted.steps[-1].weight == 100
    assert sum(step.devices for step in fitted.steps if step.weight == 100) <= devices
    assert sum(fitted.shares.values()) == pytest.approx(1.0)


def test_the_usual_rollout_is_said_to_be_for_those_who_can_pass_it() -> None:
    usual = fit(1_000_000).weights[1:]
    least = next(devices for devices in range(6000, 20_000, 500) if fit(devices).weights == usual)
    assert f"{least:,} phones and more" in _UNFITTED


def test_more_devices_are_never_judged_by_fewer() -> None:
    samples = [fit(devices).samples.get(JUDGED_BY, 300) for devices in range(100, 4000, 300)]
    assert samples == sorted(samples)


def test_where_one_failure_is_too_many_chances_are_simple() -> None:
    fitted = fit(100)
    beta = fitted.steps[1]
    seen = sight(fitted, beta)
    assert (beta.channel, beta.devices, beta.is_judged) == ("beta", 20, False)
    assert seen.accident == pytest.approx(1 - 0.997**20)
    assert seen.caught == pytest.approx(1 - 0.05 ** (1 / 20), rel=1e-4)


def test_no_devices_see_nothing() -> None:
    fitted = fit(4)
    assert (fitted.steps[0].devices, fitted.steps[0].is_judged) == (0, False)
    assert sight(fitted, fitted.steps[0]) == Sight(None, 0.0)


def test_the_defaults_are_as_they_are_supposed_to_be() -> None:
    """The gate that is fitted wants the most of those that may stop a rollout; if another did, a rollout would wait for that."""
    gates = {gate.metric: gate for gate in default_gates()}
    stopping = [gate for gate in gates.values() if count_gating([gate, gate]) == 2]
    assert {gate.metric for gate in stopping} == {JUDGED_BY, FEWER, "device_success_rate"}
    assert max(stopping, key=lambda gate: gate.min_sample).metric == JUDGED_BY
    assert gates["device_success_rate"].min_sample <= LEAST_SAMPLE < gates[FEWER].min_sample
    crash_limit = gates[JUDGED_BY].max
    assert crash_limit is not None
    assert LEAST_SAMPLE * crash_limit == 1


PAGE = Path(__file__).parents[3] / "docs" / "rollouts.md"


def table_row(devices: int) -> str:
    fitted = fit(devices)
    seen = [sight(fitted, step) for step in fitted.steps]
    few = ", ".join(channel for channel in CHANNELS if not fitted.is_judged(channel)) or "–"
    weights = ", ".join(f"{weight} %" for weight in fitted.weights)
    caught = [f"{100 * (one.caught or 0):.1f} %" for one in seen[1:3]]
    passes = math.prod(1 - one.accident for one in seen)
    cells = [f"{devices:,}", weights, str(fitted.samples.get(JUDGED_BY, 300)), few, *caught, f"{100 * (1 - passes):.1f} %"]
    return f"| {' | '.join(cells)} |"


def test_the_table_of_the_page_is_computed() -> None:
    rows = PAGE.read_text().partition("<!-- phones -->")[2].partition("<!-- end of phones -->")[0].strip().splitlines()[2:]
    told = [int(row.split("|")[1].replace(",", "")) for row in rows]
    assert told[:5] == [30, 100, 300, 1000, 2000]
    assert rows == [table_row(devices) for devices in told]
