"""Who we are to a cloud, found out once for all gates of a look."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from otagate.errors import UnavailableError
from otagate.gate.interface import MetricSource
from otagate.gate.sources._identities import Identities
from otagate.gate.sources.azure_monitor import AzureMonitorMetrics
from otagate.gate.sources.cloudwatch import CloudwatchMetrics
from otagate.gate.sources.google_monitoring import GoogleMonitoringMetrics
from otagate.gate.sources.prometheus import PrometheusMetrics
from otagate.gate.sources.registry import open_sources
from otagate.policy.model.gates import GateSpec
from otagate.policy.model.sources import Source
from otagate.policy.model.vendors import (
    Asked,
    AzureMonitorSource,
    CloudAuth,
    CloudwatchSource,
    GoogleMonitoringSource,
    PrometheusSource,
)
from support.identities import World
from support.vendor_world import QUERY

ASKED = Asked("b", "t")
AZURE = {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_SECRET": "s3cr3t-s3cr3t"}
LONG_S = 60.0


def token(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"})


def test_found_once_for_each_purpose() -> None:
    known, found = Identities(), []

    def find(name: str) -> Callable[[], Callable[[], str]]:
        def once() -> Callable[[], str]:
            found.append(name)
            return lambda: f"token of {name}"

        return once

    assert [known.get(name, find(name)) for name in ("a", "b", "a")] == ["token of a", "token of b", "token of a"]
    assert found == ["a", "b"]


def test_who_waited_gets_the_same_failure_and_who_comes_later_asks_again() -> None:
    known = Identities()
    tries: list[int] = []
    begun, waiting = threading.Event(), threading.Event()
    caught: list[UnavailableError] = []

    def gone() -> str:
        tries.append(1)
        begun.set()
        assert waiting.wait(LONG_S)
        raise UnavailableError("no answer", "sts")

    def ask() -> None:
        try:
            known.get("aws", lambda: gone)
        except UnavailableError as error:
            caught.append(error)

    first = threading.Thread(target=ask)
    first.start()
    assert begun.wait(LONG_S)
    shared = known._known["aws"]
    lock, blocked = shared._lock, threading.Event()

    class Told:
        def __enter__(self) -> None:
            blocked.set()
            lock.acquire()

        def __exit__(self, *_: object) -> None:
            lock.release()

    shared._lock = Told()  # type: ignore[assignment]
    second = threading.Thread(target=ask)
    second.start()
    assert blocked.wait(LONG_S)
    waiting.set()
    first.join(LONG_S)
    second.join(LONG_S)
    assert len(tries) == 1
    assert caught[0] is caught[1]
    with pytest.raises(UnavailableError):
        known.get("aws", lambda: gone)
    assert len(tries) == 2


def answered(request: httpx.Request) -> httpx.Response:
    if "loganalytics" in request.url.host:
        return httpx.Response(200, json={"tables": [{"rows": [[3]]}]})
    return httpx.Response(200, json={"status": "success", "data": {"resultType": "scalar", "result": [0, "3"]}})


def test_sources_of_one_cloud_exchange_one_token_a_purpose() -> None:
    world, shared, wire = World(token), Identities(), httpx.MockTransport(answered)
    where = "https://ws.westeurope.prometheus.monitor.azure.com"
    logs = AzureMonitorSource("w", ASKED)
    options = {"transport": wire, "outside": world.outside(), "identities": shared}
    sources: list[MetricSource] = [
        AzureMonitorMetrics(logs, Path(), AZURE, **options),  # type: ignore[arg-type]
        AzureMonitorMetrics(logs, Path(), AZURE, **options),  # type: ignore[arg-type]
        PrometheusMetrics(PrometheusSource(where, ASKED, auth=CloudAuth.AZURE), Path(), AZURE, **options),  # type: ignore[arg-type]
    ]
    for source in (*sources, sources[0]):
        assert source.read(QUERY).total == 3
    assert len(world.asked) == 2  # one for logs, one for Prometheus


def test_gates_of_one_look_share_identities() -> None:
    specs: dict[str, tuple[Source, type]] = {
        "a": (CloudwatchSource("eu-central-1", ASKED), CloudwatchMetrics),
        "b": (AzureMonitorSource("w", ASKED), AzureMonitorMetrics),
        "c": (GoogleMonitoringSource("p", ASKED), GoogleMonitoringMetrics),
        "d": (PrometheusSource("https://x.test", ASKED, auth=CloudAuth.AWS, region="r"), PrometheusMetrics),
    }
    gates = [GateSpec(name, source=spec) for name, (spec, _) in specs.items()]
    opened = open_sources(gates, root=Path(), environ={})
    assert {name: type(source) for name, source in opened.items()} == {name: kind for name, (_, kind) in specs.items()}
    assert len({id(source._wire.identities) for source in opened.values()}) == 1  # type: ignore[attr-defined]
    again = open_sources(gates, root=Path(), environ={})
    assert again["a"]._wire.identities is not opened["a"]._wire.identities  # type: ignore[attr-defined]
