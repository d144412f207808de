from __future__ import annotations

import pytest

from otagate.fleet.generations import REPRESENTATIVE
from otagate.fleet.reading import ACTIONS, NOTHING, STARTS, VERIFIED, Told, outcome, release_of, told
from otagate.server import events
from otagate.telemetry.model import Mark, Progress


def test_the_marks_are_numbered_alike() -> None:
    assert {mark.name: int(mark) for mark in Told} == {mark.name: int(mark) for mark in Mark}


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_the_server_reads_every_action_of_the_fleet_as_the_fleet_does(action: str) -> None:
    assert int(events.ACTIONS[action].marks) == int(ACTIONS[action])
    assert events.ACTIONS[action].is_start == (action in STARTS)
    assert events.ACTIONS[action].is_verified == (action == VERIFIED)


@pytest.mark.parametrize("version", REPRESENTATIVE)
def test_both_disbelieve_the_same_generations(version: str) -> None:
    major, minor, patch = map(int, version.split("."))
    read = events.read({"action": "download_fail"}, (major, minor, patch))
    assert (read == events.NO_UPDATE_NOISE) == (told("download_fail", version) == NOTHING)


def test_what_is_unknown_says_nothing() -> None:
    assert told("download_50_and_a_bit", "8.51.23") == NOTHING
    assert told("backend_refusal", "7.23.9") == NOTHING
    assert told("set", "7.23.9") == Told.SET


def test_the_outcome_is_that_of_telemetry() -> None:
    every = range(1 << len(Mark))
    assert [outcome(Told(marks)) for marks in every] == [Progress(Mark(marks)).outcome.value for marks in every]


def test_a_file_is_named_behind_its_release() -> None:
    assert release_of("1.2.3:a/b:c.js") == "1.2.3"
    assert release_of("1.2.3") == "1.2.3"
