"""Judging gates without acting: from counts that a person gives, or from the sources, for a rollout or for any release."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from otagate._text import harmless, nearest, span
from otagate.errors import ExitCode, UsageError
from otagate.flow.workspace import Workspace
from otagate.gate.forecast import limits_a_share
from otagate.gate.interface import Measurement
from otagate.gate.judge import GateResult, Look, LookKind, Reading, Streak, Verdict, combine, count_gating, judge_all
from otagate.gate.measure import Subject, measure
from otagate.gate.sources.registry import open_sources
from otagate.gate.summary import is_lifted, overall
from otagate.model import FULL_WEIGHT, ChannelName, Version
from otagate.policy.model.gates import Action, GateSpec, Judgement
from otagate.rollout import machine
from otagate.rollout.memory import believable
from otagate.rollout.state import RolloutState, Total
from otagate.rollout.waiting import next_look


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged, and by what.

    Attributes:
        gates: The gates that are shown.
        gating: Over how many gates the error budgets are split; those that are not shown count too.
        judgement: How to judge.
        look: Why we look.
        subject: What is measured, or None for counts that a person gave.
        readings: What was measured.
        streaks: What gates on plain numbers remember.
        totals: The most devices that sources told of.
        waived: Metrics whose failures somebody lifted for the rollout's present phase.
        next_look: When the rollout is looked at next; None without one, or where it waits for a person.
    """

    gates: tuple[GateSpec, ...]
    gating: int
    judgement: Judgement
    look: Look
    subject: Subject | None
    readings: tuple[Reading, ...] = ()
    streaks: Mapping[str, Streak] = field(default_factory=dict)
    totals: Mapping[str, Total] = field(default_factory=dict)
    waived: frozenset[str] = frozenset()
    next_look: datetime | None = None

    def judged(self, now: datetime) -> tuple[GateResult, ...]:
        """Judge every gate that is shown."""
        return judge_all(
            self.gates,
            believable(self.totals, self.readings),
            look=self.look,
            judgement=self.judgement,
            gating_metrics=self.gating,
            now=now,
            streaks=self.streaks,
        )

    def starting(self, start: datetime) -> Case:
        """Give the same case over a window that begins at another instant."""
        return self if self.subject is None else replace(self, subject=replace(self.subject, start=start))


def exit_code(results: Sequence[GateResult], waived: Collection[str] = ()) -> ExitCode:
    """Give 0 for pass and warn, 4 where a rollout would pause or roll back, 6 for everything that is not decided.

    A fail that only alerts, or of a dry run, is reported with 0: no rollout would stop for it.
    """
    if combine([result for result in results if not is_lifted(result, waived)]).action.stops:
        return ExitCode.GATE_FAILED
    verdict = overall(results, waived)
    return ExitCode.DONE if verdict.lets_through or verdict is Verdict.FAIL else ExitCode.INCONCLUSIVE


def of_counts(
    gates: Sequence[GateSpec],
    judgement: Judgement,
    *,
    metric: str,
    counts: tuple[int, int],
    over: timedelta | None,
    look: Look,
) -> Case:
    """Judge (bad, total) of one metric by its thresholds; nothing is read.

    Args:
        gates: All gates, the one that is meant among them.
        judgement: How to judge.
        metric: Which gate.
        counts: Bad devices and all devices.
        over: For a gate with several limits, which one.
        look: Why we look; its soak is the window.

    Raises:
        UsageError: There is no such gate, it is about no share of devices, or ``over`` does not name one of its limits.
    """
    gate = find_gate(gates, metric)
    lengths: list[timedelta | None] = [limit.over for limit in gate.limits]
    if over not in (lengths or [None]):
        raise UsageError(
            "counts are about one limit of a gate" if lengths else "this gate has no limits of time",
            subject=f"gates.{gate.metric}",
            expected=" or ".join(f"--over {span(limit.over)}" for limit in gate.limits) or "no --over",
            found="no --over" if over is None else f"--over {span(over)}",
        )
    if not limits_a_share(gate):
        raise UsageError(
            "counts of devices do not say what this gate asks",
            subject=f"gates.{gate.metric}",
            expected="a gate with `max`, `min` or `limits`",
            remedy="ask its source: leave out --bad and --total",
        )
    shown = replace(gate, limits=tuple(limit for limit in gate.limits if limit.over == over))
    # The limits that are not shown have their part of the budget, too.
    gating = count_gating(gates) * max(1, sum(limit.action is not Action.ALERT for limit in gate.limits))
    reading = Reading(gate.metric, look.soak_start, look.soak_end, Measurement(*counts, None, "the command line"), over)
    return Case((shown,), gating, judgement, look, None, (reading,))


def of_rollout(state: RolloutState, now: datetime, kind: LookKind | None = None) -> Case:
    """Judge a rollout as its next reconcile would, or, with ``kind``, as at another look. Nothing is read yet.

    Raises:
        UsageError: It has exposed no device yet.
    """
    phase, since, look = state.current, state.phase_since, machine.look_of(state, now, kind)
    if phase is None or since is None or look is None:
        raise UsageError(
            "no device has this release yet, so there is nothing to measure",
            subject=f"rollout {state.id}",
            found=f"state {state.stage.value}",
            remedy="go on with the rollout: otagate run, or otagate reconcile",
        )
    subject = Subject(
        app=str(state.app),
        channel=str(phase.channel),
        release=str(state.release.version),
        start=since,
        weight_bps=state.weight.bps,
        weight_since=state.entered_at,
        control=state.control or None,
    )
    gating = count_gating(state.spec.gates)
    return Case(
        state.gates,
        gating,
        state.spec.judgement,
        look,
        subject,
        streaks=state.streaks,
        totals=state.totals,
        waived=state.waived,
        next_look=next_look(state, now),
    )


def of_release(workspace: Workspace, channel: ChannelName, release: Version, look: Look) -> Case:
    """Judge any release on any channel by the policy's present gates; the soak is the window.

    Of the store only the channel is read, and only for a gate that compares with the release that it serves.
    """
    policy = workspace.policy
    control = (
        _served_beside(workspace, channel, release) if any(gate.max_increase is not None for gate in policy.gates) else None
    )
    subject = Subject(str(policy.app), str(channel), str(release), look.soak_start, FULL_WEIGHT, control=control)
    look = replace(look, has_control=control is not None)
    return Case(policy.gates, count_gating(policy.gates), policy.judgement, look, subject)


def _served_beside(workspace: Workspace, channel: ChannelName, release: Version) -> str | None:
    reading = workspace.channels_read_only.read(channel)
    stable = reading.state.stable if reading else None
    return str(stable.version) if stable is not None and stable.version != release else None


def read_sources(case: Case, workspace: Workspace, now: datetime, *, only: str | None) -> Case:
    """Ask the sources of all gates, or of one.

    Raises:
        UsageError: There are no gates, or none of that name.
    """
    if not case.gates:
        raise UsageError(
            "there are no gates to judge", subject=workspace.policy.file.name, remedy="add `gates`, or remove `gates: {}`"
        )
    gates = case.gates if only is None else (find_gate(case.gates, only),)
    if case.subject is None:
        return replace(case, gates=gates)
    sources = open_sources(gates, root=workspace.policy.root, environ=workspace.environ)
    readings = measure(gates, sources, case.subject, settle=case.judgement.settle, now=now)
    return replace(case, gates=gates, readings=tuple(readings))


def find_gate(gates: Sequence[GateSpec], metric: str) -> GateSpec:
    """Find a gate by name.

    Raises:
        UsageError: There is none of that name; the message has the nearest.
    """
    found = next((gate for gate in gates if gate.metric == metric), None)
    if found is None:
        names = [gate.metric for gate in gates]
        near = nearest(metric, names)
        raise UsageError(
            "there is no such gate",
            subject=f"'{harmless(metric, 80)}'",
            expected=f"one of {', '.join(names)}" if names else "a policy with gates",
            remedy=f"did you mean {near}?" if near else "see `otagate policy explain`",
        )
    return found
