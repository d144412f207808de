"""Whole rehearsals of a day or two, with forty devices."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from otagate.flow.rehearse.many import rehearse_many, summarise
from otagate.flow.rehearse.model import Ending, Rehearsed
from otagate.flow.rehearse.run import rehearse
from otagate.policy.model.policy import Policy
from support.rehearsals import HOUR, MONDAY, POLICY, small_policy, small_scenario


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return small_policy(tmp_path)


def kinds(run: Rehearsed) -> list[str]:
    return [moment.kind for moment in run.moments]


def test_a_healthy_release_reaches_everybody(policy: Policy) -> None:
    run = rehearse(policy, small_scenario(), 1)
    assert (run.ending, run.stage, run.stop, run.is_false_stop) == (Ending.COMPLETED, "completed", None, False)
    assert 36 <= run.exposed == run.left <= run.offered <= 40
    assert run.met == 0
    approved = next(moment for moment in run.moments if moment.kind == "rollout.approved")
    assert approved.at > 12 * HOUR
    assert run.ended_at >= 37 * HOUR
    assert run.samples[-1].exposed == run.exposed
    assert {sample.phase for sample in run.samples} == {"beta", "stable"}
    assert {"inconclusive", "pass"} <= {sample.verdict for sample in run.samples}


def test_the_same_seed_gives_the_same_and_another_one_does_not(policy: Policy) -> None:
    scenario = small_scenario("boot_crash=30%", "restart=20%", "reconcilers=2", until=20 * HOUR)
    assert rehearse(policy, scenario, 7) == rehearse(policy, scenario, 7)
    assert rehearse(policy, scenario, 7).samples != rehearse(policy, scenario, 8).samples


def test_apps_that_are_opened_at_noon_get_the_release_at_noon(policy: Policy) -> None:
    noons = tuple(24.0 if hour % 24 == 12 else 0.0 for hour in range(168))
    scenario = small_scenario(hours=noons, plugins={"8.51.23": 1.0, "7.0.50": 1.0}, until=8 * HOUR)
    run = rehearse(policy, scenario, 3)
    assert [sample.exposed > 0 for sample in run.samples] == [False, True, True, True], "it began at nine"
    assert run.samples[1].exposed == run.exposed
    assert run == rehearse(policy, scenario, 3)


def test_a_release_that_does_not_start_is_taken_back(policy: Policy) -> None:
    run = rehearse(policy, small_scenario("boot_crash=100%"), 1)
    assert (run.ending, run.stage, run.is_false_stop) == (Ending.STOPPED, "rolled_back", False)
    assert run.stop is not None
    assert run.stop.metric == "device_success_rate"
    assert 0 < run.stop.met <= run.met <= run.exposed < 25
    assert run.stop.first_met is not None
    assert run.stop.first_met < run.stop.at
    assert run.left == 0
    assert run.back_after is not None
    assert "gate.failed" in kinds(run)


def test_a_late_crash_is_met_late(policy: Policy) -> None:
    run = rehearse(policy, small_scenario("late_crash=80%@4h"), 1)
    assert run.stop is not None
    assert (run.ending, run.stop.metric) == (Ending.STOPPED, "crash_rate")
    assert run.stop.first_met is not None
    assert run.stop.first_met > 4 * HOUR


def test_damaged_downloads_run_nowhere(policy: Policy) -> None:
    run = rehearse(policy, small_scenario("integrity=100%", until=14 * HOUR), 1)
    assert run.ending is Ending.STOPPED
    assert run.exposed == 0
    assert run.met == run.offered > 0


def test_a_source_that_is_away_holds_and_a_person_lets_it_go_on(policy: Policy) -> None:
    fault = "metric_outage=8h@3h"
    held = rehearse(policy, small_scenario(fault), 1)
    assert (held.ending, held.stage, held.is_false_stop, held.is_held_once) == (Ending.HELD, "paused", False, True)
    assert held.stop is not None
    assert (held.stop.metric, held.stop.action) == ("", "pause")
    resumed = rehearse(policy, small_scenario(fault, resume_after=8 * HOUR), 1)
    assert (resumed.ending, resumed.is_held_once) == (Ending.COMPLETED, True)
    assert "rollout.resumed" in kinds(resumed)


def test_while_nobody_reconciles_nothing_ramps(policy: Policy) -> None:
    run = rehearse(policy, small_scenario("reconcile_down=48h@6h"), 1)
    away = [sample for sample in run.samples if 6 * HOUR <= sample.at < 54 * HOUR]
    assert {(sample.phase, sample.verdict) for sample in away} == {("beta", "")}
    assert run.ending is Ending.COMPLETED
    assert run.ended_at > 72 * HOUR


def test_machines_that_are_killed_or_meet_each_other_take_no_step_twice(policy: Policy) -> None:
    run = rehearse(policy, small_scenario("restart=50%", "reconcilers=3", devices=60), 3)
    assert run.ending is Ending.COMPLETED
    assert run.killed > 5
    assert kinds(run).count("rollout.advanced") == 3
    assert kinds(run).count("rollout.completed") == 1


def test_machines_that_are_all_to_be_killed_are_killed_anywhere_and_get_on(policy: Policy) -> None:
    """Each was killed at its first operation, because the one before it had been: nothing ever happened."""
    run = rehearse(policy, small_scenario("restart=100%", devices=60, until=48 * HOUR), 1)
    assert "rollout.approved" in kinds(run)
    assert run.killed > run.looks > 1


def test_a_rehearsal_ends_when_its_time_is_over(policy: Policy) -> None:
    run = rehearse(policy, small_scenario(until=5 * HOUR), 1)
    assert (run.ending, run.stage, run.ended_at) == (Ending.UNFINISHED, "soaking", 5 * HOUR)


def test_downloads_that_fail_on_the_way_stop_nobody(policy: Policy) -> None:
    run = rehearse(policy, small_scenario("network=32%"), 1)
    assert (run.ending, run.met) == (Ending.COMPLETED, 0)


def test_a_stop_with_nothing_wrong_is_a_false_one(tmp_path: Path) -> None:
    policy = small_policy(tmp_path, POLICY.replace("max: 10%", "max: 0.1%").replace("above: 40%", "above: 99%"))
    run = rehearse(policy, small_scenario(crash_rate=1.0), 1)
    assert run.stop is not None
    assert (run.ending, run.is_false_stop, run.stop.metric, run.stage) == (Ending.STOPPED, True, "crash_rate", "paused")
    assert run.left == run.exposed > 0
    assert run.samples[-1].at >= run.stop.at + timedelta(days=1)


def test_many_seeds_in_processes_are_the_same_as_one_after_the_other(policy: Policy) -> None:
    scenario = small_scenario("boot_crash=60%", until=12 * HOUR)
    told: list[int] = []
    alone = rehearse_many(policy, scenario, [1, 2])
    together = rehearse_many(policy, scenario, [1, 2], jobs=2, on_done=told.append)
    assert alone == together
    assert told == [1, 2]
    assert summarise(alone).endings["stopped"] == 2


def test_windows_of_the_policy_hold_the_rehearsal_too(tmp_path: Path) -> None:
    windows = 'windows:\n  allow:\n    - {days: [mon, tue, wed, thu, fri], from: "08:00", to: "10:00"}\n'
    run = rehearse(small_policy(tmp_path, windows + POLICY), small_scenario(every=HOUR), 1)
    raised = [MONDAY + moment.at for moment in run.moments if moment.kind == "rollout.advanced"]
    assert len(raised) == 3
    assert all(8 <= at.hour < 10 for at in raised)


def test_releases_are_compared_side_by_side(tmp_path: Path) -> None:
    """The phones that keep the release before crash as rarely as ever."""
    gates = "  crashes_beside: {max_increase: 50%, min_sample: 5, source: {telemetry: {metric: crash_rate}}}\n"
    text = POLICY.replace("  crash_rate: {max: 10%,", "  crash_rate: {dry_run: true, max: 10%,") + gates
    text = text.replace("    - {phase: beta", "    # - {phase: beta").replace(
        "weights: [50%, 100%], soak: 12h", "weights: [50%, 100%], soak: 36h"
    )
    scenario = small_scenario("late_crash=90%@1h", devices=80, follows={"stable": 1.0})
    run = rehearse(small_policy(tmp_path, text), scenario, 1)
    assert run.stop is not None
    assert run.stop.metric == "crashes_beside"
