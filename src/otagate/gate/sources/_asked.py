"""From the answers to a policy's queries, each one number or nothing, to a measurement: what other makers' sources share."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from otagate._text import harmless
from otagate.gate.interface import Ask, Measurement, MetricQuery
from otagate.gate.sources import _fill, _secrets, _shape
from otagate.gate.sources._literals import Language
from otagate.policy.model.vendors import Asked

MAX_SHOWN = 300
"""Characters of one query that are kept as evidence."""
_LARGEST_EXACT = 2**53
_NOISE = 1e-9
"""Relative; sums of whole numbers in floating point are off by less."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a store told to one query.

    Attributes:
        number: The number, or None: the store has no data. NaN and the infinities are refused by :func:`measured`.
        raw: The answer's bytes, for the digest.
        note: What a person should know of it, for the evidence; without secrets.
    """

    number: float | None
    raw: bytes
    note: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How one kind of store is asked.

    Attributes:
        language: Of the policy's queries.
        subject: Names the source in messages and in the evidence; without secrets.
        ask: Puts one filled query to the store. The first argument says for what: ``bad``, ``total``, ``newest`` or ``value``.
        is_empty_zero: The store has no series for a counter that never fired: nothing for ``bad`` beside a ``total`` is 0.
        words: Credentials that must not be shown, should a query hold one.
    """

    language: Language
    subject: str
    ask: Callable[[str, str], Told]
    is_empty_zero: bool
    words: tuple[str, ...] = ()


def measured(asked: Asked, query: MetricQuery, manner: Manner) -> Measurement:
    """Ask a store what the policy says, one query after the other, and make a measurement of it.

    The digest is SHA-256 over all raw answers in the order in which they were asked.

    Raises:
        SourceError: A query or an answer cannot be used, or the source cannot give what is asked.
    """
    names = names_of(asked, query, manner.subject)
    filled = {name: _fill.in_query(template, query, manner.language) for name, template in names.items()}
    told = {name: manner.ask(name, text) for name, text in filled.items()}
    digest = hashlib.sha256()
    for answer in told.values():
        digest.update(answer.raw)
    evidence = _evidence(query, filled, told, manner)
    numbers = {name: answer.number for name, answer in told.items()}
    if query.ask is Ask.VALUE:
        value = finite(numbers["value"], "value", manner.subject)
        newest = newest_of(numbers, manner.subject, has_data=value is not None)
        return Measurement(None, None, newest, evidence, digest.hexdigest(), value=value)
    total = devices(numbers["total"], "total", manner.subject)
    bad = devices(numbers["bad"], "bad", manner.subject)
    if bad is None and total:
        if not manner.is_empty_zero:
            raise _shape.no_bad(manner.subject)
        bad, evidence = 0, f"{evidence} (bad: no series, read as 0)"
    newest = newest_of(numbers, manner.subject, has_data=bool(total))
    return Measurement(bad, total, newest, evidence, digest.hexdigest())


def names_of(asked: Asked, query: MetricQuery, subject: str) -> dict[str, str]:
    """Choose the policy's queries for what is asked, by name: ``bad``, ``total`` or ``value``, and ``newest`` if there is one.

    Raises:
        SourceError: The policy has none for it, or only one for several limits.
    """
    _shape.refuse_contrast(query, subject)
    wanted = ("value",) if query.ask is Ask.VALUE else ("bad", "total")
    given = {"bad": asked.bad, "total": asked.total, "value": asked.value, "newest": asked.newest}
    names = {name: text for name in (*wanted, "newest") if (text := given[name]) is not None}
    missing = [name for name in wanted if name not in names]
    if missing:
        raise _shape.broken(subject, f"no query for {' and '.join(missing)}", remedy=f"add `{missing[0]}` to the source")
    if query.over is not None and not _fill.asks_over(*names.values()):
        raise _shape.broken(subject, "one count for several limits", remedy="use {over} in the queries of the source")
    return names


def devices(number: float | None, name: str, subject: str) -> int | None:
    """Take a number as a count of devices: whole, up to the noise of floating point.

    Raises:
        SourceError: It is no whole number.
    """
    if finite(number, name, subject) is None or number is None:
        return None
    nearest = round(number)
    if abs(number - nearest) > _NOISE * max(1.0, abs(number)) or abs(nearest) > _LARGEST_EXACT:
        remedy = "round in the query; a store that estimates counts between its samples gives fractions"
        raise _shape.broken(subject, f"{name} = {number:.12g}", expected=f"{name} as a whole number of devices", remedy=remedy)
    return nearest


def finite(number: float | None, name: str, subject: str) -> float | None:
    """Take a number that can be compared with a limit.

    Raises:
        SourceError: NaN or infinite.
    """
    if number is None or math.isfinite(number):
        return number
    remedy = "mend the query: a division by zero gives this"
    raise _shape.broken(subject, f"{name} = {number}", expected=f"{name} as a number", remedy=remedy)


def newest_of(numbers: dict[str, float | None], subject: str, *, has_data: bool) -> datetime | None:
    """Take the answer to ``newest``, in seconds since 1970, if it was asked.

    Raises:
        SourceError: It is no instant; or there is data and nothing says how old it is, though the policy wants it checked.
    """
    if "newest" not in numbers:
        return None
    number = finite(numbers["newest"], "newest", subject)
    if number is None:
        if has_data:
            raise _shape.broken(subject, "no data for `newest`", expected="an instant in seconds since 1970")
        return None
    try:
        # Not fromtimestamp(): it fails in other ways on other systems.
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    except OverflowError as error:
        found, remedy = f"newest = {number:.12g}", "give seconds since 1970: divide milliseconds by 1000"
        raise _shape.broken(subject, found, expected="an instant in seconds since 1970", remedy=remedy) from error


def _evidence(query: MetricQuery, filled: dict[str, str], told: dict[str, Told], manner: Manner) -> str:
    start, end = _fill.seconds_of(query)
    queries = [f"{name} = {shown(text, manner.words)}" for name, text in filled.items()]
    notes = [f"{name}: {harmless(answer.note)}" for name, answer in told.items() if answer.note]
    return "; ".join([f"{manner.subject} from {start} to {end}", *queries, *notes])


def shown(text: str, words: tuple[str, ...]) -> str:
    """Write a query for the evidence: without credentials, on one line, and bounded."""
    return harmless(" ".join(_secrets.hidden(text, words).split()), MAX_SHOWN)
