"""What prune plans, refuses, keeps of others, records and tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import UsageError, VerificationError
from otagate.flow import actions
from otagate.flow.workspace import Workspace
from otagate.model import AppId, ChannelName, Digest, Version
from otagate.policy.model.stores import KeepSpec
from otagate.store.interface import Store
from otagate.store.memory import MemoryStore
from support.prune_world import KEEP, DatedBlobs, PruneWorld, check_served
from support.world import APP, DAY, HOUR

OTHER = AppId("com.example.other")


@pytest.fixture
def world(tmp_path: Path) -> PruneWorld:
    return PruneWorld(tmp_path).fill()


def neighbour(world: PruneWorld) -> PruneWorld:
    """Give another app in the same store."""
    other = PruneWorld(world.folder / "other", app=OTHER)
    other.store, other.clock, other.dated = world.store, world.clock, world.dated
    return other


def versions(world: PruneWorld, **request: Any) -> list[str]:
    return [str(version) for item in world.plan(**request).garbage for version in item.versions]


def test_the_plan_names_every_bundle_with_size_and_reason_and_touches_nothing(world: PruneWorld) -> None:
    before = world.blobs()
    plan = world.plan().plan
    sizes = {blob.digest: blob.size for blob in world.store.blobs.list()}
    assert [step.title for step in plan.steps] == [f"remove {world.blob_of(version)}" for version in ("1.0.0", "2.0.0")]
    assert plan.steps[0].detail == f"1.0.0: {sizes[world.blob_of('1.0.0')]} B, no rule keeps the release"
    total = sum(sizes[world.blob_of(version)] for version in ("1.0.0", "2.0.0"))
    assert plan.goal == f"remove 2 bundles, {total} B"
    assert dict(plan.facts)["kept"] == "2 of 4 releases"
    assert world.blobs() == before
    assert world.store.documents.read("prune.json") is None


def test_exactly_the_plan_goes_and_is_recorded_before(world: PruneWorld) -> None:
    planned = {item.digest for item in world.plan().garbage}
    before = world.blobs()
    done = world.prune()
    assert {item.digest for item in done.removed} == planned == before - world.blobs()
    entry = world.ledger()[-1]
    assert (entry.kind, entry.data["versions"], entry.data["bundles"]) == ("release.pruned", "1.0.0, 2.0.0", "2")
    assert world.process().releases.get(Version("1.0.0")) is not None
    again = world.prune()
    assert (again.removed, again.spared) == ((), 0)
    assert world.plan().plan.has_work is False
    assert [one.kind for one in world.ledger()].count("release.pruned") == 1


def test_it_waits_before_it_looks_again_and_stamps_are_gone(world: PruneWorld) -> None:
    before = world.clock.now()
    world.prune(wait=timedelta(minutes=2))
    assert world.clock.now() - before == timedelta(minutes=2)
    assert world.blobs() == {world.blob_of("3.0.0"), world.blob_of("4.0.0")}


@pytest.mark.parametrize("wait", [timedelta(minutes=10), timedelta(seconds=-1)])
def test_a_wait_that_the_announcement_does_not_outlive_is_refused(wait: timedelta, world: PruneWorld) -> None:
    with pytest.raises(UsageError, match="this wait is not possible"):
        world.plan(wait=wait)


def test_a_pull_request_from_a_fork_removes_nothing(world: PruneWorld) -> None:
    with pytest.raises(UsageError, match="fork"):
        world.plan(world.process(is_fork=True))


def test_what_was_written_within_the_grace_stays(world: PruneWorld) -> None:
    assert versions(world, grace=3 * DAY) == []
    world.upload("5.0.0", "content 5")
    world.upload("6.0.0", "content 6")
    assert versions(world) == ["1.0.0", "2.0.0", "4.0.0"]


def test_what_devices_run_stays(world: PruneWorld) -> None:
    pruning = world.plan(in_use=frozenset({Version("2.0.0"), Version("9.9.9")}))
    assert [str(item.versions[0]) for item in pruning.garbage] == ["1.0.0"]
    assert pruning.plan.notes == ("devices run what was never published here: 9.9.9",)


def test_what_a_channel_can_go_back_to_stays_and_what_was_just_rolled_back(world: PruneWorld) -> None:
    world.promote("live", "1.0.0")
    assert versions(world) == ["2.0.0"]
    actions.rollback(world.process(), ChannelName("live"), None, "bad").carry_out()
    world.clock.pass_(DAY)
    assert versions(world) == ["2.0.0"]


@pytest.mark.parametrize(("rollbacks", "gone"), [(1, ["1.0.0"]), (2, [])])
def test_the_last_releases_of_a_channel_stay_as_the_ledger_tells(rollbacks: int, gone: list[str], tmp_path: Path) -> None:
    world = PruneWorld(tmp_path, keep=replace(KEEP, rollbacks=rollbacks)).fill()
    world.promote("live", "1.0.0")
    world.promote("live", "2.0.0")
    # The pointer forgets what is newer than 3.0.0, so only the ledger still knows that 1.0.0 was served.
    actions.rollback(world.process(), ChannelName("live"), "3.0.0", "look").carry_out()
    withdrawn = ["2.0.0"] if world.channel("live").withdrawn is None else []  # type: ignore[union-attr]
    assert versions(world) == gone + withdrawn
    check_served(world)


def test_a_rollout_that_is_not_over_keeps_its_release(world: PruneWorld) -> None:
    world.run("1.0.0")
    assert versions(world) == ["2.0.0"]
    assert "remove" in world.plan().plan.goal
    world.clock.pass_(2 * DAY)
    world.prune()
    check_served(world)


def test_releases_of_other_apps_stay_whatever_their_number_and_age(world: PruneWorld) -> None:
    other = neighbour(world)
    blobs = {other.upload(f"{number}.0.0", f"other {number}") for number in range(1, 4)}
    world.clock.pass_(90 * DAY)
    pruning = world.plan()
    assert blobs.isdisjoint(item.digest for item in pruning.garbage)
    assert dict(pruning.plan.facts)["other apps, kept whole"] == "com.example.other"


def test_a_bundle_that_another_app_shares_stays(world: PruneWorld) -> None:
    shared = neighbour(world).upload("1.0.0", "content 1")
    same = world.blob_of("1.0.0")
    world.clock.pass_(2 * DAY)
    assert (shared == same) == (same not in {item.digest for item in world.plan().garbage})


def test_a_release_that_no_trusted_key_signed_stays_and_is_told_of(world: PruneWorld) -> None:
    policy = replace(world.policy, trust=replace(world.policy.trust, keys=(_stranger(),)))
    here = Workspace(policy, world.context, {}, world.clock)
    here.store = world.store
    with pytest.raises(VerificationError, match="not signed by a trusted key"):
        world.plan(here)
    world.store.documents.delete(f"apps/{APP}/channels/live.json")
    pruning = world.plan(here)
    assert pruning.garbage == ()
    assert pruning.plan.notes == ("kept, because no trusted key signed them: 1.0.0, 2.0.0, 3.0.0, 4.0.0",)


def _stranger() -> str:
    from otagate.seal.trust import trust_line
    from support.published import signer

    return trust_line(signer("stranger").public_key())


def test_what_no_release_names_goes_after_the_grace(world: PruneWorld, tmp_path: Path) -> None:
    stray = tmp_path / "stray"
    stray.write_bytes(b"an upload that was killed")
    world.store.blobs.put(Digest.of(stray.read_bytes()), stray)
    assert Digest.of(stray.read_bytes()) not in {item.digest for item in world.plan().garbage}
    world.clock.pass_(HOUR + timedelta(seconds=1))
    found = {item.digest: item for item in world.plan().garbage}
    assert found[Digest.of(stray.read_bytes())].why == "no release names it"


def test_where_documents_are_kept_apart_only_what_is_known_goes(world: PruneWorld, tmp_path: Path) -> None:
    stray = tmp_path / "stray"
    stray.write_bytes(b"somebody else's, whose documents are elsewhere")
    world.store.blobs.put(Digest.of(stray.read_bytes()), stray)
    world.clock.pass_(2 * DAY)
    here = world.process()
    here.policy = replace(here.policy, documents="memory:elsewhere")
    pruning = world.plan(here)
    assert [str(item.versions[0]) for item in pruning.garbage] == ["1.0.0", "2.0.0"]
    assert "documents are kept apart" in pruning.plan.notes[0]


ODD = (
    ("releases/9.0.0.json", b"{}"),
    ("releases/9.0.0.json", b"not JSON"),
    ("channels/beta.json", b'{"payload":"e30=","payloadType":"application/vnd.otagate.channel+json","signatures":[]}'),
    ("rollouts/r.json", b"{}"),
    ("telemetry/devices.json", b"{}"),
    ("notes.txt", b"hello"),
    ("looks/1.0.0-production/last.json", b"{}"),
    ("looks/1.0.0-production/further/0000.json", b"{}"),
)


def test_looks_name_no_blob(world: PruneWorld) -> None:
    before = world.plan().garbage
    world.store.documents.create(f"apps/{APP}/looks/1.0.0-production/0000.json", b"whatever stands there")
    assert world.plan().garbage == before


ODD_LEDGER = (("ledger/0000000099.json", b"{}"), ("ledger/last.json", b"{}"))


@pytest.mark.parametrize(("app", "name", "body"), [(APP, *odd) for odd in (*ODD, *ODD_LEDGER)] + [(OTHER, *odd) for odd in ODD])
def test_a_document_that_cannot_be_understood_stops_it_and_is_named(
    app: AppId, name: str, body: bytes, world: PruneWorld
) -> None:
    world.store.documents.create(f"apps/{app}/{name}", body)
    before = world.blobs()
    with pytest.raises(VerificationError) as caught:
        world.prune()
    assert f"apps/{app}/{name}" in str(caught.value)
    assert world.blobs() == before


def test_an_app_id_that_is_none_stops_it(world: PruneWorld) -> None:
    world.store.documents.create("apps/shop/releases/1.0.0.json", b"{}")
    with pytest.raises(VerificationError, match=r"apps/shop/releases/1\.0\.0\.json"):
        world.plan()


@pytest.mark.parametrize("kind", ["releases", "channels"])
def test_a_document_that_was_put_under_another_name_stops_it(kind: str, world: PruneWorld) -> None:
    source, target = {"releases": ("1.0.0", "7.0.0"), "channels": ("live", "beta")}[kind]
    found = world.store.documents.read(f"apps/{APP}/{kind}/{source}.json")
    world.store.documents.create(f"apps/{APP}/{kind}/{target}.json", found.body if found else b"")
    with pytest.raises(VerificationError, match="cannot be understood"):
        world.plan()


def test_a_named_release_without_a_statement_stops_it(world: PruneWorld) -> None:
    world.store.documents.delete(f"apps/{APP}/releases/3.0.0.json")
    with pytest.raises(VerificationError, match="has no statement") as caught:
        world.plan()
    assert caught.value.found == "nothing, and channel live serves it"


def test_a_listing_that_leaves_out_a_named_release_does_not_lose_it(world: PruneWorld) -> None:
    class Forgetful:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def keys(self, prefix: str) -> Any:
            return (key for key in self.inner.keys(prefix) if "3.0.0" not in key)

    place = Store(world.store.url, world.store.blobs, Forgetful(world.store.documents))
    assert world.blob_of("3.0.0") not in {item.digest for item in world.plan(world.process(place)).garbage}


def test_a_clock_that_is_slow_is_refused(world: PruneWorld) -> None:
    world.upload("5.0.0", "content 5")
    world.clock.pass_(-timedelta(minutes=11))
    with pytest.raises(UsageError, match="this machine's clock and the store's disagree"):
        world.plan()


def test_a_clock_that_is_fast_is_refused_before_anything_goes(world: PruneWorld) -> None:
    before = world.blobs()
    pruning = world.plan()
    world.dated.ahead = -timedelta(minutes=20)
    with pytest.raises(UsageError, match="this machine's clock and the store's disagree"):
        pruning.carry_out()
    assert before <= world.blobs()
    world.dated.ahead = timedelta(0)
    world.clock.pass_(2 * HOUR)
    assert len(world.prune().removed) == 3  # with the stamp that was left


def test_a_listing_that_lacks_what_was_just_written_is_refused(world: PruneWorld) -> None:
    pruning = world.plan()
    known = world.blobs()
    inner_list = world.dated.list
    world.dated.list = lambda: (blob for blob in inner_list() if blob.digest in known)  # type: ignore[method-assign]
    with pytest.raises(UsageError, match="does not list what was just written"):
        pruning.carry_out()


def test_a_withdrawn_announcement_after_a_refusal_holds_nobody_up(world: PruneWorld) -> None:
    pruning = world.plan()
    world.store.documents.create(f"apps/{APP}/notes.txt", b"")
    with pytest.raises(VerificationError):
        pruning.carry_out()
    world.promote("live", "1.0.0")
    check_served(world)


def test_leftover_probe_documents_go_but_not_those_of_a_probe_that_is_going_on(world: PruneWorld) -> None:
    documents = world.store.documents
    documents.create("probe/a.json", b"{}")
    assert world.plan().plan.steps[-1].title == "remove 1 documents that probes of the store left"
    world.clock.meanwhile = lambda: documents.create("probe/b.json", b"{}")
    assert world.prune().probes == 1
    assert list(documents.keys("probe/")) == ["probe/b.json"]
    world.clock.meanwhile = lambda: documents.delete("probe/b.json")
    assert world.prune().probes == 0


def with_mirror(world: PruneWorld) -> Store:
    inner = MemoryStore("mirror")
    mirror = Store(inner.url, DatedBlobs(inner.blobs, world.clock), inner.documents)
    world.store = Store(world.store.url, world.store.blobs, world.store.documents, mirrors=(mirror,))  # type: ignore[assignment]
    return mirror


def test_mirrors_are_pruned_too_and_what_only_a_mirror_names_stays(tmp_path: Path) -> None:
    world = PruneWorld(tmp_path)
    mirror = with_mirror(world)
    world.fill()
    other = neighbour(world)
    other.store = Store("memory:mirror", mirror.blobs, mirror.documents)  # type: ignore[assignment]
    own = other.upload("1.0.0", "only there")
    world.clock.pass_(60 * DAY)
    done = world.prune()
    assert [item.sizes for item in done.removed] == [(size, size) for size, _ in (item.sizes for item in done.removed)]
    left = {blob.digest for blob in mirror.blobs.list()}
    assert left == {world.blob_of("3.0.0"), world.blob_of("4.0.0"), own}
    assert mirror.documents.read("prune.json") is not None
    check_served(world)


def test_several_readers_find_the_same(world: PruneWorld) -> None:
    assert versions(world, readers=8) == versions(world, readers=1) == ["1.0.0", "2.0.0"]


def test_a_run_removes_only_so_many_and_leaves_the_rest_to_the_next(world: PruneWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otagate.flow.prune.MAX_CONDEMNED", 1)
    monkeypatch.setattr("otagate.flow.prune_plan.MAX_CONDEMNED", 1)
    pruning = world.plan()
    assert pruning.plan.notes == ("1 more are left for the next run",)
    assert len(pruning.carry_out().removed) == 1
    assert versions(world) == ["2.0.0"]


def test_a_ledger_that_names_no_version_is_refused(world: PruneWorld) -> None:
    data = {"channel": "live", "version": "1.x"}
    world.process().ledger.append("channel.promoted", "odd", data, world.clock.now())
    here = world.process()
    here.policy = replace(here.policy, keep=KeepSpec(1, timedelta(milliseconds=1), 9, HOUR))
    with pytest.raises(VerificationError, match="a ledger entry cannot be understood"):
        world.plan(here)
