from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from otagate.errors import ConflictError, UnavailableError, VerificationError
from otagate.model import AppId, Digest
from otagate.rollout.ledger import HEAD_SCHEMA, Ledger
from otagate.store.folder import FolderStore
from otagate.store.interface import Document
from otagate.store.jsondoc import read_json
from otagate.store.memory import MemoryDocuments, MemoryStore
from support.faulty import Crash, Fault, FaultyStore, Plan

APP = AppId("com.example.app")
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Counting(MemoryDocuments):
    """Counts reads and refuses to list."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    def read(self, key: str) -> Document | None:
        self.reads += 1
        return super().read(key)


def key(seq: int) -> str:
    return f"apps/{APP}/ledger/{seq:010d}.json"


HINT = f"apps/{APP}/ledger-head.json"


def filled(count: int, documents: MemoryDocuments | None = None) -> MemoryDocuments:
    documents = documents or MemoryDocuments()
    ledger = Ledger(documents, APP)
    for number in range(1, count + 1):
        ledger.append("tick", f"event-{number}", {"n": number}, NOW + number * 10 * HOUR)
    return documents


def test_entries_come_back_in_order_and_chained() -> None:
    documents = MemoryDocuments()
    ledger = Ledger(documents, APP)
    first = ledger.append("published", "p1", {"version": "1.0.0", "actor": "ann"}, NOW)
    second = ledger.append("promoted", "m1", {"channel": "beta"}, NOW + HOUR)
    assert list(ledger.entries()) == [first, second]
    assert list(ledger.entries(after_seq=1)) == [second]
    assert (first.seq, first.prev, second.seq, second.prev) == (1, None, 2, first.digest)
    stored = documents.read(key(1))
    assert stored is not None
    assert first.digest == Digest.of(stored.body)
    assert json.loads(stored.body) == {
        "schema": "otagate/ledger/v1",
        "seq": 1,
        "at": "2026-11-21T09:30:00.000000Z",
        "kind": "published",
        "id": "p1",
        "data": {"version": "1.0.0", "actor": "ann"},
        "prev": None,
    }


def test_the_same_event_is_recorded_once() -> None:
    ledger = Ledger(MemoryDocuments(), APP)
    first = ledger.append("promoted", "m1", {}, NOW)
    ledger.append("tick", "t1", {}, NOW + timedelta(minutes=5))
    assert ledger.append("promoted", "m1", {"other": 1}, NOW + timedelta(minutes=30)) == first
    assert len(list(ledger.entries())) == 2


def test_what_a_killed_rollout_told_days_later_hides_no_event_behind_it() -> None:
    ledger = Ledger(MemoryDocuments(), APP)
    ledger.append("release.published", "published:1", {}, NOW + 100 * HOUR)
    for number in range(1, 5):
        ledger.append("rollout.advanced", f"1.0.0-main#{number}", {}, NOW + number * HOUR)
    again = ledger.append("release.published", "published:1", {}, NOW + 100 * HOUR)
    assert (again.seq, ledger.last()) == (1, 5)


def test_a_rollout_tells_in_order_so_one_told_before_ends_the_search() -> None:
    documents = Counting()
    ledger = Ledger(documents, APP)
    for number in range(1, 40):
        ledger.append("rollout.advanced", f"1.0.0-main#{number}", {}, NOW)
    before = documents.reads
    assert ledger.append("rollout.advanced", "1.0.0-main#40", {}, NOW).seq == 40
    assert documents.reads - before <= 4


def test_years_of_other_rollouts_are_not_read_for_one_event() -> None:
    documents = Counting()
    ledger = Ledger(documents, APP)
    for number in range(1, 40):
        ledger.append("rollout.started", f"{number}.0.0-main#1", {}, NOW + number * 10 * HOUR)
    before = documents.reads
    assert ledger.append("channel.paused", "channel:stable:7", {}, NOW + 1000 * HOUR).seq == 40
    assert documents.reads - before <= 12


@pytest.mark.parametrize(("since", "count"), [(None, 2), (NOW + HOUR, 1), (NOW + 2 * HOUR, 2)])
def test_how_far_back_the_same_event_is_looked_for(since: datetime | None, count: int) -> None:
    ledger = Ledger(MemoryDocuments(), APP)
    ledger.append("promoted", "m1", {}, NOW)
    ledger.append("tick", "t1", {}, NOW + timedelta(minutes=30))
    ledger.append("promoted", "m1", {}, NOW + 5 * HOUR, since=since)
    assert [entry.id for entry in ledger.entries()].count("m1") == count


def test_clocks_an_hour_apart_do_not_record_an_event_twice() -> None:
    ledger = Ledger(MemoryDocuments(), APP)
    ledger.append("promoted", "m1", {}, NOW - timedelta(minutes=59))
    ledger.append("promoted", "m1", {}, NOW)
    assert len(list(ledger.entries())) == 1


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 100])
@pytest.mark.parametrize("hint", ["right", "lost", "old", "ahead", "damaged"])
def test_the_head_is_found_by_exact_keys_whatever_the_hint_says(count: int, hint: str) -> None:
    documents = filled(count, Counting())
    if hint == "lost":
        documents._bodies.pop(HINT, None)
    elif hint == "damaged":
        documents._bodies[HINT] = b"{"
    elif hint in {"old", "ahead"} and HINT in documents._bodies:
        wrong = 1 if hint == "old" else count + 50
        documents._bodies[HINT] = documents._bodies[HINT].replace(b'"seq":%d' % count, b'"seq":%d' % wrong)
    assert isinstance(documents, Counting)
    documents.reads = 0
    entry = Ledger(documents, APP).append("tick", "new", {}, NOW + timedelta(days=1000))
    assert entry.seq == count + 1
    assert documents.reads <= (5 if hint == "right" else 5 + 2 * count.bit_length())
    assert Ledger(documents, APP).verify_chain().entries == count + 1


@pytest.mark.parametrize(("count", "most", "seqs"), [(0, 5, []), (3, 5, [3, 2, 1]), (9, 3, [9, 8, 7])])
def test_the_newest_entries_come_first_and_no_more_than_wanted(count: int, most: int, seqs: list[int]) -> None:
    assert [entry.seq for entry in Ledger(filled(count), APP).newest(most)] == seqs


def test_who_looks_far_back_reads_several_at_the_same_time() -> None:
    class Meeting(Counting):
        """Whoever reads entries 10 and 11 one after the other gets no further."""

        meeting = Barrier(2, timeout=30)
        is_open = False

        def read(self, key: str) -> Document | None:
            if self.is_open and key.endswith(("/0000000010.json", "/0000000011.json")):
                self.meeting.wait()
            return super().read(key)

    documents = Meeting()
    ledger = Ledger(filled(60, documents), APP)
    documents.is_open = True
    assert [entry.seq for entry in ledger.newest(60)] == list(range(60, 0, -1))
    documents.reads = 0
    assert next(ledger.newest(60)).seq == 60
    assert documents.reads <= 4, "who finds it at once reads no others"


def test_a_damaged_entry_is_passed_over_on_the_way_back() -> None:
    documents = filled(5)
    for seq in (5, 3):
        change(documents, seq, b'"seq"', b'"sec"')
    documents.delete(key(2))
    assert [entry.seq for entry in Ledger(documents, APP).newest(9)] == [4, 1]


def test_the_hint_follows_the_head() -> None:
    documents = filled(3)
    hint = read_json(documents, HINT, HEAD_SCHEMA)
    assert hint is not None
    assert (hint.body, hint.revision) == ({"seq": 3}, 3)


def test_another_app_has_another_ledger() -> None:
    documents = filled(2)
    other = Ledger(documents, AppId("com.example.app2"))
    assert list(other.entries()) == []
    assert other.append("tick", "event-1", {}, NOW).seq == 1


def test_a_whole_chain_is_whole() -> None:
    documents = filled(5)
    report = Ledger(documents, APP).verify_chain()
    head = documents.read(key(5))
    assert head is not None
    assert (report.entries, report.head, report.problems, report.is_whole) == (5, Digest.of(head.body), (), True)
    empty = Ledger(MemoryDocuments(), APP).verify_chain()
    assert (empty.entries, empty.head, empty.is_whole) == (0, None, True)


def change(documents: MemoryDocuments, seq: int, old: bytes, new: bytes) -> None:
    assert old in documents._bodies[key(seq)]
    documents._bodies[key(seq)] = documents._bodies[key(seq)].replace(old, new)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda documents: change(documents, 2, b'"n":2', b'"n":9'), f"{key(3)}: it does not follow"),
        (lambda documents: change(documents, 2, b'"kind":"tick"', b'"kind":5'), "entry.kind is wrong"),
        (lambda documents: change(documents, 2, b'"kind"', b'"sort"'), "entry.kind is wrong"),
        (lambda documents: change(documents, 2, b'"seq":2', b'"seq":3'), "in the wrong place: expected seq 2, found 3"),
        (lambda documents: change(documents, 2, b"v1", b"v2"), "entry.schema is wrong"),
        (lambda documents: change(documents, 2, b'"prev":"', b'"prev":"x'), "entry.prev is wrong"),
        (lambda documents: change(documents, 2, b"}", b""), "damaged: expected strict JSON"),
        (lambda documents: documents._bodies.pop(key(2)), "entry 2 is gone: 3 stand after it"),
        (lambda documents: documents._bodies.pop(key(1)), "entry 1 is gone: 4 stand after it"),
        (lambda documents: documents._bodies.pop(key(5)), "the hint names entry 5, but the last one is 4"),
        (lambda documents: documents._bodies.update({HINT: b"[]"}), "the hint"),
    ],
)
def test_what_was_changed_or_taken_away_is_named(damage: object, words: str) -> None:
    documents = filled(5)
    assert callable(damage)
    damage(documents)
    report = Ledger(documents, APP).verify_chain()
    assert not report.is_whole
    assert words in "\n".join(report.problems)


def test_a_damaged_entry_is_an_error_for_whoever_reads_it_but_does_not_stop_the_record() -> None:
    documents = filled(3)
    documents._bodies[key(3)] = b"garbage"
    ledger = Ledger(documents, APP)
    with pytest.raises(VerificationError, match="damaged"):
        list(ledger.entries())
    entry = ledger.append("rolled_back", "r1", {}, NOW + timedelta(days=9))
    assert (entry.seq, entry.prev) == (4, Digest.of(b"garbage"))
    assert ledger.append("rolled_back", "r1", {}, NOW + timedelta(days=9)) == entry
    assert [problem.split(":")[0] for problem in ledger.verify_chain().problems] == [key(3)]


def test_floats_are_refused() -> None:
    with pytest.raises(ValueError, match="no floats"):
        Ledger(MemoryDocuments(), APP).append("measured", "x", {"rate": 0.5}, NOW)


def test_threads_that_append_at_once_all_land(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")

    def work(me: int) -> list[int]:
        return [Ledger(store.documents, APP).append("tick", f"{me}-{n}", {}, NOW).seq for n in range(10)]

    with ThreadPoolExecutor(8) as pool:
        taken = sorted(seq for seqs in pool.map(work, range(8)) for seq in seqs)
    assert taken == list(range(1, 81))
    assert Ledger(store.documents, APP).verify_chain().is_whole


def test_of_two_that_record_the_same_event_at_once_one_entry_stays() -> None:
    class Twin(MemoryDocuments):
        """Our twin on another machine finishes first."""

        def create(self, key: str, body: bytes) -> str:
            if "/ledger/" in key and key not in self._bodies:
                super().create(key, body.replace(b'"by":"us"', b'"by":"twin"'))
            return super().create(key, body)

    entry = Ledger(Twin(), APP).append("promoted", "m1", {"by": "us"}, NOW)
    assert (entry.seq, entry.data) == (1, {"by": "twin"})


def test_somebody_who_is_always_first_ends_in_a_conflict() -> None:
    class Greedy(MemoryDocuments):
        def create(self, key: str, body: bytes) -> str:
            super().create(key, body.replace(b'"id":"m1"', b'"id":"theirs"'))
            return super().create(key, body)

    with pytest.raises(ConflictError, match="same moment"):
        Ledger(Greedy(), APP).append("promoted", "m1", {}, NOW)


def test_a_hint_that_somebody_else_moved_meanwhile_is_left_alone() -> None:
    class Hinting(MemoryDocuments):
        def replace(self, key: str, body: bytes, token: str) -> str:
            raise ConflictError("the document changed since it was read", key)

    documents = Hinting()
    ledger = Ledger(documents, APP)
    for number in range(3):
        ledger.append("tick", str(number), {}, NOW)
    hint = read_json(documents, HINT, HEAD_SCHEMA)
    assert hint is not None
    assert hint.body == {"seq": 1}
    assert [entry.seq for entry in ledger.entries()] == [1, 2, 3]


@pytest.mark.parametrize("fault", list(Fault), ids=lambda fault: fault.value)
def test_an_append_that_failed_anywhere_is_recorded_once_when_done_again(fault: Fault) -> None:
    def append(store: MemoryStore | FaultyStore) -> None:
        Ledger(store.documents, APP).append("promoted", "m1", {}, NOW, since=NOW)

    def prepared() -> MemoryStore:
        store = MemoryStore()
        Ledger(store.documents, APP).append("published", "p1", {}, NOW)
        return store

    plan = Plan()
    append(FaultyStore(prepared(), plan))
    assert len(plan.seen) >= 5
    for at in range(len(plan.seen)):
        store = prepared()
        try:
            append(FaultyStore(store, Plan(at, fault)))
        except (Crash, UnavailableError):
            append(store)
        ledger = Ledger(store.documents, APP)
        assert [entry.id for entry in ledger.entries()] == ["p1", "m1"]
        assert ledger.verify_chain().is_whole


class Gathering(MemoryDocuments):
    """Documents of which the first sixteen entries are given only when all of them were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._together = Barrier(16)

    def read(self, key: str) -> Document | None:
        if self.keys_held and key in self.keys_held:
            self._together.wait(10)
        return super().read(key)

    keys_held: frozenset[str] = frozenset()


@pytest.mark.parametrize("missing", [None, 3, 20, 33])
def test_a_long_ledger_is_read_many_entries_at_a_time_and_to_the_same_end(missing: int | None) -> None:
    documents = filled(40)
    if missing is not None:
        documents.delete(key(missing))
    ledger, last = Ledger(documents, APP), 40 if missing is None else missing - 1
    assert [entry.seq for entry in ledger.entries()] == list(range(1, last + 1))
    report = ledger.verify_chain()
    assert (report.entries, report.is_whole) == (last, missing is None)
    assert [entry.seq for entry in ledger.entries(last - 2)] == [last - 1, last]


def test_sixteen_entries_are_asked_for_at_the_same_time() -> None:
    documents = Gathering()
    filled(40, documents)
    documents.keys_held = frozenset(key(seq) for seq in range(1, 17))
    assert len(list(Ledger(documents, APP).entries())) == 40


@pytest.mark.parametrize("seq", [10**10, 10**1000, 10**4200], ids=["11-digits", "1001-digits", "4201-digits"])
def test_a_hint_beyond_every_ledger_stops_nobody(seq: int) -> None:
    documents = MemoryDocuments()
    documents.create(HINT, f'{{"schema":"{HEAD_SCHEMA}","revision":1,"txn":"{"0" * 32}","seq":{seq}}}'.encode())
    assert Ledger(documents, APP).append("note", "e1", {}, datetime(2026, 11, 21, tzinfo=UTC)).seq == 1


def test_a_hint_too_large_to_be_read_stops_nobody() -> None:
    class Huge(MemoryDocuments):
        def read(self, key: str) -> Document | None:
            if key == HINT:
                raise VerificationError("a document is larger than any that otagate writes", key)
            return super().read(key)

    documents = Huge()
    documents.create(HINT, b"x")
    assert Ledger(documents, APP).append("note", "e1", {}, datetime(2026, 11, 21, tzinfo=UTC)).seq == 1


def test_an_entry_planted_far_beyond_the_end_does_not_make_everybody_look_for_the_rest() -> None:
    documents, now = MemoryDocuments(), datetime(2026, 11, 21, tzinfo=UTC)
    documents.create(f"apps/{APP}/ledger/{10**9}.json", b"{}")
    documents.create(HINT, f'{{"schema":"{HEAD_SCHEMA}","revision":1,"txn":"{"0" * 32}","seq":{10**9}}}'.encode())
    ledger = Ledger(documents, APP)
    ledger.append("note", "e1", {}, now)
    assert ledger.verify_chain().problems
