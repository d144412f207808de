"""What doctor finds about metric sources of gates and places of ``notify``, without asking or telling any of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from otagate.errors import ExitCode
from support.shop import Said, open_shop

PROMETHEUS = "{prometheus: {url: 'https://p.example', bad: b, total: t, headers: {Authorization: 'env:P', X-Org: acme}}}"
DATADOG = "{datadog: {site: datadoghq.eu, api_key: 'file:api.key', application_key: 'env:APP', bad: b, total: t}}"


def ask(folder: Path, more: str, *options: str, files: Mapping[str, str] | None = None) -> Said:
    shop = open_shop(folder / "app", published=False)
    for name, text in (files or {}).items():
        shop.path(name).write_text(text)
        shop.path(name).chmod(0o700)
    policy = shop.path("otagate.yml")
    policy.write_text(policy.read_text().partition("metrics:")[0] + more)
    return shop.run("doctor", "--json", *options)


def checks(said: Said, group: str) -> list[dict[str, Any]]:
    return [check for check in json.loads(said.out)["checks"] if check["group"] == group]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("{file: 'counts/{metric}.json'}", []),
        ("{command: [no-such-program-here]}", ["the command that counts is not on the PATH"]),
        ("{command: [./tools/none]}", ["the command that counts is not on the PATH"]),
        ("{http: {url: 'https://m.example', bad: a, total: b}}", []),
        (PROMETHEUS, ["found nothing"]),
        (DATADOG, ["the file of a header's value cannot be read", "found nothing"]),
        ("{google_monitoring: {project: acme-mobile, bad: b, total: t}}", []),
        ("{newrelic: {account: 1, token: 'env:T', bad: 'SELECT 1', total: 'SELECT 1'}}", ["found nothing"]),
    ],
)
def test_what_a_source_refers_to_must_be_there(tmp_path: Path, source: str, found: list[str]) -> None:
    said = ask(tmp_path, f"gates:\n  crash_rate: {{max: 2%, source: {source}}}\n")
    (check,) = checks(said, "gates")
    assert check["name"] == "crash_rate"
    assert [problem["code"] for problem in check["problems"]] == ["gate.source"] * len(found)
    assert all(words in problem["what"] for words, problem in zip(found, check["problems"], strict=True))
    assert all(problem["fix"] and source[1:].partition(":")[0] in problem["subject"] for problem in check["problems"])
    assert (said.code == ExitCode.USAGE) == bool(found)
    assert check["status"] == ("error" if found else "ok")


def test_a_command_that_is_there(tmp_path: Path) -> None:
    gate = "gates:\n  crash_rate: {max: 2%, source: {command: [./counts]}}\n"
    (check,) = checks(ask(tmp_path, gate, files={"counts": "#!/bin/sh\nexit 1\n"}), "gates")
    assert (check["status"], check["detail"]) == ("ok", "command")


def test_a_gate_without_a_source_is_not_checked(tmp_path: Path) -> None:
    (check,) = checks(ask(tmp_path, "gates:\n  error_rate: {max: 2%, action: alert}\n"), "gates")
    assert check["status"] == "not checked"


@pytest.mark.parametrize(("plugin", "codes"), [("8.51.23", []), ("8.45.0", ["gate.plugin-silent"])])
def test_a_plugin_that_tells_of_no_crashes_leaves_a_gate_without_numbers(tmp_path: Path, plugin: str, codes: list[str]) -> None:
    lock = {"packages": {"node_modules/@capgo/capacitor-updater": {"version": plugin}}}
    policy = "telemetry: {database: 'sqlite:///none.db'}\ngates:\n  crash_rate: {max: 2%}\n"
    said = ask(tmp_path, policy, "--read-only", files={"package-lock.json": json.dumps(lock)})
    (check,) = checks(said, "gates")
    assert [problem["code"] for problem in check["problems"] if problem["code"] != "gate.source"] == codes


@pytest.mark.parametrize(("options", "commands"), [([], ["otagate notify test"]), (["--read-only"], [])])
def test_places_that_cannot_be_told(tmp_path: Path, options: list[str], commands: list[str]) -> None:
    files = {"hook.url": "https://hook.example/x", "bad.url": "ftp://hidden@hook.example/x"}
    places = "{well: {webhook: 'file:hook.url'}, ill: {webhook: 'file:bad.url'}, none: {slack: 'env:NO_SUCH'}}"
    said = ask(tmp_path, f"gates: {{}}\nnotify: {places}\n", *options, files=files)
    well, ill, none = checks(said, "notify")
    assert (well["status"], well["detail"]) == ("ok", "webhook: rollout.*, gate.failed, channel.rolled_back")
    assert [problem["code"] for check in (ill, none) for problem in check["problems"]] == ["notify.unusable"] * 2
    assert "NO_SUCH" in none["problems"][0]["fix"]
    assert none["problems"][0]["commands"] == commands
    assert "hidden" not in said.out
    assert (said.code, checks(said, "gates")) == (ExitCode.DONE, [])
