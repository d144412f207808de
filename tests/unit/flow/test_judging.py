"""One verdict for many gates, and what is judged when nobody acts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from otagate.cli.render.blocks import Line
from otagate.cli.render.gates import gate_eval_view
from otagate.errors import ExitCode, UsageError
from otagate.flow.judging import exit_code, find_gate, of_counts, of_release, of_rollout
from otagate.gate.interface import Measurement
from otagate.gate.judge import GateResult, Look, LookKind, Reading, judge
from otagate.gate.summary import overall
from otagate.model import AppId, ChannelName, Digest, ReleaseRef, Version, Weight
from otagate.policy.model.gates import Action, Escalation, Evaluate, GateSpec, Judgement, Limit, Split, ValueLimit
from otagate.policy.model.tracks import PhaseSpec, TrackSpec
from otagate.rollout.state import Note, RolloutSpec, RolloutState, Stage
from support.world import World

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
START = NOW - timedelta(hours=6)
CRASH = GateSpec("crash_rate", max=Decimal("0.02"))
WORSE = replace(CRASH, escalate=Escalation(Decimal("0.1"), Action.ROLLBACK))
SUCCESS = GateSpec("device_success_rate", min=Decimal("0.85"), target=Decimal("0.98"), action=Action.ROLLBACK, min_sample=30)
ERRORS = GateSpec("error_rate", max=Decimal("0.005"), action=Action.ALERT)
COMPLETION = GateSpec("rollout_completion", min=Decimal("0.95"), evaluate=Evaluate.PHASE_END)
VERIFY = GateSpec(
    "verification_time",
    limits=tuple(
        Limit(timedelta(seconds=seconds), Decimal("0.05"), action)
        for seconds, action in ((45, Action.ALERT), (120, Action.PAUSE))
    ),
)


def result(spec: GateSpec, bad: int, total: int, *rest: tuple[int, int], kind: LookKind = LookKind.PHASE_END) -> GateResult:
    overs: list[timedelta | None] = [limit.over for limit in spec.limits]
    overs = overs or [None]
    readings = [
        Reading(spec.metric, START, NOW, Measurement(*counts, None, "q"), over)
        for counts, over in zip([(bad, total), *rest], overs, strict=True)
    ]
    return judge(spec, readings, look=Look(kind, START, NOW), judgement=Judgement(), gating_metrics=1, now=NOW)


DRY = replace(CRASH, dry_run=True)


@pytest.mark.parametrize(
    ("results", "verdict", "code"),
    [
        ([result(CRASH, 0, 100)], "pass", ExitCode.DONE),
        ([result(CRASH, 0, 100), result(SUCCESS, 3, 100)], "warn", ExitCode.DONE),
        ([result(CRASH, 9, 100)], "fail", ExitCode.GATE_FAILED),
        ([result(CRASH, 0, 99)], "insufficient", ExitCode.INCONCLUSIVE),
        ([result(CRASH, 0, 0)], "no_data", ExitCode.INCONCLUSIVE),
        ([result(CRASH, 5, 3)], "error", ExitCode.INCONCLUSIVE),
        ([result(CRASH, 0, 100, kind=LookKind.INTERIM)], "inconclusive", ExitCode.INCONCLUSIVE),
        ([result(CRASH, 0, 0), result(SUCCESS, 30, 30)], "fail", ExitCode.GATE_FAILED),
        # What only alerts does not speak for those that may stop a rollout.
        ([result(CRASH, 0, 100), result(ERRORS, 0, 0)], "pass", ExitCode.DONE),
        ([result(CRASH, 0, 100), result(ERRORS, 50, 100)], "pass", ExitCode.DONE),
        ([result(CRASH, 0, 99), result(ERRORS, 50, 100)], "insufficient", ExitCode.INCONCLUSIVE),
        ([result(VERIFY, 50, 100, (0, 100))], "pass", ExitCode.DONE),
        ([result(VERIFY, 50, 100, (0, 0))], "no_data", ExitCode.INCONCLUSIVE),
        # Alone, it does.
        ([result(ERRORS, 0, 100)], "pass", ExitCode.DONE),
        ([result(ERRORS, 50, 100)], "fail", ExitCode.DONE),
        ([result(ERRORS, 0, 0)], "no_data", ExitCode.INCONCLUSIVE),
        ([result(DRY, 50, 100)], "fail", ExitCode.DONE),
        ([result(DRY, 0, 0)], "no_data", ExitCode.INCONCLUSIVE),
        # A gate of the end of the phase does not hold the soak before it.
        (
            [result(CRASH, 0, 100, kind=LookKind.SOAK_END), result(COMPLETION, 0, 100, kind=LookKind.SOAK_END)],
            "pass",
            ExitCode.DONE,
        ),
        ([result(COMPLETION, 0, 100, kind=LookKind.SOAK_END)], "inconclusive", ExitCode.INCONCLUSIVE),
        ([], "no_data", ExitCode.INCONCLUSIVE),
    ],
)
def test_one_verdict_for_all(results: list[GateResult], verdict: str, code: ExitCode) -> None:
    assert (overall(results), exit_code(results)) == (verdict, code)


LOOK = Look(LookKind.PHASE_END, START, NOW)


def counted(gates: list[GateSpec], metric: str, counts: tuple[int, int], over: float | None = None) -> GateResult:
    limit = None if over is None else timedelta(seconds=over)
    case = of_counts(gates, Judgement(), metric=metric, counts=counts, over=limit, look=LOOK)
    return case.judged(NOW)[0]


def test_counts_are_judged_with_the_budget_of_all_gates() -> None:
    alone, together = counted([CRASH], "crash_rate", (0, 100)), counted([CRASH, SUCCESS], "crash_rate", (0, 100))
    assert alone.verdict == together.verdict == "pass"
    assert alone.checks[0].log_e_pause < together.checks[0].log_e_pause


def test_counts_of_one_limit_have_its_part_of_the_budget_as_in_a_rollout() -> None:
    both = replace(VERIFY, limits=tuple(replace(limit, action=Action.PAUSE) for limit in VERIFY.limits))
    read = [Reading(both.metric, START, NOW, Measurement(9, 100, NOW, "test"), limit.over) for limit in both.limits]
    whole = judge(both, read, look=LOOK, judgement=Judgement(), gating_metrics=1, now=NOW)
    shown = counted([both], "verification_time", (9, 100), over=120)
    assert shown.checks[0].log_e_pause == whole.checks[1].log_e_pause


@pytest.mark.parametrize(
    "gate",
    [
        GateSpec("split", split=Split.AT_MOST),
        GateSpec("split", max_increase=Decimal("0.5")),
        GateSpec("split", value=ValueLimit(max=Decimal(5))),
    ],
)
def test_counts_are_refused_by_a_gate_that_asks_for_more(gate: GateSpec) -> None:
    """100 of 100 devices passed a split at the weight of 100 % that nobody had said."""
    with pytest.raises(UsageError, match="do not say what this gate asks"):
        counted([gate], "split", (100, 100))


def test_counts_of_one_limit_are_judged_by_it_alone() -> None:
    found = counted([VERIFY], "verification_time", (9, 100), over=120)
    assert [(check.name, check.verdict, check.demand) for check in found.checks] == [("over 2m", "fail", "pause")]


@pytest.mark.parametrize(
    ("metric", "over", "message"),
    [
        ("crash_rat", None, "did you mean crash_rate"),
        ("zzz", None, "policy explain"),
        ("crash_rate", 45, "no limits of time"),
        ("verification_time", None, "--over 45s or --over 2m"),
        ("verification_time", 60, "found: --over 1m"),
    ],
)
def test_counts_must_be_about_something(metric: str, over: float | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        counted([CRASH, VERIFY], metric, (0, 100), over)


def test_no_gates_no_name() -> None:
    with pytest.raises(UsageError, match=r"a policy with gates"):
        find_gate([], "crash_rate")


def rollout(**more: Any) -> RolloutState:
    phase = PhaseSpec("stable", ChannelName("stable"), (Weight(500), Weight(10_000)))
    spec = RolloutSpec(TrackSpec("production", (phase,)), (CRASH,), Judgement())
    release = ReleaseRef(Version("1.4.2"), Digest.of(b""))
    soaking = {
        "stage": Stage.SOAKING,
        "phase": 0,
        "entered_at": START,
        "phase_since": START - timedelta(days=1),
        "not_before": NOW - timedelta(minutes=1),
        "exposed": (ChannelName("stable"),),
    }
    return RolloutState("1.4.2-production", AppId("com.example.app"), release, spec, "0" * 32, START, **{**soaking, **more})


@pytest.mark.parametrize(
    ("state", "kind", "expected"),
    [
        (rollout(), None, LookKind.SOAK_END),
        (rollout(step=1), None, LookKind.PHASE_END),
        (rollout(not_before=NOW + timedelta(hours=1)), None, LookKind.INTERIM),
        (rollout(), LookKind.INTERIM, LookKind.INTERIM),
        (rollout(stage=Stage.PAUSED), LookKind.PHASE_END, LookKind.PHASE_END),
    ],
)
def test_rollouts_are_looked_at_as_a_reconcile_would(state: RolloutState, kind: LookKind | None, expected: LookKind) -> None:
    case = of_rollout(state, NOW, kind)
    assert case.look.kind is expected
    assert case.subject is not None
    assert (case.subject.release, case.subject.weight_bps, case.subject.start) == ("1.4.2", state.weight.bps, state.phase_since)


def test_window_may_begin_elsewhere() -> None:
    case = of_rollout(rollout(), NOW).starting(NOW - timedelta(minutes=5))
    assert case.subject is not None
    assert case.subject.start == NOW - timedelta(minutes=5)


def test_rollout_that_exposed_nothing_cannot_be_judged() -> None:
    with pytest.raises(UsageError, match=r"nothing to measure"):
        of_rollout(rollout(phase=-1, phase_since=None, entered_at=None, not_before=None, stage=Stage.PENDING), NOW)


@pytest.mark.parametrize(("release", "control"), [("1.0.0", None), ("1.1.0", "1.0.0")])
def test_any_release_is_compared_with_the_one_that_its_channel_serves(
    tmp_path: Path, release: str, control: str | None
) -> None:
    world = World(tmp_path)
    assert world.to_completion().state.stage is Stage.COMPLETED
    beside = GateSpec("beside", max_increase=Decimal("0.5"))
    world.policy = replace(world.policy, gates=(*world.policy.gates, beside))
    channel = world.policy.tracks["production"].phases[-1].channel
    look = Look(LookKind.PHASE_END, START, NOW)
    case = of_release(world.process(), channel, Version(release), look)
    assert case.subject is not None
    assert (case.subject.control, case.look.has_control) == (control, control is not None)


@pytest.mark.parametrize(
    ("results", "waived", "verdict", "code", "deed"),
    [
        ([result(CRASH, 9, 100)], {"crash_rate"}, "warn", ExitCode.DONE, "go on"),
        ([result(CRASH, 9, 100)], {"error_rate"}, "fail", ExitCode.GATE_FAILED, "pause"),
        ([result(CRASH, 9, 100), result(SUCCESS, 1, 100)], {"crash_rate"}, "pass", ExitCode.DONE, "go on"),
        ([result(CRASH, 9, 100), result(SUCCESS, 1, 9)], {"crash_rate"}, "insufficient", ExitCode.INCONCLUSIVE, "wait"),
        ([result(SUCCESS, 90, 100)], {"device_success_rate"}, "warn", ExitCode.DONE, "go on"),
        ([result(WORSE, 90, 100)], {"crash_rate"}, "fail", ExitCode.GATE_FAILED, "roll back"),
    ],
)
def test_what_was_waived_is_no_reason_to_stop(
    results: list[GateResult], waived: set[str], verdict: str, code: ExitCode, deed: str
) -> None:
    """``gate eval`` says what the next reconcile does: it goes on with what somebody has lifted."""
    assert (overall(results, waived), exit_code(results, waived)) == (verdict, code)
    head = gate_eval_view(results, overall(results, waived), [], waived)[0]
    assert isinstance(head, Line)
    assert head.text == f"{verdict}: a rollout would {deed}"


def test_the_waivers_of_a_rollout_are_judged_with_it() -> None:
    assert of_rollout(rollout(overrides={"crash_rate": Note(START, "known", "ana")}), NOW).waived == {"crash_rate"}
    long_ago = START - timedelta(days=2)
    assert of_rollout(rollout(overrides={"crash_rate": Note(long_ago, "for testers", "ana")}), NOW).waived == frozenset()
