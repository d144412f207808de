"""Counts and numbers from Datadog, by scalar queries over an explicit window.

**Source:** Datadog's API reference, "Query scalar data across multiple products" (v2).
"""

from __future__ import annotations

import json
from typing import Any

from otagate.gate.interface import Measurement, MetricQuery
from otagate.gate.sources import _fill, _vendor
from otagate.gate.sources._asked import Manner, Told, measured
from otagate.gate.sources._door import Door, address, json_or_none
from otagate.gate.sources._literals import Language
from otagate.gate.sources._opened import Opened
from otagate.policy.model.vendors import DatadogSource


class DatadogMetrics(Opened[DatadogSource]):
    """See MetricSource. The aggregator reduces the whole window to one number, not to its oldest point.

    Counts are summed, a plain number is the mean, unless the policy names another aggregator; ``newest`` is the largest.
    """

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        spec = self._spec
        url = spec.url or f"https://api.{spec.site}"
        subject = f"datadog {address(url)}"
        headers = (
            ("DD-API-KEY", self._wire.secret(spec.api_key, f"{subject}, api_key")),
            ("DD-APPLICATION-KEY", self._wire.secret(spec.application_key, f"{subject}, application_key")),
        )
        door = Door(self._wire, url, headers, spec.timeout)

        def ask(name: str, text: str) -> Told:
            place = f"{subject}, {name}"
            answer = door.post("/api/v2/query/scalar", self._body(name, text, query), (), place, _explain)
            return Told(_vendor.understood(answer, lambda value: _number(value, place), place, door.words), answer.body)

        return measured(spec.ask, query, Manner(Language.DATADOG, subject, ask, is_empty_zero=True, words=door.words))

    def _body(self, name: str, text: str, query: MetricQuery) -> str:
        start, end = _fill.seconds_of(query)
        asked = {"data_source": "metrics", "name": "a", "query": text, "aggregator": self._aggregator(name)}
        attributes = {"from": start * 1000, "to": end * 1000, "queries": [asked], "formulas": [{"formula": "a"}]}
        return json.dumps({"data": {"type": "scalar_request", "attributes": attributes}})

    def _aggregator(self, name: str) -> str:
        given = self._spec.aggregator
        if name == "newest":
            return "max"
        # A sum over time is right for counts; of a latency it would grow with the window.
        return "avg" if name == "value" and given == "sum" else given


def _explain(body: bytes) -> str | None:
    answer = json_or_none(body)
    return _vendor.said(answer["errors"]) if isinstance(answer, dict) and answer.get("errors") else None


def _refuse_parts(meta: Any, subject: str) -> None:
    # How other queries of the same API tell that they ran out of time, or left something out.
    if isinstance(meta, dict) and (meta.get("warnings") or meta.get("status", "done") != "done"):
        said = _vendor.said(meta.get("warnings") or f"status {meta['status']}")
        raise _vendor.refused(subject, f"a warning: {said}")


def _number(value: Any, subject: str) -> float | None:
    answer = _vendor.table(value, "answer", subject)
    if answer.get("errors"):
        raise _vendor.refused(subject, _vendor.said(answer["errors"]))
    _refuse_parts(answer.get("meta"), subject)
    data = _vendor.table(answer.get("data"), "data", subject)
    attributes = _vendor.table(data.get("attributes"), "data.attributes", subject)
    columns = [
        _vendor.table(column, "column", subject) for column in _vendor.rows(attributes.get("columns"), "columns", subject)
    ]
    found = [column for column in columns if column.get("type") == "number"]
    if not found:
        return None
    values = _vendor.rows(found[0].get("values"), "values", subject)
    if len(found) > 1 or len(values) > 1:
        remedy = "take `by {…}` out of the query, so that it gives one series"
        raise _vendor.several(max(len(found), len(values)), subject, remedy)
    return _vendor.number(values[0], "values[0]", subject) if values else None
