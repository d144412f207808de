"""What the sources of other makers share in reading JSON answers: the shape that a maker documents, or an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from otagate._text import harmless
from otagate.gate.interface import SourceError
from otagate.gate.sources import _secrets, _shape
from otagate.gate.sources._door import document
from otagate.gate.sources._exchange import Answer

_T = TypeVar("_T")

_SAID = 300
"""Characters of a store's own words that are shown."""


def understood(answer: Answer, read: Callable[[Any], _T], subject: str, words: tuple[str, ...]) -> _T:
    """Parse an answer and read out of it what is wanted.

    Raises:
        SourceError: It cannot be used; credentials (``words``) that the store repeats are not shown.
    """
    try:
        return read(document(answer, subject))
    except SourceError as error:
        raise _secrets.guarded(error, answer.body, words) from error


def table(value: Any, name: str, subject: str) -> dict[str, Any]:
    """Take a value as a JSON object.

    Raises:
        SourceError: It is none.
    """
    if isinstance(value, dict):
        return value
    raise unlike(name, "an object", subject)


def rows(value: Any, name: str, subject: str) -> list[Any]:
    """Take a value as a JSON list.

    Raises:
        SourceError: It is none.
    """
    if isinstance(value, list):
        return value
    raise unlike(name, "a list", subject)


def number(value: Any, name: str, subject: str) -> float | None:
    """Take a value as a number; null means that the store has no data.

    Raises:
        SourceError: It is neither.
    """
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise unlike(name, "a number", subject)


def unlike(name: str, expected: str, subject: str) -> SourceError:
    """Make the error of an answer of another shape than its maker documents."""
    return _shape.broken(subject, f"`{harmless(name)}` is not {expected}", expected=f"`{harmless(name)}` as {expected}")


def several(count: int, subject: str, remedy: str) -> SourceError:
    """Make the error of an answer with more series or rows than one."""
    return _shape.broken(subject, f"{count} series", expected="one series", remedy=remedy)


def said(value: Any) -> str:
    """Write a store's own words on one line. It is not cut here: a half of a credential would not be known again."""
    return " ".join(str(value).split())


def refused(subject: str, words: str) -> SourceError:
    """Make the error of a store that answered that it cannot."""
    return _shape.broken(subject, harmless(words, _SAID), remedy="check the query of the source")
