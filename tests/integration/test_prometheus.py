"""Gates and a real Prometheus: windows, counter resets, what has no series, and what a value must never become."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from otagate.gate.interface import Ask, Measurement, MetricQuery, SourceError
from otagate.gate.sources.registry import open_source
from otagate.policy.load import load_policy
from otagate.policy.model.vendors import Asked, PrometheusSource
from support.servers import prometheus
from support.servers.prometheus import HOSTILE, START

pytestmark = pytest.mark.integration

DOC = (Path(__file__).parents[2] / "docs" / "gates.md").read_text("utf-8")
HOUR = timedelta(hours=1)
QUERY = MetricQuery("crash_rate", "com.example.app", "stable", "1.4.2", START, START + HOUR, 500)
TOTAL = 'sum(round(increase(app_devices_total{release="{release}"}[{window}])))'
BAD = 'sum(round(increase(app_crashed_devices_total{release="{release}"}[{window}])))'


def read(asked: Asked, query: MetricQuery = QUERY) -> Measurement:
    source = open_source(PrometheusSource(prometheus.shared(), asked), root=Path(), environ={})
    return source.read(query)


def value(promql: str, query: MetricQuery = QUERY) -> float | None:
    return read(Asked(value=promql), replace(query, ask=Ask.VALUE)).value


def failure(promql: str) -> str:
    with pytest.raises(SourceError) as caught:
        value(promql)
    return str(caught.value)


def test_devices_of_a_window_are_counted_over_a_restart() -> None:
    found = read(Asked(BAD, TOTAL))
    # Three a minute from two instances, of which one began again at zero: one minute of its hour is lost.
    assert (found.bad, found.total) == (3, 179)
    assert found.digest is not None
    assert 'app_devices_total{release="1.4.2"}[3600s]' in found.query
    assert read(Asked(BAD, TOTAL)) == found


def test_the_end_of_a_window_is_excluded() -> None:
    assert value("count_over_time(latency[{window}])") == 60
    assert value("max_over_time(latency[{window}])") == 59
    later = replace(QUERY, start=START + HOUR, end=START + 2 * HOUR)
    assert value("min_over_time(latency[{window}])", later) == 60
    assert value("count_over_time(latency[{window}])", later) == 60


def test_a_counter_begins_at_its_first_sample() -> None:
    # What it held then is not counted: docs/gates.md says to export counters from zero on.
    assert value("sum(round(increase(born_total[{window}])))") == 1


def test_the_example_of_the_docs_works(tmp_path: Path) -> None:
    (text,) = (block for block in re.findall(r"<!-- policy -->\n```yaml\n(.*?)```", DOC, re.DOTALL) if "prometheus:\n" in block)
    policy = tmp_path / "otagate.yml"
    policy.write_text(f"version: 1\napp: {{id: com.example.app}}\nbranches: {{main: {{channel: stable}}}}\n{text}")
    (spec,) = (gate.source for gate in load_policy(policy).gates if isinstance(gate.source, PrometheusSource))
    found = open_source(replace(spec, url=prometheus.shared(), headers=()), root=Path(), environ={}).read(QUERY)
    assert (found.bad, found.total, found.newest_at) == (3, 179, START + timedelta(minutes=59))


def test_times_stand_for_the_window() -> None:
    assert value("vector({end_unix}) - {start_unix}") == 3600
    assert value("max(timestamp(latency @ {start_unix})) * 1000 - {start_ms}") == 0


def test_a_counter_that_never_fired_is_zero_beside_devices() -> None:
    found = read(Asked(BAD, TOTAL), replace(QUERY, release="9.9.9"))
    assert (found.bad, found.total) == (0, 60)
    assert "no series, read as 0" in found.query


def test_no_series_is_no_data() -> None:
    found = read(Asked(BAD, TOTAL), replace(QUERY, release="7.7.7"))
    assert (found.bad, found.total, found.newest_at) == (None, None, None)
    assert value('latency{release="7.7.7"}') is None


@pytest.mark.parametrize(
    ("promql", "newest"),
    [
        ("max(timestamp(latency))", START + timedelta(minutes=59)),
        ("max(max_over_time(timestamp(silent_since)[{window}:1m]))", START + timedelta(minutes=19)),
    ],
)
def test_the_newest_observation(promql: str, newest: object) -> None:
    assert read(Asked(BAD, TOTAL, newest=promql)).newest_at == newest


def test_silence_about_the_age_is_an_error() -> None:
    # Five minutes after the last sample nothing is left to look at.
    with pytest.raises(SourceError, match="no data for `newest`"):
        read(Asked(BAD, TOTAL, newest="max(timestamp(silent_since))"))


@pytest.mark.parametrize(
    ("promql", "told"),
    [
        ("sum by (instance) (app_devices_total{release='1.4.2'})", "2 series"),
        ("latency / 0 * 0", "nan"),
        ("latency / 0", "inf"),
        ("sum(latency", "bad_data: invalid parameter"),
        ("latency[{window}]", "a matrix"),
        ('"text"', "a string"),
        ("nothing_of_this_kind()", "unknown function"),
    ],
)
def test_what_no_gate_can_judge_is_an_error(promql: str, told: str) -> None:
    assert told in failure(promql)


def test_scalars_are_numbers() -> None:
    assert value("scalar(latency)") == 59
    assert value("12.5") == 12.5


def test_estimates_between_samples_are_no_devices() -> None:
    with pytest.raises(SourceError, match="round in the query"):
        read(Asked("sum(rate(app_devices_total[{window}]))", TOTAL))


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("operator", ["=", "=~"])
def test_hostile_versions_stay_values(quote: str, operator: str) -> None:
    promql = f"sum(round(increase(app_devices_total{{release{operator}{quote}{{release}}{quote}}}[{{window}}])))"
    asked = Asked("0 * (" + promql + ")", promql)
    assert read(asked, replace(QUERY, release=HOSTILE)).total == 240
    # As a pattern, its dots are dots: 1x4x2 is another release.
    assert read(asked).total == 179


@pytest.mark.parametrize("release", ['"} or vector(99) or x{y="', "' or vector(99) #", ".*", "1.4.2|9.9.9", "1.4.2\\"])
def test_no_version_is_syntax(release: str) -> None:
    query = replace(QUERY, release=release)
    for promql in (TOTAL, TOTAL.replace('="', '=~"'), TOTAL.replace('"', "'")):
        assert read(Asked(BAD, promql), query).total is None


def test_long_queries_are_posted() -> None:
    padded = f"{TOTAL} # {'x' * 20_000}"
    assert read(Asked(BAD, padded)).total == 179
