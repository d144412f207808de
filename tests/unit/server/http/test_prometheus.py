from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from otagate.errors import UsageError
from otagate.server.http import prometheus
from otagate.server.http.app import UpdateApp
from otagate.server.http.prometheus import Metrics
from otagate.server.transport.limits import Limits, Traffic
from otagate.telemetry.intake import IntakeStats
from support.served import Client, IntakeInMemory, World, device


def page(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    families = text_string_to_metric_families(metrics.page()[0].decode())
    return {(one.name, tuple(sorted(one.labels.values()))): one.value for family in families for one in family.samples}


def test_answers_are_counted_by_route_status_and_note() -> None:
    metrics = Metrics()
    metrics.answered("updates", 200, "update", 0.002)
    metrics.answered("updates", 200, "update", 3.0)
    metrics.answered("updates", 200, "", 0.5)
    metrics.answered("stats", 503, "unavailable", 0.1)
    found = page(metrics)
    assert found["otagate_requests_total", ("200", "updates")] == 3
    assert found["otagate_answers_total", ("update", "updates")] == 2
    assert found["otagate_answers_total", ("-", "updates")] == 1
    assert found["otagate_requests_total", ("503", "stats")] == 1
    assert found["otagate_request_seconds_count", ("updates",)] == 3
    assert found["otagate_request_seconds_bucket", ("0.0025", "updates")] == 1


def test_labels_are_bounded() -> None:
    metrics = Metrics()
    for at in range(3000):
        metrics.answered("updates", 200, f"note {at}", 0.001)
        metrics.refuse(f"reason {at}")
    found = page(metrics)
    assert len(found) < 3000
    assert found["otagate_answers_total", ("other", "updates")] > 0
    assert found["otagate_refused_total", ("other",)] == 2900


def test_counters_that_are_kept_elsewhere_are_followed() -> None:
    metrics = Metrics()
    for value in (5.0, 5.0, 9.0, 2.0):
        metrics.total("kept_elsewhere", "Something", value)
    metrics.refusals({"busy": 3})
    metrics.refusals({"busy": 3, "idle": 1})
    metrics.refusals({"busy": 4, "idle": 1})
    found = page(metrics)
    assert found["otagate_kept_elsewhere_total", ()] == 9
    assert found["otagate_refused_total", ("busy",)] == 4
    assert found["otagate_refused_total", ("idle",)] == 1


def test_every_application_of_a_process_counts_for_itself() -> None:
    Metrics().dropped(5)
    fresh = Metrics()
    fresh.gauge("things", "Things", 2)
    fresh.gauge("things", "Things", 3)
    found = page(fresh)
    assert found["otagate_observations_dropped_total", ()] == 0
    assert found["otagate_things", ()] == 3


@pytest.mark.parametrize(
    ("authorization", "public", "status"),
    [("", False, 401), ("Bearer bad", False, 401), ("Bearer good", False, 200), ("", True, 200)],
)
def test_figures_are_for_those_who_may_read_them(authorization: str, public: bool, status: int) -> None:
    got = Client(UpdateApp(World().parts(metrics_public=public))).get("/metrics", authorization=authorization)
    assert got.status == status
    if status == 401:
        assert got.headers["www-authenticate"].startswith("Bearer")
        assert got.json().keys() == {"error", "message"}
    else:
        assert got.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert b"otagate_catalog_age_seconds 1.0" in got.body


def test_the_transport_s_figures_are_among_them() -> None:
    traffic = Traffic(Limits())
    traffic.connections = 7
    traffic.refused["headers_too_large"] = 2
    client = Client(UpdateApp(World().parts(metrics_public=True)), state={"traffic": traffic})
    client.post("/updates", device())
    body = client.get("/metrics").body
    assert b"otagate_connections 7.0" in body
    assert b'otagate_refused_total{reason="headers_too_large"} 2.0' in body


class Counting(IntakeInMemory):
    """An intake with figures."""

    stats = IntakeStats(depth=3, taken=10, flushed=6, failed=1, refused=2, flushes=4, flush_s=0.5, last_flush_s=0.125)


def test_the_intake_s_figures_are_among_them() -> None:
    client = Client(UpdateApp(World().parts(metrics_public=True, intake=Counting())))
    client.get("/metrics")
    body = client.get("/metrics").body
    assert b"otagate_intake_depth 3.0" in body
    assert b"otagate_intake_durable_total 6.0" in body
    assert b"otagate_intake_flush_seconds_total 0.5" in body
    assert b"otagate_intake_last_flush_seconds 0.125" in body


def test_figures_name_no_device_and_no_address() -> None:
    client = Client(UpdateApp(World().parts(metrics_public=True)))
    client.post("/updates", device())
    client.post("/stats", device(action="x" * 30))
    body = client.get("/metrics").body.decode()
    assert device()["device_id"] not in body
    assert "192.0.2" not in body


def test_without_the_extra_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UsageError, match=r"otagate\[server\]"):
        Metrics()


WORKER = """
import os, sys
from otagate.server.http.prometheus import Metrics
metrics = Metrics()
metrics.answered("updates", 200, "update", 0.001)
metrics.gauge("connections", "Open connections", 5)
metrics.gauge("catalog_age_seconds", "Age", float(sys.argv[1]))
if len(sys.argv) > 2:
    sys.stdin.readline()
    sys.stdout.write(metrics.page()[0].decode())
"""


def test_figures_of_several_workers_are_added_up_and_those_of_dead_ones_no_longer_stand() -> None:
    with prometheus.shared_folder():
        folder = os.environ[prometheus.FOLDER]
        assert Path(folder).stat().st_mode & 0o077 == 0
        asked = subprocess.Popen(
            [sys.executable, "-c", WORKER, "2", "asked"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        subprocess.run([sys.executable, "-c", WORKER, "9"], check=True)
        shown, _ = asked.communicate("go\n", timeout=60)
    assert 'otagate_requests_total{route="updates",status="200"} 2.0' in shown
    assert "otagate_connections 5.0" in shown
    assert "otagate_catalog_age_seconds 2.0" in shown
    assert prometheus.FOLDER not in os.environ
    assert not Path(folder).exists()


def test_a_process_that_may_not_be_asked_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(pid: int, signal: int) -> Any:
        raise PermissionError if pid == 1 else ProcessLookupError

    monkeypatch.setattr(os, "kill", kill)
    assert prometheus._is_alive(1)
    assert not prometheus._is_alive(2)
