from __future__ import annotations

from pathlib import Path

import pytest

from otagate.errors import UsageError
from otagate.flow.rehearse.stage import find_track, make_stage, rehearsed_gates
from otagate.policy.model.sources import TelemetrySource, TelemetrySpec
from support.rehearsals import POLICY, small_policy

SPEC = TelemetrySpec(database="sqlite:///t.db")


def test_gates_read_the_rehearsals_telemetry_whatever_they_read_before(tmp_path: Path) -> None:
    text = POLICY.replace("min_sample: 5, escalate", "min_sample: 5, source: {file: x.json}, escalate")
    gates, absent = rehearsed_gates(small_policy(tmp_path, text), SPEC)
    assert absent == ()
    assert [gate.source for gate in gates] == [TelemetrySource(SPEC)] * 2


def test_what_telemetry_knows_under_another_name_keeps_it(tmp_path: Path) -> None:
    text = POLICY.replace(
        "device_success_rate: {min: 80%,",
        "ios_success: {source: {telemetry: {metric: device_success_rate, platform: ios}}, min: 80%,",
    )
    gates, absent = rehearsed_gates(small_policy(tmp_path, text), SPEC)
    source = next(gate.source for gate in gates if gate.metric == "ios_success")
    assert source == TelemetrySource(SPEC, "device_success_rate", "ios")
    assert absent == ()


def test_what_telemetry_does_not_know_is_left_out_and_named(tmp_path: Path) -> None:
    text = POLICY + "  checkout_errors: {max: 1%, source: {file: x.json}}\n"
    gates, absent = rehearsed_gates(small_policy(tmp_path, text), SPEC)
    assert [gate.metric for gate in absent] == ["checkout_errors"]
    assert [gate.metric for gate in gates] == ["crash_rate", "device_success_rate"]
    assert make_stage(small_policy(tmp_path, text), "production", tmp_path).not_rehearsed == ("checkout_errors",)


def test_what_is_assumed_is_counted_of_the_devices_that_ran_the_release(tmp_path: Path) -> None:
    text = POLICY + "  checkout_errors: {max: 1%, source: {file: x.json}}\n"
    gates, absent = rehearsed_gates(small_policy(tmp_path, text), SPEC, {"checkout_errors"})
    assert absent == ()
    source = next(gate.source for gate in gates if gate.metric == "checkout_errors")
    assert source == TelemetrySource(SPEC, "crash_rate")


def test_the_track_is_the_named_one_or_that_of_the_first_rule(tmp_path: Path) -> None:
    text = POLICY.replace(
        "tracks:\n", "tracks:\n  hotfix:\n    - {phase: fix, channel: stable, soak: 30m, allow_short_soak: true}\n"
    )
    policy = small_policy(tmp_path, text)
    assert find_track(policy, None) == "production"
    assert find_track(policy, "hotfix") == "hotfix"
    with pytest.raises(UsageError, match="did you mean hotfix"):
        find_track(policy, "hotfx")


def test_a_policy_without_tracks_cannot_be_rehearsed(tmp_path: Path) -> None:
    head = POLICY.partition("tracks:")[0].replace("{track: production}", "{channel: development}")
    with pytest.raises(UsageError, match="no track to rehearse"):
        find_track(small_policy(tmp_path, head), None)


def test_nothing_of_the_real_store_or_keys_is_left(tmp_path: Path) -> None:
    policy = small_policy(tmp_path, POLICY + 'storage: "s3://acme?region=eu-west-1"\ncdn: {cloudfront: E123EXAMPLE}\n')
    stage = make_stage(policy, "production", tmp_path)
    made = stage.policy
    assert made.storage == "memory:rehearsal"
    assert (made.cdn, made.mirrors, made.notify, made.documents) == (None, (), (), None)
    assert made.trust.keys != policy.trust.keys
    assert len(stage.environ) == 1
    assert made.tracks == policy.tracks
    assert all(made.server.rules(name).self_set for name in ("beta", "stable"))
