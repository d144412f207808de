"""Whatever stands where in a policy: it loads, or it is a PolicyError with places. Never anything else."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otagate.errors import PolicyError
from otagate.policy import load_policy

TEXT = """
version: 1
app: {id: com.example.app, dir: .}
build: {command: [npm, run], env: [A_*], timeout: 10m}
versioning: "{date}-{sha7}"
bundle: {allow: [a], max_size: 5MB, max_files: 5}
seal: {format: capgo, encryption_key: "env:A", signing_key: "file:b"}
trust: {keys: ["env:K"], pointer_ttl: 7d}
storage: file:x
channels: hosted
server: {default_channel: stable, channels: {beta: {self_set: true, platforms: [ios], stop_at: major, min_plugin: "6.25.0"}}}
telemetry: {server: "https://u", token: "env:T"}
branches:
  main: {track: p, start_at: beta}
  "pulls/*": {channel: "pr-{number}"}
tracks:
  p:
    - {phase: beta, channel: beta, weights: [5%, 100%], soak: 24h, approve: true, on_insufficient: pause}
    - {phase: stable, channel: stable}
metrics: {http: {url: "https://m", bad: b, total: t, headers: {A: "env:T"}, method: POST, body: x}}
gates:
  crash_rate: {max: 2%, target: 1%, action: pause, min_sample: 3, escalate: {above: 10%, action: rollback}}
  verification_time: {limits: [{over: 45s, max_share: 5%, action: alert}]}
  mine: {min: 5%, source: {command: [x], timeout: 5s}}
  other: {max: 5%, source: {file: x}}
  ios: {max: 5%, source: {telemetry: {metric: crash_rate, platform: ios, plugin: "6.1.0"}}}
evaluation: {settle: 1m, min_coverage: 50%}
native: {min: "1", max: "2"}
"""
JUDGED = """
version: 1
app: {id: com.example.app}
telemetry: {server: "https://u"}
branches: {main: {track: p, supersede: true}}
tracks: {p: [{phase: p, channel: c, holdout: 5%, ignore_windows: true, gates: [beside, split_check, slow, a, b]}]}
gates:
  beside: {max_increase: 50%, phases: [p], source: {telemetry: {metric: crash_rate}}}
  split_check: {split: at_most}
  slow: {value: {max: 2.5}, consecutive: 2, evaluate: {at_age: 1d}, source: {http: {url: "https://m", value: v}}}
  a: {max: 1%, evidence: prove, source: {prometheus: {url: "https://p", bad: b, total: t, auth: aws, region: eu-west-1}}}
  b: {max: 1%, source: {sentry: {organization: o, project: 5, release: "{release}", token: "env:T", statuses: [crashed]}}}
windows: {timezone: Europe/Berlin, allow: [{days: [mon], from: "09:00", to: "16:00"}], freeze: [{from: "2026-12-20", to: "2027-01-03"}]}
notify: {a: {slack: "env:S"}, b: {webhook: "env:H", secret: "env:S", events: ["rollout.*"]}}
"""
GOOD: dict[str, Any] = yaml.safe_load(TEXT)
GOOD_JUDGED: dict[str, Any] = yaml.safe_load(JUDGED)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


PATHS = list(paths(GOOD))
PATHS_JUDGED = [path for path in paths(GOOD_JUDGED) if path[0] in {"branches", "tracks", "gates", "windows", "notify"}]
JUNK: tuple[Any, ...] = (None, True, 1.5, "", "{x}", [[]], {"": []}, "a" * 300)


def problems(folder: Path, value: Any) -> tuple[str, ...]:
    """List the problems of a policy; none when it loads. Any error but a PolicyError ends the test."""
    file = folder / "otagate.yml"
    file.write_text(json.dumps(value, ensure_ascii=False))
    try:
        load_policy(file)
    except PolicyError as error:
        return error.details
    return ()


def have_places(lines: tuple[str, ...]) -> bool:
    return all(line.startswith("otagate.yml:") for line in lines)


@pytest.mark.parametrize("text", [TEXT, JUDGED])
def test_the_good_ones_load(text: str, tmp_path: Path) -> None:
    file = tmp_path / "otagate.yml"
    file.write_text(text)
    assert load_policy(file).gates


@pytest.mark.parametrize("path", PATHS, ids=[".".join(map(str, path)) for path in PATHS])
def test_junk_at_any_one_place(path: tuple[str | int, ...], tmp_path: Path) -> None:
    for junk in JUNK:
        assert have_places(problems(tmp_path, replaced(GOOD, path, junk)))


@pytest.mark.parametrize("path", PATHS_JUDGED, ids=[".".join(map(str, path)) for path in PATHS_JUDGED])
def test_junk_at_any_one_place_of_the_judging_parts(path: tuple[str | int, ...], tmp_path: Path) -> None:
    for junk in JUNK:
        assert have_places(problems(tmp_path, replaced(GOOD_JUDGED, path, junk)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(JUNK)), min_size=2, max_size=6))
def test_junk_at_several_places(tmp_path: Path, changes: list[tuple[tuple[str | int, ...], Any]]) -> None:
    value: Any = GOOD
    for path, junk in changes:
        value = replaced(value, path, junk)
    assert have_places(problems(tmp_path, value))


def replaced(value: Any, path: tuple[str | int, ...], junk: Any) -> Any:
    """Give a copy with ``junk`` at ``path``; the value itself where an earlier change removed that place."""
    result = copy.deepcopy(value)
    inner: Any = result
    for key in path[:-1]:
        try:
            inner = inner[key]
        except (KeyError, IndexError, TypeError):
            return result
    is_there = isinstance(inner, dict) or (isinstance(inner, list) and isinstance(path[-1], int) and path[-1] < len(inner))
    if is_there:
        inner[path[-1]] = junk
    return result
