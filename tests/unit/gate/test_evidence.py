"""What the ledger keeps of a failure is what ``--format json`` shows of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from otagate.gate.evidence import PROOF, evidence, proof
from otagate.gate.interface import Measurement
from otagate.gate.judge import Check, Look, LookKind, Reading, Verdict, judge
from otagate.policy.model.gates import Judgement
from support.rollouts import result
from support.world import CRASH_RATE, DAY, NOW

HOUR = timedelta(hours=1)


def failed(query: str = "GET https://m.example") -> Check:
    reading = Reading(CRASH_RATE.metric, NOW, NOW + HOUR, Measurement(31, 400, None, query, "ab" * 32))
    look = Look(LookKind.INTERIM, NOW, NOW + DAY)
    judged = judge(CRASH_RATE, [reading], look=look, judgement=Judgement(), gating_metrics=1, now=NOW + HOUR)
    assert judged.verdict is Verdict.FAIL
    return judged.decisive


def test_what_a_failure_rests_on_by_the_names_of_the_json() -> None:
    check = failed()
    kept = proof(check)
    shown = evidence(replace(result("crash_rate", Verdict.FAIL), checks=(check,)))["checks"]
    assert isinstance(shown, list)
    assert {name: kept.get(name) for name in PROOF if name in kept} == {
        name: str(shown[0][name]) for name in PROOF if shown[0].get(name) is not None
    }
    assert (kept["bad"], kept["total"], kept["estimate"], kept["threshold"]) == ("31", "400", "0.077500", "0.02")
    assert kept["interval"].split() == shown[0]["interval"]
    assert {"start": kept["start"], "end": kept["end"]} == shown[0]["window"]
    assert (kept["check"], kept["query"], kept["digest"]) == ("limit", "GET https://m.example", "ab" * 32)


def test_against_control_devices_these_are_kept_too() -> None:
    kept = proof(replace(failed(), control=(2, 480)))
    assert (kept["control_bad"], kept["control_total"]) == ("2", "480")


def test_what_is_not_known_is_left_out_and_what_is_long_is_cut() -> None:
    bare = replace(failed(), bad=None, interval=None, digest=None, start=None, end=None, log_e=None)
    assert not {"bad", "interval", "digest", "start", "end", "log_e"} & set(proof(bare))
    assert proof(bare)["total"] == "400"
    assert len(proof(failed("q" * 5000))["query"]) < 600
