"""Google Cloud Build. It sets no variables of its own: a build must map its substitutions to variables of the same names.

**Source:** docs.cloud.google.com/build/docs/configuring-builds/substitute-variable-values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from otagate.ci import _env
from otagate.model import Context

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def matches(environ: Mapping[str, str]) -> bool:
    """Whether this is a Cloud Build step; ``BUILD_ID`` is a Jenkins name too, but a number there."""
    build = _env.first(environ, "BUILD_ID")
    return bool(build and _UUID.fullmatch(build) and _env.first(environ, "PROJECT_ID") and _env.first(environ, "LOCATION"))


def read(environ: Mapping[str, str]) -> Context:
    """Read the mapped substitutions."""
    pull, base, source = (_env.first(environ, name) for name in ("_PR_NUMBER", "_BASE_BRANCH", "_HEAD_REPO_URL"))
    is_pull = any((pull, base, source))
    tag = _env.first(environ, "TAG_NAME")
    repository = _env.first(environ, "REPO_FULL_NAME")
    home = _env.slug(source)
    return Context(
        provider="cloudbuild",
        commit=_env.commit(_env.first(environ, "COMMIT_SHA")),
        branch=None if is_pull or tag else _env.first(environ, "BRANCH_NAME"),
        tag=None if is_pull else tag,
        pull_request=_env.number(pull),
        source_branch=_env.first(environ, "_HEAD_BRANCH") if is_pull else None,
        target_branch=base,
        is_fork=is_pull and (home is None or home != repository),
        repository=repository,
        run_id=_env.first(environ, "BUILD_ID"),
        run_url=_run_url(environ),
    )


def _run_url(environ: Mapping[str, str]) -> str:
    build, project, location = (quote(environ[name].strip()) for name in ("BUILD_ID", "PROJECT_ID", "LOCATION"))
    return f"https://console.cloud.google.com/cloud-build/builds;region={location}/{build}?project={project}"
