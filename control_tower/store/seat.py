"""The seat: which tower writes a PostgreSQL database, and until when.

One row. It is the append lock (each transaction of the writer updates it first, so transactions
are one after the other and offsets come in the order of commits), the fence (the update finds the
row only under the token of who holds the seat) and the evidence (its ``turn`` says, after a lost
connection, whether the transaction was committed).

A tower holds the seat on a lease that it renews. When the lease has run out, another may take the
seat; that gives it the next token, and nothing under the old one is written ever after. Time is
the database's, so clocks of machines do not matter.
"""

from dataclasses import dataclass

from control_tower.store.database import DatabaseBroken
from control_tower.store.statements import Connection, Cursor

LEASE_S = 10.0
"""How long a seat is kept after its last renewal. A dead tower's missions go on within 15 s: this,
and the next try of who waits."""

_TAKE = """
    UPDATE seat SET token = token + 1, node = %s, url = %s,
        lease_until = extract(epoch FROM clock_timestamp())::float8 + %s
    WHERE id = 1 AND (lease_until <= extract(epoch FROM clock_timestamp()) OR node = %s)
    RETURNING token, turn
"""
_RENEW = """
    UPDATE seat SET lease_until = extract(epoch FROM clock_timestamp())::float8 + %s
    WHERE id = 1 AND token = %s RETURNING turn
"""
_LEAVE = "UPDATE seat SET lease_until = 0 WHERE id = 1 AND token = %s"
_WHO = """
    SELECT node, url, token, turn, lease_until - extract(epoch FROM clock_timestamp())::float8
    FROM seat WHERE id = 1
"""
# Whoever has changed the seat in an open transaction holds this lock on the table.
_FREE = """
    SELECT pg_terminate_backend(held.pid) FROM pg_locks AS held, seat
    WHERE held.relation = 'seat'::regclass AND held.mode = 'RowExclusiveLock' AND held.granted
        AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND held.pid <> pg_backend_pid()
        AND (seat.lease_until <= extract(epoch FROM clock_timestamp())
            OR seat.node = %s OR seat.token = %s)
"""
_TURN = "UPDATE seat SET turn = turn + 1 WHERE id = 1 AND token = %s RETURNING turn"
# Locks, and so waits for a transaction that a lost connection may have left behind.
_LAST_TURN = "SELECT turn FROM seat WHERE id = 1 AND token = %s FOR UPDATE"


class SeatLost(DatabaseBroken):
    """Another tower has taken the seat: nothing may be written here any more."""

    def __init__(self) -> None:
        super().__init__("another tower has taken over this database")


class DatabaseUnusable(Exception):
    """The database server can't be used: not reached, no rights, a schema to be upgraded."""


@dataclass(slots=True, frozen=True)
class Occupant:
    """Who holds the seat, as the database says it.

    Attributes:
        node: its name, empty if nobody ever did.
        url: where it can be reached.
        left_s: how long its lease lasts yet; not positive: the seat is free.
    """

    node: str
    url: str
    token: int
    turn: int
    left_s: float


class SeatTaken(Exception):
    """Another tower serves this database.

    Attributes:
        occupant: who it is.
    """

    def __init__(self, occupant: Occupant) -> None:
        super().__init__(f"the database is served by {occupant.node} at {occupant.url}")
        self.occupant = occupant


@dataclass(slots=True, frozen=True)
class Seat:
    """A seat that was taken: the fencing token, and the last turn of who had it before."""

    token: int
    turn: int


def occupant(connection: Connection) -> Occupant:
    """Return who holds the seat."""
    return Occupant(*connection.execute(_WHO).fetchone())


def free(connection: Connection, node: str = "", token: int = -1) -> None:
    """End transactions that hold the append lock though nobody is there to end them.

    A process that was suspended between two messages of a transaction holds it for as long as it
    sleeps: the server waits for the next message, which no time-out of its own covers. Allowed
    when the lease has run out, or is that of ``node`` or ``token``, who is us.
    """
    connection.execute(_FREE, (node, token)).fetchall()


def take(connection: Connection, node: str, url: str, lease_s: float = LEASE_S) -> Seat | None:
    """Take the seat if it is free or was our own; None if it is not.

    ``node`` must be the name of nobody else who lives.
    """
    if (found := occupant(connection)).left_s > 0 and found.node != node:
        return None
    free(connection, node=node)
    row = connection.execute(_TAKE, (node, url, lease_s, node)).fetchone()
    return None if row is None else Seat(*row)


def renew(connection: Connection, token: int, lease_s: float = LEASE_S) -> None:
    """Keep the seat for another ``lease_s``.

    Raises:
        SeatLost: when it is another's now.
    """
    if connection.execute(_RENEW, (lease_s, token)).fetchone() is None:
        raise SeatLost


def leave(connection: Connection, token: int) -> None:
    """Let go of the seat at once."""
    connection.execute(_LEAVE, (token,))


def turn(connection: Connection, token: int) -> Cursor:
    """Take the append lock in the open transaction; the row says which turn it is.

    No row: the seat is lost. Its result is read later, so that this may go in one flush with the
    beginning of the transaction.
    """
    return connection.execute(_TURN, (token,))


def last_turn(connection: Connection, token: int) -> int:
    """Return the last turn that was committed, once no transaction of ours is open any more.

    Raises:
        SeatLost: when the seat is another's now.
    """
    free(connection, token=token)
    row = connection.execute(_LAST_TURN, (token,)).fetchone()
    if row is None:
        raise SeatLost
    return int(row[0])
