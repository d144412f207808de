"""Bring one rollout one step nearer its goal, safely, from any machine, at any time.

In this order: load; finish a recorded intent; measure every metric over closed windows; judge; decide; write the state by
compare-and-swap with the intent; act; clear the intent; write the ledger. A lost swap starts again from load and decides
anew: nobody's decision is written over. There is no leader and no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from otagate.errors import ConflictError, NotFoundError, VerificationError
from otagate.gate.judge import GateResult, Look, Reading
from otagate.release.asking import MirrorUnavailableError
from otagate.rollout import machine
from otagate.rollout.effects import Effects
from otagate.rollout.judged import Judged, Measure, look_at
from otagate.rollout.ledger import Ledger
from otagate.rollout.memory import counted
from otagate.rollout.repository import Stored
from otagate.rollout.state import OpKind, RolloutState, Stage
from otagate.rollout.surroundings import gives_way, surroundings, taken_by_another
from otagate.rollout.waiting import next_look, reason_to_wait

_TRIES = 5
"""How often a reconcile begins anew after a lost swap, before it leaves the rollout to whoever keeps winning."""

Record = Callable[[RolloutState, Look, Sequence[Reading], bool], None]
"""Keeps what was measured at a look, so that it can be judged again; never raises. A look that says the same as one shortly
before is kept only when the last argument is true: something came of it."""
Command = Callable[[RolloutState, datetime], RolloutState]
"""What a person asks of the machine: pause, resume, approve, roll back."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one reconcile found and did.

    Attributes:
        state: The rollout afterwards.
        results: The gates as judged; empty when nothing was exposed.
        changed: Whether the rollout took a step, or latched a failure; remembering a look is none.
        waiting_for: Why it does not go on, in a sentence, or "".
        waived: Metrics whose failures counted for nothing when the gates were judged, because somebody lifted them.
        next_look: When looking again can make a difference: the next interim look, or the soak's end; None when it is over
            or waits for a person.
    """

    state: RolloutState
    results: tuple[GateResult, ...] = ()
    changed: bool = False
    waiting_for: str = ""
    next_look: datetime | None = None
    waived: frozenset[str] = frozenset()


def _forget(_state: RolloutState, _look: Look, _readings: Sequence[Reading], _always: bool) -> None:
    """Keep nothing."""


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Drives the pure machine against the world."""

    effects: Effects
    ledger: Ledger
    measure: Measure
    record: Record = _forget

    def reconcile(self, rollout_id: str) -> Outcome:
        """Take at most one step.

        Raises:
            NotFoundError: No such rollout.
            ConflictError: Others kept changing it.
        """
        return self._try(rollout_id, self._step)

    def command(self, rollout_id: str, command: Command) -> Outcome:
        """Apply what a person asked for, at once; measures nothing.

        An unfinished intent is not finished first: stopping must not first expose more devices. The machine's commands
        keep or replace it. One that is kept and must be looked at again is for the next reconcile.
        """

        def apply(stored: Stored) -> Outcome:
            now = self.effects.clock.now()
            after = self._save(stored, command(stored.state, now))
            after = self._settle(after) if machine.undone(after.state, now) is None else self._tell(after)
            return Outcome(after.state, changed=after.state != stored.state)

        return self._try(rollout_id, apply)

    def foresee(self, state: RolloutState) -> Outcome:
        """Measure, judge and decide as a reconcile would, and write nothing. An unfinished intent is what comes first."""
        if state.intent is not None or state.is_terminal:
            return Outcome(state, waiting_for=state.outcome)
        return self._decide(state)

    def _decide(self, state: RolloutState, *, record: bool = False) -> Outcome:
        now = self.effects.clock.now()
        judged = look_at(state, now, self.measure)
        if record:
            self._keep(judged)
        results, state = judged.results, counted(state, judged.results)
        try:
            world = surroundings(self.effects, state, now)
        except VerificationError:
            # The next channel's documents are damaged. That is told, and keeps nobody from stopping a bad release on this one.
            world = machine.Surroundings("the next channel cannot be read")
            if machine.decide(state, results, now, world).told == state.told:
                raise
        decided = machine.decide(state, results, now, world)
        if decided.intent is not None and any(op.kind is OpKind.OFFER for op in decided.intent.ops):
            # Asked only now: a mirror that is down must not keep gates from being judged, nor a rollback waiting.
            lagging = self.effects.releases.lagging(state.release)
            world = replace(world, held_by=lagging) if lagging else world
            decided = machine.decide(state, results, now, world) if lagging else decided
        is_step = _is_step(state, decided)
        if record and (is_step or judged.counts):
            self._keep(judged, always=True)
        waiting_for = reason_to_wait(decided, results, world.held_by, now)
        return Outcome(decided, results, is_step, waiting_for, next_look(decided, now), state.waived)

    def _try(self, rollout_id: str, action: Callable[[Stored], Outcome]) -> Outcome:
        for attempt in range(1, _TRIES + 1):
            stored = self.effects.rollouts.load(rollout_id)
            if stored is None:
                raise NotFoundError("there is no such rollout", rollout_id, remedy="see `otagate status`")
            try:
                return action(stored)
            except _LostSwapError as lost:
                if attempt == _TRIES:
                    raise lost.conflict from lost
        raise AssertionError

    def _step(self, stored: Stored) -> Outcome:
        halted = self._look_again(stored)
        if halted is not None:
            return halted
        stored = self._settle_or_pause(stored)
        if stored.state.is_terminal:
            return Outcome(stored.state, waiting_for=stored.state.outcome)
        decision = self._decide(stored.state, record=True)
        after = self._settle(self._save(stored, replace(decision.state, last_reconcile_at=self.effects.clock.now())))
        return replace(decision, state=after.state)

    def _look_again(self, stored: Stored) -> Outcome | None:
        """Judge anew before exposure is raised that somebody decided on long ago and was killed. None: finish it.

        What was good then may be bad now, and the windows may have closed.
        """
        state, now = stored.state, self.effects.clock.now()
        taken = taken_by_another(self.effects, state)
        seen = machine.undone(state, now, is_late=bool(taken))
        if seen is None:
            return None
        judged = look_at(seen, now, self.measure)
        results = judged.results
        halted = machine.halt(counted(state, results), results, now)
        self._keep(judged, always=halted.told != state.told)
        if halted.told != state.told:
            after = self._settle(self._save(stored, replace(halted, last_reconcile_at=now)))
            waiting_for = reason_to_wait(after.state, results, "", now)
            return Outcome(after.state, results, changed=True, waiting_for=waiting_for, waived=seen.waived)
        shut = taken or machine.closed(seen, now)
        if not shut:
            return None
        after = self._save(stored, replace(halted, last_reconcile_at=now))
        return Outcome(after.state, results, waiting_for=shut, next_look=next_look(after.state, now), waived=seen.waived)

    def _settle_or_pause(self, stored: Stored) -> Stored:
        """Finish the intent; when what it would expose no longer holds, pause instead, so that gates go on being judged.

        So also when a mirror went away since the intent was decided on, and has not come back by now: the first store can
        still roll back.
        The bytes of a release that vanished must not keep a rollback of that very release from happening.
        """
        try:
            return self._settle(stored)
        except (VerificationError, MirrorUnavailableError) as error:
            if stored.state.is_terminal or stored.state.stage is Stage.PAUSED:
                raise
            now = self.effects.clock.now()
            return self._settle(self._save(stored, machine.pause(stored.state, f"{error.what}: {error.subject}", "", now)))

    def _settle(self, stored: Stored) -> Stored:
        """Finish the recorded intent and write the queued ledger entries; both are safe to do twice."""
        if stored.state.intent is not None:
            self._act(stored.state)
            stored = self._save(stored, machine.finish_intent(stored.state, self.effects.clock.now()))
        stored = self._tell(stored)
        if stored.state.is_over:
            # Last of all: until here the claims are how an ended rollout with something left to do is found.
            for name in machine.claimed(stored.state):
                self.effects.rollouts.release_claim(name, stored.state.id)
        return stored

    def _tell(self, stored: Stored) -> Stored:
        for event in stored.state.events:
            self.ledger.append(event.kind, event.id, dict(event.data), event.at, since=event.at)
        return self._save(stored, replace(stored.state, events=()))

    def _act(self, state: RolloutState) -> None:
        try:
            self._supersede(state)
            self.effects.carry_out(state)
        except ConflictError as conflict:
            if not self.effects.is_current(state):
                raise _LostSwapError(conflict) from conflict
            raise

    def _save(self, stored: Stored, state: RolloutState) -> Stored:
        try:
            return self.effects.rollouts.save(stored, state)
        except ConflictError as conflict:
            raise _LostSwapError(conflict) from conflict

    def _keep(self, judged: Judged, *, always: bool = False) -> None:
        if judged.look is not None:
            self.record(judged.state, judged.look, judged.readings, always)

    def _supersede(self, state: RolloutState) -> None:
        """End older rollouts that hold a channel which is about to be claimed. Ending them twice is ending them once."""
        for op in state.intent.ops if state.intent else ():
            holder = self.effects.rollouts.holder(op.channel) if op.kind is OpKind.CLAIM else None
            if holder is not None and holder.state.id != state.id and gives_way(holder.state, state):
                self.effects.refuse_if_replaced(state)
                self.command(holder.state.id, lambda held, now: machine.supersede(held, state.id, "", now))


class _LostSwapError(Exception):
    """Somebody else wrote the rollout between our read and our write."""

    def __init__(self, conflict: ConflictError) -> None:
        super().__init__()
        self.conflict = conflict


def _is_step(before: RolloutState, after: RolloutState) -> bool:
    """Tell whether a decision did more than remember: every step is told. Who counts looks must not look again at once."""
    return after.told != before.told
