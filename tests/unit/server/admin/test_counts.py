from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from otagate.server.admin.counts import counts_data
from otagate.telemetry.fold import PLAIN
from otagate.telemetry.model import VERIFY_BOUNDS_S, Counts
from otagate.telemetry.tokens import Limit, Verb
from support.counted import seen
from support.operators import APP, DEVICE, NOW, OTHER, Desk

ASKED = {"app": APP, "release": "1.4.2", "start": "2026-11-21T00:00:00Z", "end": "2026-11-21T12:00:00+01:00"}
SPAN = {name: ASKED[name] for name in ("app", "start", "end")}
SINCE = {"app": APP, "since": "2026-11-21T00:00:00Z"}
LIMITED = Limit.only("beta")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "t.db")
    desk.see()
    desk.see(DEVICE[::-1], channel="beta", platform="android")
    desk.see(f"1{DEVICE[1:]}", is_test=True)
    desk.see(DEVICE, OTHER)
    yield desk
    desk.close()


def test_counts_say_what_was_asked_and_every_field(desk: Desk) -> None:
    body = desk.call("GET", "/api/v1/metrics", desk.token(Verb.METRICS), query=ASKED).body
    counts = body.pop("counts")
    assert set(counts) == {field.name for field in dataclasses.fields(Counts)}
    assert (counts["devices"], counts["offered"], counts["pending"], counts["newest_at"]) == (
        2,
        2,
        2,
        "2026-11-21T09:35:00.000000Z",
    )
    assert body == {
        "schema": "otagate/counts/v1",
        "app": APP,
        "release": "1.4.2",
        "channel": None,
        "platform": None,
        "plugin": None,
        "test": False,
        "start": "2026-11-21T00:00:00.000000Z",
        "end": "2026-11-21T11:00:00.000000Z",
        "bucket_s": 300,
        "verify_bounds_s": list(VERIFY_BOUNDS_S),
    }


@pytest.mark.parametrize(
    ("more", "devices"),
    [
        ({"channel": "beta"}, 1),
        ({"channel": "b_ta"}, 0),
        ({"platform": "ios"}, 1),
        ({"plugin": "7.30.1"}, 2),
        ({"plugin": "7.30.2"}, 0),
        ({"test": "true"}, 1),
        ({"test": "0"}, 2),
        ({"release": "9.9.9"}, 0),
        ({"end": "2026-11-21T09:30:00Z"}, 0),
        ({"end": ASKED["start"]}, 0),
    ],
)
def test_counts_are_narrowed(desk: Desk, more: dict[str, str], devices: int) -> None:
    body = desk.call("GET", "/api/v1/metrics", desk.token(Verb.METRICS), query={**ASKED, **more}).body
    assert body["counts"]["devices"] == devices


def test_no_counts_have_no_newest() -> None:
    data = counts_data(Counts())
    assert (data["newest_at"], data["verify"], data["devices"]) == (None, [0] * 16, 0)


def test_releases_active_and_in_use(desk: Desk) -> None:
    token = desk.token(Verb.METRICS)
    releases = desk.call("GET", "/api/v1/releases", token, query=SPAN).body
    assert releases == {"schema": "otagate/releases/v1", "app": APP, "releases": ["1.4.2"]}
    active = desk.call("GET", "/api/v1/active", token, query=SINCE).body
    assert (active["schema"], active["since"]) == ("otagate/active/v1", "2026-11-21T00:00:00.000000Z")
    assert sorted(active["active"], key=str) == [
        {"channel": "beta", "release": "1.4.1", "platform": "android", "devices": 1},
        {"channel": "stable", "release": "1.4.1", "platform": "ios", "devices": 1},
    ]
    heard = desk.call("GET", "/api/v1/heard", token, query=SINCE).body
    assert heard == {
        "schema": "otagate/heard/v1",
        "app": APP,
        "since": "2026-11-21T00:00:00.000000Z",
        "heard": [
            {"hour": "2026-11-21T09:00:00.000000Z", "channel": "beta", "devices": 1},
            {"hour": "2026-11-21T09:00:00.000000Z", "channel": "stable", "devices": 1},
        ],
    }
    plugins = desk.call("GET", "/api/v1/plugins", token, query=SINCE).body
    assert (plugins["schema"], plugins["since"]) == ("otagate/plugins/v1", heard["since"])
    assert plugins["plugins"] == [
        {"channel": "beta", "plugin": "7.30.1", "devices": 1},
        {"channel": "stable", "plugin": "7.30.1", "devices": 1},
    ]
    in_use = desk.call("GET", "/api/v1/in-use", token, query=SINCE).body
    assert (in_use["schema"], in_use["releases"]) == ("otagate/in-use/v1", ["1.4.1", "1.4.2"])


def test_a_token_for_one_channel_sees_that_channel_only(desk: Desk) -> None:
    token = desk.token(Verb.METRICS, channels=LIMITED)
    counted = desk.call("GET", "/api/v1/metrics", token, query={**ASKED, "channel": "beta"})
    assert counted.body["counts"]["devices"] == 1
    for channel in ("stable", "nowhere"):
        assert (
            desk.call("GET", "/api/v1/metrics", token, query={**ASKED, "channel": channel}).body["error"] == "channel_not_found"
        )
    assert desk.call("GET", "/api/v1/metrics", token, query=ASKED).body["error"] == "missing_channel"
    assert desk.call("GET", "/api/v1/releases", token, query=SPAN).body["error"] == "channel_limited"
    assert desk.call("GET", "/api/v1/in-use", token, query=SINCE).body["error"] == "channel_limited"
    for path in ("active", "heard", "plugins"):
        assert [row["channel"] for row in desk.call("GET", f"/api/v1/{path}", token, query=SINCE).body[path]] == ["beta"]


def test_two_releases_side_by_side(desk: Desk) -> None:
    token = desk.token(Verb.METRICS)
    asked = {**ASKED, "control": "1.4.1"}
    body = desk.call("GET", "/api/v1/side-by-side", token, query=asked).body
    assert (body["schema"], body["control"], body["columns"], body["rows"]) == (
        "otagate/side-by-side/v1",
        "1.4.1",
        list(PLAIN),
        [],
    )
    desk.telemetry.record([seen(5, "1.4.1", NOW, channel="stable", plugin="7.30.1", app=APP)])
    (row,) = desk.call("GET", "/api/v1/side-by-side", token, query=asked).body["rows"]
    assert row[:3] == ["2026-11-21T09:00:00.000000Z", "ios", "7.30.1"]
    assert [dict(zip(PLAIN, side, strict=True))["success"] for side in row[3:]] == [0, 1]
    own = desk.call("GET", "/api/v1/side-by-side", token, query={**ASKED, "control": "1.4.2"})
    assert own.body["error"] == "invalid_control"
    narrow = desk.token(Verb.METRICS, channels=LIMITED)
    assert desk.call("GET", "/api/v1/side-by-side", narrow, query=asked).body["error"] == "missing_channel"


@pytest.mark.parametrize("path", ["metrics", "side-by-side", "releases", "active", "heard", "plugins", "in-use"])
def test_counts_need_their_verb(desk: Desk, path: str) -> None:
    query = {"metrics": ASKED, "side-by-side": ASKED, "releases": SPAN}.get(path, SINCE)
    token = desk.token(Verb.DEVICE_READ, Verb.DEVICE_WRITE)
    assert desk.call("GET", f"/api/v1/{path}", token, query=query).status == 401


@pytest.mark.parametrize(
    ("path", "query", "error"),
    [
        ("metrics", {"app": ""}, "missing_app"),
        ("metrics", {"release": ""}, "missing_release"),
        ("side-by-side", {"control": ""}, "missing_control"),
        ("side-by-side", {"control": "v1"}, "invalid_control"),
        ("metrics", {"release": "v1"}, "invalid_release"),
        ("metrics", {"start": ""}, "missing_start"),
        ("metrics", {"end": "2026-11-20T23:59:59Z"}, "invalid_period"),
        ("metrics", {"start": "2024-11-21T00:00:00Z"}, "invalid_period"),
        ("metrics", {"start": "0001-01-01T00:00:00+14:00"}, "invalid_start"),
        ("metrics", {"end": "2026-11-21T12:00:00"}, "invalid_end"),
        ("metrics", {"end": "9999999999"}, "invalid_end"),
        ("metrics", {"platform": "windows"}, "invalid_platform"),
        ("metrics", {"plugin": "7"}, "invalid_plugin"),
        ("metrics", {"test": "maybe"}, "invalid_test"),
        ("metrics", {"channel": "a b"}, "invalid_channel"),
        ("metrics", {"app_id": APP}, "unknown_parameter"),
        ("releases", {"since": "2026-11-21T00:00:00Z"}, "unknown_parameter"),
        ("active", {"since": ""}, "missing_since"),
        ("in-use", {"since": "x"}, "invalid_since"),
        ("heard", {"since": ""}, "missing_since"),
        ("plugins", {"channel": "beta"}, "unknown_parameter"),
    ],
)
def test_what_a_request_can_get_wrong(desk: Desk, path: str, query: dict[str, str], error: str) -> None:
    base = {"metrics": ASKED, "side-by-side": ASKED, "releases": SPAN}.get(path, SINCE)
    reply = desk.call("GET", f"/api/v1/{path}", desk.token(Verb.METRICS), query={**base, **query})
    assert (reply.status, reply.body["error"]) == (400, error)


def test_instants_far_away_are_no_fault(desk: Desk) -> None:
    for since in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        for path in ("in-use", "heard", "plugins"):
            reply = desk.call("GET", f"/api/v1/{path}", desk.token(Verb.METRICS), query={**SINCE, "since": since})
            assert reply.status == 200, reply.body
    edge = {**ASKED, "start": "9999-12-31T00:00:00Z", "end": "9999-12-31T23:59:59Z"}
    assert desk.call("GET", "/api/v1/metrics", desk.token(Verb.METRICS), query=edge).status == 200
    assert NOW.year == 2026
