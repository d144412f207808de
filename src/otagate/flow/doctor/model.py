"""What a check-up gives: one entry a check, with the problems it found and what mends them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from otagate.errors import AccessError, ExitCode, NotFoundError, OtagateError, UnavailableError, VerificationError
from otagate.flow.doctor.codes import CODES, Severity


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One problem.

    Attributes:
        code: One of :data:`otagate.flow.doctor.codes.CODES`.
        severity: How bad it is here.
        what: What is wrong, as a sentence without a final stop.
        subject: On what. No secret.
        fix: What mends it, likewise a sentence.
        commands: Command lines that mend it, to be copied; may be empty.
        exit_code: How ``doctor`` ends when this is its gravest problem.
    """

    code: str
    severity: Severity
    what: str
    subject: str
    fix: str
    commands: tuple[str, ...] = ()
    exit_code: ExitCode = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        group: Such as ``keys``.
        name: Such as ``signing key``.
        detail: What was found; or why it was not checked.
        troubles: What is wrong.
        is_made: Whether it could be checked.
        more: Further lines about what was found.
    """

    group: str
    name: str
    detail: str = ""
    troubles: tuple[Trouble, ...] = ()
    is_made: bool = True
    more: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """The worst of its problems, or that it was not made, or that all is well."""
        found = {trouble.severity for trouble in self.troubles}
        worst = next((severity for severity in Severity if severity in found), None)
        if worst is not None:
            return Status(worst.value)
        return Status.OK if self.is_made else Status.NOT_CHECKED


@dataclass(frozen=True, slots=True)
class CheckUp:
    """All checks, in order."""

    checks: tuple[Check, ...]

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """Every problem, in order."""
        return tuple(trouble for check in self.checks for trouble in check.troubles)

    @property
    def exit_code(self) -> ExitCode:
        """0 while nothing is worse than a warning; else the gravest: what does not hold, what is wrong, who does not answer."""
        found = {trouble.exit_code for trouble in self.troubles if trouble.severity is Severity.ERROR}
        return next((code for code in _GRAVEST_FIRST if code in found), ExitCode.DONE)


_GRAVEST_FIRST = (ExitCode.VERIFICATION, ExitCode.USAGE, ExitCode.CONFLICT, ExitCode.UNAVAILABLE)


def trouble(
    code: str, subject: str, what: str = "", *, fix: str = "", commands: Iterable[str] = (), severity: Severity | None = None
) -> Trouble:
    """Make a problem; what is left out comes from the table of codes."""
    known = CODES[code]
    return Trouble(
        code,
        severity or known.severity,
        what or known.meaning,
        subject,
        fix or known.fix,
        tuple(commands),
        known.exit_code,
    )


def from_error(
    code: str, error: OtagateError, subject: str = "", *, commands: Iterable[str] = (), severity: Severity | None = None
) -> Trouble:
    """Make a problem of an error, with all that the error says; its subject is ``subject``, or the error's own."""
    parts = [error.what]
    parts += [f"{label} {value}" for label, value in (("expected", error.expected), ("found", error.found)) if value]
    what = "; ".join([*parts, *error.details])
    return trouble(code, subject or error.subject or "", what, fix=error.remedy or "", commands=commands, severity=severity)


def code_of(error: OtagateError) -> str:
    """Give the code for an error that a store gave where nothing more is known of it."""
    match error:
        case AccessError():
            return "store.permission"
        case UnavailableError():
            return "store.unreachable"
        case VerificationError():
            return "store.damaged"
        case NotFoundError():
            return "store.missing"
        case _:
            return "store.unusable"
