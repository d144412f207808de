"""Where a telemetry database is, and connections to it: one way to write, several to read.

SQLite: ``sqlite:////absolute/file.db``; WAL with ``synchronous=FULL``: what is committed survives a power cut. PostgreSQL:
``postgresql://user@host/name``. A URL with a password is taken from ``env:NAME`` or ``file:PATH`` only: the command line of a
process can be read by everybody on the machine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otagate._text import harmless
from otagate.errors import UsageError
from otagate.telemetry.secret import read_text

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

BUSY_MS = 5_000
"""How long SQLite waits for another process's transaction."""
CONNECT_S = 5
READERS = 4
_WAIT_FOR_CONNECTION_S = 10
_CACHE_KIB = 32_768
_POSTGRES_NAMES = ("postgresql", "postgres", "postgresql+psycopg")
_HOW = "write sqlite:////path/file.db, postgresql://user@host/name, or env:NAME or file:PATH that holds one"
# Nobody may hold an app's lock for long: a server that froze in a transaction is cut off. 'off' is no durability.
_POSTGRES_SESSION = (
    "SET lock_timeout = '10s'",
    "SET statement_timeout = '30s'",
    "SET idle_in_transaction_session_timeout = '15s'",
    "SET timezone = 'UTC'",
    # A plan is made for the keys at hand: one kept from when the tables were small would read them whole ever after.
    "SET plan_cache_mode = 'force_custom_plan'",
    "SET random_page_cost = 1.1",
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A database's address.

    Attributes:
        url: With the driver, and the password if there is one.
        path: The file, with SQLite.
    """

    url: URL
    path: Path | None

    @property
    def shown(self) -> str:
        """Give it for messages: without the password."""
        return harmless(str(self.path) if self.path else self.url.render_as_string(hide_password=True), 400)


def place_of(text: str, environ: Mapping[str, str], base: Path) -> Place:
    """Read an address, or the reference to one.

    Args:
        text: A URL without a password, ``env:NAME`` or ``file:PATH``.
        environ: Environment variables.
        base: Folder that relative paths start from.

    Raises:
        UsageError: Not such an address; a password in it; the extra is not installed.
        AccessError: The file that is referred to may not be read.
    """
    is_reference = text.startswith(("env:", "file:"))
    url = _parsed(read_text(text, environ, base, "the address of the database") if is_reference else text)
    if not is_reference and _has_password(url):
        remedy = "put the address into a variable or a file, and write env:NAME or file:PATH"
        raise UsageError("the address of the database holds a password", expected="a reference to it", remedy=remedy)
    if url.drivername == "sqlite":
        return _sqlite_place(url, base)
    if url.drivername not in _POSTGRES_NAMES:
        found = harmless(url.drivername)
        raise UsageError("this kind of database is not known", found=found, expected="sqlite or postgresql", remedy=_HOW)
    _require("psycopg", "postgres")
    return Place(url.set(drivername="postgresql+psycopg"), None)


def _parsed(text: str) -> URL:
    _require("sqlalchemy", "server")
    from sqlalchemy import make_url  # noqa: PLC0415 - loaded only by commands that work with telemetry
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        # Neither the text nor the cause is shown: both may hold a password.
        raise UsageError("this is not the address of a database", expected="a URL", remedy=_HOW) from None


def _has_password(url: URL) -> bool:
    return bool(url.password) or any("password" in name.lower() for name in url.query)


def _sqlite_place(url: URL, base: Path) -> Place:
    if url.host or url.query or not url.database or url.database == ":memory:":
        raise UsageError("SQLite needs a file", expected="sqlite:////path/file.db", remedy=_HOW)
    path = base / url.database
    return Place(url.set(database=str(path)), path)


def _require(module: str, extra: str) -> None:
    import importlib.util  # noqa: PLC0415

    if importlib.util.find_spec(module) is None:
        raise UsageError("a part of otagate is not installed", module, remedy=f"pip install 'otagate[{extra}]'")


class Engines:
    """Connections to one place. Safe to use from several threads; not across a fork."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.is_postgres = place.path is None
        if self.is_postgres:
            self._writer = self._reader = _postgres(place.url)
        else:
            self._writer, self._reader = _sqlite(place.url, is_writer=True), _sqlite(place.url, is_writer=False)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Begin a transaction that writes, committed when the ``with`` body ends well; with SQLite, one at a time."""
        with self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self, *, is_snapshot: bool = False) -> Iterator[Connection]:
        """Begin a transaction that only reads; ``is_snapshot``: every statement in it sees the same instant."""
        with self._reader.connect() as connection:
            if is_snapshot and self.is_postgres:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901
            yield connection

    def relax(self) -> None:
        """Wait for no disk from now on: for a rehearsal, whose database nobody misses after a power cut. SQLite only."""
        if self.is_postgres:
            return
        connection = self._writer.raw_connection()  # outside of a transaction, in which it cannot be changed
        try:
            connection.cursor().execute("PRAGMA synchronous=OFF")
        finally:
            connection.close()

    def close(self) -> None:
        """Let all connections go that are not in use."""
        self._writer.dispose()
        self._reader.dispose()


def _sqlite(url: URL, *, is_writer: bool) -> Engine:
    from sqlalchemy import create_engine, event  # noqa: PLC0415

    size = 1 if is_writer else READERS
    engine = create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,  # rows are nobody else's business: not in a traceback either
        pool_timeout=_WAIT_FOR_CONNECTION_S,
        connect_args={"timeout": BUSY_MS / 1000, "cached_statements": 256},
    )
    begin = "BEGIN IMMEDIATE" if is_writer else "BEGIN"

    def connected(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say so: below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"cache_size=-{_CACHE_KIB if is_writer else _CACHE_KIB // 8}"):
            connection.execute(f"PRAGMA {pragma}").close()

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine


def _postgres(url: URL) -> Engine:
    from sqlalchemy import create_engine, event  # noqa: PLC0415

    engine = create_engine(
        url,
        pool_size=1 + READERS,
        max_overflow=0,
        hide_parameters=True,  # rows are nobody else's business: not in a traceback either
        pool_timeout=_WAIT_FOR_CONNECTION_S,
        connect_args={"connect_timeout": CONNECT_S, "application_name": "otagate", "keepalives_idle": 10},
    )

    def connected(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            for statement in _POSTGRES_SESSION:
                cursor.execute(statement)
        connection.commit()

    event.listen(engine, "connect", connected)
    return engine
