"""SQLAlchemy's statements as prepared text: built once, executed at driver level.

Executing through SQLAlchemy costs 50 to 100 µs a statement, the driver 3 to 10. So the tables and
the statements are SQLAlchemy's, compiled for each engine's dialect, and what runs is their text.
Which engine's text runs is the connection's to say; PostgreSQL's is compiled when it is first
wanted, so that a tower over SQLite never loads that dialect.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Literal, Protocol, TypeAlias

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ClauseElement,
    ColumnElement,
    String,
    Table,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.operators import OperatorType

Row = tuple[Any, ...]
"""A row as the driver takes and gives it."""

EngineName: TypeAlias = Literal["sqlite", "postgresql"]

_CHUNK_ROWS = 128
"""Rows that PostgreSQL sends at a time to a reader that stops when its page is full."""


class Cursor(Protocol):
    """The rows that a statement found."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Return the rows as they come."""


class Connection(Protocol):
    """A driver's connection. SQLite's is one as it is; see ``postgres.py`` for the other."""

    def execute(self, text: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run a statement."""

    def executemany(self, text: str, rows: Sequence[Row], /) -> object:
        """Run a statement once for each row."""

    def close(self) -> None:
        """Close it."""


def engine_of(connection: Connection) -> EngineName:
    """Return whose words a connection understands."""
    return "sqlite" if isinstance(connection, sqlite3.Connection) else "postgresql"


@cache
def _dialect(engine: EngineName) -> Dialect:
    if engine == "sqlite":
        return sqlite.dialect(paramstyle="qmark")
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - see the module's docstring

    return postgresql.dialect(paramstyle="format")  # type: ignore[no-untyped-call]


def _compiled(statement: ClauseElement, engine: EngineName) -> SQLCompiler:
    compiled = statement.compile(dialect=_dialect(engine))
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what a dialect makes of DML
    return compiled


class _OneOf(ColumnElement[bool]):
    """Whether a column is one of a list; each engine unpacks the list in its own way."""

    inherit_cache = False
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.name = name

    def self_group(self, against: OperatorType | None = None) -> ColumnElement[bool]:  # noqa: ARG002
        """Return it as it is: the ``= 1`` that SQLite's dialect would add hides the index."""
        return self


@compiles(_OneOf, "sqlite")
def _one_of_sqlite(element: _OneOf, compiler: SQLCompiler, **options: Any) -> str:
    listed = func.json_each(bindparam(element.name)).table_valued("value")
    return compiler.process(element.column.in_(select(listed.c.value)), **options)


@compiles(_OneOf, "postgresql")
def _one_of_postgres(element: _OneOf, compiler: SQLCompiler, **options: Any) -> str:
    from sqlalchemy.dialects.postgresql import JSONB  # noqa: PLC0415 - likewise

    if isinstance(element.column.type, String):
        listed = func.jsonb_array_elements_text(cast(bindparam(element.name), JSONB))
        return compiler.process(element.column.in_(select(listed)), **options)
    # JSON's list of numbers and PostgreSQL's differ in their brackets only.
    text = func.translate(bindparam(element.name), literal_column("'[]'"), literal_column("'{}'"))
    return compiler.process(element.column == func.any(cast(text, ARRAY(BigInteger))), **options)


def one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Return ``column`` is one of a list of numbers or texts, given as JSON text ``name``."""
    return _OneOf(column, name)


class _Prepared:
    """A statement with named parameters in one engine's words."""

    __slots__ = ("_constants", "_names", "text")

    def __init__(self, statement: ClauseElement, engine: EngineName) -> None:
        compiled = _compiled(statement, engine)
        self.text = str(compiled)
        self._names: Sequence[str] = compiled.positiontup or ()
        self._constants = {
            name: value for name, value in compiled.params.items() if value is not None
        }

    def parameters(self, values: dict[str, object]) -> list[object]:
        constants = self._constants
        return [values[name] if name in values else constants.get(name) for name in self._names]


class Query:
    """A statement with named parameters, prepared."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._sqlite = _Prepared(statement, "sqlite")
        self._postgres: _Prepared | None = None

    def _for(self, connection: Connection) -> _Prepared:
        if isinstance(connection, sqlite3.Connection):
            return self._sqlite
        prepared = self._postgres
        if prepared is None:
            prepared = self._postgres = _Prepared(self._statement, "postgresql")
        return prepared

    def _execute(self, connection: Connection, values: dict[str, object]) -> Cursor:
        prepared = self._for(connection)
        return connection.execute(prepared.text, prepared.parameters(values))

    def all(self, connection: Connection, **values: object) -> list[Row]:
        """Return every row."""
        return self._execute(connection, values).fetchall()

    def cursor(self, connection: Connection, **values: object) -> Cursor:
        """Return the rows; SQLite finds them as they are wanted."""
        return self._execute(connection, values)

    def along(self, connection: Connection, after: int, **values: object) -> Iterator[Row]:
        """Return the rows behind ``after`` as they are wanted.

        Each row begins with the number that ``after`` bounds and the statement sorts by. SQLite
        finds rows one by one; PostgreSQL would send all of them, so it is asked for some at a time.
        """
        if isinstance(connection, sqlite3.Connection):
            yield from self._execute(connection, {"after": after, **values})
            return
        prepared = self._for(connection)
        while True:
            rows = connection.execute(
                f"{prepared.text} LIMIT {_CHUNK_ROWS}",
                prepared.parameters({"after": after, **values}),
            ).fetchall()
            yield from rows
            if len(rows) < _CHUNK_ROWS:
                return
            after = rows[-1][0]

    def one(self, connection: Connection, **values: object) -> Row | None:
        """Return the first row, or None."""
        row: Row | None = self._execute(connection, values).fetchone()
        return row

    def run(self, connection: Connection, **values: object) -> None:
        """Execute a statement that returns nothing."""
        self._execute(connection, values)


class RowWrite:
    """An insert or upsert of whole rows, prepared. A row is a tuple in ``columns`` order."""

    def __init__(
        self, statement: Callable[[EngineName], ClauseElement], columns: tuple[str, ...]
    ) -> None:
        self._statement = statement
        self._sqlite = str(_compiled(statement("sqlite"), "sqlite"))
        self._postgres: str | None = None
        self.columns = columns

    def _text(self, connection: Connection) -> str:
        if isinstance(connection, sqlite3.Connection):
            return self._sqlite
        if self._postgres is None:
            self._postgres = str(_compiled(self._statement("postgresql"), "postgresql"))
        return self._postgres

    def write(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Write the rows in order."""
        if len(rows) == 1:
            connection.execute(self._text(connection), rows[0])
        elif rows:
            connection.executemany(self._text(connection), rows)


def _columns(table: Table, without: Iterable[str]) -> tuple[str, ...]:
    left_out = set(without)
    return tuple(column.name for column in table.columns if column.name not in left_out)


def insert(table: Table, without: Iterable[str] = ()) -> RowWrite:
    """Return the insert of whole rows, the columns ``without`` left to the database."""
    columns = _columns(table, without)
    statement = plain_insert(table).values({name: bindparam(name) for name in columns})
    return RowWrite(lambda _: statement, columns)


Change: TypeAlias = Callable[[str, ColumnElement[Any]], ColumnElement[Any]]
"""From a column's name and the value that could not be inserted to the value it gets."""


def conflicting(
    table: Table,
    key: Sequence[str],
    columns: tuple[str, ...],
    changed: Iterable[str],
    change: Change = lambda _, excluded: excluded,
) -> RowWrite:
    """Return the insert of whole rows which changes a row with the same ``key``."""
    names = tuple(changed)

    def statement(engine: EngineName) -> ClauseElement:
        values: dict[str, object] = {name: bindparam(name) for name in columns}
        if engine == "sqlite":
            lite = sqlite.insert(table).values(values)
            return lite.on_conflict_do_update(
                index_elements=list(key),
                set_={name: change(name, lite.excluded[name]) for name in names},
            )
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - see the module's docstring

        large = postgresql.insert(table).values(values)
        return large.on_conflict_do_update(
            index_elements=list(key),
            set_={name: change(name, large.excluded[name]) for name in names},
        )

    return RowWrite(statement, columns)


def upsert(
    table: Table, key: Sequence[str], without: Iterable[str] = (), fixed: Iterable[str] = ()
) -> RowWrite:
    """Return the insert of whole rows which replaces a row with the same ``key``.

    Columns named in ``fixed`` never change after the insert. SQLite rewrites an index when one of
    its columns is assigned, changed or not, so leaving them out saves those writes.
    """
    columns = _columns(table, without)
    kept = {*key, *fixed}
    return conflicting(table, key, columns, [name for name in columns if name not in kept])
