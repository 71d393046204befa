"""SQLAlchemy's statements as prepared text: built once, executed at driver level.

Executing through SQLAlchemy costs 50 to 100 µs a statement, the driver 3 to 10. So the tables and
the statements are SQLAlchemy's, compiled for the engine's dialect, and what runs is their text.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement, Table, bindparam, func, select
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

DIALECT = sqlite.dialect(paramstyle="qmark")

Row = tuple[Any, ...]
"""A row as the driver takes and gives it."""


def one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Return ``column`` is one of a list, given when it runs as JSON text named ``name``."""
    listed = func.json_each(bindparam(name)).table_valued("value")
    return column.in_(select(listed.c.value))


class Query:
    """A statement with named parameters, prepared."""

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=DIALECT)
        assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what a dialect makes of DML
        self._text = str(compiled)
        self._names: Sequence[str] = compiled.positiontup or ()
        self._constants = {
            name: value for name, value in compiled.params.items() if value is not None
        }

    def _parameters(self, values: dict[str, object]) -> list[object]:
        constants = self._constants
        return [values[name] if name in values else constants.get(name) for name in self._names]

    def all(self, connection: sqlite3.Connection, **values: object) -> list[Row]:
        """Return every row."""
        return connection.execute(self._text, self._parameters(values)).fetchall()

    def cursor(self, connection: sqlite3.Connection, **values: object) -> sqlite3.Cursor:
        """Return the rows as they are found."""
        return connection.execute(self._text, self._parameters(values))

    def one(self, connection: sqlite3.Connection, **values: object) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = connection.execute(self._text, self._parameters(values)).fetchone()
        return row

    def run(self, connection: sqlite3.Connection, **values: object) -> None:
        """Execute a statement that returns nothing."""
        connection.execute(self._text, self._parameters(values))


class RowWrite:
    """An insert or upsert of whole rows, prepared. A row is a tuple in ``columns`` order."""

    def __init__(self, text: str, columns: tuple[str, ...]) -> None:
        self._text = text
        self.columns = columns

    def write(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Write the rows in order."""
        if len(rows) == 1:
            connection.execute(self._text, rows[0])
        elif rows:
            connection.executemany(self._text, rows)


def _columns(table: Table, without: Iterable[str]) -> tuple[str, ...]:
    left_out = set(without)
    return tuple(column.name for column in table.columns if column.name not in left_out)


def insert(table: Table, without: Iterable[str] = ()) -> RowWrite:
    """Return the insert of whole rows, the columns ``without`` left to the database."""
    columns = _columns(table, without)
    statement = plain_insert(table).values({name: bindparam(name) for name in columns})
    return RowWrite(str(statement.compile(dialect=DIALECT)), columns)


def upsert(
    table: Table, key: Sequence[str], without: Iterable[str] = (), fixed: Iterable[str] = ()
) -> RowWrite:
    """Return the insert of whole rows which replaces a row with the same ``key``.

    Columns named in ``fixed`` never change after the insert. SQLite rewrites an index when one of
    its columns is assigned, changed or not, so leaving them out saves those writes.
    """
    columns = _columns(table, without)
    kept = {*key, *fixed}
    statement = sqlite.insert(table).values({name: bindparam(name) for name in columns})
    statement = statement.on_conflict_do_update(
        index_elements=list(key),
        set_={name: statement.excluded[name] for name in columns if name not in kept},
    )
    return RowWrite(str(statement.compile(dialect=DIALECT)), columns)
