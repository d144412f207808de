from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from otagate.errors import UnavailableError
from otagate.server.choices import PolledChoices
from otagate.server.interface import Assign
from otagate.telemetry.interface import CHOSEN, OVERRIDE, Assignment, Telemetry

APP = "com.example.app"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ONE = b"1" * 16
TWO = b"2" * 16


@dataclass
class Rows:
    rows: list[Assignment] = field(default_factory=list)
    is_away: bool = False
    asked: list[int] = field(default_factory=list)

    def assign(self, app: str, device: bytes, kind: str, channel: str | None, at: datetime) -> Assignment:
        assert at == NOW
        self.rows.append(Assignment(len(self.rows) + 1, app, device, kind, channel))
        return self.rows[-1]

    def assignments(self, after: int, limit: int) -> list[Assignment]:
        if self.is_away:
            raise UnavailableError("away", "database")
        self.asked.append(after)
        return [row for row in self.rows if row.seq > after][:limit]


def over(rows: Rows, **more: Any) -> PolledChoices:
    return PolledChoices(cast(Telemetry, rows), **more)


def test_a_device_has_nothing_until_something_is_assigned() -> None:
    assert over(Rows()).of(APP, ONE) == (None, None)


def test_overrides_and_choices_are_kept_apart_and_taken_back() -> None:
    rows = Rows()
    choices = over(rows)
    rows.assign(APP, ONE, OVERRIDE, "qa", NOW)
    rows.assign(APP, ONE, CHOSEN, "beta", NOW)
    rows.assign("com.example.other", ONE, CHOSEN, "gamma", NOW)
    choices.refresh()
    assert choices.of(APP, ONE) == ("qa", "beta")
    assert choices.of("com.example.other", ONE) == (None, "gamma")
    assert choices.of(APP, TWO) == (None, None)
    rows.assign(APP, ONE, OVERRIDE, None, NOW)
    choices.refresh()
    assert choices.of(APP, ONE) == (None, "beta")
    rows.assign(APP, ONE, CHOSEN, None, NOW)
    choices.refresh()
    assert choices.of(APP, ONE) == (None, None)
    assert len(choices) == 1


def test_a_choice_is_known_here_at_once() -> None:
    rows = Rows()
    choices = over(rows)
    choices.choose(Assign(APP, ONE, "beta"), NOW)
    assert choices.of(APP, ONE) == (None, "beta")
    choices.choose(Assign(APP, ONE, None), NOW)
    assert choices.of(APP, ONE) == (None, None)
    assert [row.kind for row in rows.rows] == [CHOSEN, CHOSEN]


def test_only_what_changed_is_asked_for_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otagate.server.choices._PAGE", 2)
    rows = Rows()
    for number in range(5):
        rows.assign(APP, bytes([number]) * 16, CHOSEN, "beta", NOW)
    choices = over(rows)
    choices.refresh()
    assert rows.asked == [0, 2, 4]
    assert len(choices) == 5
    choices.refresh()
    assert rows.asked[3:] == [5]


def test_a_database_that_is_away_leaves_what_was_read(caplog: pytest.LogCaptureFixture) -> None:
    rows = Rows()
    choices = over(rows)
    choices.choose(Assign(APP, ONE, "beta"), NOW)
    rows.is_away = True
    choices.refresh()
    choices.refresh()
    assert choices.of(APP, ONE) == (None, "beta")
    assert len(caplog.records) == 1
    rows.is_away = False
    choices.refresh()
    rows.is_away = True
    choices.refresh()
    assert len(caplog.records) == 2


def test_a_reading_that_began_before_a_choice_does_not_undo_it() -> None:
    class Slow(Rows):
        def assignments(self, after: int, limit: int) -> list[Assignment]:
            found = super().assignments(after, limit)
            if not after:
                choices.choose(Assign(APP, ONE, None), NOW)
            return found

    rows = Slow()
    choices = over(rows)
    rows.assign(APP, ONE, CHOSEN, "beta", NOW)
    rows.assign(APP, ONE, OVERRIDE, "qa", NOW)
    choices.refresh()
    assert choices.of(APP, ONE) == ("qa", None)
    rows.assign(APP, ONE, CHOSEN, "nightly", NOW)
    choices.refresh()
    assert choices.of(APP, ONE) == ("qa", "nightly")
    choices.refresh()
    assert choices._made_here == {}


def test_made_up_devices_cannot_choose_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otagate.server.choices.MOST", 1)
    rows = Rows()
    choices = over(rows)
    choices.choose(Assign(APP, ONE, "beta"), NOW)
    with pytest.raises(UnavailableError, match="too many devices"):
        choices.choose(Assign(APP, TWO, "beta"), NOW)
    choices.choose(Assign(APP, ONE, "nightly"), NOW)
    choices.choose(Assign(APP, TWO, None), NOW)
    choices.choose(Assign(APP, ONE, None), NOW)
    choices.choose(Assign(APP, TWO, "beta"), NOW)
    assert (choices.of(APP, TWO), len(choices)) == ((None, "beta"), 1)


def test_the_thread_reads_again_and_ends() -> None:
    rows = Rows()
    choices = over(rows, poll=timedelta(milliseconds=1))
    choices.start()
    rows.assign(APP, ONE, CHOSEN, "beta", NOW)
    while choices.of(APP, ONE) != (None, "beta"):
        pass
    choices.stop()
    assert not choices._thread.is_alive()
