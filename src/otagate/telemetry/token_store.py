"""Tokens in the database. Each change, and each use, is one transaction with its entry in the audit.

Errors of every method: ``UnavailableError`` (the database), ``VerificationError`` (what stands in it cannot be).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from otagate import _clock
from otagate._retry import Patience, persist
from otagate.errors import NotFoundError, VerificationError
from otagate.telemetry.audit import AuditLog, write_entry
from otagate.telemetry.problems import passing, told
from otagate.telemetry.token_tables import TOKENS
from otagate.telemetry.tokens import Minted, Scope, Token, Verb, digest_of, expiry, id_in, limit_text, mint, read_limit

if TYPE_CHECKING:
    from otagate.telemetry.engine import Engines

_PATIENCE = Patience(total=4.0, first=0.02, longest=0.5)
"""An operator waits for a busy database, but a thread of the server not for long."""
_HOUR_S = 3600
_NOTHING = bytes(32)
_T = TypeVar("_T")


class TokenStore:
    """See the module. Safe from several threads and processes at once."""

    def __init__(self, engines: Engines) -> None:
        """Use a database whose schema is there."""
        self._engines = engines
        self.audit = AuditLog(engines)

    def create(self, scope: Scope, life: timedelta, *, actor: str, now: datetime) -> tuple[Token, Minted]:
        """Make a token. Its text is in what this gives, and nowhere else.

        Raises:
            UsageError: ``life`` is none or too long.
        """
        made = mint()
        token = Token(made.id, scope, _whole(now), _whole(expiry(now, life)))
        row = {
            "id": made.id,
            "name": scope.name,
            "digest": made.digest,
            "apps": limit_text(scope.apps),
            "channels": limit_text(scope.channels),
            "verbs": " ".join(sorted(scope.verbs)),
            "created_s": int(token.created.timestamp()),
            "expires_s": int(token.expires.timestamp()),
        }
        data = {"token": made.id, **scope.data, "expires": _clock.to_text(token.expires)}
        with told("the token cannot be made", self._engines.place.shown), self._engines.write() as connection:
            connection.execute(sa.insert(TOKENS).values(row))
            write_entry(connection, "token.created", actor, data, now)
        return token, made

    def all(self) -> list[Token]:
        """Give all tokens, oldest first."""
        query = sa.select(TOKENS).order_by(TOKENS.c.created_s, TOKENS.c.id)

        def read(connection: sa.Connection) -> list[Token]:
            return [_token(row) for row in connection.execute(query)]

        return self._run("the tokens cannot be listed", self._engines.read, read)

    def revoke(self, identity: str, *, actor: str, now: datetime) -> bool:
        """Take a token back, at once.

        Returns:
            False: it was taken back before, and stays as it was.

        Raises:
            NotFoundError: There is none of that id.
        """
        its = TOKENS.c.id == identity
        mark = sa.update(TOKENS).where(its, TOKENS.c.revoked_s.is_(None)).values(revoked_s=int(now.timestamp()))

        def write(connection: sa.Connection) -> bool:
            is_new = connection.execute(mark).rowcount == 1
            if not is_new and connection.execute(sa.select(TOKENS.c.id).where(its)).first() is None:
                raise NotFoundError("there is no such token", identity, remedy="see `otagate token list`")
            write_entry(connection, "token.revoked", actor, {"token": identity}, now)
            return is_new

        return self._run("the token cannot be revoked", self._engines.write, write)

    def authenticate(self, text: str, now: datetime) -> Token | None:
        """Give the token of that text, when it is valid now; asks the database each time."""
        identity = id_in(text)
        if identity is None:
            return None
        query = sa.select(TOKENS).where(TOKENS.c.id == identity)
        row = self._run("the token cannot be checked", self._engines.read, lambda it: it.execute(query).one_or_none())
        # Compared also when there is none, so that both take the same time.
        is_right = hmac.compare_digest(_NOTHING if row is None else bytes(row.digest), digest_of(text))
        if row is None or not is_right:
            return None
        token = _token(row)
        return token if token.state(now) == "valid" else None

    def use(self, token: Token, kind: str, data: Mapping[str, Any], now: datetime) -> bool:
        """Note that a token is used for something, just before that is done.

        Returns:
            False: it was revoked, or ended, since it was checked; nothing is noted then.
        """
        second = int(now.timestamp())
        is_valid = (TOKENS.c.id == token.id, TOKENS.c.revoked_s.is_(None), TOKENS.c.expires_s > second)
        touch = sa.update(TOKENS).where(*is_valid).values(last_used_s=second - second % _HOUR_S)

        def write(connection: sa.Connection) -> bool:
            if connection.execute(touch).rowcount != 1:
                return False
            write_entry(connection, kind, f"token:{token.id}", data, now)
            return True

        return self._run("the audit cannot be written", self._engines.write, write)

    def close(self) -> None:
        """Let connections go."""
        self._engines.close()

    def _run(
        self,
        what: str,
        where: Callable[[], AbstractContextManager[sa.Connection]],
        action: Callable[[sa.Connection], _T],
    ) -> _T:
        """Do something that does no harm when it is done twice: the answer to a commit may be lost."""

        def attempt() -> _T:
            with where() as connection:
                return action(connection)

        with told(what, self._engines.place.shown):
            return persist(attempt, passing, _PATIENCE)


def _token(row: sa.Row[Any]) -> Token:
    try:
        verbs = frozenset(Verb(word) for word in row.verbs.split())
    except ValueError:
        raise VerificationError(
            "a token in the database has an unknown verb", row.id, remedy=f"otagate token revoke {row.id}, or update otagate"
        ) from None
    scope = Scope(row.name, read_limit(row.apps, row.id), read_limit(row.channels, row.id), verbs)
    return Token(
        row.id, scope, _instant(row.created_s), _instant(row.expires_s), _or_none(row.last_used_s), _or_none(row.revoked_s)
    )


def _or_none(second: int | None) -> datetime | None:
    return None if second is None else _instant(second)


def _instant(second: int) -> datetime:
    return datetime.fromtimestamp(second, tz=UTC)


def _whole(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(microsecond=0)
