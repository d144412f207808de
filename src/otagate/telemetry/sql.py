"""The telemetry port over SQL: SQLite in one file, or PostgreSQL. See the other modules for what is done in a transaction."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from otagate._fs import translate
from otagate._retry import Patience, persist
from otagate._text import harmless
from otagate.errors import NotFoundError, UsageError
from otagate.telemetry import assign, contrast, forget, habits, locks, meta, migrate, read
from otagate.telemetry.batch import gather
from otagate.telemetry.engine import Engines, place_of
from otagate.telemetry.interface import Active, Assignment, CountQuery, DeviceRow, Heard, PluginUse, SideBySide
from otagate.telemetry.model import Counts, Observation
from otagate.telemetry.names import Names
from otagate.telemetry.problems import passing, told, told_at_start
from otagate.telemetry.record import take_in
from otagate.telemetry.secret import kept_secret, read_secret

PATIENCE = Patience(total=8.0, first=0.02, longest=0.5)
"""How long a busy or restarting database is waited for."""
_T = TypeVar("_T")


class SqlTelemetry:
    """See otagate.telemetry.interface.Telemetry. Made by :func:`open_telemetry`."""

    def __init__(self, engines: Engines, patience: Patience = PATIENCE) -> None:
        self._engines, self._patience = engines, patience
        self._names = Names()

    @property
    def shown(self) -> str:
        """Give the database's address for messages: without a password."""
        return self._engines.place.shown

    @property
    def engines(self) -> Engines:
        """Give the connections, for what else stands in the same database: tokens and audit."""
        return self._engines

    def record(self, observations: Sequence[Observation]) -> None:
        """See Telemetry.record.

        Raises:
            RowsRefusedError: One of them holds what the database does not take; none is recorded.
        """
        batch = gather(observations)
        if not batch.states:
            return

        def attempt() -> None:
            with self._engines.write() as connection:
                naming = self._names.during(connection)
                take_in(connection, naming, batch)
            self._names.keep(naming)

        with told("what devices told cannot be recorded", self.shown):
            persist(attempt, passing, self._patience)

    def counts(self, query: CountQuery) -> Counts:
        """See Telemetry.counts."""
        return self._read(lambda connection: read.counts(connection, query))

    def side_by_side(self, query: CountQuery, control: str) -> list[SideBySide]:
        """See Telemetry.side_by_side."""
        return self._read(lambda connection: contrast.side_by_side(connection, query, control))

    def releases(self, app: str, start: datetime, end: datetime) -> list[str]:
        """See Telemetry.releases."""
        return self._read(lambda connection: read.releases(connection, app, start, end))

    def active(self, app: str, since: datetime) -> list[Active]:
        """See Telemetry.active."""
        return self._read(lambda connection: read.active(connection, app, since))

    def heard(self, app: str, since: datetime) -> list[Heard]:
        """See Telemetry.heard."""
        return self._read(lambda connection: habits.heard(connection, app, since))

    def plugins(self, app: str, since: datetime) -> list[PluginUse]:
        """See Telemetry.plugins."""
        return self._read(lambda connection: habits.plugins(connection, app, since))

    def in_use(self, app: str, since: datetime) -> set[str]:
        """See Telemetry.in_use."""
        return self._read(lambda connection: read.in_use(connection, app, since))

    def assign(self, app: str, device: bytes, kind: str, channel: str | None, at: datetime) -> Assignment:
        """See Telemetry.assign."""
        at_s = int(at.timestamp())
        return self._write(lambda connection: assign.assign(connection, app, device, kind, channel, at_s=at_s))

    def assignments(self, after: int, limit: int = 10_000) -> list[Assignment]:
        """See Telemetry.assignments."""
        return self._read(lambda connection: assign.assignments(connection, after, limit))

    def device(self, app: str, key: bytes) -> DeviceRow | None:
        """See Telemetry.device."""
        return self._read(lambda connection: read.device(connection, app, key))

    def devices(self, app: str, after: bytes, limit: int) -> list[DeviceRow]:
        """See Telemetry.devices."""
        return self._read(lambda connection: read.devices(connection, app, after, limit))

    def forget(self, before: datetime) -> int:
        """See Telemetry.forget."""
        before_s = int(before.timestamp())
        return self._write(lambda connection: forget.forget(connection, before_s))

    def close(self) -> None:
        """See Telemetry.close."""
        self._engines.close()

    def _read(self, action: Callable[[Connection], _T]) -> _T:
        def attempt() -> _T:
            with self._engines.read() as connection:
                return action(connection)

        with told("telemetry cannot be read", self.shown):
            return persist(attempt, passing, self._patience)

    def _write(self, action: Callable[[Connection], _T]) -> _T:
        def attempt() -> _T:
            with self._engines.write() as connection:
                return action(connection)

        with told("telemetry cannot be written", self.shown):
            return persist(attempt, passing, self._patience)


def open_telemetry(
    where: str,
    environ: Mapping[str, str],
    *,
    secret: bytes | None = None,
    base: Path | None = None,
    is_made: bool = True,
    patience: Patience = PATIENCE,
) -> SqlTelemetry:
    """Open a database, and bring its schema up to date.

    Args:
        where: URL without a password, or a reference to one; see engine.
        environ: Environment variables.
        secret: What device ids are hashed with, to be compared with the one that the database began with; None: not needed
            by who only reads counts.
        base: Folder that relative paths start from; None: the current one.
        is_made: Make the tables, or move them to this program's schema; False: refuse to when they are not there.
        patience: How long a busy database is waited for.

    Raises:
        UsageError: The address cannot be used, the secret is another one, or the schema is of another program.
        NotFoundError: There is no database, and none is to be made.
        AccessError: It may not be opened.
        UnavailableError: It does not answer.
        VerificationError: It is damaged, or something else.
    """
    place = place_of(where, environ, base or Path())
    _require_file(place.path, is_made)
    engines = Engines(place)
    try:
        with told_at_start("the database of telemetry cannot be opened", place.shown):
            persist(lambda: _prepare(engines, secret, is_made), passing, patience)
    except BaseException:
        engines.close()
        raise
    return SqlTelemetry(engines, patience)


def device_secret(where: str, reference: str | None, environ: Mapping[str, str], base: Path | None = None) -> bytes:
    """Give the secret of a database: what ``reference`` names, or with SQLite a file beside the database, made when missing.

    Raises:
        UsageError: None is given for PostgreSQL, or it is no secret.
        AccessError: A file may not be read or made.
        UnavailableError: The disk is full.
    """
    base = base or Path()
    if reference is not None:
        return read_secret(reference, environ, base)
    path = place_of(where, environ, base).path
    if path is None:
        remedy = "make one with `openssl rand -hex 32`, and name the variable or file that holds it, the same for all servers"
        raise UsageError("PostgreSQL needs a secret for device ids", expected="env:NAME or file:PATH", remedy=remedy)
    return kept_secret(path.with_name(f"{path.name}.secret"))


def _require_file(path: Path | None, is_made: bool) -> None:
    """See that the file or its folder is there; make the file for its owner only: SQLite would let everybody read it."""
    if path is None or path.exists():
        return
    if not is_made:
        remedy = "check the address; `otagate serve` makes the database"
        raise NotFoundError("the database is not there", harmless(str(path), 400), remedy=remedy)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise translate(error, "the database cannot be made", path) from error


def _prepare(engines: Engines, secret: bytes | None, is_made: bool) -> None:
    if is_made:
        migrate.migrate(engines)
    else:
        migrate.require_schema(engines)
    if secret is None:
        return
    with engines.write() as connection:
        locks.hold(connection, [locks.SCHEMA])
        meta.check_secret(connection, secret, engines.place.shown)
