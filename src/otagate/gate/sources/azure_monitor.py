"""Counts and numbers from Azure Monitor, by KQL over a Log Analytics workspace.

**Source:** Microsoft's "Azure Monitor Log Analytics API": request format, response format and errors.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from otagate._clock import to_text
from otagate._text import harmless
from otagate.gate.interface import Measurement, MetricQuery
from otagate.gate.sources import _shape, _vendor
from otagate.gate.sources._asked import Manner, Told, measured
from otagate.gate.sources._door import Door, json_or_none
from otagate.gate.sources._literals import Language
from otagate.gate.sources._opened import Opened
from otagate.policy.model.vendors import AzureMonitorSource, CloudAuth

_TICK = timedelta(microseconds=1)


class AzureMonitorMetrics(Opened[AzureMonitorSource]):
    """See MetricSource. The window is the request's ``timespan``, which the service puts on top of whatever the query says."""

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        # The service includes the end of a timespan; a gate does not.
        timespan = f"{to_text(query.start)}/{to_text(query.end - _TICK)}"
        spec = self._spec
        subject = f"azure_monitor workspace {harmless(spec.workspace)}"
        door = Door(self._wire, spec.url, (), spec.timeout, signer=self._wire.signer(CloudAuth.AZURE, spec.url))
        path = f"/v1/workspaces/{quote(spec.workspace, safe='')}/query"

        def ask(name: str, text: str) -> Told:
            place = f"{subject}, {name}"
            answer = door.post(path, json.dumps({"query": text, "timespan": timespan}), (), place, _explain)
            return Told(_vendor.understood(answer, lambda value: _number(value, place), place, door.secrets), answer.body)

        return measured(spec.ask, query, Manner(Language.KQL, subject, ask, is_empty_zero=False))


def _explain(body: bytes) -> str | None:
    answer = json_or_none(body)
    return _vendor.said(_words(answer["error"])) if isinstance(answer, dict) and answer.get("error") else None


def _number(value: Any, subject: str) -> float | None:
    answer = _vendor.table(value, "answer", subject)
    # A part of the rows with HTTP 200 and `PartialError` is no evidence.
    if answer.get("error") is not None:
        raise _vendor.refused(subject, _vendor.said(_words(answer["error"])))
    tables = _vendor.rows(answer.get("tables"), "tables", subject)
    if len(tables) != 1:
        raise _shape.broken(subject, f"{len(tables)} tables", expected="one table", remedy="end the query with one statement")
    found = _vendor.rows(_vendor.table(tables[0], "tables[0]", subject).get("rows"), "rows", subject)
    if len(found) > 1:
        raise _vendor.several(len(found), subject, "end the query with `summarize …` without `by`, so that it gives one row")
    if not found:
        return None
    row = _vendor.rows(found[0], "rows[0]", subject)
    if len(row) != 1:
        remedy = "end the query with `summarize` or `project` of one column"
        raise _shape.broken(subject, f"{len(row)} columns", expected="one number", remedy=remedy)
    return _vendor.number(row[0], "rows[0][0]", subject)


def _words(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    # A refusal holds what is behind it, a part of an answer lists it.
    details = error.get("details")
    inner = error.get("innererror") or (details[0] if isinstance(details, list) and details else None)
    deeper = f": {_words(inner)}" if isinstance(inner, dict) else ""
    return f"{error.get('code', 'error')} {error.get('message', '')}{deeper}"
