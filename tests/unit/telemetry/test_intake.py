from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import UnavailableError
from otagate.telemetry.intake import ThreadIntake
from otagate.telemetry.interface import CountQuery, IntakeFullError, RowsRefusedError
from otagate.telemetry.model import Mark, Observation
from otagate.telemetry.recent import Recent
from otagate.telemetry.sql import SqlTelemetry, open_telemetry
from support.devices_told import APP, T0, told


class Gate(SqlTelemetry):
    """A database that can be held up, and that can fail."""

    @classmethod
    def at(cls, folder: Path) -> Gate:
        opened = open_telemetry(f"sqlite:///{folder}/t.db", {})
        gate = cls(opened.engines)
        gate.open, gate.sizes, gate.failure = threading.Event(), [], None
        gate.entered = threading.Event()
        gate.open.set()
        return gate

    open: threading.Event
    entered: threading.Event
    sizes: list[int]
    failure: Exception | None

    def record(self, observations: Sequence[Observation]) -> None:
        self.entered.set()
        assert self.open.wait(20)
        self.sizes.append(len(observations))
        if self.failure is not None:
            raise self.failure
        if any(one.release == "bad" for one in observations):
            raise RowsRefusedError("bad row", "database")
        super().record(observations)

    def devices_of(self, release: str = "1.1.0") -> int:
        from datetime import timedelta

        return self.counts(CountQuery(APP, release, T0, T0 + timedelta(days=9))).devices


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate.at(tmp_path)
    yield gate
    gate.open.set()
    gate.close()


@contextmanager
def serving(intake: ThreadIntake) -> Iterator[ThreadIntake]:
    intake.start()
    try:
        yield intake
    finally:
        intake.stop()


def run(act: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await asyncio.wait_for(act(), 20)

    asyncio.run(main())


def test_what_is_acknowledged_is_there_and_many_share_a_transaction(gate: Gate) -> None:
    with serving(ThreadIntake(gate)) as intake:

        async def act() -> None:
            await asyncio.gather(*(intake.durable([told(Mark.RAN, number)]) for number in range(500)))
            assert gate.devices_of() == 500
            await intake.durable([])

        run(act)
        assert len(gate.sizes) < 20
        stats = intake.stats
    assert (stats.taken, stats.flushed, stats.depth, stats.failed, stats.flushes) == (500, 500, 0, 0, len(gate.sizes))
    assert stats.flush_s >= stats.last_flush_s > 0


def test_a_group_is_bounded(gate: Gate) -> None:
    gate.open.clear()
    with serving(ThreadIntake(gate, group=10)) as intake:

        async def act() -> None:
            waiting = [asyncio.ensure_future(intake.durable([told(Mark.RAN, number)])) for number in range(35)]
            await asyncio.sleep(0)
            gate.open.set()
            await asyncio.gather(*waiting)

        run(act)
    assert max(gate.sizes) <= 10
    assert sum(gate.sizes) == 35


def test_no_room_is_said_at_once_and_nothing_is_lost(gate: Gate) -> None:
    gate.open.clear()
    with serving(ThreadIntake(gate, limit=10, later_limit=5)) as intake:

        async def act() -> None:
            waiting = [asyncio.ensure_future(intake.durable([told(Mark.RAN, number)] * 2)) for number in range(5)]
            await asyncio.sleep(0)
            with pytest.raises(IntakeFullError):
                await intake.durable([told(Mark.RAN, 100)])
            assert not intake.later([told(Mark.RAN, 101)])
            assert (intake.stats.depth, intake.stats.refused, intake.stats.dropped) == (10, 1, 1)
            gate.open.set()
            await asyncio.gather(*waiting)
            await intake.durable([told(Mark.RAN, 100)])
            assert intake.stats.depth == 0

        run(act)
    assert gate.devices_of() == 6


def test_what_is_for_later_leaves_room_for_those_who_wait(gate: Gate) -> None:
    gate.open.clear()
    with serving(ThreadIntake(gate, limit=10, later_limit=3)) as intake:

        async def act() -> None:
            assert [intake.later([told(Mark.RAN, number)]) for number in range(5)] == [True, True, True, False, False]
            waiting = asyncio.ensure_future(intake.durable([told(Mark.RAN, 50)]))
            await asyncio.sleep(0)
            gate.open.set()
            await waiting

        run(act)
    assert gate.devices_of() == 4


def test_the_same_every_minute_costs_no_transaction(gate: Gate) -> None:
    with serving(ThreadIntake(gate)) as intake:

        async def act() -> None:
            for second in range(0, 300, 60):
                assert intake.later([told(Mark.RAN, running="1.0.0", after=second)])
            assert intake.later([])
            await intake.durable([told(Mark.CRASHED, 2)])
            assert (intake.stats.known, intake.stats.taken) == (4, 2)

        run(act)


def test_a_bad_request_fails_alone(gate: Gate) -> None:
    with serving(ThreadIntake(gate)) as intake:

        async def act() -> None:
            told_ = [[told(Mark.RAN, number, release="bad" if number == 3 else "1.1.0")] for number in range(9)]
            outcomes = await asyncio.gather(*map(intake.durable, told_), return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [type(None)] * 3 + [UnavailableError] + [type(None)] * 5

        run(act)
        assert (intake.stats.flushed, intake.stats.failed, intake.stats.depth) == (8, 1, 0)
    assert gate.devices_of() == 8


@pytest.mark.parametrize("failure", [UnavailableError("full", "db"), RuntimeError("a bug")])
def test_a_database_that_fails_and_recovers(gate: Gate, failure: Exception) -> None:
    recent = Recent()
    with serving(ThreadIntake(gate, recent=recent)) as intake:

        async def act() -> None:
            gate.failure = failure
            assert intake.later([told(Mark.RAN, 1)])
            with pytest.raises(UnavailableError):
                await intake.durable([told(Mark.RAN, 2)])
            assert len(recent) == 0, "what was not recorded after all is told again"
            gate.failure = None
            assert intake.later([told(Mark.RAN, 1)])
            await intake.durable([told(Mark.RAN, 2)])

        run(act)
    assert gate.devices_of() == 2


def test_who_comes_after_somebody_was_told_finds_the_database_back(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    told_once = threading.Event()
    real = ThreadIntake._tell

    def tell(intake: ThreadIntake, *of: Any) -> None:
        real(intake, *of)
        if gate.failure is not None:
            assert told_once.wait(20)  # a worker that the machine lets stand just after it has told

    monkeypatch.setattr(ThreadIntake, "_tell", tell)
    gate.failure = UnavailableError("full", "db")
    with serving(ThreadIntake(gate)) as intake:

        async def act() -> None:
            with pytest.raises(UnavailableError):
                await intake.durable([told(Mark.RAN, 1)])
            again = asyncio.ensure_future(intake.durable([told(Mark.RAN, 1)]))
            await asyncio.sleep(0)
            gate.failure = None
            told_once.set()
            await again

        run(act)
    assert gate.devices_of() == 1


def test_while_the_database_is_away_nobody_waits_for_more_than_one_try(gate: Gate) -> None:
    gate.open.clear()
    gate.failure = UnavailableError("away", "db")
    with serving(ThreadIntake(gate, group=1)) as intake:

        async def act() -> None:
            waiting = [asyncio.ensure_future(intake.durable([told(Mark.RAN, number)])) for number in range(30)]
            await asyncio.sleep(0)
            assert await asyncio.to_thread(gate.entered.wait, 20)
            gate.open.set()
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {UnavailableError}
            gate.failure = None
            await intake.durable([told(Mark.RAN, 1)])

        run(act)
        assert (intake.stats.flushed, intake.stats.failed, intake.stats.depth) == (1, 30, 0)
    assert len(gate.sizes) == 2


def test_an_end_while_the_database_is_away(gate: Gate) -> None:
    gate.open.clear()
    gate.failure = UnavailableError("away", "db")
    intake = ThreadIntake(gate, group=1)
    intake.start()

    async def act() -> None:
        waiting = [asyncio.ensure_future(intake.durable([told(Mark.RAN, number)])) for number in range(3)]
        await asyncio.sleep(0)
        assert await asyncio.to_thread(gate.entered.wait, 20)
        stopping = asyncio.ensure_future(asyncio.to_thread(intake.stop))
        gate.open.set()
        await stopping
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {UnavailableError}

    run(act)
    assert (intake.stats.failed, intake.stats.depth) == (3, 0)


def test_stopping_records_what_waits_and_takes_nothing_more(gate: Gate) -> None:
    intake = ThreadIntake(gate, gather_s=0.0)
    intake.start()
    gate.open.clear()

    async def act() -> None:
        for number in range(50):
            assert intake.later([told(Mark.RAN, number)])
        assert await asyncio.to_thread(gate.entered.wait, 20)
        stopping = asyncio.ensure_future(asyncio.to_thread(intake.stop))
        gate.open.set()
        await stopping
        with pytest.raises(UnavailableError):
            await intake.durable([told(Mark.RAN, 99)])
        assert not intake.later([told(Mark.RAN, 99)])

    run(act)
    assert gate.devices_of() == 50
    intake.stop()


def test_what_waits_is_recorded_even_when_the_loop_has_ended(gate: Gate) -> None:
    intake = ThreadIntake(gate)
    intake.start()
    gate.open.clear()

    async def act() -> None:
        assert intake.later([told(Mark.RAN, 1)])

    run(act)
    gate.open.set()
    intake.stop()
    assert gate.devices_of() == 1


def test_a_client_that_went_away_disturbs_nobody(gate: Gate) -> None:
    gate.open.clear()
    with serving(ThreadIntake(gate)) as intake:

        async def act() -> None:
            gone = asyncio.ensure_future(intake.durable([told(Mark.RAN, 1)]))
            stays = asyncio.ensure_future(intake.durable([told(Mark.RAN, 2)]))
            await asyncio.sleep(0)
            gone.cancel()
            gate.open.set()
            await stays
            assert gone.cancelled()

        run(act)
    assert gate.devices_of() == 2


def test_an_intake_that_never_began_takes_nothing(gate: Gate) -> None:
    intake = ThreadIntake(gate)
    intake.stop()
    assert not intake.later([told(Mark.RAN, 1)])


def test_an_end_that_the_database_delays_too_long_is_logged(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("otagate.telemetry.intake.STOP_S", 0.0)
    gate.open.clear()
    intake = ThreadIntake(gate)
    intake.start()

    async def act() -> None:
        intake.later([told(Mark.RAN, 1)])

    run(act)
    intake.stop()
    assert "did not take 1 observations" in caplog.text
    gate.open.set()
    for thread in threading.enumerate():
        if thread.name == "otagate-intake":
            thread.join(20)
