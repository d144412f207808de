"""When weights may rise: windows and freezes, in local time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """When weights may rise, every week, in local time.

    Attributes:
        days: 0 Monday to 6 Sunday, on which it opens.
        opens: Minutes after midnight, 0 to 1439.
        closes: Minutes after midnight of the same day, above ``opens``, up to 1440.
    """

    days: tuple[int, ...]
    opens: int = 0
    closes: int = 1440


@dataclass(frozen=True, slots=True)
class Freeze:
    """When no weight rises, in local time: ``start`` included, ``end`` excluded, each ``2026-12-20`` or ``2026-12-20T18:00``.

    A date alone is its midnight as ``start``, and the midnight after it as ``end``: both days are frozen.
    """

    start: str
    end: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WindowsSpec:
    """When weights may rise. Judging, pausing and rolling back know no windows.

    Attributes:
        timezone: IANA name, such as ``Europe/Berlin``: local times follow its daylight saving.
        allow: Empty: always.
        freezes: Win over ``allow``.
    """

    timezone: str = "UTC"
    allow: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()
