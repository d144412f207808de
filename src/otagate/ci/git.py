"""What the checkout itself tells: commit, branch, tag, date, dirt. Read through at most three ``git`` processes.

Git is optional: without the program, or outside a checkout, there is simply nothing to tell.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from otagate._text import harmless
from otagate.errors import AccessError, UnavailableError

TIMEOUT_SECONDS = 30.0
"""A status of a large tree on a cold disk takes seconds; beyond this, git hangs."""

# GIT_DIR and its like, set by hooks and some hosts, would make git describe another repository than the one we stand in.
_KEPT_VARIABLES = ("PATH", "HOME", "XDG_CONFIG_HOME", "SYSTEMROOT", "TMPDIR")
_FIXED_VARIABLES = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",  # reading must not take the index lock from under a person's own git
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",  # a missing commit is an answer, not a reason to go to the network
}
# otagate's own state and outputs, kept inside an app, say nothing about what was built.
_OWN_FILES = ("**/.otagate/**", "**/otagate.env", "**/otagate.properties")
_STATUS_PATHS = ("--", ":/", *(f":(exclude,top,glob){pattern}" for pattern in _OWN_FILES))
_ORIGIN = "refs/remotes/origin/"
_UNIT = "\x1f"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A git work tree as read.

    Attributes:
        head: The commit that is checked out, 40 hex digits, or None before the first commit.
        branch: The branch that is checked out; of a detached head the only branch that points at it; otherwise None.
        tag: Of a detached head without such a branch the only tag that points at it; otherwise None.
        commit: The commit that was asked for in full, or None when none was asked for or it is not in this checkout.
        committed_at: Committer date, of ``commit`` when it was found and of ``head`` otherwise; in UTC.
        is_dirty: Tracked files differ from ``head``, or untracked ones that are not ignored lie about.
        is_shallow: The history is cut off.
    """

    head: str | None
    branch: str | None = None
    tag: str | None = None
    commit: str | None = None
    committed_at: datetime | None = None
    is_dirty: bool = False
    is_shallow: bool = False


class Git(Protocol):
    """Reads the checkout that the work happens in."""

    def read(self, commit: str | None = None) -> Checkout | None:
        """Describe the checkout, or give None when there is no git or no checkout.

        Args:
            commit: Also look for this commit, given by 7 to 40 lower-case hex digits.

        Raises:
            AccessError: The checkout belongs to somebody else and git refuses it.
            UnavailableError: Git did not answer in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class ProcessGit:
    """Git through its command line.

    Attributes:
        folder: Any folder inside the work tree.
        environ: Variables of this process; only those that git needs are handed on.
        trust_owner: Read the checkout even if another user owns it, as containers of CI hosts arrange it.
    """

    folder: Path
    environ: Mapping[str, str]
    trust_owner: bool = False

    def read(self, commit: str | None = None) -> Checkout | None:
        """See Git.read."""
        status = self._run("status", "--porcelain=v2", "--branch", "--untracked-files=normal", *_STATUS_PATHS)
        if status is None:
            return None
        headers, is_dirty = _read_status(status)
        wanted = [commit] if commit else []
        # Unlike `log -1`, this answers with what is there even if the wanted commit is missing from a shallow checkout.
        log = self._run(
            "log", "--no-walk=unsorted", "--ignore-missing", "--no-show-signature", "--no-color", "--decorate=full",
            "--decorate-refs=refs/*", f"--format=%H{_UNIT}%ct{_UNIT}%D", "HEAD", *wanted, "--",
        )  # fmt: skip
        commits = [_Commit.parse(line) for line in (log or "").splitlines()]
        shallow = self._run("rev-parse", "--is-shallow-repository")
        return _assemble(headers, commits, commit, is_dirty=is_dirty, is_shallow=(shallow or "").strip() == "true")

    def _run(self, *arguments: str) -> str | None:
        # core.fsmonitor names a program that `status` would run: a checkout's own settings must not start programs.
        command = ["git", "-C", str(self.folder), "-c", "core.fsmonitor=false", "-c", "core.quotePath=true"]
        command += ["-c", "safe.directory=*"] if self.trust_owner else []
        try:
            # Arguments are a list of our own words and hex digits; no shell sees them.
            result = subprocess.run(  # noqa: S603
                [*command, *arguments],
                env={name: self.environ[name] for name in _KEPT_VARIABLES if name in self.environ} | _FIXED_VARIABLES,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except (FileNotFoundError, PermissionError):  # no git on this machine, or none for us: it is optional
            return None
        except subprocess.TimeoutExpired as error:
            raise self._too_slow(arguments[0]) from error
        if result.returncode == 0:
            return result.stdout.decode("utf-8", "replace")
        if b"dubious ownership" in result.stderr:
            raise self._not_ours()
        return None

    def _too_slow(self, verb: str) -> UnavailableError:
        return UnavailableError(
            "git did not answer",
            subject=harmless(str(self.folder)),
            expected=f"`git {verb}` ends within {TIMEOUT_SECONDS:g} seconds",
            remedy="run `git status` there and see what it waits for",
        )

    def _not_ours(self) -> AccessError:
        return AccessError(
            "git refuses the checkout because another user owns it",
            subject=harmless(str(self.folder)),
            remedy="check who owns the folder; if that is right, run: git config --global --add safe.directory <folder>",
        )


@dataclass(frozen=True, slots=True)
class _Commit:
    id: str
    committed_at: datetime
    refs: tuple[str, ...]

    @classmethod
    def parse(cls, line: str) -> _Commit:
        commit, seconds, refs = line.split(_UNIT)
        # A ref has no spaces in its name, so ", " only ever separates.
        names = tuple(name.removeprefix("HEAD -> ").removeprefix("tag: ") for name in refs.split(", "))
        return cls(commit, datetime.fromtimestamp(int(seconds), tz=UTC), names)


def _read_status(text: str) -> tuple[dict[str, str], bool]:
    lines = text.splitlines()
    headers = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    return headers, any(not line.startswith("# ") for line in lines)


def _assemble(
    headers: Mapping[str, str], commits: Sequence[_Commit], wanted: str | None, *, is_dirty: bool, is_shallow: bool
) -> Checkout:
    branch: str | None = headers.get("branch.head", "(detached)")
    if not commits:
        # Before the first commit there is a branch by name, and nothing on it.
        return Checkout(None, None if branch == "(detached)" else branch, is_dirty=is_dirty, is_shallow=is_shallow)
    head = next((commit for commit in commits if commit.id == headers.get("branch.oid")), commits[0])
    found = next((commit for commit in commits if wanted and commit.id.startswith(wanted)), None)
    tag = None
    if branch == "(detached)":
        branch = _only({name.removeprefix("refs/heads/").removeprefix(_ORIGIN) for name in head.refs if _is_branch(name)})
        tags = {name.removeprefix("refs/tags/") for name in head.refs if name.startswith("refs/tags/")}
        tag = _only(tags) if branch is None and not any(map(_is_branch, head.refs)) else None
    return Checkout(
        head=head.id,
        branch=branch,
        tag=tag,
        commit=found.id if found else None,
        committed_at=(found or head).committed_at,
        is_dirty=is_dirty,
        is_shallow=is_shallow,
    )


def _is_branch(ref: str) -> bool:
    return ref.startswith("refs/heads/") or (ref.startswith(_ORIGIN) and ref != _ORIGIN + "HEAD")


def _only(names: set[str]) -> str | None:
    # Two candidates are no answer: a guess could ship one branch's code through the other's track.
    return next(iter(names)) if len(names) == 1 else None
