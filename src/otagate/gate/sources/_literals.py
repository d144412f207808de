"""Query languages, as far as a value must not become syntax in them: their string literals, comments, and how each is escaped.

Where a language documents an escape, it is used; where it does not, a value that would need one is refused. Versions, channels
and app ids never need it: refusing costs nothing, guessing an escape might.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

Escape = Callable[[str], str | None]
"""Writes a value for one place; None: it cannot stand there."""


class Language(StrEnum):
    """A query language of a metric source."""

    PROMQL = "PromQL"
    FLUX = "Flux"
    GRAPHITE = "Graphite"
    DYNATRACE = "Dynatrace selector"
    NRQL = "NRQL"
    KQL = "KQL"
    CLOUDWATCH = "CloudWatch"
    DATADOG = "Datadog"


@dataclass(frozen=True, slots=True)
class Grammar:
    """What of a language matters here.

    Attributes:
        parts: Regular expressions of string literals and comments, and how a value is written in each. The first match counts.
        bare: How a value is written outside of them.
        before_pattern: What stands before a literal that is read as a pattern, or None.
        pattern: How a value is written in such a pattern, before the literal's own escape.
    """

    parts: tuple[tuple[str, Escape], ...]
    bare: Escape
    before_pattern: re.Pattern[str] | None = None
    pattern: Escape = str


def _only(allowed: str) -> Escape:
    """Take values of these characters alone."""
    whole = re.compile(f"[{allowed}]+", re.ASCII)
    return lambda value: value if whole.fullmatch(value) else None


def _without(refused: str) -> Escape:
    """Take printable values without these characters."""
    return lambda value: None if any(ch in refused or not ch.isprintable() for ch in value) else value


def _backslashed(quote: str) -> Escape:
    """Escape by backslash: the quote, the backslash, and the three control characters that every such language knows."""
    table = str.maketrans({quote: f"\\{quote}", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})

    def escape(value: str) -> str | None:
        escaped = value.translate(table)
        return escaped if escaped.isprintable() else None

    return escape


def _doubled(quote: str) -> Escape:
    """Write the quote twice, which is the only escape of verbatim literals."""
    return lambda value: value.replace(quote, quote * 2) if value.isprintable() else None


def _flux_string(value: str) -> str | None:
    # "${" begins an expression, and a value may end where the template goes on with "{".
    return None if "$" in value else _backslashed('"')(value)


def _graphite_node(value: str) -> str | None:
    # Dots part the nodes of a path; what writes to Graphite puts underscores there, and a version holds none.
    return _WORDS_AND_DASHES(value.replace(".", "_"))


def _datadog_tag(value: str) -> str | None:
    # As Datadog keeps tags: in lower case, with underscores for what they may not hold.
    return _only(r"a-z0-9_./:\-")(value.lower().replace("+", "_"))


def _re2_quoted(value: str) -> str:
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", value)


_WORD = _only("A-Za-z0-9_")
_WORDS_AND_DASHES = _only(r"A-Za-z0-9_\-")
_NAME = _only(r"A-Za-z0-9._+:@/\-")
_DOUBLE = r'"(?:\\.|[^"\\])*"'
_SINGLE = r"'(?:\\.|[^'\\])*'"
_TO_LINE_END = r"[^\n]*"

GRAMMARS = {
    Language.PROMQL: Grammar(
        (
            (_DOUBLE, _backslashed('"')),
            (_SINGLE, _backslashed("'")),
            (r"`[^`]*`", _without("`")),
            (f"#{_TO_LINE_END}", _WORD),
        ),
        _WORD,
        re.compile(r"[=!]~\s*$"),
        _re2_quoted,
    ),
    Language.FLUX: Grammar(
        ((_DOUBLE, _flux_string), (f"//{_TO_LINE_END}", _WORD), (r"[=!]~\s*/(?:\\.|[^/\\])*/", _WORD)),
        _WORD,
    ),
    Language.GRAPHITE: Grammar(
        # An expression of seriesByTag with "=~" is a pattern, in which dots match anything.
        ((r'"[^"]*=~[^"]*"', _WORD), (r"'[^']*=~[^']*'", _WORD), (r'"[^"]*"', _NAME), (r"'[^']*'", _NAME)),
        _graphite_node,
    ),
    Language.DYNATRACE: Grammar(((r'"(?:~.|[^"~])*"', _without('"~')),), _only("A-Za-z0-9_.")),
    Language.NRQL: Grammar(
        (
            (_SINGLE, _without("'\"`\\")),
            (_DOUBLE, _without("'\"`\\")),
            (r"`[^`]*`", _WORD),
            (f"(?:--|//){_TO_LINE_END}", _WORD),
            (r"/\*.*?\*/", _WORD),
        ),
        _WORD,
        re.compile(r"\br?like\s+r?$", re.IGNORECASE),
        _only("A-Za-z0-9 "),
    ),
    Language.KQL: Grammar(
        (
            (r'@"(?:""|[^"])*"', _doubled('"')),
            (r"@'(?:''|[^'])*'", _doubled("'")),
            (r"```.*?```", _without("`")),
            (r"~~~.*?~~~", _without("~")),
            (_DOUBLE, _backslashed('"')),
            (_SINGLE, _backslashed("'")),
            (f"//{_TO_LINE_END}", _WORD),
        ),
        _WORD,
        re.compile(r"\bmatches\s+regex\s*$", re.IGNORECASE),
        _WORD,
    ),
    Language.CLOUDWATCH: Grammar(((r"'[^']*'", _NAME), (r'"[^"]*"', _NAME)), _WORD),
    Language.DATADOG: Grammar(((r'"[^"]*"', _datadog_tag),), _datadog_tag),
}
"""**Source:** the lexical rules in each maker's documentation; PromQL's are also tried on the real program."""
