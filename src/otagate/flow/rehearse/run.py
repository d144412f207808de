"""One rehearsal: a tick of the virtual clock after the other, until the rollout has ended and its devices are back."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from otagate._fs import scratch_folder
from otagate.errors import OtagateError
from otagate.fleet.diary import Fact
from otagate.flow import actions
from otagate.flow.drive import drive
from otagate.flow.refresh import due, refresh
from otagate.flow.rehearse.assumed import is_any_beyond
from otagate.flow.rehearse.model import Ending, Rehearsed, Sample, Scenario, Stop
from otagate.flow.rehearse.seam import Countdown, Killed, Turns
from otagate.flow.rehearse.stage import UNDER_TEST, make_stage
from otagate.flow.rehearse.told import ending_of, moments_of
from otagate.flow.rehearse.world import RehearsalWorld, is_out
from otagate.gate.summary import overall
from otagate.policy.model.policy import Policy
from otagate.rollout.reconciler import Outcome
from otagate.rollout.state import RolloutState, Stage

MOST_BACK = timedelta(days=14)
"""So long after a rollback devices are waited for."""
FEW_OPERATIONS = 20
"""So many operations of the store are supposed of a reconcile until one has come to its end."""
WATCHED = timedelta(days=1)
"""So long after a pause gates are looked at on: what paused may turn out to be bad enough to roll back."""


def rehearse(policy: Policy, scenario: Scenario, seed: int) -> Rehearsed:
    """Rehearse once. The same policy, scenario and seed give the same.

    Raises:
        OtagateError: It cannot be begun.
    """
    with scratch_folder() as folder:
        return _rehearse(policy, scenario, seed, folder)


def _rehearse(policy: Policy, scenario: Scenario, seed: int, folder: Path) -> Rehearsed:
    world = RehearsalWorld(make_stage(policy, scenario.track, folder, scenario.assumed), scenario, seed, folder)
    try:
        run = _Run(world, scenario, seed)
        run.play()
        return run.told()
    finally:
        world.close()


@dataclass
class _Run:
    """A rehearsal under way."""

    world: RehearsalWorld
    scenario: Scenario
    seed: int
    stop: Stop | None = None
    ended_at: timedelta | None = None
    back_after: timedelta | None = None
    left: int = 0
    is_held_once: bool = False
    looks: int = 0
    killed: int = 0
    operations: tuple[int, int] = (FEW_OPERATIONS, FEW_OPERATIONS)
    stage_before: Stage = Stage.PENDING
    errors: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    waiting_since: datetime | None = None
    chance: random.Random = field(init=False)
    state: RolloutState = field(init=False)

    def __post_init__(self) -> None:
        self.state = self._read()
        self.chance = random.Random(f"rehearse:{self.seed}")  # noqa: S311 - a simulation

    def play(self) -> None:
        """Go on until it is over."""
        at = self.scenario.start
        end = at + self.scenario.until
        while at < end and not self._is_over():
            at = min(end, at + self.scenario.every)
            self.world.pass_to(at)
            self._tick()
            self.world.serve_anew()
        self.left = self._count_left()

    def _is_over(self) -> bool:
        if self.ended_at is None:
            return False
        since = self.world.since - self.ended_at
        if self.state.stage is Stage.PAUSED:
            return not self.state.latched or since >= WATCHED
        return self.state.stage is not Stage.ROLLED_BACK or self.back_after is not None or since >= MOST_BACK

    def _tick(self) -> None:
        outcomes = [] if is_out(self.scenario.faults.reconcile_down, self.world.since) else self._reconcile()
        state = self.state = self._read()
        self._sample(state, outcomes)
        if state.stage in {Stage.PAUSED, Stage.ROLLED_BACK} and (self.stop is None or (state.latched and not self.stop.metric)):
            self.stop = self._stop(state)
        self.is_held_once |= state.stage is Stage.PAUSED and not state.latched
        if state.stage is not self.stage_before:
            self.stage_before, self.ended_at = state.stage, self.world.since if state.is_terminal else None
        if not state.is_terminal:
            self._people(state)
        if state.stage is Stage.ROLLED_BACK and not self._count_left():
            self.back_after = self.world.since - self.ended_at if self.ended_at is not None else None

    # -- machines

    def _reconcile(self) -> list[Outcome]:
        if self.state.is_over:
            return []
        outcomes: list[Outcome] = []
        count = self.scenario.faults.reconcilers
        if count == 1:
            self._work(outcomes, lambda: None)
        else:
            turns = Turns(self.chance)
            turns.run([lambda: self._work(outcomes, turns.point) for _ in range(count)])
        return outcomes

    def _work(self, outcomes: list[Outcome], turn: Callable[[], None]) -> None:
        """Do what ``otagate reconcile`` does, perhaps not to the end."""
        dies = self.chance.random() < self.scenario.faults.restart
        # Of as many operations as the last reconcile had, or the longest: most do little, those that move channels matter.
        countdown = Countdown(self.chance.randint(1, self.chance.choice(self.operations)) if dies else None)

        def point() -> None:
            turn()
            countdown()

        try:
            machine = self.world.machine(point)
            outcomes.append(drive(machine, self.world.rollout_id, wait=None, on_step=outcomes.append))
            refresh(machine, due(machine))
        except Killed:
            self.killed += 1
            return  # how many there would have been is not known
        except OtagateError as error:
            # As in life: this job failed, and the next one begins anew.
            self.errors[error.what] += 1
        self.operations = countdown.count, max(self.operations[1], countdown.count)

    # -- people

    def _people(self, state: RolloutState) -> None:
        """Approve and resume, as a person would after a while."""
        now, scenario = self.world.clock.now(), self.scenario
        is_approval = state.stage is Stage.AWAITING_APPROVAL
        may_resume = state.stage is Stage.PAUSED and not state.latched and scenario.resume_after is not None
        if state.stage is Stage.PAUSED and not may_resume:
            self.ended_at = self.ended_at if self.ended_at is not None else self.world.since
            return
        if not is_approval and not may_resume:
            self.waiting_since = None
            return
        self.waiting_since = self.waiting_since or now
        patience = scenario.approve_after if is_approval else scenario.resume_after
        if patience is None or now - self.waiting_since < patience:
            return
        self.waiting_since = None
        here = self.world.own
        if is_approval:
            actions.approve(here, None, None, "approved in the rehearsal").carry_out()
        else:
            actions.resume(here, None, {}, "resumed in the rehearsal").carry_out()

    # -- looking

    def _read(self) -> RolloutState:
        stored = self.world.own.rollouts.load(self.world.rollout_id)
        if stored is None:
            raise AssertionError(self.world.rollout_id)
        return stored.state

    def _count(self, fact: Fact) -> int:
        return len(self.world.fleet.diary.moments.get((UNDER_TEST, fact), ()))

    def _met(self) -> int:
        return len(self.world.fleet.diary.met.get(UNDER_TEST, ()))

    def _count_left(self) -> int:
        return sum(1 for device in self.world.fleet.devices if device.bundles.running == UNDER_TEST)

    def _sample(self, state: RolloutState, outcomes: list[Outcome]) -> None:
        # The first look of several: what let it go on, not what is known of the next weight, a moment old.
        judged = [outcome.results for outcome in outcomes if outcome.results]
        self.looks += bool(judged)
        phase = state.current
        verdict = overall(judged[0]).value if judged else ""
        bps = 0 if phase is None else state.weight.bps
        name = phase.name if phase is not None else ""
        self.samples.append(Sample(self.world.since, name, bps, self._count(Fact.SET), self._met(), verdict))

    def _stop(self, state: RolloutState) -> Stop:
        latched = state.latched
        metric = next((name for name, note in latched.items() if note.action == "rollback"), next(iter(latched), ""))
        note = latched.get(metric)
        action = "rollback" if state.stage is Stage.ROLLED_BACK else "pause"
        reason = note.reason if note is not None else state.paused_by or state.outcome
        first = min(self.world.fleet.diary.met.get(UNDER_TEST, {}).values(), default=None)
        return Stop(
            at=self.world.since,
            metric=metric,
            action=action,
            reason=reason,
            phase=state.current.name if state.current is not None else "",
            weight=str(state.weight),
            exposed=self._count(Fact.SET),
            met=self._met(),
            first_met=None if first is None else timedelta(seconds=first - self.scenario.start.timestamp()),
        )

    def told(self) -> Rehearsed:
        """Give what was found."""
        state = self.state
        ending = ending_of(state)
        here = self.world.own.ledger.entries()
        is_bad = self.scenario.faults.is_of_release or is_any_beyond(state.spec.gates, self.scenario.assumed)
        return Rehearsed(
            seed=self.seed,
            ending=ending,
            stage=state.stage.value,
            ended_at=self.ended_at if self.ended_at is not None else self.world.since,
            outcome=state.outcome or state.paused_by,
            stop=self.stop,
            is_false_stop=ending is Ending.STOPPED and not is_bad,
            is_held_once=self.is_held_once,
            offered=self._count(Fact.OFFERED),
            exposed=self._count(Fact.SET),
            met=self._met(),
            back_after=self.back_after,
            left=self.left,
            looks=self.looks,
            killed=self.killed,
            errors=dict(self.errors),
            moments=moments_of(here, self.world.rollout_id, self.scenario.start),
            samples=tuple(self.samples),
        )
