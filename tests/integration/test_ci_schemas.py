"""The published schemas of the CI hosts accept our files, and refuse broken ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
FILES = [
    ("github-actions", "action.yml"),
    ("gitlab-ci", "gitlab-ci-template.yml"),
    ("github-workflows", "examples/github/.github/workflows/ship.yml"),
    ("github-workflows", "examples/github/.github/workflows/ship-to-s3.yml"),
    ("gitlab-ci", "examples/gitlab/.gitlab-ci.yml"),
    ("gitlab-ci", "examples/gitlab/s3.gitlab-ci.yml"),
]


def check(schema: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", f"vendor.{schema}", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("schema", "path"), FILES)
def test_our_files_are_accepted(schema: str, path: str) -> None:
    done = check(schema, ROOT / path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ("github-actions", "name: x\ndescription: y\nruns: {using: composite}\n"),
        ("github-workflows", "on: push\njobs: {a: {runs-on: x, step: []}}\n"),
        ("gitlab-ci", "a: {script: [x], interruptible: sometimes}\n"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, schema: str, text: str) -> None:
    (tmp_path / "bad.yml").write_text(text)
    assert check(schema, tmp_path / "bad.yml").returncode == 1
