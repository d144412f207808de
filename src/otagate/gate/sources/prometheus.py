"""Counts and numbers by PromQL, over the HTTP API that Prometheus and its relatives share.

**Source:** Prometheus, "HTTP API", instant queries: ``POST|GET /api/v1/query?query&time``; the answer's ``status``, ``data``,
``errorType``, ``error`` and ``warnings``.
"""

from __future__ import annotations

from typing import Any

from otagate._text import harmless
from otagate.gate.interface import Measurement, MetricQuery, SourceError
from otagate.gate.sources import _fill, _shape
from otagate.gate.sources._asked import Manner, Told, measured
from otagate.gate.sources._door import Door, Wire, address, document, json_or_none
from otagate.gate.sources._literals import Language
from otagate.gate.sources._opened import Opened
from otagate.policy.model.vendors import CloudAuth, PrometheusSource

PATH = "/api/v1/query"
_PAIR = 2


class PrometheusMetrics(Opened[PrometheusSource]):
    """See MetricSource. Every query is evaluated a millisecond before the end of the window, which is excluded."""

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        return read_promql(self._spec, self._wire, query)


def read_promql(spec: PrometheusSource, wire: Wire, query: MetricQuery) -> Measurement:
    """Read one metric from what speaks Prometheus's API; see MetricSource.read.

    Raises:
        SourceError: It could not be read.
    """
    subject = f"Prometheus {address(spec.url)}"
    headers = tuple((name, wire.secret(value, f"{subject}, header {harmless(name)}")) for name, value in spec.headers)
    signer = None
    if spec.auth is not CloudAuth.NONE:
        signer = wire.signer(spec.auth, spec.url, service="aps", region=spec.region)
    door = Door(wire, spec.url, headers, spec.timeout, signer=signer)

    def ask(_: str, text: str) -> Told:
        end = _fill.seconds_of(query)[1]
        # Samples are told apart by milliseconds, and a range reaches back from this instant: so the end is left out.
        fields = {"query": text, "time": f"{end - 1}.999"}
        # Google documents no form.
        put = door.get if spec.auth is CloudAuth.GOOGLE else door.query
        answer = put(PATH, fields, subject, explained)
        try:
            return Told(number_of(document(answer, subject), subject), answer.body)
        except SourceError as error:
            raise door.guarded(error, answer.body) from error

    # A counter that never fired has no series: beside devices in `total`, none is none.
    manner = Manner(Language.PROMQL, subject, ask, is_empty_zero=True, words=door.words)
    return measured(spec.ask, query, manner)


def explained(body: bytes) -> str | None:
    """Find what the server says is wrong: ``errorType`` and ``error`` of a refusal."""
    return _said(json_or_none(body))


def _said(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    error = value.get("error")
    # Google's front answers so, before Prometheus's API is reached.
    front = error if isinstance(error, dict) else {}
    parts = [value.get("errorType"), error, front.get("status"), front.get("message")]
    return ": ".join(part for part in parts if isinstance(part, str) and part) or None


def number_of(value: Any, subject: str) -> float | None:
    """Read the one number of an answer; None when no series has a sample.

    Raises:
        SourceError: Another shape, a part of an answer, or several series.
    """
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, dict) or value.get("status") != "success":
        told = _said(value) or "no answer of Prometheus"
        raise _shape.broken(subject, harmless(told, 300), expected="`status: success` with data")
    _refuse_parts(value, subject)
    kind, result = data.get("resultType"), data.get("result")
    if kind == "scalar":
        return _sample(result, subject)
    if kind != "vector" or not isinstance(result, list):
        remedy = "write an instant query: wrap a range as in `sum(increase(x[{window}]))`"
        raise _shape.broken(subject, f"a {harmless(str(kind))}", expected="an instant vector or a scalar", remedy=remedy)
    if not result:
        return None
    if len(result) > 1:
        raise _shape.broken(subject, f"{len(result)} series", expected="one series", remedy="aggregate them: `sum(…)`")
    series = result[0]
    return _sample(series.get("value") if isinstance(series, dict) else None, subject)


def _refuse_parts(value: dict[str, Any], subject: str) -> None:
    warnings = value.get("warnings")
    if warnings:
        remedy = "mend what it warns of: a part of an answer is no evidence"
        raise _shape.broken(subject, f"a warning: {harmless(str(warnings), 300)}", expected="a whole answer", remedy=remedy)
    # VictoriaMetrics says so where a part of its cluster did not answer.
    if value.get("isPartial"):
        remedy = "see to it that all of its storage nodes answer; it is asked again at the next look"
        raise _shape.broken(subject, "a part of an answer: `isPartial`", expected="a whole answer", remedy=remedy)


def _sample(pair: Any, subject: str) -> float:
    if not isinstance(pair, list) or len(pair) != _PAIR or not isinstance(pair[1], str):
        raise _shape.broken(
            subject, "no sample with a number", expected="[time, number]", remedy="histograms need `histogram_count(…)`"
        )
    try:
        return float(pair[1])
    except ValueError as error:
        raise _shape.broken(subject, f"'{harmless(pair[1], 40)}'", expected="a number") from error
