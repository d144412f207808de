"""Which releases are kept and which blobs go. Pure: everything that it decides on is an argument."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from otagate._text import span
from otagate.model import Digest, Version
from otagate.policy.model.stores import KeepSpec
from otagate.store.interface import StoredBlob


@dataclass(frozen=True, slots=True)
class Known:
    """A release whose statement was verified, as far as keeping it goes.

    Attributes:
        version: Its version.
        serial: Grows with every release of the app.
        created: When it was published.
        blob: The sealed zip that it names.
        size: Bytes of that.
    """

    version: Version
    serial: int
    created: datetime
    blob: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Uses:
    """What else keeps a release of the app.

    Attributes:
        named: Version to who names it: a channel's pointer, a rollout that is not over.
        served: Channel to the versions that it served, newest first, each once.
        in_use: Versions that devices run.
    """

    named: Mapping[Version, str]
    served: Mapping[str, Sequence[Version]]
    in_use: Collection[Version] = ()


def kept(releases: Collection[Known], uses: Uses, spec: KeepSpec, now: datetime) -> dict[Version, str]:
    """Give the versions that stay, each with the first reason for it; a release that is not in it may go.

    A release whose creation lies in the future stays: one of two clocks is wrong.
    """
    reasons: dict[Version, str] = dict(uses.named)
    for version in uses.in_use:
        reasons.setdefault(version, "devices run it")
    for channel, versions in uses.served.items():
        for version in versions[: spec.rollbacks]:
            reasons.setdefault(version, f"one of the last {spec.rollbacks} that channel {channel} served")
    for known in sorted(releases, key=lambda known: known.serial, reverse=True)[: spec.releases]:
        reasons.setdefault(known.version, f"one of the newest {spec.releases}")
    for known in releases:
        if now - known.created < spec.age:
            reasons.setdefault(known.version, f"younger than {span(spec.age)}")
    there = {known.version for known in releases}
    return {version: reason for version, reason in reasons.items() if version in there}


def referenced(releases: Iterable[Known], keep: Container[Version]) -> frozenset[Digest]:
    """Give the blobs that the kept ones of ``releases`` name."""
    return frozenset(known.blob for known in releases if known.version in keep)


def removable(
    listings: Sequence[Iterable[StoredBlob]], references: Container[Digest], before: datetime
) -> dict[Digest, tuple[int, ...]]:
    """Give the blobs that go.

    Args:
        listings: What stands in each store: the first one and its mirrors.
        references: What must stay.
        before: Only what was written before this instant goes, and only when that holds for each store that has it.

    Returns:
        Digest to its size in each store, in their order; -1 where a store does not have it. Oldest first.
    """
    sizes: dict[Digest, list[int]] = {}
    newest: dict[Digest, datetime] = {}
    for at, listing in enumerate(listings):
        for blob in listing:
            sizes.setdefault(blob.digest, [-1] * len(listings))[at] = blob.size
            newest[blob.digest] = max(blob.modified, newest.get(blob.digest, blob.modified))
    going = [digest for digest in sizes if digest not in references and newest[digest] < before]
    return {digest: tuple(sizes[digest]) for digest in sorted(going, key=lambda digest: (newest[digest], digest))}
