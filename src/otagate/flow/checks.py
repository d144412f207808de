"""What verifying reports: one entry for every check, also for those that could not be made."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from otagate.errors import VerificationError
from otagate.model import Release


class CheckResult(StrEnum):
    """How one check ended."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_MADE = "not made"


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: Such as ``signature``.
        result: How it ended.
        detail: What was found, or why it was not made.
    """

    name: str
    result: CheckResult
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one release, in the order they were made; ``release`` is None when its statement is not to be believed."""

    subject: str
    checks: tuple[Check, ...]
    release: Release | None = None

    @property
    def holds(self) -> bool:
        """Whether no check failed. Checks that were not made do not count: read the list."""
        return all(check.result is not CheckResult.FAILS for check in self.checks)


@dataclass(frozen=True, slots=True)
class Opening:
    """Keys that let the sealed zip be opened; without the right one that check is not made.

    Attributes:
        public_pem: Public RSA key of the app, for ``capgo``.
        private_key: Private key of a recipient (PEM or JWK), for ``aes-256-gcm``.
    """

    public_pem: str | None = None
    private_key: str | None = field(default=None, repr=False)


def failed(name: str, error: VerificationError) -> Check:
    """Turn an error into a check that failed."""
    more = [f"{label} {value}" for label, value in (("expected", error.expected), ("found", error.found)) if value]
    return Check(name, CheckResult.FAILS, f"{error.what}: {', '.join(more)}" if more else error.what)
