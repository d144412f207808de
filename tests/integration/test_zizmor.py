"""zizmor, offline, finds nothing in what we ship, and does find what is wrong in a bad file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
SHIPPED = ["action.yml", "examples/github"]

BAD_ACTION = """\
name: bad
description: bad
inputs:
  channel: {description: x, default: ""}
runs:
  using: composite
  steps:
    - shell: bash
      run: echo ${{ inputs.channel }}
    - uses: somebody/thing@main
"""
BAD_WORKFLOW = """\
name: bad
on: pull_request_target
permissions: write-all
jobs:
  ship:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with: {ref: "${{ github.event.pull_request.head.sha }}"}
      - run: echo ${{ github.event.pull_request.title }}
"""


def zizmor(folder: Path, *paths: str, persona: str) -> subprocess.CompletedProcess[str]:
    command = [
        str(Path(sys.executable).parent / "zizmor"),
        "--offline",
        "--no-progress",
        "--strict-collection",
        "--persona",
        persona,
        *paths,
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("persona", ["pedantic", "auditor"])
def test_nothing_is_found_in_what_we_ship(persona: str) -> None:
    done = zizmor(ROOT, *SHIPPED, persona=persona)
    assert done.returncode == 0, done.stdout
    assert "No findings to report" in done.stdout
    assert done.stderr.count("completed") == 4


@pytest.mark.parametrize(
    ("path", "text", "findings"),
    [
        ("action.yml", BAD_ACTION, ["template-injection", "unpinned-uses"]),
        (
            ".github/workflows/bad.yml",
            BAD_WORKFLOW,
            ["template-injection", "dangerous-triggers", "excessive-permissions", "artipacked"],
        ),
    ],
)
def test_a_bad_file_is_caught(tmp_path: Path, path: str, text: str, findings: list[str]) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    done = zizmor(tmp_path, ".", persona="pedantic")
    assert done.returncode != 0
    assert [finding for finding in findings if f"[{finding}]" not in done.stdout] == []


def test_a_seeded_fault_in_our_own_action_is_caught(tmp_path: Path) -> None:
    text = (ROOT / "action.yml").read_text("utf-8")
    seeded = text.replace('exec python3 -I "$GITHUB_ACTION_PATH/', 'exec python3 -I "${{ inputs.working-directory }}/')
    assert seeded != text
    (tmp_path / "action.yml").write_text(seeded)
    done = zizmor(tmp_path, "action.yml", persona="pedantic")
    assert done.returncode != 0
    assert "template-injection" in done.stdout
