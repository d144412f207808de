"""Versions as devices tell them, in an order that can be compared. Pure; parsing is remembered within bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

Order = tuple[int, int, int, tuple[tuple[int, int, str], ...]]
"""Compares as semantic versions do: major, minor, patch, identifiers of the pre-release."""

Plugin = tuple[int, int, int]
"""Major, minor and patch of a plugin version."""

AFTER_STRAYS: Mapping[int, Plugin] = {9: (9, 0, 1), 10: (10, 0, 1)}
"""By major: above the packages 9.0.0 and 10.0.0, which are builds of 2023 and do what 5.9 does. **Source:** these packages,
read; 10.0.0 is what npm calls the latest."""

MAX_CHARS = 128
_KEPT = 4096
"""Texts that are remembered for each function: a fleet has hundreds; who sends others only evicts."""

# Source: semver.org 2.0.0; numeric parts bounded as in otagate.model.
_SEMVER = re.compile(
    r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})"
    r"(?:-((?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_LEADING = re.compile(r"[vV]?([0-9]{1,9})(?:\.([0-9]{1,9}))?(?:\.([0-9]{1,9}))?(?![0-9])", re.ASCII)
_PLUGIN = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,5})(?:[-+.][0-9A-Za-z.+-]{1,60})?", re.ASCII)
_RELEASED = ((2, 0, ""),)
"""Above the identifiers of every pre-release."""


@lru_cache(_KEPT)
def order(text: str) -> Order | None:
    """Give the place of a strict semantic version among others, or None when it is none. Build metadata has no weight."""
    match = _SEMVER.fullmatch(text) if len(text) <= MAX_CHARS else None
    if match is None:
        return None
    return int(match[1]), int(match[2]), int(match[3]), _identifiers(match[4])


@lru_cache(_KEPT)
def coerce(text: str) -> str | None:
    """Make a semantic version of a native version, or give None: ``1`` is ``1.0.0``, ``v1.2 (34)`` is ``1.2.0``.

    A semantic version stays as it is; of another text the numbers at its beginning count, as many as three.
    """
    text = text.strip()
    if len(text) > MAX_CHARS:
        return None
    if order(text) is not None:
        return text
    match = _LEADING.match(text)
    return ".".join(str(int(part or 0)) for part in match.groups()) if match else None


@lru_cache(_KEPT)
def plugin(text: str) -> Plugin | None:
    """Read a plugin version, ``x.y.z`` with any suffix, or give None."""
    match = _PLUGIN.fullmatch(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _identifiers(pre: str | None) -> tuple[tuple[int, int, str], ...]:
    if pre is None:
        return _RELEASED
    # By semver.org, item 11: numbers compare as numbers and come before words; fewer identifiers before more.
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split("."))
