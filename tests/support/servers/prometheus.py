"""A real Prometheus on loopback with a made-up past: one for each test process."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from support.servers.ports import free_ports, kept, running

UNPACKED = Path(__file__).parents[3] / ".cache" / "debian" / "usr" / "bin"
START = datetime(2026, 1, 5, 12, tzinfo=UTC)
STEP = timedelta(minutes=1)
MINUTES = 121
"""Samples of every series: two hours, of which tests ask for the first."""
HOSTILE = "1.0.0-a\"b'c{end}$(x)\\d\n# e"
"""As a label's value; a backtick is left out, so that each kind of literal can hold it."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series: a value a minute from START on; None: no sample."""

    name: str
    labels: dict[str, str]
    values: tuple[float | None, ...]


def program(name: str) -> str:
    """Give the path of ``prometheus`` or ``promtool``."""
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED))
    if found is None:
        message = f"{name} is missing: run scripts/system-packages"
        raise AssertionError(message)
    return found


def _counter(name: str, release: str, instance: str, a_minute: float, reset_at: int | None = None) -> Series:
    values = [a_minute * (at - (reset_at if reset_at is not None and at >= reset_at else 0)) for at in range(MINUTES)]
    return Series(name, {"release": release, "instance": instance}, tuple(values))


PAST = (
    _counter("app_devices_total", "1.4.2", "a", 2),
    _counter("app_devices_total", "1.4.2", "b", 1, reset_at=30),
    _counter("app_crashed_devices_total", "1.4.2", "a", 0.05),
    _counter("app_devices_total", "1x4x2", "a", 1000),
    _counter("app_devices_total", "9.9.9", "a", 1),
    _counter("app_devices_total", HOSTILE, "a", 4),
    Series("born_total", {"release": "1.4.2"}, tuple(None if at < 30 else 5.0 + (at >= 45) for at in range(MINUTES))),
    Series("latency", {"release": "1.4.2"}, tuple(float(at) for at in range(MINUTES))),
    Series("silent_since", {"release": "1.4.2"}, tuple(1.0 if at < 20 else None for at in range(MINUTES))),
)
"""``9.9.9`` never failed: it has no series for bad devices. Instance b was started anew after half an hour. ``born_total`` is 5 when
it is first seen."""


def _open_metrics(past: Iterable[Series]) -> str:
    lines = []
    for series in past:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in series.labels.items())
        kept_values = [(at, value) for at, value in enumerate(series.values) if value is not None]
        times = [(int((START + at * STEP).timestamp()), value) for at, value in kept_values]
        lines += [f"{series.name}{{{labels}}} {value} {at}" for at, value in times]
    return "\n".join([*lines, "# EOF", ""])


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@functools.cache
def shared() -> str:
    """Give the URL of this process's server, which ends with the process and leaves nothing behind."""
    return kept("prometheus", serving)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a server that knows PAST until the ``with`` body ends."""
    (folder / "past.om").write_text(_open_metrics(PAST), "utf-8")
    made = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", "past.om", "data"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder)
    config = folder / "prometheus.yml"
    config.write_text("{}\n")
    (port,) = free_ports(1)
    base = f"http://127.0.0.1:{port}"
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        # Whatever the clock says: the past stays.
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with running(command, lambda: _is_ready(base), folder / "log"):
        yield base


def _is_ready(base: str) -> bool:
    try:
        return httpx.get(f"{base}/-/ready", timeout=2).is_success
    except httpx.HTTPError:
        return False
