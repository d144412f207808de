"""What a command loads: a verb that uses no bucket loads no library for one, and one on S3 not those of the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.buckets import ADAPTERS
from support.project import Project

pytestmark = pytest.mark.integration

LIBRARIES = {"obstore", "botocore", "boto3", "google.cloud", "google.auth", "azure", "httpx"}
SCRIPT = """
import os, sys
from pathlib import Path
from otagate.cli.main import run_command
code = run_command(sys.argv[1:], os.environ, Path.cwd(), sys.stdout, sys.stderr)
print(code, *sorted(sys.modules), file=sys.stderr)
"""


def loaded(project: Project, *words: str) -> set[str]:
    command = [sys.executable, "-c", SCRIPT, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=project.folder, env=project.environ)
    code, *modules = done.stderr.splitlines()[-1].split()
    assert code == "0", done.stderr
    return LIBRARIES & set(modules)


@pytest.mark.parametrize("words", [("plan",), ("status",), ("history",), ("policy", "check"), ("prune", "--dry-run")])
def test_a_folder_loads_no_library_of_a_bucket(words: tuple[str, ...], tmp_path: Path) -> None:
    assert loaded(Project(tmp_path / "app"), *words) == set()


@pytest.mark.parametrize("words", [("plan",), ("status",)])
def test_a_bucket_of_s3_loads_obstore_alone(words: tuple[str, ...], tmp_path: Path) -> None:
    bucket = ADAPTERS["s3 on SeaweedFS"]()
    project = Project(tmp_path / "app", storage=f'"{bucket.url}"')
    project.environ.update(bucket.environ)
    assert loaded(project, *words) == {"obstore"}
    assert loaded(project, "policy", "check") == set()
