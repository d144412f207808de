"""What somebody meant who wrote a percentage or a length of time in another way. Pure; for messages only, never for reading."""

from __future__ import annotations

import re
from decimal import Decimal

from otagate.errors import UsageError
from otagate.policy.values import CHECKS

_PERCENTAGES = frozenset({"percent", "share", "increase", "weight"})
_LENGTHS = frozenset({"duration", "span"})
_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,8})?", re.ASCII)
_UNIT = re.compile(r"(?<=\d)(w|d|h|m|s)(?:eeks?|ays?|ours?|rs?|inutes?|ins?|econds?|ecs?)", re.ASCII)


def meant(kind: str, value: object) -> str | None:
    """Give a remedy, such as ``did you mean 2%?`` for ``2``, ``2 %`` or ``2 percent``, or None when nothing comes to mind.

    Args:
        kind: What is expected there: a key of :data:`~otagate.policy.values.CHECKS`.
        value: As it was written.
    """
    text = "".join(str(value).split()).lower()
    guesses = _percentages(text) if kind in _PERCENTAGES else [_UNIT.sub(r"\1", text)] if kind in _LENGTHS else []
    fitting = [guess for guess in dict.fromkeys(guesses) if guess != value and _fits(kind, guess)]
    return f"did you mean {' or '.join(fitting)}?" if fitting else None


def _percentages(text: str) -> list[str]:
    number = text.replace(",", ".").replace("percent", "%").removesuffix("%")
    if not _NUMBER.fullmatch(number):
        return []
    if number == text and (part := Decimal(number)) < 1:
        # A share, or a percentage without its sign: 0.02 may be both.
        return [f"{(part * 100).normalize():f}%", f"{number}%"]
    return [f"{number}%"]


def _fits(kind: str, text: str) -> bool:
    try:
        CHECKS[kind](text)
    except (ValueError, UsageError):
        return False
    return True
