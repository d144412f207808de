from __future__ import annotations

import random
from typing import Any

import pytest

from otagate.fleet.config import FleetConfig
from otagate.fleet.counting import COUNTED
from otagate.fleet.diary import Diary, Fact
from otagate.fleet.interface import Response
from otagate.fleet.network import Exchange
from otagate.fleet.profile import draw
from otagate.telemetry.model import Counts
from support.hand_made_server import BASE, UP_TO_DATE

T0 = 1_800_000_000.0
OK = Response(200, {"status": "ok"}, {})


def diary(**mix: Any) -> Diary:
    made = Diary()
    config = FleetConfig("com.example.app", BASE, **mix)
    made.devices += [draw(config, at, random.Random(at)) for at in range(3)]
    return made


def got(response: Response = OK) -> Exchange:
    return Exchange(response, response, is_sure=True)


def tell(
    made: Diary, action: str, release: str = "1.0.0", at: float = T0, exchange: Exchange | None = None, **more: Any
) -> None:
    place = more.pop("place", None)
    event = {"action": action, "version_name": release, "plugin_version": "8.51.23", **more}
    made.told(0, "stable", event, exchange or got(), place=place, at=at)


def offer(version: str) -> Response:
    return Response(200, {"version": version, "url": "http://x"}, {})


def check(made: Diary, exchange: Exchange, running: str = "5.0.0", index: int = 0, at: float = T0) -> None:
    made.checked(index, "stable", running, exchange, at=at)


def counted(made: Diary, release: str = "1.0.0", **asked: Any) -> dict[str, Any]:
    return {name: count for name, count in made.counts(release, **asked).items() if name != "verify" and count}


def test_the_names_are_those_of_telemetry() -> None:
    assert set(diary().counts("1.0.0")) == {*COUNTED, "verify"} == set(Counts.__slots__) - {"newest_at"}
    assert len(diary().counts("1.0.0")["verify"]) == len(Counts().verify)


def test_a_device_counts_once_whatever_comes_twice() -> None:
    made = diary()
    for _again in range(2):
        check(made, got(offer("1.0.0")))
        tell(made, "download_10", timestamp=1000)
        tell(made, "download_complete", timestamp=8000)
        tell(made, "set")
    assert counted(made) == {"devices": 1, "offered": 1, "pending": 1, "ran": 1}
    check(made, got(Response(200, dict(UP_TO_DATE), {})), running="1.0.0", at=T0 + 60)
    assert counted(made) == {"devices": 1, "offered": 1, "success": 1, "ran": 1, "adopted_24h": 1}
    assert made.counts("1.0.0")["verify"][3] == 1
    tell(made, "update_fail")
    assert counted(made) == {"devices": 1, "offered": 1, "boot": 1, "ran": 1, "crashed": 1}


def test_a_day_later_is_too_late_for_adoption() -> None:
    made = diary()
    check(made, got(offer("1.0.0")))
    tell(made, "app_launch_ready", at=T0 + 86_400)
    assert counted(made) == {"devices": 1, "offered": 1, "success": 1, "ran": 1}


def test_crashes_count_only_of_what_ran() -> None:
    made = diary()
    tell(made, "webview_javascript_error")
    assert counted(made) == {"devices": 1, "pending": 1}
    tell(made, "app_crash")
    assert counted(made) == {"devices": 1, "pending": 1, "ran": 1, "crashed": 1, "errored": 1}


def test_what_the_server_refused_is_not_counted() -> None:
    made = diary()
    tell(made, "set", exchange=got(Response(503, None, {})))
    tell(made, "set", exchange=Exchange(None, None, is_sure=True))
    check(made, got(Response(429, {"error": "x"}, {})), running="1.0.0")
    batch = Response(200, {"status": "ok", "results": [{"status": "error"}, {"status": "ok"}]}, {})
    tell(made, "set", exchange=got(batch), place=0)
    tell(made, "set", exchange=got(batch), place=2)
    assert counted(made) == {}
    assert made.is_exact("1.0.0")
    tell(made, "set", exchange=got(batch), place=1)
    assert counted(made) == {"devices": 1, "pending": 1, "ran": 1}
    assert made.events == {"acknowledged": 1, "refused": 3, "lost": 1}


def test_an_answer_that_the_fleet_lost_counts_and_one_that_the_network_lost_leaves_a_doubt() -> None:
    made = diary()
    check(made, Exchange(None, offer("1.0.0"), is_sure=True))
    assert counted(made) == {"devices": 1, "offered": 1, "pending": 1}
    assert made.answers[0].is_lost
    assert made.is_exact("1.0.0")
    tell(made, "set", exchange=Exchange(None, None, is_sure=False))
    assert counted(made) == {"devices": 1, "offered": 1, "pending": 1}
    assert not made.is_exact("1.0.0")
    tell(made, "set", "2.0.0", exchange=Exchange(None, None, is_sure=False))
    assert counted(made, "2.0.0") == {}


def test_counts_can_be_split() -> None:
    made = diary(platforms={"ios": 1}, generations={"8.51.23": 1})
    check(made, got(offer("1.0.0")), index=0, at=T0)
    check(made, got(offer("1.0.0")), index=1, at=T0 + 400)
    one = {"devices": 1, "offered": 1, "pending": 1}
    assert counted(made)["devices"] == 2
    assert counted(made, start=T0 + 399) == one
    assert counted(made, end=T0 + 399) == one
    assert counted(made, end=T0) == {}
    assert counted(made, channel="stable", platform="ios", plugin="8.51.23")["devices"] == 2
    for other in ({"channel": "beta"}, {"platform": "android"}, {"plugin": "7.0.50"}, {"test": True}):
        assert counted(made, **other) == {}


def test_test_devices_count_apart() -> None:
    made = diary(emulators=1.0)
    check(made, got(offer("1.0.0")))
    assert counted(made) == {}
    assert counted(made, test=True)["devices"] == 1


@pytest.mark.parametrize(
    ("body", "version", "error"),
    [
        ({"version": "1.0.0", "url": "u"}, "1.0.0", ""),
        ({"version": "builtin"}, "builtin", ""),
        ({"version": "1.0.0", "error": "x", "kind": "blocked"}, None, "x"),
        ({"version": 7, "error": 8}, None, ""),
        ([1], None, ""),
        (None, None, ""),
    ],
)
def test_what_an_answer_names(body: Any, version: str | None, error: str) -> None:
    made = diary()
    check(made, got(Response(200, body, {})))
    assert (made.answers[0].version, made.answers[0].error) == (version, error)
    assert ("builtin", 0) not in made.rows


def test_answers_need_not_be_kept() -> None:
    made = diary()
    made.keep_answers = False
    check(made, got(offer("1.0.0")))
    assert made.answers == []
    assert counted(made)["offered"] == 1


def test_events_may_be_kept() -> None:
    made = diary()
    made.keep_events = True
    tell(made, "set")
    tell(made, "set", exchange=got(Response(503, None, {})), at=T0 + 1)
    tell(made, "set", exchange=Exchange(None, None, is_sure=True))
    tell(made, "set", exchange=Exchange(None, None, is_sure=False))
    assert [one.is_acknowledged for one in made.sent] == [True, False, False, None]
    assert (made.sent[1].at, made.sent[1].action, made.sent[1].version_name) == (T0 + 1, "set", "1.0.0")


def test_facts_are_counted_by_device() -> None:
    made = diary()
    made.fact("1.0.0", 0, Fact.OFFERED)
    made.fact("1.0.0", 0, Fact.READY)
    made.fact("1.0.0", 1, Fact.OFFERED)
    tell(made, "set", "2.0.0")
    happened = made.happened("1.0.0")
    assert (happened["offered"], happened["ready"], happened["boot"]) == (2, 1, 0)
    assert made.releases() == ["1.0.0", "2.0.0"]
