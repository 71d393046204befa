"""The store over one SQLite file: the embedded mode's."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from control_tower.ports import Clock
from control_tower.store.core import Core
from control_tower.store.database import DatabaseBroken, SqliteDatabase
from control_tower.store.delivery import Delivery
from control_tower.store.engine import checkpoint, connect_reader, connect_writer, create_files
from control_tower.store.lock import DataFolderLock, DataFolderUnusable
from control_tower.store.migrations import new_epoch, prepare
from control_tower.store.readers import ThreadReaders
from control_tower.store.scopes import Scopes
from control_tower.store.threaded import ThreadedStore
from control_tower.store.writer import Writer, free_bytes
from events.log import Publish


@dataclass(slots=True, frozen=True)
class _Opened:
    """A data folder that is ours."""

    path: Path
    wal: Path
    lock: DataFolderLock
    scopes: Scopes
    core: Core

    def wal_bytes(self) -> int:
        """Return the size of the WAL file."""
        try:
            return self.wal.stat().st_size
        except FileNotFoundError:
            return 0


class SqliteStore(ThreadedStore):
    """``ports.Store`` and ``events.log.LogReader`` over one SQLite file; see :meth:`open`."""

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
            DataFolderUnusable: when it can't be opened.
            SchemaTooNew: when a newer version of the program made it.
        """
        loop = asyncio.get_running_loop()
        epoch = new_epoch(clock.now())
        try:
            opened = await asyncio.to_thread(_take, data_dir, url, epoch, connection_type)
        except (OSError, sqlite3.Error, DatabaseBroken) as error:
            raise DataFolderUnusable(data_dir, error) from error
        writer = Writer(
            opened.core,
            loop,
            on_fatal,
            free or partial(free_bytes, data_dir),
            opened.wal_bytes,
        )
        delivery = Delivery(publish, writer.forgive, loop.call_soon, opened.core.head)
        writer.start(delivery)
        readers = ThreadReaders(partial(connect_reader, opened.path))
        return cls(
            lock=opened.lock,
            core=opened.core,
            scopes=opened.scopes,
            readers=readers,
            writer=writer,
            delivery=delivery,
        )

    def _let_go(self) -> None:
        """Move the WAL into the database, close it and let go of the folder."""
        with suppress(sqlite3.Error):  # what is committed stands in the WAL
            self._core.database.tidy("TRUNCATE")
        super()._let_go()


def _take(
    data_dir: Path, url: str, epoch: str, connection_type: type[sqlite3.Connection]
) -> _Opened:
    path = create_files(data_dir)
    with ExitStack() as undo:
        lock = DataFolderLock(data_dir, url)
        undo.callback(lock.release)
        connection = connect_writer(path, connection_type)
        undo.callback(connection.close)
        # Before anything is served: what a restart has shown must not be taken back by a power
        # cut, so the WAL that a killed process left is moved and synced first.
        checkpoint(connection, "TRUNCATE")
        prepare(connection, epoch)
        scopes = Scopes()
        wal = path.with_name(f"{path.name}-wal")
        opened = _Opened(path, wal, lock, scopes, Core(SqliteDatabase(connection), scopes))
        undo.pop_all()
    return opened
