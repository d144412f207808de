"""What rehearsals look like: as JSON, and to people."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from otagate._clock import to_text
from otagate._text import span
from otagate.cli.render.blocks import Block, Code, Facts, Heading, Line, Table, Tone
from otagate.cli.render.chart import drawn
from otagate.flow.rehearse.many import Spread, Summary
from otagate.flow.rehearse.model import Ending, Rehearsed, Scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_ROWS = 20
_FEW = (
    "`otagate gate power` says how many devices a limit needs: rehearse with as many as you have (--devices), or give phases a"
    " higher first weight, a longer max_wait or another on_insufficient, as `otagate init --devices N` writes them for so many"
)
_TONES = {Ending.COMPLETED: Tone.GOOD, Ending.STOPPED: Tone.BAD, Ending.HELD: Tone.WARN, Ending.UNFINISHED: Tone.WARN}


def rehearsal_data(scenario: Scenario, runs: Sequence[Rehearsed], summary: Summary, absent: Sequence[str]) -> dict[str, Any]:
    """Give the JSON of ``otagate/rehearsal/v1``; lengths of time are seconds, ``at`` is since the rollout's start."""
    return {
        "scenario": {**_plain(asdict(scenario)), "start": to_text(scenario.start)},
        "not_rehearsed": list(absent),
        "summary": asdict(summary),
        "runs": [_run(run, is_only=len(runs) == 1) for run in runs],
    }


def _run(run: Rehearsed, *, is_only: bool) -> dict[str, Any]:
    data: dict[str, Any] = _plain(asdict(run))
    if not is_only:
        del data["samples"]
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.total_seconds() if isinstance(value, timedelta) else value


def rehearsal_view(
    scenario: Scenario, runs: Sequence[Rehearsed], summary: Summary, absent: Sequence[str], notes: Sequence[str]
) -> list[Block]:
    """Draw it."""
    blocks: list[Block] = [Heading(f"rehearsal of track {scenario.track}"), Facts(tuple(_facts(scenario)))]
    blocks += [Line(note, Tone.DIM) for note in notes]
    if absent:
        blocks.append(Line(f"not rehearsed: {', '.join(absent)} (telemetry does not know them)", Tone.WARN))
    return [*blocks, *(_one(runs[0]) if len(runs) == 1 else _several(runs, summary))]


def _facts(scenario: Scenario) -> list[tuple[str, str]]:
    total = sum(scenario.follows.values()) or 1
    shares = ", ".join(f"{name} {_share(part / total)}" for name, part in scenario.follows.items())
    plan = scenario.faults
    network = scenario.network_failures if plan.network is None else plan.network
    people = [f"approvals after {span(scenario.approve_after)}"]
    if scenario.resume_after is not None:
        people.append(f"pauses that no gate failed for are lifted after {span(scenario.resume_after)}")
    return [
        ("devices", f"{scenario.devices}; {shares}" if shares else str(scenario.devices)),
        ("opened", _opened(scenario)),
        *_taken(scenario),
        ("usual", f"{_share(scenario.crash_rate)} of the devices crash, {_share(network)} of the downloads fail"),
        ("faults", ", ".join(fault_texts(scenario)) or "none"),
        *_assumed(scenario),
        ("looks", f"every {span(scenario.every)}"),
        ("people", "; ".join(people)),
    ]


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _opened(scenario: Scenario) -> str:
    times = f"{scenario.sessions:.3g} times a day"
    if not scenario.hours:
        return f"{times}, {'most in the evening' if scenario.is_daily else 'evenly'}"
    most, least = (pick(scenario.hours) for pick in (max, min))
    return f"{times}, most {_hour(scenario.hours, most)}, least {_hour(scenario.hours, least)}"


def _hour(hours: tuple[float, ...], weight: float) -> str:
    day, hour = divmod(hours.index(weight), 24)
    is_daily = hours[:24] * 7 == hours
    return f"{'' if is_daily else _DAYS[day] + ' '}{hour:02}:00 UTC ({weight:.3g} times the mean)"


def _taken(scenario: Scenario) -> list[tuple[str, str]]:
    """Say where the fleet was taken from, when that is not plain."""
    if "telemetry" not in scenario.taken.values():
        return []
    parts: dict[str, list[str]] = {}
    for name, where in scenario.taken.items():
        parts.setdefault({"option": "options", "default": "defaults"}.get(where, where), []).append(name)
    return [("taken from", "; ".join(f"{where}: {', '.join(names)}" for where, names in parts.items()))]


def _assumed(scenario: Scenario) -> list[tuple[str, str]]:
    said = ", ".join(f"{metric} at {_share(rate)}" for metric, rate in scenario.assumed.items())
    return [("assumed", said)] if said else []


def _share(part: float) -> str:
    return f"{100 * part:.3g}%"


def fault_texts(scenario: Scenario) -> list[str]:
    """Give the faults of a scenario in words."""
    plan, found = scenario.faults, []
    shares = (("boot_crash", plan.boot_crash), ("late_crash", plan.late_crash), ("integrity", plan.integrity))
    for name, share in (*shares, ("network", plan.network or 0), ("restart", plan.restart)):
        after = f" after {span(plan.late_crash_after)}" if name == "late_crash" and plan.late_crash_after else ""
        found += [f"{name} {100 * share:g}%{after}"] if share else []
    for name, outage in (("metric_outage", plan.metric_outage), ("reconcile_down", plan.reconcile_down)):
        found += [f"{name} for {span(outage.end - outage.begin)} from {span(outage.begin)} on"] if outage else []
    return [*found, *([f"{plan.reconcilers} reconcilers at once"] if plan.reconcilers > 1 else [])]


def verdict_line(run: Rehearsed) -> str:
    """Say in a sentence how a rehearsal ended."""
    if run.ending is Ending.STOPPED and run.stop is not None:
        stop = run.stop
        where = f"in {stop.phase} at {stop.weight}" if stop.phase else "before the first phase"
        word = "rolled back" if stop.action == "rollback" else "paused"
        false = " (a false stop: nothing is wrong with the release)" if run.is_false_stop else ""
        later = f", rolled back after {span(run.ended_at)}" if stop.action == "pause" and run.stage == "rolled_back" else ""
        return f"{word} after {span(stop.at)} by {stop.metric}, {where}{later}{false}"
    if run.ending is Ending.COMPLETED:
        return f"completed after {span(run.ended_at)}"
    if run.ending is Ending.HELD:
        where = f", in {run.stop.phase} at {run.stop.weight}" if run.stop is not None and run.stop.phase else ""
        return f"held after {span(run.ended_at)}{where}: {run.outcome}"
    return f"still under way after {span(run.ended_at)}, {run.stage}"


def _one(run: Rehearsed) -> list[Block]:
    rows = tuple((span(moment.at), moment.kind, moment.text) for moment in run.moments)
    return [
        Line(verdict_line(run), _TONES[run.ending]),
        Facts(tuple(_found(run))),
        *_advice(run),
        Code(drawn(run)),
        Table(("at", "kind", "what"), rows),
    ]


def _advice(run: Rehearsed) -> list[Line]:
    """Say what to do about an end that no gate and no fault of the release brought about."""
    if run.ending is not Ending.HELD:
        return []
    if "too few devices" in run.outcome:
        return [Line(_FEW, Tone.DIM)]
    return [Line("to have such a pause lifted, as somebody would: --resume-after 12h", Tone.DIM)]


def _found(run: Rehearsed) -> list[tuple[str, str]]:
    facts = [("exposed", f"{run.exposed} devices ran the release"), ("met the fault", f"{run.met} devices")]
    if run.stop is not None:
        first = f", the first after {span(run.stop.first_met)}" if run.stop.first_met is not None else ""
        facts.append(("by the stop", f"{run.stop.exposed} exposed, {run.stop.met} met the fault{first}"))
        facts.append(("because", run.stop.reason))
    if run.stage == "rolled_back":
        back = f"the last after {span(run.back_after)}" if run.back_after is not None else f"{run.left} have it still"
        facts.append(("back", back))
    elif run.stop is not None:
        facts.append(("still have it", f"{run.left} devices: a pause takes it from nobody"))
    facts.append(("looks", f"{run.looks}" + (f", {run.killed} killed" if run.killed else "")))
    facts += [("failed once", f"{count} times: {what}") for what, count in run.errors.items()]
    return facts


def _several(runs: Sequence[Rehearsed], summary: Summary) -> list[Block]:
    endings = ", ".join(f"{count} {name}" for name, count in summary.endings.items() if count)
    facts = [("runs", f"{summary.runs}: {endings}"), ("false stops", str(summary.false_stops))]
    if summary.stopped_by:
        facts.append(("stopped by", ", ".join(f"{metric} {count}" for metric, count in summary.stopped_by.items())))
    rows = [
        ("stopped after", _lengths(summary.stopped_after_s)),
        ("exposed at the stop", _counts(summary.exposed_at_stop)),
        ("met the fault by the stop", _counts(summary.met_at_stop)),
        ("met the fault in all", _counts(summary.met)),
        ("completed after", _lengths(summary.ended_after_s)),
        ("last device back after", _lengths(summary.back_after_s)),
    ]
    shown = tuple((name, *values) for name, values in rows if values)
    lines = tuple((str(run.seed), str(run.exposed), str(run.met), verdict_line(run)) for run in runs[:_MOST_ROWS])
    blocks: list[Block] = [Facts(tuple(facts)), Table(("", "median", "90%"), shown)]
    blocks.append(Table(("seed", "exposed", "met the fault", "how it ended"), lines))
    if len(runs) > _MOST_ROWS:
        blocks.append(Line(f"and {len(runs) - _MOST_ROWS} more: --format json has all", Tone.DIM))
    return blocks


def _lengths(spread: Spread | None) -> tuple[str, ...]:
    return () if spread is None else tuple(span(timedelta(seconds=value)) for value in (spread.median, spread.p90))


def _counts(spread: Spread | None) -> tuple[str, ...]:
    return () if spread is None else (f"{spread.median:g}", f"{spread.p90:g}")
