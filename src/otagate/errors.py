"""Every failure that a user can cause, with its exit code.

The tree::

    OtagateError                     1  a bug in otagate, when raised as itself
    ├── UsageError                   2  the command line, or the place it was run in
    ├── PolicyError                  2  otagate.yml
    ├── BuildError                   2  the app's build command, or what it left behind
    ├── BundleError                  2  the files to ship
    ├── KeyMaterialError             2  a key that is missing, unreadable or of the wrong kind
    ├── AccessError                  2  a permission that a folder or service refuses
    ├── NotFoundError                2  a release, channel or rollout that is not there
    ├── VerificationError            3  bytes, signatures or statements that do not hold
    ├── ConflictError                5  somebody else was first, or the name is taken
    └── UnavailableError             7  a backend that did not answer, or is full

Exit codes 4 (gate failed, paused), 6 (inconclusive), 8 (rolled back), 9 (waiting for approval) and 130 are outcomes, not
errors: see :class:`ExitCode`. Source of the numbers: the table in README.md, "Exit codes".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says when it ends; stable across minor versions."""

    DONE = 0
    BUG = 1
    USAGE = 2
    VERIFICATION = 3
    GATE_FAILED = 4
    CONFLICT = 5
    INCONCLUSIVE = 6
    UNAVAILABLE = 7
    ROLLED_BACK = 8
    WAITING_FOR_APPROVAL = 9
    INTERRUPTED = 130


@dataclass
class OtagateError(Exception):
    """A failure with everything that a person needs to mend it.

    Attributes:
        what: What failed, as a sentence without a final stop.
        subject: The object it failed on: a file with line, a key, a URL, a channel. Never a secret.
        expected: What would have been right, or None.
        found: What was there instead, or None.
        remedy: What to do, as a sentence.
        details: Further lines, one problem each (a policy with five faults lists all five).
    """

    what: str
    subject: str | None = None
    expected: str | None = None
    found: str | None = None
    remedy: str | None = None
    details: tuple[str, ...] = ()

    exit_code = ExitCode.BUG

    def __str__(self) -> str:
        """Give the whole message in one string of one or more lines."""
        lines = [f"{self.what}: {self.subject}" if self.subject else self.what]
        lines += [f"  {line}" for line in self.details]
        lines += [
            f"  {label}: {value}"
            for label, value in (("expected", self.expected), ("found", self.found), ("try", self.remedy))
            if value
        ]
        return "\n".join(lines)

    # A dataclass with eq=True loses its hash, and exceptions must have one.
    __hash__ = Exception.__hash__


class UsageError(OtagateError):
    """The command line is wrong, or it was run in the wrong place."""

    exit_code = ExitCode.USAGE


class PolicyError(OtagateError):
    """The policy file is missing, unreadable or says something invalid."""

    exit_code = ExitCode.USAGE


class BuildError(OtagateError):
    """The app's build command failed, or gave no usable output."""

    exit_code = ExitCode.USAGE


class BundleError(OtagateError):
    """The built files cannot be shipped as they are."""

    exit_code = ExitCode.USAGE


class KeyMaterialError(OtagateError):
    """A key is missing, unreadable, or not of the kind that is needed."""

    exit_code = ExitCode.USAGE


class AccessError(OtagateError):
    """A folder or a service refuses: the caller lacks a permission. Retrying does not help."""

    exit_code = ExitCode.USAGE


class NotFoundError(OtagateError):
    """A release, channel, rollout or blob that was named is not there."""

    exit_code = ExitCode.USAGE


class VerificationError(OtagateError):
    """Bytes, a signature or a statement did not hold. Nothing was changed."""

    exit_code = ExitCode.VERIFICATION


class ConflictError(OtagateError):
    """Somebody else changed it first, or the name is taken by other bytes."""

    exit_code = ExitCode.CONFLICT


class UnavailableError(OtagateError):
    """A backend did not answer after retries, or has no room left."""

    exit_code = ExitCode.UNAVAILABLE
