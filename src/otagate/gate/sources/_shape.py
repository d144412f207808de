"""The JSON that file and command sources give, read strictly; docs/gates.md describes it for people.

``{"bad": int, "total": int, "newest_at": "RFC 3339"?}``, alone or under the metric's name, and for exceedance metrics one such
object a limit: ``{"over": {"45s": {...}, "120s": {...}}}``. For gates on a plain number ``{"value": 12.5, "newest_at": ...}``.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import re
from datetime import datetime, timedelta
from typing import Any

from otagate import _canonical
from otagate._clock import from_text
from otagate._text import harmless, nearest, span
from otagate.gate.interface import Ask, Measurement, MetricQuery, SourceError

MAX_BYTES = 1024 * 1024
"""Largest answer that is read, in bytes."""
_VALUE_KEYS = ("value", "newest_at")
_COUNT_KEYS = ("bad", "total", "newest_at")
_COUNTING = frozenset({"bad", "total", "over", "value"})
_LARGEST = 1e300
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+", re.ASCII)


def measurement(data: bytes, query: MetricQuery, *, subject: str, told_over: bool) -> Measurement:
    """Read one measurement out of a source's answer.

    Args:
        data: The raw answer.
        query: What was asked.
        subject: Names the source in messages and in the evidence; without secrets.
        told_over: The source was told which limit is meant, so that one object answers for one limit.

    Raises:
        SourceError: Not strict JSON of the shape above.
    """
    refuse_contrast(query, subject)
    value = parse(data, subject)
    digest = hashlib.sha256(data).hexdigest()
    counts = _select(value, query, subject, told_over=told_over)
    if counts is None:
        return Measurement(None, None, None, f"{subject}{_lacks(value, query)}", digest)
    _refuse_unknown(counts, _VALUE_KEYS if query.ask is Ask.VALUE else _COUNT_KEYS, subject)
    newest_at = instant(counts.get("newest_at"), subject)
    if query.ask is Ask.VALUE:
        return Measurement(None, None, newest_at, subject, digest, number(counts.get("value"), "value", subject))
    total = count(counts.get("total"), "total", subject)
    bad = count(counts.get("bad"), "bad", subject)
    if bad is None and total:
        raise no_bad(subject)
    return Measurement(bad, total, newest_at, subject, digest)


def parse(data: bytes, subject: str) -> Any:
    """Parse strict JSON, in UTF-8; the mark that programs on Windows put before it is overlooked.

    **Source:** RFC 8259 section 8.1 leaves that mark to the reader.

    Raises:
        SourceError: It is none, or larger than :data:`MAX_BYTES`.
    """
    try:
        return _canonical.loads(data.removeprefix(codecs.BOM_UTF8), max_bytes=MAX_BYTES)
    except json.JSONDecodeError as error:
        start = harmless(data[:40].decode("utf-8", "replace"))
        found = f"line {error.lineno}, column {error.colno}: {error.msg}; it begins with '{start}'" if data else "nothing"
        raise broken(subject, found, expected="JSON") from error
    except ValueError as error:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            remedy = "write it in UTF-8: with Windows PowerShell by `Out-File -Encoding utf8`"
            raise broken(subject, "UTF-16", expected="JSON in UTF-8", remedy=remedy) from error
        raise broken(subject, harmless(str(error)), expected="strict JSON") from error


def count(value: Any, name: str, subject: str) -> int | None:
    """Take a value as a count of devices; null means that the source knows none.

    Raises:
        SourceError: It is neither an integer nor null.
    """
    if value is None or type(value) is int:
        return value
    found = f"{name} = {harmless(json.dumps(value, ensure_ascii=False), 60)}"
    raise broken(subject, found, expected=f"{name} as a whole number of devices", remedy="report counts, not shares or texts")


def number(value: Any, name: str, subject: str) -> float | None:
    """Take a value as a plain number; null means that the source has no data.

    Raises:
        SourceError: It is neither a finite number nor null.
    """
    if value is None:
        return None
    # An integer may be too large for a float; such a one is no measurement either.
    if type(value) in {int, float} and abs(value) <= _LARGEST and math.isfinite(value):
        return float(value)
    found = f"{name} = {harmless(json.dumps(value, ensure_ascii=False), 60)}"
    raise broken(subject, found, expected=f"{name} as a number such as 12.5")


def instant(value: Any, subject: str) -> datetime | None:
    """Take a value as the newest observation; null means that the source cannot tell.

    Raises:
        SourceError: It is neither an RFC 3339 instant with an offset nor null.
    """
    if value is None:
        return None
    try:
        return from_text(value)
    except (ValueError, TypeError, OverflowError) as error:
        found = f"newest_at = {harmless(json.dumps(value, ensure_ascii=False), 60)}"
        raise broken(subject, found, expected="newest_at such as 2026-11-21T09:30:00Z") from error


def refuse_contrast(query: MetricQuery, subject: str) -> None:
    """Refuse to compare: only telemetry counts the release and its control side by side.

    Raises:
        SourceError: A contrast is asked.
    """
    if query.ask is Ask.CONTRAST:
        raise broken(
            subject,
            "a gate with `max_increase`",
            expected="a gate with `max`, `min`, `limits`, `split` or `value`",
            remedy="take `telemetry` as the source of this gate",
        )


def broken(subject: str, found: str, *, expected: str | None = None, remedy: str | None = None) -> SourceError:
    """Make the error of a source whose answer cannot be used."""
    return SourceError("the metric source's answer cannot be used", subject, expected, found, remedy)


def no_bad(subject: str) -> SourceError:
    """Make the error of an answer that counts devices and does not say how many are bad: silence is not zero."""
    return broken(subject, "no bad count", expected="bad and total", remedy="answer `bad: 0` when no device failed")


def _select(value: Any, query: MetricQuery, subject: str, *, told_over: bool) -> dict[str, Any] | None:
    found = _object(value, "the answer", subject)
    if found is not None and not _COUNTING & found.keys():
        found = _object(found.get(query.metric), query.metric, subject)
    if found is None or query.over is None:
        return found
    if "over" in found:
        by_limit = _object(found["over"], "over", subject) or {}
        same = next((key for key in by_limit if _duration(key, subject) == query.over), None)
        return None if same is None else _object(by_limit[same], f"over.{same}", subject)
    if not told_over:
        remedy = f"answer `over: {{{span(query.over)}: {{bad, total}}}}`, or use {{over}} in the source"
        raise broken(subject, "one count for several limits", expected="one count a limit", remedy=remedy)
    return found


def _lacks(value: Any, query: MetricQuery) -> str:
    """Say that an answer about other metrics has nothing about this one: its name may be misspelt there."""
    if not isinstance(value, dict) or not value or _COUNTING & value.keys() or query.metric in value:
        return ""
    near = nearest(query.metric, value)
    return f" (no {query.metric} in it{f', but {harmless(near, 60)}' if near else ''})"


def _refuse_unknown(given: dict[str, Any], known: tuple[str, ...], subject: str) -> None:
    for key in given:
        if key not in known:
            near = nearest(key, known)
            hint = f"did you mean `{near}`?" if near else "remove it"
            raise broken(subject, f"an unknown key '{harmless(key)}'", expected=", ".join(known), remedy=hint)


def _object(value: Any, name: str, subject: str) -> dict[str, Any] | None:
    if value is None or isinstance(value, dict):
        return value
    raise broken(subject, f"{harmless(name)} is no object", expected='{"bad": int, "total": int, "newest_at": text}')


def _duration(text: str, subject: str) -> timedelta:
    if not _SPAN.fullmatch(text):
        raise broken(subject, f"over.{harmless(text)}", expected="a length of time such as 45s")
    parts = re.findall(r"([0-9.]+)(ms|s|m|h|d)", text)
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))
