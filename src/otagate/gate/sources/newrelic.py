"""Counts and numbers from New Relic, by NRQL over NerdGraph.

**Source:** New Relic's "NerdGraph tutorial: Query your data with NRQL" and "NRQL syntax, clauses, and functions".
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

from otagate._text import harmless
from otagate.gate.interface import Measurement, MetricQuery
from otagate.gate.sources import _shape, _vendor
from otagate.gate.sources._asked import Manner, Told, measured
from otagate.gate.sources._door import Door, json_or_none
from otagate.gate.sources._literals import Language
from otagate.gate.sources._opened import Opened
from otagate.policy.model.vendors import Asked, NewRelicSource

_HOSTS = {"us": "https://api.newrelic.com", "eu": "https://api.eu.newrelic.com"}
_GRAPHQL = (
    "query($account: Int!, $nrql: Nrql!, $timeout: Seconds!) "
    "{ actor { account(id: $account) { nrql(query: $nrql, timeout: $timeout) { results metadata { messages } } } } }"
)
_LITERAL = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`[^`]*`|(?:--|//)[^\n]*|/\*.*?\*/", re.DOTALL)
_OWN_WINDOW = re.compile(r"\b(?:since|until)\b", re.IGNORECASE)
_SERIES = re.compile(r"\b(?:timeseries|compare\s+with)\b", re.IGNORECASE)
_PERCENTILE = re.compile(r"\bpercentile\s*\(", re.IGNORECASE)
_WINDOW = " SINCE {start_ms} UNTIL {end_ms}"
_BUSY = frozenset({"TIMEOUT", "TOO_MANY_REQUESTS", "SERVER_ERROR", "INTERNAL_SERVER_ERROR"})
"""Classes of errors that come with HTTP 200 and mean "not now". **Source:** New Relic's own client, newrelic-client-go."""
_NOTHING = "No events found"
"""How New Relic remarks that a query found nothing: no warning, as devices that never failed leave nothing."""
_LONGEST_S = 120
"""Most that NerdGraph grants a query. **Source:** New Relic's tutorial."""
_SAID = 300


class NewRelicMetrics(Opened[NewRelicSource]):
    """See MetricSource. NRQL without a window would mean the last hour, so every query gets the gate's own."""

    @property
    def _subject(self) -> str:
        return f"newrelic account {self._spec.account}"

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        spec, subject = self._spec, self._subject
        headers = (("API-Key", self._wire.secret(spec.token, f"{subject}, token")),)
        door = Door(self._wire, spec.url or _HOSTS.get(spec.region, _HOSTS["us"]), headers, spec.timeout, is_busy=_is_busy)

        def ask(name: str, text: str) -> Told:
            place = f"{subject}, {name}"
            answer = door.post("/graphql", self._body(text), (), place, _explain)
            is_percentile = _PERCENTILE.search(_LITERAL.sub("", text)) is not None
            return Told(
                _vendor.understood(answer, lambda value: _number(value, place, is_percentile=is_percentile), place, door.words),
                answer.body,
            )

        manner = Manner(Language.NRQL, subject, ask, is_empty_zero=False, words=door.words)
        return measured(self._windowed(spec.ask), query, manner)

    def _windowed(self, asked: Asked) -> Asked:
        names = {"bad": asked.bad, "total": asked.total, "value": asked.value, "newest": asked.newest}
        return replace(asked, **{name: self._in_window(name, text) for name, text in names.items() if text is not None})

    def _in_window(self, name: str, text: str) -> str:
        bare = _LITERAL.sub("", text)
        if _SERIES.search(bare):
            raise _shape.broken(f"{self._subject}, {name}", "TIMESERIES or COMPARE WITH", expected="a query for one number")
        if not _OWN_WINDOW.search(bare):
            return text.rstrip() + ("\n" if "--" in text or "//" in text else "") + _WINDOW
        if re.search(r"\{start(?:_ms|_unix)?\}", text) and re.search(r"\{end(?:_ms|_unix)?\}", text):
            return text
        remedy = "leave SINCE and UNTIL out: the window of the gate is added"
        raise _shape.broken(f"{self._subject}, {name}", "a window of its own", expected="the window of the gate", remedy=remedy)

    def _body(self, text: str) -> str:
        timeout = min(_LONGEST_S, math.ceil(self._spec.timeout.total_seconds()))
        return json.dumps({"query": _GRAPHQL, "variables": {"account": self._spec.account, "nrql": text, "timeout": timeout}})


def _explain(body: bytes) -> str | None:
    answer = json_or_none(body)
    return _messages(answer["errors"]) if isinstance(answer, dict) and answer.get("errors") else None


def _is_busy(body: bytes) -> bool:
    answer = json_or_none(body)
    errors = answer.get("errors") if isinstance(answer, dict) else None
    if not isinstance(errors, list):
        return False
    told = [error.get("extensions") for error in errors if isinstance(error, dict)]
    return any(isinstance(extensions, dict) and extensions.get("errorClass") in _BUSY for extensions in told)


def _refuse_messages(found: dict[str, Any], subject: str) -> None:
    metadata = _vendor.table(found.get("metadata") or {}, "metadata", subject)
    messages = _vendor.rows(metadata.get("messages") or [], "messages", subject)
    warnings = [text for text in map(str, messages) if not text.startswith(_NOTHING)]
    if warnings:
        remedy = "mend what it warns of: a part of an answer is no evidence"
        said = harmless(_vendor.said("; ".join(warnings)), _SAID)
        raise _shape.broken(subject, f"a warning: {said}", expected="a whole answer", remedy=remedy)


def _number(value: Any, subject: str, *, is_percentile: bool) -> float | None:
    answer = _vendor.table(value, "answer", subject)
    # GraphQL tells errors with HTTP 200, some beside a part of the data.
    if answer.get("errors"):
        raise _vendor.refused(subject, _messages(answer["errors"]))
    found: Any = answer
    for step in ("data", "actor", "account", "nrql"):
        found = _vendor.table(found.get(step), step, subject)
    _refuse_messages(found, subject)
    results = _vendor.rows(found.get("results"), "results", subject)
    if len(results) > 1:
        raise _vendor.several(len(results), subject, "take FACET out of the query, so that it gives one row")
    if not results:
        return None
    row = _vendor.table(results[0], "results[0]", subject)
    if len(row) != 1:
        keys = harmless(", ".join(row))
        remedy = "select one number, without FACET"
        raise _shape.broken(subject, f"{len(row)} columns: {keys}", expected="one number", remedy=remedy)
    ((column, cell),) = row.items()
    if is_percentile and isinstance(cell, dict) and len(cell) == 1:
        # The numbers that `percentile(…)` gives stand below the percentages that it was asked for: one number below one.
        (cell,) = cell.values()
    return _vendor.number(cell, column, subject)


def _messages(errors: Any) -> str:
    if not isinstance(errors, list):
        return _vendor.said(errors)
    return _vendor.said("; ".join(str(error.get("message", "")) if isinstance(error, dict) else str(error) for error in errors))
