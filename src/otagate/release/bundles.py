"""Which release brought a bundle to the store: ``apps/<app>/bundles/<archive>.json``.

A seal has other bytes each time it is made, so the same files under a new version would be sent again. This note says which
version carried them before. It is a hint and nothing is believed of it: the release that it names is verified like any other,
and where the note is missing or wrong the bundle is sealed and sent anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from otagate.errors import ConflictError, UsageError, VerificationError
from otagate.model import AppId, Digest, Version
from otagate.store.interface import DocumentStore
from otagate.store.jsondoc import JsonDoc, read_json, write_json

if TYPE_CHECKING:
    from otagate.release.repository import PublishedRelease, Releases

SCHEMA = "otagate/bundle/v1"


def release_of(documents: DocumentStore, releases: Releases, app: AppId, archive: Digest) -> PublishedRelease | None:
    """Give the verified release that carried this clear zip before, or None."""
    try:
        noted = _read(documents, app, archive)
        version = Version(str(noted.body.get("version"))) if noted else None
        found = releases.get(version) if version else None
    except (VerificationError, UsageError):
        # A hint that does not hold costs an upload, and must not cost a release.
        return None
    return found if found is not None and found.release.bundle.archive == archive else None


def note_release(documents: DocumentStore, published: PublishedRelease) -> None:
    """Note that a release carries its bundle, unless another one is noted already whose seal is the same."""
    release = published.release
    try:
        noted = _read(documents, release.app, release.bundle.archive)
    except VerificationError:
        return
    body = {"version": str(release.version), "blob": str(release.sealed.blob)}
    if noted is not None and noted.body.get("blob") == body["blob"]:
        return
    try:
        write_json(documents, _key(release.app, release.bundle.archive), SCHEMA, body, noted)
    except ConflictError:
        # Somebody else published the same bundle meanwhile: their note is as good.
        return


def _read(documents: DocumentStore, app: AppId, archive: Digest) -> JsonDoc | None:
    return read_json(documents, _key(app, archive), SCHEMA)


def _key(app: AppId, archive: Digest) -> str:
    return f"apps/{app}/bundles/{archive.hex}.json"
