"""The CDN in front of the store: told when a channel moved, and looked at until it shows it.

A channel is moved by the write to the store; what stands in front of it follows, and never holds a rollout or a rollback up.
When it does not follow, a verb by hand ends with that error, ``run`` and ``reconcile`` warn of it, and the next reconcile tries
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from otagate._bucket_url import parse_storage_url
from otagate.errors import OtagateError, VerificationError
from otagate.flow.select import channel_names
from otagate.model import ChannelName, Digest
from otagate.store.interface import BlobStore, OnProgress, Store, StoredBlob
from otagate.store.keys import blob_key

if TYPE_CHECKING:
    from otagate.flow.workspace import Workspace
    from otagate.store.cdn import Cdn


class Edge:
    """The CDN of a workspace; without one nothing is asked and nothing costs.

    Attributes:
        problems: What did not follow, in order.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.problems: list[OtagateError] = []
        self._told: set[ChannelName] = set()

    def follow(self, names: Sequence[ChannelName]) -> None:
        """Have the CDN follow channels that were moved. What fails is kept in :attr:`problems`; this never raises."""
        for name in names if self._workspace.policy.cdn else ():
            self._told.add(name)
            try:
                self._follow(name)
            except OtagateError as error:
                self.problems.append(error)

    def follow_all(self) -> None:
        """Have the CDN follow every channel that it does not show: what a reconcile does, so that it comes right by itself."""
        spec = self._workspace.policy.cdn
        if spec is not None and spec.pointers:
            self.follow([name for name in channel_names(self._workspace) if name not in self._told])

    def settle(self) -> None:
        """Say at the end what did not follow.

        Raises:
            OtagateError: The first problem. What was to be done in the store is done.
        """
        if self.problems:
            raise self.problems[0]

    def warn(self) -> None:
        """Warn of everything that did not follow."""
        for problem in self.problems:
            self._workspace.listener.warn(str(problem))

    def watched(self, store: Store) -> Store:
        """Give the store as publishing uses it: a blob that is deleted because it is damaged leaves the CDN's cache, too."""
        if self._workspace.policy.cdn is None:
            return store
        return replace_blobs(store, lambda digest: self._blobs.blobs_gone([blob_key(digest)]))

    def deleted(self, digests: Sequence[Digest]) -> None:
        """Have the CDN forget blobs that were pruned; a failure is warned of, because nothing names them any more."""
        if self._workspace.policy.cdn is None or not digests:
            return
        try:
            self._blobs.blobs_gone([blob_key(digest) for digest in digests])
        except OtagateError as error:
            self._workspace.listener.warn(str(error))

    def _follow(self, name: ChannelName) -> None:
        channels = self._workspace.channels_read_only
        signed = channels.signed(name)
        if signed is None:
            return

        def is_newer(body: bytes) -> bool:
            try:
                return channels.serial_of(name, body) > signed.reading.state.serial
            except VerificationError:
                return False

        told = self._pointers.pointer_moved(channels.key(name), signed.envelope, is_newer)
        for one in told:
            self._workspace.listener.note(f"channel {name}: {one} was told")

    @cached_property
    def _pointers(self) -> Cdn:
        return self._open(self._workspace.policy.documents or self._workspace.policy.storage)

    @cached_property
    def _blobs(self) -> Cdn:
        return self._open(self._workspace.policy.storage, pointers=False)

    def _open(self, url: str, *, pointers: bool = True) -> Cdn:
        from otagate.store.cdn import open_cdn  # noqa: PLC0415 - only who has a CDN pays for it

        workspace = self._workspace
        if workspace.policy.cdn is None:
            raise AssertionError
        spec = workspace.policy.cdn if pointers else replace(workspace.policy.cdn, pointers=False)
        return open_cdn(spec, parse_storage_url(url), workspace.environ, workspace.base)


class _Watched:
    """Blobs whose deletion somebody hears of. See BlobStore."""

    def __init__(self, inner: BlobStore, on_deleted: Callable[[Digest], object]) -> None:
        self._inner = inner
        self._on_deleted = on_deleted

    def put(
        self,
        digest: Digest,
        source: Path,
        *,
        content_type: str = "application/octet-stream",
        on_progress: OnProgress | None = None,
    ) -> bool:
        """See BlobStore.put."""
        return self._inner.put(digest, source, content_type=content_type, on_progress=on_progress)

    def open(self, digest: Digest, start: int = 0) -> AbstractContextManager[BinaryIO]:
        """See BlobStore.open."""
        return self._inner.open(digest, start)

    def size(self, digest: Digest) -> int | None:
        """See BlobStore.size."""
        return self._inner.size(digest)

    def delete(self, digest: Digest) -> None:
        """See BlobStore.delete."""
        self._inner.delete(digest)
        self._on_deleted(digest)

    def url(self, digest: Digest) -> str:
        """See BlobStore.url."""
        return self._inner.url(digest)

    def signed_url(self, digest: Digest, lifetime: timedelta) -> str:
        """See BlobStore.signed_url."""
        return self._inner.signed_url(digest, lifetime)

    def list(self) -> Iterator[StoredBlob]:
        """See BlobStore.list."""
        return self._inner.list()

    def abort_unfinished(self, before: datetime) -> int:
        """See BlobStore.abort_unfinished."""
        return self._inner.abort_unfinished(before)


def replace_blobs(store: Store, on_deleted: Callable[[Digest], object]) -> Store:
    """Give the store with somebody told of each blob that is deleted."""
    return Store(store.url, _Watched(store.blobs, on_deleted), store.documents, store.where, store.mirrors)
