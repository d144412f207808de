"""A database with tokens in it, for tests of the operators' side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from otagate.telemetry.engine import Engines, place_of
from otagate.telemetry.migrate import migrate
from otagate.telemetry.token_store import TokenStore
from otagate.telemetry.tokens import Limit, Scope, Token, Verb

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
APP = "com.example.app"
ACTOR = "command:ana"
EVERYTHING = Scope("everything", Limit.all(), Limit.all(), frozenset(Verb))


def new_database(path: Path) -> Engines:
    """Make a SQLite database with its schema."""
    path.write_bytes(_empty_database())
    return Engines(place_of(f"sqlite:///{path}", {}, path.parent))


@cache
def _empty_database() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.db"
        engines = Engines(place_of(f"sqlite:///{path}", {}, path.parent))
        migrate(engines)
        engines.close()
        return path.read_bytes()


def scope(*verbs: Verb, apps: Limit | None = None, channels: Limit | None = None) -> Scope:
    """Give a scope: by default the app of these tests with all its channels."""
    return Scope("test", apps or Limit.only(APP), channels or Limit.all(), frozenset(verbs or Verb))


def issue(store: TokenStore, wanted: Scope = EVERYTHING, life: timedelta = timedelta(days=90)) -> tuple[Token, str]:
    """Make a token; give it and its text."""
    token, made = store.create(wanted, life, actor=ACTOR, now=NOW)
    return token, made.text
