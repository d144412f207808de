from __future__ import annotations

import json
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
