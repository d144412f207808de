"""Publish a release, move its channel, record both: killed at every single storage operation, and done again.

Every schedule must end in the same state, and after every crash what devices see must hold. The operations are counted, so
that a new call to the store is covered without anybody thinking of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from otagate.channel import transitions
from otagate.channel.hosted import HostedChannels
from otagate.errors import UnavailableError
from otagate.model import ChannelName, ReleaseRef, Version, Weight
from otagate.release.repository import Releases
from otagate.rollout.ledger import Ledger
from otagate.store.interface import Store
from support import buckets
from support.faulty import Crash, Fault, FaultyStore, Plan
from support.published import APP, NOW, make_release, signer, trusted, write_sealed
from support.stores import ADAPTERS

BETA = ChannelName("beta")
CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
STRIDE = 5
"""Of the pairs of crashes every fifth by fifth is gone through: all of them take a minute. Set it to 1 to do so."""
_runs = itertools.count(1)


def parts(store: Store) -> tuple[Releases, HostedChannels, Ledger]:
    channels = HostedChannels(store.documents, APP, signer(), trusted(), timedelta(days=30))
    return Releases(store, APP, trusted(), signer()), channels, Ledger(store.documents, APP)


def ship(store: Store, folder: Path, version: str) -> None:
    """Do what a run does. Each run seals anew, so that its sealed bytes and serial differ from those of the run before."""
    releases, channels, ledger = parts(store)
    content = b"zip of " + version.encode()
    run = next(_runs)
    sealed = write_sealed(folder, content, seal=b"seal %d|" % run)
    release = make_release(sealed, version=version, serial=releases.next_serial(), content=content)
    published = releases.publish(release, sealed, NOW)
    ledger.append("published", f"published:{version}", {"run": str(run)}, NOW)
    releases.read_back(releases.resolve(published.ref))
    for weight in (Weight.parse("25%"), Weight.parse("100%")):
        move(channels, published.ref, weight)
    settle(channels, published.ref)
    ledger.append("promoted", f"promoted:{version}", {"run": str(run)}, NOW)


def move(channels: HostedChannels, ref: ReleaseRef, weight: Weight) -> None:
    reading = channels.read(BETA)
    before = reading.state if reading else transitions.unborn(APP, BETA)
    after = transitions.offer(before, ref, weight, "5eed" * 8)
    if after is not before:
        channels.move(after, reading.token if reading else None, NOW)


def settle(channels: HostedChannels, ref: ReleaseRef) -> None:
    reading = channels.read(BETA)
    assert reading is not None
    after = transitions.settle(reading.state, ref)
    if after is not reading.state:
        channels.move(after, reading.token, NOW)


def check_what_devices_see(store: Store) -> None:
    """A channel never names a release that is not there whole and signed."""
    releases, channels, _ = parts(store)
    reading = channels.read(BETA)
    if reading is None:
        return
    state = reading.state
    for ref in (state.stable, state.candidate.release if state.candidate else None):
        if ref is not None:
            releases.read_back(releases.resolve(ref))


def final_state(store: Store) -> object:
    """What must be the same whatever happened on the way. Which run's seal stands is chance, so versions are compared."""
    check_what_devices_see(store)
    releases, channels, ledger = parts(store)
    reading = channels.read(BETA)
    assert reading is not None
    state = reading.state
    stable = releases.resolve(state.stable) if state.stable else None
    assert ledger.verify_chain().is_whole
    return (
        state.serial,
        stable.release.bundle.archive if stable else None,
        state.candidate,
        [str(ref) for ref in state.previous],
        [entry.id for entry in ledger.entries()],
        sorted(store.documents.keys(f"apps/{APP}/releases/")),
    )


def shipped_once(opener: Callable[[], Store], folder: Path) -> Store:
    store = opener()
    ship(store, folder, "1.0.0")
    return store


def expected_and_operations(opener: Callable[[], Store], folder: Path) -> tuple[object, list[str]]:
    store = shipped_once(opener, folder)
    plan = Plan()
    ship(FaultyStore(store, plan), folder, "1.1.0")
    return final_state(store), plan.seen


@pytest.mark.parametrize(
    ("adapter", "fault", "stride"),
    # What a crash looks like through the port is the same everywhere; the slower stores go through some of one kind.
    [("memory", fault, 1) for fault in Fault]
    + [(name, Fault.CRASH_AFTER, 3) for name in ("bucket in memory", "folder")]
    + [pytest.param(name, Fault.CRASH_AFTER, 11, marks=pytest.mark.integration) for name in sorted(buckets.ADAPTERS)],
)
def test_killed_at_any_operation_and_done_again_ends_the_same(tmp_path: Path, adapter: str, fault: Fault, stride: int) -> None:
    numbers = itertools.count()

    def fresh() -> Callable[[], Store]:
        return ADAPTERS[adapter](tmp_path / str(next(numbers)))

    expected, operations = expected_and_operations(fresh(), tmp_path)
    assert len(operations) >= 30, operations
    failed = 0
    points = range(0, len(operations), stride)
    for at in points:
        store = shipped_once(fresh(), tmp_path)
        try:
            ship(FaultyStore(store, Plan(at, fault)), tmp_path, "1.1.0")
        except (Crash, UnavailableError):
            failed += 1
            check_what_devices_see(store)
            ship(store, tmp_path, "1.1.0")
        assert final_state(store) == expected, operations[at]
    is_fatal = fault not in {Fault.DUPLICATE, Fault.LOST_ANSWER}
    assert failed == (len(points) if is_fatal else 0)
    print(f"{fault.value}: {len(operations)} operations, {failed} died and were done again")


def test_killed_again_while_doing_it_again_ends_the_same(tmp_path: Path) -> None:
    opener = ADAPTERS["memory"]
    expected, operations = expected_and_operations(opener(tmp_path), tmp_path)
    schedules = 0
    for at, first, second in itertools.product(range(0, len(operations), STRIDE), CRASHES, CRASHES):
        for again in itertools.count(at // STRIDE % STRIDE, STRIDE):
            store = shipped_once(opener(tmp_path), tmp_path)
            with pytest.raises(Crash):
                ship(FaultyStore(store, Plan(at, first)), tmp_path, "1.1.0")
            try:
                ship(FaultyStore(store, Plan(again, second)), tmp_path, "1.1.0")
            except Crash:
                schedules += 1
                check_what_devices_see(store)
                ship(store, tmp_path, "1.1.0")
            else:
                break
            assert final_state(store) == expected, (operations[at], again)
    assert schedules > 100
    print(f"{schedules} schedules of two crashes")


def test_killed_during_the_very_first_release_ends_the_same(tmp_path: Path) -> None:
    opener = ADAPTERS["memory"]
    expected = final_state(shipped_once(opener(tmp_path), tmp_path))
    plan = Plan()
    ship(FaultyStore(opener(tmp_path)(), plan), tmp_path, "1.0.0")
    for at, fault in itertools.product(range(len(plan.seen)), CRASHES):
        store = opener(tmp_path)()
        with pytest.raises(Crash):
            ship(FaultyStore(store, Plan(at, fault)), tmp_path, "1.0.0")
        check_what_devices_see(store)
        ship(store, tmp_path, "1.0.0")
        assert final_state(store) == expected, plan.seen[at]


def test_a_release_that_was_never_published_leaves_no_version(tmp_path: Path) -> None:
    releases, _, _ = parts(ADAPTERS["memory"](tmp_path)())
    assert releases.get(Version("1.1.0")) is None
