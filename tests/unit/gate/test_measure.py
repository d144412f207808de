"""Windows are closed, and nothing that goes wrong is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from otagate.errors import AccessError
from otagate.gate.interface import Measurement, MetricQuery, MetricSource, SourceError
from otagate.gate.look import Reading
from otagate.gate.measure import Subject, measure
from otagate.policy.model.gates import Action, GateSpec, Limit

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
START = NOW - timedelta(hours=3)
SUBJECT = Subject("com.example.app", "stable", "1.4.2", START, 500)
CRASH = GateSpec("crash_rate", max=Decimal("0.02"))
SUCCESS = GateSpec("success", min=Decimal("0.85"), maturity=timedelta(minutes=30))
VERIFY = GateSpec(
    "verification_time",
    limits=tuple(
        Limit(timedelta(seconds=seconds), Decimal("0.05"), action)
        for seconds, action in ((45, Action.ALERT), (120, Action.PAUSE), (120, Action.ROLLBACK))
    ),
)


class Counts:
    """A source that knows everything, and keeps what it was asked."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.queries: list[MetricQuery] = []
        self.problem = problem

    def read(self, query: MetricQuery) -> Measurement:
        self.queries.append(query)
        if self.problem:
            raise self.problem
        return Measurement(1, 9, None, query.metric)


def measured(gates: list[GateSpec], sources: dict[str, MetricSource], settle: timedelta = timedelta(0)) -> list[Reading]:
    return measure(gates, sources, SUBJECT, settle=settle, now=NOW)


def test_window_ends_before_what_may_still_change() -> None:
    counts = Counts()
    readings = measured([CRASH, SUCCESS], {"crash_rate": counts, "success": counts}, settle=timedelta(minutes=15))
    ends = [NOW - timedelta(minutes=15), NOW - timedelta(minutes=45)]
    assert [query.end for query in counts.queries] == [reading.end for reading in readings] == ends
    assert {query.start for query in counts.queries} == {START}
    query = counts.queries[0]
    assert (query.app, query.channel, query.release, query.weight_bps) == ("com.example.app", "stable", "1.4.2", 500)


def test_window_without_length_is_not_asked() -> None:
    counts = Counts()
    readings = measured([CRASH, SUCCESS], {"crash_rate": counts, "success": counts}, settle=timedelta(hours=2, minutes=45))
    assert [reading.outcome is None for reading in readings] == [False, True]
    assert (readings[1].start, readings[1].end) == (START, START)
    assert len(counts.queries) == 1


def test_window_that_ends_where_it_begins_is_not_asked() -> None:
    counts = Counts()
    assert measured([CRASH], {"crash_rate": counts}, settle=NOW - START)[0].outcome is None
    assert counts.queries == []


def test_exceedance_is_asked_once_a_length() -> None:
    counts = Counts()
    readings = measured([VERIFY], {"verification_time": counts})
    assert [query.over for query in counts.queries] == [timedelta(seconds=45), timedelta(seconds=120)]
    assert [reading.over for reading in readings] == [timedelta(seconds=45), timedelta(seconds=120)]


def test_failures_are_readings() -> None:
    broken, refused = SourceError("gone"), AccessError("refused", subject="x", remedy="ask")
    sources: dict[str, MetricSource] = {"crash_rate": Counts(broken), "success": Counts(refused)}
    outcomes = [reading.outcome for reading in measured([CRASH, SUCCESS], sources)]
    assert outcomes[0] is broken
    assert outcomes[1] == SourceError("refused", subject="x", remedy="ask")


def test_gate_without_source_is_a_failure() -> None:
    outcome = measured([CRASH], {})[0].outcome
    assert isinstance(outcome, SourceError)
    assert outcome.subject == "gates.crash_rate"


def test_one_failure_does_not_hide_the_others() -> None:
    sources: dict[str, MetricSource] = {"crash_rate": Counts(SourceError("gone")), "success": Counts()}
    assert measured([CRASH, SUCCESS], sources)[1].outcome == Measurement(1, 9, None, "success")
