"""Ask every source of every gate once, over closed windows, and lose nothing: a failure is a reading too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from otagate.errors import OtagateError
from otagate.gate.interface import Measurement, MetricQuery, MetricSource, SourceError
from otagate.gate.verdict import Reading
from otagate.policy.model import GateSpec


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured.

    Attributes:
        app: App id.
        channel: Channel name.
        release: Version under test.
        start: Since when devices may run it there: the window of every metric begins here, and counts are cumulative.
        weight_bps: Exposure now, 0 to 10000.
    """

    app: str
    channel: str
    release: str
    start: datetime
    weight_bps: int


def measure(
    gates: Sequence[GateSpec],
    sources: Mapping[str, MetricSource],
    subject: Subject,
    *,
    settle: timedelta,
    now: datetime,
) -> list[Reading]:
    """Read every metric once; exceedance metrics once a limit.

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
    readings = []
    for gate in gates:
        end = now - settle - gate.maturity
        for over in dict.fromkeys(limit.over for limit in gate.limits) or (None,):
            outcome = None if end <= subject.start else _read(sources.get(gate.metric), _query(gate, subject, end, over))
            readings.append(Reading(gate.metric, subject.start, max(end, subject.start), outcome, over))
    return readings


def _query(gate: GateSpec, subject: Subject, end: datetime, over: timedelta | None) -> MetricQuery:
    return MetricQuery(
        metric=gate.metric,
        app=subject.app,
        channel=subject.channel,
        release=subject.release,
        start=subject.start,
        end=end,
        weight_bps=subject.weight_bps,
        over=over,
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
