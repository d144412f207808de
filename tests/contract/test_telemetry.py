"""What telemetry promises, on SQLite and on a real PostgreSQL; through one server, and through two that take turns."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from otagate._retry import Patience
from otagate.errors import UnavailableError
from otagate.telemetry import habits
from otagate.telemetry.contrast import side_by_side
from otagate.telemetry.interface import CHOSEN, OVERRIDE, Active, CountQuery
from otagate.telemetry.model import Counts, Mark, Observation
from otagate.telemetry.names import MAX_NAMES
from otagate.telemetry.sql import SqlTelemetry, open_telemetry
from otagate.telemetry.token_tables import TOKENS
from support.devices_told import APP, T0, facts, key, told
from support.recount import audit_counters
from support.servers.ports import free_ports

SECRET = b"s" * 32
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
POSTGRES = pytest.mark.integration


@dataclass
class World:
    """Servers at one database; each call goes to the next one."""

    servers: list[SqlTelemetry]
    turn: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self.turn = itertools.cycle(range(len(self.servers)))

    @property
    def any(self) -> SqlTelemetry:
        return self.servers[next(self.turn)]

    def record(self, *observations: Observation) -> None:
        self.any.record(observations)

    def counts(self, release: str = "1.1.0", **asked: Any) -> Counts:
        given: dict[str, Any] = {"start": T0 - DAY, "end": T0 + DAY}
        return self.any.counts(CountQuery(APP, release, **{**given, **asked}))

    def active(self, since: datetime = T0) -> list[tuple[str, str, str, int]]:
        return [(one.channel, one.release, one.platform, one.devices) for one in self.any.active(APP, since)]


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/telemetry.db"


def postgres_url(folder: Path) -> str:
    from support.servers.postgres import new_database

    return new_database()


@pytest.fixture(
    params=[
        pytest.param((sqlite_url, 1), id="sqlite"),
        pytest.param((sqlite_url, 2), id="sqlite-two"),
        pytest.param((postgres_url, 1), id="postgres", marks=POSTGRES),
        pytest.param((postgres_url, 2), id="postgres-two", marks=POSTGRES),
    ]
)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    make_url, servers = request.param
    url = make_url(tmp_path)
    with ExitStack() as stack:
        opened = [open_telemetry(url, {}, secret=SECRET) for _ in range(servers)]
        for server in opened:
            stack.callback(server.close)
        yield World(opened)
        assert audit_counters(opened[0]) == []


def test_a_device_counts_once_and_moves_forward(world: World) -> None:
    world.record(told(Mark.OFFERED))
    assert world.counts() == Counts(devices=1, offered=1, pending=1, newest_at=T0 + timedelta(minutes=5))
    world.record(told(Mark.STARTED, after=1, started_ms=1_000), told(Mark.VERIFIED, after=9, verified_ms=9_500))
    world.record(told(Mark.SET, after=10))
    before = world.counts()
    assert (before.pending, before.success, before.ran) == (1, 0, 1)
    world.record(told(Mark.READY, after=4000))
    after = world.counts()
    assert (after.devices, after.offered, after.pending, after.success, after.adopted_24h) == (1, 1, 0, 1, 1)
    assert sum(after.verify) == after.verify[3] == 1  # 8.5 s: above 5 and up to 10
    assert after.newest_at == T0 + timedelta(minutes=5), "it stays in the bucket that it was first seen in"


def test_each_outcome_is_counted_where_it_belongs(world: World) -> None:
    outcomes = {
        "network": Mark.NETWORK,
        "integrity": Mark.INTEGRITY,
        "refusal": Mark.REFUSAL,
        "boot": Mark.BOOT,
        "success": Mark.RAN,
        "pending": Mark.STARTED,
    }
    for number, (outcome, mark) in enumerate(outcomes.items()):
        world.record(told(mark, number, release=outcome))
    for counted in outcomes:
        found = world.counts(counted)
        assert {name: getattr(found, name) for name in outcomes} == {**dict.fromkeys(outcomes, 0), counted: 1}


def test_duplicates_and_any_order_end_the_same(world: World) -> None:
    events = [
        told(Mark.OFFERED, number, after=number) for number in range(20)
    ] + [
        told(mark, number, after=number + 20 + step, started_ms=5, verified_ms=5 + number * 3000)
        for number in range(20)
        for step, mark in enumerate((Mark.STARTED, Mark.VERIFIED, Mark.READY if number % 3 else Mark.BOOT, Mark.CRASHED))
    ]  # fmt: skip
    world.record(*events)
    expected = world.counts()
    assert (expected.devices, expected.success, expected.boot, expected.crashed) == (20, 13, 7, 20)
    shuffled = events * 2
    random.Random(7).shuffle(shuffled)
    for start in range(0, len(shuffled), 13):
        world.record(*shuffled[start : start + 13])
    assert world.counts() == expected


def test_counts_are_kept_apart_by_what_was_so_at_first_sight(world: World) -> None:
    world.record(
        told(Mark.OFFERED, 1),
        told(Mark.OFFERED, 2, platform="android", channel="beta", plugin="7.1.0"),
        told(Mark.OFFERED, 3, is_test=True),
        told(Mark.OFFERED, 4, app="com.example.app2"),
        told(Mark.OFFERED, 5, release="1.2.0"),
        told(Mark.OFFERED, 6, after=301),
    )
    world.record(told(Mark.READY, 1, channel="beta", platform="android", plugin="9.0.0", after=2))
    assert [
        world.counts().devices,
        world.counts(channel="stable").success,
        world.counts(channel="beta").devices,
        world.counts(platform="android", plugin="7.1.0").offered,
        world.counts(test=True).devices,
        world.counts("1.2.0").devices,
        world.counts("9.9.9").devices,
        world.counts(end=T0 + timedelta(seconds=301)).devices,
        world.counts(start=T0 + timedelta(seconds=301)).devices,
    ] == [3, 1, 1, 1, 1, 1, 0, 2, 1]
    assert world.counts("9.9.9") == Counts()


def test_adoption_has_24_hours_from_the_bucket(world: World) -> None:
    world.record(*(told(Mark.OFFERED, number, after=299) for number in range(4)))
    world.record(told(Mark.READY, 1, after=86_399), told(Mark.RAN, 2, after=86_400), told(Mark.READY | Mark.BOOT, 3, after=400))
    found = world.counts()
    assert (found.success, found.boot, found.adopted_24h) == (2, 1, 1)


def test_releases_by_their_newest_bucket(world: World) -> None:
    world.record(
        told(Mark.OFFERED, 1, release="1.0.0"),
        told(Mark.OFFERED, 1, release="2.0.0", after=600),
        told(Mark.OFFERED, 2, release="1.5.0", after=300, is_test=True),
        told(Mark.OFFERED, 2, release="9.0.0", app="other"),
    )
    assert world.any.releases(APP, T0, T0 + DAY) == ["2.0.0", "1.5.0", "1.0.0"]
    assert world.any.releases(APP, T0 + timedelta(seconds=300), T0 + timedelta(seconds=600)) == ["1.5.0"]


def test_active_devices_move_with_what_they_run(world: World) -> None:
    world.record(
        told(Mark(0), 1, release="", running="1.0.0", target="1.1.0"),
        told(Mark(0), 2, release="", running="builtin", platform="android"),
        told(Mark(0), 3, release="", running="1.0.0", is_test=True),
        told(Mark.OFFERED, 4),
    )
    assert world.active() == [("stable", "", "ios", 1), ("stable", "1.0.0", "ios", 1), ("stable", "builtin", "android", 1)]
    world.record(told(Mark.RAN, 1, after=60, running="1.1.0", target="1.1.0"), told(Mark.OFFERED, 4, after=61, channel="beta"))
    assert world.active() == [("beta", "", "ios", 1), ("stable", "1.1.0", "ios", 1), ("stable", "builtin", "android", 1)]
    world.record(told(Mark(0), 2, release="", after=7200, running="builtin", platform="android"))
    assert world.active(T0 + HOUR) == [("stable", "builtin", "android", 1)]
    assert world.any.active(APP, T0 + 2 * HOUR) == [Active("stable", "builtin", "android", 1)]
    assert world.any.active("other", T0) == []


def test_a_device_is_heard_once_an_hour_where_it_was_first(world: World) -> None:
    world.record(
        told(Mark(0), 1, release=""), told(Mark.OFFERED, 2, channel="beta"), told(Mark(0), 3, release="", is_test=True)
    )
    world.record(told(Mark.OFFERED, 1, after=1800, channel="beta"), told(Mark.OFFERED, 2, after=1800, channel="beta"))
    assert heard(world) == [(0, "beta", 1), (0, "stable", 1)]
    world.record(told(Mark(0), 1, release="", after=3600), told(Mark(0), 2, release="", after=3 * 3600, channel="beta"))
    world.record(told(Mark(0), 1, release="", after=3599))  # late, and of an hour in which it was counted
    world.record(told(Mark(0), 4, release="", after=3 * 3600), told(Mark(0), 4, release="", after=3700))
    assert heard(world) == [(0, "beta", 1), (0, "stable", 1), (1, "stable", 1), (3, "beta", 1), (3, "stable", 1)]
    assert heard(world, T0 + 3 * HOUR + timedelta(minutes=59)) == [(3, "beta", 1), (3, "stable", 1)]
    assert world.any.heard("other", T0) == []
    world.any.forget(T0 + 2 * HOUR)
    assert heard(world) == [(3, "beta", 1), (3, "stable", 1)]
    with world.any.engines.read() as connection:
        assert [found.channel for found in habits.heard(connection, APP, T0, most=1)] == ["stable"], "the newest stay"


def heard(world: World, since: datetime = T0 - DAY) -> list[tuple[float, str, int]]:
    return [((one.at - T0) / HOUR, one.channel, one.devices) for one in world.any.heard(APP, since)]


def test_plugins_of_the_devices_that_were_seen(world: World) -> None:
    world.record(
        told(Mark(0), 1, release=""),
        told(Mark(0), 2, release=""),
        told(Mark(0), 3, release="", plugin="7.0.50", channel="beta"),
        told(Mark(0), 4, release="", plugin=""),
        told(Mark(0), 5, release="", is_test=True),
        told(Mark(0), 6, release="", app="com.example.other"),
    )
    world.record(told(Mark(0), 2, release="", after=3600, plugin="8.51.23"))  # the app was updated
    assert plugins(world) == [("beta", "7.0.50", 1), ("stable", "", 1), ("stable", "8.5.0", 1), ("stable", "8.51.23", 1)]
    assert plugins(world, T0 + HOUR) == [("stable", "8.51.23", 1)]
    with world.any.engines.read() as connection:
        assert sum(found.devices for found in habits.plugins(connection, APP, T0, most=3)) <= 3
        whole = habits.plugins(connection, APP, T0, most=6)
    assert [(one.channel, one.plugin, one.devices) for one in whole] == plugins(world)


def plugins(world: World, since: datetime = T0) -> list[tuple[str, str, int]]:
    return [(one.channel, one.plugin, one.devices) for one in world.any.plugins(APP, since)]


def test_a_late_word_does_not_undo_a_newer_one(world: World) -> None:
    world.record(told(Mark(0), 1, release="", after=100, running="1.1.0"))
    world.record(told(Mark(0), 1, release="", after=50, running="1.0.0", target="1.2.0", channel="beta"))
    row = world.any.device(APP, key(1))
    assert row is not None
    assert (row.running, row.target, row.channel) == ("1.1.0", "1.2.0", "stable"), "only what nobody told since is filled in"


def test_a_batch_folds_what_is_told_of_a_device_by_time(world: World) -> None:
    world.record(
        told(Mark(0), 1, release="", after=30, running="1.2.0"),
        told(Mark(0), 1, release="", after=10, running="1.0.0", target="1.1.0"),
        told(Mark(0), 1, release="", after=20, channel="beta"),
    )
    row = world.any.device(APP, key(1))
    assert row is not None
    assert (row.running, row.target, row.channel) == ("1.2.0", "1.1.0", "stable")


def test_two_releases_side_by_side(world: World) -> None:
    ran = Mark.OFFERED | Mark.READY
    world.record(
        told(ran, 1),
        told(ran | Mark.CRASHED, 2, after=1800),
        told(ran, 3, release="1.0.0", after=3599),
        told(ran, 4, release="1.0.0", after=3600),  # an hour of its own
        told(ran, 5, platform="android"),
        told(ran, 6, release="1.0.0", plugin="7.0.0"),
        told(ran, 7, release="1.0.0", channel="beta"),
        told(ran, 8, release="1.0.0", is_test=True),
        told(ran, 9, release="0.9.0"),
    )
    query = CountQuery(APP, "1.1.0", T0 - DAY, T0 + DAY, "stable")
    (row,) = world.any.side_by_side(query, "1.0.0")
    assert (row.start, row.platform, row.plugin) == (T0, "ios", "8.5.0")
    assert row.release == Counts(devices=2, offered=2, success=2, ran=2, crashed=1, adopted_24h=2)
    assert row.control == Counts(devices=1, offered=1, success=1, ran=1, adopted_24h=1)
    assert world.any.side_by_side(query, "0.1.0") == []
    assert [found.release.devices for found in world.any.side_by_side(replace(query, channel=None), "1.0.0")] == [2]
    assert world.any.side_by_side(replace(query, platform="android"), "1.0.0") == []
    assert world.any.side_by_side(replace(query, start=T0 + HOUR), "1.0.0") == []


@pytest.mark.parametrize(
    ("most", "starts"),
    [
        (12, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),  # hours since T0, which is 10:00
        (11, [-4, 2, 8]),
        (2, [-10]),
        (0, []),
    ],
)
def test_what_stands_side_by_side_gets_coarser_when_it_is_too_much(world: World, most: int, starts: list[int]) -> None:
    pairs = [(number, release) for number in range(12) for release in ("1.1.0", "1.0.0")]
    world.record(*(told(Mark.OFFERED, number, release=release, after=3600 * number) for number, release in pairs))
    with world.any.engines.read() as connection:
        query = CountQuery(APP, "1.1.0", T0 - DAY, T0 + DAY)
        found = side_by_side(connection, query, "1.0.0", most)
    assert [row.start for row in found] == [T0 + start * HOUR for start in starts]
    assert sum(row.control.devices for row in found) == (12 if starts else 0)


def test_the_coarsest_is_the_whole_time(world: World) -> None:
    kinds = [("ios", "8.5.0"), ("ios", "8.6.0")]
    world.record(
        *(
            told(Mark.OFFERED, 10 * weeks + at, release=release, after=7 * 86_400 * weeks, platform=platform, plugin=plugin)
            for weeks in range(3)
            for at, (platform, plugin) in enumerate(kinds)
            for release in ("1.1.0", "1.0.0")
        )
    )
    with world.any.engines.read() as connection:
        query = CountQuery(APP, "1.1.0", T0 - DAY, T0 + 30 * DAY)
        found = side_by_side(connection, query, "1.0.0", 2)
    assert [(row.start, row.plugin, row.release.devices) for row in found] == [
        (T0 - DAY, "8.5.0", 3),
        (T0 - DAY, "8.6.0", 3),
    ]


def test_versions_in_use(world: World) -> None:
    world.record(
        told(Mark(0), 1, release="", running="1.0.0", target="1.1.0"),
        told(Mark(0), 2, release="", running="builtin", is_test=True, after=3600, target="2.0.0"),
        told(Mark.OFFERED, 3, release="3.0.0"),
    )
    assert world.any.in_use(APP, T0) == {"1.0.0", "1.1.0", "builtin", "2.0.0"}
    assert world.any.in_use(APP, T0 + HOUR) == {"builtin", "2.0.0"}
    assert world.any.in_use("other", T0) == set()


def test_own_channels_by_number(world: World) -> None:
    first = world.any.assign(APP, key(1), OVERRIDE, "beta", T0)
    second = world.any.assign(APP, key(1), CHOSEN, "nightly", T0)
    assert world.any.assign(APP, key(1), OVERRIDE, "beta", T0) == first, "the same again is no change"
    third = world.any.assign(APP, key(2), OVERRIDE, "beta", T0)
    back = world.any.assign(APP, key(1), OVERRIDE, None, T0)
    assert first.seq < second.seq < third.seq < back.seq
    assert world.any.assignments(0) == [second, third, back]
    assert world.any.assignments(second.seq, limit=1) == [third]
    assert world.any.assignments(back.seq) == []
    assert world.any.assign(APP, key(3), CHOSEN, None, T0).seq == 0, "there is nothing to take back"
    assert world.any.assignments(back.seq) == []
    world.record(told(Mark(0), 1, release="", running="1.0.0"))
    row = world.any.device(APP, key(1))
    assert row is not None
    assert (row.override, row.chosen) == (None, "nightly")


def test_a_device_and_pages_of_them(world: World) -> None:
    world.record(
        *(told(Mark.OFFERED, number, running="1.0.0", target="1.1.0") for number in range(5)),
        told(Mark.OFFERED, 9, app="other"),
    )
    row = world.any.device(APP, key(3))
    assert row is not None
    assert (row.app, row.key, row.platform, row.plugin, row.native) == (APP, key(3), "ios", "8.5.0", "1.0.0")
    assert (row.running, row.target, row.is_test, row.seen) == ("1.0.0", "1.1.0", False, T0)
    assert world.any.device(APP, key(9)) is None
    keys = sorted(key(number) for number in range(5))
    assert [row.key for row in world.any.devices(APP, b"", 3)] == keys[:3]
    assert [row.key for row in world.any.devices(APP, keys[2], 3)] == keys[3:]


def test_what_devices_choose_is_bounded(world: World) -> None:
    world.record(*(told(Mark.OFFERED, number, plugin=f"1.0.{number}") for number in range(MAX_NAMES + 20)))
    assert world.counts(plugin="other").devices == 20
    assert world.counts(plugin="1.0.7").devices == 1
    world.record(told(Mark.READY, 5, plugin="9.9.9", after=5), told(Mark.OFFERED, 999, plugin="9.9.9", after=5))
    assert (world.counts(plugin="1.0.5").success, world.counts(plugin="other").devices) == (1, 21)


def test_versions_that_devices_invent_do_not_hide_releases(world: World) -> None:
    world.record(*(told(Mark(0), number, release="", running=f"0.0.{number}") for number in range(MAX_NAMES + 5)))
    world.record(told(Mark.RAN, 700, release="1.1.0", running="1.1.0"))
    world.record(told(Mark(0), 701, release="", running="1.1.0"), told(Mark(0), 702, release="", running="6.6.6"))
    by_release = {release: devices for _, release, _, devices in world.active()}
    assert (by_release["other"], by_release["1.1.0"], len(by_release)) == (6, 2, MAX_NAMES + 2)


HOSTILE: list[dict[str, Any]] = [
    {"native": "1\x00.0", "plugin": "\ud800", "channel": "a\x00b", "platform": "\x1b[31m"},
    {"plugin": "9" * 5000, "native": "x" * 5000, "channel": "é" * 500},
    {"running": "\x00", "target": "\udfff", "started_ms": -1, "verified_ms": 2**80},
    {"weight_bps": 10**30},
]


def test_hostile_words_are_taken_in_as_something_harmless(world: World) -> None:
    for number, about in enumerate(HOSTILE):
        world.record(told(Mark.STARTED, number, **about), told(Mark.STARTED, 100 + number))
        row = world.any.device(APP, key(number))
        assert row is not None
        assert "\x00" not in row.native + row.channel
        assert len(row.native) <= 36
    assert world.counts().devices == 2 * len(HOSTILE)


def test_nothing_is_recorded_of_nothing(world: World) -> None:
    world.record()
    assert world.any.releases(APP, T0, T0 + DAY) == []


def test_forgetting_takes_devices_with_all_they_did_and_old_counters(world: World) -> None:
    old = [told(Mark.OFFERED, number, running="1.0.0") for number in range(30)]
    world.record(*old, told(Mark.OFFERED, 100, running="1.0.0"))
    world.record(told(Mark.RAN, 100, after=3 * 86_400, running="1.1.0"))
    world.any.assign(APP, key(1), CHOSEN, "beta", T0)
    world.any.assign(APP, key(2), OVERRIDE, "beta", T0)
    assert forgotten(world, T0 + 2 * DAY) >= 61
    assert world.counts() == Counts()
    assert [row.key for row in world.any.devices(APP, b"", 100)] == [key(100)]
    assert world.active(T0 - DAY) == [("stable", "1.1.0", "ios", 1)]
    assert [(one.device, one.kind, one.channel) for one in world.any.assignments(0)] == [
        (key(2), OVERRIDE, "beta"),
        (key(1), CHOSEN, None),
    ]
    # The living device's old row moves on without a counter, and it is never counted as a new one.
    world.record(told(Mark.CRASHED, 100, after=3 * 86_400 + 5, running="1.1.0"))
    assert world.counts(end=T0 + 9 * DAY) == Counts()
    forgotten(world, T0 + 2 * DAY + timedelta(days=2))
    assert [(one.device, one.channel) for one in world.any.assignments(0)] == [(key(2), "beta")], "the news lived for a day"


def test_a_clock_that_was_years_ahead_does_not_keep_later_devices_from_being_counted(world: World) -> None:
    world.record(told(Mark.OFFERED, 1))
    assert forgotten(world, T0 + 3650 * DAY) > 0
    assert world.counts() == Counts()
    world.record(told(Mark.OFFERED, 2, after=3600), told(Mark.READY, 1, after=3600))
    assert (world.counts().devices, world.counts().offered, world.counts().success) == (2, 1, 1)
    assert audit_counters(world.any) == []


def test_forgetting_what_is_young_takes_nothing(world: World) -> None:
    world.record(told(Mark.OFFERED, 1))
    world.any.assign(APP, key(1), CHOSEN, "beta", T0)
    assert forgotten(world, T0) == 0
    assert world.counts().devices == 1


def forgotten(world: World, before: datetime) -> int:
    gone = 0
    while chunk := world.any.forget(before):
        gone += chunk
    return gone


@pytest.mark.parametrize("seed", range(2))
def test_random_histories_equal_a_diary(world: World, seed: int) -> None:
    rnd = random.Random(seed)
    diary: dict[tuple[int, str], set[Mark]] = {}
    hours: set[tuple[int, int]] = set()
    marks = [Mark.OFFERED, Mark.STARTED, Mark.SET, Mark.READY, Mark.NETWORK, Mark.BOOT, Mark.CRASHED, Mark.ERRORED]
    for step in range(25):
        batch = []
        for _ in range(rnd.randrange(1, 40)):
            number, release, mark = rnd.randrange(60), rnd.choice(["1.0.0", "1.1.0"]), rnd.choice(marks)
            diary.setdefault((number, release), set()).add(mark)
            hours.add((number, step * 200 // 3600))
            running = rnd.choice([None, "1.0.0", "1.1.0", "builtin"])
            batch.append(told(mark, number, release=release, after=step * 200, running=running, channel=rnd.choice("ab")))
        world.record(*batch, *batch[:3])
    for release in ("1.0.0", "1.1.0"):
        seen = [marks for (_, version), marks in diary.items() if version == release]
        found = world.counts(release)
        ran = [marks for marks in seen if marks & {Mark.SET, Mark.READY, Mark.BOOT, Mark.CRASHED}]
        assert (found.devices, found.offered) == (len(seen), sum(Mark.OFFERED in marks for marks in seen))
        assert found.boot == sum(Mark.BOOT in marks for marks in seen)
        assert found.success == sum(Mark.READY in marks and Mark.BOOT not in marks for marks in seen)
        assert (found.ran, found.errored) == (len(ran), sum(Mark.ERRORED in marks for marks in ran))
    assert sum(devices for *_, devices in world.active(T0)) == len({number for number, _ in diary})
    assert Counter(hour for _, hour in hours) == sum_by_hour(world)


def sum_by_hour(world: World) -> Counter[float]:
    found: Counter[float] = Counter()
    for hour, _, devices in heard(world):
        found[hour] += devices
    return found


def test_facts_are_the_device_s_own(world: World) -> None:
    world.record(Observation(facts(1, native="2.0.0"), "", Mark(0), datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)))
    row = world.any.device(APP, key(1))
    assert row is not None
    assert (row.native, row.seen) == ("2.0.0", datetime(2026, 11, 21, 23, tzinfo=UTC))


def test_the_schema_is_what_the_program_takes_it_for(world: World) -> None:
    with world.any.engines.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "otagate_schema"})
        assert compare_metadata(context, TOKENS.metadata) == []


@POSTGRES
def test_connections_that_were_cut_are_made_anew() -> None:
    url = postgres_url(Path())
    telemetry = open_telemetry(url, {}, secret=SECRET)
    world = World([telemetry])
    with psycopg.connect(url, autocommit=True) as admin:
        for number in range(3):
            world.record(told(Mark.OFFERED, number))
            assert world.counts().devices == number + 1
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'otagate'")
        world.record(told(Mark.OFFERED, 9))
    assert world.counts().devices == 4
    telemetry.close()


@POSTGRES
def test_a_server_that_is_not_there_is_told_in_time() -> None:
    (port,) = free_ports(1)
    url = f"postgresql://nobody@127.0.0.1:{port}/nothing"
    with pytest.raises(UnavailableError, match="can be reached"):
        open_telemetry(url, {}, patience=Patience(total=0.3, first=0.05))
