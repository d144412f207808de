"""`server` and `telemetry` of a policy, and the gates whose counts come from there."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from otagate.errors import PolicyError
from otagate.policy import load_policy
from otagate.policy.model.policy import Policy
from otagate.policy.model.server import AutoUpdate, ChannelRules, ServerSpec
from otagate.policy.model.sources import CommandSource, FileSource, TelemetrySource, TelemetrySpec
from otagate.telemetry.metrics import METRICS

HEAD = "version: 1\napp: {id: com.example.app, dir: app}\nbranches: {main: {track: t}, 'pulls/*': {channel: 'pr-{number}'}}\n"
TRACKS = "tracks: {t: [{phase: beta, channel: beta, soak: 24h}, {phase: stable, channel: stable}]}\n"
SERVER = "telemetry: {server: 'https://u.example.com'}\n"
SPEC = TelemetrySpec("https://u.example.com", "env:OTAGATE_SERVER_TOKEN")


def load(folder: Path, text: str) -> Policy:
    (folder / "app").mkdir(exist_ok=True)
    path = folder / "otagate.yml"
    path.write_text(HEAD + TRACKS + text)
    return load_policy(path)


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load(folder, text)
    return list(caught.value.details)


def warnings(policy: Policy) -> list[str]:
    return [line for line in policy.warnings if "trust" not in line]


def test_the_server_section_is_read_whole(tmp_path: Path) -> None:
    text = (
        "server:\n  default_channel: stable\n  channels:\n    beta:\n"
        "      {self_set: true, platforms: [ios], devices: false, emulators: false, production: false, development: false,"
        ' under_native: true, downgrade: false, stop_at: major, min_plugin: "6.25.0"}\n    stable: {}\n'
    )
    policy = load(tmp_path, text + SERVER)
    rules = ChannelRules(True, ("ios",), False, False, False, False, True, False, AutoUpdate.MAJOR, "6.25.0")
    assert policy.server == ServerSpec("stable", {"beta": rules, "stable": ChannelRules()})
    assert policy.server.rules("elsewhere") == ChannelRules()
    assert warnings(policy) == []


def test_without_the_sections_there_is_no_default_channel_and_no_telemetry(tmp_path: Path) -> None:
    policy = load(tmp_path, "metrics: {file: x}\n")
    assert (policy.server, policy.telemetry) == (ServerSpec(), None)
    found = {origin.path: origin.value for origin in policy.origins}
    assert (found["server.default_channel"], found["telemetry"]) == ("none", "none")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("server: {default_chanel: stable}", "did you mean 'default_channel'?"),
        ("server: {channels: {beta: {selfset: true}}}", "did you mean 'self_set'?"),
        ("server: {channels: {beta: {platforms: []}}}", "a list of android, electron and ios"),
        ("server: {channels: {beta: {platforms: [ios, ios]}}}", "each once"),
        ("server: {channels: {beta: {platforms: [web]}}}", "expected one of android, electron, ios, found 'web'"),
        ("server: {channels: {beta: {stop_at: never}}}", "expected one of any, major, minor, patch"),
        ("server: {channels: {beta: {min_plugin: '6.25'}}}", 'expected a plugin version such as "6.25.0"'),
        ("server: {channels: {beta: {min_plugin: 6.25}}}", 'expected a plugin version such as "6.25.0"'),
        ("server: {channels: {'a b': {}}}", "this name cannot be used"),
        ("server: {default_channel: ''}", "a channel name"),
        ("telemetry: {}", "expected exactly one of `server` and `database`, found none of them"),
        ("telemetry: {server: 'https://u', database: 'env:D'}", "found `server` and `database`"),
        ("telemetry: {server: 'ftp://u'}", "an address such as https://updates.example.com"),
        ("telemetry: {server: 'https://u?token=abcdef'}", "an address such as"),
        ("telemetry: {database: 'env:D', token: 'env:T'}", "`token` goes with `server`"),
        ("telemetry: {server: 'https://u', token: secret-word}", "a reference: `env:NAME` or `file:PATH`"),
        ("telemetry: {server: 'https://me:secret-word@u'}", "a user name or password stands in an address"),
        ("telemetry: {database: 'postgresql://me:secret-word@db/x'}", "a password stands in an address"),
        ("telemetry: {database: 'postgresql://db/x?password=secret-word'}", "a password stands in an address"),
        ("telemetry: {database: 'mysql://db/x'}", "a database such as"),
        ("telemetry: {database: 'secret-word'}", "a database such as"),
    ],
)
def test_what_is_wrong_is_one_problem_with_its_place_and_no_secret(line: str, said: str, tmp_path: Path) -> None:
    found = problems(tmp_path, f"gates: {{}}\n{line}\n")
    assert len(found) == 1, found
    assert found[0].startswith("otagate.yml:6:")
    assert said in found[0]
    assert "secret-word" not in "".join(found)
    assert "abcdef" not in "".join(found)


def test_a_misspelt_key_says_the_nearest(tmp_path: Path) -> None:
    assert any("did you mean 'server'?" in line for line in problems(tmp_path, "gates: {}\ntelemetry: {sever: 'https://u'}\n"))


def test_a_list_of_platforms_is_no_text(tmp_path: Path) -> None:
    assert "expected a list of android" in problems(tmp_path, "gates: {}\nserver: {channels: {beta: {platforms: ios}}}\n")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server: {default_channel: stabel}\n", "server.default_channel: no track and no branch ships to the channel 'stabel'"),
        ("server: {channels: {bta: {}}}\n", "did you mean 'beta'?"),
        ("server: {channels: {elsewhere: {}}}\n", "ships to the channel 'elsewhere'"),
        ("telemetry: {server: 'http://u.example.com'}\n", "the token goes through the network unencrypted"),
    ],
)
def test_what_is_unwise_is_a_warning(text: str, said: str, tmp_path: Path) -> None:
    found = warnings(load(tmp_path, f"gates: {{}}\n{text}"))
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "server: {default_channel: pr-17}\n",
        "telemetry: {server: 'http://127.0.0.1:8080'}\n",
        "telemetry: {server: 'http://localhost/ota'}\n",
        "telemetry: {server: 'http://[::1]:80'}\n",
        "telemetry: {database: 'postgresql://me@db/x'}\n",
    ],
)
def test_what_is_meant_is_no_warning(text: str, tmp_path: Path) -> None:
    assert warnings(load(tmp_path, f"gates: {{}}\n{text}")) == []


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("{server: 'https://u.example.com/ota/'}", TelemetrySpec("https://u.example.com/ota", "env:OTAGATE_SERVER_TOKEN")),
        ("{server: 'https://u', token: 'file:t'}", TelemetrySpec("https://u", "file:{folder}/t")),
        ("{server: 'https://u', token: 'file:/run/t'}", TelemetrySpec("https://u", "file:/run/t")),
        ("{database: 'env:D'}", TelemetrySpec(database="env:D")),
        ("{database: 'file:d.txt'}", TelemetrySpec(database="file:{folder}/d.txt")),
        ("{database: 'sqlite:///data/t.db'}", TelemetrySpec(database="sqlite:///{folder}/data/t.db")),
        ("{database: 'sqlite:////var/t.db'}", TelemetrySpec(database="sqlite:////var/t.db")),
    ],
)
def test_files_are_relative_to_the_policys_folder(text: str, spec: TelemetrySpec, tmp_path: Path) -> None:
    found = load(tmp_path, f"gates: {{}}\ntelemetry: {text}\n").telemetry
    places = [
        None if one is None else one.replace("{folder}", str(tmp_path)) for one in (spec.server, spec.token, spec.database)
    ]
    assert found == TelemetrySpec(*places)


def test_every_default_gate_is_counted_by_telemetry_without_a_word(tmp_path: Path) -> None:
    policy = load(tmp_path, SERVER)
    assert {gate.metric for gate in policy.gates} == set(METRICS)
    assert {gate.source for gate in policy.gates} == {TelemetrySource(SPEC)}
    ages = {gate.metric: gate.maturity for gate in policy.gates}
    assert (ages["adoption_24h"], ages["rollout_completion"]) == (timedelta(hours=24), timedelta(hours=24))
    assert warnings(policy) == []


def test_a_source_of_its_own_wins_over_telemetry_and_telemetry_over_metrics(tmp_path: Path) -> None:
    text = (
        "metrics: {command: [counts]}\n"
        "gates:\n"
        "  crash_rate: {source: {file: m.json}}\n"
        "  error_rate: {}\n"
        "  checkout_failures: {max: 1%}\n"
        "  ios_crashes: {max: 2%, source: {telemetry: {metric: crash_rate, platform: ios, plugin: '8.1.0'}}}\n"
    )
    sources = {gate.metric: gate.source for gate in load(tmp_path, SERVER + text).gates}
    assert sources == {
        "crash_rate": FileSource("m.json"),
        "error_rate": TelemetrySource(SPEC),
        "checkout_failures": CommandSource(("counts",)),
        "ios_crashes": TelemetrySource(SPEC, "crash_rate", "ios", "8.1.0"),
    }


def test_explain_shows_where_counts_come_from(tmp_path: Path) -> None:
    text = "gates:\n  crash_rate: {}\n  ios: {max: 2%, source: {telemetry: {metric: crash_rate, platform: ios}}}\n"
    rules = "server: {channels: {beta: {self_set: true}}}\n"
    found = {origin.path: (origin.value, origin.source) for origin in load(tmp_path, SERVER + text + rules).origins}
    assert found["telemetry.server"] == ("https://u.example.com", "otagate.yml:5:21")
    assert found["telemetry.token"] == ("env:OTAGATE_SERVER_TOKEN", "default")
    assert found["gates.crash_rate.source.telemetry.server"] == ("https://u.example.com", "otagate.yml:5:21")
    assert found["gates.ios.source.telemetry.platform"] == ("ios", "otagate.yml:8:69")
    assert found["gates.ios.source.telemetry.server"] == ("https://u.example.com", "otagate.yml:5:21")
    assert found["server.channels.beta.self_set"] == ("true", "otagate.yml:9:38")
    assert found["server.channels.beta.platforms"] == ("[android, electron, ios]", "default")
    assert not [path for path in found if "crash_rate.source.telemetry.metric" in path]


def test_a_gate_that_nobody_counts_still_needs_a_source(tmp_path: Path) -> None:
    found = problems(tmp_path, f"{SERVER}gates: {{checkout_failures: {{max: 1%}}, crash_rate: {{}}}}\n")
    assert len(found) == 1
    assert "numbers of these gates come from: checkout_failures (write `metrics:` with a source, or `source`" in found[0]


@pytest.mark.parametrize(("telemetry", "words"), [(SERVER, "telemetry does not know them"), ("", "write `telemetry:`")])
def test_a_misspelt_metric_is_told_the_nearest_with_and_without_telemetry(telemetry: str, words: str, tmp_path: Path) -> None:
    found = problems(tmp_path, f"{telemetry}gates: {{crahs_rate: {{max: 2%}}}}\n")
    assert len(found) == 1
    assert "come from: crahs_rate (did you mean 'crash_rate'? Otherwise write" in found[0]
    assert words in found[0]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("gates: {crash_rate: {source: {telemetry: {}}}}", "gates.crash_rate.source", "nothing says where telemetry is"),
        (
            SERVER + "gates: {crash_rte: {max: 1%, source: {telemetry: {}}}}",
            "gates.crash_rte.source.telemetry",
            "did you mean 'crash_rate'?",
        ),
        (
            SERVER + "gates: {mine: {max: 1%, source: {telemetry: {metric: crashes}}}}",
            "gates.mine.source.telemetry.metric",
            "expected one of crash_rate",
        ),
        (
            SERVER + "gates: {mine: {max: 1%, source: {telemetry: {metric: verification_time}}}}",
            "gates.mine",
            "another kind of threshold; expected `limits`",
        ),
        (
            SERVER + "gates: {crash_rate: {limits: [{over: 45s, max_share: 5%, action: alert}]}}",
            "gates.crash_rate",
            "another kind of threshold; expected `max`, `min` or `max_increase`",
        ),
        (
            SERVER + "gates: {verification_time: {limits: [{over: 50s, max_share: 5%, action: alert}]}}",
            "gates.verification_time.limits[0].over",
            "expected one of 1s, 2s, 5s, 10s, 15s, 20s, 30s, 45s, 60s",
        ),
        (
            SERVER + "gates: {adoption_24h: {maturity: 1h}}",
            "gates.adoption_24h.maturity",
            "expected at least 1d, found 1h",
        ),
        (
            SERVER + "gates: {mine: {min: 50%, source: {telemetry: {metric: adoption_24h}}}}",
            "gates.mine.maturity",
            "expected at least 1d, found 0s",
        ),
        ("metrics: {telemetry: {}}", "metrics.telemetry", "`telemetry` is a source of single gates"),
    ],
)
def test_a_gate_that_telemetry_cannot_answer_is_one_problem(text: str, place: str, said: str, tmp_path: Path) -> None:
    found = problems(tmp_path, f"{text}\n")
    assert len(found) == 1, found
    assert f": {place}: " in found[0]
    assert said in found[0]


def test_completion_without_maturity_is_unwise(tmp_path: Path) -> None:
    found = warnings(load(tmp_path, f"{SERVER}gates: {{rollout_completion: {{maturity: 0s}}}}\n"))
    assert len(found) == 1
    assert "devices that are still on their way count as if they had failed" in found[0]


def test_a_dry_run_may_look_early(tmp_path: Path) -> None:
    assert load(tmp_path, f"{SERVER}gates: {{adoption_24h: {{maturity: 1h, dry_run: true}}}}\n").gates[0].dry_run


@pytest.mark.parametrize(
    "junk", ["gates: 5", "gates: {verification_time: {limits: 5}}", "gates: {adoption_24h: {maturity: x}}"]
)
def test_what_the_schema_refuses_is_left_to_it(junk: str, tmp_path: Path) -> None:
    assert all(line.startswith("otagate.yml:6:") for line in problems(tmp_path, f"{SERVER}{junk}\n"))


@pytest.mark.parametrize(
    ("text", "is_warned"),
    [
        (SERVER + "evaluation: {max_staleness: 30m}\n", True),
        (SERVER + "evaluation: {max_staleness: 2h}\n", False),
        (SERVER, False),
        (SERVER + "gates: {crash_rate: {action: alert, escalate: null}}\nevaluation: {max_staleness: 30m}\n", False),
        ("metrics: {file: counts.json}\nevaluation: {max_staleness: 30m}\n", False),
    ],
)
def test_telemetry_knows_by_the_hour_when_devices_were_heard(text: str, is_warned: bool, tmp_path: Path) -> None:
    """A healthy release would be paused: its 200 phones are all there after a day, and no new ones come."""
    found = [line for line in warnings(load(tmp_path, text)) if "evaluation.max_staleness" in line]
    assert bool(found) is is_warned
    assert not found or found[0].endswith("with 30m, a fleet without new ones is stale (write 2h or more)")
