"""The same release in every store: the sealed zip and the signed statement, byte for byte (docs/adr/0011-mirrors.md).

Each mirror is asked in a thread of its own, so that the slowest decides how long it takes, not the sum. An error names the
mirror that it came from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from otagate._fs import scratch_folder, translate
from otagate.errors import ConflictError, NotFoundError, VerificationError
from otagate.model import Digest, Sealed
from otagate.release.asking import Answer, SummedProgress, ask, raise_first
from otagate.release.sealed import check_sealed, compare, put_sealed
from otagate.store.interface import BlobStore, OnProgress, Store
from otagate.store.swap import swap

_CHUNK_BYTES = 1024 * 1024
_NO_BLOB = "no blob"


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a release has to stand in every store.

    Attributes:
        name: The release, for messages.
        version: Its version, for the remedy.
        key: Where its statement stands.
        envelope: The signed statement; None: look at the blob only.
        sealed: Names the blob.
    """

    name: str
    version: str
    key: str
    envelope: bytes | None
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Gap:
    """What a mirror lacks of a release; empty texts where it lacks nothing."""

    blob: str = ""
    """What is there instead of the blob: ``no blob``, or another size or digest."""
    statement: str = ""

    @property
    def is_open(self) -> bool:
        """Whether anything is missing."""
        return bool(self.blob or self.statement)

    def __str__(self) -> str:
        return " and ".join(part for part in (self.blob, self.statement) if part) or "nothing"


def put_everywhere(store: Store, sealed: Sealed, source: Path | None, on_progress: OnProgress | None = None) -> None:
    """Bring the blob to the store and all its mirrors at the same time, and read each copy back.

    Args:
        store: The first store, with its mirrors.
        sealed: Names the blob.
        source: The file; None when the first store has it from an earlier release: mirrors that lack it get it from there.
        on_progress: Hears of the bytes that are sent, over all stores together.

    Raises:
        VerificationError: As :func:`otagate.release.sealed.put_sealed`, of any store.
        NotFoundError: ``source`` is missing.
    """
    if source is None:
        # Whether the first store still has it is looked at last of all, directly before the statement.
        raise_first(complete(store, store.mirrors, Parts(str(sealed.blob), "", "", None, sealed)))
        return
    heard = SummedProgress(on_progress) if on_progress is not None else None
    _everywhere(store, lambda each: put_sealed(each.blobs, sealed, source, heard.of(each) if heard else None))


def check_everywhere(store: Store, parts: Parts) -> None:
    """Read the release back from every store the way devices get it.

    Raises:
        VerificationError: A store does not give back what was published; of a mirror also when the statement is missing.
        MirrorUnavailableError: A mirror does not answer.
    """

    def check(each: Store) -> None:
        if each is store:
            check_sealed(store.blobs, parts.sealed)
            return
        gap = look(each, parts, thorough=True)
        if gap.is_open:
            raise VerificationError(
                "the release does not stand whole",
                parts.name,
                expected=f"{parts.sealed.blob}, {parts.sealed.size} bytes, and the statement",
                found=str(gap),
                remedy=f"otagate mirror --version {parts.version} brings it there; then run the command again",
            )

    _everywhere(store, check)


def look(mirror: Store, parts: Parts, *, thorough: bool = False) -> Gap:
    """See what a mirror lacks of a release: with ``thorough`` by reading the blob, else by its size.

    Raises:
        VerificationError: Another statement stands under this version.
    """
    statement = ""
    if parts.envelope is not None:
        found = mirror.documents.read(parts.key)
        statement = "" if found is not None else "no statement"
        if found is not None and found.body != parts.envelope:
            raise _other_statement(parts, found.body)
    return Gap(_lacking_blob(mirror.blobs, parts.sealed, thorough=thorough), statement)


def describe_lag(mirrors: Sequence[Store], parts: Parts) -> str:
    """Say in a sentence why not every mirror can serve a release, going by sizes; "" when all can."""
    for answer in ask(mirrors, lambda mirror: look(mirror, parts)):
        if answer.error is not None:
            return answer.error.what
        if answer.value is not None and answer.value.is_open:
            return f"the mirror {answer.mirror.url} lacks {parts.name} ({answer.value}): otagate mirror"
    return ""


def complete(store: Store, mirrors: Sequence[Store], parts: Parts, *, thorough: bool = False) -> list[Answer[Gap]]:
    """Bring to these mirrors what they lack of a release, copied from the first store and verified on both sides.

    Killed anywhere it can be done again: what is there already is not sent.

    Returns:
        For each mirror what it lacked, or why it could not be completed.

    Raises:
        VerificationError: The first store itself does not give the blob back.
    """
    looks = ask(mirrors, lambda mirror: look(mirror, parts, thorough=thorough))
    gaps = {id(answer.mirror): answer.value for answer in looks if answer.value is not None and answer.value.is_open}
    if not gaps:
        return looks
    needs_blob = any(gap.blob for gap in gaps.values())
    with _fetched(store.blobs, parts.sealed) if needs_blob else nullcontext() as source:
        mended = ask(
            [mirror for mirror in mirrors if id(mirror) in gaps], lambda mirror: _mend(mirror, parts, gaps[id(mirror)], source)
        )
    done = {id(answer.mirror): answer for answer in mended}
    return [done.get(id(answer.mirror), answer) for answer in looks]


def _mend(mirror: Store, parts: Parts, gap: Gap, source: Path | None) -> Gap:
    if gap.blob and source is not None:
        if gap.blob != _NO_BLOB and compare(mirror.blobs, parts.sealed, direct=True) is not None:
            # Wrong bytes are as bad as none, and a blob of the right size would never be written over. Right ones that only a
            # CDN garbles stay, and the next line says so.
            mirror.blobs.delete(parts.sealed.blob)
        put_sealed(mirror.blobs, parts.sealed, source)
    if gap.statement and parts.envelope is not None:
        # The blob first: a statement never stands where its bytes are not.
        _copy_statement(mirror, parts, parts.envelope)
    return gap


def _copy_statement(mirror: Store, parts: Parts, envelope: bytes) -> None:
    try:
        swap(mirror.documents, parts.key, envelope, None)
    except ConflictError:
        found = mirror.documents.read(parts.key)
        if found is None:
            raise
        if found.body != envelope:
            raise _other_statement(parts, found.body) from None


def _lacking_blob(blobs: BlobStore, sealed: Sealed, *, thorough: bool) -> str:
    if thorough:
        return compare(blobs, sealed) or ""
    size = blobs.size(sealed.blob)
    if size is None:
        return _NO_BLOB
    return "" if size == sealed.size else f"{size} bytes"


@contextmanager
def _fetched(blobs: BlobStore, sealed: Sealed) -> Iterator[Path]:
    """Give a temporary file with the blob, verified; memory stays flat."""
    with scratch_folder() as folder:
        path, hasher, size = folder / "blob", hashlib.sha256(), 0
        try:
            with blobs.open(sealed.blob, direct=True) as stream, path.open("xb") as target:
                while size <= sealed.size and (chunk := stream.read(_CHUNK_BYTES)):
                    hasher.update(chunk)
                    size += len(chunk)
                    target.write(chunk)
        except NotFoundError as error:
            raise _not_given(blobs, sealed, _NO_BLOB) from error
        except OSError as error:
            raise translate(error, "cannot keep a copy of the bundle", path) from error
        digest = Digest(hasher.hexdigest())
        if (digest, size) != (sealed.blob, sealed.size):
            raise _not_given(blobs, sealed, f"{digest}, {size} bytes")
        yield path


def _everywhere(store: Store, action: Callable[[Store], None]) -> None:
    """Do it with the first store and its mirrors at the same time; an error of the first store counts first."""
    if not store.mirrors:
        action(store)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="store") as pool:
        first = pool.submit(action, store)
        mirrored = ask(store.mirrors, action)
        first.result()
    raise_first(mirrored)


def _other_statement(parts: Parts, found: bytes) -> VerificationError:
    return VerificationError(
        "another statement stands under this version",
        parts.name,
        expected=str(Digest.of(parts.envelope or b"")),
        found=str(Digest.of(found)),
        remedy=f"find out who wrote it; remove {parts.key} there, then: otagate mirror --version {parts.version}",
    )


def _not_given(blobs: BlobStore, sealed: Sealed, found: str) -> VerificationError:
    return VerificationError(
        "the bundle cannot be copied: the first store does not give back the bytes that were published",
        blobs.url(sealed.blob),
        expected=f"{sealed.blob}, {sealed.size} bytes",
        found=found,
        remedy="publish the app under a new version; until then serve another release: otagate rollback",
    )
