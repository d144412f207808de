"""The CDN in front of the store: told when a channel moved, and looked at until it shows it.

A channel is moved by the write to the store; what stands in front of it follows, and never holds a rollout or a rollback up.
When it does not follow, a verb by hand ends with that error, ``run`` and ``reconcile`` warn of it, and the next reconcile tries
again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from otagate._bucket_url import parse_storage_url
from otagate.errors import OtagateError, VerificationError
from otagate.flow.select import channel_names
from otagate.model import ChannelName, Digest
from otagate.policy.model.stores import CdnSpec
from otagate.store.keys import blob_key

if TYPE_CHECKING:
    from otagate.flow.workspace import Workspace
    from otagate.store.cdn import Cdn


class Edge:
    """The CDN of a workspace; without one nothing is asked and nothing costs.

    Attributes:
        problems: Channels that the CDN does not follow, with why; one that it followed later is not among them.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.problems: dict[ChannelName, OtagateError] = {}
        self._told: set[ChannelName] = set()

    def follow(self, names: Sequence[ChannelName], *, only_if_stale: bool = False) -> None:
        """Have the CDN follow channels that were moved. What fails is kept in :attr:`problems`; this never raises."""
        for name in names if self._workspace.policy.cdn else ():
            self._told.add(name)
            self.problems.pop(name, None)
            try:
                self._follow(name, only_if_stale=only_if_stale)
            except OtagateError as error:
                self.problems[name] = error

    def follow_all(self) -> None:
        """Have the CDN follow every channel that it does not show: what a reconcile does, so that it comes right by itself."""
        spec = self._workspace.policy.cdn
        if spec is not None and spec.pointers:
            # CDNs charge for being told: they are asked first.
            names = [name for name in channel_names(self._workspace) if name not in self._told]
            self.follow(names, only_if_stale=True)

    def settle(self) -> None:
        """Say at the end what did not follow.

        Raises:
            OtagateError: The first problem. What was to be done in the store is done.
        """
        for problem in self.problems.values():
            raise problem

    def warn(self) -> None:
        """Warn of everything that did not follow."""
        for problem in self.problems.values():
            self._workspace.listener.warn(str(problem))

    def deleted(self, digests: Sequence[Digest]) -> None:
        """Have the CDN forget blobs that were deleted, or that it gives wrongly; a failure is warned of."""
        if self._workspace.policy.cdn is None or not digests:
            return
        try:
            self._blobs.blobs_gone([blob_key(digest) for digest in digests])
        except OtagateError as error:
            self._workspace.listener.warn(str(error))

    def _follow(self, name: ChannelName, *, only_if_stale: bool) -> None:
        channels = self._workspace.channels_read_only
        signed = channels.signed(name)
        if signed is None:
            return

        def is_newer(body: bytes) -> bool:
            try:
                return channels.serial_of(name, body) > signed.reading.state.serial
            except VerificationError:
                return False

        key = channels.key(name)
        if only_if_stale and self._pointers.shows(key, signed.envelope, is_newer):
            return
        told = self._pointers.pointer_moved(key, signed.envelope, is_newer)
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
        spec = workspace.policy.cdn or CdnSpec()
        spec = spec if pointers else replace(spec, pointers=False)
        return open_cdn(spec, parse_storage_url(url), workspace.environ, workspace.base)
