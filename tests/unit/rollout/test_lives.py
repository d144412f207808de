"""Any verbs in any order, at any time, whatever devices say, killed anywhere: the rules hold, and there is always a way on.

``OTAGATE_TEST_LIVES=N`` lives N lives instead of a few dozen.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from otagate._clock import from_text
from otagate.errors import ConflictError, NotFoundError, UsageError
from otagate.flow import actions, amending
from otagate.flow.select import active_rollouts
from otagate.flow.workspace import Workspace
from otagate.model import ChannelName, Version, Weight
from otagate.policy.model.tracks import BranchRule, TrackSpec
from support.faulty import Crash, Fault, FaultyStore, Plan
from support.rules import FULL, TERMINAL, check_rules, documents, rollouts, weight_of
from support.world import BAD, DAY, GOOD, HOUR, World, phase, track

MANY = int(os.environ.get("OTAGATE_TEST_LIVES", "25"))
MEDIOCRE = {"crash_rate": (100, 2000), "success": (10, 2000)}
SAYINGS: dict[str, dict[str, Any]] = {
    "good": GOOD,
    "mediocre": MEDIOCRE,
    "bad": BAD,
    "few": {"crash_rate": (0, 20), "success": (0, 20)},
    "nothing": {},
    "error": {"crash_rate": "the source is down", "success": (10, 2000)},
}
FINE = {"crash_rate": "known", "success": "known"}
PLAIN = track(phase("internal"), phase("beta", 5, 50, 100, approve=True))
LONGER = track(phase("internal"), phase("beta", 5, 50, 100, soak=2 * DAY), phase("stable", 20, 100, holdout=Weight(500)))
HOTFIX = track(phase("beta", 50, 100, soak=HOUR, allow_short_soak=True), name="hotfix")
CHANNELS = ("internal", "beta", "stable", "nightly")
_done: Counter[str] = Counter()


@cache
def first_world() -> World:
    """Give a world in which a release went all the way."""
    rules = (BranchRule("main", track="production"), BranchRule("hotfix/*", track="hotfix", supersede=True))
    world = World(_folder(), spec=PLAIN, branches=rules, tracks={"production": PLAIN, "hotfix": HOTFIX})
    world.run("0.9.0")
    for _ in range(8):
        world.clock.pass_(DAY)
        if world.state("0.9.0-production").awaiting:
            actions.approve(world.process(), None, None, "fine").carry_out()
        world.run("0.9.0")
    assert world.state("0.9.0-production").is_over
    return world


@cache
def _folder() -> Path:
    place = TemporaryDirectory()
    _kept.append(place)
    return Path(place.name)


_kept: list[TemporaryDirectory[str]] = []
"""Removed when the process ends."""

DEATHS = st.none() | st.none() | st.tuples(st.integers(0, 60), st.sampled_from([Fault.CRASH_BEFORE, Fault.CRASH_AFTER]))
Death = tuple[int, Fault] | None


class Lives(RuleBasedStateMachine):
    """Everything that people, schedules and devices may do to an app."""

    @initialize()
    def begin(self) -> None:
        self.world = first_world().twin()
        self.newest = 0
        self.by_hand: dict[tuple[str, str], int] = {}
        self.saying = "good"

    # --- the world ---

    @rule(span=st.sampled_from([timedelta(minutes=10), HOUR, timedelta(hours=12), DAY, 4 * DAY]))
    def time_passes(self, span: timedelta) -> None:
        self.world.clock.pass_(span)

    @rule(saying=st.sampled_from(sorted(SAYINGS)))
    def devices_say(self, saying: str) -> None:
        self.saying = saying
        self.world.devices.says = dict(SAYINGS[saying])

    # --- schedules ---

    @rule(fix=st.booleans(), dies=DEATHS)
    def run_anew(self, fix: bool, dies: Death) -> None:
        self.newest += 1
        self.run(f"1.0.{self.newest}", "hotfix/1" if fix else "main", dies)

    @rule(wait=st.sampled_from([timedelta(0), DAY]), dies=DEATHS)
    def run_again(self, wait: timedelta, dies: Death) -> None:
        self.world.clock.pass_(wait)
        self.newest = max(self.newest, 1)
        self.run(f"1.0.{self.newest}", "main", dies)

    def run(self, version: str, branch: str, dies: Death) -> None:
        self.do("run", lambda here: self.world.run(version, workspace=here), dies, branch=branch)

    @rule(days=st.integers(1, 3))
    def scheduled(self, days: int) -> None:
        """Nobody does anything for days, and reconcile runs."""
        for _ in range(days):
            self.reconcile(DAY, None)

    @rule(wait=st.sampled_from([timedelta(0), HOUR, DAY]), dies=DEATHS)
    def reconcile_later(self, wait: timedelta, dies: Death) -> None:
        self.reconcile(wait, dies)

    def reconcile(self, wait: timedelta, dies: Death) -> None:
        self.world.clock.pass_(wait)
        for name in self.held():
            before = rollouts(self.world)[name]
            is_told = self.do("reconcile", lambda here, name=name: here.reconciler.reconcile(name), dies)  # type: ignore[misc]
            if is_told and self.saying == "bad" and before["entered_at"] and before["stage"] not in TERMINAL:
                after = rollouts(self.world)[name]
                assert after["stage"] == "rolled_back", f"{name} is {after['stage']} while devices crash"

    # --- people ---

    @precondition(lambda self: self.stands("awaiting_approval"))
    @rule(dies=DEATHS)
    def approve(self, dies: Death) -> None:
        self.do("approve", lambda here: actions.approve(here, self.any_channel(), None, "fine").carry_out(), dies)

    @precondition(lambda self: self.stands("soaking", "awaiting_approval", "pending", "rolling"))
    @rule(dies=DEATHS)
    def pause(self, dies: Death) -> None:
        self.do("pause", lambda here: actions.pause(here, self.any_channel(), "a look").carry_out(), dies)

    @precondition(lambda self: self.stands("paused"))
    @rule(overrides=st.sampled_from([{}, {}, {"crash_rate": "known"}, FINE]), dies=DEATHS)
    def resume(self, overrides: dict[str, str], dies: Death) -> None:
        self.do("resume", lambda here: actions.resume(here, self.any_channel(), overrides, "go on").carry_out(), dies)

    @precondition(lambda self: self.active())
    @rule(dies=DEATHS)
    def abort(self, dies: Death) -> None:
        self.do("abort", lambda here: amending.abort(here, self.any_channel(), "not now").carry_out(), dies)

    @precondition(lambda self: any(one["step"] for one in self.standing()))
    @rule(percent=st.sampled_from([5, 50]), dies=DEATHS)
    def lower(self, percent: int, dies: Death) -> None:
        weight = Weight(100 * percent)
        self.do("lower", lambda here: amending.lower(here, self.any_channel(), weight, "slower").carry_out(), dies)

    @precondition(lambda self: self.active())
    @rule(spec=st.sampled_from([PLAIN, LONGER]), dies=DEATHS)
    def amend(self, spec: TrackSpec, dies: Death) -> None:
        self.world.policy = replace(self.world.policy, tracks={"production": spec, "hotfix": HOTFIX})
        self.do("amend", lambda here: amending.amend(here, self.any_channel(), "as it is now").carry_out(), dies)

    @precondition(lambda self: self.newest)
    @rule(to=st.sampled_from([None, None, "0.9.0", "builtin"]), name=st.sampled_from(CHANNELS), dies=DEATHS)
    def roll_back(self, to: str | None, name: str, dies: Death) -> None:
        if to == "0.9.0":
            self.by_hand[name, to] = FULL
        self.do("rollback", lambda here: actions.rollback(here, ChannelName(name), to, "bad").carry_out(), dies)

    @rule(
        name=st.sampled_from(["nightly", "nightly", "stable", "beta"]),
        percent=st.sampled_from([5, 50, 100]),
        is_newest=st.booleans(),
        dies=DEATHS,
    )
    def promote(self, name: str, percent: int, is_newest: bool, dies: Death) -> None:
        version = f"1.0.{self.newest}" if is_newest else "0.9.0"
        key = (name, version)
        self.by_hand[key] = max(self.by_hand.get(key, 0), 100 * percent)

        def command(here: Workspace) -> object:
            return actions.promote(here, ChannelName(name), Version(version), Weight(100 * percent)).carry_out()

        self.do("promote", command, dies)

    # --- what is so at any time ---

    def active(self) -> list[str]:
        return [name for name, one in rollouts(self.world).items() if one["stage"] not in TERMINAL]

    def held(self) -> list[str]:
        """Give what ``otagate reconcile`` goes through: also rollouts that ended and of which something is left to do."""
        return [stored.state.id for stored in active_rollouts(self.world.process())]

    def standing(self) -> list[dict[str, Any]]:
        return [one for one in rollouts(self.world).values() if one["stage"] not in TERMINAL]

    def stands(self, *stages: str) -> bool:
        return any(one["stage"] in stages for one in self.standing())

    def any_channel(self) -> ChannelName | None:
        """Name a channel when several rollouts are active: the one that the newest stands on."""
        standing = self.standing()
        if len(standing) < 2:
            return None
        newest = max(standing, key=lambda one: str(one["created_at"]))
        return ChannelName(newest["spec"]["track"]["phases"][max(newest["phase"], 0)]["channel"])

    def do(self, verb: str, command: Callable[[Workspace], object], dies: Death, **context: str) -> bool:
        """Let a new process do something, or die of it; give whether it was done."""
        before, now = rollouts(self.world), self.world.clock.now()
        store = FaultyStore(self.world.store, Plan(*dies)) if dies else self.world.store
        end = "done"
        try:
            command(self.world.process(store, **context))
        except Crash:
            end = "killed"
        except (ConflictError, NotFoundError, UsageError):
            end = "refused"
        _done[f"{verb} {end}"] += 1
        for name, after in rollouts(self.world).items():
            if name in before:
                self.check_exposure(verb, before[name], after, now)
        check_rules(self.world, self.by_hand)
        for _, channel in documents(self.world, "channels"):
            shown = [one["version"] for one in (channel.get("stable"), channel.get("candidate")) if one]
            assert not set(shown) & set(channel["blocked"]), "what was withdrawn is served again"
        return end == "done"

    def check_exposure(self, verb: str, before: dict[str, Any], after: dict[str, Any], now: Any) -> None:
        """Exposure rises only in run and reconcile, by one step, after a soak, with nothing that speaks against it."""
        was, is_now = place(before), place(after)
        if before["stage"] in TERMINAL:
            assert (after["stage"], is_now) == (before["stage"], was)
        if is_now <= was:
            return
        assert verb in {"run", "reconcile"}, f"{verb} raised exposure"
        assert is_now[0] - was[0] <= 1
        assert before["stage"] not in {"paused", "awaiting_approval"}, before["stage"]
        assert not before["latched"], "a latched failure was passed"
        if was[0] < 0:
            return
        assert now >= from_text(before["not_before"]), "the soak was not over"
        if self.saying != "good":
            assert set(before["overrides"]) >= {"crash_rate"}, f"it went on although devices said {self.saying}"

    def teardown(self) -> None:
        """From wherever it has come to, good numbers and people who help bring every rollout to an end."""
        if not hasattr(self, "world"):
            return
        self.world.devices.says = dict(GOOD)
        for _ in range(30):
            if not self.held():
                break
            for name in self.held():
                self.help(name)
            self.world.clock.pass_(2 * DAY)
        left = {*self.active(), *self.held()}
        assert not left, {name: self.world.reconcile(name).waiting_for for name in left}
        check_rules(self.world, self.by_hand)

    def help(self, name: str) -> None:
        here = self.world.process()
        state = self.world.state(name)
        channel = state.exposed[-1] if state.exposed else state.spec.track.phases[0].channel
        try:
            if "was rolled back on channel" in state.paused_by:  # there is no way on for this release
                amending.abort(here, channel, "gone").carry_out()
                return
            if state.paused_by or state.latched:
                actions.resume(here, channel, dict.fromkeys(state.latched, "known"), "go on").carry_out()
            if state.awaiting:
                actions.approve(here, channel, None, "fine").carry_out()
            waits = here.reconciler.reconcile(name).waiting_for
            if "is paused: otagate resume --channel" in waits:  # what paused it was ended, and the pause left
                actions.resume(here, ChannelName(waits.split()[-1]), {}, "go on").carry_out()
        except ConflictError:
            actions.rollback(here, channel, None, "no way on").carry_out()


def place(rollout: dict[str, Any]) -> tuple[int, int]:
    return rollout["phase"], weight_of(rollout)


def test_whatever_happens_the_rules_hold_and_there_is_a_way_on() -> None:
    calm = settings(
        max_examples=MANY,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(Lives, settings=calm)
    print(f"{MANY} lives: {dict(_done)}")
    assert sum(_done.values()) > 5 * MANY
    assert _done["run done"] > _done["run killed"] > 0
