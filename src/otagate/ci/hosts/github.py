"""GitHub Actions, and Gitea and Forgejo, whose runners set the same variables.

What a pull request is stands in the event file only: since December 2025 ``GITHUB_REF`` and ``GITHUB_SHA`` of
``pull_request_target`` name the default branch, and those of ``workflow_run`` always did. A pull request whose event cannot
be read counts as a fork's.

**Source:** docs.github.com/actions/reference/workflows-and-actions (variables; events that trigger workflows).
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from otagate import _canonical
from otagate.ci import _env
from otagate.model import Context

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""The event is read whole; GitHub sends at most 25 MB, and pull requests are a few kB."""

_PULL_REF = re.compile(r"refs/pull/([0-9]+)/")
_QUEUE_REF = re.compile(r"refs/heads/gh-readonly-queue/(?P<base>.+)/pr-[0-9]+-[0-9a-f]+")


def matches(environ: Mapping[str, str]) -> bool:
    """Whether this is a job of GitHub Actions or of a runner that copies it."""
    return _env.is_true(_env.first(environ, "GITHUB_ACTIONS"))


def read(environ: Mapping[str, str]) -> Context:
    """Read the job's variables and, where it matters, its event."""
    return replace(
        _origin(environ),
        repository=_env.first(environ, "GITHUB_REPOSITORY"),
        run_id=_env.first(environ, "GITHUB_RUN_ID"),
        run_url=_run_url(environ),
        actor=_env.first(environ, "GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR"),
    )


def _origin(environ: Mapping[str, str]) -> Context:
    name = _env.first(environ, "GITHUB_EVENT_NAME") or ""
    ref = _env.first(environ, "GITHUB_REF") or ""
    if name == "workflow_run":
        return _workflow_run(environ)
    if name == "merge_group" or _QUEUE_REF.fullmatch(ref):
        return _merge_group(environ)
    if name.startswith("pull_request") or _PULL_REF.match(ref) or _env.first(environ, "GITHUB_HEAD_REF"):
        return _pull_request(environ)
    if name == "issue_comment":
        return _comment(environ)
    return _pushed(environ)


def _pushed(environ: Mapping[str, str]) -> Context:
    ref = _env.first(environ, "GITHUB_REF")
    name, kind = _env.first(environ, "GITHUB_REF_NAME"), _env.first(environ, "GITHUB_REF_TYPE")
    return Context(
        provider="github",
        commit=_env.commit(_env.first(environ, "GITHUB_SHA")),
        branch=_env.below(ref, _env.HEADS) or (name if ref is None and kind == "branch" else None),
        tag=_env.below(ref, _env.TAGS) or (name if ref is None and kind == "tag" else None),
    )


def _pull_request(environ: Mapping[str, str]) -> Context:
    event = _event(environ)
    pull = _table(event, "pull_request")
    head, base = _table(pull, "head"), _table(pull, "base")
    ref = _PULL_REF.match(_env.first(environ, "GITHUB_REF") or "")
    numbers = (_env.number(pull.get("number")), _env.number(event.get("number")), _env.number(ref[1]) if ref else None)
    return Context(
        provider="github",
        commit=_env.commit(head.get("sha")) or _env.commit(_env.first(environ, "GITHUB_SHA")),
        pull_request=next((number for number in numbers if number is not None), None),
        source_branch=_text(head, "ref") or _env.first(environ, "GITHUB_HEAD_REF"),
        target_branch=_text(base, "ref") or _env.first(environ, "GITHUB_BASE_REF"),
        # The repository of a deleted fork is null, and no name equals ours then either.
        is_fork=not _is_ours(environ, _table(head, "repo")),
    )


def _workflow_run(environ: Mapping[str, str]) -> Context:
    run = _table(_event(environ), "workflow_run")
    is_fork = not _is_ours(environ, _table(run, "head_repository"))
    is_pull = not isinstance(run.get("event"), str) or run["event"].startswith("pull_request")
    pulls = run.get("pull_requests")
    pull = pulls[0] if isinstance(pulls, list) and pulls and isinstance(pulls[0], dict) else {}
    branch = _text(run, "head_branch")
    return Context(
        provider="github",
        commit=_env.commit(run.get("head_sha")),
        # A fork may call its branch `main`; only what was pushed to our own repository is a branch of ours.
        branch=None if is_fork or is_pull else branch,
        pull_request=_env.number(pull.get("number")) if is_pull else None,
        source_branch=branch if is_fork or is_pull else None,
        target_branch=_text(_table(pull, "base"), "ref") if is_pull else None,
        is_fork=is_fork,
    )


def _merge_group(environ: Mapping[str, str]) -> Context:
    ref = _env.first(environ, "GITHUB_REF") or ""
    queue = _QUEUE_REF.fullmatch(ref)
    # The queue holds pull requests that are not merged yet, forks' among them: such code may plan only.
    return replace(_pushed(environ), target_branch=queue["base"] if queue else None, is_fork=True)


def _comment(environ: Mapping[str, str]) -> Context:
    issue = _table(_event(environ), "issue")
    if issue and not issue.get("pull_request"):
        return _pushed(environ)
    # Jobs that answer to comments tend to check out the pull request, and the event does not say whose it is.
    return Context(
        provider="github",
        commit=_env.commit(_env.first(environ, "GITHUB_SHA")),
        pull_request=_env.number(issue.get("number")),
        is_fork=True,
    )


def _is_ours(environ: Mapping[str, str], repository: Mapping[str, Any]) -> bool:
    ours, theirs = _env.first(environ, "GITHUB_REPOSITORY"), _text(repository, "full_name")
    return ours is not None and theirs is not None and ours.lower() == theirs.lower()


def _event(environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Read the event, or give an empty one: callers take silence for the worst case."""
    path = _env.first(environ, "GITHUB_EVENT_PATH")
    if path is None:
        return {}
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return {}
        with Path(path).open("rb") as file:
            event = _canonical.loads(file.read(MAX_EVENT_BYTES + 1), max_bytes=MAX_EVENT_BYTES)
    except (OSError, ValueError):
        return {}
    return event if isinstance(event, dict) else {}


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    return value.strip() or None if isinstance(value, str) else None


def _run_url(environ: Mapping[str, str]) -> str | None:
    server, repository = _env.first(environ, "GITHUB_SERVER_URL"), _env.first(environ, "GITHUB_REPOSITORY")
    # Gitea and Forgejo number the runs of a repository and use that number in addresses.
    is_gitea = _env.first(environ, "GITEA_ACTIONS", "FORGEJO_ACTIONS") is not None
    run = _env.first(environ, "GITHUB_RUN_NUMBER" if is_gitea else "GITHUB_RUN_ID")
    return f"{server.rstrip('/')}/{repository}/actions/runs/{run}" if server and repository and run else None
