"""One adapter per CI host that can be told something, and the choice between them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from otagate._clock import Clock, SystemClock
from otagate.ci.interface import Reporter
from otagate.model import Context


def open_reporter(
    context: Context, environ: Mapping[str, str], *, stream: IO[str] | None = None, clock: Clock | None = None
) -> Reporter:
    """Give the reporter of the host that ``context.provider`` names; elsewhere one that does nothing.

    Args:
        context: Only the provider is looked at.
        environ: The environment of the process; names the host's files.
        stream: Where commands to the host go. Standard error by default: standard output carries the result only.
        clock: For GitLab's folds.
    """
    stream = stream or sys.stderr
    if context.provider == "github":
        from otagate.ci.reporters.github import GithubReporter  # noqa: PLC0415 - only its own host pays for it

        return GithubReporter(_path(environ, "GITHUB_OUTPUT"), _path(environ, "GITHUB_STEP_SUMMARY"), stream)
    if context.provider in {"gitlab", "jenkins"}:
        from otagate.ci.reporters.file import GitlabReporter, JenkinsReporter  # noqa: PLC0415 - likewise

        chosen = _path(environ, "OTAGATE_OUTPUTS")
        if context.provider == "gitlab":
            return GitlabReporter(chosen or _below(environ, "CI_PROJECT_DIR", "otagate.env"), stream, clock or SystemClock())
        return JenkinsReporter(chosen or _below(environ, "WORKSPACE", "otagate.properties"), stream)
    from otagate.ci.reporters.plain import PlainReporter  # noqa: PLC0415 - likewise

    return PlainReporter()


def _path(environ: Mapping[str, str], name: str) -> Path | None:
    return Path(environ[name]) if environ.get(name) else None


def _below(environ: Mapping[str, str], folder: str, name: str) -> Path | None:
    path = _path(environ, folder)
    return path / name if path else None
