from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from otagate.channel.interface import ChannelReading
from otagate.cli.render import human
from otagate.cli.render.blocks import Table
from otagate.cli.render.gates import evidence_view, gate_view
from otagate.cli.render.views import (
    channel_data,
    channel_rows,
    next_hint,
    outcome_view,
    outputs,
    rollout_data,
    rollout_view,
)
from otagate.gate.interface import Measurement
from otagate.gate.judge import Demand, GateResult, Look, LookKind, Reading, Verdict, judge
from otagate.model import Candidate, ChannelName, ChannelState, Version, Weight
from otagate.policy.model.gates import Action, GateSpec, Judgement, Split
from otagate.rollout.reconciler import Outcome
from otagate.rollout.state import Note, Stage
from support.rollouts import PASS, fresh, result
from support.world import APP, CRASH_RATE, DAY, NOW

REF = fresh().release


def reading(*, left: timedelta = 30 * DAY, **changes: object) -> ChannelReading:
    state = ChannelState(APP, ChannelName("stable"), 3, None)
    return ChannelReading(replace(state, **changes), "t", NOW, NOW + left)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("left", "said"),
    [(30 * DAY + timedelta(hours=5), "in 30d"), (timedelta(hours=5), "in 5h"), (timedelta(0), "EXPIRED"), (-DAY, "EXPIRED")],
)
def test_the_table_says_when_a_pointer_expires(left: timedelta, said: str) -> None:
    assert channel_rows([reading(left=left)], NOW).rows[0][-1] == said
    assert channel_data(reading(left=left), NOW)["expired"] is (said == "EXPIRED")


def test_a_channel_in_full() -> None:
    full = reading(
        stable=REF,
        candidate=Candidate(REF, Weight(1250), "ab" * 16),
        paused=True,
        previous=(None, REF),
        blocked=(Version("0.1.0"), Version("0.2.0")),
    )
    assert channel_rows([full], NOW).rows[0] == ("stable", "1.0.0", "1.0.0 at 12.5%", "paused", "0.1.0, 0.2.0", "in 30d")
    data = channel_data(full, NOW)
    assert (data["candidate"]["weight"], data["previous"][0], data["blocked"]) == ("12.5%", None, ["0.1.0", "0.2.0"])


@pytest.mark.parametrize(
    ("stage", "latched", "hint"),
    [
        (Stage.PENDING, False, "`otagate reconcile` goes on"),
        (Stage.ROLLING, False, "`otagate reconcile` goes on"),
        (Stage.SOAKING, False, "`otagate reconcile` goes on"),
        (Stage.AWAITING_APPROVAL, False, "otagate approve --channel internal"),
        (Stage.PAUSED, False, "otagate resume --channel internal"),
        (Stage.PAUSED, True, "--override crash_rate --reason"),
        (Stage.ROLLED_BACK, False, "publish a fix"),
    ],
)
def test_what_a_person_can_do_next(stage: Stage, latched: bool, hint: str) -> None:
    state = fresh(stage=stage, phase=0, latched={"crash_rate": Note(NOW, "too many")} if latched else {})
    assert hint in next_hint(state)


@pytest.mark.parametrize("stage", [Stage.COMPLETED, Stage.SUPERSEDED])
def test_what_is_over_has_no_next_step(stage: Stage) -> None:
    assert next_hint(fresh(stage=stage)) == ""
    lines = [
        line
        for block in outcome_view(Outcome(fresh(stage=stage, outcome="done"), waiting_for="done"))
        for line in human.plain(block)
    ]
    assert not any(line.startswith(("waiting for", "next:")) for line in lines)


def test_before_the_first_phase_there_is_no_channel_to_name() -> None:
    state = fresh()
    assert outputs(state) == {
        "version": "1.0.0",
        "release": str(REF.statement),
        "state": "pending",
        "channel": "",
        "weight": "0%",
        "verdict": "",
    }
    assert (rollout_data(state)["phase"], rollout_data(state)["entered_at"]) == (None, None)
    assert "channel" not in "\n".join(line for block in rollout_view(state) for line in human.plain(block))


def test_the_worst_verdict_that_holds_speaks_for_all() -> None:
    order = ["fail", "error", "no_data", "stale", "insufficient", "inconclusive", "warn", "pass"]
    for at, worst in enumerate(order):
        results = [result("a", Verdict(name), holds=not Verdict(name).lets_through) for name in order[at:]]
        assert outputs(fresh(), results)["verdict"] == worst


@pytest.mark.parametrize(
    ("other", "waived"),
    [
        (replace(result("speed", Verdict.FAIL, is_gating=False), is_dry_run=True), ()),
        (result("errors", Verdict.FAIL, Demand.ALERT, is_gating=False), ()),
        (result("crashes", Verdict.FAIL, Demand.PAUSE, holds=True), ("crashes",)),
    ],
    ids=["dry-run", "alert", "waived"],
)
def test_a_job_is_not_told_that_the_gates_failed_by_what_stops_nothing(other: GateResult, waived: tuple[str, ...]) -> None:
    assert outputs(fresh(), [*PASS, other], waived)["verdict"] == "pass"


@pytest.mark.parametrize("text", ["lunch\n::error::forged", "\x1b[31mred", "a\r\u202eb"])
def test_a_reason_forges_no_line(text: str) -> None:
    note = Note(NOW, text, text)
    for state in (
        fresh(stage=Stage.PAUSED, phase=0, paused_by=text),
        fresh(stage=Stage.ABORTED, phase=0, outcome=text),
        fresh(stage=Stage.SOAKING, phase=0, overrides={"crash_rate": note}),
    ):
        lines = [line for block in rollout_view(state) for line in human.plain(block)]
        assert not any(line.startswith("::") for text in lines for line in text.split("\n"))
        assert not {"\x1b", "\r", "\u202e"} & set("".join(lines))
        assert rollout_data(state), "the JSON has it as it was given"
    waits = outcome_view(Outcome(fresh(stage=Stage.SOAKING, phase=0), waiting_for=text))
    assert not {"\x1b", "\r", "\n"} & {char for block in waits for line in human.plain(block) for char in line}


def test_who_has_the_release_is_not_called_bad() -> None:
    gate = GateSpec("split", split=Split.AT_MOST)
    look = Look(LookKind.INTERIM, NOW, NOW + DAY, weight_bps=1250)
    told = Reading("split", NOW, NOW + DAY, Measurement(400, 5000, None, "q"))
    found = judge(gate, [told], look=look, judgement=Judgement(), gating_metrics=1, now=NOW + DAY)
    (table,) = gate_view([found])
    assert isinstance(table, Table)
    assert table.rows[0][table.headers.index("limit")] == "weight 12.5%"


def test_what_alerts_is_not_said_to_pause() -> None:
    gates = [replace(CRASH_RATE, escalate=None), replace(CRASH_RATE, metric="errors", action=Action.ALERT, escalate=None)]
    look = Look(LookKind.INTERIM, NOW, NOW + DAY)
    found = [
        judge(gate, [told], look=look, judgement=Judgement(), gating_metrics=3, now=NOW + DAY)
        for gate in gates
        for told in [Reading(gate.metric, NOW, NOW + DAY, Measurement(3, 400, None, "q"))]
    ]
    (table,) = evidence_view(found)
    assert isinstance(table, Table)
    assert [row[table.headers.index("pauses at")] for row in table.rows] == ["60", "20 (alerts)"]


def test_gates_are_shown_with_their_evidence() -> None:
    dry = replace(result("speed", Verdict.FAIL), is_dry_run=True)
    silent = result("adoption", Verdict.NO_DATA)
    silent = replace(silent, checks=(replace(silent.checks[0], bad=None, total=None, interval=None),))
    escalated = replace(PASS[0], checks=(*PASS[0].checks, replace(PASS[0].checks[0], name="escalate")))
    text = "\n".join(line for block in gate_view([escalated, dry, silent]) for line in human.plain(block))
    assert "crash_rate (escalate)" in text
    assert "fail (dry run)" in text
    assert "0/1000" in text
    assert "0.00% to 1.00%" in text
    assert any("adoption" in line and " -  " in line for line in text.split("\n"))


def test_the_command_package_is_light(tmp_path: Path) -> None:
    import subprocess
    import sys

    heavy = [
        "httpx",
        "rich",
        "jsonschema",
        "cryptography",
        "jwcrypto",
        "nacl",
        "yaml",
        "deflate",
        "otagate.store",
        "otagate.seal",
    ]
    code = f"import sys, otagate.cli.main; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[]\n"
