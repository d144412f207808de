"""Conditional requests and ranges, for bytes that never change under their name. Pure. **Source:** RFC 9110, §13 and §14."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(rb"bytes[ \t]*=[ \t]*(?P<first>[0-9]*)-(?P<last>[0-9]*)[ \t]*", re.ASCII | re.IGNORECASE)
_TAG = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes from ``start`` on, ``length`` of them."""

    start: int
    length: int


class Unsatisfiable(Exception):  # noqa: N818 - an answer, 416
    """The range begins after the end, or is the last 0 bytes."""


def wanted_part(header: bytes | None, size: int) -> Part | None:
    """Read a Range header.

    Args:
        header: Its value, or None.
        size: Bytes that there are.

    Returns:
        The part, or None for all of it: there is no such header, it is not understood, or it asks for several parts.

    Raises:
        Unsatisfiable: 416.
    """
    match = _RANGE.fullmatch(header) if header is not None else None
    if match is None:
        return None
    first, last = match["first"], match["last"]
    if max(len(first), len(last)) > _MAX_DIGITS or not (first or last):
        return None
    if not first:
        length = min(int(last), size)
        if not length:
            raise Unsatisfiable
        return Part(size - length, length)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    end = min(int(last), size - 1) if last else size - 1
    return Part(start, end - start + 1)


def is_same(if_range: bytes | None, tag: bytes) -> bool:
    """Tell whether a Range header counts: there is no If-Range, or it names these bytes. Dates and weak tags never do."""
    return if_range is None or if_range.strip() == tag


def is_known(if_none_match: bytes | None, tag: bytes) -> bool:
    """Tell whether the client has these bytes by If-None-Match, which compares weakly."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == b"*" or tag in _TAG.findall(if_none_match)
