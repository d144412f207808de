"""What is asked of a prune, what it saw, and the plan that people read before anything goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from otagate._text import size as size_text
from otagate._text import span
from otagate.flow.prune_devices import Heard
from otagate.flow.prune_references import READERS, References
from otagate.flow.workspace import Workspace
from otagate.model import Digest, Version
from otagate.plan.steps import Plan, Step, StepKind
from otagate.release.pruning import DEFAULT_WAIT, MAX_CONDEMNED


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a prune.

    Attributes:
        grace: What was written within this time stays, whatever it is.
        in_use: Versions that devices run, from whatever knows it.
        heard: What telemetry said of that; its versions are in ``in_use`` too. None: it was not asked.
        wait: How long to wait between announcing and looking again. Shorter than the default only when nothing else works on
            the store.
        readers: Documents read at once.
        monotonic: A clock in seconds.
    """

    grace: timedelta
    in_use: frozenset[Version] = frozenset()
    heard: Heard | None = None
    wait: timedelta = DEFAULT_WAIT
    readers: int = READERS
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Garbage:
    """A blob that goes.

    Attributes:
        digest: Its name.
        versions: The releases that named it; none when nothing ever did.
        sizes: Its size in the store and in each mirror, in bytes; -1 where it is not.
    """

    digest: Digest
    versions: tuple[Version, ...]
    sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes in all stores together."""
        return sum(max(0, size) for size in self.sizes)

    @property
    def of(self) -> str:
        """The releases in front of what is said about it, or ""."""
        return f"{', '.join(map(str, self.versions))}: " if self.versions else ""

    @property
    def why(self) -> str:
        """Why it goes, in a few words."""
        return "no rule keeps the release" if self.versions else "no release names it"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found.

    Attributes:
        references: What names bundles.
        keep: The own releases that stay, each with the reason.
        garbage: The blobs that may go, oldest first.
    """

    references: References
    keep: Mapping[Version, str]
    garbage: tuple[Garbage, ...]


def make_plan(workspace: Workspace, request: Request, seen: Seen, probes: Sequence[str]) -> Plan:
    """Write the plan: every bundle that goes, with its size and why."""
    going = seen.garbage[:MAX_CONDEMNED]
    steps = tuple(
        Step(StepKind.PRUNE, f"remove {item.digest}", detail=f"{item.of}{size_text(item.size)}, {item.why}") for item in going
    )
    if probes:
        steps += (Step(StepKind.PRUNE, f"remove {len(probes)} documents that probes of the store left"),)
    total = sum(item.size for item in going)
    goal = f"remove {len(going)} bundles, {size_text(total)}" if going else "remove nothing: every bundle is needed or young"
    return Plan(goal, steps, _facts(workspace, request, seen), tuple(_notes(workspace, request, seen)))


def _facts(workspace: Workspace, request: Request, seen: Seen) -> tuple[tuple[str, str], ...]:
    keep, store = workspace.policy.keep, workspace.store
    others = sorted(str(app) for app in seen.references.apps if app != workspace.policy.app)
    facts = [
        ("app", str(workspace.policy.app)),
        ("store", ", ".join(place.url for place in (store, *store.mirrors))),
        ("kept", f"{len(seen.keep)} of {len(seen.references.own)} releases"),
        ("rules", f"newest {keep.releases}, younger than {span(keep.age)}, last {keep.rollbacks} of each channel"),
        ("grace", f"{span(request.grace)}; uploads that began before and never ended are taken back"),
    ]
    if request.heard is not None:
        facts.append(("devices", request.heard.fact))
    return (*facts, ("other apps, kept whole", ", ".join(others))) if others else tuple(facts)


def _notes(workspace: Workspace, request: Request, seen: Seen) -> list[str]:
    notes: list[str] = []
    unverified = seen.references.unverified
    if unverified:
        notes.append(f"kept, because no trusted key signed them: {_some([str(version) for version in unverified])}")
    if request.heard is not None and not request.heard.versions:
        notes.append(
            "telemetry knows of no device that runs a release: check `telemetry` in the policy if there should be some"
        )
    unknown = request.in_use - {known.version for known in seen.references.own} - set(unverified)
    if unknown:
        notes.append(f"devices run what was never published here: {_some(sorted(str(version) for version in unknown))}")
    if workspace.policy.documents is not None:
        notes.append("bundles that no release names stay: documents are kept apart, and others may use the same bundles")
    if len(seen.garbage) > MAX_CONDEMNED:
        notes.append(f"{len(seen.garbage) - MAX_CONDEMNED} more are left for the next run")
    return notes


def _some(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
