"""The sealed zip of a release in the blob store: putting it there, and reading it back the way devices do."""

from __future__ import annotations

import hashlib
from pathlib import Path

from otagate.errors import NotFoundError, VerificationError
from otagate.model import Digest, Sealed
from otagate.store.interface import BlobStore, OnProgress

_CHUNK_BYTES = 1024 * 1024
_SEAL_AGAIN = "run the command again: it seals the bundle anew and stores it"


def put_sealed(blobs: BlobStore, sealed: Sealed, source: Path, on_progress: OnProgress | None = None) -> None:
    """Store the blob unless it is there, and read it back.

    Bytes that come back wrong are deleted: they are of no use to any device, and whoever runs the command again has the right
    ones. Only a holder of the right ones may do that, so :func:`check_sealed` does not.

    Raises:
        VerificationError: What the store gives back is not what was put there, or ``source`` is not what was announced.
        NotFoundError: ``source`` is missing.
    """
    size = blobs.size(sealed.blob)
    problem = None if size in {None, sealed.size} else f"{size} bytes"
    if problem is None:
        blobs.put(sealed.blob, source, on_progress=on_progress)
        problem = compare(blobs, sealed)
        if problem is not None and compare(blobs, sealed, direct=True) is None:
            raise _bad_public(blobs, sealed, problem)
    if problem is not None:
        blobs.delete(sealed.blob)
        raise _bad_blob(blobs, sealed, problem, "run the command again: the bad bytes were deleted, and it puts the right ones")


def check_there(blobs: BlobStore, sealed: Sealed, remedy: str = _SEAL_AGAIN) -> None:
    """Look whether the blob is there with the right size, without reading it: for bytes that were read back before.

    Raises:
        VerificationError: It is not there, or has another size.
    """
    found = blobs.size(sealed.blob)
    if found != sealed.size:
        problem = "no blob" if found is None else f"{found} bytes"
        raise _bad_blob(blobs, sealed, problem, remedy)


def check_sealed(blobs: BlobStore, sealed: Sealed) -> None:
    """Read the blob and compare size and digest.

    Raises:
        VerificationError: It is not there, or is not what the statement says.
    """
    problem = compare(blobs, sealed)
    if problem is not None:
        remedy = "publish the app under a new version; until then serve another release: otagate rollback"
        raise _bad_blob(blobs, sealed, problem, remedy)


def compare(blobs: BlobStore, sealed: Sealed, *, direct: bool = False) -> str | None:
    """Say what comes back instead of the right bytes, or None when it is right. Reads in pieces; memory stays flat.

    With ``direct`` the public address is passed by.
    """
    hasher, size = hashlib.sha256(), 0
    try:
        with blobs.open(sealed.blob, direct=direct) as stream:
            while size <= sealed.size and (chunk := stream.read(_CHUNK_BYTES)):
                hasher.update(chunk)
                size += len(chunk)
    except NotFoundError:
        return "no blob"
    if size > sealed.size:
        return f"more than {sealed.size} bytes"  # how many more is not read: it may never end
    digest = Digest(hasher.hexdigest())
    return None if (digest, size) == (sealed.blob, sealed.size) else f"{digest}, {size} bytes"


def _bad_blob(blobs: BlobStore, sealed: Sealed, found: str, remedy: str) -> VerificationError:
    return VerificationError(
        "the store does not give back the bytes that were published; no channel was moved",
        blobs.url(sealed.blob),
        expected=f"{sealed.blob}, {sealed.size} bytes",
        found=found,
        remedy=remedy,
    )


def _bad_public(blobs: BlobStore, sealed: Sealed, found: str) -> VerificationError:
    return VerificationError(
        "the store has the right bytes, and its public address gives others; no channel was moved",
        blobs.url(sealed.blob),
        expected=f"{sealed.blob}, {sealed.size} bytes",
        found=found,
        remedy="see whether a CDN changes or keeps what it serves (docs/cdn.md), then run the command again",
    )
