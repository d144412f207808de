"""Which CI this is and what it tells of the run, as one frozen value.

Hosts are asked in a fixed order, special ones first: a Jenkins or a generic ``CI=true`` may stand around any of the others.
Whatever the host leaves open the checkout answers, except where that would turn a stranger's code into a branch of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from otagate.ci import _env
from otagate.ci.git import Checkout, Git, ProcessGit
from otagate.ci.hosts import HOSTS
from otagate.model import Context

# These may start a job without saying what it builds; the others always say.
_QUIET_HOSTS = frozenset({"jenkins", "codebuild", "cloudbuild"})


def read_context(environ: Mapping[str, str], cwd: Path, *, git: Git | None = None) -> Context:
    """Describe where this run comes from.

    Args:
        environ: The environment of the process.
        cwd: A folder inside the checkout.
        git: How to read the checkout; by default the ``git`` program.

    Returns:
        The context; ``provider`` is ``git`` in a checkout without CI, and ``none`` outside of both.

    Raises:
        AccessError: The checkout belongs to another user and no CI host explains that.
        UnavailableError: Git hangs.
    """
    told = next((host.read(environ) for host in HOSTS if host.matches(environ)), None)
    reader = git or ProcessGit(cwd, environ, trust_owner=told is not None)
    checkout = reader.read(told.commit if told else None)
    if told is None:
        return _from_checkout(checkout) if checkout else Context(provider="none")
    return _complete(told, checkout)


def _from_checkout(checkout: Checkout) -> Context:
    return Context(
        provider="git",
        commit=checkout.head,
        branch=checkout.branch,
        tag=checkout.tag,
        committed_at=checkout.committed_at,
        is_dirty=checkout.is_dirty,
        is_shallow=checkout.is_shallow,
    )


def _complete(told: Context, checkout: Checkout | None) -> Context:
    if checkout is None:
        return told if _env.is_full_commit(told.commit) else replace(told, commit=None)
    known = told.commit if _env.is_full_commit(told.commit) else checkout.commit
    commit = known or checkout.head
    is_open = told.ref is None and not told.is_fork and told.provider in _QUIET_HOSTS
    # Of a pull request hosts check out a merge commit; anything else than the named commit means other bytes.
    is_elsewhere = told.pull_request is None and not told.is_fork and checkout.head != commit
    return replace(
        told,
        commit=commit,
        branch=checkout.branch if is_open else told.branch,
        tag=checkout.tag if is_open else told.tag,
        # Of a head that a shallow checkout lacks this is the merge commit's date: what is built, and the same every time.
        committed_at=checkout.committed_at,
        is_dirty=checkout.is_dirty or is_elsewhere,
        is_shallow=checkout.is_shallow,
    )
