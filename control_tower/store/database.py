"""The one writing connection, and what its engine makes of transactions and failures.

The core writes the same rows whatever stands behind it. What differs is here: how a transaction
begins so that no other writer is in it, how it is committed, what an error means, and what to do
when the database goes away and comes back.
"""

import sqlite3
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Protocol

import msgspec

from control_tower.store.engine import checkpoint, patient
from control_tower.store.ledger import Elsewhere
from control_tower.store.rows import Unfit
from control_tower.store.statements import Connection

UNFIT: tuple[type[Exception], ...] = (
    Unfit,
    msgspec.MsgspecError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a unit's own rows can raise before the engine sees them: a value that has no place in it."""


_READERS_MS = 50
"""How long a checkpoint waits for readers. A backup of much reads for seconds: commits go on
meanwhile, and the WAL begins again when it is done."""


class DiskFull(Exception):
    """The transaction did not fit on the disk.

    Attributes:
        certain: nothing of it can come back. False when its frames may stand in the WAL: a crash
            before the next commit overwrites them would bring them back.
    """

    def __init__(self, message: str, *, certain: bool = True) -> None:
        super().__init__(message)
        self.certain = certain


class DatabaseBusy(Exception):
    """The engine would not do it now, for a lock or a limit of its own; nothing was committed."""


class DatabaseAway(Exception):
    """The connection is lost: the server restarts, or cannot be reached. It may come back."""


class DatabaseBroken(Exception):
    """What became of the transaction is unknown, or it is not ours to write. Stop writing."""


PASSING = (DatabaseAway, DatabaseBusy, DiskFull)
"""What passes without anybody's doing, or with an operator's: who starts to serve waits for it."""


class Database(Protocol):
    """A writing connection of one thread."""

    errors: tuple[type[Exception], ...]
    """What the driver raises."""

    unfit: tuple[type[Exception], ...]
    """What a unit's own rows can raise: a constraint, or a value that has no place."""

    @property
    def connection(self) -> Connection:
        """What rows are read and written over in the open transaction."""

    def begin(self) -> Elsewhere | None:
        """Open a transaction that no other writer can be in.

        Returns:
            How far others have come; None where there are no others.

        Raises:
            DatabaseBroken: when writing is not ours any more.
        """

    def together(self) -> AbstractContextManager[object]:
        """Return a context in which statements whose results nobody reads may go in one flush."""

    def commit(self) -> None:
        """Commit; certain only when the :meth:`together` around it has been left."""

    def roll_back(self) -> None:
        """Undo the open transaction, if there is one and it can be done."""

    def meaning(self, error: BaseException) -> BaseException:
        """Return what a driver's error means for the writer; any other error is itself."""

    def come_back(self) -> bool:
        """Connect again after :class:`DatabaseAway`.

        Returns:
            Whether the transaction in which the connection was lost had been committed.

        Raises:
            DatabaseAway: not yet.
            DatabaseBroken: when writing is not ours any more.
        """

    def tidy(self, mode: str) -> bool:
        """Do the engine's upkeep between transactions: a checkpoint, where the writer makes it.

        Returns:
            Whether all of it could be done; False while a reader needs an older state.
        """

    def close(self) -> None:
        """Close the connection."""


_NOTHING = nullcontext()


class SqliteDatabase:
    """A connection to an SQLite file that only this process writes."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    unfit: tuple[type[Exception], ...] = (
        *UNFIT,
        sqlite3.IntegrityError,
        sqlite3.DataError,
        sqlite3.InterfaceError,
        sqlite3.ProgrammingError,
    )

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def begin(self) -> None:
        """Open a transaction."""
        self.connection.execute("BEGIN IMMEDIATE")

    def together(self) -> AbstractContextManager[object]:
        """Nothing is gained: a statement is a call."""
        return _NOTHING

    def commit(self) -> None:
        """Commit, synced to the disk."""
        self.connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Undo the open transaction, if there is one."""
        if self.connection.in_transaction:
            # When the disk fails SQLite rolls back by itself, or cannot: either way the error
            # that brought us here is the one to tell.
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")

    def meaning(self, error: BaseException) -> BaseException:
        """Return what an error of SQLite means; a plain error of SQL is itself."""
        if not isinstance(error, sqlite3.Error):
            return error
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        # The WAL's index could not grow: written after the WAL's frames, so those may be whole.
        if code == sqlite3.SQLITE_IOERR_SHMSIZE:
            return DiskFull(str(error), certain=False)
        match code & 0xFF:
            case sqlite3.SQLITE_FULL:
                return DiskFull(str(error))
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return DatabaseBusy(str(error))
            case sqlite3.SQLITE_ERROR:
                return error
            case _:
                return DatabaseBroken(str(error))

    def come_back(self) -> bool:
        """A file is never away: what failed is broken.

        Raises:
            DatabaseBroken: always.
        """
        raise DatabaseBroken("an SQLite file does not come back")

    def tidy(self, mode: str) -> bool:
        """Move the WAL into the database; see ``engine.checkpoint``."""
        with patient(self.connection, _READERS_MS):
            return checkpoint(self.connection, mode)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def savepoint(connection: Connection) -> None:
    """Mark where a unit begins in the open transaction."""
    connection.execute("SAVEPOINT unit")


def release(connection: Connection) -> None:
    """Keep the unit."""
    connection.execute("RELEASE SAVEPOINT unit")


def drop(connection: Connection) -> None:
    """Undo the unit, and only it."""
    connection.execute("ROLLBACK TO SAVEPOINT unit")
    connection.execute("RELEASE SAVEPOINT unit")
