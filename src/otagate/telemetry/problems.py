"""What a database's failures mean: try again, not now, bad rows, or damage; and the error that says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from otagate._retry import Again
from otagate._text import harmless
from otagate.errors import AccessError, OtagateError, UnavailableError, VerificationError
from otagate.telemetry.interface import RowsRefusedError

FAILURES = (SQLAlchemyError, OverflowError, UnicodeError)
"""What leaves SQLAlchemy and its drivers; the last two for values that no database takes."""


class Trouble(Enum):
    """Kinds of failure."""

    PASSING = "it is busy, or the connection was lost"
    FULL = "its disk is full"
    REFUSED = "it may not be opened or written"
    ROWS = "it does not take these values"
    DAMAGED = "what stands in it is damaged, or is no such database"
    AWAY = "it does not answer as it should"


# Source: https://www.sqlite.org/rescode.html; the low byte is the primary code.
_SQLITE = {
    **dict.fromkeys((5, 6), Trouble.PASSING),  # BUSY, LOCKED
    13: Trouble.FULL,
    **dict.fromkeys((3, 8, 14, 23), Trouble.REFUSED),  # PERM, READONLY, CANTOPEN, AUTH
    **dict.fromkeys((18, 19, 20), Trouble.ROWS),  # TOOBIG, CONSTRAINT, MISMATCH
    **dict.fromkeys((1, 11, 26), Trouble.DAMAGED),  # ERROR (no such table), CORRUPT, NOTADB
}
# Source: PostgreSQL 16, appendix A, "PostgreSQL Error Codes": the longest prefix that stands here decides.
_POSTGRES = {
    **dict.fromkeys(("40", "08", "57", "55P03", "25006", "53300", "25P03"), Trouble.PASSING),
    "53100": Trouble.FULL,
    "28": Trouble.REFUSED,
    "42501": Trouble.REFUSED,
    **dict.fromkeys(("22", "23"), Trouble.ROWS),
    **dict.fromkeys(("42", "XX", "3D", "3F"), Trouble.DAMAGED),
}
_CODES = (5, 3, 2)


def trouble_of(error: BaseException) -> Trouble:
    """Tell what kind of failure it is."""
    if isinstance(error, OverflowError | UnicodeError):
        return Trouble.ROWS
    if not isinstance(error, DBAPIError):
        return Trouble.PASSING if isinstance(error, PoolTimeoutError) else Trouble.AWAY
    cause = error.orig
    sqlite_code = getattr(cause, "sqlite_errorcode", None)
    if isinstance(sqlite_code, int):
        return _SQLITE.get(sqlite_code & 0xFF, Trouble.AWAY)
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        return next((_POSTGRES[state[:length]] for length in _CODES if state[:length] in _POSTGRES), Trouble.AWAY)
    is_lost = error.connection_invalidated or isinstance(error, OperationalError)
    # psycopg refuses some values itself, without a state: a text with NUL.
    return Trouble.PASSING if is_lost else Trouble.ROWS


def passing(error: Exception) -> Again | None:
    """Tell whether trying again may help: a verdict for ``_retry.persist``."""
    return Again() if isinstance(error, FAILURES) and trouble_of(error) is Trouble.PASSING else None


@contextmanager
def told(what: str, place: str) -> Iterator[None]:
    """Raise a database's failures in the ``with`` body as errors of ours.

    Raises:
        UnavailableError: It does not answer, is full, or may not be written.
        RowsRefusedError: It does not take the values.
        VerificationError: What stands in it cannot be.
    """
    try:
        yield
    except FAILURES as error:
        raise _error(trouble_of(error), error, what, place) from error


@contextmanager
def told_at_start(what: str, place: str) -> Iterator[None]:
    """Do as :func:`told`; a permission that is missing when a program starts is an AccessError."""
    try:
        yield
    except FAILURES as error:
        trouble = trouble_of(error)
        if trouble is Trouble.REFUSED:
            remedy = "check the user, and the permissions of the database, of its file and of its folder"
            raise AccessError(what, place, found=f"{trouble.value} ({_first_line(error)})", remedy=remedy) from error
        raise _error(trouble, error, what, place) from error


def _error(trouble: Trouble, error: BaseException, what: str, place: str) -> OtagateError:
    found = f"{trouble.value} ({_first_line(error)})"
    match trouble:
        case Trouble.ROWS:
            return RowsRefusedError(what, place, found=found, remedy="report this: such values should not have come so far")
        case Trouble.DAMAGED:
            return VerificationError(what, place, found=found, remedy="check the address, or restore a backup")
        case Trouble.FULL:
            return UnavailableError(what, place, found=found, remedy="make room; nothing that was acknowledged is lost")
        case Trouble.PASSING | Trouble.AWAY | Trouble.REFUSED:
            return UnavailableError(what, place, found=found, remedy="check that the database runs and can be reached")


def _first_line(error: BaseException) -> str:
    """Give the driver's own words without the statement, which holds rows."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    text = str(cause).strip()
    return harmless(text.splitlines()[0] if text else type(cause).__name__)
