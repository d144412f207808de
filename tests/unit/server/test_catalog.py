from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from otagate.channel.interface import ChannelReading
from otagate.errors import AccessError, NotFoundError, UnavailableError, VerificationError
from otagate.model import AppId, Candidate, ChannelName, ChannelState, Digest, Release, ReleaseRef, Version, Weight
from otagate.policy.model.server import ServerSpec
from otagate.release.repository import PublishedRelease
from otagate.server.catalog import AppSource, StoreCatalog
from otagate.server.interface import AppView
from support.releases import full_release

APP = AppId("com.example.app")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STABLE = ChannelName("stable")
BETA = ChannelName("beta")


@dataclass
class Time:
    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


def ref(version: str, statement: str = "") -> ReleaseRef:
    return ReleaseRef(Version(version), Digest.of((statement or version).encode()))


def state(channel: ChannelName, version: str | None, serial: int = 1, **more: object) -> ChannelState:
    return replace(ChannelState(APP, channel, serial, None if version is None else ref(version)), **more)  # type: ignore[arg-type]


@dataclass
class World:
    """A store whose pointers, statements and moods a test sets."""

    states: dict[ChannelName, ChannelState | Exception] = field(default_factory=dict)
    refused: dict[str, Exception] = field(default_factory=dict)
    is_away: bool = False
    closed: Exception | None = None
    resolved: list[str] = field(default_factory=list)

    def names(self) -> list[ChannelName]:
        if self.is_away:
            raise UnavailableError("away", "store")
        if self.closed is not None:
            raise self.closed
        return sorted(self.states, key=str)

    def read(self, name: ChannelName) -> ChannelReading | None:
        found = self.states[name]
        if isinstance(found, Exception):
            raise found
        return ChannelReading(found, "token", NOON, NOON + timedelta(days=30))

    def resolve(self, wanted: ReleaseRef) -> PublishedRelease:
        self.resolved.append(str(wanted))
        if str(wanted) in self.refused:
            raise self.refused[str(wanted)]
        release: Release = full_release(app=APP, version=wanted.version)
        return PublishedRelease(release, wanted, b"")


def open_catalog(world: World, time: Time | None = None, **more: object) -> StoreCatalog:
    source = AppSource(APP, ServerSpec(), True, world, world, frozenset({"0.9.0"}))
    return StoreCatalog([source], time or Time(), **more)  # type: ignore[arg-type]


def seen(catalog: StoreCatalog) -> AppView:
    catalog.refresh()
    view = catalog.view(str(APP))
    assert view is not None
    return view


def test_pointers_and_the_releases_that_they_name_are_served() -> None:
    candidate = Candidate(ref("2.0.0"), Weight(500), "ab" * 16)
    world = World(
        {STABLE: state(STABLE, "1.0.0", candidate=candidate, previous=(ref("0.5.0"), None), blocked=(Version("0.4.0"),))}
    )
    view = seen(open_catalog(world))
    assert sorted(view.releases) == ["1.0.0", "2.0.0"]
    assert view.channels["stable"].state.candidate == candidate
    assert view.channels["stable"].expires == NOON + timedelta(days=30)
    assert view.known == {"0.4.0", "0.5.0", "0.9.0", "1.0.0", "2.0.0"}
    assert view.is_signed
    assert view.read_at == NOON


def test_a_served_release_is_kept_without_its_files() -> None:
    view = seen(open_catalog(World({STABLE: state(STABLE, "1.0.0")})))
    assert view.releases["1.0.0"].bundle.files == ()
    assert view.releases["1.0.0"].sealed == full_release().sealed


def test_an_app_is_matched_exactly() -> None:
    catalog = open_catalog(World({STABLE: state(STABLE, "1.0.0")}))
    catalog.refresh()
    assert catalog.view("com.example.App") is None
    assert catalog.view("com_example.app") is None
    assert catalog.view("") is None


def test_a_statement_is_read_once_as_long_as_a_pointer_names_it() -> None:
    world = World({STABLE: state(STABLE, "1.0.0")})
    catalog = open_catalog(world)
    seen(catalog)
    seen(catalog)
    assert world.resolved == ["1.0.0"]
    world.states[STABLE] = state(STABLE, "2.0.0", 2)
    assert list(seen(catalog).releases) == ["2.0.0"]
    world.states[STABLE] = state(STABLE, "1.0.0", 3)
    seen(catalog)
    assert world.resolved == ["1.0.0", "2.0.0", "1.0.0"]


def test_another_statement_under_the_same_version_is_verified_anew() -> None:
    world = World({STABLE: state(STABLE, "1.0.0")})
    catalog = open_catalog(world)
    seen(catalog)
    world.states[STABLE] = replace(state(STABLE, None, 2), stable=ref("1.0.0", "another"))
    world.refused["1.0.0"] = VerificationError("another statement", "1.0.0")
    assert seen(catalog).releases == {}


def test_two_pointers_with_different_statements_of_one_version_are_not_served_from() -> None:
    world = World({STABLE: state(STABLE, "1.0.0"), BETA: replace(state(BETA, None), stable=ref("1.0.0", "another"))})
    assert seen(open_catalog(world)).releases == {}


@pytest.mark.parametrize("error", [NotFoundError("gone", "1.0.0"), VerificationError("signature", "1.0.0")])
def test_a_release_that_does_not_verify_is_not_served(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    world = World({STABLE: state(STABLE, "1.0.0"), BETA: state(BETA, "2.0.0")}, {"1.0.0": error})
    catalog = open_catalog(world)
    assert list(seen(catalog).releases) == ["2.0.0"]
    seen(catalog)
    assert len([record for record in caplog.records if "1.0.0" in record.message]) == 1
    world.refused.clear()
    assert sorted(seen(catalog).releases) == ["1.0.0", "2.0.0"]


def test_a_pointer_that_does_not_verify_any_more_is_not_served() -> None:
    world = World({STABLE: state(STABLE, "1.0.0"), BETA: state(BETA, "2.0.0")})
    catalog = open_catalog(world)
    seen(catalog)
    world.states[STABLE] = VerificationError("signature", "stable")
    assert list(seen(catalog).channels) == ["beta"]


def test_a_replayed_pointer_is_not_served() -> None:
    world = World({STABLE: state(STABLE, "2.0.0", 5)})
    catalog = open_catalog(world)
    seen(catalog)
    world.states[STABLE] = state(STABLE, "1.0.0", 4)
    view = seen(catalog)
    assert view.channels == {}
    assert "1.0.0" not in view.known
    world.states[STABLE] = state(STABLE, "2.0.0", 5)
    assert list(seen(catalog).channels) == ["stable"]


def test_a_channel_that_is_gone_is_gone() -> None:
    world = World({STABLE: state(STABLE, "1.0.0"), BETA: state(BETA, "2.0.0")})
    catalog = open_catalog(world)
    seen(catalog)
    del world.states[BETA]
    view = seen(catalog)
    assert list(view.channels) == ["stable"]
    assert "2.0.0" in view.known


def test_a_store_that_is_away_leaves_what_was_read_until_it_is_too_old() -> None:
    time = Time()
    world = World({STABLE: state(STABLE, "1.0.0")})
    catalog = open_catalog(world, time, max_stale=timedelta(minutes=10))
    first = seen(catalog)
    world.is_away = True
    time.at += timedelta(minutes=10)
    assert seen(catalog) is first
    assert catalog.age_s(time.at) == 600
    time.at += timedelta(seconds=1)
    view = seen(catalog)
    assert (view.channels, view.releases, view.known) == ({}, {}, first.known)
    world.is_away = False
    assert list(seen(catalog).channels) == ["stable"]
    assert catalog.age_s(time.at) == 0


@pytest.mark.parametrize(
    "error", [AccessError("forbidden", "store"), VerificationError("no list", "store"), RuntimeError("a bug")]
)
def test_a_store_that_lets_nobody_in_any_more_is_served_from_no_longer_than_one_that_is_away(error: Exception) -> None:
    time = Time()
    world = World({STABLE: state(STABLE, "1.0.0")})
    catalog = open_catalog(world, time, max_stale=timedelta(minutes=10))
    first = seen(catalog)
    world.closed = error
    time.at += timedelta(minutes=10)
    assert seen(catalog) is first
    time.at += timedelta(seconds=1)
    assert (seen(catalog).channels, seen(catalog).releases) == ({}, {})
    world.closed = None
    assert list(seen(catalog).channels) == ["stable"]


def test_a_reading_that_hangs_does_not_keep_old_pointers_alive(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    catalog = open_catalog(World({STABLE: state(STABLE, "1.0.0")}), time, max_stale=timedelta(minutes=10))
    first = seen(catalog)
    time.at += timedelta(minutes=11)
    view = catalog.view(str(APP))
    assert view is not None
    assert (view.channels, view.releases, view.known) == ({}, {}, first.known)
    # The same each time: what is worked out from views is worked out anew only when they change.
    assert catalog.views() == (view,)
    assert catalog.view(str(APP)) is view
    assert len([record for record in caplog.records if "too long" in record.message]) == 1


def test_trouble_with_one_app_does_not_keep_the_others_from_being_read() -> None:
    other = AppId("com.example.other")
    bad, good = World(closed=RuntimeError("a bug")), World({STABLE: state(STABLE, "1.0.0")})
    sources = [AppSource(app, ServerSpec(), True, one, one) for app, one in ((other, bad), (APP, good))]
    catalog = StoreCatalog(sources, Time())
    catalog.refresh()
    assert [str(view.app) for view in catalog.views()] == [str(APP)]


def test_one_pointer_that_cannot_be_reached_leaves_everything_as_it_was() -> None:
    world = World({STABLE: state(STABLE, "1.0.0"), BETA: state(BETA, "2.0.0")})
    catalog = open_catalog(world)
    first = seen(catalog)
    world.states[BETA] = UnavailableError("away", "beta")
    world.states[STABLE] = state(STABLE, "3.0.0", 2)
    assert seen(catalog) is first


def test_an_app_that_was_never_read_is_not_served_and_makes_the_catalog_infinitely_old() -> None:
    catalog = open_catalog(World(is_away=True))
    catalog.refresh()
    assert catalog.view(str(APP)) is None
    assert catalog.serves(str(APP))
    assert not catalog.serves("com.example.App")
    assert catalog.age_s(NOON) == float("inf")


def test_changes_are_told_once() -> None:
    told: list[AppView] = []
    world = World({STABLE: state(STABLE, "1.0.0")})
    catalog = open_catalog(world, on_change=told.append)
    seen(catalog)
    seen(catalog)
    world.states[STABLE] = state(STABLE, "2.0.0", 2)
    seen(catalog)
    assert [list(view.releases) for view in told] == [["1.0.0"], ["2.0.0"]]
    assert catalog.views() == (told[-1],) or list(catalog.views()[0].releases) == ["2.0.0"]


def test_the_thread_reads_again_and_ends() -> None:
    world = World({STABLE: state(STABLE, "1.0.0")})
    changed: list[AppView] = []
    import threading

    two = threading.Event()

    def on_change(view: AppView) -> None:
        changed.append(view)
        if len(changed) == 1:
            world.states[STABLE] = state(STABLE, "2.0.0", 2)
        else:
            two.set()

    catalog = open_catalog(world, poll=timedelta(milliseconds=1), on_change=on_change)
    catalog.start()
    assert two.wait(20)
    catalog.stop()
    assert list(changed[1].releases) == ["2.0.0"]


def test_the_thread_survives_what_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    import threading

    world = World({STABLE: state(STABLE, "1.0.0")})
    again = threading.Event()
    catalog = open_catalog(
        world, poll=timedelta(milliseconds=1), on_change=lambda view: again.set() if "2.0.0" in view.releases else None
    )
    catalog.start()
    world.states[STABLE] = RuntimeError("a bug")
    while not any("reading the channels failed" in record.message for record in caplog.records):
        again.wait(0.001)
    world.states[STABLE] = state(STABLE, "2.0.0", 2)
    assert again.wait(20)
    catalog.stop()


def test_what_was_learned_is_known_at_once_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World({STABLE: state(STABLE, "1.0.0")})
    catalog = open_catalog(world)
    seen(catalog)
    catalog.add_known(str(APP), "1.1.0")
    view = catalog.view(str(APP))
    assert view is not None
    assert view.known == {"0.9.0", "1.0.0", "1.1.0"}
    assert seen(catalog).known == {"0.9.0", "1.0.0", "1.1.0"}
    read = world.read

    def learning(name: ChannelName) -> ChannelReading | None:
        catalog.add_known(str(APP), "1.2.0")
        return read(name)

    monkeypatch.setattr(world, "read", learning)
    assert "1.2.0" in seen(catalog).known
    assert "1.2.0" in seen(catalog).known


def test_a_store_that_lost_all_channels_at_once_is_one_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    time, world = Time(), World({STABLE: state(STABLE, "1.0.0")})
    catalog = open_catalog(world, time, max_stale=timedelta(minutes=10))
    first = seen(catalog)
    world.states.clear()
    time.at += timedelta(minutes=10)
    assert seen(catalog) is first
    assert any("no channel any more" in record.message for record in caplog.records)
    time.at += timedelta(seconds=1)
    assert seen(catalog).channels == {}
    assert catalog.age_s(time.at) == 601


def test_a_store_without_channels_is_said(caplog: pytest.LogCaptureFixture) -> None:
    catalog = open_catalog(World())
    assert seen(catalog).channels == {}
    assert seen(catalog).channels == {}
    assert len([record for record in caplog.records if "names none" in record.message]) == 1
