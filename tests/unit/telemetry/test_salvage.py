from __future__ import annotations

from collections.abc import Sequence

import pytest

from otagate.errors import UnavailableError, VerificationError
from otagate.telemetry.interface import RowsRefusedError
from otagate.telemetry.model import Mark, Observation
from otagate.telemetry.salvage import MAX_TRIES, Salvaged, record_all
from support.devices_told import told


class Table:
    """Takes releases other than those it refuses; all of a call or nothing."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.calls = set(refused), 0
        self.rows: list[str] = []

    def record(self, observations: Sequence[Observation]) -> None:
        self.calls += 1
        releases = [one.release for one in observations]
        if self.refused & set(releases):
            raise RowsRefusedError("no", "database")
        self.rows += releases


def requests(count: int) -> list[list[Observation]]:
    return [[told(Mark.RAN, release=str(number))] for number in range(count)]


def test_all_at_once_when_nothing_is_wrong() -> None:
    table = Table()
    assert record_all(table.record, requests(100)) == Salvaged([None] * 100, is_away=False)
    assert table.calls == 1


@pytest.mark.parametrize("bad", [{0}, {99}, {0, 50, 99}, {7, 8}])
def test_one_bad_request_fails_alone(bad: set[int]) -> None:
    table = Table(*map(str, bad))
    salvaged = record_all(table.record, requests(100))
    assert {number for number, failure in enumerate(salvaged.failures) if failure} == bad
    assert all(isinstance(salvaged.failures[number], UnavailableError) for number in bad)
    assert sorted(table.rows, key=int) == [str(number) for number in range(100) if number not in bad]


def test_a_request_is_recorded_whole_or_not_at_all() -> None:
    table = Table("bad")
    told_ = [[told(Mark.RAN, release="good"), told(Mark.RAN, release="bad")], [told(Mark.RAN, release="fine")]]
    salvaged = record_all(table.record, told_)
    assert salvaged.failures[1] is None
    assert isinstance(salvaged.failures[0], UnavailableError)
    assert table.rows == ["fine"]


def test_when_everything_is_refused_it_gives_up_soon() -> None:
    table = Table(*map(str, range(1000)))
    salvaged = record_all(table.record, requests(1000))
    assert all(isinstance(failure, UnavailableError) for failure in salvaged.failures)
    assert table.calls <= 2 * MAX_TRIES
    assert not salvaged.is_away


@pytest.mark.parametrize("error", [UnavailableError("away", "db"), VerificationError("damaged", "db")])
def test_other_failures_are_not_tried_in_parts(error: UnavailableError | VerificationError) -> None:
    calls = []

    def record(observations: Sequence[Observation]) -> None:
        calls.append(len(observations))
        raise error

    salvaged = record_all(record, requests(10))
    assert calls == [10]
    assert salvaged.is_away
    assert all(isinstance(failure, UnavailableError) for failure in salvaged.failures)
    assert str(salvaged.failures[0]) == str(error)
