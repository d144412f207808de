"""The same files are sealed and sent once; what is found from before is never believed without the key."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otagate.flow.prepare import prepare_upload
from otagate.flow.publish import publish
from otagate.flow.workspace import Workspace
from otagate.model import Version
from otagate.policy.model.bundles import SealFormat, SealSpec
from otagate.release.repository import PublishedRelease
from support.keys import golden, key
from support.world import APP, World

CAPGO = SealSpec(SealFormat.CAPGO, encryption_key="env:ENCRYPTION", signing_key="env:SIGNING")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, seal=CAPGO)


def pem(name: str) -> str:
    return golden().private_pem if name == "another" else key(name)


def process(world: World, rsa: str, commit: str) -> Workspace:
    workspace = world.process(commit=commit)
    workspace.environ = {**workspace.environ, "ENCRYPTION": pem(rsa), "XDG_CACHE_HOME": str(world.folder / "cache")}
    return workspace


def upload(world: World, version: str, rsa: str = "rsa2048") -> PublishedRelease:
    # Each version comes from a commit of its own.
    workspace = process(world, rsa, version[0] * 40)
    shipment = prepare_upload(workspace, version=Version(version))
    folder = world.folder / version
    folder.mkdir()
    return publish(workspace, shipment, folder)


def blobs(world: World) -> set[str]:
    return {blob.digest.hex for blob in world.store.blobs.list()}


def outbox(world: World) -> list[Path]:
    return list((world.folder / "cache" / "otagate" / "outbox").glob("*"))


def test_the_same_files_under_a_new_version_are_not_sent_again(world: World) -> None:
    first = upload(world, "1.0.0")
    second = upload(world, "2.0.0")
    assert second.release.sealed == first.release.sealed
    assert second.release.serial > first.release.serial
    assert blobs(world) == {first.release.sealed.blob.hex}


def test_other_files_are_sealed_with_another_key(world: World) -> None:
    first = upload(world, "1.0.0")
    (world.folder / "dist" / "app.js").write_text("CapacitorUpdater.notifyAppReady() // changed")
    second = upload(world, "2.0.0")
    assert second.release.sealed.session_key != first.release.sealed.session_key
    assert len(blobs(world)) == 2


def test_a_new_encryption_key_seals_anew_and_is_found_by_the_next(world: World) -> None:
    first = upload(world, "1.0.0")
    second = upload(world, "2.0.0", "another")
    third = upload(world, "3.0.0", "another")
    assert second.release.sealed.blob != first.release.sealed.blob
    assert third.release.sealed == second.release.sealed


def test_what_was_pruned_is_sealed_anew(world: World) -> None:
    first = upload(world, "1.0.0")
    world.store.blobs.delete(first.release.sealed.blob)
    second = upload(world, "2.0.0")
    assert world.store.blobs.size(second.release.sealed.blob) == second.release.sealed.size


def damage_hint(world: World, change: Callable[[dict[str, object]], object]) -> None:
    [name] = world.store.documents.keys(f"apps/{APP}/bundles/")
    found = world.store.documents.read(name)
    assert found is not None
    told = json.loads(found.body)
    change(told)
    world.store.documents.replace(name, json.dumps(told, sort_keys=True, separators=(",", ":")).encode(), found.token)


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(version="9.9.9"),
        lambda told: told.update(version="../../x"),
        lambda told: told.update(version=None),
        lambda told: told.update(schema="other"),
        lambda told: told.update(revision=-1),
        dict.clear,
    ],
)
def test_a_note_that_does_not_hold_costs_an_upload_and_no_release(
    world: World, change: Callable[[dict[str, object]], object]
) -> None:
    first = upload(world, "1.0.0")
    damage_hint(world, change)
    second = upload(world, "2.0.0")
    assert second.release.sealed.blob != first.release.sealed.blob


def test_a_note_that_names_a_release_of_other_files_is_not_believed(world: World) -> None:
    upload(world, "1.0.0")
    (world.folder / "dist" / "app.js").write_text("CapacitorUpdater.notifyAppReady() // evil")
    evil = upload(world, "2.0.0")
    (world.folder / "dist" / "app.js").write_text("CapacitorUpdater.notifyAppReady()")
    for name in list(world.store.documents.keys(f"apps/{APP}/bundles/")):
        found = world.store.documents.read(name)
        assert found is not None
        told = {**json.loads(found.body), "version": "2.0.0"}
        world.store.documents.replace(name, json.dumps(told, sort_keys=True, separators=(",", ":")).encode(), found.token)
    third = upload(world, "3.0.0")
    assert third.release.sealed.blob != evil.release.sealed.blob
    assert third.release.bundle.archive != evil.release.bundle.archive


# --- a killed upload --------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def killed_upload(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:

        def dies(*_args: object, **_kwargs: object) -> bool:
            raise Killed

        patched.setattr(world.store.blobs, "put", dies)
        with pytest.raises(Killed):
            upload(world, "1.0.0")
    shutil.rmtree(world.folder / "1.0.0")


def kept(world: World) -> bytes:
    [folder] = outbox(world)
    return (folder / "sealed.bin").read_bytes()


def test_a_killed_upload_goes_on_with_the_same_bytes_and_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_upload(world, monkeypatch)
    before = kept(world)
    published = upload(world, "1.0.0")
    with world.store.blobs.open(published.release.sealed.blob) as stream:
        assert stream.read() == before
    assert outbox(world) == []


def cut(folder: Path) -> None:
    (folder / "sealed.bin").write_bytes((folder / "sealed.bin").read_bytes()[:-1])


def other_bytes(folder: Path) -> None:
    data = (folder / "sealed.bin").read_bytes()
    (folder / "sealed.bin").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def no_json(folder: Path) -> None:
    (folder / "sealed.json").write_text("[")


def other_json(folder: Path) -> None:
    (folder / "sealed.json").write_text('{"format": "capgo", "size": "x"}')


def forged_session_key(folder: Path) -> None:
    path = folder / "sealed.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({**told, "session_key": told["session_key"][:-8] + "AAAAAAA="}))


@pytest.mark.parametrize("damage", [cut, other_bytes, no_json, other_json, forged_session_key, shutil.rmtree])
def test_what_was_kept_and_does_not_hold_is_made_anew(
    world: World, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
) -> None:
    killed_upload(world, monkeypatch)
    before = kept(world)
    damage(outbox(world)[0])
    published = upload(world, "1.0.0")
    with world.store.blobs.open(published.release.sealed.blob) as stream:
        assert stream.read() != before


def test_bytes_of_another_bundle_under_this_ones_name_are_not_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    # Sealed with the right key and whole, but of other files: only opening it tells.
    (world.folder / "dist" / "app.js").write_text("CapacitorUpdater.notifyAppReady() // evil")
    killed_upload(world, monkeypatch)
    [evil] = outbox(world)
    kept_aside = evil.rename(world.folder / "evil")
    (world.folder / "dist" / "app.js").write_text("CapacitorUpdater.notifyAppReady()")
    killed_upload(world, monkeypatch)
    [good] = outbox(world)
    shutil.rmtree(good)
    kept_aside.rename(good)
    before = kept(world)
    published = upload(world, "1.0.0")
    with world.store.blobs.open(published.release.sealed.blob) as stream:
        assert stream.read() != before


def test_a_cache_that_cannot_be_written_only_means_beginning_anew(world: World) -> None:
    (world.folder / "cache").write_text("a file where the folder should be")
    assert upload(world, "1.0.0").release.sealed.format == "capgo"


def test_what_nobody_came_back_for_is_swept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_upload(world, monkeypatch)
    [old] = outbox(world)
    long_ago = time.time() - 8 * 86_400
    os.utime(old, (long_ago, long_ago))
    (world.folder / "dist" / "app.js").write_text("CapacitorUpdater.notifyAppReady() // changed")
    killed_upload(world, monkeypatch)
    assert old not in outbox(world)
    assert len(outbox(world)) == 1
