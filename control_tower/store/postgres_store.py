"""The store over PostgreSQL: the same tables, written by whoever holds the seat."""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import psycopg

from control_tower.ports import Clock
from control_tower.store import migrations, seat
from control_tower.store.core import Core
from control_tower.store.database import DatabaseAway, DatabaseBroken
from control_tower.store.delivery import Delivery
from control_tower.store.lease import Lease, suspended_time
from control_tower.store.lock import DataFolderLock
from control_tower.store.postgres import PostgresConnection, connect, conninfo_of, meaning_of
from control_tower.store.postgres_database import PostgresDatabase
from control_tower.store.readers import ThreadReaders
from control_tower.store.scopes import Scopes
from control_tower.store.threaded import ThreadedStore
from control_tower.store.writer import Writer
from events.log import Publish

NODE_NAME = "node"
"""The file that names a data folder, and so a tower, from one start to the next."""


class DatabaseUnusable(Exception):
    """The database server can't be used: not reached, no rights, a schema to be upgraded."""


class SeatTaken(Exception):
    """Another tower serves this database.

    Attributes:
        occupant: who it is.
    """

    def __init__(self, occupant: seat.Occupant) -> None:
        super().__init__(f"the database is served by {occupant.node} at {occupant.url}")
        self.occupant = occupant


@dataclass(slots=True, frozen=True)
class _Opened:
    """A database in which the seat is ours."""

    lock: DataFolderLock
    scopes: Scopes
    core: Core
    seat: seat.Seat
    taken_at: float


class PostgresStore(ThreadedStore):
    """``ports.Store`` and ``events.log.LogReader`` over PostgreSQL; see :meth:`open`."""

    _opened: _Opened
    _lease: Lease

    @classmethod
    async def open(
        cls,
        database_url: str,
        data_dir: Path,
        *,
        publish: Publish,
        clock: Clock,
        url: str,
        on_fatal: Callable[[BaseException], None],
    ) -> Self:
        """Take the seat in the database and begin to serve it.

        An empty database gets its tables; an older schema is left to ``tower db upgrade``.
        Committed events go to ``publish`` on the running loop. ``on_fatal`` is called there once,
        if another tower takes over: the process must then end. ``data_dir`` says who we are: a
        tower that was killed gets its seat back at once.

        Raises:
            SeatTaken: when another tower holds the seat.
            DataFolderLocked: when another process uses ``data_dir``.
            DatabaseUnusable: when the server or the folder can't be used.
            SchemaTooNew: when a newer version of the program made the tables.
        """
        loop = asyncio.get_running_loop()
        epoch = f"{int(clock.now()):x}-{secrets.token_hex(4)}"
        try:
            opened = await asyncio.to_thread(_take, database_url, data_dir, url, epoch)
        except (OSError, psycopg.Error, DatabaseAway, DatabaseBroken) as error:
            raise DatabaseUnusable(str(error)) from error
        writer = Writer(opened.core, loop, on_fatal, _endless, _nothing)
        delivery = Delivery(publish, writer.forgive, loop.call_soon, opened.core.head)
        writer.start(delivery)
        connecting = partial(connect, database_url)
        readers = ThreadReaders(connecting, meaning_of)
        store = cls(
            lock=opened.lock,
            core=opened.core,
            scopes=opened.scopes,
            readers=readers,
            writer=writer,
            delivery=delivery,
        )
        store._opened = opened
        store._lease = Lease(connecting, meaning_of, opened.seat.token, opened.taken_at, on_fatal)
        store._lease.start()
        return store

    @property
    def token(self) -> int:
        """The fencing token under which this process writes."""
        return self._opened.seat.token

    def lease_left_s(self) -> float:
        """Return for how long nobody else can have taken over."""
        return self._lease.left_s()

    def _let_go(self) -> None:
        """Leave the seat, so that another can take it at once, and close everything."""
        self._lease.close()
        connection = self._core.database.connection
        with suppress(psycopg.Error):  # with the server away the lease runs out by itself
            seat.leave(connection, self.token)
        super()._let_go()


def _endless() -> int:
    """Return room without end: how much the server has, only the server knows."""
    return 1 << 62


def _nothing() -> int:
    """Return that no WAL of ours waits for a checkpoint."""
    return 0


def _take(database_url: str, data_dir: Path, url: str, epoch: str) -> _Opened:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as undo:
        lock = DataFolderLock(data_dir, url)
        undo.callback(lock.release)
        connection = connect(database_url)
        undo.callback(connection.close)
        make_tables(connection, database_url)
        taken_at = suspended_time()
        taken = seat.take(connection, node_of(data_dir), url)
        if taken is None:
            raise SeatTaken(seat.occupant(connection))
        migrations.baptise(connection, epoch)
        scopes = Scopes()
        database = PostgresDatabase(connection, partial(connect, database_url), taken.token)
        opened = _Opened(lock, scopes, Core(database, scopes), taken, taken_at)
        undo.pop_all()
    return opened


def make_tables(connection: PostgresConnection, database_url: str) -> None:
    """Make an empty database's tables; check another's schema.

    Raises:
        DatabaseUnusable: when it is older than the code.
        SchemaTooNew: when it is newer.
    """
    found = migrations.schema_of(connection)
    if found == migrations.SCHEMA:
        return
    if found is not None and found < migrations.SCHEMA:
        raise DatabaseUnusable(
            f"the database has schema {found}, this version needs {migrations.SCHEMA}: stop every "
            "tower, make a backup, then run: tower db upgrade"
        )
    upgrade(connection, database_url)


def upgrade(connection: PostgresConnection, database_url: str) -> None:
    """Bring the database to the code's schema.

    Raises:
        SchemaTooNew: when its schema is none of ours.
    """
    with psycopg.connect(conninfo_of(database_url)) as driver:
        migrations.upgrade_server(connection, driver)


def node_of(data_dir: Path) -> str:
    """Return the name of a data folder: made once, with the machine's name to be read by people."""
    path = data_dir / NODE_NAME
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{name}\n")
        return name
