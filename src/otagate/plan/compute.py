"""Policy, context and what the store says, to a plan. Pure: asking the world is the caller's work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from otagate._bucket_url import place_of
from otagate._text import harmless, span
from otagate.gate.judge import is_gating
from otagate.model import Context, Version
from otagate.plan.steps import Plan, Status, Step, StepKind
from otagate.policy.model.bundles import SealFormat
from otagate.policy.model.gates import GateSpec
from otagate.policy.model.policy import Policy
from otagate.policy.model.tracks import PhaseSpec, TrackSpec

_FORK = "a pull request from a fork may plan, and may not publish"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a release's rollout is, as the plan needs it.

    Attributes:
        stage: The rollout's stage, such as ``soaking``.
        phase: Index of the phase in force, -1 before the first.
        step: Index of the weight in force.
        is_terminal: It has ended.
        reason: Why it is paused or ended, or "".
    """

    stage: str
    phase: int
    step: int
    is_terminal: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store said.

    Attributes:
        is_published: The version is in the store already.
        progress: This release's own rollout along the track, or None.
        holders: Channel to the other rollout that holds it, such as ``1.4.1-production (soaking)``.
        superseded: The rollout that this one would replace, or "": one that is paused, or any with `supersede` in the rule.
        closed: Why no weight may rise now, and until when, such as ``a window, from 2027-01-04 00:00 UTC on (frozen)``; or "".
    """

    is_published: bool = False
    progress: Progress | None = None
    holders: dict[str, str] | None = None
    superseded: str = ""
    closed: str = ""


def publish_plan(policy: Policy, context: Context, version: Version, *, is_published: bool) -> Plan:
    """Plan what ``upload`` does: everything up to the release in the store, and no channel."""
    steps = tuple(_making_steps(policy, version, Status.DONE if is_published else Status.TODO))
    refusal = _FORK if context.is_fork else ""
    return Plan(f"publish {version}", steps, _facts(policy, context, version, None), tuple(_notes(context)), refusal)


def ship_plan(policy: Policy, context: Context, version: Version | None, track: TrackSpec | None, snapshot: Snapshot) -> Plan:
    """Plan what ``run`` does.

    Args:
        policy: The policy.
        context: Where this runs.
        version: What the release would be called; None when no branch rule matches.
        track: The track to ship along; None when no branch rule matches.
        snapshot: What the store said.
    """
    facts = _facts(policy, context, version, track)
    if track is None or version is None:
        ref = harmless(context.ref) if context.ref else "this checkout (no branch, tag or pull request)"
        note = f"no rule of `branches` matches {ref}: nothing to do"
        return Plan("nothing to do", facts=facts, notes=(note,))
    steps = tuple(_steps(policy, version, track, snapshot))
    notes = (*_notes(context), *_gate_notes(policy, track), *_progress_notes(snapshot.progress))
    return Plan(f"ship {version} along track {track.name}", steps, facts, notes, _refusal(context, track, snapshot))


def _facts(policy: Policy, context: Context, version: Version | None, track: TrackSpec | None) -> tuple[tuple[str, str], ...]:
    commit = (context.commit or "none") + (" (work tree changed)" if context.is_dirty else "")
    pairs = [
        ("app", str(policy.app)),
        ("ref", harmless(context.ref or "none")),
        ("commit", commit),
        ("version", str(version) if version else ""),
        ("track", track.name if track else ""),
        ("store", place_of(policy.storage)),
        ("from", context.provider),
    ]
    return tuple((name, value) for name, value in pairs if value)


def _notes(context: Context) -> Iterator[str]:
    if context.is_dirty:
        yield "the work tree differs from the commit: the release will say so, and nobody can build it again from the commit"


def _gate_notes(policy: Policy, track: TrackSpec) -> Iterator[str]:
    if not policy.gates:
        if len(track.phases) > 1:
            yield "the policy has no gates: only time passes between phases"
        return
    blind = [phase.name for phase in track.phases if phase.soak and not _acting(policy.gates, phase)]
    if blind:
        yield f"no gate can stop it in {', '.join(blind)}: it goes on when the soak is over, whatever devices say"


def _progress_notes(progress: Progress | None) -> Iterator[str]:
    if progress is not None:
        yield f"its rollout is {progress.stage}" + (f": {progress.reason}" if progress.reason else "")


def _refusal(context: Context, track: TrackSpec, snapshot: Snapshot) -> str:
    if context.is_fork:
        return _FORK
    first = str(track.phases[0].channel)
    holder = (snapshot.holders or {}).get(first)
    if holder and snapshot.progress is None and not snapshot.superseded:
        return f"channel {first} is held by {holder}"
    return ""


def _why_superseded(snapshot: Snapshot, track: TrackSpec) -> str:
    holder = (snapshot.holders or {}).get(str(track.phases[0].channel), "")
    why = {"paused": "it is paused", "pending": "it has come to nobody yet"}
    return why.get(holder.rpartition("(")[2].rstrip(")"), "it is under way; this commit's rule has `supersede`")


def _steps(policy: Policy, version: Version, track: TrackSpec, snapshot: Snapshot) -> Iterator[Step]:
    yield from _making_steps(policy, version, Status.DONE if snapshot.is_published else Status.TODO)
    if snapshot.progress is None:
        if snapshot.superseded:
            yield Step(StepKind.SUPERSEDE, f"supersede {snapshot.superseded}", Status.TODO, _why_superseded(snapshot, track))
        yield Step(StepKind.START, f"start the rollout along {track.name}")
    yield from _phase_steps(policy, version, track, snapshot)


def _making_steps(policy: Policy, version: Version, made: Status) -> Iterator[Step]:
    output = policy.build.output or "the web directory"
    if policy.build.command:
        command = policy.build.command if isinstance(policy.build.command, str) else " ".join(policy.build.command)
        yield Step(StepKind.BUILD, f"run `{harmless(command)}`", made, f"in {policy.root.name}/")
    yield Step(StepKind.VET, f"vet {harmless(output)}", made, "index.html, notifyAppReady, no secrets, no unsafe names")
    yield Step(StepKind.BUNDLE, f"make the deterministic zip of {version}", made)
    yield Step(StepKind.SEAL, _seal_title(policy.seal.format), made, "encrypt, then sign the release statement")
    yield Step(StepKind.PUBLISH, f"publish {version}", made, "store the blob, read it back, then the signed statement")


def _seal_title(seal: SealFormat) -> str:
    return {
        SealFormat.CAPGO: "seal for the Capgo plugin (AES-128-CBC, RSA-2048)",
        SealFormat.AES_256_GCM: "seal with AES-256-GCM for the recipients",
        SealFormat.NONE: "no encryption: signed only",
    }[seal]


def _phase_steps(policy: Policy, version: Version, track: TrackSpec, snapshot: Snapshot) -> Iterator[Step]:
    progress = snapshot.progress
    at = (progress.phase, progress.step) if progress else (-1, -1)
    waits = False
    for index, phase in enumerate(track.phases):
        for number, weight in enumerate(phase.ramp):
            here = (index, number)
            status = _status(here, at, progress, waits=waits)
            if phase.approve and number == 0:
                yield Step(
                    StepKind.APPROVE, f"wait for an approval of phase {phase.name}", status, f"otagate approve {phase.name}"
                )
                waits = waits or status is not Status.DONE
                status = _status(here, at, progress, waits=waits)
            shut = snapshot.closed if status is Status.TODO and not phase.ignore_windows else ""
            waits, status, detail = (True, Status.LATER, f"waits for {shut}") if shut else (waits, status, "")
            yield Step(StepKind.ADVANCE, f"promote {phase.channel} to {version} at {weight}", status, detail)
            if phase.soak:
                over = _soak_status(here, at, progress)
                yield Step(StepKind.SOAK, f"watch for {span(phase.soak)}", over, _watched(policy.gates, phase))
                waits = waits or over is Status.LATER
    done = progress is not None and progress.stage == "completed"
    status = Status.DONE if done else _status((len(track.phases), 0), at, progress, waits=waits)
    yield Step(StepKind.COMPLETE, f"{version} becomes the stable release of {track.phases[-1].channel}", status)


def _status(here: tuple[int, int], at: tuple[int, int], progress: Progress | None, *, waits: bool) -> Status:
    if progress is not None and (here <= at or progress.stage == "completed"):
        return Status.DONE
    if progress is not None and (progress.is_terminal or progress.stage == "paused"):
        return Status.REFUSED if progress.is_terminal else Status.LATER
    return Status.LATER if waits else Status.TODO


def _soak_status(here: tuple[int, int], at: tuple[int, int], progress: Progress | None) -> Status:
    if progress is not None and (here < at or progress.stage == "completed"):
        return Status.DONE
    return Status.REFUSED if progress is not None and progress.is_terminal else Status.LATER


def _watched(gates: tuple[GateSpec, ...], phase: PhaseSpec) -> str:
    names = [gate.metric for gate in gates if gate.counts_in(phase) and not gate.dry_run]
    return ("gates: " + ", ".join(names)) if names else "no gates"


def _acting(gates: tuple[GateSpec, ...], phase: PhaseSpec) -> list[GateSpec]:
    """List the gates that may stop a rollout in a phase."""
    return [gate for gate in gates if gate.counts_in(phase) and is_gating(gate)]
