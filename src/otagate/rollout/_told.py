"""What a rollout queues for the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from otagate.rollout.state import Event, RolloutState


def told(state: RolloutState, kind: str, now: datetime, **data: str) -> RolloutState:
    """Queue a ledger entry. Its id is the rollout's own count, so that a repeated write is recognised.

    Every entry says where the rollout stands: phase, channel and weight.
    """
    number = state.told + 1
    phase = state.current
    where = {"phase": phase.name, "channel": str(phase.channel), "weight": str(state.weight)} if phase else {}
    said = {name: value for name, value in data.items() if value}
    about = {"rollout": state.id, "version": str(state.release.version)}
    event = Event(f"{state.id}#{number}", kind, now, {**about, **where, **said})
    return replace(state, told=number, events=(*state.events, event))
