"""Counts from telemetry: windows of closed buckets, when devices were last heard, and what an update server answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from otagate.errors import UnavailableError
from otagate.fleet import generations
from otagate.gate.interface import Ask, ContrastRow, Measurement, MetricQuery, SourceError
from otagate.gate.judge import Look, LookKind, Verdict, judge
from otagate.gate.measure import Subject, measure
from otagate.gate.sources import _silence
from otagate.gate.sources._exchange import Pace
from otagate.gate.sources.registry import open_sources
from otagate.gate.sources.telemetry import OneLook, TelemetryMetrics, floor
from otagate.gate.sources.telemetry_database import DatabaseReader, counts_data, digest_of
from otagate.gate.sources.telemetry_interface import Compared, Counted
from otagate.gate.sources.telemetry_reader import open_reader
from otagate.gate.sources.telemetry_server import ServerReader
from otagate.policy.build import build_gates
from otagate.policy.model.gates import GateSpec, Judgement
from otagate.policy.model.sources import TelemetrySource, TelemetrySpec
from otagate.telemetry.fold import PLAIN
from otagate.telemetry.interface import Active, CountQuery, Heard, PluginUse, SideBySide
from otagate.telemetry.model import VERIFY_BOUNDS_S, Counts

NOW = datetime(2026, 11, 21, 9, 32, 17, 250_000, tzinfo=UTC)
START = datetime(2026, 11, 20, 9, 31, 5, tzinfo=UTC)
QUERY = MetricQuery("crash_rate", "com.example.app", "stable", "1.4.2", START, NOW, 500)
SPEC = TelemetrySpec("https://u.example.com", "env:T")
TOKEN = "otg_abcdefghijkl_" + "s" * 43
NEWEST = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
COUNTS = Counts(devices=500, offered=500, success=490, ran=495, crashed=3, newest_at=NEWEST)


@dataclass
class Fake:
    """A reader that answers from memory. See TelemetryReader."""

    counts: Counts = COUNTS
    rows: Sequence[Active] = ()
    asked: list[CountQuery] = field(default_factory=list)
    since: list[datetime] = field(default_factory=list)
    error: Exception | None = None
    pairs: Sequence[SideBySide] = ()
    compared: list[str] = field(default_factory=list)
    uses: list[PluginUse] = field(default_factory=lambda: [PluginUse("stable", "8.42.0", 3)])

    def side_by_side(self, query: CountQuery, control: str) -> Compared:
        self.compared.append(control)
        return Compared(self.pairs, "beside", "e")

    def counted(self, query: CountQuery) -> Counted:
        if self.error is not None:
            raise self.error
        self.asked.append(query)
        return Counted(self.counts, "somewhere", "d")

    def releases(self, app: str, start: datetime, end: datetime) -> list[str]:
        return ["1.4.2"]

    def active(self, app: str, since: datetime) -> Sequence[Active]:
        self.since.append(since)
        return self.rows

    def heard(self, app: str, since: datetime) -> list[Heard]:
        return [Heard(since, "stable", 3)]

    def plugins(self, app: str, since: datetime) -> list[PluginUse]:
        return self.uses

    def in_use(self, app: str, since: datetime) -> frozenset[str]:
        return frozenset({"1.4.2"})


def read(fake: Fake, query: MetricQuery = QUERY, **source: Any) -> Measurement:
    return TelemetryMetrics(TelemetrySource(SPEC, **source), fake).read(query)


def test_a_window_is_rounded_down_to_buckets_at_both_ends() -> None:
    fake = Fake()
    found = read(fake)
    assert (found.bad, found.total, found.newest_at, found.digest) == (3, 495, NEWEST, "d")
    assert found.query == "crash_rate from somewhere"
    start, end = datetime(2026, 11, 20, 9, 30, tzinfo=UTC), datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    assert fake.asked == [CountQuery("com.example.app", "1.4.2", start, end, "stable")]


def test_platform_plugin_and_metric_are_those_of_the_source() -> None:
    fake = Fake(Counts(devices=9, ran=9, errored=2, newest_at=NEWEST))
    found = read(fake, metric="error_rate", platform="ios", plugin="8.1.0")
    assert (found.bad, found.total) == (2, 9)
    assert (fake.asked[0].platform, fake.asked[0].plugin) == ("ios", "8.1.0")


def test_each_limit_is_a_question_of_its_own() -> None:
    verify = (5, *(0,) * (len(VERIFY_BOUNDS_S) - 2), 1, 0)
    fake = Fake(Counts(devices=6, verify=verify, newest_at=NEWEST))
    found = read(fake, replace(QUERY, metric="verification_time", over=timedelta(seconds=45)))
    assert (found.bad, found.total) == (1, 6)
    assert found.query == "verification_time over 45s from somewhere"


def test_no_device_is_no_data() -> None:
    found = read(Fake(Counts()))
    assert (found.bad, found.total, found.newest_at) == (None, None, None)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UnavailableError("telemetry does not answer", "the database"), "telemetry does not answer"),
        (UnavailableError("telemetry does not answer"), "telemetry: crash_rate"),
        (SourceError("a metric source failed", "x"), "a metric source failed"),
    ],
)
def test_whatever_fails_is_a_source_error(error: Exception, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(Fake(error=error))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("metric", "over", "said"), [("mine", None, "does not know this metric"), ("verification_time", 50, "one of 1s, 2s")]
)
def test_what_telemetry_cannot_answer_is_a_source_error(metric: str, over: int | None, said: str) -> None:
    limit = None if over is None else timedelta(seconds=over)
    with pytest.raises(SourceError, match=said):
        read(Fake(), replace(QUERY, metric=metric, over=limit))


OLD = NEWEST - timedelta(hours=7)
SINCE = datetime(2026, 11, 21, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("newest", "rows", "source", "expected"),
    [
        pytest.param(OLD, [Active("stable", "1.4.2", "ios", 3)], {}, SINCE, id="heard"),
        pytest.param(OLD, [Active("stable", "1.4.2", "ios", 3)], {"platform": "ios"}, SINCE, id="platform"),
        pytest.param(OLD, [Active("stable", "1.4.2", "ios", 3)], {"platform": "android"}, OLD, id="other platform"),
        pytest.param(OLD, [Active("stable", "1.4.1", "ios", 3)], {}, OLD, id="other release"),
        pytest.param(OLD, [Active("beta", "1.4.2", "ios", 3)], {}, OLD, id="other channel"),
        pytest.param(OLD, [Active("stable", "1.4.2", "ios", 0)], {}, OLD, id="nobody"),
        pytest.param(OLD, [], {}, OLD, id="silence"),
        pytest.param(None, [Active("stable", "1.4.2", "ios", 3)], {}, None, id="cannot tell"),
    ],
)
def test_a_small_fleet_that_goes_on_telling_is_not_stale(
    newest: datetime | None, rows: list[Active], source: dict[str, Any], expected: datetime | None
) -> None:
    fake = Fake(replace(COUNTS, newest_at=newest), rows)
    assert read(fake, **source).newest_at == expected
    assert fake.since == ([] if newest is None else [SINCE])


def test_new_devices_are_proof_enough() -> None:
    fake = Fake()
    read(fake)
    assert fake.since == []


def test_one_look_asks_each_question_once() -> None:
    fake = Fake(replace(COUNTS, newest_at=OLD))
    look = OneLook(fake)
    for metric in ("crash_rate", "error_rate"):
        TelemetryMetrics(TelemetrySource(SPEC), look).read(replace(QUERY, metric=metric))
    assert (len(fake.asked), len(fake.since)) == (1, 1)
    assert look.releases("a", START, NOW) == ["1.4.2"]
    assert look.in_use("a", START) == {"1.4.2"}
    assert look.heard("a", START) == [Heard(START, "stable", 3)]
    assert look.plugins("a", START) == [PluginUse("stable", "8.42.0", 3)]


def test_one_look_does_not_repeat_a_question_that_failed() -> None:
    class Gone(Fake):
        def counted(self, query: CountQuery) -> Counted:
            self.asked.append(query)
            raise UnavailableError("the server is gone", "https://updates.test")

    fake = Gone()
    look = OneLook(fake)
    for metric in ("crash_rate", "error_rate"):
        with pytest.raises(SourceError, match="the server is gone"):
            TelemetryMetrics(TelemetrySource(SPEC), look).read(replace(QUERY, metric=metric))
    assert len(fake.asked) == 1


CONTRAST = replace(QUERY, ask=Ask.CONTRAST, control="1.4.1")
PAIR = SideBySide(
    START, "ios", "8.1.0", Counts(devices=9, ran=8, crashed=2, errored=1), Counts(devices=90, ran=80, crashed=1, errored=3)
)


def test_a_contrast_has_all_devices_of_the_release_and_rows_of_those_with_company() -> None:
    idle = replace(PAIR, platform="android", control=Counts(devices=7, offered=7))
    fake = Fake(pairs=[PAIR, idle])
    found = read(fake, CONTRAST)
    assert (found.bad, found.total, found.newest_at, found.digest) == (3, 495, NEWEST, "e")
    assert found.rows == (ContrastRow(START, "ios 8.1.0", 2, 8, 1, 80),)
    assert found.query == "crash_rate beside 1.4.1 from beside"
    assert fake.compared == ["1.4.1"]


def test_the_metric_of_a_contrast_is_that_of_its_source() -> None:
    fake = Fake(pairs=[PAIR])
    found = read(fake, replace(CONTRAST, metric="errors_vs_previous"), metric="error_rate")
    assert found.rows == (ContrastRow(START, "ios 8.1.0", 1, 8, 3, 80),)


@pytest.mark.parametrize("control", [None, "1.4.2"])
def test_without_a_control_there_is_nothing_to_compare_with(control: str | None) -> None:
    fake = Fake(pairs=[PAIR])
    found = read(fake, replace(CONTRAST, control=control))
    assert (found.total, found.rows, fake.compared) == (None, (), [])
    assert "built-in bundle" in found.query


def test_a_contrast_of_no_device_is_no_data() -> None:
    found = read(Fake(Counts()), CONTRAST)
    assert (found.bad, found.total, found.rows) == (None, None, ())


@pytest.mark.parametrize(
    ("query", "source", "said"),
    [
        (replace(CONTRAST, metric="verification_time"), {}, "a length of time"),
        (replace(CONTRAST, metric="crash_vs_previous"), {}, "does not know this metric"),
        (replace(QUERY, ask=Ask.VALUE), {}, "plain number"),
        (replace(QUERY, ask=Ask.SPLIT), {"plugin": "8.1.0"}, "remove `plugin`"),
    ],
)
def test_what_cannot_be_asked_is_a_source_error(query: MetricQuery, source: dict[str, Any], said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read(Fake(pairs=[PAIR]), query, **source)


RUNS = [
    Active("stable", "1.4.2", "ios", 6),
    Active("stable", "1.4.1", "ios", 90),
    Active("stable", "1.4.2", "android", 1),
    Active("stable", "", "android", 3),
    Active("beta", "1.4.2", "ios", 50),
]


@pytest.mark.parametrize(("source", "bad", "total"), [({}, 7, 100), ({"platform": "ios"}, 6, 96)])
def test_a_split_counts_who_runs_it_among_the_devices_of_the_channel(source: dict[str, Any], bad: int, total: int) -> None:
    fake = Fake(rows=RUNS)
    found = read(fake, replace(QUERY, metric="split_check", ask=Ask.SPLIT), **source)
    assert (found.bad, found.total, found.newest_at) == (bad, total, SINCE)
    assert fake.since == [SINCE]
    assert found.query.startswith("devices of com.example.app on stable")


def test_a_split_of_a_silent_channel_is_no_data() -> None:
    found = read(Fake(rows=RUNS[-1:]), replace(QUERY, ask=Ask.SPLIT))
    assert (found.bad, found.total, found.newest_at) == (None, None, None)


def test_which_failures_count_is_said_by_the_source() -> None:
    counts = Counts(devices=100, success=90, network=6, boot=3, refusal=1, newest_at=NEWEST)
    query = replace(QUERY, metric="device_success_rate")
    for failures, bad in ((("boot", "integrity", "refusal"), 4), (("boot", "network", "boot"), 9), ((), 0)):
        found = read(Fake(counts), query, failures=failures)
        assert (found.bad, found.total) == (bad, 90 + bad)


@pytest.mark.parametrize(("metric", "pending"), [("device_success_rate", 40), ("crash_rate", 0)])
def test_who_is_on_the_way_matters_to_installs(metric: str, pending: int) -> None:
    counts = Counts(devices=100, pending=40, success=50, network=6, boot=4, ran=54, newest_at=NEWEST)
    assert read(Fake(counts), replace(QUERY, metric=metric)).pending == pending


SILENT = Counts(devices=300, offered=300, success=290, pending=10, ran=290, newest_at=NEWEST)


@pytest.mark.parametrize("metric", ["crash_rate", "error_rate", "device_success_rate"])
def test_devices_that_only_ask_for_updates_are_no_healthy_ones(metric: str) -> None:
    """``updateUrl`` was set and ``statsUrl`` forgotten: no crash, no failed install could ever arrive."""
    with pytest.raises(SourceError, match="not one has told anything") as error:
        read(Fake(SILENT), replace(QUERY, metric=metric))
    assert "statsUrl" in str(error.value.remedy)


def test_nor_are_they_better_than_the_release_before() -> None:
    compared = replace(QUERY, ask=Ask.CONTRAST, control="1.4.1")
    with pytest.raises(SourceError, match="not one has told anything"):
        read(Fake(SILENT), compared)


@pytest.mark.parametrize(
    "counts",
    [
        replace(SILENT, ran=199, success=199),  # so few may have been lucky
        replace(SILENT, verify=(1, *SILENT.verify[1:])),
        replace(SILENT, network=1),
        replace(SILENT, boot=1, crashed=1),
        replace(SILENT, errored=1),
    ],
)
def test_one_event_is_a_sign_of_life(counts: Counts) -> None:
    assert read(Fake(counts)).total == counts.ran


@pytest.mark.parametrize(
    "uses",
    [
        [PluginUse("stable", "8.41.9", 300)],
        [PluginUse("stable", "4.9.0", 300), PluginUse("stable", "", 9), PluginUse("stable", "other", 9)],
        [PluginUse("stable", "7.50.0", 200), PluginUse("stable", "8.42.0", 400)],  # 193 of those that run it would tell
        [],
    ],
)
def test_older_plugins_are_silent_when_all_is_well(uses: list[PluginUse]) -> None:
    fake = Fake(SILENT)
    fake.uses = uses
    assert read(fake).total == SILENT.ran


def test_since_when_every_download_leaves_a_trace() -> None:
    assert generations.SINCE["batches"] == _silence.TELLS_TIMES
    for version, tells in (("8.42.0", True), ("9.0.0", True), ("7.50.1", True), ("7.50.0", False), ("8.51", True)):
        assert _silence._tells_times(version) is tells


def test_completion_needs_no_event() -> None:
    assert read(Fake(SILENT), replace(QUERY, metric="rollout_completion")).bad == 10


def test_one_look_compares_once() -> None:
    fake = Fake(pairs=[PAIR])
    look = OneLook(fake)
    for metric in ("crash_rate", "error_rate"):
        TelemetryMetrics(TelemetrySource(SPEC), look).read(replace(CONTRAST, metric=metric))
    assert (len(fake.asked), fake.compared) == (1, ["1.4.1"])


def test_rounding_down() -> None:
    assert floor(NOW, timedelta(minutes=5)) == NEWEST
    assert floor(NEWEST, timedelta(minutes=5)) == NEWEST


# What a judge says before any device can have matured.


@pytest.mark.parametrize(
    ("age", "is_due", "verdict"),
    [
        (timedelta(hours=1), False, Verdict.INCONCLUSIVE),
        (timedelta(hours=23, minutes=59), False, Verdict.INCONCLUSIVE),
        (timedelta(hours=24), True, Verdict.INSUFFICIENT),
        (timedelta(hours=25), False, Verdict.NO_DATA),
    ],
)
def test_adoption_is_no_silence_while_nothing_can_have_matured(age: timedelta, is_due: bool, verdict: Verdict) -> None:
    (gate,) = [gate for gate in build_gates(None, None, SPEC) if gate.metric == "adoption_24h"]
    gate = replace(gate, action=build_gates({"crash_rate": {}}, None)[0].action)  # one that may pause
    fake = Fake(Counts())
    subject = Subject("com.example.app", "stable", "1.4.2", NOW - age, 500)
    readings = measure(
        [gate], {"adoption_24h": TelemetryMetrics(TelemetrySource(SPEC), fake)}, subject, settle=timedelta(0), now=NOW
    )
    look = Look(LookKind.PHASE_END if is_due else LookKind.INTERIM, subject.start, NOW)
    found = judge(gate, readings, look=look, judgement=Judgement(), gating_metrics=1, now=NOW)
    assert found.verdict is verdict
    assert bool(fake.asked) is (verdict is Verdict.NO_DATA)


def test_phones_that_were_offered_it_a_moment_ago_do_not_stop_a_rollout() -> None:
    (gate,) = [gate for gate in build_gates(None, None, SPEC) if gate.metric == "rollout_completion"]
    fake = Fake(Counts(devices=100, offered=100, pending=100, newest_at=NEWEST))
    subject = Subject("com.example.app", "stable", "1.4.2", NOW - timedelta(hours=1), 500)
    readings = measure(
        [gate], {gate.metric: TelemetryMetrics(TelemetrySource(SPEC), fake)}, subject, settle=timedelta(0), now=NOW
    )
    look = Look(LookKind.INTERIM, subject.start, NOW + timedelta(hours=23))
    assert judge(gate, readings, look=look, judgement=Judgement(), gating_metrics=4, now=NOW).verdict is Verdict.INCONCLUSIVE


# An update server.

Server = Callable[[httpx.Request], httpx.Response]


def document(counts: Counts = COUNTS, **other: Any) -> dict[str, Any]:
    return {"schema": "otagate/counts/v1", "verify_bounds_s": list(VERIFY_BOUNDS_S), "counts": counts_data(counts), **other}


def reader(
    server: Server, spec: TelemetrySpec = SPEC, environ: dict[str, str] | None = None, root: Path = Path()
) -> ServerReader:
    pace = Pace(sleep=lambda _: None, monotonic=lambda: 0.0, jitter=lambda most: most)
    environ = {"T": TOKEN} if environ is None else environ
    return ServerReader(spec, root, environ, pace=pace, transport=httpx.MockTransport(server))


def answering(body: Any, status: int = 200) -> Server:
    return lambda _: httpx.Response(status, json=body)


def test_counts_of_a_server() -> None:
    asked: list[httpx.Request] = []

    def server(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=document())

    query = CountQuery("com.example.app", "1.4.2", START, NOW, "stable", "ios", "8.1.0", test=True)
    found = reader(server).counted(query)
    assert found.counts == COUNTS
    assert asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    parts = urlsplit(str(asked[0].url))
    assert (parts.netloc, parts.path) == ("u.example.com", "/api/v1/metrics")
    assert {name: value for name, (value,) in parse_qs(parts.query).items()} == {
        "app": "com.example.app",
        "release": "1.4.2",
        "channel": "stable",
        "start": "2026-11-20T09:31:05.000000Z",
        "end": "2026-11-21T09:32:17.250000Z",
        "platform": "ios",
        "plugin": "8.1.0",
        "test": "true",
    }
    assert found.asked.startswith("GET https://u.example.com/api/v1/metrics?app=com.example.app&")
    assert TOKEN not in found.asked


def test_what_is_not_asked_for_is_not_sent() -> None:
    def server(request: httpx.Request) -> httpx.Response:
        assert set(parse_qs(urlsplit(str(request.url)).query)) == {"app", "release", "start", "end"}
        return httpx.Response(200, json=document())

    assert reader(server).counted(CountQuery("a", "1.0.0", START, NOW)).counts == COUNTS


def test_lists_of_a_server() -> None:
    said = {
        "/ota/api/v1/releases": {"schema": "otagate/releases/v1", "releases": ["1.4.2", "1.4.1"]},
        "/ota/api/v1/in-use": {"schema": "otagate/in-use/v1", "releases": ["1.4.1", "builtin"]},
        "/ota/api/v1/active": {
            "schema": "otagate/active/v1",
            "active": [{"channel": "stable", "release": "1.4.2", "platform": "ios", "devices": 7}],
        },
        "/ota/api/v1/heard": {
            "schema": "otagate/heard/v1",
            "heard": [{"hour": "2026-11-20T09:00:00Z", "channel": "stable", "devices": 7}],
        },
        "/ota/api/v1/plugins": {
            "schema": "otagate/plugins/v1",
            "plugins": [{"channel": "", "plugin": "8.1.0", "devices": 7}],
        },
    }
    asking = reader(lambda request: httpx.Response(200, json=said[request.url.path]), TelemetrySpec("https://u/ota/", "env:T"))
    assert asking.releases("a", START, NOW) == ["1.4.2", "1.4.1"]
    assert asking.in_use("a", START) == {"1.4.1", "builtin"}
    assert asking.active("a", START) == [Active("stable", "1.4.2", "ios", 7)]
    assert asking.heard("a", START) == [Heard(datetime(2026, 11, 20, 9, tzinfo=UTC), "stable", 7)]
    assert asking.plugins("a", START) == [PluginUse("", "8.1.0", 7)]


def without(name: str) -> dict[str, Any]:
    whole = document()
    del whole["counts"][name]
    return whole


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (document(), 404, "HTTP 404"),
        ({"error": "unauthorized"}, 401, "HTTP 401"),
        ({**document(), "schema": "otagate/counts/v2"}, 200, "another document"),
        ([], 200, "another document"),
        ({**document(), "counts": 5}, 200, "no `counts`"),
        ({**document(), "verify_bounds_s": [1, 2]}, 200, "in other steps"),
        (without("crashed"), 200, "`crashed` is no count of devices"),
        (document(replace(COUNTS, crashed=-1)), 200, "`crashed` is no count of devices"),
        (document(replace(COUNTS, crashed=True)), 200, "`crashed` is no count of devices"),
        (document(replace(COUNTS, verify=(1,))), 200, "no `verify` of the right length"),
        ({**document(), "counts": {**counts_data(COUNTS), "newest_at": "yesterday"}}, 200, "newest_at"),
    ],
)
def test_an_answer_that_is_not_one_is_an_error(body: Any, status: int, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        reader(answering(body, status)).counted(CountQuery("a", "1.0.0", START, NOW))
    assert said in str(caught.value)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"schema": "otagate/active/v1"},
        {"schema": "otagate/active/v1", "active": [5]},
        {"schema": "otagate/active/v1", "active": [{"channel": "a", "release": "b", "platform": 5, "devices": 1}]},
        {"schema": "otagate/active/v1", "active": [{"channel": "a", "release": "b", "platform": "ios", "devices": "1"}]},
    ],
)
def test_a_list_that_is_none_is_an_error(body: Any) -> None:
    with pytest.raises(SourceError, match="cannot be used"):
        reader(answering(body)).active("a", START)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (5, "cannot be understood"),
        ({"hour": "2026-11-20T09:00:00Z", "devices": 1}, "cannot be understood"),
        ({"hour": "soon", "channel": "a", "devices": 1}, "without an instant"),
        ({"hour": "2026-11-20T09:00:00Z", "channel": "a"}, "no count of devices"),
    ],
)
def test_an_hour_that_is_none_is_an_error(entry: Any, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        reader(answering({"schema": "otagate/heard/v1", "heard": [entry]})).heard("a", START)
    assert said in str(caught.value)


def test_a_server_of_yesterday_knows_no_hours_and_no_plugins() -> None:
    asking = reader(answering({"error": "not_found"}, 404))
    for asked in (asking.heard, asking.plugins):
        with pytest.raises(SourceError, match="upgrade the server"):
            asked("a", START)


SIDES: list[Any] = ["2026-11-20T09:00:00Z", "ios", "8.1.0", list(range(12)), list(range(12, 24))]
COMPARED = {"schema": "otagate/side-by-side/v1", "columns": list(PLAIN), "rows": [SIDES]}


def test_two_releases_side_by_side_of_a_server() -> None:
    asked: list[httpx.Request] = []

    def server(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=COMPARED)

    found = reader(server).side_by_side(CountQuery("a", "1.4.2", START, NOW, "stable"), "1.4.1")
    (row,) = found.rows
    assert (row.start, row.platform, row.plugin) == (datetime(2026, 11, 20, 9, tzinfo=UTC), "ios", "8.1.0")
    assert (row.release.devices, row.release.crashed, row.control.devices, row.control.adopted_24h) == (0, 9, 12, 23)
    assert asked[0].url.path == "/api/v1/side-by-side"
    assert asked[0].url.params["control"] == "1.4.1"
    assert found.asked.startswith("GET https://u.example.com/api/v1/side-by-side?")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"error": "not_found"}, 404, "upgrade the server"),
        ({**COMPARED, "columns": ["devices"]}, 200, "other columns"),
        ({**COMPARED, "rows": [5]}, 200, "cannot be understood"),
        ({**COMPARED, "rows": [SIDES[:4]]}, 200, "cannot be understood"),
        ({**COMPARED, "rows": [["", *SIDES[1:]]]}, 200, "instant"),
        ({**COMPARED, "rows": [["soon", *SIDES[1:]]]}, 200, "instant"),
        ({**COMPARED, "rows": [[*SIDES[:4], [1]]]}, 200, "another number of columns"),
        ({**COMPARED, "rows": [[*SIDES[:4], [-1] * 12]]}, 200, "no count of devices"),
    ],
)
def test_a_comparison_that_is_none_is_an_error(body: Any, status: int, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        reader(answering(body, status)).side_by_side(CountQuery("a", "1.0.0", START, NOW), "0.9.0")
    assert said in str(caught.value)


def test_a_list_of_other_things_is_an_error() -> None:
    with pytest.raises(SourceError, match="no text"):
        reader(answering({"schema": "otagate/in-use/v1", "releases": [1]})).in_use("a", START)


def test_an_answer_that_repeats_the_token_is_not_shown() -> None:
    with pytest.raises(SourceError) as caught:
        reader(answering({"schema": TOKEN})).in_use("a", START)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("token", ["", "two words", "tök", "a\nb"])
def test_a_token_that_is_none_is_not_sent(token: str, tmp_path: Path) -> None:
    def server(_: httpx.Request) -> httpx.Response:
        raise AssertionError

    source = TelemetryMetrics(TelemetrySource(SPEC), reader(server, environ={"T": token}))
    with pytest.raises(SourceError):
        source.read(QUERY)


def test_a_token_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")

    def server(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        return httpx.Response(200, json=document())

    spec = TelemetrySpec("https://u", "file:token")
    assert reader(server, spec, {}, tmp_path).counted(CountQuery("a", "1.0.0", START, NOW)).counts == COUNTS


# Which reader.


def test_the_policy_decides_whether_a_server_or_a_database_is_read() -> None:
    assert isinstance(open_reader(SPEC, root=Path(), environ={}), ServerReader)
    assert isinstance(open_reader(TelemetrySpec(database="env:D"), root=Path(), environ={}), DatabaseReader)


def test_gates_of_one_look_share_a_reader(tmp_path: Path) -> None:
    gates = [*build_gates(None, None, SPEC), GateSpec("other"), *build_gates({"mine": {"max": "1%"}}, {"file": "x"})]
    sources = open_sources(gates, root=tmp_path, environ={})
    assert set(sources) == {gate.metric for gate in gates} - {"other"}
    found = [source for source in sources.values() if isinstance(source, TelemetryMetrics)]
    assert len(found) == 6
    assert len({id(source._reader) for source in found}) == 1


@pytest.mark.parametrize(
    ("database", "environ"),
    [("sqlite:///nowhere.db", {}), ("env:D", {}), ("env:D", {"D": "mysql://x/y"}), ("postgresql://a:b@c/d", {})],
)
def test_a_database_that_cannot_be_read_is_a_source_error(database: str, environ: dict[str, str], tmp_path: Path) -> None:
    source = TelemetryMetrics(
        TelemetrySource(TelemetrySpec(database=database)),
        open_reader(TelemetrySpec(database=database), root=tmp_path, environ=environ),
    )
    with pytest.raises(SourceError):
        source.read(QUERY)
    assert list(tmp_path.iterdir()) == []


def test_counts_have_one_digest() -> None:
    assert digest_of(COUNTS) == digest_of(replace(COUNTS)) != digest_of(replace(COUNTS, crashed=4))
    assert json.loads(json.dumps(counts_data(COUNTS)))["newest_at"] == "2026-11-21T09:30:00.000000Z"
