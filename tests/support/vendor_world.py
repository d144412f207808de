"""What the contract suite needs to know of one maker's metric store: how it answers, as its maker documents it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx

from otagate.gate.interface import Ask, MetricQuery, MetricSource
from otagate.gate.sources._exchange import Pace

START = datetime(2026, 11, 21, tzinfo=UTC)
END = START + timedelta(hours=1)
NEWEST = START + timedelta(minutes=30)
QUERY = MetricQuery("crash_rate", "com.example.app", "stable", "1.4.2", START, END, 500)
VALUE_QUERY = MetricQuery("latency", "com.example.app", "stable", "1.4.2", START, END, 500, ask=Ask.VALUE)

Respond = Callable[[httpx.Request], httpx.Response]
Patience = list[tuple[httpx.Response, float]]
"""Answers that mean "not now", with the seconds that each asks to wait."""


def edited(respond: Respond, edit: Callable[[Any], None]) -> Respond:
    """Answer the same, after ``edit`` has changed the JSON document."""

    def and_edit(request: httpx.Request) -> httpx.Response:
        document = respond(request).json()
        edit(document)
        return httpx.Response(200, json=document)

    return and_edit


def fingerprint(text: str) -> int:
    """What a source that was told ``text`` gives as total: proof that nothing of it was lost or read as syntax."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


class Clock:
    """Time passes only when somebody waits."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def pace(self) -> Pace:
        """Give what the sources take for time and chance."""
        return Pace(self.waits.append, lambda: sum(self.waits), lambda: END, lambda _: 0.0)


class VendorWorld(Protocol):
    """One maker's store.

    A world may also have: ``value(number)`` (answers with a plain number), ``several()`` (two series where one was asked),
    ``no_number()`` (NaN, as the store writes it), ``fraction()`` (half a device), ``window``, the texts that must stand in
    the decoded requests for the window of QUERY, ``parts()`` (answers that hold good numbers, and say somewhere that they are
    not the whole), and ``busy()`` (answers by which the store asks for patience in a way of its own, with the wait that it
    asks for).
    """

    hostile: str
    newest: datetime
    clock: Clock

    @property
    def secrets(self) -> tuple[str, ...]:
        """What the source is given to prove who asks, and must not show."""
        ...

    @property
    def echoed(self) -> int:
        """See AnyWorld in the suite."""
        ...

    def source(self, respond: Respond) -> MetricSource:
        """Give a source whose store answers so."""
        ...

    def says(self, bad: int, total: int) -> Respond:
        """Answer as the store does when it counts so many devices."""
        ...

    def nothing(self) -> Respond:
        """Answer as the store does when it has no data."""
        ...

    def counting(self, bad: int, total: int) -> MetricSource:
        """See AnyWorld in the suite."""
        ...

    def absent(self) -> MetricSource:
        """See AnyWorld in the suite."""
        ...

    def broken(self) -> MetricSource:
        """See AnyWorld in the suite."""
        ...

    def echoing(self) -> MetricSource:
        """See AnyWorld in the suite."""
        ...
