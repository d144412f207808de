"""Rehearse six scenarios with many seeds each, and write the table of docs/rehearse.md: ``make bench-rehearsals``.

Everything is the real thing but the phones, the clock and the store's medium. With two processors and 200 seeds it takes
about a quarter of an hour. Writes ``benchmarks/out/rehearsals.json``, and with ``--write`` the table between the markers.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from otagate._text import span
from otagate.flow.rehearse.faults import read_faults
from otagate.flow.rehearse.many import Spread, Summary, rehearse_many, summarise
from otagate.flow.rehearse.model import Scenario
from otagate.policy.load import load_policy

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "rehearse.md"
BEGIN, END = "<!-- rehearsals: written by benchmarks/rehearsals.py -->", "<!-- rehearsals: end -->"
POLICY = """\
version: 1
app: {id: com.example.app}
build: {output: dist}
trust: {keys: ["env:OTAGATE_TRUSTED_KEY"]}
branches: {main: {track: production}}
telemetry: {server: "https://updates.example.com"}
tracks:
  production:
    - {phase: beta, channel: beta, soak: 48h}
    - {phase: stable, channel: stable, weights: [50%, 100%], soak: 48h, approve: true}
gates:
  crash_rate: {max: 2%, action: pause, min_sample: 80, escalate: {above: 10%, action: rollback}}
  device_success_rate: {min: 99%, action: rollback, min_sample: 80, maturity: 30m}
"""
BASE = Scenario(
    track="production",
    start=datetime(2027, 1, 4, 9, tzinfo=UTC),
    devices=400,
    follows={"beta": 0.4, "stable": 0.6},
    sessions=3.0,
    every=timedelta(hours=2),
    resume_after=timedelta(hours=12),
    until=timedelta(days=21),
)
SCENARIOS: Mapping[str, tuple[str, ...]] = {
    "healthy release": (),
    "boot crash on 3 %": ("boot_crash=3%",),
    "crash on 5 %, 24 h after the install": ("late_crash=5%@24h",),
    "metric source away for 8 h": ("metric_outage=8h@30h",),
    "reconcile dead for 2 days": ("reconcile_down=48h@20h",),
    "six reconcilers at once": ("reconcilers=6",),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario's line of the table."""

    name: str
    faults: Sequence[str]
    summary: Summary
    seconds: float


def main() -> None:
    """Rehearse, print the table, and write it where it belongs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="of each scenario")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--only", help="only scenarios with this text in their name")
    parser.add_argument("--write", action="store_true", help="put the table into docs/rehearse.md")
    args = parser.parse_args()
    rows = [
        rehearsed(name, faults, args.seeds, args.jobs)
        for name, faults in SCENARIOS.items()
        if args.only is None or args.only in name
    ]
    text = table(rows, args.seeds)
    sys.stdout.write(text)
    (HERE / "out").mkdir(exist_ok=True)
    found = {row.name: {"faults": list(row.faults), "seconds": row.seconds, **asdict(row.summary)} for row in rows}
    (HERE / "out" / "rehearsals.json").write_text(json.dumps(found, indent=2) + "\n")
    if args.write:
        write(text)


def rehearsed(name: str, faults: Sequence[str], seeds: int, jobs: int) -> Row:
    """Rehearse one scenario."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "otagate.yml"
        path.write_text(POLICY)
        policy = load_policy(path)
    began = time.perf_counter()
    runs = rehearse_many(policy, replace(BASE, faults=read_faults(faults)), range(1, seeds + 1), jobs=jobs)
    seconds = time.perf_counter() - began
    sys.stderr.write(f"{name}: {len(runs)} rehearsals in {seconds:.0f} s\n")
    return Row(name, faults, summarise(runs), seconds)


def table(rows: Sequence[Row], seeds: int) -> str:
    """Give the table as Markdown."""
    head = (
        "scenario",
        "completed",
        "stopped by a gate",
        "false stops",
        "held on the way",
        "stop after",
        "ran it by then",
        "met the fault by then",
        "last phone back",
    )
    lines = [f"{seeds} seeds each; median (90 %).", "", _line(head), _line(["---"] * len(head))]
    return "\n".join([*lines, *(_line(_cells(row)) for row in rows), ""])


def _cells(row: Row) -> list[str]:
    one = row.summary
    return [
        row.name,
        str(one.endings["completed"]),
        str(one.endings["stopped"]),
        str(one.false_stops),
        str(one.held_once),
        _length(one.stopped_after_s),
        _count(one.exposed_at_stop),
        _count(one.met_at_stop),
        _length(one.back_after_s),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _length(spread: Spread | None) -> str:
    if spread is None:
        return "–"  # noqa: RUF001 - a dash of the page
    return f"{span(timedelta(seconds=spread.median))} ({span(timedelta(seconds=spread.p90))})"


def _count(spread: Spread | None) -> str:
    return "–" if spread is None else f"{spread.median:g} ({spread.p90:g})"  # noqa: RUF001 - a dash of the page


def write(text: str) -> None:
    """Put the table between the markers of the page."""
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
