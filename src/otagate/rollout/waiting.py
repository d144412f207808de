"""What a rollout waits for, in words, and until when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from otagate._text import approval
from otagate.gate.judge import GateResult
from otagate.rollout.forward import is_let_pass
from otagate.rollout.machine import waits_for_window
from otagate.rollout.state import RolloutState, Stage


def reason_to_wait(state: RolloutState, results: Sequence[GateResult], held_by: str, now: datetime) -> str:
    """Say what a rollout waits for, or why it has ended, in a sentence; "" when it waits for nothing.

    Args:
        state: As decided.
        results: Its gates as judged.
        held_by: What else keeps it from going on, or "".
        now: The time.
    """
    if state.is_terminal:
        return state.outcome
    if state.stage is Stage.PAUSED:
        return state.paused_by
    if state.stage is Stage.AWAITING_APPROVAL:
        return f"an approval of {approval(state.awaiting)}"
    if state.not_before is not None and now < state.not_before:
        return f"the soak, until {state.not_before:%Y-%m-%d %H:%M:%S} UTC"
    if state.stage is Stage.ROLLING:
        return ""  # it takes a step: the gates were about the weight before
    held = [f"{one.metric}: {one.holding.reason}" for one in results if one.holds and not is_let_pass(state, one)]
    return held_by or "; ".join(held) or waits_for_window(state, now)


def next_look(state: RolloutState, now: datetime) -> datetime | None:
    """Give when looking again can make a difference; None when it is over or waits for a person."""
    if state.is_terminal or state.stage in {Stage.PAUSED, Stage.AWAITING_APPROVAL}:
        return None
    interim = now + state.spec.judgement.evaluate_every
    soak = state.not_before
    return min(interim, soak) if soak is not None and soak > now else interim
