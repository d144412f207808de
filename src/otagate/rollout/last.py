"""The last look at a rollout, judged once more by what the rollout remembers since. Pure."""

from __future__ import annotations

from dataclasses import replace

from otagate.gate.interface import Ask
from otagate.gate.judge import Look, Streak, count_gating, judge_all
from otagate.rollout import machine
from otagate.rollout.deeds import Deed
from otagate.rollout.kept import KeptLook
from otagate.rollout.memory import believable
from otagate.rollout.replay import ReplayedLook, questions, state_at
from otagate.rollout.state import RolloutState


def judged_alone(state: RolloutState, look: KeptLook) -> ReplayedLook:
    """Judge one look without those before it: a rollout of two weeks has hundreds, and what they left behind is remembered.

    The memory is that of after the look. So a gate ``at_age`` whose look it was says that it is not due, as at every later one.

    Args:
        state: As stored now.
        look: Its last.
    """
    then = state_at(state, look)
    known = {(kept.metric, kept.over, kept.ask) for kept in look.readings}
    planned = machine.look_of(then, look.at, look.kind) or Look(look.kind, look.entered_at, look.not_before)
    results = judge_all(
        tuple(gate for gate in then.gates if questions(gate) <= known),
        believable(state.totals, [kept.reading() for kept in look.readings]),
        look=planned,
        judgement=state.spec.judgement,
        gating_metrics=count_gating(state.spec.gates),
        now=look.at,
        streaks=_streaks_before(state, look),
    )
    return ReplayedLook(look, look.kind, results, None, Deed.WAIT, "")


def _streaks_before(state: RolloutState, look: KeptLook) -> dict[str, Streak]:
    counted = {kept.metric for kept in look.readings if kept.ask is Ask.VALUE and kept.value is not None}
    return {
        metric: replace(streak, count=streak.count - 1) if metric in counted else streak
        for metric, streak in state.streaks.items()
    }
