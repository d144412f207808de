"""Everything that names a bundle, in a store and its mirrors: read from scratch each time that prune looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from otagate._text import harmless
from otagate.errors import UsageError, VerificationError
from otagate.flow.prune_documents import (
    Found,
    Statement,
    documents_of,
    gone,
    read_channel,
    read_rollout,
    read_statement,
)
from otagate.model import AppId, ChannelName, ChannelState, Digest, Version
from otagate.release.retention import Known, Uses
from otagate.rollout.ledger_entry import LedgerEntry, parse
from otagate.rollout.state import RolloutState
from otagate.seal.trust import TrustedKeys
from otagate.store.interface import Store

_T = TypeVar("_T")
_R = TypeVar("_R")
READERS = 8
"""Documents read at once; each is a few kilobytes and a round trip."""
_PAGE = 64
_Names = dict[tuple[AppId, Version], str]


@dataclass(frozen=True, slots=True)
class References:
    """What was found.

    Attributes:
        own: The policy's own releases whose statements were verified, each once.
        uses: What keeps them, besides their number and age.
        blobs: What others name: other apps, and statements that no trusted key signed. It stays.
        apps: Every app of the stores.
        unverified: Versions of the own app whose statements no trusted key signed.
        newest: The latest instant that a release or a rollout tells.
    """

    own: tuple[Known, ...]
    uses: Uses
    blobs: frozenset[Digest]
    apps: frozenset[AppId]
    unverified: tuple[Version, ...]
    newest: datetime | None


@dataclass
class Reader:
    """Reads references.

    Attributes:
        places: The store, then its mirrors.
        own: The policy's app.
        trusted: The policy's keys.
        channels: The channels that the policy names; they are read even if a listing leaves them out.
        rollbacks: So many versions that each channel served are looked for in the ledger.
        readers: Documents read at once.
    """

    places: Sequence[Store]
    own: AppId
    trusted: TrustedKeys
    channels: Sequence[ChannelName]
    rollbacks: int
    readers: int = READERS
    _entries: dict[str, LedgerEntry] = field(default_factory=dict)
    """Entries never change, so a second look need not read them again."""

    def read(self) -> References:
        """Read everything.

        Raises:
            VerificationError: A document cannot be understood, or what a channel or rollout names is not there.
        """
        found = [one for place in self.places for one in documents_of(place)]
        found = list(dict.fromkeys([*found, *self._channels_of_the_policy()]))
        states = self._all(found, "channels", lambda one: read_channel(one, self.own, self.trusted))
        rollouts = [state for state in self._all(found, "rollouts", read_rollout) if not state.is_over]
        names = _names(states, rollouts)
        statements = self._statements(found, names)
        own = [one for one in statements if one.app == self.own]
        entries = [one for one in found if one.kind == "ledger" and one.app == self.own and one.place is self.places[0]]
        channels = [state for state in states if state.app == self.own]
        named = {version: by for (app, version), by in names.items() if app == self.own}
        for state in channels:
            if state.withdrawn is not None:
                named.setdefault(state.withdrawn, f"it was just rolled back on channel {state.name}")
        said = [one.release.created for one in statements] + [state.created_at for state in rollouts]
        return References(
            own=tuple({(one.digest, one.release.version): one.release for one in own if one.is_trusted}.values()),
            uses=Uses(named, self._served(entries, channels)),
            blobs=frozenset(one.release.blob for one in statements if not one.is_trusted),
            apps=frozenset(one.app for one in found),
            unverified=tuple(dict.fromkeys(one.release.version for one in own if not one.is_trusted)),
            newest=max(said, default=None),
        )

    def _channels_of_the_policy(self) -> list[Found]:
        return [Found(place, self.own, "channels", str(name)) for place in self.places for name in self.channels]

    def _all(self, found: Sequence[Found], kind: str, read: Callable[[Found], _R | None]) -> list[_R]:
        answers = self._map(read, [one for one in found if one.kind == kind])
        return [answer for answer in answers if answer is not None]

    def _map(self, read: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
        if self.readers == 1 or len(items) == 1:
            return [read(item) for item in items]
        with ThreadPoolExecutor(self.readers, thread_name_prefix="prune") as pool:
            return list(pool.map(read, items))

    def _statements(self, found: Sequence[Found], names: _Names) -> list[Statement]:
        """Read every statement, also those that a listing left out but a channel or rollout names."""
        read = self._all(found, "releases", lambda one: read_statement(one, self.own, self.trusted))
        there = {(one.app, one.release.version) for one in read}
        for (app, version), by in names.items():
            if (app, version) in there:
                continue
            asked = [Found(place, app, "releases", str(version)) for place in self.places]
            extra = [one for key in asked if (one := read_statement(key, self.own, self.trusted)) is not None]
            if not extra:
                raise gone(asked[0], by)
            read += extra
        return read

    def _served(self, entries: Sequence[Found], states: Sequence[ChannelState]) -> dict[str, list[Version]]:
        """Go back through the ledger until each channel's last releases were met; those that were rolled back do not count."""
        blocked = {str(state.name): set(state.blocked) for state in states}
        served: dict[str, list[Version]] = {name: [] for name in blocked}
        for entry in self._backwards(entries):
            if all(len(versions) >= self.rollbacks for versions in served.values()):
                break
            for channel, version in _serving(entry):
                if version not in blocked.get(channel, set()) and version not in served.setdefault(channel, []):
                    served[channel].append(version)
        return served

    def _backwards(self, entries: Sequence[Found]) -> Iterator[LedgerEntry]:
        ordered = sorted(entries, key=lambda one: one.name, reverse=True)
        for at in range(0, len(ordered), _PAGE):
            yield from self._map(self._entry, ordered[at : at + _PAGE])

    def _entry(self, found: Found) -> LedgerEntry:
        known = self._entries.get(found.key)
        if known is not None:
            return known
        document = found.place.documents.read(found.key)
        if document is None or not found.name.isdigit():
            raise VerificationError(
                "a ledger entry cannot be read, so nothing is removed: it tells what channels served",
                found.key,
                expected="an entry under a number",
                found="nothing" if document is None else "another name",
                remedy="see `otagate history`, and put it back from a backup",
            )
        entry = self._entries[found.key] = parse(document, int(found.name))
        return entry


def _names(states: Sequence[ChannelState], rollouts: Sequence[RolloutState]) -> _Names:
    """Give what devices may be sent to, with who says so; all of it must be there."""
    names: _Names = {}
    for state in states:
        served = [state.stable, state.candidate.release if state.candidate else None]
        for ref in served:
            if ref is not None:
                names.setdefault((state.app, ref.version), f"channel {state.name} serves it")
        for ref in state.previous:
            if ref is not None:
                names.setdefault((state.app, ref.version), f"channel {state.name} can go back to it")
    for rollout in rollouts:
        names.setdefault((rollout.app, rollout.release.version), f"rollout {rollout.id} is not over")
    return names


def _serving(entry: LedgerEntry) -> list[tuple[str, Version]]:
    """Tell which channel began to serve what, as far as an entry says so."""
    channel = entry.data.get("channel")
    name = {"channel.promoted": "version", "rollout.advanced": "version", "channel.rolled_back": "to"}.get(entry.kind)
    text = entry.data.get(name) if name else None
    if not isinstance(channel, str) or not isinstance(text, str) or not text[:1].isdigit():
        return []
    try:
        return [(channel, Version(text))]
    except UsageError as error:
        raise VerificationError(
            "a ledger entry cannot be understood, so nothing is removed",
            f"entry {entry.seq}",
            expected="a version",
            found=repr(harmless(text, 80)),
            remedy="see `otagate history`, and put it back from a backup",
        ) from error
