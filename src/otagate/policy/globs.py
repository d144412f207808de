"""Branch patterns, and names made fit for channels and versions. Pure; patterns are trusted, branch names are not."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum

_TOKENS = re.compile(r"\*\*+|\*|\?|.", re.DOTALL)
# Private-use characters: no pattern holds them, so only a wildcard can match them.
_SAMPLE_NAMES = {"**": ("", "\ue000", "\ue000/\ue001"), "*": ("", "\ue000"), "?": ("\ue000",)}
_MAX_SLUG = 40


class RefKind(StrEnum):
    """What a pattern is about. A branch that is called ``tags/v1`` is still a branch."""

    BRANCH = "branch"
    TAG = "tag"
    PULL = "pull request"


def kind_of(pattern: str) -> RefKind:
    """Tell whether a pattern is about tags (``tags/…``), pull requests (``pulls/…``) or branches (all others)."""
    if pattern.startswith("tags/"):
        return RefKind.TAG
    return RefKind.PULL if pattern.startswith("pulls/") else RefKind.BRANCH


def matches(pattern: str, name: str) -> bool:
    """Tell whether a glob matches a whole name: ``*`` within one part, ``**`` across ``/``, ``?`` one character.

    The time is bounded by the product of both lengths, whatever the name: anybody can name a branch.
    """
    tokens = _TOKENS.findall(pattern)
    states = _skip({0}, tokens)
    for char in name:
        states = _skip({after for state in states for after in _step(tokens, state, char)}, tokens)
    return len(tokens) in states


def _step(tokens: list[str], state: int, char: str) -> tuple[int, ...]:
    part = tokens[state] if state < len(tokens) else ""
    if part.startswith("*"):
        return (state,) if char != "/" or len(part) > 1 else ()
    return (state + 1,) if part == char or (part == "?" and char != "/") else ()


def _skip(states: set[int], tokens: list[str]) -> set[int]:
    """Add what can be reached without a character: a star may match nothing."""
    reached = set(states)
    for state in states:
        after = state
        while after < len(tokens) and tokens[after].startswith("*"):
            after += 1
            reached.add(after)
    return reached


def covers(earlier: str, later: str) -> bool:
    """Tell whether everything that ``later`` matches is matched by ``earlier`` already, so that it can never decide."""
    if kind_of(earlier) is not kind_of(later):
        return False
    names = [""]
    for token in _TOKENS.findall(later):
        samples = _SAMPLE_NAMES.get(token[:2], (token,))
        names = [name + sample for name in names for sample in samples][:256]
    return all(matches(earlier, name) for name in names)


def slug(text: str, limit: int = _MAX_SLUG) -> str:
    """Make any text fit for a channel name or a version: letters, digits and ``-``; never empty.

    A text that had to be changed gets six hex digits of its SHA-256 behind it, so that ``a/b`` and ``a-b`` stay apart.
    """
    plain = re.sub(r"[^0-9A-Za-z]+", "-", text).strip("-")
    if plain == text and len(plain) <= limit and plain:
        return plain
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{plain[: limit - 7].rstrip('-')}-{mark}".lstrip("-")
