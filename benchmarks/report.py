"""Figures as JSON, for machines, and as a table, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from measure import MIB, Cost, Spread

SCHEMA = "otagate/benchmark/v1"
Figures = dict[str, Any]


def figures(costs: Sequence[Cost]) -> Figures:
    """Give all runs of one contestant, and their medians, least and most."""
    spreads = {
        "wall_seconds": Spread.of([cost.wall for cost in costs]),
        "cpu_seconds": Spread.of([cost.cpu for cost in costs]),
        "peak_bytes": Spread.of([cost.peak for cost in costs]),
    }
    summary = {name: {"median": each.median, "min": each.least, "max": each.most} for name, each in spreads.items()}
    runs = [{"wall_seconds": cost.wall, "cpu_seconds": cost.cpu, "peak_bytes": cost.peak} for cost in costs]
    return {**summary, "runs": runs}


def packing(name: str, files: int, size: int, costs: Mapping[str, Sequence[Cost]], sizes: Mapping[str, int]) -> Figures:
    """Give the figures of one web build."""
    return {
        "name": name,
        "files": files,
        "bytes": size,
        "contestants": {who: {**figures(each), "output_bytes": sizes[who]} for who, each in costs.items()},
    }


def _spread(figure: Mapping[str, float], scale: float, digits: int) -> str:
    median, least, most = (f"{figure[key] * scale:.{digits}f}" for key in ("median", "min", "max"))
    return f"{median} ({least}-{most})"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table; the first row is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def packing_table(cases: Sequence[Figures]) -> str:
    """Compare the contestants build by build: medians, with the least and the most."""
    rows = [["web build", "tool", "wall s", "CPU s", "peak MiB", "sealed bytes", "times faster"]]
    for case in cases:
        base = case["contestants"].get("capgo")
        for who, found in case["contestants"].items():
            faster = base["wall_seconds"]["median"] / found["wall_seconds"]["median"] if base and who != "capgo" else None
            rows.append(
                [
                    f"{case['name']}: {case['bytes'] / 1e6:.1f} MB, {case['files']:,} files",
                    who,
                    _spread(found["wall_seconds"], 1, 2),
                    _spread(found["cpu_seconds"], 1, 2),
                    _spread(found["peak_bytes"], 1 / MIB, 0),
                    f"{found['output_bytes']:,}",
                    f"{faster:.1f}" if faster else "",
                ]
            )
    return table(rows)


def starting_table(contestants: Mapping[str, Figures]) -> str:
    """List what starting costs."""
    rows = [["command", "wall ms", "CPU ms", "peak MiB"]]
    rows += [
        [
            who,
            _spread(found["wall_seconds"], 1000, 0),
            _spread(found["cpu_seconds"], 1000, 0),
            _spread(found["peak_bytes"], 1 / MIB, 0),
        ]
        for who, found in contestants.items()
    ]
    return table(rows)


def document(report: Figures) -> str:
    """Write the whole report as Markdown."""
    machine = report["machine"]
    about = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_mib']:,} MiB, {machine['system']}, "
        f"Python {machine['python']}, Node {machine['node']}; one-minute load before: {machine['load_before']}."
    )
    return "\n\n".join(
        [
            about,
            f"Medians of {report['rounds']} runs in turn (A B A B), whole processes; least and most in brackets.",
            packing_table(report["packing"]),
            starting_table(report["starting"]),
        ]
    )
