"""Load the update server, and a peer in the same run: ``make bench-server``.

Everything stands on loopback, and the load generator on the same cores. Writes
``benchmarks/out/server.json`` and ``server.md``.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from load import CONNECTIONS, Memory, Run, load, median, note, watched
from measure import machine
from server_report import document

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import hostile
from support.servers import postgres
from support.update_server import NO_RATES, ServedApp, UpdateServer, device_id, facts, serving

OUT = Path(__file__).parent / "out"
PEER = Path(__file__).parent / "peers" / "hot-updater"
BIN = Path(sys.executable).parent
Figures = dict[str, Any]
EVENTS = {"single events": 1, "five events": 5, "single events, new devices": 1, "five events, new devices": 5}
"""Kinds of load that report, and how many events a request of each has."""
OPTIONS = (*NO_RATES, "--secret", "env:DEVICE_SECRET")
OVERLOAD = 10
QUICK_S = 0.02
"""An answer within this is a quick one."""
CALM = 20
"""So many quick answers one after another are a server that has recovered."""


@contextmanager
def bare(folder: Path) -> Iterator[tuple[str, int]]:
    """Run an ASGI application that parses and answers JSON, and nothing else: the most that Python's HTTP gives here."""
    log = folder / "bare.log"
    command = [BIN / "uvicorn", "bare:application", "--app-dir", Path(__file__).parent, "--port", "0", "--no-access-log"]
    with log.open("wb") as out:
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=out, cwd=folder)
    try:
        yield _said(process, log, r"http://127.0.0.1:(\d+)\s"), process.pid
    finally:
        process.kill()
        process.wait()


def _said(process: subprocess.Popen[bytes], log: Path, pattern: str) -> str:
    """Wait until a server says its port; give its address."""
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(pattern, log.read_text(), re.MULTILINE):
            return f"http://127.0.0.1:{found[1]}"
        time.sleep(0.05)
    raise RuntimeError(f"{log.name}: {log.read_text()}")


@contextmanager
def peer(folder: Path, *options: str) -> Iterator[tuple[str, int]]:
    """Run the peer."""
    log = folder / f"peer{len(options)}.log"
    with log.open("wb") as out:
        process = subprocess.Popen([str(BIN / "node"), str(PEER / "server.mjs"), *options], stdout=out, cwd=folder)
    try:
        yield _said(process, log, r"^(\d+)$"), process.pid
    finally:
        # Node of the Python wheel is a child of a Python that waits for it.
        for child in (*_children(process.pid), process):
            child.kill()
        process.wait()


def _children(pid: int) -> list[Any]:
    return list(psutil.Process(pid).children(recursive=True))


@contextmanager
def databases(folder: Path, *, is_postgres: bool) -> Iterator[Callable[[str], str]]:
    """Give what gives a database by name: always the same for the same name."""
    if not is_postgres:
        yield lambda name: f"sqlite:///{folder}/{name.replace(' ', '-')}.sqlite"
        return
    place = folder / "postgres"
    place.mkdir()
    folder.chmod(0o755)
    made: set[str] = set()
    # Durable, unlike that of the tests.
    with postgres.serving(place, fsync="on", full_page_writes="on", shared_buffers="128MB") as base:

        def database(name: str) -> str:
            if name not in made:
                made.add(name)
                with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
                    connection.execute(f'CREATE DATABASE "{name}"'.encode())
            return f"{base}/{name.replace(' ', '%20')}"

        yield database


def install_peer() -> None:
    """Install the peer's locked packages, unless they are there."""
    if not (PEER / "node_modules" / "@hot-updater" / "server").exists():
        command = [BIN / "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run([str(part) for part in command], cwd=PEER, check=True, stdout=sys.stderr)


def in_turn(contestants: Mapping[str, Callable[[], Run]], rounds: int) -> dict[str, list[Run]]:
    """Load all in turn, A B A B; one round before does not count."""
    found: dict[str, list[Run]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, contestant in contestants.items():
            run = contestant()
            note(f"  {name}: {run.per_second:,.0f}/s, p99 {run.p99_ms:.1f} ms" + (", to warm up" if not number else ""))
            if number:
                found[name].append(run)
    return found


def checks(app: ServedApp, database: Callable[[str], str], folder: Path, rounds: int, seconds: float) -> Figures:
    """Update checks: one worker, two workers, the peer, and a bare server, in turn."""
    note("update checks")
    with ExitStack() as stack:
        one = stack.enter_context(serving(app, database("one"), *OPTIONS))
        two = stack.enter_context(serving(app, database("two"), "--workers", "2", *OPTIONS))
        plain, kept = stack.enter_context(peer(folder)), stack.enter_context(peer(folder, "--keep-statements"))
        ceiling = stack.enter_context(bare(folder))
        found = in_turn(
            {
                "otagate, 1 worker": lambda: load("updates", one.base, one.pid, seconds),
                "otagate, 2 workers": lambda: load("updates", two.base, two.pid, seconds),
                "otagate, 1 worker, devices it never saw": lambda: load("new devices", one.base, one.pid, seconds),
                "hot-updater": lambda: load("peer", *plain, seconds),
                "hot-updater, statements kept": lambda: load("peer", *kept, seconds),
                "bare uvicorn": lambda: load("updates", *ceiling, seconds),
            },
            rounds,
        )
    return {name: median(runs) for name, runs in found.items()}


def events(app: ServedApp, database: Callable[[str], str], rounds: int, seconds: float) -> Figures:
    """Reports of devices: durable before they are answered."""
    note("events")
    figures: Figures = {}
    for workers in (1, 2):
        with serving(app, database(f"events{workers}"), "--workers", str(workers), *OPTIONS) as server:
            contestants = {kind: _loading(kind, server, seconds) for kind in EVENTS}
            for kind, runs in in_turn(contestants, rounds).items():
                found = median(runs)
                found["events_per_second"] = found["per_second"] * EVENTS[kind]  # type: ignore[operator]
                figures[f"{kind}, {workers} worker{'s' * (workers > 1)}"] = found
    return figures


def _loading(kind: str, server: UpdateServer, seconds: float) -> Callable[[], Run]:
    return lambda: load(kind, server.base, server.pid, seconds)


def overload(app: ServedApp, database: Callable[[str], str], seconds: float) -> Figures:
    """Ten times the connections: memory, and how soon it answers quickly again."""
    note("overload")
    found: Figures = {}
    for kind in ("updates", "five events, new devices"):
        with serving(app, database(f"overload {kind[:4]}"), *OPTIONS) as server:
            before = load(kind, server.base, server.pid, seconds)
            at_rest = Memory(server.pid).now()
            first = load(kind, server.base, server.pid, seconds, CONNECTIONS * OVERLOAD)
            second = load(kind, server.base, server.pid, seconds, CONNECTIONS * OVERLOAD)
            found[kind] = {
                "before": median([before]),
                "rest_bytes": at_rest,
                "overloaded": [median([first]), median([second])],
                "recovered_seconds": recovery(server),
                "after": median([load(kind, server.base, server.pid, seconds)]),
            }
    return found


def recovery(server: UpdateServer, limit: float = 30.0) -> float:
    """Give the seconds until it answers quickly, twenty times in a row."""
    started, calm = time.perf_counter(), 0
    first_quick = started
    while calm < CALM:
        asked = time.perf_counter()
        if asked - started > limit:
            return float("inf")
        status, _ = server.post("/updates", facts(device_id(7), "1.1.0"))
        is_quick = status == 200 and time.perf_counter() - asked < QUICK_S
        if is_quick and not calm:
            first_quick = asked
        calm = calm + 1 if is_quick else 0
    return first_quick - started


def hostility(app: ServedApp, database: Callable[[str], str], rounds: int, seconds: float) -> Figures:
    """Few and many polite clients alone, and beside every kind of hostile ones."""
    note("hostile clients")
    few: dict[str, list[Figures]] = {"alone": [], "beside": []}
    many: dict[str, list[Run]] = {"alone": [], "beside": []}
    outcomes = []
    with serving(app, database("hostile"), *OPTIONS) as server, watched(server.pid) as memory:
        load("updates", server.base, server.pid, seconds)
        for _ in range(rounds):
            few["alone"].append(_polite(server, seconds))
            many["alone"].append(load("updates", server.base, server.pid, seconds))
            attackers = hostile.start(server.port, 2 * seconds + 4, *hostile.KINDS)
            time.sleep(2)
            few["beside"].append(_polite(server, seconds))
            many["beside"].append(load("updates", server.base, server.pid, seconds))
            outcomes.append(hostile.finish(attackers))
            note(f"  p99 {many['alone'][-1].p99_ms:.1f} ms alone, {many['beside'][-1].p99_ms:.1f} ms beside")
    return {
        "few": {
            name: {"p99_ms": statistics.median(1e3 * each["p99"] for each in runs), "runs": runs} for name, runs in few.items()
        },
        "many": {name: median(runs) for name, runs in many.items()},
        "outcomes": outcomes,
        "peak_bytes": memory.peak,
    }


def _polite(server: UpdateServer, seconds: float) -> Figures:
    return hostile.finish(hostile.start(server.port, seconds, "polite", source="127.0.0.1"))["polite"]


def starting(app: ServedApp, database: Callable[[str], str]) -> Figures:
    """Seconds until a server answers on a database that is there already, and memory at rest."""
    times, resident = [], 0
    for _ in range(3):
        started = time.perf_counter()
        with serving(app, database("one"), *OPTIONS) as server:
            times.append(time.perf_counter() - started)
            with urllib.request.urlopen(server.base + "/livez") as answer:
                answer.read()
            resident = Memory(server.pid).now()
    return {"seconds": statistics.median(times), "rest_bytes": resident}


SECTIONS = ("checks", "events", "overload", "hostile", "starting")


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs that count (default: 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a run (default: 5)")
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=SECTIONS, help="only these sections")
    parser.add_argument("--postgres", action="store_true", help="telemetry in PostgreSQL instead of SQLite")
    options = parser.parse_args()
    install_peer()
    OUT.mkdir(exist_ok=True)
    about = machine(subprocess.run([BIN / "node", "--version"], capture_output=True, text=True, check=True).stdout.strip())
    found: Figures = {}
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="otagate-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        app = ServedApp.make(folder / "app", "1.0.0", "1.1.0")
        app.environ["DEVICE_SECRET"] = "5e" * 32
        app.promote("1.0.0")
        app.promote("1.1.0")
        database = stack.enter_context(databases(folder, is_postgres=options.postgres))
        measures: dict[str, Callable[[], Figures]] = {
            "checks": lambda: checks(app, database, folder, options.rounds, options.seconds),
            "events": lambda: events(app, database, options.rounds, options.seconds),
            "overload": lambda: overload(app, database, options.seconds),
            "hostile": lambda: hostility(app, database, options.rounds, options.seconds),
            "starting": lambda: starting(app, database),
        }
        for name in options.only:
            found[name] = measures[name]()
    report = {
        "schema": "otagate/benchmark-server/v1",
        "machine": about,
        "database": "PostgreSQL" if options.postgres else "SQLite",
        "rounds": options.rounds,
        "seconds": options.seconds,
        "found": found,
    }
    name = "server-postgres" if options.postgres else "server"
    (OUT / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
    text = document(report)
    (OUT / f"{name}.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
