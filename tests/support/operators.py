"""A database with tokens in it, for tests of the operators' side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from otagate.telemetry.token_store import TokenStore
from otagate.telemetry.token_tables import AUDIT, AUDIT_HEAD, TOKENS
from otagate.telemetry.tokens import Limit, Scope, Token, Verb

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
APP = "com.example.app"
ACTOR = "command:ana"
EVERYTHING = Scope("everything", Limit.all(), Limit.all(), frozenset(Verb))


def new_engine(path: Path) -> sa.Engine:
    """Make a SQLite database with the tables of tokens and audit."""
    engine = sa.create_engine(f"sqlite:///{path}")
    for table in (TOKENS, AUDIT, AUDIT_HEAD):
        table.create(engine)
    return engine


def scope(*verbs: Verb, apps: Limit | None = None, channels: Limit | None = None) -> Scope:
    """Give a scope: by default the app of these tests with all its channels."""
    return Scope("test", apps or Limit.only(APP), channels or Limit.all(), frozenset(verbs or Verb))


def issue(store: TokenStore, wanted: Scope = EVERYTHING, life: timedelta = timedelta(days=90)) -> tuple[Token, str]:
    """Make a token; give it and its text."""
    token, made = store.create(wanted, life, actor=ACTOR, now=NOW)
    return token, made.text
