"""Rollouts go by the store's clock, and expose nothing where it and this machine's are far apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from otagate.errors import ExitCode, UsageError
from otagate.flow.store_clock import StoreClock, refuse_skew, warn_of_skew
from otagate.flow.workspace import Listener, Workspace
from otagate.rollout.state import Stage
from otagate.store.interface import Store
from otagate.store.memory import MemoryDocuments
from support.project import Project
from support.world import DAY, HOUR, NOW, JumpClock, World, phase, track

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


class Teller(MemoryDocuments):
    """Documents in memory that tell the time as ``tell`` says. See TellsTime."""

    def __init__(self, tell: Callable[[], datetime | None]) -> None:
        super().__init__()
        self.tell = tell
        self.asked = 0

    def time_told(self) -> datetime | None:
        self.asked += 1
        return self.tell()


@dataclass
class Far:
    """A machine, and a store whose clock is ahead of it."""

    ahead: timedelta | None
    machine: JumpClock = field(default_factory=JumpClock)
    took: timedelta = timedelta(0)
    documents: Teller = field(init=False)

    def __post_init__(self) -> None:
        self.documents = Teller(self.time_told)

    def time_told(self) -> datetime | None:
        self.machine.pass_(self.took)
        return None if self.ahead is None else (self.machine.now() - self.took / 2 + self.ahead).replace(microsecond=0)

    def clock(self) -> StoreClock:
        return StoreClock(self.machine, self.documents)


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, 3 * SECOND, -3 * SECOND])
def test_it_is_this_machines_put_right_by_the_stores(ahead: timedelta) -> None:
    far = Far(ahead)
    clock = far.clock()
    for _ in range(3):
        assert abs(clock.now() - (far.machine.now() + ahead)) <= SECOND / 2
        far.machine.pass_(10 * MINUTE)
    assert far.documents.asked == 1


@pytest.mark.parametrize(
    ("ahead", "took"), [(timedelta(0), timedelta(0)), (SECOND / 3, timedelta(0)), (3 * SECOND, 6 * SECOND)]
)
def test_what_the_question_cannot_tell_from_none_is_none(ahead: timedelta, took: timedelta) -> None:
    far = Far(ahead, took=took)
    clock = far.clock()
    assert clock.offset() == timedelta(0)
    assert clock.now() == far.machine.now()


def test_it_is_asked_again_every_hour_and_when_the_machine_went_back() -> None:
    far = Far(HOUR)
    clock = far.clock()
    clock.now()
    clock.sleep(3600)
    far.ahead = 2 * HOUR
    assert clock.offset() == 2 * HOUR + SECOND / 2
    far.machine.pass_(-DAY)
    far.ahead = None
    assert clock.offset() is None
    assert clock.now() == far.machine.now()
    assert far.documents.asked == 3


def test_a_store_without_a_clock_leaves_this_machines() -> None:
    machine = JumpClock()
    clock = StoreClock(machine, MemoryDocuments())
    assert (clock.offset(), clock.now()) == (None, NOW)


def workspace(tmp_path: Path, ahead: timedelta | None, said: list[str] | None = None) -> Workspace:
    world = World(tmp_path, spec=track(phase("stable")))
    here = world.process()
    warnings: list[str] = [] if said is None else said
    here.listener = Listener(warn=warnings.append)
    far = Far(ahead, here.clock if isinstance(here.clock, JumpClock) else JumpClock())
    here.__dict__["store_clock"] = far.clock()
    here.__dict__["store"] = Store("s3://b", here.store.blobs, here.store.documents, "s3://b at https://host")
    return here


@pytest.mark.parametrize("ahead", [None, timedelta(0), 4 * MINUTE + 59 * SECOND, -4 * MINUTE - 59 * SECOND])
def test_clocks_that_are_near_are_fine(tmp_path: Path, ahead: timedelta | None) -> None:
    said: list[str] = []
    here = workspace(tmp_path, ahead, said)
    refuse_skew(here)
    warn_of_skew(here)
    assert said == []


@pytest.mark.parametrize(("ahead", "told"), [(6 * MINUTE, "09:36:00"), (-HOUR, "08:30:00")])
def test_clocks_that_are_apart_refuse_what_exposes_and_warn_of_the_rest(tmp_path: Path, ahead: timedelta, told: str) -> None:
    said: list[str] = []
    here = workspace(tmp_path, ahead, said)
    with pytest.raises(UsageError) as caught:
        refuse_skew(here)
    text = str(caught.value)
    assert "2026-11-21 09:30:00 UTC here" in text
    assert f"2026-11-21 {told} UTC at s3://b at https://host" in text
    assert "at most 5m between them" in text
    assert "set the clock" in text
    warn_of_skew(here)
    assert len(said) == 1
    assert "disagree" in said[0]
    assert told in said[0]


def test_a_soak_is_measured_by_the_stores_clock(tmp_path: Path) -> None:
    world = World(tmp_path, spec=track(phase("stable", 5, 100)), gates=())
    world.run()
    world.clock.pass_(DAY - HOUR)
    here = world.process()
    here.__dict__["store_clock"] = Far(2 * HOUR, world.clock).clock()
    here.__dict__.pop("reconciler", None)
    assert here.reconciler.effects.clock is here.store_clock
    state = here.reconciler.reconcile("1.0.0-production").state
    assert (state.stage, state.weight.bps) == (Stage.SOAKING, 10_000)


def test_a_monitor_whose_clock_is_behind_hears_that_nobody_reconciles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(tmp_path / "app")
    assert project("run").code == 0
    assert project("status", "--max-age", "2h").code == 0
    monkeypatch.setattr(StoreClock, "offset", lambda _self: 3 * HOUR)
    said = project("status", "--max-age", "2h")
    assert said.code == ExitCode.UNAVAILABLE
    assert "1.0.0-production was not reconciled for 3h" in said.out
    assert "this machine's clock and the store's disagree" in said.err


@pytest.mark.parametrize(
    ("verb", "refuses"),
    [
        ("run --no-build", True),
        ("reconcile", True),
        ("approve", True),
        ("resume", True),
        ("promote --channel internal --release 1.0.0", True),
        ("amend --reason why", True),
        ("amend --weight 5% --reason why", False),
        ("pause", False),
        ("abort", False),
        ("rollback", False),
    ],
)
def test_verbs_that_expose_refuse_clocks_that_are_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, refuses: bool
) -> None:
    project = Project(tmp_path / "app")
    assert project("run").code == 0
    monkeypatch.setattr(StoreClock, "offset", lambda _self: HOUR)
    said = project(*verb.split())
    assert "this machine's clock and the store's disagree" in said.err
    assert ("set the clock of this machine" in said.err) == refuses
    assert not refuses or said.code == ExitCode.USAGE
