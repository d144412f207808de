"""Placeholders of sources: what they stand for, and how each place that holds them is kept safe.

Values come from the rollout; a release's version or a channel's name must never become a further argument, another folder,
another host, another field of a JSON body or a part of a query.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from otagate._clock import to_text
from otagate._text import harmless
from otagate.gate.interface import MetricQuery, SourceError
from otagate.gate.sources._literals import GRAMMARS, Escape, Language
from otagate.model import Weight

_TEXTS = ("metric", "app", "channel", "release")
"""Their values were chosen by people; all others are numbers and instants that are written here."""
_TIMES = ("start_unix", "end_unix", "start_ms", "end_ms", "window")
NAMES = (*_TEXTS, "start", "end", *_TIMES, "weight", "over")
"""Every placeholder, without its braces."""
_PLACEHOLDER = re.compile(r"\{(" + "|".join(NAMES) + r")\}")
_ESCAPED = re.compile(r"\\.|" + _PLACEHOLDER.pattern, re.DOTALL)


def values_of(query: MetricQuery) -> dict[str, str]:
    """Say what each placeholder stands for.

    ``start`` and ``end`` are RFC 3339 in UTC with microseconds, ``weight`` is in percent without a sign (``5``, ``0.25``),
    ``over`` is in seconds (``45``, ``0.5``) and empty for metrics without limits of time. ``start_unix`` and ``end_unix`` are
    whole seconds since 1970, ``start_ms`` and ``end_ms`` the same instants in milliseconds, and ``window`` is the time between
    them in seconds with its unit (``3600s``), at least ``1s``.
    """
    start, end = seconds_of(query)
    return {
        "metric": query.metric,
        "app": query.app,
        "channel": query.channel,
        "release": query.release,
        "start": to_text(query.start),
        "end": to_text(query.end),
        "start_unix": str(start),
        "end_unix": str(end),
        "start_ms": str(start * 1000),
        "end_ms": str(end * 1000),
        "window": f"{end - start}s",
        "weight": str(Weight(query.weight_bps)).removesuffix("%"),
        "over": "" if query.over is None else f"{query.over.total_seconds():.6f}".rstrip("0").rstrip("."),
    }


def seconds_of(query: MetricQuery) -> tuple[int, int]:
    """Give the window in whole seconds since 1970, end excluded; both ends are rounded down, and one second is the shortest."""
    start = math.floor(query.start.timestamp())
    return start, max(start + 1, math.floor(query.end.timestamp()))


def asks_over(*templates: str | None) -> bool:
    """Tell whether one of the templates holds ``{over}``."""
    return any(template is not None and "{over}" in template for template in templates)


def plain(template: str, query: MetricQuery) -> str:
    """Fill a template as it is: for an argument, which no shell will read."""
    values = values_of(query)
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def in_url(template: str, query: MetricQuery) -> str:
    """Fill a URL: every value is percent-encoded, also ``/``, ``?``, ``#``, ``&`` and ``@``."""
    values = values_of(query)
    return _PLACEHOLDER.sub(lambda match: quote(values[match[1]], safe=""), template)


def in_json(template: str, query: MetricQuery) -> str:
    """Fill a JSON text: every value is escaped as within a JSON string."""
    values = values_of(query)
    return _PLACEHOLDER.sub(lambda match: json.dumps(values[match[1]])[1:-1], template)


def in_query(template: str, query: MetricQuery, language: Language) -> str:
    """Fill a query: a value within a string literal stays within it, one outside is a plain word or nothing.

    Args:
        template: The query, with placeholders.
        query: What they stand for.
        language: Decides where literals begin and end, and how a value is escaped.

    Raises:
        SourceError: A value cannot stand where its placeholder does.
    """
    grammar, values = GRAMMARS[language], values_of(query)
    parts = "|".join(f"({part})" for part, _ in grammar.parts)

    def written(found: re.Match[str]) -> str:
        # A placeholder outside of every part makes none of their groups, so that lastindex is its own.
        number = found.lastindex or 0
        if number > len(grammar.parts):
            return _filled(found[0], values, grammar.bare)
        escape = grammar.parts[number - 1][1]
        if grammar.before_pattern is not None and grammar.before_pattern.search(template[: found.start()]):
            return _filled(found[0], values, lambda value: _both(grammar.pattern, escape, value))
        return _filled(found[0], values, escape)

    try:
        return re.sub(f"{parts}|({_PLACEHOLDER.pattern})", written, template, flags=re.DOTALL)
    except _RefusedError as refused:
        raise SourceError(
            "a placeholder's value cannot stand in a query",
            subject=f"{language} query `{harmless(template)}`",
            expected="a value that nothing in the query could take for syntax",
            found=f"{refused.name} '{harmless(values[refused.name])}'",
            remedy="put the placeholder into a string literal of the query that is no pattern, or rename the thing",
        ) from refused


class _RefusedError(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _filled(text: str, values: dict[str, str], escape: Escape) -> str:
    # A backslash takes the next character with it: it must not take a part of what a placeholder stands for.
    return _ESCAPED.sub(lambda found: found[0] if found[1] is None else _written(found[1], values, escape), text)


def _written(name: str, values: dict[str, str], escape: Escape) -> str:
    written = escape(values[name]) if name in _TEXTS else values[name]
    if written is None:
        raise _RefusedError(name)
    return written


def _both(first: Escape, second: Escape, value: str) -> str | None:
    written = first(value)
    return None if written is None else second(written)


def path_below(root: Path, template: str, query: MetricQuery) -> Path:
    """Fill a path and place it below ``root``; the template itself may be absolute or lead upwards, a value may not.

    Raises:
        SourceError: A value would lead to another folder.
    """
    for name in _PLACEHOLDER.findall(template):
        value = values_of(query)[name]
        if "/" in value or "\\" in value or "\0" in value:
            raise _leads_away(template, name, value)
    filled = plain(template, query)
    # Two harmless values side by side may still spell "..".
    if PurePosixPath(filled).parts.count("..") != PurePosixPath(template).parts.count(".."):
        raise _leads_away(template, "release", filled)
    return root / filled


def _leads_away(template: str, name: str, value: str) -> SourceError:
    return SourceError(
        "a placeholder would lead to another folder",
        subject=f"file source {harmless(template)}",
        expected=f"a {name} without '/' and '..'",
        found=f"'{harmless(value)}'",
        remedy="rename it, or take the placeholder out of the path",
    )
