from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from otagate.errors import UnavailableError
from otagate.telemetry.keeper import Keeper
from support.devices_told import T0


class Clock:
    def now(self) -> datetime:
        return T0

    def sleep(self, seconds: float) -> None:
        raise AssertionError


class Old:
    """So many chunks are old."""

    def __init__(self, *chunks: int) -> None:
        self.chunks, self.asked = list(chunks), list[datetime]()
        self.is_done = threading.Event()
        self.is_away = False

    def forget(self, before: datetime) -> int:
        self.asked.append(before)
        if self.is_away:
            raise UnavailableError("away", "database")
        if not self.chunks:
            self.is_done.set()
            return 0
        return self.chunks.pop(0)


def keeper(old: Old, pause_s: float = 0.0) -> Keeper:
    return Keeper(cast("Any", old), timedelta(days=90), Clock(), pause_s=pause_s)


def test_a_round_goes_on_until_nothing_is_old() -> None:
    old = Old(5000, 5000, 12)
    assert keeper(old).round() == 10_012
    assert old.asked == [T0 - timedelta(days=90)] * 4


def test_a_database_that_is_away_is_left_for_the_next_round(caplog: pytest.LogCaptureFixture) -> None:
    old = Old(7)
    old.is_away = True
    mine = keeper(old)
    assert mine.round() == 0
    assert "away" in caplog.text
    old.is_away = False
    assert mine.round() == 7


def test_the_thread_begins_at_once_and_ends_when_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    old = Old(3)
    mine = keeper(old)
    mine.start()
    assert old.is_done.wait(20)
    mine.stop()
    assert "3 rows" in caplog.text
    assert [thread for thread in threading.enumerate() if thread.name == "otagate-keeper"] == []


def test_stopping_does_not_wait_for_the_end_of_a_long_round() -> None:
    old = Old(*[1] * 1000)
    mine = keeper(old, pause_s=30.0)
    mine.stop()
    assert mine.round() == 1
