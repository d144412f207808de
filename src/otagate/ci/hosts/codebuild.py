"""AWS CodeBuild.

**Source:** docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from otagate.ci import _env
from otagate.model import Context


def matches(environ: Mapping[str, str]) -> bool:
    """Whether this is a CodeBuild build."""
    return _env.first(environ, "CODEBUILD_BUILD_ID") is not None or _env.is_true(_env.first(environ, "CODEBUILD_CI"))


def read(environ: Mapping[str, str]) -> Context:
    """Read the build's variables."""
    trigger = _env.first(environ, "CODEBUILD_WEBHOOK_TRIGGER")
    version = _env.first(environ, "CODEBUILD_SOURCE_VERSION")
    head = _env.first(environ, "CODEBUILD_WEBHOOK_HEAD_REF")
    pull = _env.below(trigger, "pr/") or _env.below(version, "pr/")
    is_pull = pull is not None or (_env.first(environ, "CODEBUILD_WEBHOOK_EVENT") or "").startswith("PULL_REQUEST")
    branch = _env.below(trigger, "branch/") or _env.below(head, _env.HEADS) or _env.below(version, _env.HEADS)
    tag = _env.below(trigger, "tag/") or _env.below(head, _env.TAGS) or _env.below(version, _env.TAGS)
    return Context(
        provider="codebuild",
        commit=_env.commit(_env.first(environ, "CODEBUILD_RESOLVED_SOURCE_VERSION")),
        branch=None if is_pull or tag else branch,
        tag=None if is_pull else tag,
        pull_request=_env.number(pull),
        source_branch=_env.below(head, _env.HEADS) if is_pull else None,
        target_branch=_env.short_ref(_env.first(environ, "CODEBUILD_WEBHOOK_BASE_REF")) if is_pull else None,
        is_fork=is_pull,  # the source repository of a pull request stands nowhere
        repository=_env.slug(_env.first(environ, "CODEBUILD_SOURCE_REPO_URL")),
        run_id=_env.first(environ, "CODEBUILD_BUILD_ID"),
        run_url=_env.first(environ, "CODEBUILD_BUILD_URL") or _console_url(environ),
        actor=_env.first(environ, "CODEBUILD_INITIATOR"),
    )


def _console_url(environ: Mapping[str, str]) -> str | None:
    region = _env.first(environ, "AWS_REGION", "AWS_DEFAULT_REGION")
    build = _env.first(environ, "CODEBUILD_BUILD_ID")
    if not (region and build):
        return None
    console = f"https://{quote(region)}.console.aws.amazon.com/codesuite/codebuild"
    return f"{console}/projects/{quote(build.partition(':')[0])}/build/{quote(build, safe='')}"
