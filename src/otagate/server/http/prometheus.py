"""Figures for Prometheus. Nothing in them tells devices apart, and every label has few values.

With several workers each writes its figures into files of a shared folder, and whichever is asked adds them up.
**Source:** https://prometheus.github.io/client_python/multiprocess/.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from otagate.errors import UsageError
from otagate.telemetry.intake import IntakeStats

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

LOG = logging.getLogger("otagate.server")
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus-client knows that several processes belong together; read when it is first imported."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LABELS_KEPT = 100
_OTHER = "other"


@contextmanager
def shared_folder() -> Iterator[None]:
    """Have all workers started within count into one private folder, which goes at the end. Before they are started."""
    with tempfile.TemporaryDirectory(prefix="otagate-metrics-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            os.environ.pop(FOLDER, None)


class Metrics:
    """The figures of one worker.

    Raises:
        UsageError: prometheus-client is not installed.
    """

    def __init__(self) -> None:
        try:
            import prometheus_client  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise UsageError(
                "the update server needs libraries that are not installed",
                "otagate serve",
                expected="the extra server",
                found=f"no module {error.name}",
                remedy="pip install 'otagate[server]'",
            ) from error
        self._client = prometheus_client
        self._registry = prometheus_client.CollectorRegistry()
        own: dict[str, Any] = {"namespace": "otagate", "registry": self._registry}
        counter, gauge = prometheus_client.Counter, prometheus_client.Gauge
        self._requests = counter("requests", "Requests answered", ["route", "status"], **own)
        self._seconds = prometheus_client.Histogram(
            "request_seconds", "From the whole request to the whole answer", ["route"], buckets=SECONDS, **own
        )
        self._notes = counter("answers", "Answers by what they said", ["route", "note"], **own)
        self._refused = counter("refused", "What was refused or not counted, by reason", ["reason"], **own)
        self._counters: dict[str, Any] = {
            "observations_dropped": counter(
                "observations_dropped", "Observations of update checks for which there was no room", **own
            )
        }
        self._gauges: dict[str, Any] = {}
        self._gauge_options = own
        self._gauge = gauge
        self._told: dict[tuple[str, str], float] = {}
        self._children: dict[tuple[str, int, str], tuple[Any, Any, Any]] = {}
        self._reasons: dict[str, Any] = {}

    def answered(self, route: str, status: int, note: str, seconds: float) -> None:
        """Count an answer."""
        children = self._children.get((route, status, note))
        if children is None:
            children = self._child(route, status, note)
        requests, duration, notes = children
        requests.inc()
        duration.observe(seconds)
        notes.inc()

    def refuse(self, reason: str, count: float = 1) -> None:
        """Count something that was refused."""
        child = self._reasons.get(reason)
        if child is None:
            known = reason if len(self._reasons) < _LABELS_KEPT else _OTHER
            child = self._refused.labels(known)
            if known is reason:
                self._reasons[reason] = child
        child.inc(count)

    def dropped(self, count: int) -> None:
        """Count observations for which there was no room."""
        self._counters["observations_dropped"].inc(count)

    def gauge(self, name: str, what: str, value: float) -> None:
        """Set a figure that goes up and down; over several workers the sum counts, of ages the highest."""
        found = self._gauges.get(name)
        if found is None:
            mode: Literal["livemax", "livesum"] = "livemax" if name.endswith("_seconds") else "livesum"
            found = self._gauges[name] = self._gauge(name, what, multiprocess_mode=mode, **self._gauge_options)
        found.set(value)

    def total(self, name: str, what: str, value: float) -> None:
        """Set a counter that is kept elsewhere to what it stands at."""
        found = self._counters.get(name)
        if found is None:
            found = self._counters[name] = self._client.Counter(name, what, **self._gauge_options)
        found.inc(max(0.0, value - self._told.get(("", name), 0.0)))
        self._told["", name] = value

    def intake(self, stats: IntakeStats) -> None:
        """Set the intake's figures to what they stand at; what was dropped is counted where it happens."""
        self.gauge("intake_depth", "Observations that wait to be recorded", stats.depth)
        self.gauge("intake_last_flush_seconds", "Time of the last transaction", stats.last_flush_s)
        for name, what, value in (
            ("intake_taken", "Observations taken in", stats.taken),
            ("intake_durable", "Observations recorded", stats.flushed),
            ("intake_failed", "Observations that the database did not take", stats.failed),
            ("intake_refused", "Observations for which there was no room, and whose clients were told so", stats.refused),
            ("intake_known", "Observations that were known already", stats.known),
            ("intake_flushes", "Transactions", stats.flushes),
            ("intake_flush_seconds", "Time spent in transactions", stats.flush_s),
        ):
            self.total(name, what, value)

    def refusals(self, totals: Mapping[str, int]) -> None:
        """Set what the transport refused to what it stands at, by reason."""
        for reason, value in totals.items():
            before = self._told.get(("refused", reason), 0.0)
            if value > before:
                self.refuse(reason, value - before)
                self._told["refused", reason] = value

    def page(self) -> tuple[bytes, str]:
        """Give what Prometheus reads, and its content type; of all workers. Takes milliseconds: call it in a thread."""
        registry = self._registry
        folder = os.environ.get(FOLDER)
        if folder is not None:
            registry = self._of_all(Path(folder))
        return self._client.generate_latest(registry), self._client.CONTENT_TYPE_PLAIN_0_0_4

    def _of_all(self, folder: Path) -> CollectorRegistry:
        from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead  # noqa: PLC0415 - of the extra

        for pid in {_pid_of(path) for path in folder.glob("gauge_live*.db")}:
            if pid is not None and not _is_alive(pid):
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        registry = self._client.CollectorRegistry()
        MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
        return registry

    def _child(self, route: str, status: int, note: str) -> tuple[Any, Any, Any]:
        if len(self._children) >= 10 * _LABELS_KEPT:
            note = _OTHER
        known = (self._requests.labels(route, str(status)), self._seconds.labels(route), self._notes.labels(route, note or "-"))
        self._children[route, status, note] = known
        return known


def _pid_of(path: Path) -> int | None:
    last = path.stem.rpartition("_")[2]
    return int(last) if last.isdigit() else None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
