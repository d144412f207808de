"""Ask every source of every gate once, over closed windows, and lose nothing: a failure is a reading too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from otagate.errors import OtagateError
from otagate.gate.beside import Question, ask_all
from otagate.gate.interface import Ask, Measurement, MetricQuery, MetricSource, SourceError
from otagate.gate.look import Reading
from otagate.policy.model.gates import GateSpec


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured.

    Attributes:
        app: App id.
        channel: Channel name.
        release: Version under test.
        start: Since when devices may run it there: the window of every metric begins here, and counts are cumulative.
        weight_bps: Exposure now, 0 to 10000.
        weight_since: Since when the present weight is in force: where the window of a split check begins; None: as ``start``.
        control: Version that the channel's other devices are served, or None when that is the built-in bundle.
    """

    app: str
    channel: str
    release: str
    start: datetime
    weight_bps: int
    weight_since: datetime | None = None
    control: str | None = None


def measure(
    gates: Sequence[GateSpec],
    sources: Mapping[str, MetricSource],
    subject: Subject,
    *,
    settle: timedelta,
    now: datetime,
) -> list[Reading]:
    """Read every metric once; exceedance metrics once a limit. Sources that share nothing are asked at the same time.

    The window is closed: it ends at ``now - settle - maturity``, so that late observations and devices that are still on
    their way are counted later instead of wrongly.

    Args:
        gates: Gates to read, in order.
        sources: By metric; a gate without one gets a reading that says so.
        subject: What is measured.
        settle: How late metric backends are.
        now: The instant of this look.

    Returns:
        Readings in the order of the gates and their limits. Failures are in them; none is raised.
    """
    readings: list[Reading] = []
    questions: dict[int, Question] = {}
    for gate in gates:
        start = (subject.weight_since or subject.start) if gate.split is not None else subject.start
        end = now - settle - gate.maturity
        for over in dict.fromkeys(limit.over for limit in gate.limits) or (None,):
            query = _query(gate, subject, (start, end), over)
            # Without a control a contrast is not asked for: the judgement says so by itself.
            is_pointless = end <= start or (query.ask is Ask.CONTRAST and subject.control is None)
            if not is_pointless:
                questions[len(readings)] = (sources.get(gate.metric), query)
            readings.append(Reading(gate.metric, start, max(end, start), None, over))
    outcomes = ask_all(list(questions.values()), _read)
    for place, outcome in zip(questions, outcomes, strict=True):
        readings[place] = replace(readings[place], outcome=outcome)
    return readings


def asks(gate: GateSpec) -> Ask:
    """Say what kind of answer a gate needs."""
    if gate.max_increase is not None:
        return Ask.CONTRAST
    if gate.split is not None:
        return Ask.SPLIT
    return Ask.COUNTS if gate.value is None else Ask.VALUE


def _query(gate: GateSpec, subject: Subject, window: tuple[datetime, datetime], over: timedelta | None) -> MetricQuery:
    return MetricQuery(
        metric=gate.metric,
        app=subject.app,
        channel=subject.channel,
        release=subject.release,
        start=window[0],
        end=window[1],
        weight_bps=subject.weight_bps,
        over=over,
        ask=asks(gate),
        control=subject.control,
    )


def _read(source: MetricSource | None, query: MetricQuery) -> Measurement | SourceError:
    if source is None:
        return SourceError(
            "no source is named for this metric",
            subject=f"gates.{query.metric}",
            remedy="add `source` to the gate, or `telemetry` or `metrics` to the policy",
        )
    try:
        return source.read(query)
    except SourceError as error:
        return error
    except OtagateError as error:
        # One source that breaks the port's promise must not keep the others from stopping a rollout.
        return SourceError(error.what, error.subject, error.expected, error.found, error.remedy)
