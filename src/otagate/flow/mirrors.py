"""Mirrors: how far each is behind the first store, bringing it up, and letting it follow when a channel moves.

Decisions are made on the first store only (docs/adr/0011-mirrors.md). A channel that moves up waits until every mirror has the
release; anything else, a rollback above all, is done in the first store and followed by the mirrors as well as they can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from otagate.channel.copies import PointerGap, compare, copy
from otagate.channel.hosted import HostedChannels
from otagate.errors import NotFoundError, UnavailableError, VerificationError
from otagate.flow.acting import find_release
from otagate.flow.mirror_lag import Findings, MirrorLag, ReleaseGap, fallback, served
from otagate.flow.select import active_rollouts, channel_names
from otagate.model import ChannelName, ReleaseRef, Version
from otagate.release.asking import ask
from otagate.release.mirroring import complete, look
from otagate.store.interface import Store

if TYPE_CHECKING:
    from otagate.channel.interface import ChannelReading
    from otagate.flow.workspace import Workspace
    from otagate.release.repository import PublishedRelease

_SILENCE = timedelta(minutes=5)
"""For so long a mirror that did not answer is not asked again by the same process when channels move: a rollback of several
channels must not wait for it again and again."""


class Mirrors:
    """The mirrors of a workspace's store; without any, nothing is asked and nothing costs."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._silent: dict[int, datetime] = {}

    @property
    def stores(self) -> tuple[Store, ...]:
        """The mirrors, in the policy's order."""
        return self._workspace.store.mirrors

    def glance(self, readings: Sequence[ChannelReading]) -> tuple[MirrorLag, ...]:
        """Compare pointers alone: a release counts as behind when a channel names it here and none does there.

        Args:
            readings: The channels of the first store, as just read.
        """

        def one(mirror: Store) -> MirrorLag:
            there = self._channels(mirror)
            gaps = [self._glance(reading, there) for reading in readings]
            known = {ref for _, refs in gaps for ref in refs}
            lacking = {str(ref): ref for reading in readings for ref in served(reading.state) if ref not in known}
            return MirrorLag(
                mirror.url,
                tuple(ReleaseGap(version, "not served there yet") for version in lacking),
                tuple(gap for gap, _ in gaps if gap.is_open),
            )

        return tuple(answer.value or MirrorLag(answer.mirror.url, error=answer.error) for answer in ask(self.stores, one))

    def survey(
        self, *, also: Version | None = None, everything: bool = False, thorough: bool = False, mend: bool = False
    ) -> tuple[MirrorLag, ...]:
        """Give how far each mirror is behind: releases that a channel or an active rollout names, and pointers.

        Args:
            also: A further release that the mirrors should have.
            everything: Every release that the first store has, not only those that are named.
            thorough: Read the blobs instead of looking at their sizes.
            mend: Bring the mirrors up. What is told is what was found; what is left has a ``problem``, or is an ``error``.

        Raises:
            NotFoundError: ``also`` is not published.
        """
        if not self.stores:
            return ()
        states = {id(mirror): Findings(mirror) for mirror in self.stores}
        for published in self._releases(also, everything=everything):
            self._survey_release(published, states, thorough=thorough, mend=mend)
        live = [one.mirror for one in states.values() if one.error is None]
        names = channel_names(self._workspace)
        for answer in ask(live, lambda mirror: self._survey_pointers(mirror, names, states[id(mirror)], mend=mend)):
            states[id(answer.mirror)].error = answer.error
        return tuple(one.lag() for one in states.values())

    def follow(self, names: Sequence[ChannelName]) -> None:
        """Copy the pointers of channels that were moved. A mirror that fails is warned of and lags; this never raises."""
        now = self._workspace.clock.now()
        awake = [
            mirror
            for mirror in self.stores
            if now - self._silent.get(id(mirror), datetime.min.replace(tzinfo=now.tzinfo)) > _SILENCE
        ]
        for answer in ask(awake if names else (), lambda mirror: self._follow(mirror, names)):
            if isinstance(answer.error, UnavailableError):
                self._silent[id(answer.mirror)] = self._workspace.clock.now()
            texts = [f"{answer.error.what}: {answer.error.subject}"] if answer.error else answer.value or []
            for text in texts:
                self._workspace.listener.warn(f"the mirror {answer.mirror.url} lags behind: {text} (mend it: otagate mirror)")

    def follow_all(self) -> None:
        """Copy every pointer that lags: what a reconcile does, so that a mirror that was down comes back by itself."""
        if self.stores:
            self.follow(channel_names(self._workspace))

    def _follow(self, mirror: Store, names: Iterable[ChannelName]) -> list[str]:
        gaps = [self._copy(mirror, name) for name in names]
        return [f"channel {gap.channel}: {gap.problem}" for gap in gaps if gap.problem]

    def _copy(self, mirror: Store, name: ChannelName) -> PointerGap:
        """Copy one pointer; first whatever it names, so that it never names what the mirror does not have."""
        here = self._workspace.channels_read_only
        return copy(here, self._channels(mirror), name, lambda state: self._bring(mirror, served(state)))

    def _bring(self, mirror: Store, refs: Iterable[ReleaseRef]) -> None:
        releases = self._workspace.releases
        for ref in refs:
            for answer in complete(self._workspace.store, (mirror,), releases.parts(releases.resolve(ref))):
                if answer.error is not None:
                    raise answer.error

    def _survey_release(
        self, published: PublishedRelease | ReleaseGap, states: dict[int, Findings], *, thorough: bool, mend: bool
    ) -> None:
        live = [one for one in states.values() if one.error is None]
        if isinstance(published, ReleaseGap):
            for one in live:
                one.releases.append(published)
            return
        parts, version = self._workspace.releases.parts(published), str(published.ref)
        mirrors, problem = [one.mirror for one in live], ""
        try:
            if mend:
                answers = complete(self._workspace.store, mirrors, parts, thorough=thorough)
            else:
                answers = ask(mirrors, lambda mirror: look(mirror, parts, thorough=thorough))
        except VerificationError as error:
            problem = error.what  # it is the first store that cannot give it
            answers = ask(mirrors, lambda mirror: look(mirror, parts, thorough=thorough))
        for answer in answers:
            one = states[id(answer.mirror)]
            if isinstance(answer.error, VerificationError):
                one.releases.append(ReleaseGap(version, answer.error.found or "", answer.error.what))
            elif answer.error is not None:
                one.error = answer.error
            elif answer.value is not None and answer.value.is_open:
                one.releases.append(ReleaseGap(version, str(answer.value), problem))

    def _survey_pointers(self, mirror: Store, names: Sequence[ChannelName], found: Findings, *, mend: bool) -> None:
        here, there = self._workspace.channels_read_only, self._channels(mirror)
        for name in names:
            try:
                gap = self._copy(mirror, name) if mend else compare(here, there, name)
            except VerificationError as error:
                gap = PointerGap(name, 0, None, error.what)
            if gap.is_open:
                found.channels.append(gap)

    def _releases(self, also: Version | None, *, everything: bool) -> Iterable[PublishedRelease | ReleaseGap]:
        """Give the releases that mirrors should have, each once; one that the first store lacks as a gap that stays."""
        releases, named = self._workspace.releases, self._named()
        if also is not None:
            named[find_release(self._workspace, also).ref] = None
        for ref in named:
            try:
                yield releases.resolve(ref)
            except (NotFoundError, VerificationError) as error:
                yield ReleaseGap(str(ref), "all of it", f"{error.what}, in the first store")
        prefix = f"apps/{self._workspace.policy.app}/releases/"
        for key in self._workspace.store.documents.keys(prefix) if everything else ():
            published = releases.get(Version(key.removeprefix(prefix).removesuffix(".json")))
            # What was pruned from the first store is not wanted in a mirror either.
            if published is None or published.ref in named:
                continue
            if self._workspace.store.blobs.size(published.release.sealed.blob) is not None:
                yield published

    def _named(self) -> dict[ReleaseRef, None]:
        here, found = self._workspace.channels_read_only, dict[ReleaseRef, None]()
        for name in channel_names(self._workspace):
            reading = here.read(name)
            for ref in (*served(reading.state), *fallback(reading.state)) if reading else ():
                found[ref] = None
        for stored in active_rollouts(self._workspace):
            found[stored.state.release] = None
        return found

    def _channels(self, mirror: Store) -> HostedChannels:
        workspace = self._workspace
        ttl = workspace.policy.trust.pointer_ttl
        return HostedChannels(mirror.documents, workspace.policy.app, None, workspace.trusted, ttl)

    def _glance(self, reading: ChannelReading, there: HostedChannels) -> tuple[PointerGap, tuple[ReleaseRef, ...]]:
        state = reading.state
        try:
            copied = there.read(state.name)
        except VerificationError as error:
            return PointerGap(state.name, state.serial, None, error.what), ()
        serial = copied.state.serial if copied else 0
        if serial > state.serial:  # moved since it was read here, or something is wrong: look again
            return compare(self._workspace.channels_read_only, there, state.name), served(state)
        return PointerGap(state.name, state.serial, serial), served(copied.state) if copied else ()
