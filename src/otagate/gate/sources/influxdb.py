"""Counts and numbers by Flux, from InfluxDB 2.

**Source:** InfluxData, "API v2", ``POST /api/v2/query``, and "Annotated CSV": tables with annotations, a header, and rows; an
error after the answer began is a table with the columns ``error`` and ``reference``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from otagate._clock import from_text, to_text
from otagate._text import harmless
from otagate.gate.interface import Measurement, MetricQuery, SourceError
from otagate.gate.sources import _fill, _shape
from otagate.gate.sources._asked import Manner, Told, measured
from otagate.gate.sources._door import Door, address, json_or_none
from otagate.gate.sources._exchange import Answer
from otagate.gate.sources._literals import Language
from otagate.gate.sources._opened import Opened
from otagate.policy.model.vendors import InfluxdbSource

PATH = "/api/v2/query"
_DIALECT = {"header": True, "annotations": ["datatype", "default"]}


class InfluxdbMetrics(Opened[InfluxdbSource]):
    """See MetricSource. No row is no data, never 0: also not for ``bad``."""

    def read(self, query: MetricQuery) -> Measurement:
        """See MetricSource.read."""
        spec = self._spec
        subject = f"InfluxDB {address(spec.url)}"
        token = self._wire.secret(spec.token, f"{subject}, token")
        door = Door(self._wire, spec.url, (("Authorization", f"Token {token}"),), spec.timeout)
        path = f"{PATH}?{urlencode({'org': spec.org})}"
        headers = (("Content-Type", "application/json"), ("Accept", "application/csv"))

        end = to_text(datetime.fromtimestamp(_fill.seconds_of(query)[1], UTC))

        def ask(name: str, text: str) -> Told:
            # What a query says relative to now is relative to the end of the window.
            body = json.dumps({"query": text, "type": "flux", "dialect": _DIALECT, "now": end})
            answer = door.post(path, body, headers, subject, explained)
            try:
                return Told(_number(_rows(answer, subject), name, subject), answer.body)
            except SourceError as error:
                raise door.guarded(error, answer.body) from error

        manner = Manner(Language.FLUX, subject, ask, is_empty_zero=False, words=door.words)
        return measured(spec.ask, query, manner)


def explained(body: bytes) -> str | None:
    """Find what the server says is wrong: ``code`` and ``message`` of a refusal."""
    value = json_or_none(body)
    if not isinstance(value, dict):
        return None
    return ": ".join(part for part in (value.get("code"), value.get("message")) if isinstance(part, str) and part) or None


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: cells and datatypes by column."""

    cells: Mapping[str, str]
    types: Mapping[str, str]


def _rows(answer: Answer, subject: str) -> list[_Row]:
    if "csv" not in answer.content_type.lower():
        remedy = "check the URL and the credentials: this may be a log-in page"
        raise _shape.broken(subject, f"an answer of type {harmless(answer.content_type, 60)}", expected="CSV", remedy=remedy)
    try:
        text = answer.body.decode("utf-8")
        rows = list(_tables(text, subject))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _shape.broken(subject, harmless(str(error)), expected="annotated CSV") from error
    # Every table ends with its line: without it, the last number may be a part of one.
    if text.strip() and not text.endswith("\n"):
        raise _shape.broken(subject, "an answer that breaks off", expected="whole lines")
    return rows


def _tables(text: str, subject: str) -> Iterator[_Row]:
    columns: list[str] | None = None
    notes: dict[str, list[str]] = {}
    for line in csv.reader(text.splitlines(), strict=True):
        if not any(line):
            # An empty line ends a table, and what was said of its columns.
            columns, notes = None, {}
        elif line[0].startswith("#"):
            notes = {**notes, line[0]: line} if columns is None else {line[0]: line}
            columns = None
        elif columns is None:
            columns = line
        else:
            yield _row(columns, notes, line, subject)


def _row(columns: list[str], notes: dict[str, list[str]], line: list[str], subject: str) -> _Row:
    if len(line) != len(columns):
        raise _shape.broken(subject, f"a row of {len(line)} of {len(columns)} columns", expected="annotated CSV")
    defaults = notes.get("#default", [])
    filled = [cell or (defaults[at] if at < len(defaults) else "") for at, cell in enumerate(line)]
    row = _Row(dict(zip(columns, filled, strict=True)), dict(zip(columns, notes.get("#datatype", []), strict=False)))
    if "error" in row.cells and "reference" in row.cells:
        raise _shape.broken(subject, f"an error: {harmless(row.cells['error'], 300)}", expected="a whole answer")
    return row


def _number(rows: list[_Row], name: str, subject: str) -> float | None:
    if not rows:
        return None
    if len(rows) > 1:
        remedy = "aggregate them: `|> group() |> sum()`"
        raise _shape.broken(subject, f"{len(rows)} rows for {name}", expected="one row", remedy=remedy)
    (row,) = rows
    if name == "newest" and "_time" in row.cells and "_value" not in row.cells:
        return _seconds(row.cells["_time"], subject)
    if "_value" not in row.cells:
        raise _shape.broken(subject, f"a row without `_value` for {name}", expected="the column `_value`")
    cell = row.cells["_value"]
    if not cell:
        return None
    if row.types.get("_value", "double") not in {"double", "long", "unsignedLong"}:
        raise _shape.broken(subject, f"`_value` of type {harmless(row.types['_value'], 40)}", expected="a number")
    try:
        return float(cell)
    except ValueError as error:
        raise _shape.broken(subject, f"`_value` is '{harmless(cell, 40)}'", expected="a number") from error


def _seconds(text: str, subject: str) -> float | None:
    if not text:
        return None
    try:
        instant: datetime = from_text(text)
    except ValueError as error:
        raise _shape.broken(subject, f"`_time` is '{harmless(text, 40)}'", expected="an RFC 3339 instant") from error
    return instant.timestamp()
