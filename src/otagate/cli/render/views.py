"""Rollouts, gates and channels as blocks for people and as JSON-ready data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from otagate._clock import to_text
from otagate._text import approval, harmless, span
from otagate.channel.interface import ChannelReading
from otagate.cli.render.blocks import Block, Facts, Line, Table, Tone
from otagate.cli.render.gates import evidence_view, gate_view
from otagate.gate.evidence import evidence
from otagate.gate.judge import GateResult
from otagate.gate.summary import overall
from otagate.model import ReleaseRef
from otagate.rollout.forward import TOO_FEW
from otagate.rollout.reconciler import Outcome
from otagate.rollout.replay import ReplayedLook
from otagate.rollout.state import RolloutState, Stage

_MOST_CHARS = 2000
_TONES = {
    Stage.COMPLETED: Tone.GOOD,
    Stage.ROLLED_BACK: Tone.BAD,
    Stage.PAUSED: Tone.WARN,
    Stage.AWAITING_APPROVAL: Tone.WARN,
}


def rollout_data(state: RolloutState) -> dict[str, Any]:
    """Give a rollout as JSON-ready data."""
    phase = state.current
    return {
        "id": state.id,
        "version": str(state.release.version),
        "statement": str(state.release.statement),
        "track": state.spec.track.name,
        "state": state.stage.value,
        "phase": phase.name if phase else None,
        "channel": str(phase.channel) if phase else None,
        "weight": str(state.weight),
        "entered_at": _text(state.entered_at),
        "not_before": _text(state.not_before),
        "paused_by": state.paused_by,
        "awaiting": state.awaiting,
        "outcome": state.outcome,
        "latched": {metric: note.reason for metric, note in state.latched.items()},
        "overrides": {metric: note.reason for metric, note in state.overrides.items() if metric in state.waived},
        "spec": str(state.spec.digest),
        "reached": [str(name) for name in state.exposed],
        "created_at": to_text(state.created_at),
        "last_reconcile_at": _text(state.last_reconcile_at),
    }


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """Give the outcome of a reconcile as JSON-ready data."""
    return {
        "rollout": rollout_data(outcome.state),
        "gates": [evidence(result) for result in outcome.results],
        "waiting_for": outcome.waiting_for,
        "next_look": _text(outcome.next_look),
    }


def outcome_view(outcome: Outcome) -> list[Block]:
    """Show where a rollout stands, on what evidence, and what comes next."""
    state = outcome.state
    view = rollout_view(state)
    if outcome.results:
        view += [*gate_view(outcome.results, outcome.waived), *evidence_view(outcome.results)]
    if outcome.waiting_for and not state.is_terminal and state.stage is not Stage.PAUSED:
        view.append(Line(f"waiting for {harmless(outcome.waiting_for, _MOST_CHARS)}"))
    if outcome.next_look is not None:
        view.append(Line(f"next look at {outcome.next_look:%Y-%m-%d %H:%M:%S} UTC", Tone.DIM))
    view += [Line(f"next: {hint}", Tone.DIM) for hint in [next_hint(state)] if hint]
    return view


def rollout_view(state: RolloutState) -> list[Block]:
    """Show a rollout."""
    phase, waived = state.current, {metric: note for metric, note in state.overrides.items() if metric in state.waived}
    pairs = [
        ("state", state.stage.value),
        ("track", state.spec.track.name),
        ("phase", f"{phase.name} ({state.phase + 1} of {len(state.spec.track.phases)})" if phase else ""),
        ("channel", str(phase.channel) + ("" if state.is_terminal else f" at {state.weight}") if phase else ""),
        ("soak ends", f"{state.not_before:%Y-%m-%d %H:%M:%S} UTC" if state.not_before and state.stage is Stage.SOAKING else ""),
        ("awaiting", f"approval of {approval(state.awaiting)}" if state.awaiting else ""),
        ("reason", state.paused_by),
        ("failed", ", ".join(state.latched)),
        ("waived", "; ".join(f"{metric}, by {note.actor or '?'}: {note.reason}" for metric, note in waived.items())),
        ("reconciled", f"{state.last_reconcile_at:%Y-%m-%d %H:%M:%S} UTC" if state.last_reconcile_at else ""),
        ("outcome", state.outcome),
    ]
    heading = Line(f"rollout of {state.release.version}: {state.stage.value}", _TONES.get(state.stage, Tone.PLAIN))
    # What people gave as their reasons must not forge a line, such as a command to the CI host.
    return [heading, Facts(tuple((name, harmless(value, _MOST_CHARS)) for name, value in pairs if value))]


def next_hint(state: RolloutState) -> str:
    """Say what a person can do next."""
    channel = f" --channel {state.held}" if state.current else ""
    match state.stage:
        case Stage.SOAKING | Stage.PENDING | Stage.ROLLING:
            return "`otagate reconcile` goes on when it may; let a schedule run it"
        case Stage.AWAITING_APPROVAL:
            return f"otagate approve{channel} --reason '…', then run or reconcile again"
        case Stage.PAUSED if state.latched:
            first = next(iter(state.latched))
            return f"publish a fix; or otagate rollback{channel}; or otagate resume{channel} --override {first} --reason '…'"
        case Stage.PAUSED if state.paused_by.startswith(TOO_FEW) and not state.paused_actor:
            waive = f"otagate resume{channel} --override METRIC --reason '…'"
            return f"{waive}, with an --override for each of them; or otagate rollback{channel}"
        case Stage.PAUSED:
            return f"otagate resume{channel}, or otagate rollback{channel}"
        case Stage.ROLLED_BACK:
            return "publish a fix under a new version; phones never take a failed version again"
        case Stage.ABORTED:
            channel = channel or " --channel NAME"
            return f"ship another commit; or this version by hand: otagate promote{channel} --release {state.release.version}"
        case _:
            return ""


def channel_data(reading: ChannelReading, now: datetime) -> dict[str, Any]:
    """Give a channel as JSON-ready data."""
    state = reading.state
    return {
        "channel": str(state.name),
        "serial": state.serial,
        "stable": _ref(state.stable),
        "candidate": {**(_ref(state.candidate.release) or {}), "weight": str(state.candidate.weight)}
        if state.candidate
        else None,
        "paused": state.paused,
        "previous": [_ref(ref) for ref in state.previous],
        "blocked": [str(version) for version in state.blocked],
        "issued": to_text(reading.issued),
        "expires": to_text(reading.expires),
        "expired": reading.expires <= now,
    }


def channel_rows(readings: Sequence[ChannelReading], now: datetime) -> Table:
    """Show channels in a table."""
    rows = tuple(
        (
            str(reading.state.name),
            str(reading.state.stable or "built-in"),
            f"{reading.state.candidate.release} at {reading.state.candidate.weight}" if reading.state.candidate else "-",
            "paused" if reading.state.paused else "open",
            ", ".join(map(str, reading.state.blocked)) or "-",
            "EXPIRED"
            if reading.expires <= now
            else f"in {span(reading.expires - now).partition('d')[0]}d"
            if (reading.expires - now).days
            else f"in {span(reading.expires - now)}",
        )
        for reading in readings
    )
    return Table(("channel", "stable", "candidate", "state", "rolled back", "expires"), rows)


def channel_view(reading: ChannelReading, now: datetime) -> list[Block]:
    """Show one channel."""
    return [channel_rows([reading], now)]


def last_look_data(look: ReplayedLook | None) -> dict[str, Any] | None:
    """Give what the gates said at a rollout's last look as JSON-ready data."""
    if look is None:
        return None
    return {"at": to_text(look.look.at), "look": look.judged_as.value, "gates": [evidence(result) for result in look.results]}


def last_look_view(look: ReplayedLook | None, waived: Collection[str]) -> list[Block]:
    """Show what the gates said at a rollout's last look; nothing when there was none."""
    if look is None:
        return []
    said = Line(f"its gates, at the look of {look.look.at:%Y-%m-%d %H:%M:%S} UTC:")
    return [said, *gate_view(look.results, waived), *evidence_view(look.results)]


def outputs(state: RolloutState, results: Sequence[GateResult] = (), waived: Collection[str] = ()) -> dict[str, str]:
    """Give the flat values for a CI job; the verdict is the one that ``gate eval`` gives for all gates."""
    phase = state.current
    return {
        "version": str(state.release.version),
        "release": str(state.release.statement),
        "state": state.stage.value,
        "channel": str(phase.channel) if phase else "",
        "weight": str(state.weight),
        "verdict": overall(results, waived).value if results else "",
    }


def _ref(ref: ReleaseRef | None) -> dict[str, str] | None:
    return {"version": str(ref.version), "statement": str(ref.statement)} if ref else None


def _text(instant: datetime | None) -> str | None:
    return to_text(instant) if instant else None
