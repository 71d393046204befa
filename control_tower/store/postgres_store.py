"""The store over PostgreSQL: the same tables, written by whoever holds a seat."""

import asyncio
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import psycopg
import structlog

from control_tower.ports import Clock
from control_tower.store import migrations, seat
from control_tower.store.core import Core
from control_tower.store.database import PASSING, DatabaseBroken
from control_tower.store.database_nodes import DatabaseNodes
from control_tower.store.delivery import Delivery
from control_tower.store.lease import Lease, Lookout, suspended_time
from control_tower.store.lock import DataFolderLock
from control_tower.store.post import PostgresPost
from control_tower.store.postgres import PostgresConnection, connect, conninfo_of, meaning_of
from control_tower.store.postgres_database import PostgresDatabase
from control_tower.store.readers import ThreadReaders
from control_tower.store.scopes import Scopes
from control_tower.store.seat import Candidate, DatabaseUnusable, Occupant, SeatTaken
from control_tower.store.threaded import ThreadedStore
from control_tower.store.writer import Writer
from events.log import Publish

NODE_NAME = "node"
"""The file that names a data folder, and so a tower, from one start to the next."""

TRY_S = 1.0
"""How often who stands by looks whether there is a seat."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class _Seated:
    """A database in which a seat is ours."""

    scopes: Scopes
    core: Core
    token: int
    taken_at: float
    occupants: list[Occupant]


class PostgresStore(ThreadedStore):
    """``ports.Store`` and ``events.log.LogReader`` over PostgreSQL; see :meth:`open`."""

    _lease: Lease
    _url: str
    _nodes: DatabaseNodes | None = None

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
        standing_by: Callable[[Occupant], None] | None = None,
        mode: str = seat.ALONE,
        runs_missions: bool = True,
    ) -> Self:
        """Take a seat in the database and begin to serve it.

        An empty database gets its tables; an older schema is left to ``tower db upgrade``.
        Committed events go to ``publish`` on the running loop. ``on_fatal`` is called there once,
        if another tower takes over: the process must then end. ``data_dir`` says who we are: a
        tower that was killed gets its seat back at once. With ``standing_by`` a seat that another
        keeps from us is waited for, however long, and each look at who holds it is told. ``mode``
        is ``alone`` or ``shared``, see ``seat.py``; where the database is shared,
        ``runs_missions`` says whether users may be at home with us.

        Raises:
            SeatTaken: when another tower keeps the seat from us, and nobody stands by.
            DataFolderLocked: when another process uses ``data_dir``.
            DatabaseUnusable: when the server or the folder can't be used.
            SchemaTooNew: when a newer version of the program made the tables.
        """
        loop = asyncio.get_running_loop()
        epoch = migrations.new_epoch(clock.now())
        lock = await asyncio.to_thread(_lock, data_dir, url)
        try:
            candidate = Candidate(node_of(data_dir), url, mode, runs_missions)
            seated = await _sit_down(database_url, candidate, epoch, standing_by)
        except BaseException:
            lock.release()
            raise
        writer = Writer(seated.core, loop, on_fatal, _endless, _nothing)
        core = seated.core
        if mode == seat.SHARED:
            core.undelivered = deque()
        delivery = Delivery(
            publish, writer.forgive, loop.call_soon, core.head, undelivered=core.undelivered
        )
        writer.start(delivery)
        connecting = partial(connect, database_url)
        store = cls(
            lock=lock,
            core=seated.core,
            scopes=seated.scopes,
            readers=ThreadReaders(connecting, meaning_of),
            writer=writer,
            delivery=delivery,
        )
        store._url = database_url
        lookout = store._share(seated) if mode == seat.SHARED else None
        store._lease = Lease(
            connecting, meaning_of, seated.token, seated.taken_at, on_fatal, lookout=lookout
        )
        store._lease.start()
        return store

    def _share(self, seated: _Seated) -> Lookout:
        nodes = DatabaseNodes(seated.token, self._readers, self._writer.forget_cached)
        nodes.looked(seated.occupants, seated.core.head)
        self._nodes = nodes
        return Lookout(nodes.looked, nodes.buried, nodes.its_load)

    @property
    def nodes(self) -> DatabaseNodes:
        """Who else serves; only where the database is shared."""
        assert self._nodes is not None  # noqa: S101 - who asks has opened it so
        return self._nodes

    def new_post(self) -> PostgresPost:
        """Return the post between those who serve, not started yet."""
        return PostgresPost(self._url, self.token)

    async def newest_offset(self) -> int:
        """Return the last offset that was committed by anybody, asked for now."""
        return await self._readers.run(seat.head)

    @property
    def token(self) -> int:
        """The fencing token under which this process writes."""
        return self._lease.token

    def undelivered_from(self) -> int | None:
        """Return the lowest offset that may be ours and committed, its completion still to run."""
        return self._delivery.undelivered_from

    def lease_left_s(self) -> float:
        """Return for how long nobody else can have taken over."""
        return self._lease.left_s()

    def _let_go(self) -> None:
        """Leave the seat, so that another can take it at once, and close everything."""
        self._lease.close()
        with suppress(psycopg.Error):  # with the server away the lease runs out by itself
            seat.leave(self._core.database.connection, self.token)
        super()._let_go()


def _endless() -> int:
    """Return room without end: how much the server has, only the server knows."""
    return 1 << 62


def _nothing() -> int:
    """Return that no WAL of ours waits for a checkpoint."""
    return 0


def _lock(data_dir: Path, url: str) -> DataFolderLock:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return DataFolderLock(data_dir, url)
    except OSError as error:
        raise DatabaseUnusable(f"{data_dir} can't be used: {error.strerror}") from error


async def _sit_down(
    database_url: str,
    candidate: Candidate,
    epoch: str,
    standing_by: Callable[[Occupant], None] | None,
) -> _Seated:
    while True:
        try:
            found = await asyncio.to_thread(_try_to_sit_down, database_url, candidate, epoch)
        except PASSING as problem:
            if standing_by is None:
                raise DatabaseUnusable(str(problem)) from problem
            log.warning("store.away", error=str(problem))
        except (psycopg.Error, DatabaseBroken) as error:
            raise DatabaseUnusable(str(error)) from error
        else:
            if isinstance(found, _Seated):
                return found
            if standing_by is None:
                raise SeatTaken(found)
            standing_by(found)
        await asyncio.sleep(TRY_S)


def _try_to_sit_down(database_url: str, candidate: Candidate, epoch: str) -> _Seated | Occupant:
    connection = connect(database_url)
    try:
        make_tables(connection, database_url)
        taken_at = suspended_time()
        taken = seat.join(connection, candidate)
        if isinstance(taken, Occupant):
            connection.close()
            return taken
        migrations.baptise(connection, epoch)
        scopes = Scopes()
        database = PostgresDatabase(
            connection, partial(connect, database_url), taken, candidate.mode
        )
        return _Seated(scopes, Core(database, scopes), taken, taken_at, seat.occupants(connection))
    except psycopg.Error as error:
        connection.close()
        meaning = meaning_of(error)
        if meaning is not error:
            raise meaning from error
        raise
    except BaseException:
        connection.close()
        raise


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


@dataclass(slots=True, frozen=True)
class Look:
    """What a database looks like from outside.

    Attributes:
        version: the server's.
        schema: its revision; None for an empty database.
        wanted: the revision that this program needs.
        occupant: who serves it now, if anybody does and the schema is ours.
    """

    version: str
    schema: str | None
    wanted: str
    occupant: Occupant | None


def look(database_url: str) -> Look:
    """Look at a database without changing anything.

    Raises:
        DatabaseUnusable: when it can't be reached.
    """
    with _reached(database_url) as connection:
        schema = migrations.schema_of(connection)
        served = _serving(connection, schema)
        version: str = connection.execute("SHOW server_version").fetchone()[0]
        return Look(version, schema, migrations.SCHEMA, served)


@contextmanager
def _reached(database_url: str) -> Iterator[PostgresConnection]:
    """Connect meanwhile.

    Raises:
        DatabaseUnusable: when it can't be reached, or is lost.
    """
    try:
        with closing(connect(database_url)) as connection:
            yield connection
    except (psycopg.Error, *PASSING) as error:
        raise DatabaseUnusable(str(error)) from error


def _serving(connection: PostgresConnection, schema: str | None) -> Occupant | None:
    """Return who serves a database, as its schema has it; None for one of the future, too."""
    if schema is None or schema > migrations.SCHEMA:
        return None
    return (seat.serving_of_old if schema < "0003" else seat.serving)(connection)


def upgrade_tables(database_url: str) -> tuple[str | None, str]:
    """Bring a database to the code's schema; return its revision before and after.

    Raises:
        DatabaseUnusable: when it can't be reached, or a tower serves it.
        SchemaTooNew: when its schema is none of ours.
    """
    with _reached(database_url) as connection:
        before = migrations.schema_of(connection)
        if (holder := _serving(connection, before)) is not None:
            raise DatabaseUnusable(f"{holder.node} at {holder.url} serves it; stop that first")
        upgrade(connection, database_url)
        return before, migrations.SCHEMA


def node_of(data_dir: Path) -> str:
    """Return the name of a data folder: made once, with the machine's name to be read by people."""
    path = data_dir / NODE_NAME
    with suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8").strip()
    name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    draft = path.with_suffix(".new")
    draft.write_text(f"{name}\n", encoding="utf-8")
    draft.replace(path)  # whole or not at all: half a name could be another's
    return name
