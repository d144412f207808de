"""The three faces, the table in docs/ci.md, the module behind them and the command line agree on every input."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from otagate._bucket_url import OPTIONS
from otagate.bundle.environment import never_passes
from otagate.ci import face
from otagate.cli.main import build_parser

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
TEMPLATE: dict[str, Any] = yaml.safe_load((ROOT / "gitlab-ci-template.yml").read_text("utf-8"))[".otagate"]
GROOVY = (ROOT / "Jenkinsfile.groovy").read_text("utf-8")
DOCS = (ROOT / "docs" / "ci.md").read_text("utf-8")
OIDC: dict[str, Any] = yaml.safe_load((ROOT / "gitlab-ci-template.yml").read_text("utf-8"))[".otagate-oidc"]
STEP = ACTION["runs"]["steps"][0]
SHELL = {"action.yml": STEP["run"], "gitlab-ci-template.yml": TEMPLATE["script"][0]}
OPTIONS_OF_NO_JOB = {"help", "format", "quiet"}


def variable(name: str) -> str:
    return face.PREFIX + name.upper().replace("-", "_")


def table(title: str) -> dict[str, list[str]]:
    """Give a table of docs/ci.md: first column to the other columns."""
    section = DOCS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


def groovy_list(name: str) -> list[str]:
    match = re.search(rf"{name} = \[(.*?)\]", GROOVY, re.DOTALL)
    assert match
    return re.findall(r"'([a-z-]+)'", match[1])


def test_the_action_has_every_input_and_passes_each_through_the_environment() -> None:
    assert set(ACTION["inputs"]) == set(face.INPUTS)
    assert STEP["env"] == {variable(name): f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"]}


def test_the_template_has_every_input_but_the_keys_as_a_variable() -> None:
    given = {name for name in TEMPLATE["variables"] if name.startswith(face.PREFIX)}
    assert given == {variable(name) for name in face.INPUTS if name not in face.SECRETS}
    assert set(TEMPLATE["variables"]) - given == {"OTAGATE_SOURCE", "OTAGATE_REPOSITORY", "OTAGATE_REF"}
    # A key in the template would win over nothing, but stand in clear where everybody reads it.
    assert not set(face.SECRETS.values()) & set(TEMPLATE["variables"])


def test_only_the_job_that_is_asked_for_gets_a_token_of_gitlab() -> None:
    assert "id_tokens" not in TEMPLATE
    assert OIDC == {
        "extends": ".otagate",
        "variables": {"OTAGATE_OIDC_AUDIENCE": "sts.amazonaws.com"},
        "id_tokens": {"OTAGATE_OIDC_TOKEN": {"aud": "$OTAGATE_OIDC_AUDIENCE"}},
    }


def test_the_docs_name_the_variables_and_audiences_of_every_cloud() -> None:
    section = DOCS.partition("\n## Without a stored cloud key\n")[2].partition("\n## ")[0]
    for option in ("role", "region", "provider", "service_account", "client", "tenant", "account"):
        assert f"(`{option}=`)" in section
        assert any(option in options for options in OPTIONS.values())
    names = set(re.findall(r"`((?:AWS|AZURE|GOOGLE)_[A-Z_]+)`", section.partition("**GitHub.**")[0]))
    code = "".join(
        path.read_text("utf-8") for folder in ("identity", "store") for path in (ROOT / "src/otagate" / folder).glob("*.py")
    )
    assert len(names) == 7
    assert [name for name in names if f'"{name}"' not in code] == []


def test_what_the_docs_say_no_build_sees_no_build_sees() -> None:
    section = DOCS.partition("### What the build sees of it")[2].partition("\n## ")[0]
    named = re.findall(r"`([A-Z_]{10,})`", section)
    assert len(named) == 5
    assert all(never_passes(name) for name in named)


def test_the_jenkins_step_has_every_input_as_a_key() -> None:
    assert set(groovy_list("inputs")) == set(face.INPUTS) - set(face.SECRETS)
    assert set(groovy_list("secrets")) == set(face.SECRETS)


def test_the_docs_have_every_input_with_its_default_and_commands() -> None:
    rows = table("Inputs")
    assert set(rows) == set(face.INPUTS)
    for name, (default, commands, _) in rows.items():
        assert default.strip("`") == ACTION["inputs"][name]["default"], name
        takers = {verb for verb, names in face.COMMANDS.items() if name in names}
        if commands.startswith("all but"):
            assert set(re.findall(r"`(\w+)`", commands)) == set(face.COMMANDS) - takers, name
        elif commands == "all":
            assert takers == set(face.COMMANDS) or name in face.COMMON, name
        else:
            assert set(re.findall(r"`(\w+)`", commands)) == takers, name
    assert set(re.findall(r"`(\w+)`", rows["command"][2])) == set(face.COMMANDS)


def test_defaults_of_the_template_are_those_of_the_action() -> None:
    for name, entry in ACTION["inputs"].items():
        if name not in face.SECRETS:
            assert TEMPLATE["variables"][variable(name)] == entry["default"], name


def test_the_action_lists_every_command() -> None:
    listed = re.split(r", | or ", ACTION["inputs"]["command"]["description"].partition(": ")[2].rstrip("."))
    assert listed == list(face.COMMANDS)


@pytest.mark.parametrize("verb", face.COMMANDS)
def test_each_commands_inputs_are_its_options(verb: str) -> None:
    parser: argparse.ArgumentParser = build_parser(verb)
    options = {
        action.option_strings[-1].removeprefix("--") if action.option_strings else action.dest
        for action in parser._actions
        if action.dest not in OPTIONS_OF_NO_JOB
    }
    assert options == set(face.COMMANDS[verb])


@pytest.mark.parametrize("verb", face.COMMANDS)
def test_each_commands_inputs_are_parsed_as_given(verb: str) -> None:
    values = {name: "true" if name in face.FLAGS else "x" for name in face.COMMANDS[verb]}
    environ = {variable(name): value for name, value in values.items()} | {variable("command"): verb}
    args = build_parser(verb).parse_args(list(face.make_call(environ, Path.cwd()).argv[1:]))
    expected = {name: True if name in face.FLAGS else ["x"] if name == "override" else "x" for name in values}
    assert {name: getattr(args, name.replace("-", "_")) for name in values} == expected


def test_outputs_agree() -> None:
    names = set(ACTION["outputs"])
    assert names == set(table("Outputs"))
    for name, entry in ACTION["outputs"].items():
        assert entry["value"] == f"${{{{ steps.otagate.outputs.{name} }}}}"
    comment = (ROOT / "gitlab-ci-template.yml").read_text("utf-8").partition(".otagate:")[0]
    for name in names - {"result"}:
        assert "OTAGATE_" + name.upper().replace("-", "_") in comment


def test_no_expression_stands_in_a_shell_line_and_no_other_action_is_used() -> None:
    assert "${{" not in STEP["run"]
    assert [key for step in ACTION["runs"]["steps"] for key in step if key == "uses"] == []


@pytest.mark.parametrize("file", SHELL)
def test_shell_lines_quote_every_variable_and_eval_nothing(file: str) -> None:
    script = SHELL[file]
    assert "eval" not in script
    assert not re.search(r"OTAGATE_INPUT|SIGNING_KEY|ENCRYPTION_KEY", script)
    unquoted = re.sub(r'"[^"]*"|\'[^\']*\'', "", script)
    assert "$" not in unquoted.replace("$(mktemp -d)", "")


def test_the_jenkins_step_gives_shells_single_quoted_text_only() -> None:
    scripts = re.findall(r"script: (.)", GROOVY)
    assert scripts
    assert set(scripts) == {"'"}
    code = "\n".join(line for line in GROOVY.splitlines() if not line.startswith("//"))
    assert '"' not in re.sub(r"'[^']*'", "", code)
    assert not re.search(r"\bnew File\b|JsonSlurper|=~|@NonCPS|import ", code)


@pytest.mark.parametrize("path", ["action.yml", "gitlab-ci-template.yml", "Jenkinsfile.groovy"])
def test_every_face_starts_the_same_file(path: str) -> None:
    assert (ROOT / path).read_text("utf-8").count('/src/otagate/ci/boot.py"') == 1
    assert (ROOT / "src/otagate/ci/boot.py").is_file()


def test_the_docs_link_to_files_that_exist() -> None:
    links = re.findall(r"\]\((\.\./[^)#]+)\)", DOCS)
    assert len(links) >= 3
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
