from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from otagate._retry import Again
from otagate.errors import AccessError, OtagateError, UnavailableError, VerificationError
from otagate.telemetry.interface import RowsRefusedError
from otagate.telemetry.problems import Trouble, passing, told, told_at_start, trouble_of


class PostgresError(Exception):
    def __init__(self, state: str | None) -> None:
        super().__init__(f"state {state}\nDETAIL: a row")
        self.sqlstate = state


def from_sqlite(code: int) -> DBAPIError:
    cause = sqlite3.OperationalError("words of the driver")
    cause.sqlite_errorcode = code
    return OperationalError("INSERT secret rows", {"row": "secret"}, cause)


def from_postgres(state: str | None, kind: type[DBAPIError] = DBAPIError, *, is_lost: bool = False) -> DBAPIError:
    return kind("INSERT secret rows", {"row": "secret"}, PostgresError(state), connection_invalidated=is_lost)


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (from_sqlite(5), Trouble.PASSING),
        (from_sqlite(5 | 2 << 8), Trouble.PASSING),
        (from_sqlite(13), Trouble.FULL),
        (from_sqlite(8), Trouble.REFUSED),
        (from_sqlite(10), Trouble.AWAY),
        (from_sqlite(11), Trouble.DAMAGED),
        (from_sqlite(26), Trouble.DAMAGED),
        (from_sqlite(19), Trouble.ROWS),
        (from_postgres("40001"), Trouble.PASSING),
        (from_postgres("40P01"), Trouble.PASSING),
        (from_postgres("57P01"), Trouble.PASSING),
        (from_postgres("25006"), Trouble.PASSING),
        (from_postgres("53100"), Trouble.FULL),
        (from_postgres("53200"), Trouble.AWAY),
        (from_postgres("42501"), Trouble.REFUSED),
        (from_postgres("28P01"), Trouble.REFUSED),
        (from_postgres("42P01"), Trouble.DAMAGED),
        (from_postgres("22021"), Trouble.ROWS),
        (from_postgres("0A000"), Trouble.AWAY),
        (from_postgres(None, OperationalError), Trouble.PASSING),
        (from_postgres(None, is_lost=True), Trouble.PASSING),
        (from_postgres(None, DataError), Trouble.ROWS),
        (OverflowError("too large"), Trouble.ROWS),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogate"), Trouble.ROWS),
        (PoolTimeoutError("no connection"), Trouble.PASSING),
        (ArgumentError("no"), Trouble.AWAY),
    ],
)
def test_kinds_of_trouble(error: Exception, trouble: Trouble) -> None:
    assert trouble_of(error) is trouble
    assert passing(error) == (Again() if trouble is Trouble.PASSING else None)


def test_what_is_no_database_s_failure_is_not_tried_again() -> None:
    assert passing(ValueError("no")) is None
    assert passing(UnavailableError("no")) is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (from_sqlite(13), UnavailableError),
        (from_sqlite(8), UnavailableError),
        (from_sqlite(5), UnavailableError),
        (from_sqlite(11), VerificationError),
        (from_sqlite(19), RowsRefusedError),
        (from_postgres("0A000"), UnavailableError),
    ],
)
def test_each_is_told_as_an_error_of_ours_without_rows(error: Exception, kind: type[OtagateError]) -> None:
    with pytest.raises(kind) as caught, told("it cannot be recorded", "/data/t.db"):
        raise error
    message = str(caught.value)
    assert message.startswith("it cannot be recorded: /data/t.db\n")
    assert "secret" not in message
    assert "DETAIL" not in message
    assert "try: " in message


def test_a_missing_permission_at_the_start_is_the_caller_s() -> None:
    with pytest.raises(AccessError, match="permissions"), told_at_start("it cannot be opened", "/data/t.db"):
        raise from_sqlite(14)
    with pytest.raises(VerificationError), told_at_start("it cannot be opened", "/data/t.db"):
        raise from_sqlite(26)


def test_an_empty_message_is_told_by_its_kind() -> None:
    with pytest.raises(RowsRefusedError, match="OverflowError"), told("no", "db"):
        raise OverflowError
