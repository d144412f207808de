"""When weights may rise: weekly windows and freezes in local time, with daylight saving. Pure: the instant is an argument.

A window is open while a clock on the wall there shows a time in it. So a window that begins in the hour that is left out
in spring opens at the first instant after it, and in the hour that comes twice in autumn both passes are open. A freeze is a
single stretch of time: in that hour it begins with the first pass and ends with the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from otagate._text import harmless
from otagate.errors import UnavailableError
from otagate.policy.model.windows import Freeze, Window, WindowsSpec

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

HORIZON = timedelta(days=400)
"""How far :func:`opens` looks ahead: more than a year, the longest freeze that makes sense."""

_DAY_TEXT = len("2026-12-20")
_STRIDE = timedelta(hours=6)
"""No zone changes its offset from UTC twice within this time."""
_FOLDS = (0, 1)


def closed(spec: WindowsSpec, now: datetime) -> str:
    """Say why no weight may rise at an instant.

    Args:
        spec: Windows and freezes; its freezes have valid instants.
        now: Aware.

    Returns:
        A reason without a final stop, such as ``frozen: holidays`` or ``outside of the windows (Europe/Berlin)``; empty when
        weights may rise.

    Raises:
        UnavailableError: The time zone is not known on this machine.
    """
    if not spec.allow and not spec.freezes:
        return ""
    zone = _zone(spec)
    for freeze in spec.freezes:
        if _is_frozen(freeze, now, zone):
            return f"frozen: {harmless(freeze.reason)}" if freeze.reason else f"frozen until {_last(freeze)}"
    wall = now.astimezone(zone)
    if spec.allow and not any(_is_open(window, wall) for window in spec.allow):
        return f"outside of the windows ({harmless(spec.timezone)})"
    return ""


def opens(spec: WindowsSpec, now: datetime) -> datetime | None:
    """Give the first instant from ``now`` on (aware, UTC) at which weights may rise, at most ``HORIZON`` ahead; None: never.

    Raises:
        UnavailableError: As for :func:`closed`.
    """
    now = now.astimezone(UTC)
    if not closed(spec, now):
        return now
    zone = _zone(spec)
    start = now
    while start < now + HORIZON:
        # It can open only where a window does, a freeze ends, or the clocks change.
        for instant in sorted(_changes(spec, start, zone)):
            if not closed(spec, instant):
                return instant
        start += _STRIDE
    return None


def waits(spec: WindowsSpec, now: datetime) -> str:
    """Say what is waited for while no weight may rise, with the instant at which one may again; or "".

    Raises:
        UnavailableError: As for :func:`closed`.
    """
    why = closed(spec, now)
    if not why:
        return ""
    at = opens(spec, now)
    return f"a window, from {at:%Y-%m-%d %H:%M} UTC on ({why})" if at else f"a window, and none comes ({why})"


def _zone(spec: WindowsSpec) -> ZoneInfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - 5 ms; not for policies without windows

    try:
        return ZoneInfo(spec.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnavailableError(
            "this time zone is not known here",
            subject=f"windows.timezone: {harmless(spec.timezone)}",
            expected="a name of the IANA time zone database, such as Europe/Berlin",
            remedy="install the Python package tzdata, or the system's zone files",
        ) from error


def _is_open(window: Window, wall: datetime) -> bool:
    minutes = wall.hour * 60 + wall.minute
    return wall.weekday() in window.days and window.opens <= minutes < window.closes


def _is_frozen(freeze: Freeze, now: datetime, zone: ZoneInfo) -> bool:
    wall = now.astimezone(zone).replace(tzinfo=None)
    begins, ends = _begins(freeze), _ends(freeze)
    # The instants count beside the wall clock, which steps back once a year and would show a time before again.
    has_begun = wall >= begins or now >= _instant(begins, zone, fold=0)
    has_ended = wall >= ends and now >= _instant(ends, zone, fold=1)
    return has_begun and not has_ended


def _begins(freeze: Freeze) -> datetime:
    return datetime.fromisoformat(freeze.start)


def _ends(freeze: Freeze) -> datetime:
    whole_day = timedelta(days=1) if len(freeze.end) == _DAY_TEXT else timedelta(0)
    return datetime.fromisoformat(freeze.end) + whole_day


def _last(freeze: Freeze) -> str:
    return harmless(f"the end of {freeze.end}" if len(freeze.end) == _DAY_TEXT else freeze.end.replace("T", " "))


def _instant(wall: datetime, zone: ZoneInfo, *, fold: int) -> datetime:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _changes(spec: WindowsSpec, start: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Give the instants of one stride after ``start`` at which it may open."""
    end = start + _STRIDE
    days = {start.astimezone(zone).date(), end.astimezone(zone).date()}
    walls = [_ends(freeze) for freeze in spec.freezes]
    walls += [_on(day, window) for day in days for window in spec.allow if day.weekday() in window.days]
    for wall in walls:
        for fold in _FOLDS:
            instant = _instant(wall, zone, fold=fold)
            if start < instant <= end:
                yield instant
    if start.astimezone(zone).utcoffset() != end.astimezone(zone).utcoffset():
        yield _clock_change(start, end, zone)


def _on(day: date, window: Window) -> datetime:
    return datetime.combine(day, time(window.opens // 60, window.opens % 60))


def _clock_change(start: datetime, end: datetime, zone: ZoneInfo) -> datetime:
    """Find the second at which the offset from UTC changes between two instants."""
    before = start.astimezone(zone).utcoffset()
    low, high = int(start.timestamp()), int(end.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, tz=UTC).astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, tz=UTC)
