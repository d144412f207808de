"""Mirrors in use cases: what waits for them, what never does, how they lag and come back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otagate.channel.copies import PointerGap
from otagate.errors import ConflictError, ExitCode, UnavailableError, VerificationError
from otagate.flow.actions import pause, promote, resume, rollback
from otagate.flow.mirror_lag import MirrorLag, ReleaseGap
from otagate.flow.refresh import due, refresh
from otagate.model import ChannelName, Digest, Version, Weight
from otagate.release.asking import MirrorUnavailableError
from otagate.rollout.state import Stage
from otagate.store.interface import Store
from otagate.store.memory import MemoryStore
from support.mirrored import Down, MirroredStore, MirroredWorld, contents, dangling, faulty, payload
from support.world import BAD, DAY, HOUR, phase, track

STABLE = ChannelName("stable")
FULL = Weight(10_000)
KEY = "apps/com.example.app/channels/stable.json"
ONE = track(phase("stable"))
SHORT = track(phase("internal"), phase("stable", 5, 100))


def ship(world: MirroredWorld, version: str) -> None:
    """Publish other files under a version and bring them to ``stable`` by hand."""
    write(world, version)
    here = world.process()
    publish(world, version)
    promote(here, STABLE, Version(version), FULL).carry_out()


def write(world: MirroredWorld, version: str) -> None:
    (world.folder / "dist" / "app.js").write_text(f"CapacitorUpdater.notifyAppReady() // {version}")


def publish(world: MirroredWorld, version: str) -> None:
    from otagate.flow.prepare import prepare_upload
    from otagate.flow.publish import publish as publish_

    here = world.process()
    publish_(here, prepare_upload(here, version=Version(version)), world.work)


def blob_of(world: MirroredWorld, version: str) -> Digest:
    published = world.process().releases.get(Version(version))
    assert published is not None
    return published.release.sealed.blob


def put_wrong(store: Store, digest: Digest, content: bytes) -> None:
    """Put other bytes in a blob's place, as who controls the bucket can."""
    store.blobs._bytes[digest] = content  # type: ignore[attr-defined]


def overwrite(store: Store, key: str, body: bytes) -> None:
    store.documents.delete(key)
    store.documents.create(key, body)


def body(store: Store, key: str = KEY) -> bytes:
    found = store.documents.read(key)
    assert found is not None
    return found.body


@pytest.fixture
def world(tmp_path: Path) -> MirroredWorld:
    return MirroredWorld(tmp_path, 2)


def test_every_store_ends_with_the_same_releases_and_pointers(world: MirroredWorld) -> None:
    for version in ("1.0.0", "1.1.0"):
        ship(world, version)
    first = contents(world.store)
    assert len(first["blobs"]) == 2
    assert [contents(mirror) for mirror in world.inner] == [first, first]
    assert world.warnings == []
    assert world.guard.faults == []
    assert world.guard.looks > 10
    assert [str(lag) for lag in world.process().mirrors.survey(everything=True, thorough=True)] == ["in step"] * 2


def test_a_mirror_that_cannot_be_reached_fails_the_publish_and_a_rerun_sends_only_what_is_missing(world: MirroredWorld) -> None:
    world.plans[1].is_down = True
    with pytest.raises(MirrorUnavailableError) as caught:
        publish(world, "1.0.0")
    assert caught.value.exit_code is ExitCode.UNAVAILABLE
    assert "memory:mirror-2" in str(caught.value)
    assert world.process().releases.get(Version("1.0.0")) is None
    world.plans[1].is_down = False
    world.plans[0].seen.clear()
    publish(world, "1.0.0")
    assert contents(world.inner[1]) == contents(world.store) == contents(world.inner[0])
    assert world.guard.looks == 4, "two blobs and two statements were written in mirrors, and nothing twice"


def test_a_release_whose_copy_was_cut_short_is_completed_by_the_next_run(world: MirroredWorld) -> None:
    publish(world, "1.0.0")
    mirror, key = world.inner[0], "apps/com.example.app/releases/1.0.0.json"
    mirror.documents.delete(key)
    mirror.blobs.delete(blob_of(world, "1.0.0"))
    publish(world, "1.0.0")
    assert contents(mirror) == contents(world.store)


def test_bytes_that_an_earlier_release_brought_are_brought_to_a_mirror_that_lacks_them(world: MirroredWorld) -> None:
    publish(world, "1.0.0")
    world.inner[0].blobs.delete(blob_of(world, "1.0.0"))
    publish(world, "1.1.0")  # the same files
    assert blob_of(world, "1.1.0") == blob_of(world, "1.0.0")
    assert contents(world.inner[0]) == contents(world.store)


@pytest.mark.parametrize("by_hand", [True, False])
def test_tampered_bytes_in_a_mirror_are_found_before_a_channel_moves_up_and_mirror_mends_them(
    tmp_path: Path, *, by_hand: bool
) -> None:
    world = MirroredWorld(tmp_path, 1, spec=ONE, gates=())
    publish(world, "1.0.0")
    digest = blob_of(world, "1.0.0")
    size = world.store.blobs.size(digest)
    put_wrong(world.inner[0], digest, b"x" * (size or 0))
    if by_hand:
        with pytest.raises(VerificationError, match="memory:mirror-1") as caught:
            promote(world.process(), STABLE, Version("1.0.0"), FULL).carry_out()
        assert "otagate mirror --version 1.0.0" in (caught.value.remedy or "")
    else:
        with pytest.raises(VerificationError, match="memory:mirror-1"):
            world.run("1.0.0")
        outcome = world.reconcile("1.0.0-production")
        assert outcome.state.stage is Stage.PAUSED
        assert "memory:mirror-1" in outcome.state.paused_by
    assert served_on(world) is None
    also, here = Version("1.0.0"), world.process()
    quick, thorough = here.mirrors.survey(also=also), here.mirrors.survey(also=also, thorough=True)
    assert quick[0].is_in_step, "sizes do not tell"
    assert not thorough[0].is_in_step
    here.mirrors.survey(also=also, thorough=True, mend=True)
    promote_or_resume(world, by_hand=by_hand)
    assert contents(world.inner[0]) == contents(world.store)
    assert world.guard.faults == []


def served_on(world: MirroredWorld, name: str = "stable") -> object:
    state = world.channel(name)
    return None if state is None else state.stable or state.candidate


def promote_or_resume(world: MirroredWorld, *, by_hand: bool) -> None:
    if by_hand:
        promote(world.process(), STABLE, Version("1.0.0"), FULL).carry_out()
        return
    resume(world.process(), None, {}, "mended").carry_out()
    state = world.channel("stable")
    assert state is not None
    assert state.candidate is not None


def test_a_rollback_needs_no_mirror_and_the_mirror_follows_when_it_is_back(world: MirroredWorld) -> None:
    for version in ("1.0.0", "1.1.0"):
        ship(world, version)
    world.plans[0].is_down = True
    rollback(world.process(), STABLE, None, "bad").carry_out()
    state = world.channel("stable")
    assert state is not None
    assert str(state.stable) == "1.0.0"
    assert [payload(body(mirror))["serial"] for mirror in world.inner] == [2, 3]
    assert len(world.warnings) == 1
    assert "memory:mirror-1" in world.warnings[0]
    assert "otagate mirror" in world.warnings[0]
    here = world.process()
    reading = here.channels.read(STABLE)
    assert reading is not None
    assert [str(lag) for lag in here.mirrors.glance([reading])] == [
        "not known: no answer, in the mirror memory:mirror-1",
        "in step",
    ]
    world.plans[0].is_down = False
    lags = here.mirrors.glance([reading])
    assert [str(lag) for lag in lags] == ["1 release and 1 channel behind", "in step"]
    assert lags[0].channels == (PointerGap(STABLE, here=3, there=2),)
    world.process().mirrors.follow_all()
    assert contents(world.inner[0]) == contents(world.store)
    assert world.guard.faults == []


def test_a_rollback_to_a_named_release_needs_no_mirror_either(world: MirroredWorld) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        ship(world, version)
    for plan in world.plans:
        plan.is_down = True
    rollback(world.process(), STABLE, "1.0.0", "bad").carry_out()
    assert str(served_on(world)) == "1.0.0"
    assert len(world.warnings) == 2


@pytest.mark.parametrize("verb", [pause, resume])
def test_pausing_and_resuming_need_no_mirror(world: MirroredWorld, verb: Any) -> None:
    ship(world, "1.0.0")
    arguments: tuple[Any, ...] = ({}, "because") if verb is resume else ("because",)
    if verb is resume:
        pause(world.process(), STABLE, "because").carry_out()
    for plan in world.plans:
        plan.is_down = True
    verb(world.process(), STABLE, *arguments).carry_out()
    state = world.channel("stable")
    assert state is not None
    assert state.paused is (verb is pause)


def test_a_rollback_of_several_channels_waits_for_a_silent_mirror_once_and_after_all_of_them_moved(tmp_path: Path) -> None:
    world = MirroredWorld(tmp_path, 1, spec=SHORT, gates=())
    world.run("1.0.0")
    world.clock.pass_(DAY)
    assert str(world.run("1.0.0").state.exposed[-1]) == "stable"
    world.plans[0].is_down = True
    world.plans[0].seen.clear()
    here = world.process()
    rollback(here, None, None, "bad").carry_out()
    assert {name: world.channel(name).stable for name in ("internal", "stable")} == {"internal": None, "stable": None}  # type: ignore[union-attr]
    assert len(world.plans[0].seen) == 1, "one question, then it is left alone"
    here.mirrors.follow([STABLE])
    assert len(world.plans[0].seen) == 1
    world.clock.pass_(HOUR)
    here.mirrors.follow([STABLE])
    assert len(world.plans[0].seen) == 2
    assert len(world.warnings) == 2


def test_a_rollback_to_a_release_that_the_mirror_lacks_brings_it_first(world: MirroredWorld) -> None:
    for version in ("1.0.0", "1.1.0"):
        ship(world, version)
    world.inner[0].blobs.delete(blob_of(world, "1.0.0"))
    rollback(world.process(), STABLE, None, "bad").carry_out()
    assert contents(world.inner[0]) == contents(world.store)
    assert world.guard.faults == []
    assert world.warnings == []


def test_a_step_up_waits_for_a_mirror_and_says_so(tmp_path: Path) -> None:
    world = MirroredWorld(tmp_path, 1, spec=SHORT, gates=())
    world.run("1.0.0")
    world.clock.pass_(DAY)
    world.plans[0].is_down = True
    outcome = world.reconcile()
    assert not outcome.changed
    assert "memory:mirror-1" in outcome.waiting_for
    assert world.channel("stable") is None
    world.plans[0].is_down = False
    world.inner[0].blobs.delete(blob_of(world, "1.0.0"))
    assert "lacks release 1.0.0" in world.reconcile().waiting_for
    world.process().mirrors.survey(mend=True)
    assert world.reconcile().changed
    assert world.channel("stable") is not None


def test_gates_roll_back_while_a_mirror_is_down(tmp_path: Path) -> None:
    world = MirroredWorld(tmp_path, 1, spec=SHORT)
    world.run("1.0.0")
    world.clock.pass_(DAY)
    world.plans[0].is_down = True
    world.devices.says.update(BAD)
    outcome = world.reconcile()
    assert outcome.state.stage is Stage.ROLLED_BACK
    internal = world.channel("internal")
    assert internal is not None
    assert internal.stable is None


def test_a_mirror_that_went_away_amid_a_step_pauses_the_rollout_so_that_gates_are_judged_on(tmp_path: Path) -> None:
    world = MirroredWorld(tmp_path, 1, spec=SHORT)
    world.run("1.0.0")
    world.clock.pass_(DAY)
    plan = world.plans[0]
    asked = len(plan.seen)
    before = plan.run

    def dies_at_the_read_back(name: str, operation):  # type: ignore[no-untyped-def]
        plan.is_down = plan.is_down or name == "blobs.open"
        return before(name, operation)

    plan.run = dies_at_the_read_back  # type: ignore[method-assign]
    with pytest.raises(MirrorUnavailableError):
        world.reconcile()
    assert len(plan.seen) > asked
    assert world.state().stage is Stage.ROLLING
    world.devices.says.update(BAD)
    outcome = world.reconcile()
    assert outcome.state.stage is Stage.ROLLED_BACK
    assert served_on(world) is None


def test_an_older_pointer_that_was_put_back_in_a_mirror_is_repaired(world: MirroredWorld) -> None:
    ship(world, "1.0.0")
    old = body(world.inner[0])
    ship(world, "1.1.0")
    overwrite(world.inner[0], KEY, old)
    world.inner[1].documents.delete(KEY)
    lags = world.process().mirrors.survey()
    assert [lag.channels[0].there for lag in lags] == [1, 0]
    assert [lag.problems for lag in lags] == [(), ()]
    world.process().mirrors.survey(mend=True)
    assert body(world.inner[0]) == body(world.inner[1]) == body(world.store)


def newer(world: MirroredWorld) -> bytes:
    """Give a pointer with a good signature and a higher serial than the first store's."""
    other = MirroredWorld(world.folder / "other")
    other.store = world.store.twin()
    ship(other, "9.0.0")
    ship(other, "9.1.0")
    return body(other.store)


def fork(world: MirroredWorld) -> bytes:
    """Give a pointer with a good signature, the same serial, and other words."""
    other = MirroredWorld(world.folder / "fork")
    ship(other, "9.0.0")
    return body(other.store)


def forged(world: MirroredWorld) -> bytes:
    value = json.loads(body(world.store))
    value["signatures"][0]["sig"] = "AAAA" + value["signatures"][0]["sig"][4:]
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("make", "there", "says"),
    [(newer, 3, "newer than the original"), (fork, 1, "says something else"), (forged, None, "find out who wrote it")],
)
def test_a_pointer_that_otagate_did_not_put_there_is_reported_and_left_alone(tmp_path: Path, make, there, says) -> None:  # type: ignore[no-untyped-def]
    world = MirroredWorld(tmp_path)
    ship(world, "1.0.0")
    planted = make(world)
    overwrite(world.inner[0], KEY, planted)
    for mend in (False, True):
        (lag,) = world.process().mirrors.survey(mend=mend)
        assert lag.exit_code is ExitCode.VERIFICATION
        assert lag.channels[0].there == there
        assert says in lag.problems[0]
        assert body(world.inner[0]) == planted
    world.process().mirrors.follow([STABLE])
    assert says in world.warnings[0]
    here = world.process()
    reading = here.channels.read(STABLE)
    assert reading is not None
    assert not here.mirrors.glance([reading])[0].is_in_step


def test_another_statement_in_a_mirror_is_a_verification_error_that_names_it(world: MirroredWorld) -> None:
    publish(world, "1.0.0")
    overwrite(world.inner[1], "apps/com.example.app/releases/1.0.0.json", b"{}")
    with pytest.raises(VerificationError, match="memory:mirror-2"):
        promote(world.process(), STABLE, Version("1.0.0"), FULL).carry_out()
    with pytest.raises(VerificationError, match="memory:mirror-2"):
        publish(world, "1.0.0")
    first, second = world.process().mirrors.survey(everything=True, mend=True)
    assert first.is_in_step
    assert "another statement" in second.problems[0]
    assert world.channel("stable") is None


def test_catching_up_restores_what_is_needed_and_with_all_what_the_first_store_has(world: MirroredWorld) -> None:
    for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0"):
        ship(world, version)
    mirror = world.inner[0]
    for version in ("1.0.0", "1.1.0", "1.2.0", "1.3.0"):
        mirror.blobs.delete(blob_of(world, version))
    world.store.blobs.delete(blob_of(world, "1.0.0"))  # pruned
    world.guard.faults.clear()
    here = world.process()
    assert [one.version for one in here.mirrors.survey()[0].releases] == ["1.3.0", "1.2.0"], (
        "what is served, and what was before"
    )
    here.mirrors.survey(mend=True)
    assert {blob.digest for blob in mirror.blobs.list()} == {blob_of(world, "1.3.0"), blob_of(world, "1.2.0")}
    here.mirrors.survey(everything=True, mend=True)
    assert blob_of(world, "1.1.0") in {blob.digest for blob in mirror.blobs.list()}
    assert here.mirrors.survey(everything=True)[0].is_in_step


def test_what_the_first_store_itself_lost_is_said_and_does_not_stop_the_rest(world: MirroredWorld) -> None:
    for version in ("1.0.0", "1.1.0"):
        ship(world, version)
    for store in (world.store, world.inner[0]):
        store.blobs.delete(blob_of(world, "1.0.0"))
        store.blobs.delete(blob_of(world, "1.1.0"))
    world.store.documents.delete("apps/com.example.app/releases/1.0.0.json")
    (first, second) = world.process().mirrors.survey(mend=True)
    assert {one.version for one in first.releases} == {"1.0.0", "1.1.0"}
    assert all("first store" in problem for problem in first.problems)
    assert {one.version for one in second.releases} == {"1.0.0"}
    assert first.exit_code is ExitCode.VERIFICATION


def test_a_mirror_that_does_not_answer_does_not_keep_others_from_catching_up(world: MirroredWorld) -> None:
    ship(world, "1.0.0")
    for mirror in world.inner:
        mirror.blobs.delete(blob_of(world, "1.0.0"))
        mirror.documents.delete(KEY)
    world.plans[0].is_down = True
    first, second = world.process().mirrors.survey(mend=True)
    assert first.exit_code is ExitCode.UNAVAILABLE
    assert "no answer" in str(first)
    assert second.exit_code is ExitCode.DONE
    assert not second.is_in_step, "what was found"
    assert contents(world.inner[1]) == contents(world.store)


def test_what_an_active_rollout_names_is_needed_before_any_channel_names_it(tmp_path: Path) -> None:
    world = MirroredWorld(tmp_path, 1, spec=ONE, gates=())
    publish(world, "1.0.0")
    digest = blob_of(world, "1.0.0")
    put_wrong(world.inner[0], digest, b"x" * (world.store.blobs.size(digest) or 0))
    assert world.process().mirrors.survey(thorough=True)[0].is_in_step
    with pytest.raises(VerificationError):
        world.run("1.0.0")
    assert world.process().mirrors.survey(thorough=True)[0].releases[0].version == "1.0.0"


def test_a_refreshed_pointer_is_copied(world: MirroredWorld) -> None:
    ship(world, "1.0.0")
    world.clock.pass_(20 * DAY)
    here = world.process()
    refresh(here, due(here))
    assert payload(body(world.inner[1]))["serial"] == 2
    assert body(world.inner[0]) == body(world.inner[1]) == body(world.store)


def test_pointers_stand_with_documents_in_another_store_and_copies_in_the_mirror_s_own(tmp_path: Path) -> None:
    world = MirroredWorld(tmp_path)
    bucket, documents = MemoryStore("bucket"), world.store
    store = Store(bucket.url, bucket.blobs, documents.documents, "", world.store.mirrors)
    world.store = store  # type: ignore[assignment]
    world.guard.stores = [store, *world.inner]
    ship(world, "1.0.0")
    assert list(bucket.documents.keys("apps/")) == []
    assert contents(world.inner[0]) == contents(store)
    assert dangling(store) == []


def test_without_mirrors_nothing_is_asked(tmp_path: Path) -> None:
    world = MirroredWorld(tmp_path, 0)
    ship(world, "1.0.0")
    down = Down(is_down=True)
    here = world.process(faulty(world.store, down))
    assert here.mirrors.survey(everything=True, mend=True) == ()
    assert here.mirrors.glance([]) == ()
    here.mirrors.follow([STABLE])
    here.mirrors.follow_all()
    ref = world.channel("stable").stable  # type: ignore[union-attr]
    assert ref is not None
    assert here.releases.lagging(ref) == ""
    assert down.seen == []


def test_status_reads_the_pointers_of_mirrors_and_nothing_else(world: MirroredWorld) -> None:
    ship(world, "1.0.0")
    here = world.process()
    reading = here.channels.read(STABLE)
    assert reading is not None
    world.plans[0].seen.clear()
    here.mirrors.glance([reading])
    assert world.plans[0].seen == [f"read {KEY}"]


def test_a_channel_that_moved_on_while_it_was_looked_at_is_not_called_wrong(world: MirroredWorld) -> None:
    ship(world, "1.0.0")
    here = world.process()
    reading = here.channels.read(STABLE)
    assert reading is not None
    ship(world, "1.1.0")
    assert all(lag.is_in_step for lag in here.mirrors.glance([reading]))


def test_a_copy_that_others_keep_changing_is_given_up(world: MirroredWorld) -> None:
    ship(world, "1.0.0")
    old = body(world.inner[0])
    ship(world, "1.1.0")
    overwrite(world.inner[0], KEY, old)
    documents = world.inner[0].documents
    adopt = documents.replace

    def undone(key: str, body: bytes, token: str) -> str:
        adopt(key, body, token)
        overwrite(world.inner[0], KEY, old)
        return token

    documents.replace = undone  # type: ignore[method-assign]
    (lag, _) = world.process().mirrors.survey(mend=True)
    assert isinstance(lag.error, ConflictError)
    assert lag.exit_code is ExitCode.CONFLICT


@pytest.mark.parametrize(
    ("lag", "says", "code"),
    [
        (MirrorLag("memory:m"), "in step", ExitCode.DONE),
        (MirrorLag("memory:m", (ReleaseGap("1.0.0", "no blob"),)), "1 release and 0 channels behind", ExitCode.DONE),
        (MirrorLag("memory:m", error=UnavailableError("no answer")), "not known: no answer", ExitCode.UNAVAILABLE),
        (
            MirrorLag("memory:m", (ReleaseGap("1.0.0", "x", "gone"),) * 2, (PointerGap(STABLE, 2, 1),)),
            "2 releases and 1 channel behind",
            ExitCode.VERIFICATION,
        ),
    ],
)
def test_what_is_said_of_a_mirror(lag: MirrorLag, says: str, code: ExitCode) -> None:
    assert str(lag) == says
    assert lag.exit_code is code
    assert replace(lag).is_in_step is (says == "in step")


def test_a_mirrored_store_is_what_it_says() -> None:
    assert MirroredStore(MemoryStore("a")).mirrors[0].url == "memory:a"
