"""Rows written in bulk, over those that are there: one statement for all of them on PostgreSQL, a prepared one on SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.elements import KeyedColumnElement

Rows = Sequence[tuple[Any, ...]]


def upsert(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert whole rows (values in the order of the columns), or replace what stands under their keys."""
    _run(connection, table, rows, is_sum=False)


def add(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert whole rows, or add their numbers to what stands under their keys."""
    _run(connection, table, rows, is_sum=True)


def _run(connection: Connection, table: Table, rows: Rows, *, is_sum: bool) -> None:
    if not rows:
        return
    names = table.c.keys()
    if connection.dialect.name == "postgresql":
        columns = {f"p_{name}": list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
        connection.execute(_postgres(table, is_sum), columns)
    else:
        connection.exec_driver_sql(_sqlite(table, is_sum), list(rows))


@cache
def _postgres(table: Table, is_sum: bool) -> Executable:
    arrays = [bindparam(f"p_{column.name}", type_=postgresql.ARRAY(column.type)) for column in table.c]
    told = func.unnest(*arrays).table_valued(*table.c.keys()).render_derived()
    insert = postgresql.insert(table).from_select(table.c.keys(), select(*told.c))
    return insert.on_conflict_do_update(index_elements=_keys(table), set_=_changed(table, insert.excluded, is_sum))


@cache
def _sqlite(table: Table, is_sum: bool) -> str:
    """Give the text of the statement: compiled once, values go to the driver as they are."""
    insert = sqlite.insert(table)
    statement = insert.on_conflict_do_update(index_elements=_keys(table), set_=_changed(table, insert.excluded, is_sum))
    return str(statement.compile(dialect=sqlite.dialect()))


def _keys(table: Table) -> list[str]:
    return [column.name for column in table.primary_key]


def _changed(table: Table, told: ReadOnlyColumnCollection[str, KeyedColumnElement[Any]], is_sum: bool) -> dict[str, Any]:
    free = [column.name for column in table.c if not column.primary_key]
    return {name: table.c[name] + told[name] if is_sum else told[name] for name in free}
