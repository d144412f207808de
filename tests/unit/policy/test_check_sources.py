from __future__ import annotations

from pathlib import Path

import pytest

from otagate.gate.sources import _fill
from otagate.policy.check_sources import PLACEHOLDERS
from support.policies import TELEMETRY, load, problems, the_problem

PROM = "prometheus: {url: 'https://p', bad: '{release}', total: t}"
SENTRY = "sentry: {organization: a, project: 7, release: '{release}', token: 'env:T'}"
SESSIONS = "sentry: {organization: a, project: 7, release: '{release}', token: 'env:T', unit: session}"
VALUE = "prometheus: {url: 'https://p', value: '{release}'}"


def test_the_placeholders_are_those_that_are_filled() -> None:
    assert PLACEHOLDERS == _fill.NAMES


FORMS = {
    "prometheus: {url: 'https://p', bad: a}": "expected `bad` and `total`, or `value` alone, found `bad`",
    "prometheus: {url: 'https://p'}": "or `value` alone, found none of them",
    "prometheus: {url: 'https://p', bad: a, total: t, value: v}": "or `value` alone, found `bad` and `value`",
    "prometheus: {url: 'https://p', total: t, value: v}": "or `value` alone, found `value`",
    "http: {url: 'https://p', bad: a, total: t, value: v}": "found `bad` and `value`",
    f"{PROM}, {SENTRY}": "found `prometheus` and `sentry`",
    "prometheus: {url: 'ftp://p', bad: '{release}', total: t}": "expected an address such as https://prometheus.example, found",
    "prometheus: {url: 'https://p', bad: '{release}', total: t, auth: aws}": "requests are signed for a region; expected `region`",
    "prometheus: {url: 'https://p', bad: '{release}', total: t, region: eu-west-1}": "`region` goes with `auth: aws`",
    "prometheus: {url: 'https://p', bad: '{release}', total: t, auth: google, headers: {authorization: 'env:A'}}": "in two ways",
    "prometheus: {url: 'https://p', bad: '{release}', total: t, auth: basic}": "expected one of none, aws, google, azure",
    "prometheus: {url: 'https://p', bad: 'x{app=\"{relaese}\"}', total: t}": "there is no placeholder {relaese}; expected one of {metric}",
    "graphite: {url: 'https://{host}', bad: '{release}', total: t}": "there is no placeholder {host}",
    "graphite: {url: 'https://g/{app}', bad: '{release}', total: t}": "expected an address such as https://graphite.example",
    "graphite: {url: 'https://g', bad: '{release}', total: t, reduce: mean}": "expected one of sum, last, max, found 'mean'",
    "sentry: {organization: a, project: shop, release: '{release}', token: 'env:T'}": "expected the number of a project, found 'shop'",
    "sentry: {organization: a, project: 7, release: 1.2.3, token: 'env:T'}": "expected a name that holds {release}, found '1.2.3'",
    "sentry: {organization: a, project: 7, release: '{release}', token: 'env:T', statuses: []}": "found an empty one",
    "datadog: {site: evil.example, api_key: 'env:A', application_key: 'env:B', bad: '{release}', total: t}": "expected a site such as",
    "datadog: {api_key: 'env:A', bad: '{release}', total: t}": "the key 'application_key' is missing",
    "newrelic: {account: '5', token: 'env:T', bad: '{release}', total: t}": "expected the number of an account, found '5'",
    "cloudwatch: {region: Ireland, bad: '{release}', total: t}": "expected a region such as eu-west-1",
    "azure_monitor: {workspace: mine, bad: '{release}', total: t}": "expected a workspace's id",
    "google_monitoring: {project: 'a b', bad: '{release}', total: t}": "expected the id of a project",
}


@pytest.mark.parametrize(("text", "said"), FORMS.items())
def test_a_source_that_is_wrong_is_one_problem(text: str, said: str, tmp_path: Path) -> None:
    line = the_problem(tmp_path, f"gates: {{mine: {{max: 5%, action: pause, source: {{{text}}}}}}}\n")
    assert line.startswith("otagate.yml:6:")
    assert said in line


def test_the_nearest_source_is_named(tmp_path: Path) -> None:
    lines = problems(tmp_path, "metrics: {promtheus: {}}\ngates: {mine: {max: 5%}}\n")
    assert any("unknown key 'promtheus' (did you mean 'prometheus'?)" in line for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "influxdb: {url: 'https://i', org: a, token: SECRET, bad: '{release}', total: t}",
        "dynatrace: {url: 'https://i', token: SECRET, bad: '{release}', total: t}",
        "sentry: {organization: a, project: 7, release: '{release}', token: SECRET}",
        "datadog: {api_key: SECRET, application_key: 'env:B', bad: '{release}', total: t}",
        "datadog: {api_key: 'env:A', application_key: SECRET, bad: '{release}', total: t}",
        "newrelic: {account: 5, token: SECRET, bad: '{release}', total: t}",
        "capgo: {token: SECRET}",
        "prometheus: {url: 'https://p', bad: '{release}', total: t, headers: {Authorization: SECRET}}",
        "prometheus: {url: 'https://a:SECRET@p', bad: '{release}', total: t}",
        "prometheus: {url: 'https://p?token=SECRET', bad: '{release}', total: t}",
    ],
)
def test_a_secret_in_the_policy_is_refused_and_not_shown(text: str, tmp_path: Path) -> None:
    lines = problems(
        tmp_path, f"gates: {{mine: {{max: 5%, action: pause, source: {{{text.replace('SECRET', 'hunter2hunter2')}}}}}}}\n"
    )
    assert any("not shown" in line for line in lines)
    assert not any("hunter2" in line for line in lines)


@pytest.mark.parametrize(
    "query",
    [
        'sum(x{job="a", release="{release}"}[{window}]) / on() y{}',
        "sum:x{release:{release},!env:dev} by {host}",
        "SEARCH('{OTA,Release} Release=\"{release}\"', 'Sum')",
        "a.{b,c}.{release}.{d*}",
        "{start_unix}{end_unix}{start_ms}{end_ms}{window}{start}{end}{metric}{app}{channel}{weight}{over}{release}",
    ],
)
def test_braces_of_a_query_language_are_left_alone(query: str, tmp_path: Path) -> None:
    quoted = query.replace("'", "''")
    policy = load(
        tmp_path, f"metrics: {{prometheus: {{url: 'https://p', bad: '{quoted}', total: t}}}}\ngates: {{mine: {{max: 1%}}}}\n"
    )
    assert policy.warnings == ()


FITS = {
    f"slow: {{value: {{max: 5}}, source: {{{PROM}}}}}": "the gate judges a plain number, and its source has none (gate 'slow')",
    "slow: {value: {max: 5}, source: {telemetry: {metric: crash_rate}}}": "`telemetry` counts, and has no plain number",
    f"slow: {{value: {{max: 5}}, source: {{{SENTRY}}}}}": "`sentry` counts, and has no plain number",
    "slow: {value: {max: 5}, source: {capgo: {token: 'env:T'}}}": "`capgo` counts, and has no plain number",
    f"mine: {{max: 5%, source: {{{VALUE}}}}}": "the gate judges counts of devices, and its source has only a `value`",
    f"mine: {{split: at_most, source: {{{VALUE}}}}}": "the gate judges counts of devices",
    f"mine: {{limits: [{{over: 1s, max_share: 1%, action: alert}}], source: {{{VALUE}}}}}": "the gate judges counts of devices",
    "mine: {max: 5%, source: {http: {url: 'https://p', value: v}}}": "has only a `value`",
    f"mine: {{max_increase: 50%, source: {{{PROM}}}}}": "only telemetry counts the devices of two releases side by side",
    "mine: {max_increase: 50%, source: {file: x}}": "only telemetry counts",
    f"mine: {{limits: [{{over: 1s, max_share: 1%, action: alert}}], source: {{{PROM}}}}}": "every limit would get the same counts",
    f"mine: {{limits: [{{over: 1s, max_share: 1%, action: alert}}], source: {{{SENTRY}}}}}": "`sentry` counts no lengths of time",
    f"mine: {{max: 1%, action: rollback, source: {{{SESSIONS}}}}}": "events are not devices, so this source may pause at most",
    f"mine: {{max: 1%, escalate: {{above: 5%, action: rollback}}, source: {{{SESSIONS}}}}}": "events are not devices",
    "device_success_rate: {min: 85%, source: {capgo: {token: 'env:T'}}}": "events are not devices",
    "mine: {max: 1%, action: pause, source: {capgo: {token: 'env:T'}}}": "`capgo` counts for device_success_rate, crash_rate,",
    "mine: {split: at_most, source: {capgo: {token: 'env:T'}}}": "`capgo` does not know the devices of a channel",
    f"mine: {{split: at_most, source: {{{SENTRY}}}}}": "`sentry` does not know the devices of a channel",
}


@pytest.mark.parametrize(("gate", "said"), FITS.items())
def test_a_source_that_cannot_answer_its_gate_is_one_problem(gate: str, said: str, tmp_path: Path) -> None:
    assert said in the_problem(tmp_path, TELEMETRY + f"gates: {{{gate}}}\n")


@pytest.mark.parametrize(
    "gate",
    [
        f"slow: {{value: {{max: 5}}, source: {{{VALUE}}}}}",
        "slow: {value: {max: 5}, source: {file: 'x/{release}.json'}}",
        "slow: {value: {max: 5}, source: {command: [x]}}",
        f"mine: {{split: equal, source: {{{PROM}}}}}",
        "mine: {split: at_most}",
        "error_rate: {source: {capgo: {token: 'env:T'}}}",
        f"mine: {{max: 1%, action: pause, source: {{{SESSIONS}}}}}",
        f"mine: {{max: 1%, action: rollback, source: {{{SENTRY}}}}}",
        "mine: {limits: [{over: 1s, max_share: 1%, action: alert}], source: {prometheus: {url: 'https://p', bad: '{over}{release}', total: t}}}",
        "mine: {max_increase: 50%, phases: [stable], source: {telemetry: {metric: crash_rate, platform: ios}}}",
        "crash_rate: {max_increase: 50%, phases: [stable]}",
    ],
)
def test_a_source_that_fits_is_taken(gate: str, tmp_path: Path) -> None:
    policy = load(tmp_path, TELEMETRY + f"gates: {{{gate}}}\n")
    assert policy.gates[0].source is not None
    assert policy.warnings == ()


def test_the_default_source_is_held_against_each_gate(tmp_path: Path) -> None:
    found = problems(tmp_path, f"metrics: {{{VALUE}}}\ngates: {{mine: {{max: 1%}}, slow: {{value: {{max: 5}}}}}}\n")
    assert [line.split(" (gate")[0] for line in found] == [
        "otagate.yml:7:15: gates.mine: the gate judges counts of devices, and its source has only a `value`"
    ]


def test_without_gates_in_the_policy_the_default_source_is_named(tmp_path: Path) -> None:
    found = problems(tmp_path, "metrics: {capgo: {token: 'env:T'}}\n")
    assert all(line.startswith("otagate.yml:6:10: metrics: ") for line in found)
    assert {line.rsplit("(gate '", 1)[1].split("'")[0] for line in found} == {
        "crash_rate",
        "device_success_rate",
        "rollout_completion",
        "verification_time",
        "adoption_24h",
    }


WARNED = {
    "prometheus: {url: 'https://p', bad: a, total: t}": "does not name `{release}`",
    "prometheus: {url: 'http://p', bad: '{release}', total: t, auth: google}": "credentials go through the network unencrypted",
    "sentry: {organization: a, project: 7, release: '{release}', token: 'env:T', url: 'http://s'}": "unencrypted",
}


@pytest.mark.parametrize(("text", "said"), WARNED.items())
def test_what_is_unwise_is_warned_about(text: str, said: str, tmp_path: Path) -> None:
    (warning,) = load(tmp_path, f"metrics: {{{text}}}\ngates: {{mine: {{max: 1%}}}}\n").warnings
    assert said in warning


def test_nothing_is_warned_about_on_loopback(tmp_path: Path) -> None:
    text = "metrics: {dynatrace: {url: 'http://127.0.0.1:80', token: 'env:T', bad: '{release}', total: t}}\ngates: {mine: {max: 1%}}\n"
    assert load(tmp_path, text).warnings == ()
