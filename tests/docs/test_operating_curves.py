"""The operating curves in docs/gates.md are what scripts/operating_curves.py says, and a simulation says so too."""

from __future__ import annotations

import importlib.util
import random
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "gates.md").read_text("utf-8")


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("operating_curves", ROOT / "scripts" / "operating_curves.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


CURVES = script()


def shown(mark: str) -> list[tuple[str, ...]]:
    start, end = CURVES.block(DOC, mark)
    return [tuple(line.strip("| ").split(" | ")) for line in DOC[start:end].splitlines()]


def test_the_tables_have_the_shape_of_the_command() -> None:
    head, rule, *rows = shown("crash curves")
    assert head == CURVES.CRASH_HEAD
    assert set(rule) == {"---"}
    expected = [(str(speed), CURVES.percent(rate)) for speed in CURVES.SPEEDS for rate in CURVES.RATES]
    assert [row[:2] for row in rows] == expected
    head, _, *rows = shown("install curves")
    assert head == CURVES.INSTALL_HEAD
    assert [row[0] for row in rows] == [str(speed) for speed in CURVES.SPEEDS for _ in range(2)]
    assert {len(row) for row in rows} == {len(head)}


@pytest.mark.parametrize(("speed", "rate"), [(10, 0.01), (50, 0.04), (200, 0.02)])
def test_rows_are_what_the_command_says(speed: int, rate: float) -> None:
    assert CURVES.crash_rows((speed,), (rate,))[0] in shown("crash curves")


def test_rows_of_installs_are_what_the_command_says() -> None:
    assert shown("install curves")[2:4] == CURVES.install_rows((10,))


def test_a_simulation_of_single_devices_agrees() -> None:
    looks, rng, runs = CURVES.even_looks(240, 24), random.Random(11), 1500
    stops = CURVES.ours(CURVES.GATES["crash_rate"], looks, is_planned=True)
    ratio = CURVES.ratio(looks, CURVES.LIMIT)
    found = [0, 0]
    for _ in range(runs):
        bad, halted = 0, [False, False]
        for stop, other in zip(stops, ratio, strict=True):
            bad += sum(rng.random() < 0.06 for _ in range(10))
            halted = [halted[0] or (stop is not None and bad >= stop), halted[1] or bad >= other]
        found = [count + now for count, now in zip(found, halted, strict=True)]
    (row,) = CURVES.crash_rows((10,), (0.06,))
    exact = [float(re.match(r"[0-9.]+", cell)[0]) / 100 for cell in (row[3], row[4])]  # type: ignore[index]
    assert [count / runs for count in found] == pytest.approx(exact, abs=0.05)


def test_what_the_text_says_of_the_budget() -> None:
    rows = {row[:2]: row for row in shown("crash curves")[2:]}

    def stopped(speed: int, rate: str, column: str) -> float:
        cell = rows[str(speed), rate][CURVES.CRASH_HEAD.index(column)]
        return 0.0 if cell.startswith("<") else float(cell.split(" ")[0])

    # Continuous looking stays far below the budget of the gate, 5 % over three gates, even exactly at the limit.
    assert max(stopped(speed, rate, "ours, any look") for speed in CURVES.SPEEDS for rate in ("0.5 %", "1 %")) <= 0.02
    assert max(stopped(speed, "2 %", "ours, any look") for speed in CURVES.SPEEDS) <= 0.4
    others = CURVES.CRASH_HEAD[4:]
    acting = [stopped(speed, "2 %", name) for speed in CURVES.SPEEDS for name in others if stopped(speed, "30 %", name)]
    assert min(acting) >= 13
    assert max(acting) <= 88
