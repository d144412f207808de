"""Policies that are right but for one thing, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from otagate.errors import PolicyError
from otagate.policy import load_policy
from otagate.policy.model.policy import Policy

HEAD = """\
version: 1
app: {id: com.example.app}
trust: {keys: ["file:k"]}
branches: {main: {track: t}}
"""
TRACKS = "tracks: {t: [{phase: beta, channel: beta}, {phase: stable, channel: stable, weights: [10%, 100%]}]}\n"
TELEMETRY = "telemetry: {server: 'https://u.example.com'}\n"


def load(folder: Path, text: str, *, tracks: str = TRACKS) -> Policy:
    path = folder / "otagate.yml"
    path.write_text(HEAD + tracks + text, encoding="utf-8")
    return load_policy(path)


def problems(folder: Path, text: str, *, tracks: str = TRACKS) -> list[str]:
    """List the problems; that there is none is a failure of the test."""
    with pytest.raises(PolicyError) as caught:
        load(folder, text, tracks=tracks)
    return list(caught.value.details)


def the_problem(folder: Path, text: str, *, tracks: str = TRACKS) -> str:
    (line,) = problems(folder, text, tracks=tracks)
    return line
