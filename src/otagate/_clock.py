"""Time as an argument: the one place that reads the wall clock, and the text form of an instant."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What use cases need of time; tests pass one that jumps."""

    def now(self) -> datetime:
        """Give the current instant, aware, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """See Clock.now; whole microseconds are kept."""
        return datetime.now(tz=UTC)

    def sleep(self, seconds: float) -> None:
        """See Clock.sleep."""
        time.sleep(max(0.0, seconds))


def to_text(instant: datetime) -> str:
    """Write an aware instant as RFC 3339 in UTC with microseconds, e.g. ``2026-11-21T09:30:00.000000Z``."""
    # strftime("%Y") writes years before 1000 with three digits on some systems.
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_text(text: str) -> datetime:
    """Read what :func:`to_text` wrote, and any RFC 3339 instant with an offset.

    Raises:
        ValueError: Not an instant, or one without an offset.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        message = f"{text!r} has no offset from UTC"
        raise ValueError(message)
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:  # at the edges of the calendar, with an offset
        message = f"{text!r} is not within the years 1 to 9999"
        raise ValueError(message) from error
