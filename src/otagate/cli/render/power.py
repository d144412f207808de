"""What thresholds can see, for people and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from otagate.cli.render.blocks import Block, Facts, Heading, Line, Table, Tone
from otagate.gate.evidence import DIGITS
from otagate.gate.forecast import Forecast
from otagate.gate.power import Outlook
from otagate.policy.model.gates import Action

_MOST_IN_FULL = 3
"""More limits than this are shown with a line each: eight tables would answer no question."""
_DONE = {Action.ALERT: "alert", Action.PAUSE: "pause", Action.ROLLBACK: "roll back"}


def power_view(forecasts: Sequence[Forecast]) -> list[Block]:
    """Show what each limit can see."""
    if len(forecasts) > _MOST_IN_FULL:
        return [
            *_overview(forecasts),
            Line("how soon, and how many devices get it: otagate gate power --metric NAME", Tone.DIM),
        ]
    blocks: list[Block] = []
    for one in forecasts:
        blocks += [Heading(_title(one)), Facts(_facts(one)), _table(one)]
        if not one.plan.decides:
            missing = one.plan.min_sample - one.plan.devices
            blocks.append(Line(f"{missing} devices too few for the planned look: only evidence beyond doubt acts", Tone.WARN))
    said = "Exact chances, for devices that are bad independently of each other and arrive evenly, with a look each hour."
    return [*blocks, Line(said, Tone.DIM)]


def _overview(forecasts: Sequence[Forecast]) -> list[Block]:
    headers = ("gate", "limit", "does", "planned look", "at any look", "catches with 95%", "twice the limit", "proves below")
    rows = tuple(_overview_row(one) for one in forecasts)
    few = [_name(one) for one in forecasts if not one.plan.decides]
    short = [
        Line(f"too few devices for the planned look, so that only evidence beyond doubt acts: {', '.join(few)}", Tone.WARN)
    ]
    return [Heading("what these limits can see"), Table(headers, rows), *(short if few else [])]


def _overview_row(one: Forecast) -> tuple[str, ...]:
    plan = one.plan
    return (
        _name(one),
        f"≤ {_share(plan.limit)} bad",
        _DONE[one.action],
        f"{plan.min_sample} devices",
        f"from {math.exp(plan.log_e):.0f} to 1",
        "nothing" if one.caught is None else f"{_share(one.caught)} and more",
        "-" if one.twice is None else f"from {one.twice} devices on",
        f"with {one.proof[0]} and none bad" if one.proof[0] is not None else "-",
    )


def power_data(one: Forecast) -> dict[str, Any]:
    """Give the same as JSON-ready data: shares and chances 0..1, as text with fixed digits; null where there is none."""
    plan = one.plan
    return {
        "metric": one.metric,
        "limit": one.limit,
        "action": one.action.value,
        "max": f"{Decimal(plan.limit.numerator) / plan.limit.denominator:f}",
        "min_sample": plan.min_sample,
        "devices": plan.devices,
        "log_e_needed": _fixed(plan.log_e),
        "smallest_caught": _fixed(one.caught),
        "min_sample_for_twice": one.twice,
        "devices_to_prove": {"none_bad": one.proof[0], "half_the_limit": one.proof[1]},
        "releases": [
            {
                "rate": _fixed(seen.rate),
                "stopped_early": _fixed(seen.early),
                "stopped_at_planned_look": _fixed(seen.planned),
                "stopped": _fixed(seen.stopped),
                "mean_devices": f"{seen.exposed:.1f}",
                "median_hours": seen.median,
            }
            for seen in one.outlooks
        ],
    }


def _fixed(value: float | None) -> str | None:
    return None if value is None else f"{value:.{DIGITS}f}"


def _name(one: Forecast) -> str:
    return one.metric if one.limit in {"limit", one.metric} else f"{one.metric} ({one.limit})"


def _title(one: Forecast) -> str:
    return f"{_name(one)}: {_DONE[one.action]} above {_share(one.plan.limit)} bad devices"


def _facts(one: Forecast) -> tuple[tuple[str, str], ...]:
    plan = one.plan
    caught = "nothing" if one.caught is None else f"{_share(one.caught)} and more"
    twice = "" if one.twice is None else f"from {one.twice} devices on"
    none, half = ("over a million" if count is None else str(count) for count in one.proof)
    facts = (
        ("devices", f"{plan.devices}, in {len(plan.looks)} hours; the planned look needs {plan.min_sample}"),
        ("acts at any time from", f"{math.exp(plan.log_e):.0f} to 1"),
        ("caught with 95%", f"releases that are bad on {caught}"),
        ("twice the limit is caught with 95%", twice),
        ("proven to be below", f"{none} devices when none is bad, {half} at half the limit"),
    )
    return tuple((name, value) for name, value in facts if value)


def _table(one: Forecast) -> Table:
    headers = ("truly bad", "stopped early", "at the planned look", "stopped", "half of them within", "devices that get it")
    return Table(headers, tuple(_row(seen) for seen in one.outlooks))


def _row(seen: Outlook) -> tuple[str, ...]:
    return (
        _share(seen.rate),
        _chance(seen.early),
        "-" if seen.planned is None else _chance(seen.planned),
        _chance(seen.stopped),
        "-" if seen.median is None else f"{seen.median} h",
        f"{seen.exposed:.0f}",
    )


def _share(share: float | Fraction) -> str:
    return f"{float(share) * 100:.4g}%"


def _chance(chance: float) -> str:
    return f"{chance * 100:.2f}%"
