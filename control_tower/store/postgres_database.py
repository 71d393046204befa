"""The writing connection to PostgreSQL: its transactions, and its way back after a loss.

A transaction costs two round trips: one begins it and takes the append lock and a turn (see
``seat.py``), the other carries every row, the head, the events and the COMMIT in one flush.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

import psycopg
from psycopg.errors import ProgramLimitExceeded

from control_tower.store import seat
from control_tower.store.database import UNFIT, DatabaseAway
from control_tower.store.ledger import Elsewhere
from control_tower.store.postgres import PostgresConnection, meaning_of


class PostgresDatabase:
    """``Database`` over PostgreSQL, for as long as the seat is ours."""

    errors: tuple[type[Exception], ...] = (psycopg.Error,)
    unfit: tuple[type[Exception], ...] = (
        *UNFIT,
        psycopg.IntegrityError,
        psycopg.DataError,
        psycopg.ProgrammingError,
        ProgramLimitExceeded,  # a key too long for an index
    )

    def __init__(
        self,
        connection: PostgresConnection,
        connect: Callable[[], PostgresConnection],
        token: int,
        mode: str,
    ) -> None:
        self.connection = connection
        self._connect = connect
        self._token = token
        self._mode = mode
        self._turn = -1

    def begin(self) -> Elsewhere | None:
        """Open a transaction and take the append lock.

        Raises:
            SeatLost: when the seat is not ours any more.
        """
        with self.connection.together():
            self.connection.execute("BEGIN")
            found = seat.turn(self.connection, self._token, self._mode)
        self._turn, elsewhere = found.taken()
        return elsewhere

    def together(self) -> AbstractContextManager[object]:
        """Send what is executed within without waiting for each result."""
        return self.connection.together()

    def commit(self) -> None:
        """Commit; the server answers when it is synced."""
        self.connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Undo the open transaction, if there is one and the server is there."""
        with suppress(psycopg.Error):  # what is lost with its connection is rolled back
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")

    def meaning(self, error: BaseException) -> BaseException:
        """Return what an error of the driver means."""
        return meaning_of(error)

    def come_back(self) -> bool:
        """Connect again; see ``Database``."""
        self.connection.close()
        try:
            self.connection = self._connect()
            return seat.last_turn(self.connection, self._token) == self._turn
        except psycopg.Error as error:
            raise DatabaseAway(str(error)) from error

    def tidy(self, mode: str) -> bool:  # noqa: ARG002 - there is nothing to do
        """Do nothing: the server makes its own checkpoints."""
        return True

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
