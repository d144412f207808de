from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from otagate.ci.report import MAX_RESULT_CHARS, reporter_here, tell_failure, tell_result
from otagate.ci.reporters.file import GitlabReporter, JenkinsReporter
from otagate.ci.reporters.github import GithubReporter
from otagate.ci.reporters.plain import PlainReporter
from otagate.errors import OtagateError, PolicyError, UsageError


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"GITHUB_ACTIONS": "true"}, GithubReporter),
        ({"GITLAB_CI": "true"}, GitlabReporter),
        ({"JENKINS_URL": "https://ci.example"}, JenkinsReporter),
        ({"TF_BUILD": "True"}, PlainReporter),
        ({}, PlainReporter),
    ],
)
def test_the_host_chooses_the_reporter(environ: dict[str, str], kind: type) -> None:
    assert isinstance(reporter_here(environ, stream=io.StringIO()), kind)


def jenkins(tmp_path: Path) -> dict[str, str]:
    return {"JENKINS_URL": "https://ci.example", "WORKSPACE": str(tmp_path)}


def test_a_result_is_outputs_and_one_line_of_json(tmp_path: Path) -> None:
    data = {"goal": "two\nlines", "n": [1, "ü"]}
    tell_result(reporter_here(jenkins(tmp_path)), {"version": "1.0.0"}, data, "### x")
    version, result = (tmp_path / "otagate.properties").read_text().splitlines()
    assert version == "version=1.0.0"
    assert json.loads(result.removeprefix("result=")) == data


def test_a_result_that_is_too_long_is_left_empty(tmp_path: Path) -> None:
    tell_result(reporter_here(jenkins(tmp_path)), {}, {"x": "y" * MAX_RESULT_CHARS}, "")
    assert (tmp_path / "otagate.properties").read_text() == "result={}\n"


def test_a_result_reaches_the_summary(tmp_path: Path) -> None:
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "s")}
    tell_result(reporter_here(environ), {}, {}, "### shipped")
    assert (tmp_path / "s").read_text() == "### shipped\n"


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (
            UsageError("no such thing", subject="channel beta", remedy="make one"),
            ["::error title=otagate::no such thing: channel beta%0A  try: make one"],
        ),
        (
            PolicyError("the policy has 2 problems", subject="/w/otagate.yml", details=("/w/otagate.yml:3:5: app.idd: unknown key", "general")),
            [
                "::error file=/w/otagate.yml,line=3,title=otagate::the policy has 2 problems: /w/otagate.yml:3:5: app.idd: unknown key",
                "::error title=otagate::the policy has 2 problems: general",
            ],
        ),
        (UsageError("broken", subject="otagate.yml:7"), ["::error file=otagate.yml,line=7,title=otagate::broken: otagate.yml:7"]),
        (UsageError("broken", subject="https://cdn.example:8443/x"), ["::error title=otagate::broken: https://cdn.example:8443/x"]),
        (OtagateError("odd"), ["::error title=otagate::odd"]),
    ],
)  # fmt: skip
def test_a_failure_is_annotated_where_it_is(error: OtagateError, lines: list[str]) -> None:
    stream = io.StringIO()
    tell_failure(reporter_here({"GITHUB_ACTIONS": "true"}, stream=stream), error)
    assert stream.getvalue().splitlines() == lines
