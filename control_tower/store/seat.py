"""Seats: which towers write a PostgreSQL database, and until when.

A tower that writes is a row of ``nodes`` under a token that was never used before, on a lease that
it renews. One that serves *alone* lets nobody else in; the others share the database. Each
transaction of every writer begins with the *append lock*, the row of ``meta``: so transactions are
one after the other, and offsets come in the order of commits, whoever makes them.

A tower's own row is its fence and its evidence. Each transaction changes it (finding no row: the
seat is lost, nothing is written), and its ``turn`` says, after a lost connection, whether the
transaction was committed. Who buries a tower, or takes its place, deletes the row under the append
lock; so all that the tower ever wrote is visible by then, and nothing comes after.

Time is the database's, so clocks of machines do not matter.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from control_tower.store.database import DatabaseBroken
from control_tower.store.ledger import Elsewhere
from control_tower.store.statements import Connection, Cursor

LEASE_S = 6.0
"""How long a seat is kept after its last renewal. A dead tower's missions go on within 15 s: this,
a second look at whether it is dead (``lease.py``), and their being read."""

ALONE = "alone"
SHARED = "shared"

_APPEND_LOCK = "SELECT head, removals FROM meta WHERE id = 1 FOR UPDATE"
# A statement of its own: it sees what was committed while the one before it waited.
_HIGHEST = """
    SELECT (SELECT max(no) FROM users), (SELECT max(no) FROM sessions),
        (SELECT max(no) FROM missions), (SELECT max(no) FROM messages)
"""
_TURN = "UPDATE nodes SET turn = turn + 1 WHERE token = %s RETURNING turn"
# Locks, and so waits for a transaction that a lost connection may have left behind.
_LAST_TURN = "SELECT turn FROM nodes WHERE token = %s FOR UPDATE"
_RENEW = """
    UPDATE nodes SET lease_until = extract(epoch FROM clock_timestamp())::float8 + %s, load = %s
    WHERE token = %s RETURNING turn
"""
_NODES = """
    SELECT token, node, url, mode, runs_missions, load,
        lease_until - extract(epoch FROM clock_timestamp())::float8
    FROM nodes ORDER BY token
"""
_HEAD = "SELECT head FROM meta WHERE id = 1"
_LEAVE = "DELETE FROM nodes WHERE token = %s"
_BURY = """
    DELETE FROM nodes
    WHERE token = %s AND lease_until <= extract(epoch FROM clock_timestamp())::float8
    RETURNING token
"""
_CLEAR = """
    DELETE FROM nodes WHERE node = %s OR (
        lease_until <= extract(epoch FROM clock_timestamp())::float8 AND (mode = %s OR %s)
    )
"""
_NEXT_SEAT = "UPDATE meta SET last_token = last_token + 1 WHERE id = 1 RETURNING last_token"
_JOIN = """
    INSERT INTO nodes (token, node, url, mode, runs_missions, load, turn, joined_at, lease_until)
    VALUES (%s, %s, %s, %s, %s, 0, 0, extract(epoch FROM clock_timestamp())::float8,
        extract(epoch FROM clock_timestamp())::float8 + %s)
"""
# What ran under a tower that served alone has no home yet: 0 is the token of nobody.
_HOMELESS = """
    INSERT INTO homes (user_id, token)
    SELECT DISTINCT users.user_id, 0 FROM missions JOIN users ON users.no = missions.user_no
    WHERE missions.outcome IS NULL ON CONFLICT DO NOTHING
"""
# Up to schema 0002 there was one seat.
_OLD_SEAT = """
    SELECT token, node, url, lease_until - extract(epoch FROM clock_timestamp())::float8
    FROM seat WHERE id = 1
"""
_CALL_ME = "SELECT set_config('application_name', %s, false)"
_FREE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = %s AND pid <> pg_backend_pid()
"""


class SeatLost(DatabaseBroken):
    """Another tower has buried or replaced this one: nothing may be written here any more."""

    def __init__(self) -> None:
        super().__init__("another tower has taken over from this one")


class DatabaseUnusable(Exception):
    """The database server can't be used: not reached, no rights, a schema to be upgraded."""


@dataclass(slots=True, frozen=True)
class Occupant:
    """Who holds a seat, as the database says it.

    Attributes:
        node: its name.
        url: where it can be reached.
        mode: ``alone`` or ``shared``.
        runs_missions: whether users may be at home with it.
        load: missions that ran or were ready there when it last renewed its lease.
        left_s: how long its lease lasts yet; not positive: it has run out.
    """

    token: int
    node: str
    url: str
    mode: str
    runs_missions: bool
    load: int
    left_s: float


class SeatTaken(Exception):
    """Another tower serves this database, and lets nobody in, or would have to leave first.

    Attributes:
        occupant: who it is.
    """

    def __init__(self, occupant: Occupant) -> None:
        super().__init__(f"the database is served by {occupant.node} at {occupant.url}")
        self.occupant = occupant


@dataclass(slots=True, frozen=True)
class Candidate:
    """Who wants a seat. ``node`` must be the name of nobody else who lives."""

    node: str
    url: str
    mode: str = ALONE
    runs_missions: bool = True


def occupants(connection: Connection) -> list[Occupant]:
    """Return all who hold a seat, by token; the lease of some may have run out."""
    return [
        Occupant(token, node, url, mode, bool(runs), load, left_s)
        for token, node, url, mode, runs, load, left_s in connection.execute(_NODES).fetchall()
    ]


def serving(connection: Connection) -> Occupant | None:
    """Return who serves: the eldest of those whose lease lasts."""
    return next((each for each in occupants(connection) if each.left_s > 0), None)


def serving_of_old(connection: Connection) -> Occupant | None:
    """Return who serves a database whose schema is older than 0003."""
    token, node, url, left_s = connection.execute(_OLD_SEAT).fetchone()
    return Occupant(token, node, url, ALONE, True, 0, left_s) if left_s > 0 else None


def head(connection: Connection) -> int:
    """Return the last offset committed by anybody."""
    return int(connection.execute(_HEAD).fetchone()[0])


def sign(connection: Connection, token: int) -> None:
    """Have the connection bear the name of a tower's writer, so that it can be found."""
    connection.execute(_CALL_ME, (_writer_of(token),)).fetchall()


def free(connection: Connection, tokens: Sequence[int]) -> None:
    """End transactions of writers that are gone, or of our own lost connection.

    A process that was suspended between two messages of a transaction holds its locks for as long
    as it sleeps: the server waits for the next message, which no time-out of its own covers.
    """
    for token in tokens:
        connection.execute(_FREE, (_writer_of(token),)).fetchall()


def _writer_of(token: int) -> str:
    return f"control-tower writer {token}"


def join(connection: Connection, who: Candidate, lease_s: float | None = None) -> int | Occupant:
    """Take a seat for ``LEASE_S``, with a new token; return who is in the way if that can't be.

    Who was here under our own name was killed, as its data folder is ours. Those whose lease has
    run out are in nobody's way: one that serves alone is replaced, those that share are buried
    by who shares with them.
    """
    alone = who.mode == ALONE
    found = occupants(connection)
    if (other := _in_the_way(found, who)) is not None:
        return other
    gone = [each.token for each in found if each.node == who.node or each.left_s <= 0]
    free(connection, gone)
    with transaction(connection):
        connection.execute(_APPEND_LOCK).fetchone()
        connection.execute(_CLEAR, (who.node, ALONE, alone))
        if (other := _in_the_way(occupants(connection), who)) is not None:
            return other
        token = int(connection.execute(_NEXT_SEAT).fetchone()[0])
        lease_s = LEASE_S if lease_s is None else lease_s
        place = (token, who.node, who.url, who.mode, int(who.runs_missions), lease_s)
        connection.execute(_JOIN, place)
        if not alone:
            connection.execute(_HOMELESS)
    sign(connection, token)
    return token


def _in_the_way(found: Sequence[Occupant], who: Candidate) -> Occupant | None:
    alone = who.mode == ALONE
    for each in found:
        if each.node != who.node and each.left_s > 0 and (alone or each.mode == ALONE):
            return each
    return None


def renew(connection: Connection, token: int, lease_s: float | None = None, load: int = 0) -> None:
    """Keep the seat for another ``LEASE_S``.

    Raises:
        SeatLost: when it is not ours any more.
    """
    lease_s = LEASE_S if lease_s is None else lease_s
    if connection.execute(_RENEW, (lease_s, load, token)).fetchone() is None:
        raise SeatLost


def bury(connection: Connection, token: int) -> bool:
    """Remove a tower whose lease has run out; return whether it was us who did."""
    free(connection, [token])
    with transaction(connection):
        connection.execute(_APPEND_LOCK).fetchone()
        return connection.execute(_BURY, (token,)).fetchone() is not None


def leave(connection: Connection, token: int) -> None:
    """Let go of the seat at once."""
    connection.execute(_LEAVE, (token,))


@dataclass(slots=True, frozen=True)
class Turn:
    """The answers to :func:`turn`, on their way."""

    meta: Cursor
    highest: Cursor | None
    own: Cursor

    def taken(self) -> tuple[int, Elsewhere | None]:
        """Return the number of our turn, and what others may have written since the last one.

        Raises:
            SeatLost: when the seat is not ours any more.
        """
        head, removals = self.meta.fetchone()
        numbers = None if self.highest is None else self.highest.fetchone()
        row = self.own.fetchone()
        if row is None:
            raise SeatLost
        if numbers is None:
            return row[0], None
        users, sessions, missions, messages = (each or 0 for each in numbers)
        highest = {
            "users": users,
            "sessions": sessions,
            "missions": missions,
            "messages": messages,
        }
        return row[0], Elsewhere(head, removals, highest)


def turn(connection: Connection, token: int, mode: str) -> Turn:
    """Take the append lock in the open transaction, then our turn.

    The answers are read later, so that this may go in one flush with the transaction's beginning.
    """
    meta = connection.execute(_APPEND_LOCK)
    highest = None if mode == ALONE else connection.execute(_HIGHEST)
    return Turn(meta, highest, connection.execute(_TURN, (token,)))


def last_turn(connection: Connection, token: int) -> int:
    """Return the last turn that was committed, once no transaction of ours is open any more.

    Raises:
        SeatLost: when the seat is not ours any more.
    """
    free(connection, [token])
    row = connection.execute(_LAST_TURN, (token,)).fetchone()
    if row is None:
        raise SeatLost
    sign(connection, token)
    return int(row[0])


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """Commit what is executed within, or nothing of it."""
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        with suppress(Exception):  # what is lost with its connection is rolled back
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
