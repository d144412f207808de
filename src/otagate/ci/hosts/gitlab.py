"""GitLab CI/CD.

**Source:** docs.gitlab.com/ci/variables/predefined_variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from otagate.ci import _env
from otagate.model import Context

_MERGE_REF = re.compile(r"refs/merge-requests/([0-9]+)/")


def matches(environ: Mapping[str, str]) -> bool:
    """Whether this is a GitLab job."""
    return _env.is_true(_env.first(environ, "GITLAB_CI"))


def read(environ: Mapping[str, str]) -> Context:
    """Read the job's variables."""
    merge = _merge_request(environ)
    commit = _env.commit(_env.first(environ, "CI_COMMIT_SHA"))
    facts = merge or Context(
        provider="gitlab", branch=_env.first(environ, "CI_COMMIT_BRANCH"), tag=_env.first(environ, "CI_COMMIT_TAG")
    )
    return Context(
        provider="gitlab",
        commit=facts.commit or commit,
        branch=facts.branch if not facts.tag else None,
        tag=facts.tag,
        pull_request=facts.pull_request,
        source_branch=facts.source_branch,
        target_branch=facts.target_branch,
        is_fork=facts.is_fork,
        repository=_env.first(environ, "CI_PROJECT_PATH"),
        run_id=_env.first(environ, "CI_PIPELINE_ID"),
        run_url=_env.first(environ, "CI_JOB_URL", "CI_PIPELINE_URL"),
        actor=_env.first(environ, "GITLAB_USER_LOGIN"),
    )


def _merge_request(environ: Mapping[str, str]) -> Context | None:
    if _env.first(environ, "CI_EXTERNAL_PULL_REQUEST_IID"):
        return _external(environ)
    ref = _MERGE_REF.match(_env.first(environ, "CI_MERGE_REQUEST_REF_PATH", "CI_COMMIT_REF_NAME") or "")
    iid = _env.number(_env.first(environ, "CI_MERGE_REQUEST_IID")) or (_env.number(ref[1]) if ref else None)
    if iid is None and _env.first(environ, "CI_PIPELINE_SOURCE") != "merge_request_event":
        return None
    source = _env.first(environ, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID")
    # A fork's merge request runs in the fork's project, or by a maintainer's hand in ours: both must be the same project.
    homes = {_env.first(environ, name) for name in ("CI_PROJECT_ID", "CI_MERGE_REQUEST_PROJECT_ID")} - {None}
    return Context(
        provider="gitlab",
        commit=_env.commit(_env.first(environ, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA")),
        pull_request=iid,
        source_branch=_env.first(environ, "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"),
        target_branch=_env.first(environ, "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
        is_fork=source is None or homes != {source},
    )


def _external(environ: Mapping[str, str]) -> Context:
    source = _env.first(environ, "CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY")
    return Context(
        provider="gitlab",
        commit=_env.commit(_env.first(environ, "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA")),
        pull_request=_env.number(_env.first(environ, "CI_EXTERNAL_PULL_REQUEST_IID")),
        source_branch=_env.first(environ, "CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME"),
        target_branch=_env.first(environ, "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME"),
        is_fork=source is None or source != _env.first(environ, "CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY"),
    )
