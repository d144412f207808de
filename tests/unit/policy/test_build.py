from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from otagate.model import ChannelName, Weight
from otagate.policy import load_policy
from otagate.policy.build import build_gates, default_gates
from otagate.policy.model.bundles import BuildSpec, BundleSpec, SealFormat, SealSpec, TrustSpec
from otagate.policy.model.gates import Action, Escalation, Evaluate, GateSpec, Judgement, Limit
from otagate.policy.model.policy import Policy
from otagate.policy.model.sources import CommandSource, FileSource, HttpSource
from otagate.policy.model.tracks import BranchRule, OnInsufficient, PhaseSpec, TrackSpec

FULL = """\
version: 1
app: {id: com.example.app}
build: {command: [npm, run, build], output: dist, env: [VITE_*], timeout: 10m}
versioning: tag
bundle:
  source_maps: true
  allow: [a.pem]
  exclude: [stats.html]
  max_files: 10
  max_size: 50MB
  max_file_size: 1MiB
  require_notify_app_ready: false
seal: {format: aes-256-gcm, recipients: ["file:a.pem", "env:B"], signing_key: "file:keys/s.pem"}
trust:
  keys: ["ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "env:OLD"]
  release_ttl: 90d
  pointer_ttl: 7d
storage: file:/srv/otagate
branches:
  main: {track: production}
  hotfix/*: {track: production, start_at: stable}
  develop: {channel: development}
tracks:
  production:
    - {phase: internal, channel: internal, soak: 1h}
    - phase: stable
      channel: stable
      weights: [0.5%, 5%, 100%]
      soak: 2h30m
      approve: true
      allow_short_soak: true
      max_wait: 1d
      on_insufficient: approve
metrics: {command: [./metrics, "{metric}"], timeout: 5s}
gates:
  crash_rate: {}
  error_rate: {max: 1%, escalate: {above: 5%, action: pause}, source: {file: "m/{metric}.json"}, dry_run: true}
  device_success_rate: {min: 99%, evaluate: phase_end}
  verification_time: {min_sample: 5}
  mine:
    max: 3%
    target: 1%
    maturity: 1h
    source:
      http:
        url: "https://m/{metric}"
        bad: a.b
        total: c[0]
        newest_at: d
        method: POST
        headers: {Authorization: "env:T"}
        body: '{"release": "{release}"}'
        timeout: 3s
evaluation:
  settle: 15m
  evaluate_every: 1m
  no_data_grace: 1h
  error_grace: 30m
  max_staleness: 45m
  min_coverage: 75%
  alpha_pause: 10%
  alpha_rollback: 0.1%
native: {min: "2.0", max: "3"}
"""


@pytest.fixture(name="policy")
def load(tmp_path: Path) -> Policy:
    path = tmp_path / "otagate.yml"
    path.write_text(FULL)
    return load_policy(path)


def test_every_key_reaches_its_value(policy: Policy) -> None:
    assert policy.build == BuildSpec(("npm", "run", "build"), "dist", ("VITE_*",), timedelta(minutes=10))
    assert policy.bundle == BundleSpec(True, ("a.pem",), ("stats.html",), 10, 50_000_000, 1024**2, False)
    assert policy.seal == SealSpec(SealFormat.AES_256_GCM, None, ("file:a.pem", "env:B"), "file:keys/s.pem")
    assert policy.trust == TrustSpec(
        ("ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "env:OLD"), timedelta(days=90), timedelta(days=7)
    )
    assert (policy.versioning, policy.storage, policy.channels) == ("tag", "file:/srv/otagate", "hosted")
    assert (policy.native_min, policy.native_max) == ("2.0", "3")


def test_branches_keep_their_order(policy: Policy) -> None:
    assert policy.branches == (
        BranchRule("main", track="production"),
        BranchRule("hotfix/*", track="production", start_at="stable"),
        BranchRule("develop", channel="development"),
    )


def test_tracks(policy: Policy) -> None:
    internal = PhaseSpec("internal", ChannelName("internal"), soak=timedelta(hours=1))
    stable = PhaseSpec(
        "stable",
        ChannelName("stable"),
        (Weight(50), Weight(500), Weight(10_000)),
        timedelta(hours=2, minutes=30),
        True,
        True,
        timedelta(days=1),
        OnInsufficient.APPROVE,
    )
    assert policy.tracks == {"production": TrackSpec("production", (internal, stable))}


def test_evaluation(policy: Policy) -> None:
    assert policy.judgement == Judgement(
        timedelta(minutes=15),
        timedelta(minutes=1),
        timedelta(hours=1),
        timedelta(minutes=30),
        timedelta(minutes=45),
        Decimal("0.75"),
        Decimal("0.1"),
        Decimal("0.001"),
    )


def test_gates_are_completed_from_their_defaults(policy: Policy) -> None:
    command = CommandSource(("./metrics", "{metric}"), timedelta(seconds=5))
    gates = {gate.metric: gate for gate in policy.gates}
    assert list(gates) == ["crash_rate", "error_rate", "device_success_rate", "verification_time", "mine"]
    assert gates["crash_rate"] == GateSpec(
        "crash_rate", max=Decimal("0.02"), min_sample=300, escalate=Escalation(Decimal("0.1"), Action.ROLLBACK), source=command
    )
    assert gates["error_rate"] == GateSpec(
        "error_rate",
        max=Decimal("0.01"),
        action=Action.ALERT,
        min_sample=1000,
        escalate=Escalation(Decimal("0.05"), Action.PAUSE),
        source=FileSource("m/{metric}.json"),
        dry_run=True,
    )
    # The default target of 98 % says nothing beside a limit of 99 %.
    assert gates["device_success_rate"] == GateSpec(
        "device_success_rate",
        min=Decimal("0.99"),
        action=Action.ROLLBACK,
        min_sample=30,
        maturity=timedelta(minutes=30),
        evaluate=Evaluate.PHASE_END,
        source=command,
    )
    assert gates["verification_time"].min_sample == 5
    assert gates["mine"].source == HttpSource(
        "https://m/{metric}",
        "a.b",
        "c[0]",
        "d",
        method="POST",
        headers=(("Authorization", "env:T"),),
        body='{"release": "{release}"}',
        timeout=timedelta(seconds=3),
    )


def test_the_default_gates_are_the_published_thresholds() -> None:
    share = Decimal
    assert default_gates() == (
        GateSpec("crash_rate", max=share("0.02"), min_sample=300, escalate=Escalation(share("0.1"), Action.ROLLBACK)),
        GateSpec("error_rate", max=share("0.005"), action=Action.ALERT, min_sample=1000),
        GateSpec(
            "device_success_rate",
            min=share("0.85"),
            target=share("0.98"),
            action=Action.ROLLBACK,
            min_sample=30,
            maturity=timedelta(minutes=30),
        ),
        GateSpec(
            "rollout_completion",
            min=share("0.95"),
            target=share("0.98"),
            action=Action.ALERT,
            maturity=timedelta(hours=24),
            evaluate=Evaluate.PHASE_END,
        ),
        GateSpec(
            "verification_time",
            limits=(
                Limit(timedelta(seconds=45), share("0.05"), Action.ALERT),
                Limit(timedelta(seconds=120), share("0.05"), Action.PAUSE),
            ),
        ),
        GateSpec("adoption_24h", min=share("0.5"), target=share("0.75"), action=Action.ALERT, maturity=timedelta(hours=24)),
    )


@pytest.mark.parametrize(
    ("gate", "has_escalation"),
    [
        ({}, True),
        ({"max": "5%"}, True),
        ({"max": "10%"}, False),
        ({"max": "50%"}, False),
        ({"action": "rollback"}, False),
        ({"escalate": None}, False),
        ({"min": "90%"}, False),
    ],
)
def test_a_default_escalation_goes_when_it_says_nothing_any_more(gate: dict[str, object], has_escalation: bool) -> None:
    (built,) = build_gates({"crash_rate": gate}, None)
    assert (built.escalate is not None) is has_escalation


def test_another_shape_than_the_defaults_takes_no_thresholds_from_it() -> None:
    (built,) = build_gates({"device_success_rate": {"max": "5%"}}, None)
    assert (built.max, built.min, built.target, built.action) == (Decimal("0.05"), None, None, Action.ROLLBACK)


def test_limits_make_a_gate_as_strong_as_the_strongest() -> None:
    limit = {"over": "1s", "max_share": "1%", "action": "rollback"}
    (built,) = build_gates({"verification_time": {"limits": [limit]}}, None)
    assert built.action is Action.ROLLBACK
    (alerts,) = build_gates({"verification_time": {"limits": [{**limit, "action": "alert"}]}}, None)
    assert alerts.action is Action.ALERT
