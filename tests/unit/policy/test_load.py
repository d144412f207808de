from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from otagate.errors import ExitCode, PolicyError, UsageError
from otagate.policy import find_policy, load_policy
from otagate.policy.model.sources import HttpSource
from otagate.policy.strict_yaml import MAX_BYTES

TRUST = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
MINIMAL = "version: 1\napp: {id: com.example.app}\nbranches:\n  main: {channel: production}\n"


def write(folder: Path, text: str | bytes, name: str = "otagate.yml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def details(folder: Path, text: str | bytes) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as caught:
        load_policy(write(folder, text))
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value.details


def the_problem(folder: Path, text: str) -> str:
    (line,) = details(folder, text)
    return line


def test_five_lines_are_a_policy(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, MINIMAL + f'trust: {{keys: ["{TRUST}"]}}\n'))
    assert str(policy.app) == "com.example.app"
    assert policy.storage == f"file:{tmp_path}/.otagate/store"
    assert policy.seal.encryption_key == "env:OTAGATE_ENCRYPTION_KEY"
    assert policy.seal.signing_key == "env:OTAGATE_SIGNING_KEY"
    assert policy.versioning == "package"
    assert policy.root == tmp_path
    assert policy.warnings == ()
    assert len(policy.gates) == 6


def test_a_policy_without_trust_is_warned_about(tmp_path: Path) -> None:
    (warning,) = load_policy(write(tmp_path, MINIMAL)).warnings
    assert "no key is trusted" in warning


ADDED = {
    "aap: 1": "otagate.yml:5:1: unknown key 'aap' (did you mean 'app'?)",
    "zzz: 1": "otagate.yml:5:1: unknown key 'zzz' (known keys: version, app,",
    "notify: []": "expected a mapping of names to places, found a list",
    "bundle: {delta: true}": "otagate.yml:5:10: bundle.delta: this version of otagate does not do delta updates yet",
    "bundle: {optimize: {}}": "does not do image optimisation yet",
    "bundle: {max_size: 0}": "expected a number of bytes, or a size such as 50MB or 50MiB, found 0",
    "bundle: {max_size: 0MB}": "otagate.yml:5:20: bundle.max_size: this does not fit; expected a number of bytes",
    "bundle: {max_files: yes}": "expected a whole number of files, 1 to 1000000, found 'yes'",
    "bundle: {allow: x}": "expected a list, found 'x'",
    "bundle: 5": "expected a mapping, found 5",
    "bundle: {source_maps: no}": "expected true or false, found 'no'",
    "channels: capgo": "does not do Capgo's own channels yet",
    "channels: other": "expected one of hosted, found 'other'",
    "storage: file://host/x": "expected one of file:FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://BUCKET/PREFIX, found the scheme file: (a folder is file:FOLDER or file:/PATH)",
    "storage: /srv/x": "found no scheme (did you mean file:?)",
    "storage: []": "otagate.yml:5:10: storage: this does not fit; expected a storage URL",
    "storage: 5": "or a list of 1 to 8 of them, found 5",
    "seal: {signing_key: 'awskms:alias/x'}": "keys in AWS KMS",
    "seal: {signing_key: 'hsm:x'}": "keys in an HSM",
    "seal: {signing_key: sesame-open}": "expected a reference: `env:NAME` or `file:PATH`, found 11 characters that are not shown",
    "seal: {format: zip}": "expected one of capgo, aes-256-gcm, none, found 'zip'",
    "seal: {format: aes-256-gcm}": "nobody could open this seal",
    "seal: {recipients: ['file:x']}": "`recipients` goes with `format: aes-256-gcm`, not capgo",
    "seal: {format: none, encryption_key: 'env:X'}": "`encryption_key` goes with `format: capgo`, not none",
    'trust: {keys: ["ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp="]}': "this is no public key",
    "trust: {keys: [abc]}": "expected a public key as `ed25519:<base64>`",
    f'trust: {{keys: ["{TRUST}", "{TRUST}"]}}': "trust.keys",
    "trust: {pointer_ttl: 0s}": "longer than 0s, found '0s'",
    "trust: {pointer_ttl: 99w}": "at most 366d, found '99w'",
    "trust: {pointer_ttl: 1h30}": "such as 30m, 24h or 2h30m (units ms s m h d w), found '1h30'",
    "trust: {pointer_ttl: 24}": "found 24",
    "native: {min: 1.10}": 'expected a version such as "2.1.0", in quotes, found 1.10',
    "native: {min: '2.0', max: '2.0.0'}": "no native version is in this range; expected more than `min`, 2.0, found 2.0.0",
    "versioning: '{sha}'": "did you mean {sha7}?, found {sha}",
    "versioning: '{date}_x'": "a template that makes a semantic version such as 1.2.3, found '2026.1.2_x' from it",
    "versioning: pakage": "`package`, `tag`, or a template",
    'versioning: ""': "expected text of 1 to 128 characters, found ''",
    "gates: {crash_rate: {max: 300%}}": "gates.crash_rate.max: this does not fit; expected a percentage",
    "gates: {verification_time: {limits: [{over: soon, max_share: 5%, action: alert}]}}": "expected a length of time",
    "native: {min: x, max: '2'}": "expected a version such as",
    "metrics: {file: true}": "expected text, found true",
    "build: {command: []}": "expected a command, as one text or as a list of arguments, found an empty one",
    "build: {env: ['A B']}": "expected the name of an environment variable",
    "build: {timeout: 30 minutes}": "expected a length of time",
    "evaluation: {min_coverage: 0.5}": "expected a percentage such as 5% or 0.5%, found 0.5",
    "evaluation: {alpha_pause: 0%}": "more than 0% and less than 100%, found '0%'",
    "evaluation: {min_coverage: 101%}": "expected a percentage such as 5% or 0.5%, at most 100%, found '101%'",
    "metrics: {}": "`capgo` and `telemetry`, found none of them",
    "metrics: {file: a, command: [b]}": "found `file` and `command`",
    "metrics: {file: '{metrik}'}": "there is no placeholder {metrik}",
    "metrics: {file: x, timeout: 5s}": "`timeout` goes with `command`",
    "metrics: {http: {url: 'ftp://x', bad: a, total: b}}": "expected an address that begins with https:// or http://",
    "metrics: {http: {url: 'https://x', bad: a}}": "metrics.http: this does not fit; expected `bad` and `total`, or `value` alone, found `bad`",
    "metrics: {http: {url: 'https://x', bad: a, total: b, body: x}}": "a body goes with POST",
    "tracks: {empty: []}": "expected a list of at least one phase, found an empty one",
    "tracks: []": "expected a mapping of names to lists of phases, found a list",
    "gates: 5": "expected a mapping of metric names to thresholds, or {} for no gates, found 5",
    "gates: {Crash: {max: 2%}}": "expected a metric name of lower-case letters, digits and '_', found 'Crash'",
    "gates: {mine: {}}": "gates.mine: a gate has exactly one kind of threshold; expected one of `max`, `min`, `limits`, `max_increase`, `split`, `value`, found none of them",
    "gates: {mine: {max: 2%, min: 3%}}": "found `max` and `min`",
    "gates: {crash_rate: {max: 0%}}": "more than 0% and less than 100%",
    "gates: {crash_rate: {max: 0.02}}": "expected a percentage such as 5% or 0.5%, found 0.02 (did you mean 2% or 0.02%?)",
    "gates: {crash_rate: {max: 2}}": "found 2 (did you mean 2%?)",
    "gates: {crash_rate: {max: '2 %'}}": "found '2 %' (did you mean 2%?)",
    "gates: {crash_rate: {max:2%}}": "unknown key 'max:2%' (put a plain space behind the colon: `max: …`)",
    "gates: {crash_rate: {max:\u00a02%}}": "(put a plain space behind the colon: `max: …`)",
    "tracks: {t: [{phase: p, channel: c, weights: [5, 100%]}]}": "found 5 (did you mean 5%?)",
    "tracks: {t: [{phase: p, channel: c, soak: 1 day}]}": "found '1 day' (did you mean 1d?)",
    "gates: {crash_rate: {target: 5%}}": "the target is beyond the limit; expected at most `max`, 2%, found 5%",
    "gates: {crash_rate: {escalate: {above: 1%, action: rollback}}}": "expected more than `max`, 2%, found 1%",
    "gates: {crash_rate: {escalate: {above: 5%, action: pause}}}": "expected stronger than pause, found pause",
    "gates: {crash_rate: {escalate: {above: 5%}}}": "the key 'action' is missing",
    "gates: {device_success_rate: {min: 90%, target: 80%}}": "expected at least `min`, 90%, found 80%",
    "gates: {device_success_rate: {escalate: {above: 99%, action: rollback}}}": "`escalate` goes with `max` only",
    "gates: {verification_time: {action: pause}}": "`action` does not go with `limits`",
    "gates: {verification_time: {limits: [{over: 45s, max_share: 5%, action: alert}, {over: 45000ms, max_share: 5%, action: pause}]}}": "two limits have the same length",
    "gates: {verification_time: {limits: []}}": "expected a list of limits with `over`, `max_share` and `action`, found an empty one",
    "app: {id: again}": "this key stands twice, first in line 2",
}


@pytest.mark.parametrize(("line", "said"), ADDED.items())
def test_one_wrong_line_is_one_problem_in_its_place(line: str, said: str, tmp_path: Path) -> None:
    found = the_problem(tmp_path, f"{MINIMAL}{line}\n")
    assert found.startswith("otagate.yml:5:")
    assert said in found


BRANCHES = {
    "main: {track: prodution}": "branches.main.track: there is no such track; expected one of production, found 'prodution' (did you mean 'production'?)",
    "main: {track: production, start_at: bta}": "has no such phase; expected one of internal, beta, found 'bta' (did you mean 'beta'?)",
    "main: {track: production, channel: x}": "expected exactly one of `track` and `channel`, found `track` and `channel`",
    "main: {}": "expected exactly one of `track` and `channel`, found none of them",
    "main: {channel: x, start_at: beta}": "`start_at` goes with `track` only",
    "main: production": "expected a mapping with exactly one of `track` and `channel`, found 'production'",
    "main: {channel: 'a b'}": "this is not a channel name",
    "main: {channel: '{commit}'}": "this is not a channel name",
    "main: {channel: 'x-{number}'}": "{number} is known for pull requests only",
    "tags/*: {channel: 'x-{branch}'}": "{branch} is not known for tags",
    "pulls/*: {channel: '{branch}'}": "a pull request's branch may not name the whole channel",
    "'a b': {track: production}": "expected a branch name or glob of at most 200 characters",
    "'!main': {track: production}": "expected a branch name or glob",
    "'rel{a}': {track: production}": "expected a branch name or glob",
}
TRACK = "tracks:\n  production: [{phase: internal, channel: internal}, {phase: beta, channel: beta}]\ngates: {}\n"


@pytest.mark.parametrize(("rule", "said"), BRANCHES.items())
def test_a_wrong_branch_rule_is_one_problem(rule: str, said: str, tmp_path: Path) -> None:
    found = the_problem(tmp_path, f"version: 1\napp: {{id: com.example.app}}\nbranches:\n  {rule}\n{TRACK}")
    assert found.startswith("otagate.yml:4:")
    assert said in found


def test_branches_may_not_be_missing_or_empty(tmp_path: Path) -> None:
    assert "the key 'branches' is missing" in the_problem(tmp_path, "version: 1\napp: {id: com.example.app}\n")
    found = the_problem(tmp_path, "version: 1\napp: {id: com.example.app}\nbranches: {}\n")
    assert "expected a mapping of at least one pattern to a track or channel, found an empty one" in found


PHASES = {
    "{channel: beta}": "the key 'phase' is missing; expected name of the phase",
    "{phase: beta}": "the key 'channel' is missing",
    "{phase: beta, channel: a b}": "expected a channel name of 1 to 64",
    "{phase: internal, channel: beta}": "two phases of this track have the same name, found 'internal'",
    "{phase: b, channel: b, weights: [20%, 10%, 100%]}": "tracks.production[1].weights[1]: weights must rise; expected more than 20%, found 10%",
    "{phase: b, channel: b, weights: [0%, 100%]}": "weights must rise; expected more than 0%, found 0%",
    "{phase: b, channel: b, weights: [5%, 50%]}": "the last weight must be 100%, found 50% (add 100%)",
    "{phase: b, channel: b, weights: [5%, 120%]}": "expected 0% to 100%, found '120%'",
    "{phase: b, channel: b, weights: [5.125%, 100%]}": "expected a percentage such as 5% or 0.25%",
    "{phase: b, channel: b, weights: [5, 100%]}": "expected a percentage such as 5% or 0.25%, found 5",
    "{phase: b, channel: b, weights: []}": "expected a list of percentages that rise to 100%, found an empty one",
    "{phase: b, channel: b, weights: 100%}": "expected a list of percentages that rise to 100%, found '100%'",
    "{phase: b, channel: b, on_insufficient: go}": "expected one of pause, approve, pass_if_zero_bad, found 'go'",
    "{phase: b, channel: b, soak: 1 day}": "expected a length of time",
    "[]": "expected a mapping, found a list",
}


@pytest.mark.parametrize(("phase", "said"), PHASES.items())
def test_a_wrong_phase_is_one_problem(phase: str, said: str, tmp_path: Path) -> None:
    head = "version: 1\napp: {id: com.example.app}\ngates: {}\nbranches: {main: {track: production}}\n"
    found = the_problem(tmp_path, f"{head}tracks:\n  production:\n    - {{phase: internal, channel: i}}\n    - {phase}\n")
    assert found.startswith("otagate.yml:8:")
    assert said in found


def test_gates_that_act_need_a_source_and_the_message_says_what_to_write(tmp_path: Path) -> None:
    text = (
        "version: 1\napp: {id: com.example.app}\nbranches: {main: {track: t}}\ntracks:\n  t: [{phase: beta, channel: beta}]\n"
    )
    found = the_problem(tmp_path, text)
    assert "crash_rate, device_success_rate, verification_time" in found
    assert "write `telemetry:`, or `metrics:` with a source (docs/gates.md), or `gates: {}`" in found
    assert load_policy(write(tmp_path, text + "gates: {}\n")).gates == ()
    assert load_policy(write(tmp_path, text + "metrics: {file: m.json}\n")).gates[0].source is not None
    assert "gates: nothing says" in the_problem(tmp_path, text + "gates: {mine: {max: 5%}}\n")
    assert load_policy(write(tmp_path, text + "gates: {mine: {max: 5%, dry_run: true}}\n")).gates[0].dry_run
    assert load_policy(write(tmp_path, text + "gates: {mine: {max: 5%, source: {file: x}}}\n")).gates[0].source


def test_a_gate_that_only_alerts_may_lack_a_source_with_a_warning(tmp_path: Path) -> None:
    text = (
        "version: 1\napp: {id: com.example.app}\nbranches: {main: {track: t}}\ntracks:\n  t: [{phase: beta, channel: beta}]\n"
    )
    policy = load_policy(write(tmp_path, text + "gates: {error_rate: {}}\n"))
    assert any("'error_rate' has no source and is never measured" in warning for warning in policy.warnings)


WARNED = {
    "tracks: {t: [{phase: beta, channel: beta, soak: 7h}]}": "a soak of 7h is short for devices of the public",
    "tracks: {t: [{phase: beta, channel: beta}], u: [{phase: a, channel: a}]}": "tracks.u: no branch ships through this track",
    "gates: {crash_rte: {max: 2%}}": "did you mean 'crash_rate'?",
    "versioning: 1.2.3": "every commit gets this version",
}


@pytest.mark.parametrize(("line", "said"), WARNED.items())
def test_what_is_unwise_is_a_warning_with_a_place(line: str, said: str, tmp_path: Path) -> None:
    tracks = "" if line.startswith("tracks") else "tracks: {t: [{phase: beta, channel: beta}]}\n"
    text = f"version: 1\napp: {{id: com.example.app}}\nbranches: {{main: {{track: t}}}}\nmetrics: {{file: x}}\n{tracks}{line}\n"
    warnings = [warning for warning in load_policy(write(tmp_path, text)).warnings if "trust" not in warning]
    assert len(warnings) == 1
    assert warnings[0].startswith("otagate.yml:")
    assert said in warnings[0]


@pytest.mark.parametrize(
    ("phase", "more", "late"),
    [
        ("soak: 30m", "", "device_success_rate"),
        ("soak: 31m", "", None),
        ("soak: 6h", "gates: {rollout_completion: {action: pause, maturity: 6h}}", "rollout_completion"),
        ("soak: 3h1m, weights: [5%, 100%]", "gates: {rollout_completion: {action: pause, maturity: 6h}}", None),
        ("soak: 31m", "evaluation: {settle: 1m}", "device_success_rate"),
        ("soak: 1m", "evaluation: {settle: 1m}", "crash_rate, device_success_rate, verification_time"),
        (
            "soak: 1m, weights: [5%, 100%]",
            "evaluation: {settle: 1m}",
            "crash_rate, device_success_rate, verification_time",
        ),
        ("soak: 1m", "gates: {mine: {max: 5%, maturity: 1h, dry_run: true}}", None),
        ("soak: 1m", "gates: {mine: {max: 5%, maturity: 1h, action: alert}}", None),
        ("soak: 0s", "", "device_success_rate"),
    ],
)
def test_a_soak_in_which_no_device_can_mature_is_a_warning(phase: str, more: str, late: str | None, tmp_path: Path) -> None:
    track = f"tracks: {{t: [{{phase: internal, channel: x, {phase}}}]}}\nmetrics: {{file: x}}\n{more}\n"
    text = f"{MINIMAL.replace('channel: production', 'track: t')}{track}"
    found = [warning for warning in load_policy(write(tmp_path, text)).warnings if "mature" in warning]
    assert bool(found) is (late is not None)
    assert late is None or f"no device can mature in this soak for {late} (" in found[0]


@pytest.mark.parametrize(
    "phase",
    [
        "{phase: internal, channel: x, soak: 1m}",
        "{phase: x, channel: internal, soak: 1m}",
        "{phase: x, channel: x, soak: 1m, allow_short_soak: true}",
    ],
)
def test_a_short_soak_is_fine_inside_or_when_meant(phase: str, tmp_path: Path) -> None:
    text = f"{MINIMAL.replace('channel: production', 'track: t')}tracks: {{t: [{phase}]}}\ngates: {{}}\n"
    assert not any("soak" in warning for warning in load_policy(write(tmp_path, text)).warnings)


def test_a_rule_behind_one_that_matches_everything_is_a_warning(tmp_path: Path) -> None:
    text = 'version: 1\napp: {id: com.example.app}\nbranches:\n  "**": {channel: a}\n  main: {channel: b}\n  "tags/*": {channel: c}\n'
    warnings = load_policy(write(tmp_path, text)).warnings
    assert [warning for warning in warnings if "never used" in warning] == [
        "otagate.yml:5:3: branches.main: this rule is never used: '**' above it matches the same (move it up)"
    ]


def test_pull_requests_on_a_track_are_a_warning(tmp_path: Path) -> None:
    text = f"version: 1\napp: {{id: com.example.app}}\nbranches: {{'pulls/*': {{track: production}}}}\n{TRACK}"
    assert any("pull requests ship through a whole track" in warning for warning in load_policy(write(tmp_path, text)).warnings)


PEM = "-----BEGIN RSA PRIVATE KEY-----\\nMIIEowIBAAKCAQEAtop5ecret\\n-----END RSA PRIVATE KEY-----\\n"
SECRETS = {
    f'seal: {{encryption_key: "{PEM}"}}': "key text stands in the policy",
    f'trust: {{keys: ["{PEM}"]}}': "key text stands in the policy",
    f'build: {{command: ["x", "{PEM}"]}}': "key text stands in the policy",
    "metrics: {http: {url: 'https://joe:top5ecret@x/', bad: a, total: b}}": "a user name or password stands in an address",
    "metrics: {http: {url: 'https://x/?api_key=top5ecret', bad: a, total: b}}": "a secret stands in an address",
    "metrics: {http: {url: 'https://x', bad: a, total: b, headers: {Authorization: Bearer top5ecret}}}": "a secret stands in a header",
    "metrics: {http: {url: 'https://x', bad: a, total: b, headers: {X-Api-Key: top5ecret}}}": "a secret stands in a header",
    "seal: {signing_key: 'command:echo top5ecret'}": "keys from a command",
}


@pytest.mark.parametrize(("line", "said"), SECRETS.items())
def test_a_secret_in_the_policy_is_refused_and_never_shown(line: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(write(tmp_path, f"{MINIMAL}{line}\n"))
    (found,) = caught.value.details
    assert said in found
    assert "top5ecret" not in str(caught.value)
    assert "top5ecret" not in repr(caught.value)


def test_references_in_headers_are_fine(tmp_path: Path) -> None:
    line = "metrics: {http: {url: 'https://x/?key={app}', bad: a, total: b, headers: {Authorization: 'env:TOKEN', Accept: text/x}}}\n"
    source = load_policy(write(tmp_path, MINIMAL + line)).gates[0].source
    assert isinstance(source, HttpSource)
    assert dict(source.headers) == {"Authorization": "env:TOKEN", "Accept": "text/x"}


def test_all_problems_come_at_once_sorted_by_place(tmp_path: Path) -> None:
    text = """\
version: 2
aap: 1
app: {id: x, dir: nowhere}
app: {}
versioning: "x{sha}"
branches:
  main: {track: prodution}
  "a b": {channel: b}
tracks:
  production:
    - {phase: beta, channel: beta, weights: [50%, 20%]}
gates:
  crash_rate: {max: 0}
"""
    found = details(tmp_path, text)
    places = [tuple(int(part) for part in line.split(": ")[0].split(":")[1:]) for line in found]
    assert places == sorted(places)
    assert {place[0] for place in places} == {1, 2, 3, 4, 5, 7, 8, 11, 13}
    assert len(found) == len(set(found)) >= 11


def test_the_message_counts_and_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(write(tmp_path, "version: 1\n"))
    text = str(caught.value)
    assert text.startswith(f"the policy has 2 problems: {tmp_path}/otagate.yml\n")
    assert "otagate policy schema" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("text", ["~\n", "just text\n", "[1, 2]\n", "5\n"])
def test_a_document_that_is_no_mapping_is_one_problem(text: str, tmp_path: Path) -> None:
    found = details(tmp_path, text)
    assert any("expected a mapping" in line for line in found)


def test_the_app_id_may_come_from_capacitor(tmp_path: Path) -> None:
    text = MINIMAL.replace("app: {id: com.example.app}\n", "")
    assert "the app has no id; expected `id` here, or `appId` in capacitor.config.json" in the_problem(tmp_path, text)
    (tmp_path / "capacitor.config.json").write_text(json.dumps({"appId": "org.other.app", "webDir": "www"}))
    policy = load_policy(write(tmp_path, text))
    assert (str(policy.app), policy.build.output) == ("org.other.app", "www")
    (tmp_path / "capacitor.config.json").write_text(json.dumps({"appId": "not an id"}))
    assert "this is not an app id (capacitor.config.json: appId)" in the_problem(tmp_path, text)


def test_the_app_may_be_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "apps/shop").mkdir(parents=True)
    policy = load_policy(write(tmp_path, MINIMAL.replace("{id:", "{dir: apps/shop, id:")))
    assert policy.root == tmp_path / "apps/shop"
    assert policy.storage == f"file:{tmp_path}/.otagate/store"
    assert "there is no such folder" in the_problem(tmp_path, MINIMAL.replace("{id:", "{dir: apps/none, id:"))


@pytest.mark.parametrize(
    ("url", "path"),
    [("file:a/b", "{here}/a/b"), ("file:/srv/x", "/srv/x"), ("file:///srv/x", "/srv/x"), ("file:./a/../b", "{here}/b")],
)
def test_storage_is_resolved_against_the_policys_folder(url: str, path: str, tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, f"{MINIMAL}storage: {url}\n"))
    assert policy.storage == "file:" + path.format(here=tmp_path)


def test_a_policy_is_found_here_or_above_up_to_the_repositorys_top(tmp_path: Path) -> None:
    inner = tmp_path / "repo/a/b"
    inner.mkdir(parents=True)
    above = write(tmp_path, MINIMAL)
    assert find_policy(inner) == above
    (tmp_path / "repo/.git").mkdir()
    with pytest.raises(UsageError, match="there is no policy file") as caught:
        find_policy(inner)
    assert "otagate init" in str(caught.value)
    here = write(tmp_path / "repo", MINIMAL, "otagate.yaml")
    assert find_policy(inner) == here
    write(tmp_path / "repo", MINIMAL)
    with pytest.raises(UsageError, match="two policy files"):
        find_policy(inner)


def test_a_policy_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such policy file") as missing:
        load_policy(tmp_path / "none.yml")
    assert "otagate init" in str(missing.value)
    with pytest.raises(UsageError, match="the policy cannot be read"):
        load_policy(tmp_path)
    with pytest.raises(UsageError, match="the policy cannot be read"):
        load_policy(write(tmp_path, MINIMAL) / "otagate.yml")


def test_importing_the_package_brings_no_yaml_and_no_jsonschema() -> None:
    code = "import sys, otagate.policy, otagate.policy.resolve, otagate.policy.versioning; print([m for m in ('yaml', 'jsonschema') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path: Path) -> None:
    assert "the file is too large" in the_problem(tmp_path, MINIMAL + "#" * MAX_BYTES)


def test_the_digest_is_of_the_files_bytes(tmp_path: Path) -> None:
    one = load_policy(write(tmp_path, MINIMAL)).digest
    two = load_policy(write(tmp_path, MINIMAL + "#\n")).digest
    assert len(one) == 64
    assert one != two
