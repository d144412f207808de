"""Dotted paths into a JSON answer: ``data.crashed``, ``rows[0].bad``, ``points[-1][1]``."""

from __future__ import annotations

import re
from typing import Any

from otagate._text import harmless
from otagate.errors import PolicyError

MISSING = object()
"""What :func:`lookup` gives when the answer has nothing at the path."""
_FIRST = re.compile(r"([^.\[\]]+)|\[(-?[0-9]{1,6})\]", re.ASCII)
_NEXT = re.compile(r"\.([^.\[\]]+)|\[(-?[0-9]{1,6})\]", re.ASCII)

Path = tuple[str | int, ...]


class ManyError(LookupError):
    """The path meets a list of several elements and does not say which."""


def parse(text: str, field: str) -> Path:
    """Read a path: keys joined by dots, list elements as ``[0]``, from the end as ``[-1]``.

    Raises:
        PolicyError: It is no such path.
    """
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        match = (_NEXT if at else _FIRST).match(text, at)
        if match is None:
            break
        steps.append(match[1] if match[2] is None else int(match[2]))
        at = match.end()
    if at < len(text) or not steps:
        raise PolicyError(
            "this is not a path into an answer",
            subject=f"`{field}` of an http metric source",
            expected="keys and list places such as `data.rows[0].bad`",
            found=f"'{harmless(text)}'",
        )
    return tuple(steps)


def lookup(value: Any, path: Path) -> Any:
    """Follow a path; a list of one element is entered by itself.

    Returns:
        What stands there, or :data:`MISSING`.

    Raises:
        ManyError: A list of several elements is met without a place in it.
    """
    for step in path:
        if isinstance(step, str):
            value = _only(value)
            value = value.get(step, MISSING) if isinstance(value, dict) else MISSING
        elif isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return MISSING
    return _only(value)


def _only(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if len(value) > 1:
        raise ManyError(len(value))
    return value[0] if value else MISSING
