"""Sealing a bundle, unless it was sealed before: then nothing needs to be sent, or a killed upload goes on where it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from otagate.flow.outbox import Outbox
from otagate.flow.workspace import Workspace
from otagate.model import Bundle, Sealed, Version
from otagate.policy.model.bundles import SealFormat
from otagate.release.bundles import note_release, release_of
from otagate.release.repository import PublishedRelease


@dataclass(frozen=True, slots=True)
class Material:
    """A sealed bundle, ready to publish.

    Attributes:
        sealed: What devices need to open it.
        file: The sealed bytes, or None when the store has them.
    """

    sealed: Sealed
    file: Path | None
    workspace: Workspace
    outbox: Outbox

    def published(self, release: PublishedRelease) -> None:
        """Say that it is published: nothing is kept here any longer, and the next one finds it in the store."""
        self.outbox.clear()
        if self.file is not None and release.release.sealed.format == SealFormat.CAPGO:
            note_release(self.workspace.store.documents, release)


def seal_once(workspace: Workspace, archive: Path, bundle: Bundle, version: Version, folder: Path) -> Material:
    """Seal the zip as the policy says, or find the seal that the same zip got before under the same key.

    Args:
        workspace: Where.
        archive: The clear zip.
        bundle: What it holds.
        version: What it is published under.
        folder: For the sealed file; the caller removes it.
    """
    outbox = Outbox(workspace.environ, workspace.policy.app, bundle)
    if workspace.policy.seal.format is not SealFormat.CAPGO:
        return Material(*_seal(workspace, archive, bundle, version, folder), workspace, outbox)
    before = _in_store(workspace, bundle)
    if before is not None:
        workspace.listener.note(f"the store has this bundle already, from {before.release.version}: nothing is sent")
        return Material(before.release.sealed, None, workspace, outbox)
    kept = outbox.find()
    if kept is not None and _serves(workspace, kept[0], bundle, (kept[1], folder)):
        workspace.listener.note("an earlier upload of this bundle did not end: it goes on")
        return Material(*kept, workspace, outbox)
    sealed, path = _seal(workspace, archive, bundle, version, folder)
    return Material(sealed, outbox.keep(sealed, path), workspace, outbox)


def _in_store(workspace: Workspace, bundle: Bundle) -> PublishedRelease | None:
    found = release_of(workspace.store.documents, workspace.releases, workspace.policy.app, bundle.archive)
    if found is None or not _serves(workspace, found.release.sealed, bundle, None):
        return None
    # Pruned, or lost: then it is sealed and sent anew.
    is_there = workspace.store.blobs.size(found.release.sealed.blob) == found.release.sealed.size
    return found if is_there else None


def _serves(workspace: Workspace, sealed: Sealed, bundle: Bundle, opened: tuple[Path, Path] | None) -> bool:
    from otagate.seal.again import serves_again  # noqa: PLC0415 - only who seals pays for it

    return serves_again(
        sealed,
        bundle,
        encryption_key=workspace.policy.seal.encryption_key,
        environ=workspace.environ,
        base=workspace.base,
        opened=opened,
    )


def _seal(workspace: Workspace, archive: Path, bundle: Bundle, version: Version, folder: Path) -> tuple[Sealed, Path]:
    from otagate.seal.dispatch import seal_bundle  # noqa: PLC0415 - likewise

    spec, target = workspace.policy.seal, folder / "sealed.bin"
    sealed = seal_bundle(
        archive,
        target,
        format=spec.format.value,
        encryption_key=spec.encryption_key,
        recipients=spec.recipients,
        bundle=bundle,
        app=workspace.policy.app,
        version=version,
        environ=workspace.environ,
        base=workspace.base,
    )
    return sealed, target
