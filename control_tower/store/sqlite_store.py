"""The store over one SQLite file: the embedded mode's."""

import asyncio
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import bindparam, update

from control_tower.ports import Clock
from control_tower.store import migrations
from control_tower.store.core import Core
from control_tower.store.delivery import Delivery
from control_tower.store.engine import checkpoint, connect_writer, create_files
from control_tower.store.lock import DataFolderLock
from control_tower.store.readers import ThreadReaders
from control_tower.store.reading import Reading
from control_tower.store.scopes import Scopes
from control_tower.store.statements import Query
from control_tower.store.tables import meta
from control_tower.store.writer import Writer, free_bytes
from control_tower.unit import StoreFailed, Unit
from events.log import Publish

_BAPTISE = Query(update(meta).where(meta.c.epoch == "").values(epoch=bindparam("new_epoch")))


def prepare(connection: sqlite3.Connection, epoch: str) -> None:
    """Bring a database to the code's schema; a new one gets ``epoch`` as its epoch."""
    migrations.upgrade(connection)
    _BAPTISE.run(connection, new_epoch=epoch)


class SqliteStore(Reading):
    """``ports.Store`` and ``events.log.LogReader`` over one SQLite file."""

    def __init__(
        self,
        lock: DataFolderLock,
        connection: sqlite3.Connection,
        readers: ThreadReaders,
        writer: Writer,
        delivery: Delivery,
        scopes: Scopes,
        epoch: str,
    ) -> None:
        """Use :meth:`open`."""
        self._lock = lock
        self._connection = connection
        self._readers = readers
        self._writer = writer
        self._delivery = delivery
        self._scopes = scopes
        self._epoch = epoch
        self._closed = False

    @classmethod
    async def open(
        cls,
        data_dir: Path,
        *,
        publish: Publish,
        clock: Clock,
        url: str,
        on_fatal: Callable[[BaseException], None],
        connection_type: type[sqlite3.Connection] = sqlite3.Connection,
        free: Callable[[], int] | None = None,
    ) -> Self:
        """Take the data folder and begin to serve it.

        Committed events go to ``publish`` on the running loop. ``on_fatal`` is called there once,
        if the disk fails: the process must then end. ``connection_type`` and ``free`` (bytes left
        on the disk) are for tests of failures.

        Raises:
            DataFolderLocked: when another process serves the folder.
            SchemaTooNew: when a newer version of the program made it.
        """
        loop = asyncio.get_running_loop()
        lock, connection = await asyncio.to_thread(_take, data_dir, url, connection_type)
        scopes = Scopes()
        core = Core(connection, scopes)
        writer = Writer(core, loop, on_fatal, free or (lambda: free_bytes(data_dir)))
        delivery = Delivery(publish, writer.forgive, loop.call_soon, core.head)
        writer.start(delivery)
        readers = ThreadReaders(data_dir / "tower.db")
        return cls(lock, connection, readers, writer, delivery, scopes, core.epoch)

    @property
    def operator_token(self) -> str:
        """This process's own operator credential, as the lock file says it. Never log it."""
        return self._lock.holder.token

    def announce(self, url: str) -> None:
        """Write another URL into the lock file, once the server knows its port."""
        self._lock.announce(url)

    def submit(self, unit: Unit) -> None:
        """Hand a unit over. Never blocks; its completion comes on the event loop, in order."""
        if self._closed:
            closed = StoreFailed("the store is closed", outcome="rejected")
            asyncio.get_running_loop().call_soon(self._delivery.deliver, [unit], [closed])
        else:
            self._writer.submit(unit)

    async def close(self) -> None:
        """Commit and deliver what waits, then let go of the folder. Twice is once."""
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        while not self._delivery.idle:
            await asyncio.sleep(0)
        await asyncio.to_thread(self._let_go)

    def _let_go(self) -> None:
        self._readers.close()
        try:
            checkpoint(self._connection, "TRUNCATE")
        except sqlite3.Error:
            pass  # everything committed stands in the WAL; the next start moves it
        self._connection.close()
        self._lock.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _take(
    data_dir: Path, url: str, connection_type: type[sqlite3.Connection]
) -> tuple[DataFolderLock, sqlite3.Connection]:
    path = create_files(data_dir)
    lock = DataFolderLock(data_dir, url)
    try:
        connection = connect_writer(path, connection_type)
        try:
            # Before anything is served: what a restart has shown must not be taken back by a
            # power cut, so the WAL that a killed process left is moved and synced first.
            checkpoint(connection, "TRUNCATE")
            prepare(connection, secrets.token_hex(8))
        except BaseException:
            connection.close()
            raise
    except BaseException:
        lock.release()
        raise
    return lock, connection
