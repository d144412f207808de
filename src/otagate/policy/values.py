"""Texts of a policy to values: lengths of time, percentages, sizes. Pure; also what ``schema.json`` means by its patterns.

Every reader raises ``ValueError`` with the words for what was expected; the caller knows the place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from otagate.model import Weight

DURATION_WORDS = "a length of time such as 30m, 24h or 2h30m (units ms s m h d w)"
PERCENT_WORDS = "a percentage such as 5% or 0.5%"
SIZE_WORDS = "a number of bytes, or a size such as 50MB or 50MiB"

MAX_DURATION = timedelta(days=366)
"""Longest length of time that makes sense in a policy; longer ones are typing errors."""

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(
    r"(?:(?P<w>\d{1,9})w)?(?:(?P<d>\d{1,9})d)?(?:(?P<h>\d{1,9})h)?(?:(?P<m>\d{1,9})m)?"
    r"(?:(?P<s>\d{1,9})s)?(?:(?P<ms>\d{1,9})ms)?",
    re.ASCII,
)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%", re.ASCII)
# Source: IEC 80000-13 (binary prefixes) and SI (decimal prefixes).
_SIZE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"(\d{1,15})(B|KB|MB|GB|KiB|MiB|GiB)", re.ASCII)
_FULL = Decimal(100)
_INCREASE = re.compile(r"(\d{1,4}(?:\.\d{1,6})?)%", re.ASCII)
_MAX_INCREASE = Decimal(10)
MAX_DIGITS = 15
"""So many significant digits of a decimal number survive its way through a double (IEEE 754, binary64)."""


def duration(text: str) -> timedelta:
    """Read a length of time: whole numbers with units, largest first, such as ``2h30m``.

    Raises:
        ValueError: Not a length of time, or longer than ``MAX_DURATION``.
    """
    match = _DURATION.fullmatch(text)
    if not text or not match:
        raise ValueError(DURATION_WORDS)
    whole_ms = sum(int(count) * _UNITS_MS[unit] for unit, count in match.groupdict().items() if count)
    if whole_ms > MAX_DURATION // timedelta(milliseconds=1):
        raise ValueError(f"{DURATION_WORDS}, at most {MAX_DURATION.days}d")
    return timedelta(milliseconds=whole_ms)


def percent(text: str) -> Decimal:
    """Read a percentage as an exact share: ``0.5%`` is ``Decimal("0.005")``.

    Raises:
        ValueError: Not a percentage from 0% to 100%.
    """
    match = _PERCENT.fullmatch(text)
    if not match:
        raise ValueError(PERCENT_WORDS)
    if Decimal(match[1]) > _FULL:
        raise ValueError(f"{PERCENT_WORDS}, at most 100%")
    return Decimal(match[1]) / _FULL


def size(value: int | str) -> int:
    """Read a number of bytes: an integer, or a text such as ``50MB`` (decimal) or ``50MiB`` (binary).

    Raises:
        ValueError: Not a size, or not positive.
    """
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    count = value if isinstance(value, int) else int(match[1]) * _SIZE_UNITS[match[2]] if match else 0
    if count <= 0:
        raise ValueError(SIZE_WORDS)
    return count


def span(text: str) -> timedelta:
    """Read a length of time that is longer than none.

    Raises:
        ValueError: Not a length of time, zero, or longer than ``MAX_DURATION``.
    """
    length = duration(text)
    if not length:
        raise ValueError(f"{DURATION_WORDS}, longer than 0s")
    return length


def share(text: str) -> Decimal:
    """Read a percentage between 0% and 100%, both excluded: a limit that a count can keep and can break.

    Raises:
        ValueError: Not such a percentage.
    """
    value = percent(text)
    if not 0 < value < 1:
        raise ValueError("a percentage of more than 0% and less than 100%")
    return value


def increase(text: str) -> Decimal:
    """Read a relative increase as an exact share: ``50%`` is ``Decimal("0.5")``.

    Raises:
        ValueError: Not a percentage of more than 0% and at most 1000%.
    """
    match = _INCREASE.fullmatch(text)
    value = Decimal(match[1]) / _FULL if match else Decimal(0)
    if not 0 < value <= _MAX_INCREASE:
        raise ValueError("a percentage of more than 0% and at most 1000%")
    return value


def number(value: float) -> Decimal:
    """Read a number as the policy writes it; exact for those of at most ``MAX_DIGITS`` digits."""
    return Decimal(str(value))


def digits(text: str) -> int:
    """Count the significant digits of a number as written; text that is none has none."""
    try:
        return len(Decimal(text).normalize().as_tuple().digits)
    except InvalidOperation:
        return 0


def length_of(text: object) -> timedelta | None:
    """Read a length of time, or give None for anything else; for checks that leave that to the schema."""
    try:
        return duration(text) if isinstance(text, str) else None
    except ValueError:
        return None


def share_of(text: object) -> Decimal | None:
    """Read a percentage as an exact share, or give None for anything else; for checks that leave that to the schema."""
    try:
        return percent(text) if isinstance(text, str) else None
    except ValueError:
        return None


def percent_text(part: Decimal) -> str:
    """Write an exact share as a policy does: ``0.5%``."""
    return f"{(part * 100).normalize():f}%"


CHECKS: dict[str, Callable[[str], object]] = {
    "duration": duration,
    "span": span,
    "percent": percent,
    "share": share,
    "increase": increase,
    "size": size,
    "weight": Weight.parse,
}
"""What ``x-kind`` in ``schema.json`` names: bounds that a pattern cannot say."""
