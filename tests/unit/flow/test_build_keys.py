"""What a build command sees of the environment: the scripts of every package run there, so no key and no way to one."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from otagate._clock import SystemClock
from otagate.errors import BuildError
from otagate.flow.publish import run_build_command
from otagate.flow.workspace import Listener, Workspace
from otagate.model import Context
from otagate.policy import load_policy

SECRET = "hunter2-hunter2-hunter2"
WAYS_IN = (
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "OTAGATE_OIDC_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "OTAGATE_SIGNING_KEY",
    "PURGE",
    "CHAT",
    "SIGNS",
)
POLICY = f"""\
version: 1
app: {{id: com.example.app}}
branches: {{main: {{channel: a}}}}
build: {{command: ['{sys.executable}', -c, 'import os; [print(*item) for item in os.environ.items()]'], output: dist, env: [ENV]}}
storage: s3://acme?public=https://updates.example.com
cdn: {{webhook: 'env:PURGE'}}
notify: {{hook: {{webhook: 'env:CHAT', secret: 'env:SIGNS'}}}}
"""


def built(folder: Path, env: str, environ: dict[str, str]) -> list[str]:
    (folder / "otagate.yml").write_text(POLICY.replace("ENV", env))
    lines: list[str] = []
    policy = load_policy(folder / "otagate.yml")
    here = Workspace(policy, Context(provider="none"), {"PATH": os.environ["PATH"], **environ}, SystemClock())
    run_build_command(replace(here, listener=Listener(stream=lines.append)))
    return lines


@pytest.mark.parametrize("env", ["", "'AWS_*', MINE, CHAT, SIGNS", "'AWS_*', 'ACTIONS_*', 'AZURE_*', 'GOOGLE_*'", "MINE"])
def test_a_build_sees_no_key_no_token_and_no_copy_of_them(tmp_path: Path, env: str) -> None:
    given = dict.fromkeys((*WAYS_IN, "MINE"), SECRET) | {"AWS_REGION": "eu-west-1", "LANG": "C.UTF-8"}
    text = "".join(built(tmp_path, env, given))
    assert "LANG C.UTF-8" in text
    assert SECRET not in text
    assert ("AWS_REGION" in text) == ("*" in env)


@pytest.mark.parametrize("name", [name for name in WAYS_IN if name not in {"PURGE", "CHAT", "SIGNS"}])
def test_a_policy_that_asks_for_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError, match="a build command never sees") as caught:
        built(tmp_path, name, {name: SECRET})
    assert SECRET not in str(caught.value)


def test_a_short_value_is_no_secret_that_others_could_copy(tmp_path: Path) -> None:
    assert "MINE true" in "".join(built(tmp_path, "MINE", {"MINE": "true", "OTAGATE_TOKEN_LOG": "true"}))
