"""Both ways of reading telemetry give the same: the database itself, and a real server's answers about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from otagate.errors import OtagateError
from otagate.gate.interface import SourceError
from otagate.gate.sources.telemetry_database import DatabaseReader
from otagate.gate.sources.telemetry_interface import TelemetryReader
from otagate.gate.sources.telemetry_server import ServerReader
from otagate.policy.model.sources import TelemetrySpec
from otagate.telemetry.interface import Active, CountQuery, Heard, PluginUse
from otagate.telemetry.model import Mark
from otagate.telemetry.tokens import Limit, Verb
from support.counted import WHOLE, seen
from support.operators import APP, NOW, Desk

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUERY = CountQuery(APP, "1.4.2", NOW - DAY, NOW, "stable")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "t.db")
    told = [
        seen(1, "1.4.2", NOW - HOUR, channel="stable", app=APP),
        seen(2, "1.4.2", NOW - 2 * HOUR, WHOLE | Mark.CRASHED, channel="stable", platform="android", verify_s=50, app=APP),
        seen(3, "1.4.2", NOW - HOUR, Mark.OFFERED | Mark.STARTED | Mark.NETWORK, channel="stable", plugin="7.0.0", app=APP),
        seen(4, "1.4.1", NOW - HOUR, channel="beta", app=APP),
        seen(5, "1.4.2", NOW - HOUR, channel="stable", is_test=True, app=APP),
        seen(6, "1.4.0", NOW - 3 * DAY, channel="stable", app=APP),
    ]
    made.telemetry.record(told)
    yield made
    made.telemetry.close()


def server(desk: Desk, token: str) -> ServerReader:
    """Give a reader whose requests a real operators' side answers; only the wire between them is missing."""

    def answer(request: httpx.Request) -> httpx.Response:
        query = dict(request.url.params)
        reply = desk.call(
            request.method, request.url.path, query=query, headers={"authorization": request.headers["authorization"]}
        )
        return httpx.Response(reply.status, json=reply.body)

    spec = TelemetrySpec("https://updates.example.com", "env:T")
    return ServerReader(spec, Path(), {"T": token}, transport=httpx.MockTransport(answer))


@pytest.fixture(params=["database", "server"])
def reader(request: pytest.FixtureRequest, desk: Desk, tmp_path: Path) -> TelemetryReader:
    if request.param == "database":
        return DatabaseReader(TelemetrySpec(database="sqlite:///t.db"), tmp_path, {})
    return server(desk, desk.token(Verb.METRICS))


def test_counts(reader: TelemetryReader) -> None:
    found = reader.counted(QUERY).counts
    assert (found.devices, found.offered, found.success, found.network, found.ran, found.crashed) == (3, 3, 2, 1, 2, 1)
    assert sum(found.verify) == 2
    assert found.newest_at == NOW - HOUR + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("query", "devices"),
    [
        (CountQuery(APP, "1.4.2", NOW - DAY, NOW, "stable", "ios"), 2),
        (CountQuery(APP, "1.4.2", NOW - DAY, NOW, "stable", None, "7.0.0"), 1),
        (CountQuery(APP, "1.4.2", NOW - DAY, NOW, test=True), 1),
        (CountQuery(APP, "1.4.2", NOW - DAY, NOW, "beta"), 0),
        (CountQuery(APP, "1.4.2", NOW - DAY, NOW - 90 * timedelta(minutes=1)), 1),
        (CountQuery(APP, "9.9.9", NOW - DAY, NOW), 0),
    ],
)
def test_each_limit_of_a_question_counts(reader: TelemetryReader, query: CountQuery, devices: int) -> None:
    assert reader.counted(query).counts.devices == devices


def test_lists(reader: TelemetryReader) -> None:
    assert set(reader.releases(APP, NOW - DAY, NOW)) == {"1.4.1", "1.4.2"}
    assert reader.in_use(APP, NOW - DAY) == {"1.4.1", "1.4.2", "builtin"}
    assert reader.in_use(APP, NOW - 4 * DAY) == {"1.4.0", "1.4.1", "1.4.2", "builtin"}
    rows = sorted(reader.active(APP, NOW - DAY), key=lambda row: (row.channel, row.release, row.platform))
    assert rows == [
        Active("beta", "1.4.1", "ios", 1),
        Active("stable", "1.4.2", "android", 1),
        Active("stable", "1.4.2", "ios", 1),
        Active("stable", "builtin", "ios", 1),
    ]


def test_when_devices_are_heard_and_with_which_plugins(reader: TelemetryReader) -> None:
    hour = NOW.replace(minute=0)
    assert list(reader.heard(APP, NOW - DAY)) == [
        Heard(hour - 2 * HOUR, "stable", 1),
        Heard(hour - HOUR, "beta", 1),
        Heard(hour - HOUR, "stable", 2),
    ]
    assert reader.heard(APP, NOW - 4 * DAY)[0] == Heard(hour - 3 * DAY, "stable", 1)
    assert list(reader.plugins(APP, NOW - DAY)) == [
        PluginUse("beta", "8.1.0", 1),
        PluginUse("stable", "7.0.0", 1),
        PluginUse("stable", "8.1.0", 2),
    ]


def test_two_releases_side_by_side(desk: Desk, reader: TelemetryReader) -> None:
    desk.telemetry.record([seen(7, "1.4.1", NOW - HOUR, channel="stable", app=APP)])
    found = reader.side_by_side(QUERY, "1.4.1")
    (row,) = found.rows
    hour = NOW - HOUR
    assert row.start == hour.replace(minute=0, second=0, microsecond=0)
    assert (row.platform, row.plugin, row.release.success, row.control.success) == ("ios", "8.1.0", 1, 1)
    assert "1.4.1" in found.asked
    assert found.digest != reader.side_by_side(QUERY, "1.4.0").digest
    assert reader.side_by_side(QUERY, "1.4.0").rows == []


def test_what_one_look_counts_on_is_what_is_counted_at_once(desk: Desk, tmp_path: Path) -> None:
    desk.telemetry.record(
        [
            seen(
                100 + hours,
                "1.4.2",
                NOW - hours * HOUR,
                WHOLE | Mark.CRASHED if hours % 3 else WHOLE,
                channel="stable",
                app=APP,
            )
            for hours in range(0, 100, 2)
        ]
    )
    spec = TelemetrySpec(database="sqlite:///t.db")
    plain, one_look = DatabaseReader(spec, tmp_path, {}), DatabaseReader(spec, tmp_path, {}, is_for_one_look=True)
    whole = CountQuery(APP, "1.4.2", NOW - 4 * DAY, NOW + HOUR, "stable")
    for end in (NOW + HOUR, NOW, NOW - 6 * HOUR, NOW - DAY, NOW - 30 * HOUR, NOW - 3 * DAY, NOW - 4 * DAY):
        for query in (
            replace(whole, end=end),
            replace(whole, end=end, platform="ios"),
            replace(whole, end=end, start=end - DAY),
        ):
            assert one_look.counted(query) == plain.counted(query), (end, query.start)
    assert plain.counted(whole).counts.devices > 50


def test_what_was_asked_and_answered_is_evidence(reader: TelemetryReader) -> None:
    found = reader.counted(QUERY)
    assert "1.4.2" in found.asked
    assert "otg_" not in found.asked
    assert found.digest == reader.counted(QUERY).digest
    assert found.digest != reader.counted(CountQuery(APP, "1.4.1", NOW - DAY, NOW)).digest


@pytest.mark.parametrize(
    ("verbs", "limits"),
    [
        ((Verb.DEVICE_READ,), {}),
        ((Verb.METRICS,), {"apps": Limit.only("com.example.other")}),
        ((Verb.METRICS,), {"channels": Limit.only("beta")}),
    ],
)
def test_a_token_for_something_else_is_a_source_error(verbs: tuple[Verb, ...], limits: dict[str, Limit], desk: Desk) -> None:
    with pytest.raises(SourceError, match="HTTP 4"):
        server(desk, desk.token(*verbs, **limits)).counted(QUERY)


def test_a_token_that_nobody_made_is_a_source_error(desk: Desk) -> None:
    with pytest.raises(SourceError, match="HTTP 401"):
        server(desk, "otg_abcdefghijkl_" + "s" * 43).in_use(APP, NOW)


def test_a_token_of_one_channel_counts_there(desk: Desk) -> None:
    narrow = server(desk, desk.token(Verb.METRICS, channels=Limit.only("stable")))
    assert narrow.counted(QUERY).counts.devices == 3
    for rows in (narrow.active(APP, NOW - DAY), narrow.heard(APP, NOW - DAY), narrow.plugins(APP, NOW - DAY)):
        assert {row.channel for row in rows} == {"stable"}


def test_a_database_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(OtagateError):
        DatabaseReader(TelemetrySpec(database="sqlite:///t.db"), tmp_path, {}).counted(QUERY)
