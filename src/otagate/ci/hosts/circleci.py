"""CircleCI.

**Source:** circleci.com/docs/reference/variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from otagate.ci import _env
from otagate.model import Context

_PULL_BRANCH = re.compile(r"pull/([0-9]+)")


def matches(environ: Mapping[str, str]) -> bool:
    """Whether this is a CircleCI job."""
    return _env.is_true(_env.first(environ, "CIRCLECI"))


def read(environ: Mapping[str, str]) -> Context:
    """Read the job's variables."""
    branch, tag = _env.first(environ, "CIRCLE_BRANCH"), _env.first(environ, "CIRCLE_TAG")
    url = _env.first(environ, "CIRCLE_PULL_REQUEST")
    pull_branch = _PULL_BRANCH.match(branch or "")  # the branch of a fork's pull request is named so
    is_fork = bool(pull_branch) or any(
        _env.first(environ, name) for name in ("CIRCLE_PR_NUMBER", "CIRCLE_PR_REPONAME", "CIRCLE_PR_USERNAME")
    )
    is_pull = is_fork or url is not None
    return Context(
        provider="circleci",
        commit=_env.commit(_env.first(environ, "CIRCLE_SHA1")),
        branch=None if is_pull or tag else branch,
        tag=None if is_pull else tag,
        pull_request=_number(environ, url, pull_branch),
        source_branch=branch if is_pull else None,
        is_fork=is_fork,
        repository=_repository(environ),
        run_id=_env.first(environ, "CIRCLE_WORKFLOW_ID", "CIRCLE_BUILD_NUM"),
        run_url=_env.first(environ, "CIRCLE_BUILD_URL"),
        actor=_env.first(environ, "CIRCLE_USERNAME"),
    )


def _number(environ: Mapping[str, str], url: str | None, pull_branch: re.Match[str] | None) -> int | None:
    last = url.rstrip("/").rpartition("/")[2] if url else _env.first(environ, "CIRCLE_PR_NUMBER")
    return _env.number(last) or (_env.number(pull_branch[1]) if pull_branch else None)


def _repository(environ: Mapping[str, str]) -> str | None:
    owner, name = (_env.first(environ, key) for key in ("CIRCLE_PROJECT_USERNAME", "CIRCLE_PROJECT_REPONAME"))
    return f"{owner}/{name}" if owner and name else None
