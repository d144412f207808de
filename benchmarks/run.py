"""Measure otagate against the Capgo CLI on the same web builds in the same run: ``make bench``.

Writes ``benchmarks/out/report.json`` and ``report.md``, and prints the latter. Nothing here is a test: figures depend on the
machine and on what else it does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import contest
import report
import trees
from measure import Command, Cost, in_turn, machine, run

OUT = Path(__file__).parent / "out"
BUILDS = {"small": trees.SMALL, "medium": trees.MEDIUM, "large": trees.LARGE}
POLICY = """version: 1
app: {id: com.example.benchmark}
build: {output: www}
seal: {encryption_key: file:keys/encryption.pem, signing_key: file:keys/signing.pem}
trust: {keys: [file:keys/signing.pub.pem]}
storage: file:store
branches:
  main: {track: production}
tracks:
  production:
    - {phase: beta, channel: beta, soak: 24h}
    - {phase: stable, channel: stable, weights: [5%, 25%, 50%, 100%], soak: 24h}
metrics:
  command: [python3, counts.py, "{metric}"]
"""


def measure_packing(name: str, tree: Path, shop: contest.Workshop, rounds: int, *, alone: bool = False) -> report.Figures:
    """Let the contestants pack and seal one web build in turn."""
    print(f"packing {name} ...", file=sys.stderr)
    packing = contest.Packing(shop, tree)
    contestants: dict[str, Callable[[], Cost]] = {"otagate": packing.otagate, "capgo": packing.capgo}
    if alone:
        del contestants["capgo"]
    costs = in_turn(contestants, rounds)
    return report.packing(name, *trees.weigh(tree), costs, packing.sizes())


def measure_starting(shop: contest.Workshop, rounds: int) -> report.Figures:
    """Measure what a start costs, and planning, beside a Python that does nothing."""
    print("starting ...", file=sys.stderr)
    git = ["git", "-c", "user.name=Benchmark", "-c", "user.email=benchmark@example.com"]
    project = contest.Workshop.make(shop.folder / "project")
    (project.folder / "otagate.yml").write_text(POLICY)
    for command in (["init", "-q", "-b", "main"], ["add", "otagate.yml"], ["commit", "-q", "-m", "Policy"]):
        subprocess.run([*git, *command], cwd=project.folder, check=True)
    commands: dict[str, Command] = {
        "python -c pass": project.command(Path(sys.executable), "-c", "pass"),
        "otagate --version": project.command(contest.OTAGATE, "--version"),
        "otagate plan": project.command(contest.OTAGATE, "plan"),
    }

    def starter(command: Command) -> Callable[[], Cost]:
        return lambda: run(command, shop.folder / "last.log")[0]

    costs = in_turn({name: starter(command) for name, command in commands.items()}, rounds)
    return {name: report.figures(each) for name, each in costs.items()}


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contestant (default: 5)")
    parser.add_argument("--skip-huge", action="store_true", help="leave out the 500 MB that show whether memory grows")
    options = parser.parse_args()
    contest.install()
    OUT.mkdir(exist_ok=True)
    shop = contest.Workshop.make(OUT / "workshop")
    node = subprocess.run([contest.NODE, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    found: report.Figures = {"schema": report.SCHEMA, "machine": machine(node), "rounds": options.rounds}
    found["starting"] = measure_starting(shop, 4 * options.rounds)
    built = {name: trees.assemble(OUT / name, parts) for name, parts in BUILDS.items()}
    found["packing"] = [measure_packing(name, tree, shop, options.rounds) for name, tree in built.items()]
    if not options.skip_huge:
        huge = trees.multiply(OUT / "huge", built["medium"], trees.HUGE_COPIES)
        found["packing"].append(measure_packing("huge", huge, shop, 2, alone=True))
    (OUT / "report.json").write_text(json.dumps(found, indent=2) + "\n")
    text = report.document(found)
    (OUT / "report.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
