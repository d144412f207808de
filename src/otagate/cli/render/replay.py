"""A rollout that was judged again, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from otagate._clock import to_text
from otagate.cli.render.blocks import Block, Facts, Line, Table, Tone
from otagate.cli.render.gates import evidence_view, gate_view
from otagate.cli.render.views import last_look_data
from otagate.gate.judge import GateResult, LookKind, Verdict
from otagate.rollout.deeds import Deed
from otagate.rollout.replay import Replay, ReplayedLook
from otagate.rollout.state import RolloutState

_PAST = {
    Deed.WAIT: "waited",
    Deed.GO_ON: "went on",
    Deed.ASK: "asked for approval",
    Deed.PAUSE: "paused",
    Deed.ROLL_BACK: "was rolled back",
    Deed.COMPLETE: "completed",
}


def replay_data(state: RolloutState, replay: Replay) -> dict[str, Any]:
    """Give the JSON ``otagate/gate-replay/v1``."""
    difference, stop = replay.first_difference, replay.first_stop
    return {
        "rollout": state.id,
        "release": str(state.release.version),
        "state": state.stage.value,
        "same": difference is None,
        "first_difference": None if difference is None else _look_data(state, difference),
        "first_stop": None if stop is None else _look_data(state, stop),
        "lacking": list(replay.lacking),
        "evidence": last_look_data(_telling_most(replay)),
        "looks": [{**_look_data(state, look), "gates": [_gate_data(one) for one in look.results]} for look in replay.looks],
    }


def replay_view(state: RolloutState, replay: Replay) -> list[Block]:
    """Show what the policy would have done first, beside what happened; looks at which nothing changed are left out."""
    difference = replay.first_difference
    tone = Tone.GOOD if difference is None else Tone.WARN
    left_out = [("not measured then, left out", ", ".join(replay.lacking))] if replay.lacking else []
    facts = (("rollout", state.id), ("looks", str(len(replay.looks))), *left_out)
    rows = tuple(_row(state, look) for look in _telling(replay.looks))
    table = Table(("at", "phase", "weight", "look", "this policy would", "what happened", "gates"), rows)
    view: list[Block] = [Line(_headline(state, difference), tone), Facts(tuple(facts)), table]
    most = _telling_most(replay)
    if most is None:
        return view
    waived = {metric for metric, note in state.overrides.items() if note.at <= most.look.at}
    said = Line(f"the gates of this policy, at the look of {most.look.at:%Y-%m-%d %H:%M} UTC:")
    return [*view, said, *gate_view(most.results, waived), *evidence_view(most.results)]


def _telling_most(replay: Replay) -> ReplayedLook | None:
    """Give the look whose evidence is shown: where the two part, else where both stop, else the last."""
    return replay.first_difference or replay.first_stop or (replay.looks[-1] if replay.looks else None)


def _headline(state: RolloutState, difference: ReplayedLook | None) -> str:
    if difference is None:
        return "this policy would have done the same"
    would = difference.would.value if difference.would else ""
    why = f": {difference.reason}" if difference.reason else ""
    held = [result.metric for result in difference.results if result.holds]
    if difference.would is Deed.WAIT and held:
        # Many gates wait, each with a reason of its own; these stand below.
        would, why = f"wait for {', '.join(held)}", ""
    where = f"{difference.look.at:%Y-%m-%d %H:%M} UTC, {_phase(state, difference)} at {difference.look.weight}"
    return f"at {where}, this policy would {would}; the rollout {_PAST.get(difference.did, difference.did.value)}{why}"


def _telling(looks: Sequence[ReplayedLook]) -> Iterator[ReplayedLook]:
    before = None
    for number, look in enumerate(looks):
        said = (look.look.phase, look.look.step, _verdicts(look))
        is_deed = look.did is not Deed.WAIT or look.would not in {None, Deed.WAIT}
        if is_deed or said != before or look.judged_as is not LookKind.INTERIM or number == len(looks) - 1:
            yield look
        before = said


def _row(state: RolloutState, look: ReplayedLook) -> tuple[str, ...]:
    return (
        f"{look.look.at:%Y-%m-%d %H:%M}",
        _phase(state, look),
        str(look.look.weight),
        "interim" if look.judged_as is LookKind.INTERIM else "planned",
        look.would.value if look.would else "-",
        look.did.value + (" (!)" if look.differs else ""),
        _verdicts(look) or "-",
    )


def _verdicts(look: ReplayedLook) -> str:
    """Name the gates that do not pass by what they say, the worst first; a single word when they all say the same."""
    said = sorted(look.results, key=lambda one: -one.verdict.severity)
    if len({one.verdict for one in said}) == 1:
        return f"all {said[0].verdict.value}" if len(said) > 1 else f"{said[0].verdict.value}: {said[0].metric}"
    found: dict[str, list[str]] = {}
    for one in said:
        if one.verdict is not Verdict.PASS:
            found.setdefault(one.verdict.value, []).append(one.metric)
    return "; ".join(f"{verdict}: {', '.join(metrics)}" for verdict, metrics in found.items())


def _phase(state: RolloutState, look: ReplayedLook) -> str:
    phases = state.spec.track.phases
    return phases[look.look.phase].name if 0 <= look.look.phase < len(phases) else "-"


def _look_data(state: RolloutState, look: ReplayedLook) -> dict[str, Any]:
    return {
        "at": to_text(look.look.at),
        "phase": _phase(state, look),
        "weight": str(look.look.weight),
        "look": look.judged_as.value,
        "would": None if look.would is None else look.would.value,
        "did": look.did.value,
        "reason": look.reason,
    }


def _gate_data(result: GateResult) -> dict[str, Any]:
    check = result.decisive
    return {
        "metric": result.metric,
        "verdict": result.verdict.value,
        "action": result.action.value,
        "bad": check.bad,
        "total": check.total,
        "reason": result.reason,
    }
