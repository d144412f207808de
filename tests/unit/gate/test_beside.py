"""Sources side by side: who may be asked at once, in which order the answers come, and how a round ends early."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from otagate.errors import AccessError
from otagate.gate import beside
from otagate.gate.interface import Independent, Measurement, MetricQuery, MetricSource, SourceError
from otagate.gate.measure import Subject, measure
from otagate.policy.model.gates import GateSpec

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SUBJECT = Subject("com.example.app", "stable", "1.4.2", NOW - timedelta(hours=3), 500)
LARGE = bytes(1 << 20)
LONG_S = 60.0
"""No test waits so long, unless what it looks for never comes."""

Read = Callable[[MetricQuery], Measurement]


class Here:
    """Any other source."""

    def __init__(self, read: Read) -> None:
        self._answer = read
        self.threads: list[threading.Thread] = []

    def read(self, query: MetricQuery) -> Measurement:
        self.threads.append(threading.current_thread())
        return self._answer(query)


class There(Here, Independent):
    """A source that shares nothing."""


def told(query: MetricQuery) -> Measurement:
    return Measurement(1, 9, None, query.metric)


def named(count: int) -> list[str]:
    return [f"m{number}" for number in range(count)]


def outcomes(sources: dict[str, MetricSource]) -> list[object]:
    gates = [GateSpec(metric) for metric in sources]
    readings = measure(gates, sources, SUBJECT, settle=timedelta(0), now=NOW)
    assert [reading.metric for reading in readings] == list(sources)
    return [reading.outcome for reading in readings]


def test_as_many_at_once_as_are_allowed() -> None:
    # Nobody gets past it before so many are there: with fewer at once this would not end well.
    together = threading.Barrier(beside.AT_ONCE, timeout=LONG_S)

    def read(query: MetricQuery) -> Measurement:
        together.wait()
        return told(query)

    names = named(2 * beside.AT_ONCE)
    assert outcomes({name: There(read) for name in names}) == [Measurement(1, 9, None, name) for name in names]


def test_never_more_at_once() -> None:
    free = threading.Semaphore(beside.AT_ONCE)

    def read(query: MetricQuery) -> Measurement:
        if not free.acquire(blocking=False):
            raise SourceError("too many at once")
        hashlib.sha256(LARGE)  # lets others in, if they come: it needs no interpreter
        free.release()
        return told(query)

    names = named(40)
    assert outcomes({name: There(read) for name in names}) == [Measurement(1, 9, None, name) for name in names]


def test_answers_come_in_the_order_of_the_gates() -> None:
    last = threading.Event()

    def read(query: MetricQuery) -> Measurement:
        if query.metric == "m3":
            last.set()
        elif query.metric == "m0":
            assert last.wait(LONG_S)
        return told(query)

    names = named(4)
    assert outcomes({name: There(read) for name in names}) == [Measurement(1, 9, None, name) for name in names]


def test_all_others_are_asked_here_and_in_order() -> None:
    seen: list[str] = []

    def read(query: MetricQuery) -> Measurement:
        seen.append(query.metric)
        return told(query)

    sources = {name: There(told) if name == "m2" else Here(read) for name in named(6)}
    outcomes(dict(sources))
    assert seen == ["m0", "m1", "m3", "m4", "m5"]
    assert {thread for name, source in sources.items() if name != "m2" for thread in source.threads} == {
        threading.current_thread()
    }


@pytest.mark.parametrize("kinds", [(There,), (Here, Here), ()])
def test_where_nothing_is_won_there_is_no_thread(kinds: tuple[type[Here], ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread"))
    sources = {f"m{number}": kind(told) for number, kind in enumerate(kinds)}
    assert len(outcomes(dict(sources))) == len(kinds)


def test_a_slow_one_does_not_hold_up_the_others() -> None:
    others = threading.Semaphore(0)

    def read(query: MetricQuery) -> Measurement:
        if query.metric == "m0":
            for _ in range(9):
                assert others.acquire(timeout=LONG_S)
        else:
            others.release()
        return told(query)

    assert len(outcomes({name: There(read) for name in named(10)})) == 10


def test_one_source_is_never_asked_two_things_at_once() -> None:
    busy = threading.Lock()

    def read(query: MetricQuery) -> Measurement:
        if not busy.acquire(blocking=False):
            raise SourceError("two at once")
        hashlib.sha256(LARGE)
        busy.release()
        return told(query)

    shared = There(read)
    names = named(12)
    sources: dict[str, MetricSource] = {name: There(told) if number % 3 else shared for number, name in enumerate(names)}
    assert outcomes(sources) == [Measurement(1, 9, None, name) for name in names]


def test_each_question_is_asked_once() -> None:
    sources = {name: There(told) for name in named(25)}
    outcomes(dict(sources))
    assert [len(source.threads) for source in sources.values()] == [1] * 25


def test_an_error_is_that_gates_alone() -> None:
    def read(query: MetricQuery) -> Measurement:
        if query.metric == "m1":
            raise SourceError("gone")
        if query.metric == "m4":
            raise AccessError("refused", "x")
        return told(query)

    found = outcomes({name: There(read) for name in named(6)})
    assert [type(one) for one in found] == [Measurement, SourceError, Measurement, Measurement, SourceError, Measurement]
    assert found[4] == SourceError("refused", "x")


@pytest.mark.parametrize("kind", [There, Here])
def test_a_bug_stays_a_bug(kind: type[Here]) -> None:
    def read(query: MetricQuery) -> Measurement:
        if query.metric == "m3":
            raise ZeroDivisionError(query.metric)
        return told(query)

    with pytest.raises(ZeroDivisionError, match="m3"):
        outcomes({name: kind(read) if name == "m3" else There(read) for name in named(30)})


def test_after_a_bug_nobody_begins_anything_new() -> None:
    asked: list[str] = []
    wrong = threading.Barrier(beside.AT_ONCE, timeout=LONG_S)

    def read(query: MetricQuery) -> Measurement:
        asked.append(query.metric)
        wrong.wait()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outcomes({name: There(read) for name in named(30)})
    assert len(asked) == beside.AT_ONCE


def test_an_interrupt_waits_for_nobody() -> None:
    stuck, released = threading.Semaphore(0), threading.Event()
    asked: list[str] = []

    def hang(query: MetricQuery) -> Measurement:
        asked.append(query.metric)
        stuck.release()
        released.wait(LONG_S)
        return told(query)

    def interrupted(_: MetricQuery) -> Measurement:
        for _hung in range(beside.AT_ONCE - 1):
            assert stuck.acquire(timeout=LONG_S)
        raise KeyboardInterrupt

    # Each of them is asked two things.
    each = [There(hang) for _ in range(10)]
    sources: dict[str, MetricSource] = {name: each[number // 2] for number, name in enumerate(named(20))}
    with pytest.raises(KeyboardInterrupt):
        outcomes({"here": Here(interrupted), **sources})
    assert len(asked) == beside.AT_ONCE - 1  # who hangs
    helpers = [thread for thread in threading.enumerate() if thread.name == "otagate-source"]
    assert helpers
    assert all(thread.daemon for thread in helpers)
    released.set()
    for thread in helpers:
        thread.join(LONG_S)
    assert len(asked) == beside.AT_ONCE - 1  # nobody went on to the next


def test_a_system_without_threads() -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    names = named(6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert outcomes({name: There(told) for name in names}) == [Measurement(1, 9, None, name) for name in names]
