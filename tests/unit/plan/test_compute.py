from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from otagate.model import Context, Version
from otagate.plan.compute import Progress, Snapshot, ship_plan
from otagate.plan.steps import Plan, Status, StepKind
from otagate.policy.model.bundles import BuildSpec, SealFormat, SealSpec
from otagate.policy.model.policy import Policy
from support.world import COMMIT, GATES, PRODUCTION, make_policy, phase, track

MAIN = Context("git", COMMIT, branch="main")


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return make_policy(tmp_path)


def planned(policy: Policy, snapshot: Snapshot | None = None, context: Context = MAIN, spec: Any = PRODUCTION) -> Plan:
    return ship_plan(policy, context, Version("1.0.0"), spec, snapshot or Snapshot())


def short(plan: Plan) -> list[tuple[str, str]]:
    return [(step.kind.value, step.status.value) for step in plan.steps]


def test_a_first_release_publishes_starts_and_enters_the_first_phase(policy: Policy) -> None:
    plan = planned(policy)
    assert plan.goal == "ship 1.0.0 along track production"
    assert short(plan) == [
        ("vet", "todo"),
        ("bundle", "todo"),
        ("seal", "todo"),
        ("publish", "todo"),
        ("start", "todo"),
        ("advance", "todo"),
        ("soak", "later"),
        ("advance", "later"),
        ("soak", "later"),
        ("advance", "later"),
        ("soak", "later"),
        ("advance", "later"),
        ("soak", "later"),
        ("advance", "later"),
        ("soak", "later"),
        ("complete", "later"),
    ]
    assert [step.title for step in plan.steps if step.kind is StepKind.ADVANCE] == [
        "promote internal to 1.0.0 at 100%",
        "promote beta to 1.0.0 at 100%",
        "promote stable to 1.0.0 at 5%",
        "promote stable to 1.0.0 at 50%",
        "promote stable to 1.0.0 at 100%",
    ]
    assert plan.has_work
    assert (plan.refusal, plan.notes) == ("", ())
    assert dict(plan.facts) == {
        "app": "com.example.app",
        "ref": "main",
        "commit": COMMIT,
        "version": "1.0.0",
        "track": "production",
        "store": "memory:world",
        "from": "git",
    }


@pytest.mark.parametrize(
    ("context", "named"),
    [
        (Context("git", COMMIT, branch="docs/typo"), "docs/typo"),
        (Context("git", COMMIT, branch="a\x1b[2Jb"), "a\\x1b[2Jb"),
        (Context("none"), "this checkout (no branch, tag or pull request)"),
    ],
)
def test_without_a_rule_there_is_nothing_to_do(policy: Policy, context: Context, named: str) -> None:
    plan = ship_plan(policy, context, None, None, Snapshot())
    assert (plan.goal, plan.steps, plan.has_work) == ("nothing to do", (), False)
    assert plan.notes == (f"no rule of `branches` matches {named}: nothing to do",)
    assert "version" not in dict(plan.facts)


def test_a_fork_sees_the_plan_and_may_not_carry_it_out(policy: Policy) -> None:
    plan = planned(policy, context=replace(MAIN, is_fork=True))
    assert plan.steps
    assert plan.refusal == "a pull request from a fork may plan, and may not publish"


def test_what_is_published_is_not_made_again(policy: Policy) -> None:
    plan = planned(policy, Snapshot(is_published=True))
    assert {step.status for step in plan.steps if step.kind in {StepKind.VET, StepKind.SEAL, StepKind.PUBLISH}} == {Status.DONE}
    assert plan.has_work


def test_a_rollout_in_progress_is_shown_where_it_stands(policy: Policy) -> None:
    plan = planned(policy, Snapshot(True, Progress("soaking", 2, 0, is_terminal=False)))
    kinds = {step.kind for step in plan.steps}
    assert StepKind.START not in kinds
    advances = [step.status.value for step in plan.steps if step.kind is StepKind.ADVANCE]
    assert advances == ["done", "done", "done", "later", "later"]
    assert not plan.has_work


def test_a_completed_rollout_is_all_done(policy: Policy) -> None:
    plan = planned(policy, Snapshot(True, Progress("completed", 2, 2, is_terminal=True)))
    assert {step.status for step in plan.steps} == {Status.DONE}
    assert not plan.has_work


def test_a_rolled_back_one_goes_no_further(policy: Policy) -> None:
    plan = planned(policy, Snapshot(True, Progress("rolled_back", 1, 0, is_terminal=True, reason="crash_rate")))
    advances = [step.status for step in plan.steps if step.kind is StepKind.ADVANCE]
    assert advances[2:] == [Status.REFUSED] * 3
    assert plan.steps[-1].status is Status.REFUSED
    assert not plan.has_work


def test_a_paused_one_goes_on_later(policy: Policy) -> None:
    plan = planned(policy, Snapshot(True, Progress("paused", 0, 0, is_terminal=False, reason="by hand")))
    assert [step.status for step in plan.steps if step.kind is StepKind.ADVANCE][1:] == [Status.LATER] * 4


def test_a_held_channel_refuses(policy: Policy) -> None:
    held = Snapshot(holders={"internal": "0.9.0-production (soaking)"})
    assert planned(policy, held).refusal == "channel internal is held by 0.9.0-production (soaking)"
    assert planned(policy, Snapshot(holders={"stable": "0.9.0-production (soaking)"})).refusal == "", (
        "later phases wait their turn"
    )


def test_a_fix_says_that_it_ends_what_is_under_way(policy: Policy) -> None:
    plan = planned(policy, Snapshot(holders={"internal": "0.9.0-production (soaking)"}, superseded="0.9.0-production"))
    assert [step.detail for step in plan.steps if step.kind is StepKind.SUPERSEDE] == [
        "it is under way; this commit's rule has `supersede`"
    ]


def test_a_paused_holder_is_superseded(policy: Policy) -> None:
    plan = planned(policy, Snapshot(holders={"internal": "0.9.0-production (paused)"}, superseded="0.9.0-production"))
    assert plan.refusal == ""
    titles = [step.title for step in plan.steps]
    assert titles.index("supersede 0.9.0-production") < titles.index("start the rollout along production")


def test_an_approval_comes_before_its_phase(policy: Policy) -> None:
    spec = track(phase("internal", soak=timedelta(0)), phase("stable", 5, 100, approve=True))
    plan = planned(policy, spec=spec)
    tail = [(step.kind.value, step.status.value) for step in plan.steps][5:]
    assert tail[:3] == [("advance", "todo"), ("approve", "todo"), ("advance", "later")]
    approve = next(step for step in plan.steps if step.kind is StepKind.APPROVE)
    assert (approve.title, approve.detail) == ("wait for an approval of phase stable", "otagate approve stable")


def test_a_track_without_soaks_is_done_at_once(policy: Policy) -> None:
    spec = track(phase("development", soak=timedelta(0)))
    plan = planned(replace(policy, gates=()), spec=spec)
    assert {step.status for step in plan.steps} == {Status.TODO}


@pytest.mark.parametrize(
    ("command", "shown"),
    [("npm run build", "run `npm run build`"), (("npm", "run", "build"), "run `npm run build`"), (None, None)],
)
def test_the_build_command_is_shown(policy: Policy, command: Any, shown: str | None) -> None:
    plan = planned(replace(policy, build=BuildSpec(command, "dist")))
    assert [step.title for step in plan.steps if step.kind is StepKind.BUILD] == ([shown] if shown else [])


@pytest.mark.parametrize(
    ("seal", "said"),
    [(SealFormat.CAPGO, "Capgo plugin"), (SealFormat.AES_256_GCM, "AES-256-GCM"), (SealFormat.NONE, "signed only")],
)
def test_the_seal_is_named(policy: Policy, seal: SealFormat, said: str) -> None:
    plan = planned(replace(policy, seal=SealSpec(seal)))
    assert said in next(step.title for step in plan.steps if step.kind is StepKind.SEAL)


def test_what_is_unwise_is_noted(policy: Policy) -> None:
    plan = planned(replace(policy, gates=()), context=replace(MAIN, is_dirty=True))
    assert len(plan.notes) == 2
    assert "work tree differs" in plan.notes[0]
    assert "only time passes" in plan.notes[1]
    assert dict(plan.facts)["commit"].endswith("(work tree changed)")


def test_soaks_name_the_gates_that_act(policy: Policy) -> None:
    gates = (GATES[0], replace(GATES[1], dry_run=True))
    plan = planned(replace(policy, gates=gates))
    assert {step.detail for step in plan.steps if step.kind is StepKind.SOAK} == {"gates: crash_rate"}
    plan = planned(replace(policy, gates=()))
    assert {step.detail for step in plan.steps if step.kind is StepKind.SOAK} == {"no gates"}


def test_a_phase_that_no_gate_can_stop_is_named(policy: Policy) -> None:
    """Gates there are, and none of them acts: a dry run, an alert, or another phase's."""
    dry = replace(GATES[0], dry_run=True)
    elsewhere = replace(GATES[1], phases=("stable",))
    plan = planned(replace(policy, gates=(dry, elsewhere)))
    assert plan.notes == ("no gate can stop it in internal, beta: it goes on when the soak is over, whatever devices say",)
    details = [step.detail for step in plan.steps if step.kind is StepKind.SOAK]
    assert details == ["no gates", "no gates", *["gates: success"] * 3]
    assert planned(policy).notes == ()
