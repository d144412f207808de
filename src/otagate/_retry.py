"""Trying again: full jitter, what the service asks for, and an end in time. One rule for every service."""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on.

    Attributes:
        total: Seconds from the first attempt after which none is begun.
        first: Most seconds of the first wait; each further one may be twice as long.
        longest: Most seconds of any wait that the service did not ask for.
    """

    total: float = 60.0
    first: float = 0.2
    longest: float = 10.0


@dataclass(frozen=True, slots=True)
class Again:
    """The verdict that a failure may pass: ``after`` is what the service asked to wait, in seconds, or None."""

    after: float | None = None


def persist(
    action: Callable[[], _T],
    verdict: Callable[[Exception], Again | None],
    patience: Patience | None = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
) -> _T:
    """Carry out ``action`` until it succeeds, fails for good or time is up.

    The waits are uniform between 0 and a bound that doubles: "full jitter". **Source:** M. Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015. What the service asks for (``Retry-After``) is never undercut: when it leads past the
    end, the failure is raised at once.

    Args:
        action: What to do; it must be safe to do twice.
        verdict: Of an exception: :class:`Again` when trying again may help, else None.
        patience: How long.
        sleep: Waits so many seconds.
        monotonic: A clock in seconds.
        jitter: A random number in [0, 1).

    Raises:
        Exception: The last failure, unchanged.
    """
    patience = patience or Patience()
    end, bound = monotonic() + patience.total, patience.first
    while True:
        try:
            return action()
        except Exception as error:
            again = verdict(error)
            if again is None:
                raise
            wait = min(bound, patience.longest) * jitter()
            if again.after is not None:
                wait += again.after
            if monotonic() + wait >= end:
                raise
        sleep(wait)
        bound *= 2


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Read a ``Retry-After`` header: seconds, or an HTTP date. None when there is none or it says nothing of use.

    **Source:** RFC 9110, 10.2.3.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # OverflowError: an offset of many digits
        return None
    when = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())
