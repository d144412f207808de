"""The announcement of a prune: who sees it, how long it holds, and what happens when it is lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from otagate.errors import ConflictError, UnavailableError, VerificationError
from otagate.model import Digest
from otagate.release.announcing import Announcement, announce
from otagate.release.pruning import KEY, LIFE, MARGIN, SCHEMA, SKEW, read_announced, refuse_condemned
from otagate.store.interface import DocumentStore
from otagate.store.jsondoc import read_json, write_json
from otagate.store.memory import MemoryDocuments
from support.published import NOW

DOOMED, OTHER = Digest.of(b"doomed"), Digest.of(b"other")
MINUTE = timedelta(minutes=1)


@dataclass
class Times:
    """Two clocks that can go apart."""

    wall: datetime = NOW
    ticks: float = 0.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def pass_(self, span: timedelta) -> None:
        self.wall += span
        self.ticks += span.total_seconds()


def announced(times: Times, *places: DocumentStore) -> Announcement:
    return announce(places, frozenset({DOOMED}), "ana", times.now, monotonic=times.monotonic)


def test_nobody_is_held_up_where_nothing_was_ever_pruned() -> None:
    documents = MemoryDocuments()
    refuse_condemned(documents, DOOMED, NOW)
    assert documents.read(KEY) is None


def test_what_is_announced_is_refused_until_it_has_run_out_for_every_clock() -> None:
    documents, times = MemoryDocuments(), Times()
    announced(times, documents)
    refuse_condemned(documents, OTHER, NOW)
    for later, minutes in ((timedelta(0), 20), (19 * MINUTE, 1), (LIFE + SKEW - timedelta(seconds=1), 1)):
        with pytest.raises(ConflictError, match="prune is removing this very bundle") as caught:
            refuse_condemned(documents, DOOMED, NOW + later)
        assert caught.value.remedy == f"run it again in {minutes}m"
        assert caught.value.found == "announced by ana"
    refuse_condemned(documents, DOOMED, NOW + LIFE + SKEW)


def test_what_is_withdrawn_holds_nobody_up() -> None:
    documents, times = MemoryDocuments(), Times()
    mine = announced(times, documents)
    mine.withdraw()
    refuse_condemned(documents, DOOMED, NOW)
    announced(times, documents).withdraw()
    found = read_announced(documents)
    assert found is not None
    assert (found[1].id, found[1].condemned, found[0].revision) == ("", frozenset(), 4)


def test_a_second_prune_waits_and_one_that_ran_out_is_taken_over() -> None:
    documents, times = MemoryDocuments(), Times()
    first = announced(times, documents)
    with pytest.raises(ConflictError, match="another prune is going on") as caught:
        announced(times, documents)
    assert caught.value.remedy == "run it again in 20m"
    times.pass_(LIFE + SKEW)
    second = announced(times, documents)
    with pytest.raises(ConflictError, match="does not hold any longer"):
        first.hold()
    first.withdraw()
    second.hold()
    with pytest.raises(ConflictError):
        refuse_condemned(documents, DOOMED, times.now())


def test_one_that_meets_another_in_a_mirror_takes_its_own_back() -> None:
    first, mirror, times = MemoryDocuments(), MemoryDocuments(), Times()
    announced(times, mirror)
    with pytest.raises(ConflictError, match="another prune"):
        announced(times, first, mirror)
    refuse_condemned(first, DOOMED, NOW)
    with pytest.raises(ConflictError):
        refuse_condemned(mirror, DOOMED, NOW)


def test_it_is_renewed_while_there_is_time() -> None:
    documents, times = MemoryDocuments(), Times()
    mine = announced(times, documents)
    for _ in range(12):
        times.pass_(5 * MINUTE)
        mine.hold()
    found = read_announced(documents)
    assert found is not None
    assert found[1].until == times.now() + LIFE
    assert found[0].revision == 13


@pytest.mark.parametrize("sleeps", ["wall", "ticks"])
def test_a_machine_that_slept_removes_nothing_more(sleeps: str) -> None:
    documents, times = MemoryDocuments(), Times()
    mine = announced(times, documents)
    if sleeps == "wall":  # the other clock stood still meanwhile
        times.wall += LIFE - MARGIN
    else:  # the wall clock was set back meanwhile
        times.ticks += (LIFE - MARGIN).total_seconds()
    with pytest.raises(ConflictError, match="nothing more is removed") as caught:
        mine.hold()
    assert caught.value.found == "it has run out: this machine slept, or the store is very slow"


def test_one_that_somebody_overwrote_is_noticed_at_the_next_look_and_at_renewal() -> None:
    for wait in (11 * timedelta(seconds=1), 5 * MINUTE):
        documents, times = MemoryDocuments(), Times()
        mine = announced(times, documents)
        body: dict[str, Any] = {"id": "", "until": "2026-11-21T09:30:00Z", "condemned": [], "actor": ""}
        write_json(documents, KEY, SCHEMA, body, read_json(documents, KEY, SCHEMA))
        mine.hold()  # looked at a moment ago
        times.pass_(wait)
        with pytest.raises(ConflictError, match="nothing more is removed"):
            mine.hold()


def test_a_look_that_took_too_long_is_made_again() -> None:
    times, looks = Times(), []

    class Slow(MemoryDocuments):
        def read(self, key: str) -> Any:
            looks.append(key)
            times.pass_(timedelta(seconds=31 if len(looks) < 3 else 1))
            return super().read(key)

    refuse_condemned(Slow(), DOOMED, NOW, monotonic=times.monotonic)
    assert looks == [KEY] * 3


def test_a_store_that_is_too_slow_each_time_is_refused() -> None:
    times = Times()

    class Slow(MemoryDocuments):
        def read(self, key: str) -> Any:
            times.pass_(MINUTE)
            return super().read(key)

    with pytest.raises(UnavailableError, match="too slowly"):
        refuse_condemned(Slow(), DOOMED, NOW, monotonic=times.monotonic)


@pytest.mark.parametrize(
    "body",
    [
        {"id": "x", "until": "soon", "condemned": [], "actor": ""},
        {"id": "x", "until": "2026-11-21T09:30:00Z", "condemned": ["abc"], "actor": ""},
        {"id": 1, "until": "2026-11-21T09:30:00Z", "condemned": [], "actor": ""},
        {},
    ],
)
def test_a_damaged_announcement_is_named(body: dict[str, Any]) -> None:
    documents = MemoryDocuments()
    write_json(documents, KEY, SCHEMA, body, None)
    with pytest.raises(VerificationError) as caught:
        refuse_condemned(documents, DOOMED, NOW)
    assert caught.value.subject == KEY


@pytest.mark.parametrize("until", ["9999-12-31T23:59:59.999999Z", "2027-11-21T09:30:00Z"])
def test_an_announcement_that_never_ends_is_no_announcement(until: str) -> None:
    documents = MemoryDocuments()
    body = {"id": "x", "until": until, "condemned": [DOOMED.hex], "actor": "mallory"}
    write_json(documents, KEY, SCHEMA, body, None)
    with pytest.raises(VerificationError, match="longer than any") as caught:
        refuse_condemned(documents, DOOMED, NOW)
    assert KEY in (caught.value.remedy or "")
    refuse_condemned(documents, OTHER, NOW)
    with pytest.raises(VerificationError, match="longer than any"):
        announce([documents], frozenset({OTHER}), "me", lambda: NOW)


def test_an_instant_beyond_the_calendar_is_damage() -> None:
    documents = MemoryDocuments()
    body = {"id": "x", "until": "9999-12-31T23:59:59-14:00", "condemned": [DOOMED.hex], "actor": "mallory"}
    write_json(documents, KEY, SCHEMA, body, None)
    with pytest.raises(VerificationError, match="until"):
        refuse_condemned(documents, DOOMED, NOW)
