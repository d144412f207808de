"""Decide what a run is about: which rule, version, track, and how far it is already. Reads, never writes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta

from otagate.flow.workspace import Workspace
from otagate.model import Version, Weight
from otagate.plan.compute import Progress, Snapshot, publish_plan, ship_plan
from otagate.plan.steps import Plan
from otagate.policy.app import package_version
from otagate.policy.model.tracks import PhaseSpec, TrackSpec
from otagate.policy.resolve import Target, resolve
from otagate.policy.versioning import make_version
from otagate.release.repository import PublishedRelease
from otagate.rollout import machine, windows
from otagate.rollout.repository import Stored
from otagate.rollout.state import RolloutState, Stage


@dataclass(frozen=True, slots=True)
class Shipment:
    """What a run is about: decided before anything is touched.

    Attributes:
        target: The branch rule that matched, or None: nothing to do.
        version: What the release is called, or None with ``target``.
        track: The phases to go through, or None with ``target``. A rule that names a channel is a track of one phase
            without a soak.
        published: The release when it is in the store already, made from this very commit.
        taken: The release that has this version already, whatever it was made from.
        plan: All of it as steps.
    """

    target: Target | None
    version: Version | None
    track: TrackSpec | None
    published: PublishedRelease | None
    plan: Plan
    taken: PublishedRelease | None = None

    @property
    def rollout_id(self) -> str:
        """Name the rollout: a version is never reused, so starting it twice finds the first."""
        return f"{self.version}-{self.track.name}" if self.track else ""


def prepare(workspace: Workspace, *, version: Version | None = None) -> Shipment:
    """Decide what a run is about. Reads the store, writes nothing.

    Args:
        workspace: Where.
        version: Overrides the policy's ``versioning``.
    """
    target = resolve(workspace.policy, workspace.context)
    track = track_of(target)
    if track is None:
        return Shipment(None, None, None, None, ship_plan(workspace.policy, workspace.context, None, None, Snapshot()))
    name = version or version_of(workspace)
    taken = workspace.releases.get(name)
    published = _from_here(workspace, taken)
    own = workspace.rollouts.load(f"{name}-{track.name}")
    newer = Newer(name, track, supersedes=target is not None and target.rule.supersede)
    snapshot = _snapshot(workspace, own, newer, published)
    # A rollout that was started goes by the policy of then.
    frozen = own.state.spec if own is not None else None
    policy = replace(workspace.policy, gates=frozen.gates) if frozen else workspace.policy
    plan = ship_plan(policy, workspace.context, name, frozen.track if frozen else track, snapshot)
    return Shipment(target, name, track, published, plan, taken)


def prepare_upload(workspace: Workspace, *, version: Version | None = None) -> Shipment:
    """Decide what an upload is about: a version and whether it is published; no rule needs to match."""
    name = version or version_of(workspace)
    taken = workspace.releases.get(name)
    published = _from_here(workspace, taken)
    plan = publish_plan(workspace.policy, workspace.context, name, is_published=published is not None)
    return Shipment(None, name, None, published, plan, taken)


def track_of(target: Target | None) -> TrackSpec | None:
    """Give the track of a matched rule; a rule that names a channel moves it at once, without gates."""
    if target is None or target.track is not None:
        return target.track if target else None
    if target.channel is None:
        return None
    phase = PhaseSpec(str(target.channel), target.channel, (Weight(10_000),), timedelta(0), allow_short_soak=True)
    return TrackSpec(f"channel-{target.channel}", (phase,))


def version_of(workspace: Workspace) -> Version:
    """Make the version that the policy's ``versioning`` gives here."""
    return make_version(
        workspace.policy.versioning,
        context=workspace.context,
        package_version=package_version(workspace.policy.root),
        now=workspace.clock.now(),
    )


def _from_here(workspace: Workspace, published: PublishedRelease | None) -> PublishedRelease | None:
    """Give the release when it was published from this very commit; then nothing needs to be built again."""
    context = workspace.context
    same = published is not None and context.commit is not None and not context.is_dirty
    return published if same and published is not None and published.release.commit == context.commit else None


@dataclass(frozen=True, slots=True)
class Newer:
    """A rollout that is to start where another is.

    Attributes:
        version: What it ships.
        track: Along which track.
        supersedes: Whether its rule says `supersede`.
    """

    version: Version
    track: TrackSpec
    supersedes: bool


def _snapshot(workspace: Workspace, own: Stored | None, newer: Newer, published: PublishedRelease | None) -> Snapshot:
    holders: dict[str, str] = {}
    superseded = ""
    for phase in newer.track.phases:
        holder = workspace.rollouts.holder(phase.channel)
        if holder is not None and (own is None or holder.state.id != own.state.id) and not holder.state.is_terminal:
            holders[str(phase.channel)] = f"{holder.state.id} ({holder.state.stage.value})"
            if phase is newer.track.phases[0] and gives_room(workspace, holder.state, newer):
                superseded = holder.state.id
    rules = own.state.spec.windows if own is not None else workspace.policy.windows
    closed = windows.waits(rules, workspace.store_clock.now()) if rules.allow or rules.freezes else ""
    return Snapshot(published is not None, _progress(own), holders, superseded, closed)


def gives_room(workspace: Workspace, holder: RolloutState, newer: Newer) -> bool:
    """Tell whether a rollout ends when a newer one is to start where it is.

    So when it is paused; or when the newer one's rule has `supersede`; or when it ships along the same track and has come to
    nobody yet because weights may not rise: in a freeze, each commit would otherwise meet the one before it. The slower job of
    an earlier commit, whose version is lower, does not end it then.
    """
    if newer.supersedes or holder.stage is Stage.PAUSED:
        return True
    is_new = holder.stage is Stage.PENDING and not holder.exposed and holder.spec.track.name == newer.track.name
    is_lower = _numbers(newer.version) < _numbers(holder.release.version)
    return is_new and not is_lower and bool(machine.closed(holder, workspace.store_clock.now()))


def _numbers(version: Version) -> list[int]:
    """Give the three numbers of a version. What follows them, such as a commit, has no order of time."""
    return [int(number) for number in re.split("[-+]", str(version), maxsplit=1)[0].split(".")]


def _progress(own: Stored | None) -> Progress | None:
    if own is None:
        return None
    state = own.state
    return Progress(state.stage.value, state.phase, state.step, state.is_terminal, state.outcome or state.paused_by)
