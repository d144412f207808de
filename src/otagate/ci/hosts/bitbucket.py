"""Bitbucket Pipelines.

**Source:** support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets.
"""

from __future__ import annotations

from collections.abc import Mapping

from otagate.ci import _env
from otagate.model import Context


def matches(environ: Mapping[str, str]) -> bool:
    """Whether this is a step of Bitbucket Pipelines."""
    return _env.first(environ, "BITBUCKET_BUILD_NUMBER") is not None


def read(environ: Mapping[str, str]) -> Context:
    """Read the step's variables."""
    is_pull = any(_env.first(environ, name) for name in ("BITBUCKET_PR_ID", "BITBUCKET_PR_DESTINATION_BRANCH"))
    branch, tag = _env.first(environ, "BITBUCKET_BRANCH"), _env.first(environ, "BITBUCKET_TAG")
    repository = _env.first(environ, "BITBUCKET_REPO_FULL_NAME")
    build = _env.first(environ, "BITBUCKET_BUILD_NUMBER")
    return Context(
        provider="bitbucket",
        commit=_env.commit(_env.first(environ, "BITBUCKET_COMMIT")),  # of a pull request only 12 digits
        branch=None if is_pull or tag else branch,
        tag=None if is_pull else tag,
        pull_request=_env.number(_env.first(environ, "BITBUCKET_PR_ID")),
        source_branch=branch if is_pull else None,
        target_branch=_env.first(environ, "BITBUCKET_PR_DESTINATION_BRANCH"),
        is_fork=is_pull,  # no variable names the source repository
        repository=repository,
        run_id=build,
        run_url=f"https://bitbucket.org/{repository}/addon/pipelines/home#!/results/{build}" if repository else None,
        actor=_env.first(environ, "BITBUCKET_STEP_TRIGGERER_UUID"),
    )
