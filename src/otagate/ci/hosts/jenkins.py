"""Jenkins: multibranch jobs, plain pipelines, and the two pull-request plugins that predate them.

**Source:** jenkins.io/doc/book/pipeline/jenkinsfile (``env``), plugins.jenkins.io/git (variables), scm-api's ``CHANGE_*``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from otagate.ci import _env
from otagate.model import Context

_CHANGE_NAME = re.compile(r"(?:PR|MR)-([0-9]+)(?:-(?:head|merge))?")
_CHANGE_REF = re.compile(r"(?:pr|pull|pull-requests|merge-requests)/([0-9]+)(?:/|$)")
_REMOTE_PREFIXES = ("refs/remotes/origin/", "remotes/origin/", "origin/", _env.HEADS)


def matches(environ: Mapping[str, str]) -> bool:
    """Whether this is a Jenkins build; without a configured address only its build variables tell."""
    return bool(_env.first(environ, "JENKINS_URL") or (_env.first(environ, "BUILD_TAG") and _env.first(environ, "WORKSPACE")))


def read(environ: Mapping[str, str]) -> Context:
    """Read the build's variables."""
    facts = _change(environ) or _old_plugin_change(environ) or _pushed(environ)
    return Context(
        provider="jenkins",
        commit=facts.commit or _env.commit(_env.first(environ, "GIT_COMMIT")),
        branch=facts.branch,
        tag=facts.tag,
        pull_request=facts.pull_request,
        source_branch=facts.source_branch,
        target_branch=facts.target_branch,
        is_fork=facts.is_fork,
        repository=_env.slug(_env.first(environ, "GIT_URL")),
        run_id=_env.first(environ, "BUILD_TAG", "BUILD_NUMBER"),
        run_url=_env.first(environ, "BUILD_URL", "RUN_DISPLAY_URL"),
        actor=_env.first(environ, "BUILD_USER_ID", "BUILD_USER", "CHANGE_AUTHOR"),
    )


def _change(environ: Mapping[str, str]) -> Context | None:
    change = _env.first(environ, "CHANGE_ID")
    named = _CHANGE_NAME.fullmatch(_env.first(environ, "BRANCH_NAME") or "")
    if change is None and named is None:
        return None
    pull = _env.number(change) or (_env.number(named[1]) if named else None)
    return Context(
        provider="jenkins",
        pull_request=pull,
        source_branch=_env.first(environ, "CHANGE_BRANCH"),
        target_branch=_env.first(environ, "CHANGE_TARGET"),
        # Without the source branch the plugin told nothing, and silence about a fork proves nothing.
        is_fork=_env.first(environ, "CHANGE_FORK") is not None or _env.first(environ, "CHANGE_BRANCH") is None,
    )


def _old_plugin_change(environ: Mapping[str, str]) -> Context | None:
    for number, source, target, head, theirs, ours in (
        ("gitlabMergeRequestIid", "gitlabSourceBranch", "gitlabTargetBranch", "gitlabMergeRequestLastCommit",
         "gitlabSourceRepoHttpUrl", "gitlabTargetRepoHttpUrl"),
        ("ghprbPullId", "ghprbSourceBranch", "ghprbTargetBranch", "ghprbActualCommit", "ghprbAuthorRepoGitUrl", "GIT_URL"),
    ):  # fmt: skip
        pull = _env.first(environ, number)
        if pull is None:
            continue
        home = _env.slug(_env.first(environ, theirs))
        return Context(
            provider="jenkins",
            commit=_env.commit(_env.first(environ, head)),
            pull_request=_env.number(pull),
            source_branch=_env.first(environ, source),
            target_branch=_env.first(environ, target),
            is_fork=home is None or home != _env.slug(_env.first(environ, ours)),
        )
    return None


def _pushed(environ: Mapping[str, str]) -> Context:
    tag = _env.first(environ, "TAG_NAME")
    if tag is not None:
        return Context(provider="jenkins", tag=tag)
    name = next((n for n in _branch_candidates(environ) if n != "detached"), "")
    for prefix in _REMOTE_PREFIXES:
        name = name.removeprefix(prefix)
    change = _CHANGE_REF.match(name.removeprefix("refs/"))
    if change:
        return Context(provider="jenkins", pull_request=_env.number(change[1]), is_fork=True)
    tag = _env.below(name, _env.TAGS) or _env.below(name, "tags/")
    return Context(provider="jenkins", branch=None if tag else name or None, tag=tag)


def _branch_candidates(environ: Mapping[str, str]) -> list[str]:
    return [found for name in ("BRANCH_NAME", "GIT_LOCAL_BRANCH", "GIT_BRANCH") if (found := _env.first(environ, name))]
