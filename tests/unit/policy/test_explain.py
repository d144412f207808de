from __future__ import annotations

import json
import re
from pathlib import Path

from otagate.policy import load_policy
from otagate.policy.explain import rows_of

TEXT = """\
version: 1
branches: {main: {track: t}, "pulls/*": {channel: "pr-{number}"}}
tracks:
  t:
    - {phase: beta, channel: beta, weights: [5%, 100%], soak: 24h}
metrics:
  http: {url: "https://m/{metric}", bad: b, total: t, headers: {Authorization: "env:T"}}
gates:
  crash_rate: {max: 1%}
  verification_time: {}
  mine: {min: 90%, source: {command: [x, "{metric}"]}}
"""


def origins(folder: Path, text: str = TEXT) -> dict[str, tuple[str, str]]:
    path = folder / "otagate.yml"
    path.write_text(text)
    return {origin.path: (origin.value, origin.source) for origin in load_policy(path).origins}


def test_every_value_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "capacitor.config.json").write_text(json.dumps({"appId": "com.example.app", "webDir": "www"}))
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": {"@capgo/capacitor-updater": "8.51.23"}}))
    found = origins(tmp_path)
    expected = {
        "version": ("1", "otagate.yml:1:10"),
        "app.id": ("com.example.app", "capacitor.config.json: appId"),
        "build.output": ("www", "capacitor.config.json: webDir"),
        "build.command": ("none", "default"),
        "build.timeout": ("30m", "default"),
        "bundle.allow": ("[]", "default"),
        "seal.format": ("capgo", "default"),
        "trust.release_ttl": ("none", "default"),
        "storage": (f"file:{tmp_path}/.otagate/store", "default"),
        "branches.main.track": ("t", "otagate.yml:2:26"),
        'branches."pulls/*".channel': ("pr-{number}", "otagate.yml:2:51"),
        "tracks.t[0].phase": ("beta", "otagate.yml:5:15"),
        "tracks.t[0].weights": ("[5%, 100%]", "otagate.yml:5:45"),
        "tracks.t[0].approve": ("false", "default"),
        "gates.crash_rate.max": ("1%", "otagate.yml:9:21"),
        "gates.crash_rate.min_sample": ("300", "default"),
        "gates.crash_rate.escalate.above": ("10%", "default"),
        "gates.crash_rate.source.http.url": ("https://m/{metric}", "otagate.yml:7:15"),
        "gates.crash_rate.source.http.headers.Authorization": ("env:T", "otagate.yml:7:80"),
        "gates.crash_rate.source.http.method": ("GET", "default"),
        "gates.verification_time.limits[1].over": ("2m", "default"),
        "gates.mine.source.command": ("[x, {metric}]", "otagate.yml:11:38"),
        "gates.mine.source.timeout": ("15s", "default"),
        "evaluation.min_coverage": ("50%", "default"),
        "native.min": ("none", "default"),
        "plugin_version": ("8.51.23", "package.json: dependencies"),
    }
    assert {path: found[path] for path in expected} == expected
    assert "gates.verification_time.action" not in found


def test_no_gates_and_a_file_source_are_shown(tmp_path: Path) -> None:
    head = "version: 1\napp: {id: com.example.app}\nbranches: {main: {channel: a}}\n"
    assert origins(tmp_path, f"{head}gates: {{}}\n")["gates"] == ("none", "otagate.yml:4:8")
    found = origins(tmp_path, f"{head}metrics: {{file: m.json}}\n")
    assert found["gates.crash_rate.source.file"] == ("m.json", "otagate.yml:4:17")
    assert found["app.id"][1] == "otagate.yml:2:11"


def test_a_gates_own_source_takes_nothing_from_metrics(tmp_path: Path) -> None:
    text = "metrics: {command: [a], timeout: 5s}\ngates: {mine: {max: 5%, source: {command: [b]}}, crash_rate: {}}\n"
    found = origins(tmp_path, f"version: 1\napp: {{id: com.example.app}}\nbranches: {{main: {{channel: a}}}}\n{text}")
    assert found["gates.mine.source.timeout"] == ("15s", "default")
    assert found["gates.crash_rate.source.timeout"] == ("5s", "otagate.yml:4:34")


def test_rows_are_json_ready_and_unique(tmp_path: Path) -> None:
    origins(tmp_path, TEXT + "app: {id: com.example.app}\n")
    rows = rows_of(load_policy(tmp_path / "otagate.yml"))
    assert json.loads(json.dumps(rows)) == rows
    assert len({row["path"] for row in rows}) == len(rows)


JUDGED = """\
version: 1
app: {id: com.example.app}
branches: {main: {track: t, supersede: true}}
tracks: {t: [{phase: beta, channel: beta, weights: [5%, 100%], holdout: 5%, gates: [crash_rate, slow, users, split_check]}]}
telemetry: {server: "https://u"}
gates:
  crash_rate: {max_increase: 1000%, phases: [beta]}
  slow: {value: {max: 250.50}, source: {prometheus: {url: "https://p", value: "{release}", headers: {A: "env:T"}, auth: aws, region: eu-west-1}}}
  users: {max: 1%, evidence: prove, evaluate: {at_age: 1d}, source: {sentry: {organization: o, project: 5, release: "{release}", token: "env:T"}}}
  split_check: {split: at_most}
windows: {timezone: Europe/Berlin, allow: [{days: [tue, mon], from: 09:00}], freeze: [{from: 2026-12-20, to: 2027-01-03, reason: holidays}, {from: 2027-02-01, to: 2027-02-01T08:00}]}
notify: {a: {webhook: "env:H", secret: "env:S", events: ["*"]}, b: {slack: "env:W"}}
"""


def test_what_judges_and_what_is_told_says_where_it_comes_from(tmp_path: Path) -> None:
    found = origins(tmp_path, JUDGED)
    expected = {
        "branches.main.supersede": ("true", "otagate.yml:3"),
        "tracks.t[0].holdout": ("5%", "otagate.yml:4"),
        "tracks.t[0].ignore_windows": ("false", "default"),
        "gates.crash_rate.max_increase": ("1000%", "otagate.yml:7"),
        "gates.crash_rate.phases": ("[beta]", "otagate.yml:7"),
        "gates.crash_rate.source.telemetry.server": ("https://u", "otagate.yml:5"),
        "gates.slow.value.max": ("250.5", "otagate.yml:8"),
        "gates.slow.consecutive": ("3", "default"),
        "gates.slow.source.prometheus.auth": ("aws", "otagate.yml:8"),
        "gates.slow.source.prometheus.headers.A": ("env:T", "otagate.yml:8"),
        "gates.users.evidence": ("prove", "otagate.yml:9"),
        "gates.users.evaluate.at_age": ("1d", "otagate.yml:9"),
        "gates.users.source.sentry.statuses": ("[crashed]", "default"),
        "gates.split_check.split": ("at_most", "otagate.yml:10"),
        "windows.timezone": ("Europe/Berlin", "otagate.yml:11"),
        "windows.allow[0].days": ("[mon, tue]", "otagate.yml:11"),
        "windows.allow[0].from": ("09:00", "otagate.yml:11"),
        "windows.allow[0].to": ("24:00", "default"),
        "windows.freeze[0].reason": ("holidays", "otagate.yml:11"),
        "notify.a.webhook": ("env:H", "otagate.yml:12"),
        "notify.a.events": ("[*]", "otagate.yml:12"),
        "notify.b.events": ("[rollout.*, gate.failed, channel.rolled_back]", "default"),
    }
    lines = {path: (value, re.sub(r":[0-9]+$", "", source)) for path, (value, source) in found.items()}
    assert {path: lines.get(path) for path in expected} == expected
    absent = (
        "gates.slow.min_sample",
        "gates.users.evaluate",
        "gates.slow.evidence",
        "gates.crash_rate.source.telemetry.failures",
    )
    assert not {path for path in absent if path in found}
    assert "windows.freeze[1].reason" not in found


def test_without_windows_and_places_it_says_so(tmp_path: Path) -> None:
    found = origins(tmp_path, "version: 1\napp: {id: com.example.app}\nbranches: {main: {channel: a}}\n")
    assert found["windows.allow"] == ("always", "default")
    assert found["notify"] == ("none", "default")
