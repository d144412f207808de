"""Azure Pipelines.

**Source:** learn.microsoft.com/azure/devops/pipelines/build/variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from otagate.ci import _env
from otagate.model import Context

_PULL_REF = re.compile(r"refs/pull/([0-9]+)/")
_MACRO = re.compile(r"\$\([A-Za-z0-9_.]+\)")


def matches(environ: Mapping[str, str]) -> bool:
    """Whether this is a job of Azure Pipelines."""
    return _env.is_true(_env.first(environ, "TF_BUILD")) or _env.first(environ, "BUILD_BUILDURI") is not None


def read(environ: Mapping[str, str]) -> Context:
    """Read the job's variables."""
    # BUILD_SOURCEBRANCHNAME is of no use: of `feature/login` it keeps `login`.
    ref = _env.first(environ, "BUILD_SOURCEBRANCH")
    pull_ref = _PULL_REF.match(ref or "")
    pull_id = _env.first(environ, "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID")
    if pull_id and _MACRO.fullmatch(pull_id):  # handed on by a job's own `env:` where the host had nothing to put in
        pull_id = None
    is_pull = bool(pull_ref or pull_id) or _env.first(environ, "BUILD_REASON") == "PullRequest"
    is_home = (_env.first(environ, "SYSTEM_PULLREQUEST_ISFORK") or "").lower() == "false"
    head = _env.first(environ, "SYSTEM_PULLREQUEST_SOURCECOMMITID") if is_pull else None
    return Context(
        provider="azure",
        commit=_env.commit(head) or _env.commit(_env.first(environ, "BUILD_SOURCEVERSION")),
        branch=None if is_pull else _env.below(ref, _env.HEADS),
        tag=None if is_pull else _env.below(ref, _env.TAGS),
        pull_request=(_env.number(pull_id) or (_env.number(pull_ref[1]) if pull_ref else None)) if is_pull else None,
        source_branch=_env.short_ref(_env.first(environ, "SYSTEM_PULLREQUEST_SOURCEBRANCH")),
        target_branch=_env.short_ref(_env.first(environ, "SYSTEM_PULLREQUEST_TARGETBRANCH")),
        is_fork=is_pull and not is_home,
        repository=_env.first(environ, "BUILD_REPOSITORY_NAME"),
        run_id=_env.first(environ, "BUILD_BUILDID"),
        run_url=_run_url(environ),
        actor=_env.first(environ, "BUILD_REQUESTEDFOR"),
    )


def _run_url(environ: Mapping[str, str]) -> str | None:
    collection, project, build = (
        _env.first(environ, name) for name in ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECT", "BUILD_BUILDID")
    )
    if not (collection and project and build):
        return None
    return f"{collection.rstrip('/')}/{quote(project)}/_build/results?buildId={quote(build)}"
