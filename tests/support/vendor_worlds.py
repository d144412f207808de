"""Stores whose answers are documented by their makers: Prometheus, Google, Graphite, InfluxDB, Dynatrace."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx

from otagate.gate.interface import MetricSource
from otagate.gate.sources.dynatrace import DynatraceMetrics
from otagate.gate.sources.google_monitoring import GoogleMonitoringMetrics
from otagate.gate.sources.graphite import GraphiteMetrics
from otagate.gate.sources.influxdb import InfluxdbMetrics
from otagate.gate.sources.prometheus import PrometheusMetrics
from otagate.policy.model.vendors import (
    Asked,
    DynatraceSource,
    GoogleMonitoringSource,
    GraphiteSource,
    InfluxdbSource,
    PrometheusSource,
)
from support.identities import World
from support.vendor_world import END, NEWEST, START, Clock, Respond, VendorWorld, edited, fingerprint

SECRET = "correct-horse-battery-staple"
URL = "https://metrics.test"
Number = float | str | None
"""What a store says to one query; text for what is no number; None: no data."""


def fields_of(request: httpx.Request) -> dict[str, str]:
    text = request.content.decode() if request.method == "POST" else request.url.query.decode()
    return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


class OneNumberWorld:
    """A store that is asked one number a request; its queries say in words of their own which."""

    hostile = ""
    newest: datetime = NEWEST
    secrets: tuple[str, ...] = (SECRET,)
    window: tuple[str, ...] = ()
    kind = "application/json"

    def __init__(self, stack: ExitStack) -> None:
        del stack
        self.clock = Clock()

    @property
    def echoed(self) -> int:
        return fingerprint(self.hostile)

    def source(self, respond: Respond) -> MetricSource:
        raise NotImplementedError

    def query_of(self, request: httpx.Request) -> str:
        """Give the query of a request."""
        raise NotImplementedError

    def body(self, number: Number) -> bytes:
        """Write one number, or no data, or what the store writes for what is none."""
        raise NotImplementedError

    def release_of(self, text: str) -> str:
        """Read the release out of a query, by the language's own rules."""
        raise NotImplementedError

    def sent(self, body: bytes) -> httpx.Response:
        return httpx.Response(200, content=body, headers={"Content-Type": self.kind})

    def answer(self, **numbers: Number) -> Respond:
        """Answer each query with its number."""

        def respond(request: httpx.Request) -> httpx.Response:
            text = self.query_of(request)
            name = next(name for name in ("bad", "total", "newest", "value") if f"devices_{name}" in text)
            return self.sent(self.body(numbers.get(name)))

        return respond

    def says(self, bad: int, total: int) -> Respond:
        return self.answer(bad=bad, total=total, newest=NEWEST.timestamp())

    def nothing(self) -> Respond:
        return self.answer()

    def value(self, number: float) -> Respond:
        return self.answer(value=number, newest=NEWEST.timestamp())

    def fraction(self) -> Respond:
        return self.answer(bad=0, total=12.5, newest=NEWEST.timestamp())

    def no_number(self) -> Respond:
        return self.answer(bad="NaN", total="NaN", value="NaN", newest=NEWEST.timestamp())

    def counting(self, bad: int, total: int) -> MetricSource:
        return self.source(self.says(bad, total))

    def absent(self) -> MetricSource:
        return self.source(self.nothing())

    def broken(self) -> MetricSource:
        return self.source(lambda _: httpx.Response(403, content=b"{}"))

    def echoing(self) -> MetricSource:
        def respond(request: httpx.Request) -> httpx.Response:
            total = fingerprint(self.release_of(self.query_of(request)))
            return self.answer(bad=0, total=total, newest=NEWEST.timestamp())(request)

        return self.source(respond)


def unescaped(text: str) -> str:
    """Read a string literal with backslashes, as Go does."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r", "t": "\t"}.get(found[1], found[1]), text)


class PrometheusWorld(OneNumberWorld):
    below = ""
    hostile = '1.0.0-a"b\'c{end}$(x)`\\d"} or vector(1) #e;\n--k'
    window = ("time=1795222799.999", "[3600s]")
    asked = Asked(
        bad='sum(increase(devices_bad{release="{release}"}[{window}]))',
        total='sum(increase(devices_total{release="{release}"}[{window}]))',
        value='histogram_quantile(0.95, devices_value{release="{release}"})',
        newest='max(timestamp(devices_newest{release="{release}"}))',
    )

    def source(self, respond: Respond) -> MetricSource:
        wire = httpx.MockTransport(respond)
        spec = PrometheusSource(URL, self.asked, headers=(("Authorization", "env:TOKEN"), ("X-Scope-OrgID", "acme")))
        return PrometheusMetrics(spec, Path(), {"TOKEN": f"Bearer {SECRET}"}, pace=self.clock.pace(), transport=wire)

    def query_of(self, request: httpx.Request) -> str:
        return fields_of(request)["query"] if request.url.path == f"{self.below}/api/v1/query" else ""

    def release_of(self, text: str) -> str:
        found = re.search(r'release="((?:\\.|[^"\\])*)"\}', text)
        return unescaped(found[1]) if found else ""

    def body(self, number: Number) -> bytes:
        series = [] if number is None else [{"metric": {}, "value": [END.timestamp() - 0.001, str(number)]}]
        return self.document(series)

    def document(self, series: list[dict[str, Any]]) -> bytes:
        return json.dumps({"status": "success", "data": {"resultType": "vector", "result": series}}).encode()

    def several(self) -> Respond:
        rows = [{"metric": {"instance": name}, "value": [END.timestamp(), "4"]} for name in ("a", "b")]
        return lambda _: self.sent(self.document(rows))

    def parts(self) -> list[Respond]:
        good = self.says(2, 40)
        return [
            edited(good, lambda document: document.update(warnings=["No StoreAPIs matched for this query"])),
            edited(good, lambda document: document.update(isPartial=True)),
        ]


class GoogleWorld(PrometheusWorld):
    below = "/v1/projects/acme-prod/location/global/prometheus"
    secrets = ("ya29.token-of-the-job",)

    def source(self, respond: Respond) -> MetricSource:
        token = {"access_token": self.secrets[0], "expires_in": 3600, "token_type": "Bearer"}
        machine = World(
            lambda _: httpx.Response(200, json=token, headers={"Metadata-Flavor": "Google"}),
            {"product_name": "Google Compute Engine"},
        )

        def checked(request: httpx.Request) -> httpx.Response:
            known = request.headers.get("Authorization") == f"Bearer {self.secrets[0]}"
            return respond(request) if known else httpx.Response(401)

        spec = GoogleMonitoringSource("acme-prod", self.asked)
        wire = httpx.MockTransport(checked)
        return GoogleMonitoringMetrics(spec, Path(), {}, pace=self.clock.pace(), transport=wire, outside=machine.outside())


class GraphiteWorld(OneNumberWorld):
    hostile = "1.0.0-a@b+c:d"
    window = (f"from={int(START.timestamp()) - 1}", f"until={int(END.timestamp())}")
    asked = Asked(
        bad="sumSeries(seriesByTag('name=devices_bad', 'release={release}'))",
        total="sumSeries(seriesByTag('name=devices_total', 'release={release}'))",
        value="averageSeries(seriesByTag('name=devices_value', 'release={release}'))",
        newest="seriesByTag('name=devices_newest', 'release={release}')",
    )

    def source(self, respond: Respond) -> MetricSource:
        wire = httpx.MockTransport(respond)
        spec = GraphiteSource(URL, self.asked, headers=(("Authorization", "env:TOKEN"),))
        return GraphiteMetrics(spec, Path(), {"TOKEN": f"Basic {SECRET}"}, pace=self.clock.pace(), transport=wire)

    def query_of(self, request: httpx.Request) -> str:
        return fields_of(request)["target"]

    def release_of(self, text: str) -> str:
        found = re.search(r"'release=([^']*)'", text)
        return found[1] if found else ""

    def body(self, number: Number) -> bytes:
        at = int(START.timestamp())
        points = [[None, at - 60], [900, at - 60], [None, at], [number, int(NEWEST.timestamp())], [7, int(END.timestamp())]]
        return json.dumps([] if number is None else [{"target": "sum", "tags": {}, "datapoints": points}]).encode()

    def several(self) -> Respond:
        rows = [{"target": name, "datapoints": [[4, int(START.timestamp())]]} for name in ("a", "b")]
        return lambda _: self.sent(json.dumps(rows).encode())

    def no_number(self) -> Respond:
        return lambda _: self.sent(b'[{"target": "x", "datapoints": [[NaN, %d]]}]' % START.timestamp())


class InfluxdbWorld(OneNumberWorld):
    hostile = '1.0.0-a"b\'c{end}(x)`\\d") or true //e;\n--k'
    window = ("start: 2026-11-21T00:00:00.000000Z, stop: 2026-11-21T01:00:00.000000Z", "org=acme & co")
    kind = "text/csv; charset=utf-8"
    asked = Asked(
        **{
            name: f'from(bucket: "ota") |> range(start: {{start}}, stop: {{end}}) |> filter(fn: (r) => r._measurement == '
            f'"devices_{name}" and r.release == "{{release}}") |> group() |> sum()'
            for name in ("bad", "total", "value", "newest")
        }
    )

    def source(self, respond: Respond) -> MetricSource:
        wire = httpx.MockTransport(respond)
        spec = InfluxdbSource(URL, "acme & co", "env:TOKEN", self.asked)
        return InfluxdbMetrics(spec, Path(), {"TOKEN": SECRET}, pace=self.clock.pace(), transport=wire)

    def query_of(self, request: httpx.Request) -> str:
        return str(json.loads(request.content)["query"])

    def release_of(self, text: str) -> str:
        found = re.search(r'r\.release == "((?:\\.|[^"\\])*)"\)', text)
        return unescaped(found[1]) if found else ""

    def rows(self, *numbers: float | str) -> bytes:
        kind = "double" if any(not isinstance(number, int) for number in numbers) else "long"
        lines = [f"#datatype,string,long,{kind}", "#default,_result,,", ",result,table,_value"]
        return "\r\n".join([*lines, *(f",,0,{number}" for number in numbers), "", ""]).encode()

    def body(self, number: Number) -> bytes:
        return b"\r\n" if number is None else self.rows(number)

    def several(self) -> Respond:
        return lambda _: self.sent(self.rows(4, 5))

    def parts(self) -> list[Respond]:
        broken = b"#datatype,string,string\r\n#default,,\r\n,error,reference\r\n,engine: context canceled,897\r\n"
        good = self.says(2, 40)
        return [lambda request: self.sent(good(request).content + broken)]


class DynatraceWorld(OneNumberWorld):
    hostile = "1.0.0-a'b c{end}$(x)`\\d),or(e;--k"
    window = (f"from={int(START.timestamp())}000", f"to={int(END.timestamp())}000", "resolution=Inf")
    asked = Asked(
        **{
            name: f'ext:devices_{name}:filter(eq("release","{{release}}")):splitBy():sum'
            for name in ("bad", "total", "value", "newest")
        }
    )

    def source(self, respond: Respond) -> MetricSource:
        wire = httpx.MockTransport(respond)
        spec = DynatraceSource(URL, "env:TOKEN", self.asked)
        return DynatraceMetrics(spec, Path(), {"TOKEN": SECRET}, pace=self.clock.pace(), transport=wire)

    def query_of(self, request: httpx.Request) -> str:
        return fields_of(request)["metricSelector"]

    def release_of(self, text: str) -> str:
        found = re.search(r'"release","([^"~]*)"\)', text)
        return found[1] if found else ""

    def body(self, number: Number) -> bytes:
        times = [int(NEWEST.timestamp()) * 1000]
        series = [] if number is None else [{"dimensions": [], "dimensionMap": {}, "timestamps": times, "values": [number]}]
        return self.document(series)

    def document(self, series: list[dict[str, Any]]) -> bytes:
        metric = {"metricId": "ext:devices", "dataPointCountRatio": 1e-5, "dimensionCountRatio": 1e-5, "data": series}
        return json.dumps({"totalCount": len(series), "nextPageKey": None, "resolution": "Inf", "result": [metric]}).encode()

    def several(self) -> Respond:
        rows = [{"dimensions": [name], "timestamps": [1], "values": [4]} for name in ("a", "b")]
        return lambda _: self.sent(self.document(rows))

    def parts(self) -> list[Respond]:
        good = self.says(2, 40)
        return [
            edited(good, lambda document: document.update(warnings=["Some data is missing"])),
            edited(good, lambda document: document["result"][0].update(warnings=["The metric is deprecated"])),
            edited(good, lambda document: document["result"][0].update(dimensionCountRatio=1.0)),
            edited(good, lambda document: document["result"][0].update(dataPointCountRatio=1.7)),
            edited(good, lambda document: document.update(nextPageKey="AQAAABQBAAAABQ==")),
        ]


WORLDS: dict[str, Callable[[ExitStack], VendorWorld]] = {
    "prometheus": PrometheusWorld,
    "google_monitoring": GoogleWorld,
    "graphite": GraphiteWorld,
    "influxdb": InfluxdbWorld,
    "dynatrace": DynatraceWorld,
}
"""By kind of source."""
