"""The store over one SQLite file: the embedded mode's."""

import asyncio
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import bindparam, update

from control_tower.ports import Clock
from control_tower.store import migrations
from control_tower.store.core import Core, DatabaseBroken
from control_tower.store.delivery import Delivery
from control_tower.store.engine import checkpoint, connect_writer, create_files
from control_tower.store.lock import DataFolderLock, DataFolderUnusable
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


@dataclass(slots=True, frozen=True)
class _Opened:
    """A data folder that is ours."""

    path: Path
    wal: Path
    lock: DataFolderLock
    scopes: Scopes
    core: Core

    def close(self) -> None:
        """Let go of it."""
        connection = self.core.connection
        with suppress(sqlite3.Error):  # what is committed stands in the WAL
            checkpoint(connection, "TRUNCATE")
        connection.close()
        self.lock.release()

    def wal_bytes(self) -> int:
        """Return the size of the WAL file."""
        try:
            return self.wal.stat().st_size
        except FileNotFoundError:
            return 0


class SqliteStore(Reading):
    """``ports.Store`` and ``events.log.LogReader`` over one SQLite file; see :meth:`open`."""

    def __init__(
        self, opened: _Opened, readers: ThreadReaders, writer: Writer, delivery: Delivery
    ) -> None:
        self._opened = opened
        self._readers = readers
        self._writer = writer
        self._delivery = delivery
        self._scopes = opened.scopes
        self._epoch = opened.core.epoch
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
            DataFolderUnusable: when it can't be opened.
            SchemaTooNew: when a newer version of the program made it.
        """
        loop = asyncio.get_running_loop()
        epoch = f"{int(clock.now()):x}-{secrets.token_hex(4)}"
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
        return cls(opened, ThreadReaders(opened.path), writer, delivery)

    @property
    def operator_token(self) -> str:
        """This process's own operator credential, as the lock file says it. Never log it."""
        return self._opened.lock.holder.token

    def announce(self, url: str) -> None:
        """Write another URL into the lock file, once the server knows its port."""
        self._opened.lock.announce(url)

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
        self._delivery.finish()
        await asyncio.to_thread(self._readers.close)
        await asyncio.to_thread(self._opened.close)

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
        opened = _Opened(path, wal, lock, scopes, Core(connection, scopes))
        undo.pop_all()
    return opened
