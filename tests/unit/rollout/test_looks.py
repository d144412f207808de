"""Looks are kept in pages, compactly, and come back as they were judged."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from otagate.errors import ConflictError, VerificationError
from otagate.gate.contrast import log_e_contrast
from otagate.gate.interface import Ask, ContrastRow, Measurement, SourceError
from otagate.gate.judge import LookKind, Reading
from otagate.gate.look import Look
from otagate.model import Weight
from otagate.policy.model.gates import Split
from otagate.rollout import looks as module
from otagate.rollout.kept import KeptLook, keep
from otagate.rollout.looks import Looks
from otagate.rollout.state import Stage
from otagate.store.interface import Document
from otagate.store.memory import MemoryDocuments
from support.rollouts import fresh
from support.world import APP, CRASH_RATE, DAY, HOUR, NOW

MINUTE = timedelta(minutes=1)
ID = "1.0.0-production"
STATE = replace(
    fresh(),
    stage=Stage.SOAKING,
    phase=0,
    entered_at=NOW,
    phase_since=NOW,
    not_before=NOW + DAY,
    peak=Weight(10_000),
    control="0.9.0",
)
LOOK = Look(LookKind.INTERIM, NOW, NOW + DAY, HOUR)


def reading(metric: str = "crash_rate", bad: int | None = 3, **more: Any) -> Reading:
    outcome = more["outcome"] if "outcome" in more else Measurement(bad, 500, NOW, "asked", "d" * 64, **more)
    return Reading(metric, NOW, NOW + HOUR, outcome)


def look(after: timedelta = HOUR, *readings: Reading, **changes: Any) -> KeptLook:
    return keep(replace(STATE, **changes), LOOK, readings or (reading(),), NOW + after)


@pytest.fixture
def documents() -> MemoryDocuments:
    return MemoryDocuments()


@pytest.fixture
def looks(documents: MemoryDocuments) -> Looks:
    return Looks(documents, APP)


def test_nothing_was_kept_of_what_was_never_looked_at(looks: Looks) -> None:
    assert looks.all(ID) == []


def test_looks_come_back_in_order_and_whole(looks: Looks, documents: MemoryDocuments) -> None:
    told = [
        look(HOUR, reading(), reading("success", 1)),
        look(2 * HOUR, reading(), reading("success", outcome=SourceError("it failed", "x", found="HTTP 500"))),
        look(3 * HOUR, reading(outcome=None)),
        look(4 * HOUR, reading(outcome=Measurement(None, None, None, "q", value=0.1))),
    ]
    assert [looks.append(ID, one) for one in told] == [True] * 4
    assert looks.all(ID) == told
    assert list(documents.keys("apps/")) == [f"apps/{APP}/looks/{ID}/0000.json"]
    second, third, fourth = (one.readings[-1].reading() for one in told[1:])
    assert isinstance(second.outcome, SourceError)
    assert second.outcome.what == "it failed: x: HTTP 500"
    assert third == Reading("crash_rate", NOW, NOW + HOUR, None)
    assert isinstance(fourth.outcome, Measurement)
    assert (fourth.outcome.value, fourth.outcome.total) == (0.1, None)
    first = told[0].readings[0].reading().outcome
    assert isinstance(first, Measurement)
    assert (first.bad, first.total, first.newest_at) == (3, 500, NOW)


def test_where_the_rollout_stood_is_kept() -> None:
    paused = replace(STATE, stage=Stage.PAUSED, paused_actor="ana")
    kept = keep(paused, LOOK, (reading(),), NOW + HOUR)
    assert (kept.stage, kept.paused_actor, kept.control, kept.weight, kept.entered_at) == (
        Stage.PAUSED,
        "ana",
        "0.9.0",
        Weight(10_000),
        NOW,
    )
    assert keep(replace(paused, stage=Stage.SOAKING), LOOK, (), NOW).paused_actor == ""


@pytest.mark.parametrize(
    ("changes", "ask"),
    [({}, Ask.COUNTS), ({"max": None, "split": Split.AT_MOST}, Ask.SPLIT), ({"max_increase": 1}, Ask.CONTRAST)],
)
def test_what_was_asked_for_is_kept(changes: dict[str, Any], ask: Ask) -> None:
    spec = replace(STATE.spec, gates=(replace(CRASH_RATE, escalate=None, **changes),))
    assert look(HOUR, spec=spec).readings[0].ask is ask


ROWS = (
    ContrastRow(NOW, "ios 8.1.0", 2, 100, 1, 900),
    ContrastRow(NOW, "android 8.1.0", 0, 50, 0, 700),
    ContrastRow(NOW + HOUR, "ios 8.1.0", 0, 10, 3, 20),
    ContrastRow(NOW + HOUR, "android 8.1.0", 0, 5, 0, 7),
)


def test_rows_of_a_contrast_are_kept_as_far_as_they_weigh() -> None:
    kept = look(HOUR, reading(rows=ROWS)).readings[0]
    assert kept.rows == ((2, 100, 1, 900), (0, 10, 3, 20), (0, 55, 0, 707))
    before = [(row.bad, row.total, row.control_bad, row.control_total) for row in ROWS]
    outcome = kept.reading().outcome
    assert isinstance(outcome, Measurement)
    after = [(row.bad, row.total, row.control_bad, row.control_total) for row in outcome.rows]
    for tolerance in (0.0, 0.5):
        assert log_e_contrast(after, tolerance) == pytest.approx(log_e_contrast(before, tolerance), rel=1e-12)
    assert [sum(column) for column in zip(*after, strict=True)] == [sum(column) for column in zip(*before, strict=True)]


@pytest.mark.parametrize("bad", [True, -1, 1.5, 10**13, "3"])
def test_what_a_source_cannot_have_counted_is_kept_as_an_error(bad: Any) -> None:
    outcome = look(HOUR, reading(bad=bad)).readings[0].reading().outcome
    assert isinstance(outcome, SourceError)
    assert "no count of devices" in outcome.what


@pytest.mark.parametrize(
    "said",
    [
        *(Measurement(1, 2, None, "", value=value) for value in (math.nan, math.inf)),
        *(Measurement(1, 2, datetime(year, 1, 1, tzinfo=UTC), "") for year in (1, 1969, 9999)),
    ],
)
def test_what_could_not_be_read_again_is_kept_as_an_error(looks: Looks, said: Measurement) -> None:
    """One such reading would make the whole page unreadable, and with it every look behind it."""
    odd = Reading("crash_rate", NOW, NOW + HOUR, said)
    assert looks.append("r", look(HOUR, odd))
    (kept,) = looks.all("r")
    assert isinstance(kept.readings[0].reading().outcome, SourceError)


@pytest.mark.parametrize(
    ("after", "bad", "stage", "is_kept"),
    [
        (9 * MINUTE, 3, Stage.SOAKING, False),
        (9 * MINUTE, 4, Stage.SOAKING, True),
        (9 * MINUTE, 3, Stage.PAUSED, True),
        (10 * MINUTE, 3, Stage.SOAKING, True),
        (-MINUTE, 3, Stage.SOAKING, True),
    ],
)
def test_a_look_that_says_the_same_soon_after_is_not_kept(
    looks: Looks, after: timedelta, bad: int, stage: Stage, is_kept: bool
) -> None:
    looks.append(ID, look())
    later = replace(reading(bad=bad), end=NOW + HOUR + after)
    assert looks.append(ID, look(HOUR + after, later, stage=stage)) is is_kept
    assert len(looks.all(ID)) == 1 + is_kept


@pytest.mark.parametrize(
    ("before", "newest", "is_kept"),
    [
        (NOW, NOW, False),
        (NOW, NOW + HOUR, True),
        (NOW + HOUR, NOW - HOUR, True),
        (None, None, False),
        (None, NOW, True),
        (NOW, None, True),
    ],
)
def test_a_look_at_the_same_numbers_that_became_fresh_or_stale_is_kept(
    looks: Looks, before: datetime | None, newest: datetime | None, is_kept: bool
) -> None:
    """A silence may have ended or begun with it."""
    first, later = (
        Reading("crash_rate", NOW, NOW + after, Measurement(0, 50, at, "test"))
        for after, at in ((HOUR, before), (HOUR + MINUTE, newest))
    )
    looks.append(ID, look(HOUR, first))
    assert looks.append(ID, look(HOUR + MINUTE, later)) is is_kept


def test_a_look_that_something_came_of_is_kept_once(looks: Looks) -> None:
    first, again = look(), look(HOUR + MINUTE, replace(reading(), end=NOW + HOUR + MINUTE))
    assert looks.append(ID, first, always=True)
    assert not looks.append(ID, again)
    assert looks.append(ID, again, always=True)
    assert not looks.append(ID, again, always=True)
    assert looks.all(ID) == [first, again]


def test_a_look_is_kept_once_when_another_machine_looks_meanwhile(looks: Looks) -> None:
    mine = look(HOUR, reading(bad=3))
    its = look(HOUR + timedelta(seconds=1), reading(bad=4))
    assert [looks.append(ID, mine), looks.append(ID, its), looks.append(ID, mine, always=True)] == [True, True, False]
    assert looks.all(ID) == [mine, its]


def test_pages_are_bounded_and_found_without_a_listing(looks: Looks, documents: MemoryDocuments) -> None:
    for hours in range(100):
        looks.append(ID, look(hours * HOUR))
    assert [name[-9:-5] for name in documents.keys("apps/")] == ["0000", "0001", "0002"]
    assert [one.at for one in looks.all(ID)] == [NOW + hours * HOUR for hours in range(100)]
    asked: list[str] = []
    Looks(Watched(documents, asked), APP).append(ID, look(200 * HOUR))
    assert [name[-9:-5] for name in asked] == ["0000", "0002"]


def test_a_page_is_bounded_in_bytes_too(looks: Looks, documents: MemoryDocuments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_BYTES", 1000)
    for hours in range(6):
        looks.append(ID, look(hours * HOUR))
    assert len(list(documents.keys("apps/"))) >= 2
    assert len(looks.all(ID)) == 6


def test_a_page_that_was_made_and_not_told_of_is_found(looks: Looks, documents: MemoryDocuments) -> None:
    for hours in range(60):
        looks.append(ID, look(hours * HOUR))
    key = f"apps/{APP}/looks/{ID}/0000.json"
    first = documents.read(key)
    assert first is not None
    documents.replace(key, first.body.replace(b'"pages":2', b'"pages":1'), first.token)  # killed before it was told
    looks.append(ID, look(60 * HOUR))
    assert len(looks.all(ID)) == 61
    found = documents.read(key)
    assert found is not None
    assert b'"pages":2' in found.body


class Watched(MemoryDocuments):
    """Documents whose reads are told, and whose first writes may be lost to somebody else."""

    def __init__(self, inner: MemoryDocuments, asked: list[str], losses: int = 0) -> None:
        super().__init__()
        self.inner, self.asked, self.losses = inner, asked, losses

    def read(self, key: str) -> Document | None:
        self.asked.append(key)
        return self.inner.read(key)

    def create(self, key: str, body: bytes) -> str:
        self._lose(key)
        return self.inner.create(key, body)

    def replace(self, key: str, body: bytes, token: str) -> str:
        self._lose(key)
        return self.inner.replace(key, body, token)

    def _lose(self, key: str) -> None:
        if self.losses:
            self.losses -= 1
            raise ConflictError("the document changed since it was read", key)


def test_a_lost_swap_begins_anew(documents: MemoryDocuments, looks: Looks) -> None:
    assert Looks(Watched(documents, [], losses=2), APP).append(ID, look())
    assert len(looks.all(ID)) == 1
    with pytest.raises(ConflictError):
        Looks(Watched(documents, [], losses=9), APP).append(ID, look(2 * HOUR))


TAIL = b'"revision":1,"schema":"otagate/looks/v1","txn":"' + b"0" * 32 + b'"}'


@pytest.mark.parametrize("body", [b'{"looks":5,', b'{"looks":[{"at":"soon"}],', b"{", b"["])
def test_what_are_no_looks_is_refused(documents: MemoryDocuments, looks: Looks, body: bytes) -> None:
    documents.create(f"apps/{APP}/looks/{ID}/0000.json", body + TAIL)
    with pytest.raises(VerificationError):
        looks.append(ID, look())
    with pytest.raises(VerificationError):
        looks.all(ID)


@pytest.mark.parametrize("pages", [b'"x"', b"0", b"-3", b"true", b"99999999"])
def test_a_number_of_pages_that_cannot_be_is_found_out_anew(documents: MemoryDocuments, looks: Looks, pages: bytes) -> None:
    documents.create(f"apps/{APP}/looks/{ID}/0000.json", b'{"looks":[],"pages":' + pages + b"," + TAIL)
    assert looks.append(ID, look())
    assert looks.all(ID) == [look()]
