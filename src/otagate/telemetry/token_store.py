"""Tokens in the database. Each change, and each use, is one transaction with its entry in the audit.

Errors of every method: ``UnavailableError`` (the database), ``VerificationError`` (what stands in it cannot be).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from otagate import _clock
from otagate.errors import NotFoundError, VerificationError
from otagate.telemetry.audit import AuditLog, answering, write_entry
from otagate.telemetry.token_tables import TOKENS
from otagate.telemetry.tokens import Minted, Scope, Token, Verb, digest_of, expiry, id_in, limit_text, mint, read_limit

_HOUR_S = 3600
_NOTHING = bytes(32)


class TokenStore:
    """See the module. Safe from several threads and processes at once."""

    def __init__(self, engine: sa.Engine) -> None:
        """Use the tables of :mod:`otagate.telemetry.token_tables` behind ``engine``."""
        self._engine = engine
        self.audit = AuditLog(engine)

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
        with answering("make a token"), self._engine.begin() as connection:
            write_entry(connection, "token.created", actor, data, now)
            connection.execute(sa.insert(TOKENS).values(row))
        return token, made

    def list(self, *, actor: str | None = None, now: datetime | None = None) -> list[Token]:
        """Give all tokens, oldest first; with an ``actor`` that is an entry in the audit."""
        query = sa.select(TOKENS).order_by(TOKENS.c.created_s, TOKENS.c.id)
        with answering("list the tokens"), self._engine.begin() as connection:
            if actor is not None and now is not None:
                write_entry(connection, "token.listed", actor, {}, now)
            return [_token(row) for row in connection.execute(query)]

    def revoke(self, identity: str, *, actor: str, now: datetime) -> bool:
        """Take a token back, at once.

        Returns:
            False: it was taken back before, and stays as it was.

        Raises:
            NotFoundError: There is none of that id.
        """
        mark = sa.update(TOKENS).where(TOKENS.c.id == identity, TOKENS.c.revoked_s.is_(None))
        with answering("revoke a token"), self._engine.begin() as connection:
            write_entry(connection, "token.revoked", actor, {"token": identity}, now)
            if connection.execute(mark.values(revoked_s=int(now.timestamp()))).rowcount == 1:
                return True
            if connection.execute(sa.select(TOKENS.c.id).where(TOKENS.c.id == identity)).first() is None:
                raise NotFoundError("there is no such token", identity, remedy="see `otagate token list`")
            return False

    def authenticate(self, text: str, now: datetime) -> Token | None:
        """Give the token of that text, when it is valid now; asks the database each time."""
        identity = id_in(text)
        if identity is None:
            return None
        with answering("check a token"), self._engine.connect() as connection:
            row = connection.execute(sa.select(TOKENS).where(TOKENS.c.id == identity)).one_or_none()
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
        touch = sa.update(TOKENS).where(TOKENS.c.id == token.id, TOKENS.c.revoked_s.is_(None), TOKENS.c.expires_s > second)
        with answering("write the audit"), self._engine.connect() as connection, connection.begin() as transaction:
            write_entry(connection, kind, f"token:{token.id}", data, now)
            if connection.execute(touch.values(last_used_s=second - second % _HOUR_S)).rowcount == 1:
                return True
            transaction.rollback()
            return False


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
