"""Metric stores of other makers, as far as sources see them: the answers that their documentation shows, over a wire that is none.

Each world holds what one store says to a request. ``WORLDS`` makes them for the contract suite.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx

from otagate.gate.interface import MetricSource
from otagate.gate.sources.azure_monitor import AzureMonitorMetrics
from otagate.gate.sources.capgo import CapgoMetrics
from otagate.gate.sources.cloudwatch import CloudwatchMetrics
from otagate.gate.sources.datadog import DatadogMetrics
from otagate.gate.sources.newrelic import NewRelicMetrics
from otagate.gate.sources.sentry import SentryMetrics
from otagate.identity._outside import Outside
from otagate.policy.model.vendors import (
    Asked,
    AzureMonitorSource,
    CapgoSource,
    CloudwatchSource,
    DatadogSource,
    NewRelicSource,
    SentrySource,
)
from support.vendor_world import END, NEWEST, START, Clock, Patience, Respond, VendorWorld, edited, fingerprint

NOW = END
BEGAN, ENDED = int(START.timestamp()), int(END.timestamp())

Number = float | str | None
"""What a store says to one query; text for what is no number; None: no data."""


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


class _World:
    """What all have in common. Kinds override what their stores say."""

    kind = ""
    hostile = "1.0.0-a OR 1=1) | take 1 {end}"
    newest = NEWEST
    secrets: tuple[str, ...] = ()
    refusal: tuple[int, object] = (403, {})

    window: tuple[str, ...] = ()

    def __init__(self, stack: ExitStack | None = None) -> None:
        self.root = Path()
        self.clock = Clock()

    @property
    def echoed(self) -> int:
        return fingerprint(self.hostile)

    def source(self, respond: Respond) -> MetricSource:
        raise NotImplementedError

    def says(self, bad: int, total: int) -> Respond:
        raise NotImplementedError

    def nothing(self) -> Respond:
        raise NotImplementedError

    def counting(self, bad: int, total: int) -> MetricSource:
        return self.source(self.says(bad, total))

    def absent(self) -> MetricSource:
        return self.source(self.nothing())

    def broken(self) -> MetricSource:
        status, body = self.refusal
        return self.source(lambda _: httpx.Response(status, json=body))

    def echoing(self) -> MetricSource:
        return self.source(self.echo)

    def echo(self, request: httpx.Request) -> httpx.Response:
        raise NotImplementedError


class AskedWorld(_World):
    """Stores that are asked for one number after the other; queries are ``bad of 'release'`` and so on."""

    asked = Asked("bad of '{release}'", "total of '{release}'", "value of '{release}'", "newest of '{release}'")

    def query_of(self, request: httpx.Request) -> str:
        """Find the query in a request."""
        raise NotImplementedError

    def answer(self, number: Number) -> Any:
        """Answer with one number."""
        raise NotImplementedError

    def answering(self, numbers: Mapping[str, Number]) -> Respond:
        """Answer each query by its first word."""
        return lambda request: httpx.Response(200, json=self.answer(numbers[self.query_of(request).split()[0]]))

    def value(self, number: float) -> Respond:
        """Answer with a plain number."""
        return self.answering({"value": number, "newest": NEWEST.timestamp()})

    def no_number(self) -> Respond:
        """Answer with NaN, as the store writes it."""
        return self.answering({"bad": 0, "total": "NaN", "value": "NaN", "newest": NEWEST.timestamp()})

    def fraction(self) -> Respond:
        """Answer with half a device."""
        return self.answering({"bad": 0, "total": 9.5, "newest": NEWEST.timestamp()})

    def several(self) -> Respond:
        """Answer with two series."""
        return lambda _: httpx.Response(200, json=self.two())

    def two(self) -> Any:
        """Answer with two series where one was asked."""
        raise NotImplementedError

    def says(self, bad: int, total: int) -> Respond:
        return self.answering({"bad": bad, "total": total, "newest": NEWEST.timestamp(), "value": 12.5})

    def nothing(self) -> Respond:
        return self.answering({"bad": None, "total": None, "newest": None, "value": None})

    def echo(self, request: httpx.Request) -> httpx.Response:
        name, _, rest = self.query_of(request).partition(" of ")
        release = rest[1 : rest.rindex("'")]
        numbers: dict[str, Number] = {"bad": 0, "newest": NEWEST.timestamp(), "total": fingerprint(release)}
        return httpx.Response(200, json=self.answer(numbers[name]))


class DatadogWorld(AskedWorld):
    kind = "datadog"
    hostile = "1.0.0-a.b+c"
    asked = Asked("bad{version:{release}}", "total{version:{release}}", "value{version:{release}}", "newest{version:{release}}")
    secrets = ("dd-api-key-0123456789", "dd-application-key-0123456789")
    refusal = (403, {"errors": ["Forbidden"]})
    window = (f'"from": {BEGAN}000', f'"to": {ENDED}000')

    def two(self) -> Any:
        group = {"name": "platform", "type": "group", "values": [["platform:ios"], ["platform:android"]]}
        number = {"name": "a", "type": "number", "values": [3, 4], "meta": {"unit": None}}
        return {"data": {"type": "scalar_response", "attributes": {"columns": [group, number]}}}

    def source(self, respond: Respond) -> MetricSource:
        environ = {"DD_API_KEY": self.secrets[0], "DD_APP_KEY": self.secrets[1]}
        spec = DatadogSource("env:DD_API_KEY", "env:DD_APP_KEY", self.asked)
        return DatadogMetrics(spec, self.root, environ, pace=self.clock.pace(), transport=httpx.MockTransport(respond))

    def query_of(self, request: httpx.Request) -> str:
        (query,) = body_of(request)["data"]["attributes"]["queries"]
        return str(query["query"]).replace("{", " {", 1)

    def answer(self, number: Number) -> Any:
        column = {"name": "a", "type": "number", "values": [number], "meta": {"unit": None}}
        return {"data": {"type": "scalar_response", "attributes": {"columns": [column]}}}

    def parts(self) -> list[Respond]:
        good = self.says(2, 40)
        return [
            edited(good, lambda document: document.update(errors="Query timed out")),
            edited(good, lambda document: document.update(meta={"status": "timeout"})),
            edited(good, lambda document: document.update(meta={"status": "done", "warnings": [{"title": "Partial"}]})),
        ]

    def busy(self) -> Patience:
        return [(httpx.Response(429, json={"errors": ["slow down"]}, headers={"X-RateLimit-Reset": "9"}), 9.0)]

    def echo(self, request: httpx.Request) -> httpx.Response:
        name, _, rest = self.query_of(request).partition(" {version:")
        # Datadog writes tags in lower case, and a plus as an underscore.
        total = self.echoed if rest == "1.0.0-a.b_c}" else -1
        return httpx.Response(200, json=self.answer({"bad": 0, "newest": NEWEST.timestamp(), "total": total}[name]))


class NewRelicWorld(AskedWorld):
    kind = "newrelic"
    hostile = "1.0.0-a OR 1=1) SINCE 1 day ago -- {end}"
    secrets = ("NRAK-0123456789ABCDEF",)
    refusal = (401, {"errors": [{"message": "Invalid API key.", "extensions": {"errorClass": "UNAUTHENTICATED"}}]})
    window = (f" SINCE {BEGAN}000 UNTIL {ENDED}000",)

    def two(self) -> Any:
        rows = [{"facet": "ios", "platform": "ios", "count": 3}, {"facet": "android", "platform": "android", "count": 4}]
        return {"data": {"actor": {"account": {"nrql": {"results": rows}}}}}

    def source(self, respond: Respond) -> MetricSource:
        spec = NewRelicSource(1234567, "env:NEW_RELIC_KEY", self.asked)
        environ = {"NEW_RELIC_KEY": self.secrets[0]}
        return NewRelicMetrics(spec, self.root, environ, pace=self.clock.pace(), transport=httpx.MockTransport(respond))

    def query_of(self, request: httpx.Request) -> str:
        return str(body_of(request)["variables"]["nrql"])

    def answer(self, number: Number) -> Any:
        # It remarks that it found nothing, which is no warning.
        messages = [] if number else ["No events found -- do you have the correct event type and time range?"]
        found = {"results": [{"uniqueCount.device": number}], "metadata": {"messages": messages}}
        return {"data": {"actor": {"account": {"nrql": found}}}}

    def parts(self) -> list[Respond]:
        def warned(document: Any) -> None:
            document["data"]["actor"]["account"]["nrql"]["metadata"]["messages"] = ["Some expressions can't be transformed."]

        good = self.says(2, 40)
        return [
            edited(good, warned),
            edited(good, lambda document: document.update(errors=[{"message": "A part of the accounts did not answer"}])),
        ]

    def busy(self) -> Patience:
        nothing = {"data": {"actor": {"account": {"nrql": None}}}}
        errors = [
            {"message": "NRDB query duration exceeded the set timeout", "extensions": {"errorClass": "TIMEOUT"}},
            {"message": "Too many requests", "extensions": {"errorClass": "TOO_MANY_REQUESTS"}},
            {"message": "Something went wrong", "extensions": {"errorClass": "SERVER_ERROR"}},
        ]
        return [(httpx.Response(200, json={**nothing, "errors": [error]}), 0.0) for error in errors]


class AzureWorld(AskedWorld):
    kind = "azure_monitor"
    hostile = "1.0.0-a' or 1==1 | take 1 // {end}\n\\"
    secrets = ("eyJ0eXAi.eyJhdWQi.c2ln-azure-token",)
    refusal = (403, {"error": {"code": "InvalidAuthenticationToken", "message": "The access token is invalid."}})
    window = ("2026-11-21T00:00:00.000000Z/2026-11-21T00:59:59.999999Z",)
    workspace = "6a9b1c2d-0000-4000-8000-1234567890ab"

    def source(self, respond: Respond) -> MetricSource:
        def token(_: httpx.Request) -> httpx.Response:
            return httpx.Response(200, json={"access_token": self.secrets[0], "expires_in": 3600, "token_type": "Bearer"})

        outside = Outside(now=lambda: NOW, transport=httpx.MockTransport(token), machine=lambda _: "")
        environ = {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_SECRET": "a-secret-of-the-app"}
        wire = httpx.MockTransport(respond)
        spec = AzureMonitorSource(self.workspace, self.asked)
        return AzureMonitorMetrics(spec, self.root, environ, pace=self.clock.pace(), transport=wire, outside=outside)

    def parts(self) -> list[Respond]:
        inner = {"code": "-2133196797", "message": "The results of this query exceed the set limit.", "severity": 2}
        error = {"code": "PartialError", "message": "There were some errors when processing your query.", "details": [inner]}
        return [edited(self.says(2, 40), lambda document: document.update(error=error))]

    def two(self) -> Any:
        columns = [{"name": "platform", "type": "string"}, {"name": "dcount_device", "type": "long"}]
        return {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [["ios", 3], ["android", 4]]}]}

    def query_of(self, request: httpx.Request) -> str:
        return str(body_of(request)["query"])

    def answer(self, number: Number) -> Any:
        columns = [{"name": "dcount_device", "type": "long"}]
        return {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [[number]]}]}

    def echo(self, request: httpx.Request) -> httpx.Response:
        name, _, rest = self.query_of(request).partition(" of ")
        # A KQL literal with its three escapes undone.
        release = rest[1:-1].replace("\\'", "'").replace("\\n", "\n").replace("\\\\", "\\")
        numbers: dict[str, Number] = {"bad": 0, "newest": NEWEST.timestamp(), "total": fingerprint(release)}
        return httpx.Response(200, json=self.answer(numbers[name]))


class CloudwatchWorld(AskedWorld):
    kind = "cloudwatch"
    hostile = "1.0.0-a.b+c/d@e:f"
    asked = Asked("bad of '{release}'", "total of '{release}'", "value of '{release}'")
    secrets = ("wJalrXUtnFEMI/K7MDENG", "FwoGZXIvYXdzEXAMPLETOKEN")
    refusal = (403, {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "User is not authorized"})
    window = (f'"StartTime": {BEGAN}', f'"EndTime": {ENDED}')

    def two(self) -> Any:
        results = [self.result({BEGAN: 3}, label="ios"), self.result({BEGAN: 4}, label="android")]
        return {"MetricDataResults": results, "Messages": []}

    def source(self, respond: Respond) -> MetricSource:
        environ = {
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": self.secrets[0],
            "AWS_SESSION_TOKEN": self.secrets[1],
        }
        wire = httpx.MockTransport(respond)
        outside = Outside(now=lambda: NOW, machine=lambda _: "")
        spec = CloudwatchSource("eu-central-1", self.asked)
        return CloudwatchMetrics(spec, self.root, environ, pace=self.clock.pace(), transport=wire, outside=outside)

    def query_of(self, request: httpx.Request) -> str:
        (query,) = body_of(request)["MetricDataQueries"]
        return str(query["Expression"])

    def result(self, points: Mapping[float, Number], status: str = "Complete", label: str = "q") -> dict[str, Any]:
        return {
            "Id": "q",
            "Label": label,
            "StatusCode": status,
            "Timestamps": list(points),
            "Values": list(points.values()),
        }

    def parts(self) -> list[Respond]:
        message = {"Code": "MaxMetricsExceeded", "Value": "Maximum number of allowed metrics exceeded"}
        good = self.says(2, 40)
        return [
            edited(good, lambda document: document["MetricDataResults"][0].update(StatusCode="PartialData")),
            edited(good, lambda document: document["MetricDataResults"][0].update(StatusCode="InternalError")),
            edited(good, lambda document: document["MetricDataResults"][0].update(Messages=[message])),
            edited(good, lambda document: document.update(Messages=[message])),
        ]

    def busy(self) -> Patience:
        kinds = ("Throttling", "com.amazon.coral.service#ThrottlingException", "LimitExceeded", "RequestLimitExceeded:Sender")
        said = [{"__type": kind, "message": "Rate exceeded"} for kind in kinds]
        failed = {"MetricDataResults": [self.result({}, "InternalError")], "Messages": []}
        return [*((httpx.Response(400, json=body), 0.0) for body in said), (httpx.Response(200, json=failed), 0.0)]

    def answer(self, number: Number) -> Any:
        # A point is named by its beginning, here a minute before the newest observation.
        points = {} if number is None else {(NEWEST - timedelta(minutes=1)).timestamp(): number}
        return {"MetricDataResults": [self.result(points)], "Messages": []}


class SentryWorld(_World):
    kind = "sentry"
    hostile = "1.0.0-a' OR release:latest) {end} #&x=y%2F+z"
    newest = END  # by the hour
    secrets = ("sntrys_0123456789abcdef",)
    refusal = (401, {"detail": "Invalid token"})
    window = ("start=2026-11-21T00:00:00&", "end=2026-11-21T00:59:59&", "interval=1h")

    def source(self, respond: Respond) -> MetricSource:
        spec = SentrySource("acme", "42", "app@{release}", "env:SENTRY_TOKEN")
        environ = {"SENTRY_TOKEN": self.secrets[0]}
        return SentryMetrics(spec, self.root, environ, pace=self.clock.pace(), transport=httpx.MockTransport(respond))

    def answer(self, counts: Mapping[str, object]) -> dict[str, Any]:
        field = "count_unique(user)"
        return {
            "groups": [
                {"by": {"session.status": status}, "totals": {field: count}, "series": {field: [count]}}
                for status, count in counts.items()
            ],
            "start": "2026-11-21T00:00:00Z",
            "end": "2026-11-21T01:00:00Z",
            "intervals": ["2026-11-21T00:00:00Z"],
            "query": "",
        }

    def says(self, bad: int, total: int) -> Respond:
        counts = {"abnormal": 0, "crashed": bad, "errored": (total - bad) // 2, "healthy": total - bad - (total - bad) // 2}
        return lambda _: httpx.Response(200, json=self.answer(counts))

    def nothing(self) -> Respond:
        return lambda _: httpx.Response(200, json={**self.answer({}), "groups": []})

    def parts(self) -> list[Respond]:
        field = "count_unique(user)"
        good = self.says(2, 40)
        return [
            edited(good, lambda document: document["intervals"].pop()),
            edited(good, lambda document: document["groups"][0]["totals"].update({field: None})),
            edited(good, lambda document: document["groups"].append(document["groups"][0])),
        ]

    def busy(self) -> Patience:
        reset = {"X-Sentry-Rate-Limit-Reset": str(ENDED + 5), "X-Sentry-Rate-Limit-Remaining": "0"}
        return [
            (httpx.Response(429, json={"detail": "You are attempting to use this endpoint too often."}, headers=reset), 5.0)
        ]

    def echo(self, request: httpx.Request) -> httpx.Response:
        (query,) = parse_qs(request.url.query.decode())["query"]
        release = query.removeprefix('release:"app@').removesuffix('"')
        return httpx.Response(200, json=self.answer({"healthy": fingerprint(release)}))


class CapgoWorld(_World):
    kind = "capgo"
    hostile = "1.0.0-a\"b'c{end}$(touch pwned)`x`&d=e?f#g%2F h;i|j"
    echoed = 2
    secrets = ("c591b04e-cf29-4945-b9a0-776d0672061a",)
    refusal = (401, {"error": "no_access_to_app", "message": "No access to app"})
    window = ('"rangeStart": "2026-11-21T00:00:00.000000Z"', '"rangeEnd": "2026-11-21T01:00:00.000000Z"')

    def source(self, respond: Respond) -> MetricSource:
        spec = CapgoSource("env:CAPGO_TOKEN")
        environ = {"CAPGO_TOKEN": self.secrets[0]}
        return CapgoMetrics(spec, self.root, environ, pace=self.clock.pace(), transport=httpx.MockTransport(respond))

    def event(self, device: int, action: str, version: str = "1.4.2", at: str = "2026-11-21T00:20:00+00:00") -> dict[str, Any]:
        return {
            "app_id": "com.example.app",
            "device_id": f"00000000-0000-4000-8000-{device:012}",
            "action": action,
            "version_name": version,
            "created_at": at,
            "metadata": None,
        }

    def events(self, bad: int, total: int, version: str) -> list[dict[str, Any]]:
        rows = [self.event(device, "app_launch_ready", version) for device in range(total)]
        rows += [self.event(device, "app_crash", version, "2026-11-21 00:25:00") for device in range(bad)]
        return [*rows, self.event(0, "app_launch_ready", version, "2026-11-21T00:30:00Z")]

    def says(self, bad: int, total: int) -> Respond:
        return lambda _: httpx.Response(200, json=self.events(bad, total, "1.4.2"))

    def nothing(self) -> Respond:
        return lambda _: httpx.Response(200, json=[])

    def echo(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=self.events(0, 2, body_of(request)["search"]))


WORLDS: dict[str, Callable[[ExitStack], VendorWorld]] = {
    world.kind: world for world in (SentryWorld, DatadogWorld, NewRelicWorld, CloudwatchWorld, AzureWorld, CapgoWorld)
}
"""By kind of source."""
