"""Remove the bundles that nothing needs any more: announce, wait, look again, delete. docs/adr/0010-prune.md says why so.

Release statements, rollouts and the ledger stay: they are small, and the record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from otagate._text import span
from otagate.errors import OtagateError, UsageError
from otagate.flow.prune_clock import Stamp, refuse_slow_clock
from otagate.flow.prune_plan import Garbage, Request, Seen, make_plan
from otagate.flow.prune_references import Reader, References
from otagate.flow.publish import refuse_forks
from otagate.flow.select import channel_names
from otagate.flow.workspace import Workspace
from otagate.model import Digest, Version
from otagate.plan.steps import Plan
from otagate.release.announcing import Announcement, announce
from otagate.release.pruning import LIFE, MARGIN, MAX_CONDEMNED
from otagate.release.retention import kept, referenced, removable
from otagate.store.interface import Store
from otagate.store.probe_checks import PROBES

_LONGEST_WAIT = LIFE - MARGIN - timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was done.

    Attributes:
        removed: The blobs that are gone.
        spared: How many of the plan were needed again when it looked a second time.
        uploads: Unfinished uploads that were taken back.
        probes: Leftover documents of probes that were removed.
    """

    removed: tuple[Garbage, ...]
    spared: int
    uploads: int
    probes: int


@dataclass(frozen=True, slots=True)
class Pruning:
    """A plan, and what carries it out."""

    plan: Plan
    garbage: tuple[Garbage, ...]
    carry_out: Callable[[], Pruned]


def prune(workspace: Workspace, request: Request) -> Pruning:
    """Look at what nothing needs, and give the plan of removing it.

    Raises:
        UsageError: The wait is too long; this machine's clock is wrong; or it is a pull request from a fork.
        VerificationError: A document cannot be understood, or a named release has no statement.
    """
    refuse_forks(workspace)
    if not timedelta(0) <= request.wait <= _LONGEST_WAIT:
        raise UsageError(
            "this wait is not possible", "--wait", expected=f"0s to {span(_LONGEST_WAIT)}", found=span(request.wait)
        )
    run = _Run(workspace, request)
    seen, probes = run.look(), run.probes()
    garbage = seen.garbage[:MAX_CONDEMNED]
    return Pruning(make_plan(workspace, request, seen, probes), garbage, lambda: run.carry_out(garbage, probes))


class _Run:
    def __init__(self, workspace: Workspace, request: Request) -> None:
        self._workspace, self._request, self._clock = workspace, request, workspace.clock
        self._places: tuple[Store, ...] = (workspace.store, *workspace.store.mirrors)
        policy = workspace.policy
        names = channel_names(workspace)
        self._reader = Reader(self._places, policy.app, workspace.trusted, names, policy.keep.rollbacks, request.readers)

    def look(self, stamp: Stamp | None = None) -> Seen:
        """Find what may go. Blobs are listed before what names them is read: who publishes meanwhile is seen either way."""
        now = self._clock.now()
        listings = [list(place.blobs.list()) for place in self._places]
        references = self._reader.read()
        refuse_slow_clock(listings, references.newest, now)
        if stamp is not None:
            stamp.check(listings[0])
        uses = replace(references.uses, in_use=self._request.in_use)
        keep = kept(references.own, uses, self._workspace.policy.keep, now)
        needed = references.blobs | referenced(references.own, keep)
        going = removable(listings, needed, now - self._request.grace)
        return Seen(references, keep, self._garbage(references, going, stamp))

    def _garbage(
        self, references: References, going: dict[Digest, tuple[int, ...]], stamp: Stamp | None
    ) -> tuple[Garbage, ...]:
        versions: dict[Digest, list[Version]] = {}
        for known in sorted(references.own, key=lambda known: known.serial):
            versions.setdefault(known.blob, []).append(known.version)
        # Where documents are kept apart from the bundles, others may keep theirs elsewhere too: what is not known stays.
        takes_unknown = self._workspace.policy.documents is None
        return tuple(
            Garbage(digest, tuple(versions.get(digest, ())), sizes)
            for digest, sizes in going.items()
            if (digest in versions or takes_unknown) and (stamp is None or digest != stamp.digest)
        )

    def probes(self) -> list[str]:
        """List what probes left in the store of documents."""
        return list(self._workspace.store.documents.keys(PROBES))

    def carry_out(self, garbage: tuple[Garbage, ...], probes: Sequence[str]) -> Pruned:
        """Announce, wait, look again, delete."""
        before = self._clock.now() - self._request.grace
        uploads = sum(place.blobs.abort_unfinished(before) for place in self._places)
        if not garbage:
            return Pruned((), 0, uploads, self._remove_probes(probes))
        stamp = Stamp.put(self._workspace.store.blobs, self._clock.now())
        condemned = frozenset(item.digest for item in garbage)
        documents = [place.documents for place in self._places]
        who = self._workspace.actor
        announcement = announce(documents, condemned, who, self._clock.now, monotonic=self._request.monotonic)
        try:
            going = self._look_again(announcement, stamp, condemned)
        except (OtagateError, KeyboardInterrupt):
            announcement.withdraw()  # nothing was removed yet
            raise
        self._remove(going, announcement)
        # Only now: a removal without an answer may still come, and must find the announcement standing.
        announcement.withdraw()
        return Pruned(going, len(garbage) - len(going), uploads, self._remove_probes(probes, waited=True))

    def _look_again(self, announcement: Announcement, stamp: Stamp, condemned: frozenset[Digest]) -> tuple[Garbage, ...]:
        wait = self._request.wait
        if wait:
            self._workspace.listener.note(f"waiting for {span(wait)}, so that whoever needs one of them is seen")
            self._clock.sleep(wait.total_seconds())
        announcement.hold()
        seen = self.look(stamp)
        self._workspace.store.blobs.delete(stamp.digest)
        going = tuple(item for item in seen.garbage if item.digest in condemned)
        self._tell(going)
        return going

    def _tell(self, going: Sequence[Garbage]) -> None:
        """Record which releases cannot be served any more, before the first of their bundles goes."""
        versions = [str(version) for item in going for version in item.versions]
        if not versions:
            return
        event = Digest.of(" ".join(sorted(item.digest.hex for item in going)).encode())
        data = {
            "versions": ", ".join(versions),
            "bundles": str(len(going)),
            "bytes": str(sum(item.size for item in going)),
            "actor": self._workspace.actor,
        }
        self._workspace.ledger.append("release.pruned", f"pruned:{event.hex}", data, self._clock.now())

    def _remove(self, going: Sequence[Garbage], announcement: Announcement) -> None:
        gone: list[Digest] = []
        try:
            for item in going:
                announcement.hold()
                # The store last: while it has the blob, a prune that was killed here finds it again.
                for place, size in reversed(list(zip(self._places, item.sizes, strict=True))):
                    if size >= 0:
                        place.blobs.delete(item.digest)
                gone.append(item.digest)
                self._workspace.listener.progress("removing", len(gone), len(going))
        finally:
            self._workspace.edge.deleted(gone)

    def _remove_probes(self, probes: Sequence[str], *, waited: bool = False) -> int:
        """Remove what is still there after the wait: a probe that is going on takes seconds, and cleans up after itself."""
        if not probes:
            return 0
        if not waited:
            self._clock.sleep(self._request.wait.total_seconds())
        left = sorted(set(probes) & set(self.probes()))
        for key in left:
            self._workspace.store.documents.delete(key)
        return len(left)
