"""Windows and notifications, as a checked document says; see otagate.policy.build."""

from __future__ import annotations

from typing import Any

from otagate.policy.build_sources import Readers, read
from otagate.policy.model.notify import NotifyKind, NotifySpec
from otagate.policy.model.windows import Freeze, Window, WindowsSpec

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NOTICE: Readers = {"secret": str, "events": tuple}


def windows_spec(given: dict[str, Any]) -> WindowsSpec:
    """Make the windows and freezes; the values hold the defaults of the rest."""
    readers: Readers = {
        "timezone": str,
        "allow": lambda windows: tuple(_window(window) for window in windows),
        "freeze": lambda freezes: tuple(Freeze(one["from"], one["to"], one.get("reason", "")) for one in freezes),
    }
    spec = read(given, readers)
    return WindowsSpec(**{"freezes" if key == "freeze" else key: value for key, value in spec.items()})


def _window(given: dict[str, Any]) -> Window:
    days = tuple(sorted(DAYS.index(day) for day in given.get("days", DAYS)))
    return Window(days, minutes(given.get("from", "00:00")), minutes(given.get("to", "24:00")))


def minutes(text: str) -> int:
    """Read a time of day as minutes after midnight: ``09:30`` is 570."""
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def time_text(after_midnight: int) -> str:
    """Write minutes after midnight as a policy does: ``09:30``."""
    return f"{after_midnight // 60:02}:{after_midnight % 60:02}"


def notify_specs(given: dict[str, Any]) -> tuple[NotifySpec, ...]:
    """Make the places that are told, in the order of the file."""
    return tuple(_notice(name, notice) for name, notice in given.items())


def _notice(name: str, given: dict[str, Any]) -> NotifySpec:
    kind = next(kind for kind in NotifyKind if kind.value in given)
    return NotifySpec(name, kind, given[kind.value], **read(given, _NOTICE))
